import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { NODE_IMAGE, runnerImage, RUNNER_VERSION } from "../../../components/pins/pins";
import { createBootedHosts } from "../../../local-cloud/hosts/booted";
import { PINNED_IMAGES } from "../../../local-cloud/hosts/images";
import { cgroupRoot } from "../../../local-cloud/hosts/instance";
import { instancesFolder, type HostImages } from "../../../local-cloud/hosts/prepare";
import type { HostBackend, HostSpec } from "../../../local-cloud/hosts/types";
import { FakeGitHub } from "./fakeGitHub";
import { booted, dial, eventually, keyPair, shell, ssh } from "./support";
import { preparedImages } from "./prepared";

const PAT = "ghp_test";

/** What a local cloud with this name prefix has on the machine: bridges, interfaces, namespaces, groups, mounts, rules. */
function traces(prefix: string): string[] {
  const own = new RegExp(`(^|[^a-z0-9])${prefix}-`);
  const netns = execFileSync("ip", ["netns", "list"]).toString().split("\n");
  const links = execFileSync("ip", ["-br", "link"]).toString().split("\n");
  const rules = ["filter", "nat"].flatMap((table) =>
    execFileSync("iptables", ["-w", "10", "-t", table, "-S"]).toString().split("\n"),
  );
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    })
    .filter((line) => line.includes("systemd-nspawn"));
  const groups = readdirSync(cgroupRoot() ?? "/sys/fs/cgroup");
  return [...netns, ...links, ...rules, ...processes, ...groups].filter((line) => own.test(line));
}

describe("booted hosts", function () {
  this.timeout(120_000);
  const github = new FakeGitHub("acme-corp", PAT);
  const user = keyPair();
  const hostKey = keyPair();
  let images: HostImages;
  let hosts: HostBackend;
  const address = new Map<number, string>();

  before(async function () {
    images = await preparedImages(this);
    hosts = await open(github);
    await Promise.all([create(hosts, 11), create(hosts, 12)]);
    await Promise.all([hosts.powerOn(11), hosts.powerOn(12)]);
    await Promise.all([booted(hosts, 11), booted(hosts, 12)]);
  });

  after(async () => hosts?.close());

  function open(service: FakeGitHub): Promise<HostBackend> {
    return createBootedHosts({
      images,
      services: {
        names: ["github.com", "api.github.com"],
        handler: service.handler,
        metadata: (id, path) =>
          path === "/hetzner/v1/metadata/instance-id" && id !== null
            ? { status: 200, body: String(id) }
            : { status: 404, body: "not found" },
      },
    });
  }

  async function create(backend: HostBackend, id: number, more: Partial<HostSpec> = {}) {
    const ipv4 = backend.reserveAddress();
    address.set(id, ipv4);
    const userData = [
      "#cloud-config",
      "package_update: true",
      "packages: [docker.io, docker-compose, unattended-upgrades]",
      "ssh_keys:",
      "  ed25519_private: |",
      ...hostKey.private
        .trim()
        .split("\n")
        .map((line) => `    ${line}`),
      `  ed25519_public: ${hostKey.public}`,
      "write_files:",
      "  - {path: /etc/fleet/file, permissions: '0640', content: written}",
      "runcmd:",
      "  - [sh, -c, 'cat /etc/fleet/file > /root/ran; date +%s%N >> /root/ran']",
    ].join("\n");
    await backend.create({
      id,
      name: `runner-${id}`,
      ipv4,
      userData,
      publicKeys: [user.public],
      cores: 2,
      memoryGb: 4,
      location: "fsn1",
      ...more,
    });
  }

  function addressOf(id: number): string {
    return address.get(id) ?? assert.fail(`no host ${id}`);
  }

  it("apply user_data and answer SSH with the pinned host key only", async () => {
    const run = (command: string): Promise<string> =>
      ssh(addressOf(11), user.private, hostKey.public, command);
    assert.equal(await run("hostname; stat -c %a /etc/fleet/file"), "runner-11\n640\n");
    assert.match(await run("cat /root/ran"), /^written\d+\n$/);
    assert.match(await run("cloud-init status --long"), /errors: \[\]/);
    await assert.rejects(
      ssh(addressOf(11), user.private, keyPair().public, "true"),
      /verification/,
    );
    await assert.rejects(
      ssh(addressOf(11), keyPair().private, hostKey.public, "true"),
      /authentication methods failed/,
    );
  });

  it("are told apart by the metadata service", async () => {
    const ask = "curl -sf http://169.254.169.254/hetzner/v1/metadata/instance-id";
    assert.equal(await shell(hosts, 11, ask), "11");
    assert.equal(await shell(hosts, 12, ask), "12");
    assert.equal((await hosts.exec(12, ["curl", "-sf", "http://169.254.169.254/x"])).code, 22);
    // A container asks in its host's name, unless the host forbids it.
    const inside = `docker run --rm --entrypoint curl ${runnerImage("actions-runner", RUNNER_VERSION)} -s -m 3 http://169.254.169.254/hetzner/v1/metadata/instance-id`;
    assert.equal(await shell(hosts, 12, inside), "12");
    const forbid = (how: "-I" | "-D") =>
      shell(hosts, 12, `iptables ${how} DOCKER-USER -d 169.254.169.254 -j REJECT`);
    await forbid("-I");
    await assert.rejects(shell(hosts, 12, inside), /exit code 7/);
    await forbid("-D");
  });

  it("filter by nftables of their own, beside Docker", async () => {
    // This machine comes from the gateway's address, and a host from its own.
    const own = `table inet probe { chain input { type filter hook input priority -10;
      tcp dport 4000 ip saddr != ${hosts.gateway} reject with tcp reset; }; }`;
    await hosts.exec(12, ["nft", "-f", "-"], { stdin: own });
    assert.match(await shell(hosts, 12, "nft list table inet probe"), /dport 4000 .*reject/);
    await shell(hosts, 12, "systemd-run --quiet python3 -m http.server 4000");
    await shell(hosts, 12, "systemd-run --quiet python3 -m http.server 4001");
    const [refused, served] = [4000, 4001].map((port) =>
      eventually(`an answer at port ${port}`, async () => {
        const { code } = await hosts.exec(11, [
          "curl",
          "-so",
          "/dev/null",
          `${addressOf(12)}:${port}`,
        ]);
        return code === (port === 4000 ? 7 : 0);
      }),
    );
    await Promise.all([refused, served]);
    const response = await fetch(`http://${addressOf(12)}:4000/`);
    assert.equal(response.status, 200);
    await response.text();
    await shell(hosts, 12, "nft delete table inet probe");
    await eventually("the port is open without the table", async () => {
      return (
        (await hosts.exec(11, ["curl", "-so", "/dev/null", `${addressOf(12)}:4000`])).code === 0
      );
    });
    assert.match(await shell(hosts, 12, "systemctl cat systemd-timesyncd"), /ExecStart=/);
  });

  it("find images by the digests that are pinned, without a registry", async () => {
    assert.ok(PINNED_IMAGES.length >= 3);
    for (const reference of PINNED_IMAGES) {
      const tagged = reference.replace(/@.*/, "");
      const untagged = reference.replace(/:[^:/@]+@/, "@");
      const ids = await shell(
        hosts,
        12,
        `docker image inspect --format '{{.Id}}' ${[reference, tagged, untagged].join(" ")}`,
      );
      assert.equal(new Set(ids.trim().split("\n")).size, 1, reference);
    }
    const node = await shell(hosts, 12, `docker run --pull never --rm ${NODE_IMAGE} --version`);
    assert.equal(node.trim(), process.version);
    const write = ["bash", "-c", "mkdir -p /opt/pinned && cat > /opt/pinned/compose.yaml"];
    for (const policy of ["missing", "never"]) {
      const compose = `services: {node: {image: "${NODE_IMAGE}", pull_policy: ${policy}}}`;
      await hosts.exec(12, write, { stdin: compose });
      const run = "cd /opt/pinned && docker compose run --rm --no-TTY node --version";
      assert.equal((await shell(hosts, 12, run)).trim(), process.version);
    }
    const absent = NODE_IMAGE.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    await assert.rejects(shell(hosts, 12, `docker run --pull never --rm ${absent} --version`));
  });

  it("reach the names of the gateway by TLS, and nothing else", async () => {
    const get = "curl -s -o /dev/null -w '%{http_code}' --max-time 3";
    assert.equal(await shell(hosts, 11, `${get} https://api.github.com/nothing`), "404");
    assert.equal(await shell(hosts, 11, `${get} http://github.com/nothing`), "404");
    assert.ok(github.requests.includes("GET https://api.github.com/nothing"));
    // 6: no such name; 7: refused.
    assert.equal((await hosts.exec(11, ["curl", "-s", "https://registry.example.org"])).code, 6);
    const outside = execFileSync("ip", ["-4", "-br", "address", "show", "scope", "global"])
      .toString()
      .split(/\s+/)
      .filter((word) => /^\d.*\//.test(word) && !word.startsWith("198.18."))
      .map((word) => word.replace(/\/.*/, ""));
    // What listens on all addresses of the machine is found at the gateway's, and at no other.
    const server = createServer((_, response) => response.end("machine")).listen(0);
    await once(server, "listening");
    try {
      const port = (server.address() as AddressInfo).port;
      const fetch = (host: string) =>
        hosts.exec(11, ["curl", "-s", "-m", "2", `http://${host}:${port}`]);
      assert.equal((await fetch(hosts.gateway)).stdout, "machine");
      assert.ok(outside.length > 0);
      for (const other of outside) {
        assert.deepEqual(await fetch(other), { code: 7, stdout: "", stderr: "" }, other);
      }
    } finally {
      server.close();
    }
  });

  it("meet in a private network, at once and after a reboot", async () => {
    const network = { networkId: 77, ipRange: "10.0.0.0/16" };
    await hosts.attachNetwork(11, { ...network, ip: "10.0.1.1", macAddress: "86:00:00:00:00:01" });
    await hosts.attachNetwork(12, { ...network, ip: "10.0.1.2", macAddress: "86:00:00:00:00:02" });
    await shell(hosts, 11, "mkdir -p /srv/www && echo private > /srv/www/index.html");
    await shell(
      hosts,
      11,
      "systemd-run --quiet python3 -m http.server 3000 --bind 10.0.1.1 --directory /srv/www",
    );
    const get = "curl -s --retry 20 --retry-delay 1 --retry-connrefused http://10.0.1.1:3000/";
    assert.equal(await shell(hosts, 12, get), "private\n");
    assert.match(await shell(hosts, 12, "ip -br link show enp7s0"), /86:00:00:00:00:02/);

    const before = await shell(hosts, 12, "cat /root/ran; echo kept > /root/kept");
    await hosts.reboot(12);
    assert.equal(hosts.status(12), "running");
    await booted(hosts, 12);
    assert.equal(await shell(hosts, 12, get), "private\n");
    assert.equal(await shell(hosts, 12, "cat /root/kept"), "kept\n");
    // runcmd is for the first boot.
    assert.equal(await shell(hosts, 12, "cat /root/ran"), before);
    assert.equal(
      await ssh(addressOf(12), user.private, hostKey.public, "cat /root/kept"),
      "kept\n",
    );

    await hosts.detachNetwork(12, 77);
    assert.equal((await hosts.exec(12, ["ip", "link", "show", "enp7s0"])).code, 1);
  });

  describe("with the runner and the token service in compose", () => {
    const compose = (flags: string): string => `
services:
  runner:
    image: knatnetwork/github-runner:noble-2.336.0
    environment:
      RUNNER_REGISTER_TO: acme-corp
      RUNNER_LABELS: docker,webpcloud
      KMS_SERVER_ADDR: http://github-runner-kms:3000
      ADDITIONAL_FLAGS: ${flags}
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
    depends_on: [github-runner-kms]
  github-runner-kms:
    image: knatnetwork/github-runner-kms:latest
    environment: {PAT_acme-corp: ${PAT}}
`;

    async function up(flags: string): Promise<void> {
      const write = ["bash", "-c", "mkdir -p /opt/fleet && cat > /opt/fleet/compose.yaml"];
      await hosts.exec(11, write, { stdin: compose(flags) });
      await shell(hosts, 11, "cd /opt/fleet && docker compose up -d 2>&1");
    }

    afterEach(() => shell(hosts, 11, "cd /opt/fleet && docker compose down -t 5 2>&1"));

    it("run a job that builds an image through the mounted socket, once", async () => {
      await up("--ephemeral --name builder-1 --replace");
      await eventually("the runner is online", () => github.online().includes("builder-1"));
      assert.deepEqual(github.runners.get("builder-1")?.labels, ["docker", "webpcloud"]);
      const job = github.enqueue(
        [
          "ps -eo comm",
          'echo "secret is $SECRET"',
          "printf 'FROM scratch\\nCOPY built /built\\n' > Dockerfile",
          "date > built",
          "docker build -t acme/built . 2>&1",
        ].join("\n"),
        { env: { SECRET: "hunter2" }, masks: ["hunter2"] },
      );
      await eventually("the job ends", () => job.result !== undefined);
      assert.equal(job.result, "succeeded", job.log);
      assert.match(job.log, /stand-in/);
      assert.match(job.log, /^Runner\.Listener$/m);
      assert.match(job.log, /^Runner\.Worker$/m);
      assert.match(job.log, /secret is \*\*\*/);
      assert.doesNotMatch(job.log, /hunter2/);
      assert.match(await shell(hosts, 11, "docker images acme/built -q"), /^[0-9a-f]{12}/);
      const state = await eventually("the runner's container ends", async () => {
        const line = await shell(
          hosts,
          11,
          "docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' fleet-runner-1",
        );
        return line.startsWith("exited") && line.trim();
      });
      assert.equal(state, "exited 0");
      assert.equal(github.runners.has("builder-1"), false);
    });

    it("deregister on TERM, whether a job runs or not", async () => {
      await up("--name builder-2");
      await eventually("the runner is online", () => github.online().includes("builder-2"));
      const job = github.enqueue("echo started; sleep 60");
      await eventually("the job runs", () => job.log.includes("started"));
      await shell(hosts, 11, "docker stop -t 20 fleet-runner-1");
      const code = "docker inspect -f '{{.State.ExitCode}}' fleet-runner-1";
      assert.equal((await shell(hosts, 11, code)).trim(), "143");
      assert.equal(github.runners.has("builder-2"), false);
      assert.equal(job.result, undefined);
    });

    it("hang at the token service when GitHub refuses", async () => {
      await up("--name builder-3");
      const ask =
        "docker compose -f /opt/fleet/compose.yaml exec -T runner curl -s -m 2 http://github-runner-kms:3000/other-org/registration-token";
      await assert.rejects(shell(hosts, 11, ask), /exit code 28/);
    });
  });

  it("run a job by a just-in-time configuration, and cancel it on TERM", async () => {
    const start = (name: string): Promise<string> =>
      shell(
        hosts,
        12,
        `docker run -d --name ${name} ghcr.io/actions/actions-runner:2.336.0 ./run.sh --jitconfig ${github.jitConfig(name)}`,
      );
    await start("jit-1");
    const job = github.enqueue("id -un; pwd; exit 3");
    await eventually("the job ends", () => job.result !== undefined);
    assert.equal(job.result, "failed");
    assert.match(job.log, /^runner$/m);
    assert.match(job.log, /^\/home\/runner\/_work\/webppt\/webppt$/m);
    assert.match(job.log, /exit code 3/);

    await start("jit-2");
    const long = github.enqueue("echo started; sleep 60");
    await eventually("the job runs", () => long.log.includes("started"));
    await shell(hosts, 12, "docker stop -t 20 jit-2");
    assert.equal(long.result, "cancelled");
    assert.match(await shell(hosts, 12, "docker logs jit-2"), /Listening for Jobs/);
    assert.equal(
      (await shell(hosts, 12, "docker inspect -f '{{.State.ExitCode}}' jit-2")).trim(),
      "0",
    );
  });

  it("take the configuration of a runner from standard input, and keep it from the job", async () => {
    const image = runnerImage("actions-runner", RUNNER_VERSION);
    const command =
      "IFS= read -r ACTIONS_RUNNER_INPUT_JITCONFIG; export ACTIONS_RUNNER_INPUT_JITCONFIG; exec ./run.sh </dev/null";
    const job = github.enqueue("env; cat /proc/$PPID/environ | tr '\\0' '\\n'");
    const run = ["bash", "-c", `docker run --rm -i ${image} bash -c '${command}'`];
    const { stdout } = await hosts.exec(12, run, { stdin: `${github.jitConfig("jit-3")}\n` });
    assert.match(stdout, /Listening for Jobs[^]*completed with result: Succeeded/);
    assert.match(job.log, /^GITHUB_ACTIONS=true$/m);
    assert.match(job.log, /^RUNNER_MANUALLY_TRAP_SIG=1$/m);
    assert.doesNotMatch(job.log, /ACTIONS_RUNNER_INPUT/);
  });

  it("freeze a runner, which takes no job until it is thawed", async () => {
    const image = runnerImage("actions-runner", RUNNER_VERSION);
    await shell(
      hosts,
      12,
      `docker run -d --name jit-4 --env ACTIONS_RUNNER_INPUT_JITCONFIG=${github.jitConfig("jit-4")} ${image} ./run.sh`,
    );
    await eventually("the runner is online", () => github.online().includes("jit-4"));
    await shell(hosts, 12, "docker pause jit-4");
    const job = github.enqueue("echo ran");
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.equal(job.log, "");
    await shell(hosts, 12, "docker unpause jit-4");
    await eventually("the job ends", () => job.result === "succeeded");
    assert.equal((await shell(hosts, 12, "docker wait jit-4")).trim(), "0");
  });

  it("shut down in the time that a service needs to stop, unless the power is cut", async () => {
    const unit = (seconds: number) =>
      `[Service]\nExecStart=sleep infinity\nExecStop=sleep ${seconds}\nTimeoutStopSec=1h\n`;
    const start = async (seconds: number) => {
      const write = ["bash", "-c", "cat >/run/systemd/system/slow.service"];
      await hosts.exec(12, ["mkdir", "-p", "/run/systemd/system"]);
      await hosts.exec(12, write, { stdin: unit(seconds) });
      await shell(hosts, 12, "systemctl daemon-reload && systemctl start slow.service");
    };
    await start(4);
    await assert.rejects(hosts.shutdown(12, 1000), /has not shut down within 1 s/);
    assert.equal(hosts.status(12), "running");
    await eventually("the host is off", () => hosts.status(12) === "off", 20_000);
    await hosts.powerOn(12);
    await booted(hosts, 12);
    await start(3000);
    const pressed = hosts.shutdown(12, 60_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = Date.now();
    await hosts.powerOff(12);
    await pressed;
    assert.ok(Date.now() - before < 15_000);
    assert.equal(hosts.status(12), "off");
    await hosts.powerOn(12);
    await booted(hosts, 12);
  });

  it("die without notice, and come back", async () => {
    assert.match(await dial(addressOf(12), 22), /^SSH-2/);
    await hosts.kill(12);
    assert.equal(hosts.status(12), "running");
    assert.match(await dial(addressOf(12), 22), /timeout|EHOSTUNREACH|ECONNREFUSED/);
    await assert.rejects(hosts.shutdown(12, 200), /has not shut down/);
    await hosts.powerOff(12);
    assert.equal(hosts.status(12), "off");
    await hosts.powerOn(12);
    await booted(hosts, 12);
    assert.match(await dial(addressOf(12), 22), /^SSH-2/);
  });

  it("shut down, take a new size, and start with a new disk", async () => {
    await assert.rejects(hosts.rebuild(12), /is on, expected it to be off/);
    await shell(hosts, 12, "touch /root/old");
    await hosts.shutdown(12);
    assert.equal(hosts.status(12), "off");
    assert.match(await hosts.console(12), /systemd/);
    await hosts.resize(12, { cores: 4, memoryGb: 8 });
    await hosts.rebuild(12);
    await hosts.powerOn(12);
    await booted(hosts, 12);
    assert.equal((await hosts.exec(12, ["test", "-e", "/root/old"])).code, 1);
    assert.match(await shell(hosts, 12, "cat /root/ran"), /^written/);
  });

  it("leave nothing when deleted, and the backend nothing when closed", async () => {
    const other = await open(new FakeGitHub("other", PAT));
    assert.notEqual(other.gateway, hosts.gateway);
    const prefix = `rf${Number(other.gateway.split(".")[2])}`;
    assert.ok(traces(prefix).length > 0);
    await create(other, 21);
    await other.powerOn(21);
    const folder = join(instancesFolder(), `${process.pid}-${prefix.slice(2)}`);
    assert.ok(readFileSync("/proc/self/mounts", "utf8").includes(`${folder}/21/root `));
    const ip = addressOf(21);
    // Neighbours remember hardware addresses for minutes: neither the gateway's nor that of an address may change.
    const hardware = () =>
      execFileSync("ip", ["-br", "link", "show", `${prefix}-pub`])
        .toString()
        .split(/\s+/)[2];
    const card = async (id: number) =>
      (await other.exec(id, ["cat", "/sys/class/net/eth0/address"])).stdout;
    const [gateway, first] = [hardware(), await card(21)];
    await other.delete(21);
    await other.delete(21);
    other.releaseAddress(ip);
    assert.equal(hardware(), gateway);
    assert.equal(other.status(21), "absent");
    assert.deepEqual(
      readdirSync(folder).filter((name) => name === "21"),
      [],
    );
    await create(other, 22);
    await other.powerOn(22);
    assert.equal(addressOf(22), ip);
    assert.equal(await card(22), first);
    assert.equal(hardware(), gateway);
    await other.close();
    assert.deepEqual(traces(prefix), []);
    assert.equal(readFileSync("/proc/self/mounts", "utf8").includes(folder), false);
    assert.equal(
      readdirSync(instancesFolder()).includes(`${process.pid}-${prefix.slice(2)}`),
      false,
    );
    // The other one is untouched.
    assert.equal(hosts.status(11), "running");
    assert.match(await dial(addressOf(11), 22), /^SSH-2/);
  });

  it("that a killed local cloud left are removed by the next one", async () => {
    const child = spawn(process.execPath, ["--import", "tsx", join(__dirname, "abandon.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (data: Buffer) => (output += data.toString()));
    const gateway = await eventually(
      "the other local cloud has a host",
      () => /^gateway (\S+)$/m.exec(output)?.[1],
    );
    const prefix = `rf${Number(gateway.split(".")[2])}`;
    child.kill("SIGKILL");
    await eventually("it is gone", () => child.signalCode !== null);
    assert.ok(traces(prefix).length > 0);
    const next = await open(new FakeGitHub("next", PAT));
    try {
      const left = traces(prefix);
      if (next.gateway === gateway) {
        assert.equal(
          left.some((line) => line.includes(`${prefix}-1`)),
          false,
          left.join("\n"),
        );
      } else assert.deepEqual(left, []);
      assert.equal(readFileSync("/proc/self/mounts", "utf8").includes(`/${child.pid}-`), false);
      assert.deepEqual(
        readdirSync(instancesFolder()).filter((name) => name.startsWith(`${child.pid}-`)),
        [],
      );
    } finally {
      await next.close();
    }
    assert.equal(hosts.status(11), "running");
  });
});
