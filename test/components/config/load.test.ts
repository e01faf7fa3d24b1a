import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import {
  type FleetConfig,
  loadConfig,
  loadRefusals,
  misleadingEnvironment,
  plainTextSecrets,
} from "../../../components/config/load";
import { deploy, valueOf } from "../../helpers/mocks";
import { keyPair, rawSettings, settingsWith } from "./settings";

const VARIABLES = ["HCLOUD_TOKEN", "HCLOUD_ENDPOINT", "GITHUB_TOKEN", "GITHUB_BASE_URL"];

/** Values as the engine hands them over: JSON where they are structured, bare text where they are not. */
function stored(change: Record<string, string | undefined> = {}): Record<string, string> {
  const entries = Object.entries(rawSettings()).map(([key, value]) => [
    `runner-fleet:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const all = { ...Object.fromEntries(entries), ...change } as Record<string, string | undefined>;
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

async function load(config: Record<string, string>, stack = "dev"): Promise<FleetConfig> {
  let loaded: FleetConfig | undefined;
  await deploy(() => (loaded = loadConfig()), { config, stack });
  assert.ok(loaded);
  return loaded;
}

describe("loadConfig", () => {
  const environment = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
  beforeEach(() => VARIABLES.forEach((name) => Reflect.deleteProperty(process.env, name)));
  after(() => {
    for (const [name, value] of Object.entries(environment)) {
      if (value !== undefined) process.env[name] = value;
    }
  });

  it("gives settings, and secrets as secret outputs", async () => {
    const secrets = JSON.stringify({ PASSWORD: { value: "hush" } });
    const config = await load(stored({ "runner-fleet:secrets": secrets }));
    assert.equal(config.prefix, "dev");
    assert.equal(config.settings.organization, "acme");
    const outputs: (readonly [unknown, pulumi.Output<unknown> | undefined])[] = [
      [{ kind: "pat", token: "ghp_service" }, config.credential],
      ["hush", config.orgSecrets.PASSWORD],
      [config.settings.ssh.privateKey, config.sshPrivateKey],
    ];
    for (const [value, output] of outputs) {
      assert.ok(output);
      assert.deepEqual(await valueOf(output), value);
      assert.equal(await pulumi.isSecret(output), true);
    }
  });

  it("gives an App as a secret, too, and no key where nobody needs one", async () => {
    const { publicKey, privateKey } = rawSettings().ssh;
    const app = { kind: "app", appId: 5, installationId: 20, privateKey };
    const config = await load(
      stored({
        "runner-fleet:githubAuth": JSON.stringify(app),
        "runner-fleet:management": "none",
        "runner-fleet:ssh": JSON.stringify({ publicKey }),
      }),
    );
    assert.deepEqual(await valueOf(config.credential), app);
    assert.equal(await pulumi.isSecret(config.credential), true);
    assert.equal(config.sshPrivateKey, undefined);
  });

  it("takes text as text, even if it looks like a number", async () => {
    const config = await load(stored({ "runner-fleet:organization": "1234" }));
    assert.equal(config.settings.organization, "1234");
  });

  it("finds the APIs in the configuration before the environment", async () => {
    process.env.HCLOUD_TOKEN = "of the environment";
    process.env.GITHUB_TOKEN = "of the environment";
    const fromEnvironment = await load(stored());
    assert.equal(fromEnvironment.hcloud.token, "of the environment");
    assert.equal(fromEnvironment.github.token, "of the environment");
    assert.equal(fromEnvironment.github.tokenIsConfigured, false);
    const configured = await load(
      stored({
        "hcloud:token": "of the stack",
        "hcloud:endpoint": "http://127.0.0.1:1/v1",
        "hcloud:pollInterval": "20ms",
        "github:token": "of the stack",
        "github:baseUrl": "http://127.0.0.1:2/",
        "github:writeDelayMs": "0",
      }),
    );
    assert.deepEqual(configured.hcloud, {
      token: "of the stack",
      endpoint: "http://127.0.0.1:1/v1",
      pollInterval: "20ms",
      tokenIsConfigured: true,
    });
    assert.deepEqual(configured.github, {
      token: "of the stack",
      endpoint: "http://127.0.0.1:2/",
      writeDelayMs: 0,
      tokenIsConfigured: true,
    });
  });

  it("leaves other namespaces alone", async () => {
    await assert.doesNotReject(load(stored({ "other:colour": "blue", "aws:region": "x" })));
  });

  it("throws every problem, a line each", async () => {
    const config = stored({
      "runner-fleet:organization": undefined,
      "runner-fleet:colour": "blue",
    });
    await assert.rejects(load(config, "Dev_1"), (error) => {
      assert.ok(pulumi.RunError.isInstance(error));
      assert.equal(
        error.message,
        [
          'The stack is named "Dev_1", expected 1 to 20 lower-case letters, digits and inner hyphens that start with a letter, since servers are named after it.',
          "runner-fleet:organization: found nothing, expected a text.",
          "runner-fleet:colour is not a configuration key.",
        ].join("\n"),
      );
      return true;
    });
  });
});

describe("loadRefusals", () => {
  afterEach(() => Reflect.deleteProperty(process.env, "RUNNER_FLEET_REFUSALS"));

  it("has none without a file", () => {
    assert.deepEqual(loadRefusals(), []);
  });

  it("throws one sentence that the engine prints alone", () => {
    process.env.RUNNER_FLEET_REFUSALS = __filename;
    assert.throws(loadRefusals, (error) => {
      assert.ok(pulumi.RunError.isInstance(error));
      assert.match(error.message, /^RUNNER_FLEET_REFUSALS: found a file with another line, /);
      return true;
    });
  });
});

describe("plainTextSecrets", () => {
  const settings = settingsWith((raw) => (raw.secrets = { PASSWORD: { value: "hush" } }));
  const keys = ["githubAuth", "ssh", "secrets"].map((block) => `fleet:${block}`);

  it("finds none where every block holds an encrypted value", () => {
    assert.deepEqual(plainTextSecrets(settings, "fleet", JSON.stringify(keys)), []);
  });

  it("says nothing where the CLI does not tell", () => {
    assert.deepEqual(plainTextSecrets(settings, "fleet", undefined), []);
  });

  for (const [block, key] of [
    ["githubAuth", "githubAuth.token"],
    ["ssh", "ssh.privateKey"],
    ["secrets", "secrets.PASSWORD.value"],
  ] as const) {
    it(`names ${key}, and not what it is`, () => {
      const others = keys.filter((one) => one !== `fleet:${block}`);
      assert.deepEqual(plainTextSecrets(settings, "fleet", JSON.stringify(others)), [
        `fleet:${key}: found in plain text, expected a secret, as \`pulumi config set --secret --path ${key}\` makes it from standard input.`,
      ]);
    });
  }

  it("names the key of an App", () => {
    const { privateKey } = keyPair();
    const app = settingsWith(
      (raw) => (raw.githubAuth = { kind: "app", appId: 5, installationId: 20, privateKey }),
    );
    assert.deepEqual(plainTextSecrets(app, "fleet", JSON.stringify(["fleet:ssh"])), [
      "fleet:githubAuth.privateKey: found in plain text, expected a secret, as `pulumi config set --secret --path githubAuth.privateKey` makes it from standard input.",
    ]);
  });

  it("needs none for an SSH key that is not there", () => {
    const without = settingsWith((raw) => {
      raw.management = "none";
      raw.ssh = { publicKey: raw.ssh.publicKey };
    });
    assert.deepEqual(plainTextSecrets(without, "fleet", JSON.stringify(["fleet:githubAuth"])), []);
  });

  it("needs none for secrets that are not there", () => {
    const without = settingsWith((raw) => (raw.secrets = {}));
    const others = keys.filter((one) => one !== "fleet:secrets");
    assert.deepEqual(plainTextSecrets(without, "fleet", JSON.stringify(others)), []);
  });
});

describe("misleadingEnvironment", () => {
  it("leaves alone what says the same", () => {
    assert.deepEqual(misleadingEnvironment("acme", { GITHUB_OWNER: "Acme", PATH: "/bin" }), []);
  });

  for (const name of ["GITHUB_OWNER", "GITHUB_ORGANIZATION"]) {
    it(`names ${name} where it leads elsewhere`, () => {
      assert.deepEqual(misleadingEnvironment("acme", { [name]: "other" }), [
        `${name}: found "other", expected nothing or acme, since the GitHub provider prefers this variable to the configured organization.`,
      ]);
    });
  }
});
