import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listOf } from "../../../../local-cloud/actions/standIns/lists";
import { FakeDocker, inspectText, runSteps, uses } from "../support";

describe("docker/login-action", () => {
  const step = (inputs: Record<string, string | boolean>) => [
    { name: "login", uses: uses("docker/login-action"), with: inputs },
    { run: "true" },
  ];
  const good = { registry: "ghcr.io", username: "octocat", password: "${{ github.token }}" };

  it("logs in with the password on stdin, and out again after the job", async () => {
    const docker = await FakeDocker.create(
      'if [ "$1" = login ]; then cat >"$(dirname "$0")/stdin"; fi',
    );
    const { report, log } = await runSteps(step(good), { processEnv: docker.env });
    assert.equal(report.result, "succeeded", log);
    assert.deepEqual(await docker.calls(), [
      ["login", "--password-stdin", "--username", "octocat", "ghcr.io"],
      ["logout", "ghcr.io"],
    ]);
    assert.match(log, /Logging into ghcr\.io\.\.\.\nLogin Succeeded!/);
    assert.doesNotMatch(log, /job-token/);
    await docker.remove();
  });

  it("stays logged in where it is told to", async () => {
    const docker = await FakeDocker.create("cat >/dev/null");
    await runSteps(step({ ...good, logout: false }), { processEnv: docker.env });
    assert.equal((await docker.calls()).length, 1);
    await docker.remove();
  });

  it("fails as docker does, and without credentials", async () => {
    const docker = await FakeDocker.create('cat >/dev/null; echo "denied" >&2; [ "$1" = logout ]');
    const refused = await runSteps(step(good), { processEnv: docker.env });
    assert.equal(refused.report.result, "failed");
    assert.match(refused.log, /##\[error\]denied/);
    for (const [inputs, message] of [
      [{}, /Username and password required/],
      [{ username: "x" }, /Password required/],
      [{ ...good, ecr: "true" }, /does not model the input ecr/],
    ] as const) {
      const { report, log } = await runSteps(step({ ...inputs }), { processEnv: docker.env });
      assert.equal(report.result, "failed");
      assert.match(log, message);
    }
    await docker.remove();
  });
});

describe("docker/setup-buildx-action", () => {
  const script = `
folder="$(dirname "$0")"
case "$1 $2" in
  "buildx version") echo "github.com/docker/buildx v0.36.1 abc" ;;
  "buildx create") touch "$folder/builder" ;;
  "buildx inspect")
    [ -e "$folder/builder" ] || { echo "no builder" >&2; exit 1; }
    if [ "$3" = --bootstrap ] && [ -n "$REFUSES" ] && [ ! -e "$folder/container" ]; then
      echo "ERROR: runc create failed: unable to apply caps: Operation not permitted" >&2
      exit 1
    fi
    cat <<'TEXT'
${inspectText("named", "docker-container")}
TEXT
    ;;
  "container inspect") echo true ;;
  "container rename") touch "$folder/container" ;;
esac`;
  const step = (inputs: Record<string, string | boolean>) => [
    { id: "buildkit", uses: uses("docker/setup-buildx-action"), with: inputs },
    { run: "true" },
  ];

  it("makes a builder, tells of it, and removes it after the job", async () => {
    const docker = await FakeDocker.create(script);
    const { report, log } = await runSteps(
      step({
        "driver-opts": "image=moby/buildkit:v0.32.2\nprovenance-add-gha=false",
        "cache-binary": false,
      }),
      {
        processEnv: docker.env,
        outputs: {
          name: "${{ steps.buildkit.outputs.name }}",
          driver: "${{ steps.buildkit.outputs.driver }}",
          platforms: "${{ steps.buildkit.outputs.platforms }}",
          node: "${{ fromJSON(steps.buildkit.outputs.nodes)[0].status }}",
        },
      },
    );
    assert.equal(report.result, "succeeded", log);
    const { name = "", ...others } = report.outputs;
    assert.match(name, /^builder-[0-9a-f-]{36}$/);
    assert.deepEqual(others, {
      driver: "docker-container",
      platforms: "linux/amd64,linux/arm64",
      node: "running",
    });
    const calls = await docker.calls();
    assert.deepEqual(
      calls.find(([, command]) => command === "create"),
      [
        ...["buildx", "create", "--name", name, "--driver", "docker-container"],
        ...[
          "--driver-opt",
          "image=moby/buildkit:v0.32.2",
          "--driver-opt",
          "provenance-add-gha=false",
        ],
        "--buildkitd-flags",
        "--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host",
        "--use",
      ],
    );
    assert.deepEqual(calls.at(-1), ["buildx", "rm", name]);
    await docker.remove();
  });

  it("uses a builder that is there, and leaves it where it is told to", async () => {
    const docker = await FakeDocker.create(script);
    await writeFile(join(docker.folder, "builder"), "");
    const { report, log } = await runSteps(step({ name: "named", cleanup: false }), {
      processEnv: docker.env,
    });
    assert.equal(report.result, "succeeded");
    assert.match(log, /Builder named already exists, skipping creation/);
    const commands = (await docker.calls()).map(([, command]) => command);
    assert.ok(!commands.includes("create") && !commands.includes("rm"), commands.join(" "));
    await docker.remove();
  });

  it("talks to a daemon that is there already", async () => {
    const docker = await FakeDocker.create(script);
    await runSteps(
      step({ driver: "remote", endpoint: "unix:///run/buildkit/buildkitd.sock", name: "r" }),
      {
        processEnv: docker.env,
      },
    );
    assert.deepEqual(
      (await docker.calls()).find(([, command]) => command === "create"),
      [
        ...["buildx", "create", "--name", "r", "--driver", "remote", "--use"],
        "unix:///run/buildkit/buildkitd.sock",
      ],
    );
    await docker.remove();
  });

  it("makes the container itself where privileges are refused", async () => {
    const docker = await FakeDocker.create(script);
    const { report, log } = await runSteps(
      step({
        name: "named",
        "driver-opts": "image=moby/buildkit:v0.32.2\nnetwork=host\nenv.A=b",
        "buildkitd-config-inline": "[worker.oci]\n  gc = true\n",
      }),
      { processEnv: { ...docker.env, REFUSES: "yes" } },
    );
    assert.equal(report.result, "succeeded", log);
    assert.match(log, /This machine refuses privileged containers: buildx_buildkit_named0 gets/);
    const calls = await docker.calls();
    const create = calls.find((call) => call[0] === "container" && call[1] === "create") ?? [];
    const fresh = create[3] ?? "";
    assert.match(fresh, /^buildx_buildkit_named0_/);
    assert.deepEqual(create.slice(4), [
      ...["--init", "--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"],
      ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
      ...["--security-opt", "systempaths=unconfined", "--cgroupns", "host"],
      ...["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"],
      ...["--volume", "buildx_buildkit_named0_state:/var/lib/buildkit"],
      ...["--restart", "unless-stopped", "--network", "host", "--env", "A=b"],
      ...["moby/buildkit:v0.32.2", "--config", "/etc/buildkit/buildkitd.toml"],
      ...["--allow-insecure-entitlement", "security.insecure"],
      ...["--allow-insecure-entitlement", "network.host"],
    ]);
    const after = calls.slice(calls.indexOf(create) + 1);
    assert.deepEqual(after[0]?.slice(2), [`${fresh}:/etc/`]);
    assert.deepEqual(after[1], ["container", "rename", fresh, "buildx_buildkit_named0"]);
    assert.equal(calls.filter((call) => call[2] === "--bootstrap").length, 2);
    await docker.remove();
  });

  for (const [inputs, message] of [
    [{ driver: "kubernetes" }, /does not model the driver kubernetes/],
    [{ driver: "remote", "keep-state": true }, /Cannot use keep-state with remote driver/],
    [{ append: "- endpoint: x" }, /does not model the input append/],
  ] as const)
    it(`refuses ${JSON.stringify(inputs)}`, async () => {
      const docker = await FakeDocker.create(script);
      const { report, log } = await runSteps(step({ ...inputs }), { processEnv: docker.env });
      assert.equal(report.result, "failed");
      assert.match(log, message);
      await docker.remove();
    });
});

describe("docker/setup-qemu-action", () => {
  async function setUp(
    handlers: Record<string, string>,
    platforms?: string,
  ): Promise<{ result: string | undefined; log: string; platforms: string | undefined }> {
    const folder = await mkdtemp(join(tmpdir(), "binfmt-"));
    for (const [name, text] of Object.entries(handlers)) await writeFile(join(folder, name), text);
    const { report, log } = await runSteps(
      [
        {
          id: "qemu",
          uses: uses("docker/setup-qemu-action"),
          with: platforms === undefined ? {} : { platforms },
        },
      ],
      {
        processEnv: { RUNNER_FLEET_BINFMT_MISC: folder },
        outputs: { platforms: "${{ steps.qemu.outputs.platforms }}" },
      },
    );
    await rm(folder, { recursive: true });
    return { result: report.result, log, platforms: report.outputs["platforms"] };
  }
  const RISCV64 = "7f454c460201010000000000000000000200f300";
  const S390X = "7f454c4602020100000000000000000000020016";
  const text = (magic: string, flags: string, state = "enabled"): string =>
    `${state}\ninterpreter /usr/bin/qemu\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ff\n`;

  it("tells what the kernel emulates, whatever the handlers are called", async () => {
    const all = {
      "qemu-riscv64": text(RISCV64, "OCF"),
      other: text(S390X, "F"),
      script: "enabled\ninterpreter /bin/x\nflags: F\nextension .x\n",
      status: "enabled\n",
    };
    const { platforms } = await setUp(all);
    assert.match(platforms ?? "", /^linux\/(amd64|arm64),linux\/riscv64,linux\/s390x$/);
    assert.equal((await setUp(all, "linux/riscv64,s390x")).result, "succeeded");
    assert.equal((await setUp(all, "ppc64le")).result, "failed");
  });

  for (const [title, handlers] of [
    ["nothing", {}],
    ["what does not work in containers", { "qemu-riscv64": text(RISCV64, "OC") }],
    ["what is switched off", { "qemu-riscv64": text(RISCV64, "F", "disabled") }],
  ] as const)
    it(`fails where the kernel has ${title}`, async () => {
      for (const platforms of ["riscv64", undefined]) {
        const { result, log } = await setUp(handlers, platforms);
        assert.equal(result, "failed");
        assert.match(log, /##\[error\]This machine does not emulate/);
      }
    });
});

describe("lists in inputs", () => {
  for (const [text, options, expected] of [
    ["a,b\nc\n\n d ", {}, ["a", "b", "c", "d"]],
    ["a,b\nc", { keepCommas: true }, ["a,b", "c"]],
    ['"a,b",c', {}, ["a,b", "c"]],
    ['"two\nlines"\nx', { keepCommas: true }, ["two\nlines", "x"]],
    ['"say ""x"""', {}, ['say "x"']],
    ['a"b,c', { keepCommas: true }, ['a"b,c']],
    ['"a"', { literalQuotes: true }, ['"a"']],
    ["# no\na # yes", { comments: true }, ["a # yes"]],
    ["a\r\nb\r\n", {}, ["a", "b"]],
    ["", {}, []],
  ] as const)
    it(JSON.stringify(text), () => assert.deepEqual(listOf(text, options), expected));
});
