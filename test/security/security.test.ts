import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import { missingCapability } from "../../local-cloud/hosts/prepare";
import type { PulumiRun } from "../../local-cloud/pulumi";
import { Scene } from "../../local-cloud/story";
import { type Outcome, tryAll } from "./attempts";
import { type Canaries, canariesOf, expectNone } from "./canaries";

const METADATA = "169.254.169.254";
const USER_DATA = `http://${METADATA}/hetzner/v1/userdata`;
const SOCKET = "unix:///run/buildkit/buildkitd.sock";
const HOSTS = ["dev-arm64-1-1", "dev-arm64-1-2"];
const CONFIGURED = "/etc/runner-fleet";

/** Everything that a process can read of the processes and files around it. */
const LOOK_AROUND = {
  environment: "env; cat /proc/self/environ",
  processes:
    "for one in /proc/[0-9]*; do tr '\\0' ' ' <$one/cmdline; tr '\\0' '\\n' <$one/environ; cat $one/mounts; done 2>/dev/null; true",
  "root-processes":
    "sudo sh -c 'for one in /proc/[0-9]*; do cat $one/cmdline $one/environ; done' 2>/dev/null; true",
  files:
    "sudo find / -xdev -type f -size -200k -not -path '/proc/*' -not -path '/usr/*' -not -path '/home/runner/externals/*' -exec cat {} + 2>/dev/null | head -c 3000000; true",
};

/** How a build is given instructions without buildx: a builder that is told of the daemon. */
const build = (dockerfile: string, ...options: string[]) =>
  [
    `d=$(mktemp -d); cd "$d"`,
    `printf '%s\\n' '${dockerfile.replaceAll("\n", "' '")}' >Dockerfile`,
    `docker buildx create --name hostile-$$ --driver remote ${SOCKET} >/dev/null`,
    `docker buildx --builder hostile-$$ build --no-cache --progress plain ${options.join(" ")} .`,
    "code=$?; docker buildx rm hostile-$$ >/dev/null; exit $code",
  ].join("\n");

describe("a hostile job, and what is written down anywhere", function () {
  this.timeout("5m");
  let cloud: LocalCloud;
  let scene: Scene;
  let canaries: Canaries;
  const runs: PulumiRun[] = [];
  /** Process lists, taken all the time while Pulumi works. */
  const processLists = new Set<string>();

  before(async function () {
    this.timeout("10m");
    const missing = missingCapability();
    if (missing !== undefined) {
      process.stderr.write(`    not tried: hosts cannot be booted, since ${missing}\n`);
      this.skip();
    }
    cloud = await startLocalCloud({ startsWorkflows: false });
    scene = await Scene.open(cloud);
    const { app } = cloud.github;
    await scene.stack.configure({
      "pools.arm64.count": 2,
      "pools.arm64.buildCache.maxUsedPercent": 40,
      // No other host is among those that may knock.
      "ssh.allowedCidrs": [`${cloud.hosts.gateway}/32`],
      githubAuth: { kind: "app", appId: app.id, installationId: app.installationId },
    });
    await scene.stack.configureSecret("githubAuth.privateKey", app.privateKey);
    const sampling = sampleProcesses();
    try {
      runs.push(await scene.pulumi("up", "--logtostderr", "-v=8"));
    } finally {
      await sampling.stop();
    }
    canaries = await canariesOf(cloud, scene);
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });

  const idOf = (name: string): number => {
    const id = scene.servers()[name];
    assert.ok(id !== undefined, `there is no server ${name}`);
    return id;
  };
  const on = async (host: string, script: string): Promise<string> => {
    const { code, stdout, stderr } = await cloud.hosts.exec(idOf(host), ["bash", "-c", script]);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  function sampleProcesses(): { stop(): Promise<void> } {
    let stopped = false;
    const sample = async (): Promise<void> => {
      while (!stopped) {
        processLists.add((await run("ps", ["axwwe", "-o", "args"])).stdout);
        for (const id of Object.values(scene.servers())) {
          const seen = await cloud.hosts
            .exec(id, ["ps", "axww", "-o", "args"])
            .catch(() => undefined);
          if (seen !== undefined) processLists.add(seen.stdout);
        }
        await sleep(150);
      }
    };
    const sampling = sample();
    return {
      stop: () => {
        stopped = true;
        return sampling;
      },
    };
  }

  const failed = (outcome: Outcome): void => {
    assert.notEqual(outcome.code, 0, outcome.output.slice(-500));
  };

  describe("as the fleet comes without further choices", () => {
    it("finds no secret in its environment, in processes, or in any file that it can read, as root of its container too", async () => {
      const found = await tryAll(scene, LOOK_AROUND);
      for (const [name, { output }] of Object.entries(found)) expectNone(name, output, canaries);
      assert.match(found.environment.output, /RUNNER_NAME=dev-arm64-/);
      assert.ok(found["root-processes"].output.includes("Runner.Listener"));
      assert.ok(found.files.output.length > 100_000);
    });

    it("has no way to Docker", async () => {
      const found = await tryAll(scene, {
        sockets: "sudo find / -name '*.sock' -not -path '/proc/*' 2>/dev/null; true",
        docker: "sudo docker ps",
        tcp: "curl --silent --max-time 3 http://172.17.0.1:2375/version",
      });
      // BuildKit's own two: for builds, and for traces of them.
      assert.deepEqual(found.sockets.output.trim().split("\n").sort(), [
        "/run/buildkit/buildkitd.sock",
        "/run/buildkit/otel-grpc.sock",
      ]);
      failed(found.docker);
      failed(found.tcp);
    });

    it("cannot read its host's user_data, neither as root nor in a build", async () => {
      // The address answers: the host's own root still reads it.
      assert.match(
        await on(HOSTS[0]!, `curl --silent --max-time 5 ${USER_DATA}`),
        /^#cloud-config/,
      );
      const found = await tryAll(scene, {
        curl: `curl --silent --max-time 3 ${USER_DATA}`,
        root: `sudo curl --silent --max-time 3 ${USER_DATA}`,
        build: build(`FROM busybox\nRUN wget -T 3 -q -O - ${USER_DATA}`),
      });
      for (const outcome of Object.values(found)) {
        failed(outcome);
        assert.ok(!outcome.output.includes("cloud-config"));
      }
      for (const user of ["nobody", "daemon"]) {
        const { code } = await cloud.hosts.exec(idOf(HOSTS[0]!), [
          ...["runuser", "-u", user, "--", "curl", "--silent", "--max-time", "3", USER_DATA],
        ]);
        assert.notEqual(code, 0, `${user} reads user_data`);
      }
    });

    it("does not reach the token service, with or without its password", async () => {
      const { privateIp } = placed();
      const url = `http://${privateIp}:3000`;
      const found = await tryAll(scene, {
        health: `curl --silent --max-time 3 ${url}/healthz`,
        token: `curl --silent --max-time 3 ${url}/acme/registration-token`,
        password: `curl --silent --max-time 3 --user fleet:${password()} ${url}/acme/registration-token`,
        build: build(`FROM busybox\nRUN wget -T 3 -q -O - ${url}/healthz`),
      });
      for (const outcome of Object.values(found)) failed(outcome);
    });

    it("would get little from the token service if it got there with the password", async () => {
      const { privateIp } = placed();
      const ask = async (method: string, path: string, body?: unknown) =>
        on(
          HOSTS[0]!,
          [
            `curl --silent --config ${CONFIGURED}/token-service.curl --request ${method}`,
            ...(body === undefined ? [] : [`--json '${JSON.stringify(body)}'`]),
            `--write-out ' %{http_code}' http://${privateIp}:3000${path}`,
          ].join(" "),
        );
      const without = await on(
        HOSTS[0]!,
        `curl --silent --write-out ' %{http_code}' http://${privateIp}:3000/acme/registration-token`,
      );
      assert.match(without, / 401$/);
      assert.match(await ask("GET", "/acme/registration-token"), / 403$/);
      assert.match(await ask("GET", "/another/registration-token"), / 403$/);
      assert.match(await ask("DELETE", "/orgs/acme/runners/somebody-elses"), / 403$/);
      const jit = { name: "dev-x", runner_group_id: 1, labels: ["docker"] };
      assert.match(await ask("POST", "/orgs/acme/jitconfigs", jit), / 403$/);
      const named = { ...jit, name: "not-ours", runner_group_id: groupId() };
      assert.match(await ask("POST", "/orgs/acme/jitconfigs", named), / 403$/);
      assert.deepEqual(
        cloud.github.runners(cloud.organization).filter(({ name }) => /not-ours|dev-x/.test(name)),
        [],
      );
    });

    it("does not see another slot's work", async () => {
      const mark = "canary-of-the-neighbour";
      const neighbour = scene.arm64Job(`echo ${mark} >mark; sleep 15`);
      await scene.until(
        "the neighbour works",
        () => cloud.github.jobs.get(neighbour.id).status === "in_progress",
      );
      const found = await tryAll(scene, {
        files: `sudo grep -rsl ${mark} / --include=mark --exclude-dir=proc --exclude-dir=sys; true`,
        processes: "sudo ps axww -o args",
        mounts: "sudo cat /proc/self/mountinfo",
        disk: "sudo sh -c 'for d in /dev/[sv]d* /dev/nvme*; do [ -b $d ] && head -c 10 $d && exit 0; done; exit 1'",
      });
      assert.equal(found.files.output.trim(), "");
      assert.ok(!found.processes.output.includes(mark));
      failed(found.disk);
      assert.equal((await scene.finished(neighbour)).conclusion, "success");
    });

    it("gets no entitlement from the build daemon", async () => {
      const found = await tryAll(scene, {
        plain: build("FROM busybox\nRUN id"),
        insecure: build(
          "# syntax=docker/dockerfile:1\nFROM busybox\nRUN --security=insecure id",
          "--allow security.insecure",
        ),
        network: build("FROM busybox\nRUN --network=host id", "--allow network.host"),
        device: build("FROM busybox\nRUN mknod /tmp/d b 8 0 && head -c 1 /tmp/d"),
      });
      assert.equal(found.plain.code, 0, found.plain.output);
      failed(found.insecure);
      failed(found.network);
      assert.match(found.network.output, /entitlement|not allowed/i);
      failed(found.device);
    });

    it("reaches no other host of the fleet, by any address", async () => {
      const { hosts } = (await scene.stack.outputs()) as {
        hosts: { address: string; privateAddress: string }[];
      };
      const addresses = [
        ...hosts.flatMap(({ address, privateAddress }) => [address, privateAddress]),
        placed().privateIp,
      ];
      assert.equal(new Set(addresses).size, 5);
      const found = await tryAll(
        scene,
        Object.fromEntries(
          addresses.map((address) => [
            address,
            `timeout 3 bash -c 'exec 3<>/dev/tcp/${address}/22 && head -c 4 <&3'`,
          ]),
        ),
      );
      for (const [address, outcome] of Object.entries(found)) {
        failed(outcome);
        assert.ok(!outcome.output.includes("SSH-"), `${address} answered`);
      }
    });

    it("does not get out of its container", async () => {
      const found = await tryAll(scene, {
        mount: "sudo mount -t tmpfs none /mnt",
        cgroup: "sudo sh -c 'echo 1 >/sys/fs/cgroup/release_agent'",
        sysctl: "sudo sh -c 'echo 1 >/proc/sys/kernel/panic'",
        module: "sudo sh -c 'echo b >/proc/sysrq-trigger'",
        ptrace: "sudo nsenter --target 1 --mount --uts ls /opt/runner-fleet",
        kcore: "sudo head -c 10 /proc/kcore | grep -q .",
      });
      for (const [name, outcome] of Object.entries(found)) {
        assert.notEqual(outcome.code, 0, `${name}: ${outcome.output}`);
      }
    });
  });

  describe("what is written down", () => {
    it("is no secret in plain text in state, its history, configuration, event logs", async () => {
      const files = await scene.stack.files();
      assert.ok(Object.keys(files).some((name) => name.includes("history")));
      for (const [name, text] of Object.entries(files)) expectNone(name, text, canaries);
      expectNone("the outputs", JSON.stringify(await scene.stack.outputs()), canaries);
    });

    // From level 9 on the engine itself prints every value that it passes on, secret or not.
    it("is none in what the engine prints, at level 8 of its log too", () => {
      for (const { output } of runs) {
        assert.ok(output.length > 50_000);
        expectNone("the engine's log", output, canaries);
      }
    });

    it("is none in a process list, here or on a host, while Pulumi works", () => {
      assert.ok(processLists.size > 20);
      for (const list of processLists) {
        // The environment of the local cloud's own clients holds the tokens, as it would on anybody's machine.
        const args = list
          .split("\n")
          .filter((line) => !line.includes("HCLOUD_TOKEN="))
          .join("\n");
        expectNone("a process list", args, canaries);
      }
    });

    it("is none in user_data but the host's own SSH key", () => {
      for (const { name, userData = "" } of cloud.hetzner.state.servers.values()) {
        assert.ok(userData.length > 100);
        expectNone(`user_data of ${name}`, userData, canaries);
      }
    });

    it("is none in a host's logs, its consoles, or what anybody but root can read there", async () => {
      for (const name of [...HOSTS, "dev-token-service"]) {
        const logs = await on(
          name,
          "journalctl --no-pager; for one in $(docker ps -aq); do docker logs $one; done 2>&1; cat /var/log/*.log 2>/dev/null; true",
        );
        assert.ok(logs.length > 5_000);
        expectNone(`the logs of ${name}`, logs, canaries);
        expectNone(`the console of ${name}`, await cloud.hosts.console(idOf(name)), canaries);
        const inspected = await on(name, "docker inspect $(docker ps -aq)");
        expectNone(`docker inspect on ${name}`, inspected, canaries);
        const readable = await on(
          name,
          "find / -xdev -type f -perm /o=r -size -1M -not -path '/usr/*' -not -path '/var/lib/docker/*' -not -path '/proc/*' -exec cat {} + 2>/dev/null; true",
        );
        expectNone(`files of ${name} that all can read`, readable, canaries);
      }
    });

    it("keeps what has to rest on a host where root alone reads it, and the GitHub credential on no host that runs jobs", async () => {
      const credential = canaries["the key of the GitHub App"]!;
      const search = (name: string) =>
        on(name, `grep -rlsF --exclude-dir=proc --exclude-dir=sys -- '${credential}' / ; true`);
      for (const name of HOSTS) assert.equal((await search(name)).trim(), "", name);
      const [file, ...others] = (await search("dev-token-service")).trim().split("\n");
      assert.deepEqual([file, others], [`${CONFIGURED}/token-service.json`, []]);
      assert.match(await on("dev-token-service", `stat -c '%a %u' ${file}`), /^400 /);
    });
  });

  describe("as the origin's stack, with the Docker socket", () => {
    before(async function () {
      this.timeout("5m");
      await scene.stack.configure({
        "tokenService.placement": "colocated",
        "tokenService.implementation": "knatnetwork",
        "pools.arm64.runner.image": "knatnetwork",
        "pools.arm64.dockerSocket": true,
        "pools.arm64.count": 1,
        githubAuth: { kind: "pat" },
      });
      await scene.stack.configureSecret("githubAuth.token", cloud.github.tokens.admin);
      await scene.pulumi("up");
    });

    it("gives away what the threat model says that it gives away", async () => {
      const found = await tryAll(scene, {
        service: "curl --silent --max-time 5 http://kms:3000/acme/registration-token",
        credential: "docker inspect runner-fleet-kms-1",
        metadata: `curl --silent --max-time 3 ${USER_DATA}`,
      });
      // A registration token for whoever asks, and the personal access token for whoever has the socket.
      assert.match(found.service.output, /^[A-Z0-9]{20,}$/);
      assert.ok(found.credential.output.includes(cloud.github.tokens.admin));
      // The metadata stays out of reach in this mode as well.
      failed(found.metadata);
    });
  });

  function placed(): { privateIp: string } {
    const server = cloud.hetzner.state.servers.get(idOf("dev-token-service"));
    const [network] = server?.privateNets ?? [];
    assert.ok(network !== undefined);
    return { privateIp: network.ip };
  }

  function password(): string {
    return canaries["what token-service-password has drawn"]!;
  }

  function groupId(): number {
    const group = cloud.github
      .runnerGroups(cloud.organization)
      .find(({ name }) => name === "arm64");
    assert.ok(group !== undefined);
    return group.id;
  }
});
