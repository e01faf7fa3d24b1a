import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import type { HostFile } from "../../../components/host/applyScript";
import { composeFile } from "../../../components/host/compose";
import { KNATNETWORK_KMS_IMAGE, NODE_IMAGE } from "../../../components/pins/pins";
import {
  colocatedTokenService,
  NODE_OPTIONS,
  tokenServiceCommands,
  tokenServiceFiles,
  tokenServiceImage,
  type TokenServiceModel,
  tokenServiceUrl,
} from "../../../components/tokenService/stack";
import { assertGolden } from "../host/golden";
import { needs } from "../host/onPath";
import { TOKEN, PASSWORD } from "../host/recorded";
import { BUILTIN, KNATNETWORK } from "./models";
import { loaded, type TokenServiceConfig } from "./server/support";

const CONFIG = "/etc/runner-fleet/token-service.json";
const MODULE = "/opt/runner-fleet/token-service/tokenService.mjs";
const COMPOSE = "/opt/runner-fleet/compose.yaml";
const SOURCE = join(__dirname, "../../../components/tokenService/server/tokenService.mjs");

function fileAt(files: readonly HostFile[], path: string): HostFile {
  const found = files.filter((file) => file.path === path);
  assert.equal(found.length, 1, `${path} once in ${files.map((file) => file.path).join(", ")}`);
  return found[0]!;
}

function configIn(files: readonly HostFile[]): TokenServiceConfig {
  return JSON.parse(fileAt(files, CONFIG).content) as TokenServiceConfig;
}

describe("the stack of the token service", () => {
  for (const [name, model] of Object.entries({ builtin: BUILTIN, knatnetwork: KNATNETWORK })) {
    it(`(${name}) is the golden file, byte for byte`, () => {
      const { content } = fileAt(tokenServiceFiles(model, "10.0.1.2"), COMPOSE);
      // The digest of the module is another one with each change of it.
      const stable = content.replace(/(runner-fleet\.files: )\S+/, "$1DIGEST");
      assertGolden(stable, join(__dirname, "golden", `${name}.yaml`));
    });

    it(`(${name}) beside runners is the golden file, byte for byte`, () => {
      const { service, network } = colocatedTokenService(model);
      const { content } = composeFile({ kms: service }, [], { [network]: {} });
      const stable = content.replace(/(runner-fleet\.files: )\S+/, "$1DIGEST");
      assertGolden(stable, join(__dirname, "golden", `${name}-colocated.yaml`));
    });

    it(`(${name}) holds its secrets in one file that nobody else reads`, () => {
      const { files, service } = colocatedTokenService(model);
      for (const all of [tokenServiceFiles(model, "10.0.1.2"), files])
        for (const secret of [TOKEN, PASSWORD]) {
          const holders = all.filter(({ content }) => content.includes(secret));
          for (const { mode } of holders) assert.match(mode, /^0[46]00$/);
          assert.ok(holders.length <= 1);
          if (secret === TOKEN) assert.equal(holders.length, 1);
        }
      const commands = tokenServiceCommands({ ...model, serverType: "cax11" }, "10.0.1.2");
      for (const secret of [TOKEN, PASSWORD])
        assert.ok(!JSON.stringify([service, commands]).includes(secret));
    });

    it(`(${name}) is started by commands that wait for it and that shellcheck accepts`, function () {
      const commands = tokenServiceCommands({ ...model, serverType: "cax11" }, "10.0.1.2");
      assert.equal(commands[0], "# cax11");
      assert.match(
        commands[1]!,
        /^docker compose .* up --detach .* --wait .* \|\| .*logs --tail 20/,
      );
      const asked =
        name === "builtin" ? "--fail http://10.0.1.2:3000/healthz" : "http://10.0.1.2:3000/";
      assert.ok(commands[2]!.includes(` --retry-connrefused ${asked} || `), commands[2]);
      const script = `set -euo pipefail\n${commands.join("\n")}\n`;
      const bash = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });
      assert.deepEqual([bash.status, bash.stderr], [0, ""]);
      needs(this, "shellcheck", "--version");
      const { stdout } = spawnSync("shellcheck", ["--shell=bash", "-"], {
        input: script,
        encoding: "utf8",
      });
      assert.equal(stdout, "");
    });
  }

  it("is the pinned image, unless another one is configured", () => {
    assert.equal(tokenServiceImage({ implementation: "builtin" }), NODE_IMAGE);
    assert.equal(tokenServiceImage({ implementation: "knatnetwork" }), KNATNETWORK_KMS_IMAGE);
    assert.equal(
      tokenServiceImage({ implementation: "builtin", image: "mirror/node" }),
      "mirror/node",
    );
  });

  it("has an address without a password", () => {
    assert.equal(tokenServiceUrl("10.0.1.2"), "http://10.0.1.2:3000");
  });

  describe("that is built in", () => {
    const files = tokenServiceFiles(BUILTIN, "10.0.1.2");

    it("is configured for this organization, prefix, group and network, and no more", () => {
      assert.deepEqual(configIn(files), {
        listen: { address: "10.0.1.2", port: 3000 },
        github: { apiUrl: "https://api.github.com", timeoutMs: 10_000 },
        auth: { kind: "pat", token: TOKEN },
        password: PASSWORD,
        sources: ["10.0.1.0/24"],
        allow: {
          organizations: ["my-org"],
          repositories: [],
          runnerNamePrefix: "dev-",
          runnerGroupIds: [3],
          registrationTokens: false,
        },
      });
    });

    it("gets files for its own user, and the module without its comments", () => {
      const { content: config, ...configAttributes } = fileAt(files, CONFIG);
      assert.ok(config.endsWith("}\n"));
      assert.deepEqual(configAttributes, { path: CONFIG, mode: "0400", owner: "65532:65532" });
      const { content: module, ...moduleAttributes } = fileAt(files, MODULE);
      // The same program: what tells one from the other is no code.
      const code = (text: string) =>
        transformSync(text, { minifyWhitespace: true, legalComments: "none" }).code;
      assert.equal(code(module), code(readFileSync(SOURCE, "utf8")));
      assert.doesNotMatch(module, /^ *(\/\/|\/\*\*|\*)/m);
      assert.deepEqual(moduleAttributes, { path: MODULE, mode: "0644" });
      assert.deepEqual(
        files.map(({ path }) => path),
        [CONFIG, MODULE, "/etc/sysctl.d/60-runner-fleet.conf", COMPOSE],
      );
    });

    it("beside runners listens inside its container, for containers and their host", () => {
      const { files: beside } = colocatedTokenService(BUILTIN);
      assert.deepEqual(configIn(beside), {
        ...configIn(files),
        listen: { address: "0.0.0.0", port: 3000 },
        sources: ["127.0.0.0/8", "172.16.0.0/12"],
      });
      assert.deepEqual(
        beside.map(({ path }) => path),
        [CONFIG, MODULE],
      );
    });

    const privateKey = generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs1", format: "pem" })
      .toString();
    const models: Record<string, TokenServiceModel> = {
      "a personal access token": BUILTIN,
      "a GitHub App": {
        ...BUILTIN,
        credential: { kind: "app", appId: 1, installationId: 2, privateKey },
      },
      "a GitHub server of one's own": { ...BUILTIN, githubUrl: "https://github.example.com:8443" },
      "registration tokens": { ...BUILTIN, registrationTokens: true },
    };
    for (const [what, model] of Object.entries(models))
      it(`takes the configuration that is written for ${what}`, async () => {
        const { createTokenService } = await loaded;
        for (const all of [
          tokenServiceFiles(model, "10.0.1.2"),
          colocatedTokenService(model).files,
        ])
          createTokenService(configIn(all), { log: () => undefined });
      });

    it("asks a tenant of ghe.com where its API is", () => {
      const model = { ...BUILTIN, githubUrl: "https://acme.ghe.com" };
      const { github } = configIn(tokenServiceFiles(model, "10.0.1.2"));
      assert.equal(github.apiUrl, "https://api.acme.ghe.com");
    });

    it("trusts what its host trusts where GitHub is a server of one's own", () => {
      const model = { ...BUILTIN, githubUrl: "https://github.example.com:8443" };
      const own = tokenServiceFiles(model, "10.0.1.2");
      assert.equal(configIn(own).github.apiUrl, "https://github.example.com:8443/api/v3");
      const bundle = "/etc/ssl/certs/ca-certificates.crt";
      const { service } = colocatedTokenService(model);
      assert.deepEqual(service.environment, { NODE_EXTRA_CA_CERTS: bundle });
      assert.ok(service.volumes?.includes(`${bundle}:${bundle}:ro`));
      assert.equal(colocatedTokenService(BUILTIN).service.environment, undefined);
    });

    it("is started anew when its configuration changes, and only then", () => {
      const label = (model: TokenServiceModel) =>
        colocatedTokenService(model).service.labels?.["runner-fleet.files"];
      assert.match(label(BUILTIN) ?? "", /^[0-9a-f]{32}$/);
      assert.equal(label(BUILTIN), label({ ...BUILTIN }));
      assert.notEqual(label(BUILTIN), label({ ...BUILTIN, runnerGroupId: "4" }));
      assert.notEqual(
        label(BUILTIN),
        label({ ...BUILTIN, credential: { kind: "pat", token: "another" } }),
      );
    });

    it("is told unhealthy by its own check, and healthy", () => {
      const { service } = colocatedTokenService(BUILTIN);
      const [kind, node, ...args] = service.healthcheck!.test;
      assert.deepEqual([kind, node], ["CMD", "node"]);
      // Nobody listens on the port: 1, and nothing else, says so.
      const script = args[1]!.replace(":3000", ":1");
      const { status, stderr } = spawnSync(process.execPath, [args[0]!, script]);
      assert.deepEqual([status, stderr.toString()], [1, ""]);
      const answering = `require("http").createServer((_, r) => r.end()).listen(0, "127.0.0.1", function () { const port = this.address().port; ${args[1]!.replace('"http://127.0.0.1:3000/healthz"', "`http://127.0.0.1:${port}/healthz`")} })`;
      assert.equal(spawnSync(process.execPath, ["-e", answering], { timeout: 5_000 }).status, 0);
    });

    it("runs with options that this Node knows", () => {
      const { status } = spawnSync(process.execPath, [...NODE_OPTIONS, "-e", "0"]);
      assert.equal(status, 0);
    });
  });

  describe("of knatnetwork", () => {
    it("gets the credential under the name of the organization, for root alone", () => {
      const expected = {
        path: "/etc/runner-fleet/token-service.env",
        mode: "0600",
        content: `PAT_my-org=${TOKEN}\n`,
      };
      assert.deepEqual(fileAt(tokenServiceFiles(KNATNETWORK, "10.0.1.2"), expected.path), expected);
      assert.deepEqual(colocatedTokenService(KNATNETWORK).files, [expected]);
    });

    it("knows no GitHub App", () => {
      const credential = { kind: "app", appId: 1, installationId: 2, privateKey: "PEM" } as const;
      assert.throws(
        () => tokenServiceFiles({ ...KNATNETWORK, credential }, "10.0.1.2"),
        /^Error: knatnetwork's token service takes a personal access token only\.$/,
      );
    });
  });
});
