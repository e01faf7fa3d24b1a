import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Finding, ok, problem, warning } from "../../../components/doctor/check";
import { isAtLeast, judgeTools, readPins, type Tools } from "../../../components/doctor/tools";
import { CLI_VERSION, PLUGIN_VERSIONS } from "../../../local-cloud/engine/versions";

const PINS = { node: "20.19", sdk: "3.248.0", plugins: { hcloud: "1.41.0", random: "4.21.2" } };

const plugins = (versions: Readonly<Record<string, string>>, kind = "resource") =>
  JSON.stringify(
    Object.entries(versions).map(([name, version]) => ({ name, kind, version, size: 0 })),
  );

const ALL: Tools = {
  node: "v20.19.5",
  pulumi: "v3.259.0\n",
  plugins: plugins(PINS.plugins),
  ssh: "OpenSSH_10.0p2 Debian-7",
  downloadsPlugins: true,
};

const INSTALL = "pulumi plugin install resource hcloud 1.41.0";

describe("judgeTools", () => {
  const cases: Record<string, [change: Partial<Tools>, ...findings: Finding[]]> = {
    "all that is needed": [
      {},
      ok(
        "Node 20.19.5, Pulumi's CLI 3.259.0, the plugins hcloud 1.41.0, random 4.21.2, and ssh are there.",
      ),
    ],
    "an old Node": [{ node: "v20.18.3" }, problem("Node is 20.18.3, expected 20.19 or newer.")],
    "no CLI": [
      { pulumi: undefined, plugins: undefined },
      problem("The program pulumi is not on the PATH, expected Pulumi's CLI there."),
    ],
    "a CLI that is older than the SDK": [
      { pulumi: "v3.247.9" },
      problem(
        "Pulumi's CLI is 3.247.9, expected 3.248.0, which is the SDK's version, or newer, below 4.",
      ),
    ],
    "a CLI of another age": [
      { pulumi: "v4.0.0" },
      problem(
        "Pulumi's CLI is 4.0.0, expected 3.248.0, which is the SDK's version, or newer, below 4.",
      ),
    ],
    "a plugin that is missing": [
      { plugins: plugins({ random: "4.21.2" }) },
      warning(
        "The plugin hcloud 1.41.0 is not installed: the next run of pulumi downloads it.",
        INSTALL,
      ),
    ],
    "a plugin of another version": [
      { plugins: plugins({ hcloud: "v1.40.0", random: "v4.21.2" }) },
      warning(
        "The plugin hcloud 1.41.0 is not installed, but 1.40.0 is: the next run of pulumi downloads it.",
        INSTALL,
      ),
    ],
    "a plugin that is missing and may not be downloaded": [
      { plugins: plugins({ random: "4.21.2" }), downloadsPlugins: false },
      problem(
        "The plugin hcloud 1.41.0 is not installed, and PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION keeps pulumi from downloading it.",
        INSTALL,
      ),
    ],
    "plugins of another kind": [
      { plugins: plugins(PINS.plugins, "language"), downloadsPlugins: true },
      warning(
        "The plugin hcloud 1.41.0 is not installed: the next run of pulumi downloads it.",
        INSTALL,
      ),
      warning(
        "The plugin random 4.21.2 is not installed: the next run of pulumi downloads it.",
        "pulumi plugin install resource random 4.21.2",
      ),
    ],
    "a CLI that lists nothing": [
      { plugins: "error: no" },
      warning("Pulumi's CLI does not say which plugins are installed."),
    ],
    "no SSH client": [
      { ssh: undefined },
      warning(
        "The program ssh is not on the PATH: `npm run ssh` opens no shell without it.",
        "apt-get install openssh-client",
      ),
    ],
  };
  for (const [what, [change, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeTools({ ...ALL, ...change }, PINS), findings);
    });
  }
});

describe("readPins", () => {
  it("has the versions of this project, which the engine of the tests keeps to", () => {
    const text = readFileSync(join(__dirname, "../../../package.json"), "utf8");
    const pins = readPins(text);
    assert.deepEqual(pins.plugins, PLUGIN_VERSIONS);
    assert.match(pins.node, /^\d+\.\d+$/);
    assert.ok(isAtLeast(CLI_VERSION, pins.sdk));
  });
});

describe("isAtLeast", () => {
  const cases: [version: string, minimum: string, expected: boolean][] = [
    ["v20.19.0", "20.19", true],
    ["20.9.9", "20.19", false],
    ["22.0.0", "20.19", true],
    ["3.248.0", "3.248.0", true],
    ["3.248.1-alpha.1", "3.248.0", true],
    ["3.99.0", "3.248.0", false],
  ];
  for (const [version, minimum, expected] of cases) {
    it(`${version} is ${expected ? "" : "not "}at least ${minimum}`, () => {
      assert.equal(isAtLeast(version, minimum), expected);
    });
  }
});
