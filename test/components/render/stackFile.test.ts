import assert from "node:assert/strict";
import { stringify } from "yaml";
import { readStackFile, SECRET, type StackFileResult } from "../../../components/render/stackFile";
import { rawSettings } from "../config/settings";

const ENCRYPTED = { secure: "v1:sIoZBQ2kgzZDswI2:Q/szYDV6kDgzCdaWxtc1L0g4hhjNiEKr7RCCmmxRxG8=" };

function read(
  stack: Record<string, unknown>,
  project: Record<string, unknown> = {},
): StackFileResult {
  return readStackFile(
    "dev",
    stringify({ name: "fleet", config: project }),
    stringify({ config: stack }),
  );
}

function namespaced(change: Record<string, unknown> = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries({ ...rawSettings(), ...change }).map(([key, value]) => [`fleet:${key}`, value]),
  );
}

function settingsOf(result: StackFileResult) {
  assert.ok(result.ok, JSON.stringify(result));
  return result.settings;
}

describe("readStackFile", () => {
  it("reads the keys of the project and leaves those of providers alone", () => {
    const found = read({ ...namespaced(), "hcloud:token": ENCRYPTED, "other:poolz": {} });
    assert.ok(found.ok);
    assert.equal(found.project, "fleet");
    assert.deepEqual(found.settings.targets.webppt?.image, "ghcr.io/acme/webppt");
  });

  it("takes a key without a namespace for the project's own", () => {
    const { "fleet:organization": organization, ...rest } = namespaced();
    assert.equal(settingsOf(read({ organization, ...rest })).organization, "acme");
  });

  it("takes the project's defaults for what the stack leaves out", () => {
    const project = {
      runnerGroup: { type: "object", default: { name: "builders" } },
      routing: { type: "object", default: { variable: "FROM_DEFAULT" } },
      pools: { type: "object", description: "has no default" },
    };
    const settings = settingsOf(
      read({ ...namespaced(), "fleet:routing": { variable: "FROM_STACK" } }, project),
    );
    assert.equal(settings.runnerGroup.name, "builders");
    assert.equal(settings.routing.variable, "FROM_STACK");
  });

  it("takes a text for a text, even if it looks like a number", () => {
    assert.equal(
      settingsOf(read({ ...namespaced(), "fleet:organization": 1234 })).organization,
      "1234",
    );
  });

  it("has a stand-in for every encrypted value, wherever it is", () => {
    const settings = settingsOf(
      read(
        namespaced({
          githubAuth: { kind: "pat", token: ENCRYPTED },
          ssh: { ...rawSettings().ssh, privateKey: ENCRYPTED },
          secrets: { PASSWORD: { value: ENCRYPTED } },
          pools: { arm64: { ...rawSettings().pools.arm64, labels: ["docker", "big"] } },
        }),
      ),
    );
    assert.deepEqual(settings.githubAuth, { kind: "pat", token: SECRET });
    assert.equal(settings.secrets.PASSWORD?.value, SECRET);
    assert.ok(settings.ssh.privateKey?.includes(SECRET));
    assert.deepEqual(settings.pools.arm64?.labels, ["docker", "big"]);
  });

  it("has a stand-in for the key of an App", () => {
    const app = { kind: "app", appId: 5, installationId: 20, privateKey: ENCRYPTED };
    const { githubAuth } = settingsOf(read(namespaced({ githubAuth: app })));
    assert.ok(githubAuth.kind === "app" && githubAuth.privateKey.includes(SECRET));
  });

  it("says of every problem which key it is", () => {
    const found = read(
      namespaced({ secrets: { PASSWORD: ENCRYPTED }, poolz: {}, githubAuth: ENCRYPTED }),
    );
    assert.ok(!found.ok);
    const unread =
      "found an encrypted value, expected one in plain text with at most tokens, keys and passwords in it encrypted, since rendering reads no secret.";
    assert.deepEqual([...found.problems].sort(), [
      `fleet:githubAuth: ${unread}`,
      "fleet:poolz is not a configuration key.",
      `fleet:secrets.PASSWORD: ${unread}`,
    ]);
  });

  for (const [what, project, stack, says] of [
    [
      "a project without a name",
      "config: {}\n",
      "config: {}\n",
      /^name in Pulumi\.yaml: found nothing/,
    ],
    ["an empty file", "", "config: {}\n", /^Pulumi\.yaml: found no block of keys, expected one\.$/],
    [
      "a list",
      "name: fleet\n",
      "[]\n",
      /^Pulumi\.dev\.yaml: found no block of keys, expected one\.$/,
    ],
    [
      "a key that is there twice",
      "name: fleet\n",
      "a: 1\na: 2\n",
      /^Pulumi\.dev\.yaml: found no YAML at line 2, column 1 \(DUPLICATE_KEY\)/,
    ],
  ] as const) {
    it(`refuses ${what}`, () => {
      const found = readStackFile("dev", project, stack);
      assert.ok(!found.ok);
      assert.equal(found.problems.length, 1);
      assert.match(found.problems[0]!, says);
    });
  }

  it("refuses the name of a stack that servers cannot be named after", () => {
    const found = readStackFile(
      "Dev_1",
      stringify({ name: "fleet" }),
      stringify({ config: namespaced() }),
    );
    assert.ok(!found.ok);
    assert.match(found.problems.join("\n"), /^The stack is named "Dev_1", expected/);
  });
});
