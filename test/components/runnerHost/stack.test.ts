import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parse } from "yaml";
import type { ComposeService } from "../../../components/host/compose";
import { BUILDKIT_IMAGE } from "../../../components/imageWorkflow/pins";
import {
  drainCommand,
  runnerHostFiles,
  runnerHostScript,
  runnerServices,
  type RunnerStackModel,
} from "../../../components/runnerHost/stack";
import { assertGolden } from "../host/golden";
import { needs } from "../host/onPath";
import { TOKEN } from "../host/recorded";
import { COLOCATED, DEDICATED } from "./models";

const MODELS = { dedicated: DEDICATED, colocated: COLOCATED };
const CREDENTIAL = "/etc/runner-fleet/token-service.env";
const COMPOSE = "/opt/runner-fleet/compose.yaml";

function contentOf(model: RunnerStackModel, path: string): string {
  const file = runnerHostFiles(model).find((one) => one.path === path);
  assert.ok(file, `there is no ${path}`);
  return file.content;
}

describe("the stack of a runner host", () => {
  for (const [name, model] of Object.entries(MODELS)) {
    describe(name, () => {
      it("is the golden file, byte for byte", () => {
        assertGolden(contentOf(model, COMPOSE), join(__dirname, "golden", `compose-${name}.yaml`));
      });

      it("says the same in YAML 1.1 and 1.2", () => {
        for (const version of ["1.1", "1.2"] as const) {
          const read = parse(contentOf(model, COMPOSE), { version }) as unknown;
          assert.deepEqual(read, {
            name: "runner-fleet",
            services: runnerServices(model),
            volumes: { buildkit: {} },
          });
        }
      });

      it("installs a script that bash and shellcheck accept", function () {
        const input = runnerHostScript(model);
        const bash = spawnSync("bash", ["-n"], { input, encoding: "utf8" });
        assert.deepEqual([bash.status, bash.stderr], [0, ""]);
        needs(this, "shellcheck", "--version");
        const { stdout } = spawnSync("shellcheck", ["--shell=bash", "-"], {
          input,
          encoding: "utf8",
        });
        assert.equal(stdout, "");
      });
    });
  }

  it("gives each slot the environment that the image expects", () => {
    const services = runnerServices(DEDICATED);
    assert.deepEqual(Object.keys(services), ["buildkit", "runner-1", "runner-2"]);
    for (const slot of [1, 2]) {
      assert.deepEqual(services[`runner-${slot}`], {
        image: "knatnetwork/github-runner:noble-2.338.0",
        environment: {
          RUNNER_REGISTER_TO: "acme",
          RUNNER_LABELS: "docker,webpcloud",
          KMS_SERVER_ADDR: "http://10.0.1.2:3000",
          ADDITIONAL_FLAGS: `--ephemeral --runnergroup arm64 --name dev-arm64-1-1-${slot} --replace`,
        },
        volumes: ["/run/buildkit:/run/buildkit"],
        labels: { "runner-fleet.runner-group": "7" },
        profiles: ["runner"],
      });
    }
  });

  it("runs the token service beside the runners when it is colocated", () => {
    const services = runnerServices(COLOCATED);
    const { kms } = services;
    assert.deepEqual(kms, {
      image: "knatnetwork/github-runner-kms:latest",
      env_file: [CREDENTIAL],
      restart: "unless-stopped",
    });
    assert.deepEqual(Object.keys(services), ["buildkit", "kms", "runner-1"]);
    assert.equal(services["runner-1"]!.environment!.KMS_SERVER_ADDR, "http://kms:3000");
  });

  it("mounts Docker's socket only when asked", () => {
    const mounting = (dockerSocket: boolean) =>
      Object.entries(runnerServices({ ...DEDICATED, dockerSocket }))
        .filter(([, { volumes = [] }]) => volumes.join(" ").includes("docker.sock"))
        .map(([name]) => name);
    assert.deepEqual(mounting(false), []);
    assert.deepEqual(mounting(true), ["runner-1", "runner-2"]);
  });

  describe("the build daemon", () => {
    const { buildkit } = runnerServices(DEDICATED);

    it("is the pinned BuildKit, not privileged, without Docker's socket", () => {
      assert.equal(buildkit!.image, BUILDKIT_IMAGE);
      assert.match(buildkit!.image, /^moby\/buildkit:v\d+\.\d+\.\d+$/);
      assert.deepEqual(buildkit!.cap_add, ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]);
      assert.ok(!("privileged" in buildkit!));
      assert.doesNotMatch(JSON.stringify(buildkit), /docker\.sock|insecure/);
    });

    it("keeps its cache in a volume, by rules of our own for cache mounts", () => {
      assert.ok(buildkit!.volumes!.includes("buildkit:/var/lib/buildkit"));
      const config = contentOf(DEDICATED, "/opt/runner-fleet/buildkitd.toml");
      assertGolden(config, join(__dirname, "golden", "buildkitd.toml"));
      assert.match(config, /filters = \["type==exec\.cachemount"\]\n {4}keepDuration = "720h"/);
    });

    it("is made anew when its configuration changes", () => {
      const { buildkit: changed } = runnerServices({ ...DEDICATED, buildCachePercent: 50 });
      assert.notDeepEqual(changed, buildkit);
      assert.match(
        contentOf({ ...DEDICATED, buildCachePercent: 50 }, "/opt/runner-fleet/buildkitd.toml"),
        /maxUsedSpace = "50%"/,
      );
    });
  });

  it("registers runners again when the group was made again or renamed", () => {
    const one = (runnerGroup: RunnerStackModel["runnerGroup"]): ComposeService =>
      runnerServices({ ...DEDICATED, runnerGroup })["runner-1"]!;
    assert.notDeepEqual(one({ id: "8", name: "arm64" }), one({ id: "7", name: "arm64" }));
    assert.match(
      one({ id: "7", name: "big" }).environment!.ADDITIONAL_FLAGS!,
      /--runnergroup big /,
    );
  });

  it("keeps the credential in one file that root alone reads", () => {
    const files = runnerHostFiles(COLOCATED).filter(({ content }) => content.includes(TOKEN));
    assert.deepEqual(files, [{ path: CREDENTIAL, mode: "0600", content: `PAT_acme=${TOKEN}\n` }]);
    assert.equal(runnerHostScript(COLOCATED).split(TOKEN).length, 2);
  });

  it("puts no credential on a host when the token service is dedicated", () => {
    assert.ok(!runnerHostFiles(DEDICATED).some(({ path }) => path === CREDENTIAL));
    assert.doesNotMatch(runnerHostScript(DEDICATED), /PAT_/);
  });

  it("lays down these files, with these modes", () => {
    assert.deepEqual(
      runnerHostFiles(DEDICATED).map(({ path, mode }) => [path, mode]),
      [
        ["/opt/runner-fleet/buildkitd.toml", "0644"],
        [COMPOSE, "0644"],
        ["/opt/runner-fleet/bin/common.sh", "0644"],
        ["/opt/runner-fleet/bin/slot", "0755"],
        ["/opt/runner-fleet/bin/drain", "0755"],
        ["/opt/runner-fleet/bin/converge", "0755"],
        ["/etc/systemd/system/runner-slot@.service", "0644"],
      ],
    );
  });

  it("ends with converge, and is another script for another server type", () => {
    assert.match(
      runnerHostScript(DEDICATED),
      /\n# dev-arm64-1-1: cax21\n\/opt\/runner-fleet\/bin\/converge 2 3600 300\n}\napply <\/dev\/null\n$/,
    );
    assert.notEqual(
      runnerHostScript({ ...DEDICATED, serverType: "cax31" }),
      runnerHostScript(DEDICATED),
    );
  });
});

describe("drainCommand", () => {
  it("runs the script that is on the host", () => {
    assert.equal(drainCommand(90), "/opt/runner-fleet/bin/drain 90");
    const paths = runnerHostFiles(DEDICATED).map(({ path }) => path);
    assert.ok(paths.includes(drainCommand(90).split(" ")[0]!));
  });
});
