import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parse } from "yaml";
import { renderApplyScript } from "../../../components/host/applyScript";
import type { ComposeService } from "../../../components/host/compose";
import { BUILDKIT_IMAGE } from "../../../components/pins/pins";
import {
  drainCommand,
  runnerEnvironment,
  runnerHostCommands,
  runnerHostFiles,
  runnerNames,
  runnerServices,
  type RunnerStackModel,
} from "../../../components/runnerHost/stack";
import { colocatedTokenService } from "../../../components/tokenService/stack";
import { assertGolden } from "../host/golden";
import { needs } from "../host/onPath";
import { TOKEN, PASSWORD } from "../host/recorded";
import { COLOCATED, DEDICATED, SERVICE } from "./models";

const KMS = { ...DEDICATED.tokenService, implementation: "knatnetwork" } as const;
const ORIGIN = {
  image: "knatnetwork/github-runner:noble-2.338.0",
  runnerImage: "knatnetwork",
} as const;
const MODELS: Readonly<Record<string, RunnerStackModel>> = {
  dedicated: DEDICATED,
  "dedicated-knatnetwork": { ...DEDICATED, ...ORIGIN, runners: 1, tokenService: KMS },
  colocated: COLOCATED,
};
const COMPOSE = "/opt/runner-fleet/compose.yaml";
const CURL = "/etc/runner-fleet/token-service.curl";
const SECRETS = "/etc/runner-fleet/runner-secrets.env";
const SLOT_UNIT = "/etc/systemd/system/runner-slot@.service";

function contentOf(model: RunnerStackModel, path: string): string {
  const file = runnerHostFiles(model).find((one) => one.path === path);
  assert.ok(file, `there is no ${path}`);
  return file.content;
}

const script = (model: RunnerStackModel) =>
  renderApplyScript(runnerHostFiles(model), runnerHostCommands(model));

describe("the stack of a runner host", () => {
  for (const [name, model] of Object.entries(MODELS)) {
    describe(name, () => {
      it("is the golden file, byte for byte", () => {
        assertGolden(contentOf(model, COMPOSE), join(__dirname, "golden", `compose-${name}.yaml`));
      });

      it("says the same in YAML 1.1 and 1.2", () => {
        for (const version of ["1.1", "1.2"] as const) {
          const { services, volumes } = parse(contentOf(model, COMPOSE), { version }) as {
            services: unknown;
            volumes: unknown;
          };
          assert.deepEqual(
            { services, volumes },
            {
              services: runnerServices(model),
              volumes: { buildkit: {} },
            },
          );
        }
      });

      it("installs a script that bash and shellcheck accept", function () {
        const input = script(model);
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

  describe("a slot", () => {
    const common = {
      cap_drop: ["MKNOD", "NET_RAW", "SETPCAP", "SYS_CHROOT"],
      profiles: ["runner"],
    };
    const volumes = (slot: number) => [
      `/var/lib/runner-fleet/work/${slot}:/home/runner/_work`,
      "/run/buildkit:/run/buildkit:ro",
    ];

    it("of GitHub's image takes its configuration from standard input", () => {
      const services = runnerServices(DEDICATED);
      assert.deepEqual(Object.keys(services), ["buildkit", "runner-1", "runner-2"]);
      for (const slot of [1, 2]) {
        assert.deepEqual(services[`runner-${slot}`], {
          image: "ghcr.io/actions/actions-runner:2.338.0",
          command: [
            "bash",
            "-c",
            "IFS= read -r ACTIONS_RUNNER_INPUT_JITCONFIG; export ACTIONS_RUNNER_INPUT_JITCONFIG; exec ./run.sh </dev/null",
          ],
          networks: ["runners"],
          volumes: volumes(slot),
          cgroup_parent: `fleet-runner-${slot}.slice`,
          ...common,
        });
      }
    });

    it("of GitHub's image registers by a token where the service knows no other way", () => {
      const { command } = runnerServices({ ...DEDICATED, tokenService: KMS })["runner-1"]!;
      assert.deepEqual(command, [
        "bash",
        "-c",
        "IFS= read -r ACTIONS_RUNNER_INPUT_TOKEN; export ACTIONS_RUNNER_INPUT_TOKEN; " +
          "./config.sh --unattended --ephemeral --disableupdate --url https://github.com/acme " +
          '--name "$$RUNNER_NAME" --runnergroup arm64 --labels docker,webpcloud,dev-arm64-1-1 </dev/null || exit 1; ' +
          "unset ACTIONS_RUNNER_INPUT_TOKEN; exec ./run.sh </dev/null",
      ]);
    });

    for (const [tokenService, expected] of [
      [
        KMS,
        {
          environment: {
            RUNNER_REGISTER_TO: "acme",
            RUNNER_LABELS: "docker,webpcloud,dev-arm64-1-1",
            KMS_SERVER_ADDR: "http://10.0.1.254:3000",
          },
        },
      ],
      [
        DEDICATED.tokenService,
        {
          environment: {
            RUNNER_REGISTER_TO: "acme",
            RUNNER_LABELS: "docker,webpcloud,dev-arm64-1-1",
          },
          env_file: [SECRETS],
        },
      ],
    ] as const) {
      it(`of the origin's image gets the environment that it expects, with the service ${tokenService.implementation}`, () => {
        const model = { ...DEDICATED, ...ORIGIN, tokenService };
        assert.deepEqual(runnerServices(model)["runner-2"], {
          image: "knatnetwork/github-runner:noble-2.338.0",
          ...expected,
          networks: ["runners"],
          volumes: volumes(2),
          cgroup_parent: "fleet-runner-2.slice",
          ...common,
        });
      });
    }

    it("reaches no other slot", () => {
      const { networks } = parse(contentOf(DEDICATED, COMPOSE)) as { networks: unknown };
      assert.deepEqual(networks, {
        runners: { driver_opts: { "com.docker.network.bridge.enable_icc": "false" } },
      });
    });

    it("has Docker's socket only when asked", () => {
      const mounting = (dockerSocket: boolean) =>
        Object.entries(runnerServices({ ...DEDICATED, dockerSocket }))
          .filter(([, { volumes = [] }]) => volumes.join(" ").includes("docker.sock"))
          .map(([name]) => name);
      assert.deepEqual(mounting(false), []);
      assert.deepEqual(mounting(true), ["runner-1", "runner-2"]);
    });
  });

  describe("with a token service beside the runners", () => {
    const builtin: RunnerStackModel = {
      ...COLOCATED,
      tokenService: {
        placement: "colocated",
        service: { ...SERVICE, implementation: "builtin" },
      },
    };

    it("has that service's entry and files", () => {
      for (const model of [COLOCATED, builtin]) {
        assert.equal(model.tokenService.placement, "colocated");
        const { service, files } = colocatedTokenService(model.tokenService.service);
        const services = runnerServices(model);
        assert.deepEqual(Object.keys(services), ["buildkit", "kms", "runner-1"]);
        assert.deepEqual(services.kms, service);
        assert.deepEqual(runnerHostFiles(model).slice(0, files.length), files);
      }
    });

    it("is in a network with containers that ask it themselves, and with no other", () => {
      const networks = (model: RunnerStackModel) => runnerServices(model)["runner-1"]!.networks;
      assert.deepEqual(networks(COLOCATED), ["runners", "tokens"]);
      const { image, runnerImage } = DEDICATED;
      assert.deepEqual(networks({ ...builtin, image, runnerImage }), ["runners"]);
      const { networks: declared } = parse(contentOf(COLOCATED, COMPOSE)) as {
        networks: Record<string, unknown>;
      };
      assert.deepEqual(Object.keys(declared), ["runners", "tokens"]);
    });

    it("is asked by its name from containers, and at the loopback address by the host's scripts", () => {
      assert.equal(
        runnerServices(COLOCATED)["runner-1"]!.environment!.KMS_SERVER_ADDR,
        "http://kms:3000",
      );
      assert.match(runnerEnvironment(COLOCATED), /^TOKEN_SERVICE_URL=http:\/\/127.0.0.1:3000$/m);
      assert.equal(
        contentOf(builtin, SECRETS),
        `KMS_SERVER_ADDR=http://fleet:${PASSWORD}@kms:3000\n`,
      );
    });
  });

  describe("runner.env", () => {
    it("is what the scripts need to know", () => {
      assert.equal(
        runnerEnvironment(DEDICATED),
        [
          "RUNNER_IMAGE=actions-runner",
          "TOKEN_SERVICE=builtin",
          "TOKEN_SERVICE_URL=http://10.0.1.254:3000",
          "GITHUB_URL=https://github.com",
          "ORGANIZATION=acme",
          "RUNNER_GROUP_ID=7",
          "RUNNER_GROUP=arm64",
          "RUNNER_LABELS=docker,webpcloud,dev-arm64-1-1",
          "HOST_NAME=dev-arm64-1-1",
          "DRAIN_SECONDS=3600",
          "WORK_MAX_PERCENT=14",
          "",
        ].join("\n"),
      );
    });

    it("gives each slot its part of the disk that the cache leaves, and never nothing", () => {
      const bound = (runners: number, buildCachePercent: number) =>
        /WORK_MAX_PERCENT=(\d+)/.exec(
          runnerEnvironment({ ...DEDICATED, runners, buildCachePercent }),
        )![1];
      assert.deepEqual(
        [bound(1, 10), bound(4, 60), bound(16, 60), bound(1, 90)],
        ["78", "7", "5", "5"],
      );
    });
  });

  describe("its secrets", () => {
    const holding = (model: RunnerStackModel, secret: string) =>
      runnerHostFiles(model)
        .filter(({ content }) => content.includes(secret))
        .map(({ path, mode }) => [path, mode]);

    it("are in curl's configuration, and for the origin's image in the container's environment", () => {
      assert.deepEqual(holding(DEDICATED, PASSWORD), [[CURL, "0600"]]);
      assert.equal(contentOf(DEDICATED, CURL), `user = "fleet:${PASSWORD}"\n`);
      const origin = { ...DEDICATED, ...ORIGIN };
      assert.deepEqual(holding(origin, PASSWORD), [
        [CURL, "0600"],
        [SECRETS, "0600"],
      ]);
      assert.equal(
        contentOf(origin, SECRETS),
        `KMS_SERVER_ADDR=http://fleet:${PASSWORD}@10.0.1.254:3000\n`,
      );
    });

    it("are in no container where the token service asks for none", () => {
      assert.deepEqual(holding({ ...DEDICATED, ...ORIGIN, tokenService: KMS }, PASSWORD), [
        [CURL, "0600"],
      ]);
    });

    it("include GitHub's credential only beside the token service", () => {
      assert.deepEqual(holding(COLOCATED, TOKEN), [
        ["/etc/runner-fleet/token-service.env", "0600"],
      ]);
      assert.deepEqual(holding(DEDICATED, TOKEN), []);
    });
  });

  describe("the build daemon", () => {
    const { buildkit } = runnerServices(DEDICATED);

    it("is the pinned BuildKit, not privileged, without Docker's socket, in its slice", () => {
      assert.equal(buildkit!.image, BUILDKIT_IMAGE);
      assert.match(buildkit!.image, /^moby\/buildkit:v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
      assert.deepEqual(buildkit!.cap_add, ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"]);
      assert.equal(buildkit!.cgroup_parent, "fleet-buildkit.slice");
      assert.ok(!("privileged" in buildkit!));
      assert.doesNotMatch(JSON.stringify(buildkit), /docker\.sock|insecure/);
    });

    it("keeps its cache in a volume, by rules of our own for cache mounts", () => {
      assert.ok(buildkit!.volumes!.includes("buildkit:/var/lib/buildkit"));
      const config = contentOf(DEDICATED, "/opt/runner-fleet/buildkitd.toml");
      assertGolden(config, join(__dirname, "golden", "buildkitd.toml"));
      assert.match(config, /filters = \["type==exec\.cachemount"\]\n {4}keepDuration = "720h"/);
    });

    it("asks mirrors before the registries that they are for", () => {
      const registryMirrors = {
        "docker.io": ["mirror.example.com:5000", "other.example.com"],
        "ghcr.io": ["mirror.example.com"],
      };
      const config = contentOf(
        { ...DEDICATED, registryMirrors },
        "/opt/runner-fleet/buildkitd.toml",
      );
      assert.ok(
        config.endsWith(
          [
            "[worker.containerd]",
            "  enabled = false",
            "",
            '[registry."docker.io"]',
            '  mirrors = ["mirror.example.com:5000", "other.example.com"]',
            "",
            '[registry."ghcr.io"]',
            '  mirrors = ["mirror.example.com"]',
            "",
          ].join("\n"),
        ),
      );
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

  it("bounds jobs and builds by slices, whatever the server type", () => {
    const slice = (runners: number, name: string) =>
      contentOf({ ...DEDICATED, runners }, `/etc/systemd/system/${name}`);
    assert.equal(slice(2, "fleet.slice"), "[Slice]\nMemoryMax=90%\nCPUWeight=50\n");
    assert.equal(
      slice(2, "fleet-buildkit.slice"),
      "[Slice]\nMemoryMax=80%\nTasksMax=16384\nCPUWeight=100\n",
    );
    for (const [runners, percent] of [
      [1, 80],
      [2, 40],
      [16, 5],
    ] as const) {
      assert.equal(
        slice(runners, "fleet-runner-.slice.d/limits.conf"),
        `[Slice]\nMemoryMax=${percent}%\nTasksMax=8192\nCPUWeight=100\n`,
      );
    }
  });

  it("gives units as long to stop as a drain may take, and a shutdown at least as long", () => {
    const shutdown = (drainTimeoutSeconds: number, target: string) =>
      contentOf(
        { ...DEDICATED, drainTimeoutSeconds },
        `/etc/systemd/system/${target}.target.d/runner-fleet.conf`,
      );
    assert.match(contentOf(DEDICATED, SLOT_UNIT), /^TimeoutStopSec=3720$/m);
    for (const target of ["poweroff", "reboot"]) {
      assert.equal(shutdown(3600, target), "[Unit]\nJobTimeoutSec=4020\n");
      assert.equal(shutdown(60, target), "[Unit]\nJobTimeoutSec=1800\n");
    }
  });

  it("has a slot's unit that never gives up, and stays down while it is drained", () => {
    const lines = contentOf(DEDICATED, SLOT_UNIT).split("\n");
    for (const line of [
      "ConditionPathExists=!/run/runner-fleet/draining-%i",
      "StartLimitIntervalSec=0",
      "Restart=always",
      "RestartPreventExitStatus=75",
      "ExecStop=/opt/runner-fleet/bin/slot-stop %i",
    ]) {
      assert.ok(lines.includes(line), line);
    }
  });

  it("starts another container for what concerns the runner", () => {
    const one = (more: Partial<RunnerStackModel>): ComposeService =>
      runnerServices({ ...DEDICATED, ...more })["runner-1"]!;
    assert.notDeepEqual(one({ image: "mirror/actions-runner:2.338.0" }), one({}));
    for (const runnerGroup of [
      { id: "8", name: "arm64" },
      { id: "7", name: "big" },
    ]) {
      assert.notEqual(
        runnerEnvironment({ ...DEDICATED, runnerGroup }),
        runnerEnvironment(DEDICATED),
      );
    }
  });

  it("lays down these files, with these modes", () => {
    assert.deepEqual(
      runnerHostFiles(DEDICATED).map(({ path, mode }) => [path, mode]),
      [
        [CURL, "0600"],
        ["/opt/runner-fleet/runner.env", "0644"],
        ["/opt/runner-fleet/buildkitd.toml", "0644"],
        [COMPOSE, "0644"],
        ["/opt/runner-fleet/bin/common.sh", "0644"],
        ["/opt/runner-fleet/bin/slot", "0755"],
        ["/opt/runner-fleet/bin/slot-stop", "0755"],
        ["/opt/runner-fleet/bin/drain", "0755"],
        ["/opt/runner-fleet/bin/undrain", "0755"],
        ["/opt/runner-fleet/bin/status", "0755"],
        ["/opt/runner-fleet/bin/guard", "0755"],
        ["/opt/runner-fleet/bin/converge", "0755"],
        ["/etc/systemd/system/fleet.slice.d/shutdown.conf", "0644"],
        ["/etc/systemd/system/fleet-.slice.d/shutdown.conf", "0644"],
        ["/etc/systemd/system/fleet.slice", "0644"],
        ["/etc/systemd/system/fleet-buildkit.slice", "0644"],
        ["/etc/systemd/system/fleet-runner-.slice.d/limits.conf", "0644"],
        [SLOT_UNIT, "0644"],
        ["/etc/systemd/system/runner-guard.service", "0644"],
        ["/etc/systemd/system/poweroff.target.d/runner-fleet.conf", "0644"],
        ["/etc/systemd/system/reboot.target.d/runner-fleet.conf", "0644"],
      ],
    );
  });

  it("ends with converge, and is another one for another server type", () => {
    assert.deepEqual(runnerHostCommands(DEDICATED), [
      "# dev-arm64-1-1: cax21",
      "/opt/runner-fleet/bin/converge 2 3600 300",
    ]);
    assert.notDeepEqual(
      runnerHostCommands({ ...DEDICATED, serverType: "cax31" }),
      runnerHostCommands(DEDICATED),
    );
  });
});

describe("runnerNames", () => {
  it("are those of the host's slots", () => {
    assert.deepEqual(runnerNames("dev-arm64-1-1", 2), ["dev-arm64-1-1-1", "dev-arm64-1-1-2"]);
  });
});

describe("drainCommand", () => {
  it("runs the script that is on the host", () => {
    assert.equal(drainCommand(90), "/opt/runner-fleet/bin/drain 90");
    const paths = runnerHostFiles(DEDICATED).map(({ path }) => path);
    assert.ok(paths.includes(drainCommand(90).split(" ")[0]!));
  });
});
