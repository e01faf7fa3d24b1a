import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { ACTIONS, NODE_IMAGE, runnerImage, RUNNER_VERSION } from "../../components/pins/pins";
import { type Pin, pinTable } from "../../components/pins/table";
import { type Published, type Publishers, startPublishers } from "../components/bump/publishers";
import { rawSettings } from "../components/config/settings";

const ROOT = join(__dirname, "../..");
/** What the script reads and writes. */
const FILES = ["Pulumi.yaml", "package.json", "README.md", "components/pins/pins.ts"];
const CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- All.\n";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const commit = (digit: string) => digit.repeat(40);

/** Publishers that have today's versions and no others. */
function asPinned(table: readonly Pin[]): Published {
  const published: Published = {
    ...{ releases: {}, commits: {}, annotated: {}, actionFiles: {}, images: {}, packages: {} },
  };
  for (const { name, current, digest, source, image } of table) {
    if (source.kind === "releases") {
      const tag = source.bare === true ? `v${current}` : current;
      published.releases[source.repository] = [{ tag }];
      if (image === undefined && digest !== undefined) published.commits[name] = { [tag]: digest };
    }
    if (source.kind === "npm") published.packages[name] = { latest: current, versions: [current] };
    if (source.kind === "input") {
      const action = table.find((one) => one.name === source.action);
      const text = `name: x\ninputs:\n  ${source.input}:\n    default: '${current}'\n`;
      published.actionFiles[source.action] = { [action?.digest ?? ""]: text };
    }
    if (image !== undefined) {
      const reference = image(current);
      const [, repository = "", tag = ""] = /^(.*):([^:]+)$/.exec(reference) ?? [];
      published.images[repository] = { [tag]: digest ?? `sha256:${"0".repeat(64)}` };
    }
  }
  return published;
}

describe("npm run bump", function () {
  this.timeout("3m");
  let folder: string;
  let published: Published;
  let publishers: Publishers;
  let table: readonly Pin[];
  const current = (name: string) => table.find((pin) => pin.name === name)?.current ?? "";

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-bump-"));
    for (const file of FILES) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await cp(join(ROOT, file), join(folder, file));
    }
    await cp(join(ROOT, ".github"), join(folder, ".github"), { recursive: true });
    await writeFile(join(folder, "CHANGELOG.md"), CHANGELOG);
    const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as object;
    table = pinTable(manifest);
    published = asPinned(table);
    publishers = await startPublishers(published);
  });
  afterEach(async () => {
    await publishers.close();
    await rm(folder, { recursive: true, force: true });
  });

  interface Run {
    readonly code: number;
    readonly stdout: string;
    readonly stderr: string;
  }

  function run(args: readonly string[], environment: Record<string, string> = {}): Promise<Run> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [
          `--import=${pathToFileURL(require.resolve("tsx")).href}`,
          join(ROOT, "scripts/bump.ts"),
          ...args,
        ],
        { cwd: folder, env: { PATH: "", ...environment }, timeout: 90_000 },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
          resolve({ code, stdout, stderr });
        },
      );
    });
  }
  const bump = (...args: string[]) => run([...publishers.options, ...args]);

  async function contents(): Promise<Map<string, string>> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .sort();
    return new Map(
      await Promise.all(
        files.map(async (file) => [file, await readFile(join(folder, file), "utf8")] as const),
      ),
    );
  }

  /** Lines that are gone and new, by file. */
  async function changesSince(before: Map<string, string>): Promise<Record<string, string[]>> {
    const changes: Record<string, string[]> = {};
    for (const [file, text] of await contents()) {
      const [old, now] = [(before.get(file) ?? "").split("\n"), text.split("\n")];
      const lines = [
        ...old.filter((line) => !now.includes(line)).map((line) => `-${line.trim()}`),
        ...now.filter((line) => !old.includes(line)).map((line) => `+${line.trim()}`),
      ];
      if (text !== before.get(file)) changes[file] = lines;
    }
    return changes;
  }

  /** Names, and what they are to become, of the pins that would change. */
  function changing(stdout: string): Record<string, string> {
    const { pins } = JSON.parse(stdout) as {
      pins: { name: string; next: string; digest?: string; changes: boolean }[];
    };
    return Object.fromEntries(
      pins
        .filter(({ changes }) => changes)
        .map(({ name, next, digest = "" }) => [name, `${next} ${digest}`.trim()]),
    );
  }

  it("proposes nothing and writes nothing where everything is new", async () => {
    const before = await contents();
    const { code, stdout, stderr } = await bump("--write", "--json");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(changing(stdout), {});
    assert.deepEqual(await changesSince(before), {});
    const { pins } = JSON.parse(stdout) as { pins: { name: string }[] };
    assert.deepEqual(
      pins.map(({ name }) => name),
      table.map(({ name }) => name),
    );
    assert.deepEqual(
      publishers.requests.filter((one) => one.startsWith("unknown")),
      [],
    );
    // Anybody may ask, and a GET of a manifest counts as a pull.
    assert.deepEqual([...new Set(publishers.authorizations)], [undefined]);
    assert.ok(publishers.requests.every((one) => !/^GET .*\/manifests\//.test(one)));
  });

  describe("where there is something new", () => {
    beforeEach(() => {
      const { releases, commits, annotated, actionFiles, images, packages } = published;
      releases["actions/runner"] = [
        { tag: "v2.9999.0", draft: true },
        { tag: "v2.1001.0", prerelease: true },
        { tag: "v2.998.1" },
        { tag: "v2.999.0" },
      ];
      images["ghcr.io/actions/actions-runner"]!["2.999.0"] = digest("a");
      releases["moby/buildkit"]!.unshift({ tag: "dockerfile/9.9.9" }, { tag: "v0.999.0" });
      images["docker.io/moby/buildkit"]!["v0.999.0"] = digest("b");
      for (const tag of ["24.999.0-alpine3.99", "24.999.0-bookworm", "26.1.0-alpine3.99"]) {
        images["docker.io/library/node"]![tag] = digest("c");
      }
      images["docker.io/docker/buildkit-syft-scanner"]!["1.999.0"] = digest("d");
      // The same tag, built anew.
      const binfmt = images["docker.io/tonistiigi/binfmt"]!;
      binfmt[current("tonistiigi/binfmt")] = digest("e");
      releases["actions/checkout"]!.push({ tag: "v7.999.0" });
      commits["actions/checkout"]!["v7.999.0"] = commit("1");
      annotated["actions/checkout"] = ["v7.999.0"];
      releases["sigstore/cosign-installer"]!.unshift({ tag: "v5.0.0" });
      commits["sigstore/cosign-installer"]!["v5.0.0"] = commit("2");
      actionFiles["sigstore/cosign-installer"]![commit("2")] =
        "inputs:\n  cosign-release:\n    description: x\n    default: v3.999.0\n";
      releases["docker/login-action"] = [{ tag: current("docker/login-action") }];
      commits["docker/login-action"]![current("docker/login-action")] = commit("3");
      packages["@pulumi/hcloud"] = {
        latest: "1.999.0",
        versions: [current("@pulumi/hcloud"), "1.999.0", "1.1000.0", "2.0.0-beta.1"],
      };
      packages["@pulumi/command"] = {
        latest: "4.5.0",
        versions: [current("@pulumi/command"), "4.5.0"],
      };
      packages["@pulumi/random"] = {
        latest: current("@pulumi/random"),
        versions: [current("@pulumi/random"), "3.0.0"],
        deprecated: [],
      };
    });

    it("proposes it, with commits and digests, and writes nothing by itself", async () => {
      const before = await contents();
      const { code, stdout, stderr } = await bump("--json");
      assert.deepEqual([code, stderr], [0, ""]);
      assert.deepEqual(changing(stdout), {
        "actions/runner": `2.999.0 ${digest("a")}`,
        "moby/buildkit": `v0.999.0 ${digest("b")}`,
        node: `24.999.0-alpine3.99 ${digest("c")}`,
        "tonistiigi/binfmt": `${current("tonistiigi/binfmt")} ${digest("e")}`,
        "docker/buildkit-syft-scanner": "1.999.0",
        "sigstore/cosign": "v3.999.0",
        "actions/checkout": `v7.999.0 ${commit("1")}`,
        "sigstore/cosign-installer": `v5.0.0 ${commit("2")}`,
        "@pulumi/hcloud": "1.999.0",
      });
      assert.deepEqual(await changesSince(before), {});
    });

    it("says in a table what is held back, and why", async () => {
      const { code, stdout } = await bump(
        ...["node", "@pulumi/command", "docker/login-action"].flatMap((name) => ["--only", name]),
      );
      const node = current("node");
      const held = current("@pulumi/command");
      const login = current("docker/login-action");
      assert.deepEqual(
        [code, stdout.replaceAll(/ {2,}/g, " | ").trim().split("\n")],
        [
          0,
          [
            "NAME | CURRENT | NEXT | NOTE",
            `node | ${node} | 24.999.0-alpine3.99 | 26.1.0-alpine3.99 is held back below 25.0.0: people choose the major version, which has to be one with long-term support`,
            `docker/login-action | ${login} | - | somebody moved tag ${login}: the pinned commit stays until people have looked`,
            `@pulumi/command | ${held} | - | 4.5.0 is held back below 1.3.0: 4.5.0 is an erroneous publish of an old interface that asks for a plugin which was never released`,
          ],
        ],
      );
    });

    it("writes it into constants, workflows, package.json and changelog", async () => {
      const before = await contents();
      const { code, stderr } = await bump("--write");
      assert.equal(code, 0, stderr);
      const runner = runnerImage("actions-runner", RUNNER_VERSION);
      const [taggedRunner = "", runnerDigest = ""] = runner.split("@");
      const checkout = ACTIONS["actions/checkout"];
      const installer = ACTIONS["sigstore/cosign-installer"];
      const binfmt = table.find(({ name }) => name === "tonistiigi/binfmt");
      const buildkit = table.find(({ name }) => name === "moby/buildkit");
      const changes = await changesSince(before);
      const { "README.md": readme = [], ...others } = changes;
      const workflows = Object.entries(others).filter(([file]) => file.startsWith(".github/"));
      assert.deepEqual(
        Object.fromEntries(Object.entries(others).filter(([file]) => !file.startsWith(".github/"))),
        {
          "CHANGELOG.md": [
            "+### Changed",
            `+- Raise actions/runner from ${RUNNER_VERSION} to 2.999.0.`,
            `+- Raise moby/buildkit from ${current("moby/buildkit")} to v0.999.0.`,
            `+- Raise node from ${current("node")} to 24.999.0-alpine3.99.`,
            `+- Renew the digest of tonistiigi/binfmt ${current("tonistiigi/binfmt")}.`,
            `+- Raise docker/buildkit-syft-scanner from ${current("docker/buildkit-syft-scanner")} to 1.999.0.`,
            `+- Raise sigstore/cosign from ${current("sigstore/cosign")} to v3.999.0.`,
            `+- Raise actions/checkout from ${checkout.tag} to v7.999.0.`,
            `+- Raise sigstore/cosign-installer from ${installer.tag} to v5.0.0.`,
            `+- Raise @pulumi/hcloud from ${current("@pulumi/hcloud")} to 1.999.0.`,
          ],
          "components/pins/pins.ts": [
            `-"actions/checkout": { tag: "${checkout.tag}", sha: "${checkout.sha}" },`,
            `-"sigstore/cosign-installer": { tag: "${installer.tag}", sha: "${installer.sha}" },`,
            `-export const BUILDKIT_VERSION = "${current("moby/buildkit")}";`,
            `-export const BUILDKIT_IMAGE = \`moby/buildkit:\${BUILDKIT_VERSION}@${buildkit?.digest}\`;`,
            `-export const RUNNER_VERSION = "${RUNNER_VERSION}";`,
            `-"${NODE_IMAGE}";`,
            `-export const SBOM_SCANNER = "docker/buildkit-syft-scanner:${current("docker/buildkit-syft-scanner")}";`,
            `-"docker.io/tonistiigi/binfmt:${binfmt?.current}@${binfmt?.digest}";`,
            `-export const COSIGN_VERSION = "${current("sigstore/cosign")}";`,
            `+"actions/checkout": { tag: "v7.999.0", sha: "${commit("1")}" },`,
            `+"sigstore/cosign-installer": { tag: "v5.0.0", sha: "${commit("2")}" },`,
            '+export const BUILDKIT_VERSION = "v0.999.0";',
            `+export const BUILDKIT_IMAGE = \`moby/buildkit:\${BUILDKIT_VERSION}@${digest("b")}\`;`,
            '+export const RUNNER_VERSION = "2.999.0";',
            '+"ghcr.io/actions/actions-runner:2.999.0":',
            `+"${digest("a")}",`,
            `+"node:24.999.0-alpine3.99@${digest("c")}";`,
            '+export const SBOM_SCANNER = "docker/buildkit-syft-scanner:1.999.0";',
            `+"docker.io/tonistiigi/binfmt:${current("tonistiigi/binfmt")}@${digest("e")}";`,
            '+export const COSIGN_VERSION = "v3.999.0";',
          ],
          "package.json": [
            `-"@pulumi/hcloud": "${current("@pulumi/hcloud")}",`,
            '+"@pulumi/hcloud": "1.999.0",',
          ],
        },
      );
      assert.deepEqual(
        readme.map((line) => /^[+-]\| `(\S+)`.*\| `(\S+)` +\|/.exec(line)?.slice(1)),
        [
          ["pools.<pool>.runner.version", RUNNER_VERSION],
          ["pools.<pool>.runner.version", "2.999.0"],
        ],
      );
      assert.ok(workflows.some(([file]) => file === ".github/workflows/ci.yml"));
      for (const [file, lines] of workflows) {
        assert.deepEqual(
          [...new Set(lines.map((line) => line.replace(/^([+-])- /, "$1")))],
          [
            `-uses: actions/checkout@${checkout.sha} # ${checkout.tag}`,
            `+uses: actions/checkout@${commit("1")} # v7.999.0`,
          ],
          file,
        );
      }
      // The former release keeps its digest: stacks may name it.
      const text = (await contents()).get("components/pins/pins.ts") ?? "";
      assert.ok(
        text.includes(
          `  "ghcr.io/actions/actions-runner:2.999.0":\n    "${digest("a")}",\n  "${taggedRunner}":\n    "${runnerDigest}",\n`,
        ),
      );
    });

    it("takes the program along that a selected action installs, and no other pin", async () => {
      const { stdout } = await bump("--json", "--only=sigstore/cosign-installer");
      assert.deepEqual(Object.keys(changing(stdout)), [
        "sigstore/cosign",
        "sigstore/cosign-installer",
      ]);
      // By itself it stays at what the pinned installer installs.
      const alone = await bump("--json", "--only=sigstore/cosign");
      assert.deepEqual(changing(alone.stdout), {});
    });

    it("waits for the image of a release", async () => {
      delete published.images["ghcr.io/actions/actions-runner"]!["2.999.0"];
      const { stdout } = await bump("--only=actions/runner");
      assert.equal(
        stdout.split("\n")[1]?.replaceAll(/ {2,}/g, " | "),
        `actions/runner | ${RUNNER_VERSION} | - | 2.999.0 is released, but its image ghcr.io/actions/actions-runner:2.999.0 is not there`,
      );
    });

    it("gives GitHub the token of GH_TOKEN, and nobody the one of GITHUB_TOKEN", async () => {
      await run([...publishers.options, "--only=actions/checkout"], {
        GH_TOKEN: "ghp_public",
        GITHUB_TOKEN: "ghp_of_another_server",
      });
      assert.deepEqual([...new Set(publishers.authorizations)], ["Bearer ghp_public"]);
    });

    it("writes nothing when one file is not as the table has it", async () => {
      const file = join(folder, "components/pins/pins.ts");
      const text = await readFile(file, "utf8");
      await writeFile(file, text.replace(`"${RUNNER_VERSION}"`, '"2.1.0"'));
      const before = await contents();
      const { code, stderr } = await bump("--write");
      assert.deepEqual(
        [code, stderr],
        [
          1,
          `components/pins/pins.ts: found no ${JSON.stringify(`RUNNER_VERSION = "${RUNNER_VERSION}"`)}, expected it as the table has it.\n`,
        ],
      );
      assert.deepEqual(await changesSince(before), {});
    });
  });

  describe("for a stack", () => {
    const ENCRYPTED = {
      secure: "v1:sIoZBQ2kgzZDswI2:Q/szYDV6kDgzCdaWxtc1L0g4hhjNiEKr7RCCmmxRxG8=",
    };

    async function writeStack(pools: string): Promise<string> {
      const { organization, githubAuth, ssh, targets } = rawSettings();
      const others = stringify({
        "runner-fleet:organization": organization,
        "runner-fleet:githubAuth": { ...githubAuth, token: ENCRYPTED },
        "runner-fleet:ssh": { ...ssh, privateKey: ENCRYPTED },
        "runner-fleet:targets": targets,
        "runner-fleet:routing": { pool: "arm64" },
      });
      const text = `# Of production.\nconfig:\n${others.replaceAll(/^(?=.)/gm, "  ")}  runner-fleet:pools:\n${pools}`;
      await writeFile(join(folder, "Pulumi.prod.yaml"), text);
      return text;
    }

    const POOL = "serverTypes: [ cax21 ], locations: [fsn1], count: 1, labels: [docker]";
    const POOLS = `    arm64:
      serverTypes: [cax21]   # what is in stock
      locations: [fsn1]
      count: 1
      labels: [docker]
      runner:
        version: "2.336.0" # not the newest
    origin: { ${POOL}, runner: { image: knatnetwork, version: 2.331.0 } }
    own: { ${POOL}, runner: { version: 2.330.0, reference: example.org/runner:1 } }
    table: { ${POOL} }
`;

    beforeEach(() => {
      published.releases["actions/runner"] = [
        { tag: "v2.1001.0", prerelease: true },
        { tag: "v2.999.0" },
      ];
      published.images["ghcr.io/actions/actions-runner"] = { "2.999.0": digest("a") };
    });

    it("proposes what its file sets, as far as there are images", async () => {
      await writeStack(POOLS);
      const before = await contents();
      const { code, stdout, stderr } = await bump("--stack=prod");
      assert.deepEqual([code, stderr], [0, ""]);
      assert.deepEqual(stdout.replaceAll(/ {2,}/g, " | ").trim().split("\n"), [
        "NAME | CURRENT | NEXT | NOTE",
        "pools.arm64.runner.version | 2.336.0 | 2.999.0",
        "pools.origin.runner.version | 2.331.0 | - | 2.999.0 is released, but its image docker.io/knatnetwork/github-runner:noble-2.999.0 is not there",
        "pools.own.runner.version | 2.330.0 | - | runs an image of your own",
        `pools.table.runner.version | ${RUNNER_VERSION} | - | follows the table of pins`,
      ]);
      assert.deepEqual(await changesSince(before), {});
    });

    it("writes the versions alone into its file", async () => {
      published.images["docker.io/knatnetwork/github-runner"] = { "noble-2.999.0": digest("b") };
      const text = await writeStack(POOLS);
      const before = await contents();
      const { code, stderr } = await bump("--stack=prod", "--write");
      assert.equal(code, 0, stderr);
      const after = await contents();
      assert.equal(
        after.get("Pulumi.prod.yaml"),
        text.replace("2.336.0", "2.999.0").replace("2.331.0", "2.999.0"),
      );
      assert.equal(
        after.get("CHANGELOG.md"),
        `${CHANGELOG}\n### Changed\n\n- Raise pools.arm64.runner.version of stack prod from 2.336.0 to 2.999.0.\n- Raise pools.origin.runner.version of stack prod from 2.331.0 to 2.999.0.\n`,
      );
      assert.deepEqual(Object.keys(await changesSince(before)), [
        "CHANGELOG.md",
        "Pulumi.prod.yaml",
      ]);
    });

    it("asks nobody where its file sets no version", async () => {
      await writeStack(`    arm64: { ${POOL} }\n`);
      const { code, stdout } = await bump("--stack=prod", "--write");
      assert.equal(code, 0);
      assert.match(stdout, /follows the table of pins\n$/);
      assert.deepEqual(publishers.requests, []);
    });
  });

  describe("refuses in one sentence", () => {
    const unreachable = "http://127.0.0.1:9";
    const CASES: Readonly<Record<string, readonly [readonly string[], string]>> = {
      "a pin that is not there": [
        ["--only=nope"],
        '--only: found "nope", expected one of actions/runner, moby/buildkit,',
      ],
      "a stack and pins": [
        ["--only=node", "--stack=prod"],
        "--only: found --stack beside it, expected one of them.",
      ],
      "a stack without a file": [
        ["--stack=nowhere"],
        "Pulumi.nowhere.yaml cannot be read (ENOENT), expected the file of a stack named nowhere.",
      ],
      "an address that is none": [
        ["--npm-url=registry"],
        "--npm-url: found no URL, expected an absolute http or https URL.",
      ],
      "GitHub out of reach": [
        [`--github-url=${unreachable}`],
        `GitHub's API at ${unreachable} cannot be reached (`,
      ],
      "npm out of reach": [
        ["--only=@pulumi/hcloud", `--npm-url=${unreachable}`],
        `The npm registry at ${unreachable} cannot be reached (`,
      ],
      "a registry out of reach": [
        ["--only=node", `--docker-hub-url=${unreachable}`],
        `The registry docker.io at ${unreachable} cannot be reached (`,
      ],
    };
    for (const [what, [args, says]] of Object.entries(CASES)) {
      it(what, async () => {
        const before = await contents();
        const { code, stdout, stderr } = await bump("--write", ...args);
        assert.deepEqual([code, stdout], [1, ""]);
        assert.ok(stderr.startsWith(says), stderr);
        assert.equal(stderr.trim().split("\n").length, 1, stderr);
        assert.deepEqual(await changesSince(before), {});
      });
    }
  });
});
