import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platform } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "mocha";
import { Client } from "ssh2";
import { renderApplyScript } from "../../../../components/host/applyScript";
import { baseModel } from "../../../../components/host/base";
import { hostScript, type HostStack, renderCloudInit } from "../../../../components/host/cloudInit";
import { composeFile } from "../../../../components/host/compose";
import { hostKeyFromSecret } from "../../../../components/host/hostKey";
import { KNATNETWORK_KMS_IMAGE, NODE_IMAGE, runnerImage } from "../../../../components/pins/pins";
import {
  drainCommand,
  runnerHostCommands,
  runnerHostFiles,
  runnerServices,
  type RunnerStackModel,
} from "../../../../components/runnerHost/stack";
import {
  tokenServiceCommands,
  tokenServiceFiles,
  type TokenServiceModel,
} from "../../../../components/tokenService/stack";
import { Traffic } from "../../../../local-cloud/core/traffic";
import { createGitHub, type GitHub } from "../../../../local-cloud/github";
import { until } from "../../../../local-cloud/hosts/run";
import { createThinHosts } from "../../../../local-cloud/hosts/thin";
import type { ExecResult, HostBackend } from "../../../../local-cloud/hosts/types";
import { newKeyPair } from "../../../../local-cloud/hosts/keys";

const SSH_PORT = 2222;
const hostKey = hostKeyFromSecret("of the host");
const login = newKeyPair();
const GROUP = "arm64-fleet";
const PASSWORD = "password-of-the-token-service";

const base = (management: "ssh" | "none") =>
  baseModel(
    { management, sshPort: SSH_PORT, allowedCidrs: ["127.0.0.0/8"], ipRange: "10.0.0.0/16" },
    {
      firewall: { privatePorts: [], containersMayReach: [] },
      rebootWindow: "never",
      registryMirrors: {},
      drainSeconds: 5,
      packages: [],
      runcmd: [],
    },
  );

const NOTHING: HostStack = { files: [], commands: [] };

const runnerStack = (model: RunnerStackModel): HostStack => ({
  files: runnerHostFiles(model),
  commands: runnerHostCommands(model),
});
const runnerHostScript = (model: RunnerStackModel): string =>
  hostScript(base("ssh"), runnerStack(model));

interface Login {
  readonly username?: string;
  readonly privateKey?: string;
  /** `ssh-ed25519 AAAA…` */
  readonly pinned?: string;
}

describe("thin hosts", () => {
  let traffic: Traffic;
  let github: GitHub;
  let hosts: HostBackend;
  let groupId: string;
  let address: string;
  let folder: string;

  beforeEach(async function () {
    // Elsewhere the machine may have a single loopback address, and these tests want some.
    if (platform !== "linux") this.skip();
    folder = mkdtempSync(join(tmpdir(), "thin-"));
    traffic = new Traffic();
    github = await createGitHub({ traffic, times: { heartbeatTimeoutMs: 1500, pollMs: 5000 } });
    const answer = await github.fetch(
      new Request("https://api.github.com/orgs/acme/actions/runner-groups", {
        method: "POST",
        headers: { authorization: `Bearer ${github.tokens.admin}` },
        body: JSON.stringify({
          name: GROUP,
          visibility: "selected",
          selected_repository_ids: [github.repository("acme/webppt").id],
        }),
      }),
    );
    assert.equal(answer.status, 201);
    groupId = String(((await answer.json()) as { id: number }).id);
    hosts = createThinHosts({
      services: {
        names: ["github.com", "api.github.com"],
        handler: (request) => {
          assert.ok(
            ["github.com", "api.github.com"].includes(request.headers.get("host") ?? ""),
            `a request for ${request.headers.get("host") ?? "nobody"}`,
          );
          return github.fetch(request);
        },
        metadata: () => ({ status: 404, body: "" }),
      },
      pace: { boot: 100, apply: 200, restart: 50, heartbeat: 200 },
    });
    address = await addHost(1, "host-1");
    await hosts.powerOn(1);
  });

  afterEach(async () => {
    await hosts.close();
    await github.close();
    rmSync(folder, { recursive: true });
    assert.deepEqual(traffic.surprises, []);
  });

  async function addHost(id: number, name: string, stack?: HostStack): Promise<string> {
    const ipv4 = hosts.reserveAddress();
    await hosts.create({
      id,
      name,
      ipv4,
      userData: renderCloudInit(hostKey, base(stack ? "none" : "ssh"), stack ?? NOTHING),
      publicKeys: [`${login.public} somebody`],
      location: "fsn1",
      cores: 4,
      memoryGb: 8,
    });
    return ipv4;
  }

  const tokenServiceModel = (
    implementation: TokenServiceModel["implementation"],
  ): TokenServiceModel => ({
    implementation,
    image: implementation === "builtin" ? NODE_IMAGE : KNATNETWORK_KMS_IMAGE,
    organization: "acme",
    githubUrl: "https://github.com",
    credential: { kind: "pat", token: github.tokens.admin },
    password: PASSWORD,
    runnerNamePrefix: "host-",
    runnerGroupId: groupId,
    registrationTokens: implementation === "knatnetwork",
    sources: ["10.0.1.0/24"],
  });

  const model = (changes: Partial<RunnerStackModel> = {}): RunnerStackModel => ({
    organization: "acme",
    githubUrl: "https://github.com",
    hostName: "host-1",
    serverType: "cax21",
    runners: 2,
    labels: ["docker", "build"],
    runnerGroup: { id: groupId, name: GROUP },
    image: runnerImage("actions-runner", "2.338.0"),
    runnerImage: "actions-runner",
    dockerSocket: false,
    buildCachePercent: 60,
    registryMirrors: {},
    drainTimeoutSeconds: 5,
    tokenService: { placement: "colocated", service: tokenServiceModel("builtin") },
    ...changes,
  });

  /** The origin's stack. */
  const origin = (changes: Partial<RunnerStackModel> = {}): RunnerStackModel =>
    model({
      image: runnerImage("knatnetwork", "2.338.0"),
      runnerImage: "knatnetwork",
      tokenService: { placement: "colocated", service: tokenServiceModel("knatnetwork") },
      ...changes,
    });

  const job = (script: string) =>
    github.jobs.enqueue({
      repository: "acme/webppt",
      name: "build",
      runsOn: ["self-hosted", "ARM64", "docker"],
      script,
    }).id;
  /** A job that goes on until it is told to end. */
  const longJob = () => {
    const end = join(folder, "end");
    const id = job(`until [ -e ${end} ]; do sleep 0.02; done`);
    return { id, end: () => writeFileSync(end, "") };
  };
  const status = (id: number) => github.jobs.get(id).status;
  /** A runner's name without the characters that make it one of its own. */
  const slotOf = (name: string) => {
    assert.match(name, /^host-\d-\d-[a-z0-9]{6}$/);
    return name.slice(0, -7);
  };
  /** Slots whose runners are online. */
  const online = () =>
    github.runners("acme").flatMap(({ name, status }) => (status === "online" ? slotOf(name) : []));
  const runnerId = (slot: string) =>
    github.runners("acme").find(({ name }) => slotOf(name) === slot)?.id ?? assert.fail(slot);

  /** By SSH, which a host that has just started does not answer yet. */
  async function ssh(command: string, stdin = "", options: Login = {}): Promise<ExecResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await sshOnce(address, command, stdin, options);
      } catch (error) {
        const booting = (error as NodeJS.ErrnoException).code === "ECONNREFUSED" && attempt < 40;
        if (!booting) throw error;
        await sleep(50);
      }
    }
  }

  async function apply(script: string): Promise<void> {
    assert.deepEqual(await ssh("bash -s", script), { code: 0, stdout: "", stderr: "" });
  }

  it("lets root in with the right key at the right host, and nobody else", async () => {
    await assert.rejects(sshOnce(address, "cat /x", "", {}), { code: "ECONNREFUSED" });
    assert.equal((await ssh("cat /x")).code, 1);
    const { publicKey } = hostKeyFromSecret("of another host");
    await assert.rejects(ssh("cat /x", "", { pinned: publicKey }), /verification failed/);
    const stranger = newKeyPair().private;
    await assert.rejects(ssh("cat /x", "", { privateKey: stranger }), /authentication methods/);
    await assert.rejects(ssh("cat /x", "", { username: "admin" }), /authentication methods/);
  });

  it("says so when it is sent a command or a script that it does not know", async () => {
    const result = await ssh("uname -a");
    assert.equal(result.code, 127);
    assert.match(result.stderr, /^uname: the thin model of a server does not run this command/);
    assert.equal((await ssh(`curl http://${address}/`)).code, 127);
    assert.equal(
      (await ssh("docker compose --project-directory /opt/runner-fleet down")).code,
      127,
    );
    assert.match(await hosts.console(1), /uname: ended with 127/);
    assert.equal((await ssh(drainCommand(5))).code, 127, "not laid down yet");
    const script = runnerHostScript(model()).replace("umask 077", "umask 077\nrm -rf / &");
    assert.match((await ssh("bash -s", script)).stderr, /^line 3 of the script is not understood/);
    const unheard = renderApplyScript(runnerHostFiles(model()), ["systemctl daemon-reload"]);
    assert.match((await ssh("bash -s", unheard)).stderr, /^systemctl: the thin model/);
  });

  for (const [what, of] of [
    ["by a configuration made just in time", model],
    ["by a registration token", origin],
  ] as const)
    it(`brings the runners online ${what} and runs one job after another`, async () => {
      await apply(runnerHostScript(of()));
      assert.deepEqual(online().sort(), ["host-1-1", "host-1-2"]);
      const before = github.runners("acme").map(({ name }) => name);
      const [runner] = github.runners("acme");
      assert.deepEqual(runner?.labels, [
        "self-hosted",
        "Linux",
        "ARM64",
        "docker",
        "build",
        "host-1",
      ]);
      assert.deepEqual([runner?.group, runner?.ephemeral], [GROUP, true]);

      const good = job('test -z "$(ls)"; echo "on $RUNNER_NAME in $(basename "$PWD")"');
      const bad = job("echo to the error stream >&2; exit 3");
      const first = await github.jobs.wait(good, 5000);
      assert.equal(first.conclusion, "success");
      assert.match(first.log, new RegExp(`on ${first.runner} in webppt\n`));
      const second = await github.jobs.wait(bad, 5000);
      assert.equal(second.conclusion, "failure");
      assert.match(second.log, /to the error stream\n.*exit code 3/);
      assert.ok(await until(() => online().length === 2, 5000), "fresh runners take their places");
      const after = github.runners("acme").map(({ name }) => name);
      assert.equal(new Set([...before, ...after]).size, 4, "names of their own");
      const console = await hosts.console(1);
      assert.ok(!console.includes(github.tokens.admin) && !console.includes(PASSWORD));
    });

  it("changes to the other kind of runner and token service", async () => {
    await apply(runnerHostScript(model()));
    const config = (await ssh("cat /etc/runner-fleet/token-service.json")).stdout;
    assert.equal((JSON.parse(config) as { password: string }).password, PASSWORD);
    await apply(runnerHostScript(origin()));
    assert.equal(
      (await ssh("cat /etc/runner-fleet/token-service.env")).stdout,
      `PAT_acme=${github.tokens.admin}\n`,
    );
    // The service that would have deregistered the first two is gone: they are offline.
    assert.ok(await until(() => online().sort().join() === "host-1-1,host-1-2", 8000));
  });

  it("refuses runners of a kind that it does not know", async () => {
    const mixed = origin({
      runners: 1,
      tokenService: { placement: "colocated", service: tokenServiceModel("builtin") },
    });
    const script = runnerHostScript(mixed).replace(/(converge 1 5) 300/, "$1 1");
    assert.match(
      (await ssh("bash -s", script)).stderr,
      /a thin host knows actions-runner .*, and not knatnetwork with the token service builtin/,
    );
  });

  it("configures itself where nobody reaches it", async () => {
    const ipv4 = await addHost(2, "host-1", runnerStack(model({ runners: 1 })));
    await hosts.powerOn(2);
    assert.ok(await until(() => online().length === 1, 5000));
    assert.deepEqual(online(), ["host-1-1"]);
    await assert.rejects(sshOnce(ipv4, "cat /x", "", {}), { code: "ECONNREFUSED" });
    const running = longJob();
    assert.ok(await until(() => status(running.id) === "in_progress", 2000));
    const down = hosts.shutdown(2);
    assert.equal(hosts.status(2), "running");
    running.end();
    await down;
    assert.equal(github.jobs.get(running.id).conclusion, "success");
    assert.deepEqual(github.runners("acme"), []);
    await hosts.powerOn(2);
    assert.ok(await until(() => online().length === 1, 5000), "without another first boot");
  });

  it("stops a job that is cancelled, with all of its processes", async () => {
    await apply(runnerHostScript(model({ runners: 1 })));
    const id = job("sleep 60 & echo process=$!=; wait");
    const child = () => /process=(\d+)=/.exec(github.jobs.get(id).log)?.[1];
    assert.ok(await until(() => child() !== undefined, 2000));
    assert.ok(isRunning(child()));
    github.jobs.cancel(id);
    assert.equal((await github.jobs.wait(id, 5000)).conclusion, "cancelled");
    assert.ok(await until(() => !isRunning(child()), 1000));
  });

  it("drains: the running job ends, no other begins, the runners deregister", async () => {
    await apply(runnerHostScript(model()));
    const running = longJob();
    assert.ok(await until(() => status(running.id) === "in_progress", 2000));
    const drained = ssh(drainCommand(10));
    assert.ok(await until(() => online().length === 1, 5000));
    const waiting = job("true");
    running.end();
    assert.deepEqual(await drained, { code: 0, stdout: "", stderr: "" });
    assert.equal(github.jobs.get(running.id).conclusion, "success");
    assert.equal(status(waiting), "queued");
    assert.deepEqual(github.runners("acme"), []);
    assert.equal((await ssh(drainCommand(10))).code, 0, "repeated");

    assert.deepEqual(await ssh("/opt/runner-fleet/bin/undrain 2"), {
      code: 0,
      stdout: "",
      stderr: "",
    });
    assert.equal((await github.jobs.wait(waiting, 5000)).conclusion, "success");
    assert.ok(await until(() => online().join() === "host-1-2", 5000));
    await apply(runnerHostScript(model()));
    assert.deepEqual(online().sort(), ["host-1-1", "host-1-2"]);
  });

  it("ends a job that outlasts the drain, and says so", async () => {
    for (const [of, conclusion] of [
      [model, "cancelled"],
      [origin, "failure"],
    ] as const) {
      await apply(runnerHostScript(of({ runners: 1 })));
      const id = job("sleep 60");
      assert.ok(await until(() => status(id) === "in_progress", 2000));
      assert.match((await ssh(drainCommand(1))).stderr, /^slot 1: its job still runs after 1 s/);
      assert.equal((await github.jobs.wait(id, 6000)).conclusion, conclusion);
    }
  });

  it("never loses a job between its assignment and the drain", async () => {
    let taken = 0;
    for (let round = 0; round < 6; round++) {
      await apply(runnerHostScript(model({ runners: 1 })));
      const id = job("true");
      await hosts.exec(1, drainCommand(5).split(" "));
      if (status(id) === "queued") github.jobs.cancel(id);
      else {
        taken++;
        assert.equal(github.jobs.get(id).conclusion, "success");
      }
      assert.deepEqual(github.runners("acme"), []);
    }
    assert.notEqual(taken, 0, "a drain that came after the assignment");
  });

  it("restarts only the slot that changed, and retires the surplus", async () => {
    await apply(runnerHostScript(model({ runners: 3 })));
    const before = ["host-1-1", "host-1-2", "host-1-3"].map(runnerId);
    await apply(
      runnerHostScript(model({ runners: 3, serverType: "cax31", drainTimeoutSeconds: 6 })),
    );
    assert.deepEqual(["host-1-1", "host-1-2", "host-1-3"].map(runnerId), before);

    const services = runnerServices(model({ runners: 2 }));
    const changed = runnerServices(model({ runners: 2, dockerSocket: true }))["runner-2"];
    assert.ok(changed);
    const files = runnerHostFiles(model()).map((file) =>
      file.path.endsWith("/compose.yaml")
        ? composeFile({ ...services, "runner-2": changed })
        : file,
    );
    await apply(renderApplyScript(files, ["/opt/runner-fleet/bin/converge 2 5 10"]));
    assert.deepEqual(online().sort(), ["host-1-1", "host-1-2"]);
    assert.equal(runnerId("host-1-1"), before[0]);
    assert.notEqual(runnerId("host-1-2"), before[1]);
    const [first, second] = [runnerId("host-1-1"), runnerId("host-1-2")];
    await apply(runnerHostScript(model({ labels: ["docker", "other"] })));
    assert.notEqual(runnerId("host-1-1"), first);
    assert.notEqual(runnerId("host-1-2"), second);
    assert.ok(github.runners("acme").every(({ labels }) => labels.includes("other")));
  });

  it("fails in bounded time, with the reason, when no runner comes online", async () => {
    const wrong = model({ runners: 1, runnerGroup: { id: "99", name: "no-such-group" } });
    const script = runnerHostScript(wrong).replace(/(converge 1 5) 300/, "$1 1");
    const { code, stderr } = await ssh("bash -s", script);
    assert.equal(code, 1);
    assert.match(stderr, /^slot 1 is not online after 1 s/);
    assert.match(stderr, /the token service answers 403: .*Runner group 99 is not allowed/);
  });

  it("comes back after a loss of power, in which the running job is lost", async () => {
    await apply(runnerHostScript(model({ runners: 1 })));
    const id = job("sleep 60");
    assert.ok(await until(() => /thin model/.test(github.jobs.get(id).log), 2000), "has begun");
    await hosts.powerOff(1);
    assert.equal(hosts.status(1), "off");
    await assert.rejects(sshOnce(address, "cat /x", "", {}), { code: "ECONNREFUSED" });
    assert.equal((await github.jobs.wait(id, 6000)).conclusion, "failure");
    await hosts.powerOn(1);
    assert.ok(await until(() => online().length === 1, 5000));
  });

  it("goes off in the middle of a command", async () => {
    await ssh("cat /x");
    const wrong = model({ runners: 1, runnerGroup: { id: "99", name: "no-such-group" } });
    const applied = ssh("bash -s", runnerHostScript(wrong));
    const cut = assert.rejects(applied, /ended without a code|ECONNRESET/);
    assert.ok(await until(async () => /runner-1: /.test(await hosts.console(1)), 2000));
    await hosts.powerOff(1);
    await cut;
    await assert.rejects(hosts.exec(1, ["cat", "/x"]), /host 1 is off/);
  });

  it("deregisters in a shutdown, but not when it dies", async () => {
    await apply(runnerHostScript(model()));
    await hosts.shutdown(1);
    assert.deepEqual(github.runners("acme"), []);
    await hosts.powerOn(1);
    assert.ok(await until(() => online().length === 2, 5000));
    await hosts.kill(1);
    assert.equal(hosts.status(1), "running");
    await assert.rejects(hosts.shutdown(1), /does not hear/);
    assert.equal(github.runners("acme").length, 2);
    await hosts.powerOff(1);
    await hosts.rebuild(1);
    await hosts.powerOn(1);
    assert.equal((await ssh("cat /opt/runner-fleet/compose.yaml")).code, 1, "an empty disk");
  });

  it("reaches a token service on another host through a private network that both are in", async () => {
    const privateIp = "10.0.1.2";
    const join = (id: number, ip: string) =>
      hosts.attachNetwork(id, { networkId: 7, ipRange: "10.0.0.0/16", ip, macAddress: "" });
    await addHost(2, "tokens");
    await hosts.powerOn(2);
    await addHost(4, "origin");
    await hosts.powerOn(4);
    const script = (implementation: TokenServiceModel["implementation"], ip: string) => {
      const service = { ...tokenServiceModel(implementation), serverType: "cax11" };
      return hostScript(base("ssh"), {
        files: tokenServiceFiles(service, ip),
        commands: tokenServiceCommands(service, ip),
      });
    };
    const stdin = script("builtin", privateIp);
    assert.match((await hosts.exec(2, ["bash", "-s"], { stdin })).stderr, /cannot publish/);
    await join(2, privateIp);
    assert.equal((await hosts.exec(2, ["bash", "-s"], { stdin })).code, 0);

    await join(4, "10.0.1.4");
    const other = script("knatnetwork", "10.0.1.4");
    assert.equal((await hosts.exec(4, ["bash", "-s"], { stdin: other })).code, 0);

    const dedicated = (implementation: TokenServiceModel["implementation"], ip: string) =>
      ({
        placement: "dedicated",
        implementation,
        url: `http://${ip}:3000`,
        password: PASSWORD,
      }) as const;
    const own = runnerHostScript(
      model({ runners: 1, tokenService: dedicated("builtin", privateIp) }),
    );
    const hasty = own.replace(/(converge 1 5) 300/, "$1 1");
    assert.match((await ssh("bash -s", hasty)).stderr, /the token service does not answer/);
    await join(1, "10.0.1.3");
    await apply(own);
    assert.deepEqual(online(), ["host-1-1"]);
    await apply(
      runnerHostScript(origin({ runners: 1, tokenService: dedicated("knatnetwork", "10.0.1.4") })),
    );
    assert.deepEqual(online(), ["host-1-1"]);
    const wrong = { ...dedicated("builtin", privateIp), password: "another" };
    const refused = runnerHostScript(model({ runners: 1, tokenService: wrong }));
    assert.match(
      (await ssh("bash -s", refused.replace(/(converge 1 5) 300/, "$1 1"))).stderr,
      /the token service answers 401/,
    );
  });

  it("says what is needed when SSH cannot have its port", async () => {
    const ipv4 = await addHost(3, "host-3");
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(SSH_PORT, ipv4, resolve));
    try {
      await assert.rejects(
        hosts.powerOn(3),
        /port 2222: it is taken by another program.*ssh\.port/,
      );
      assert.equal(hosts.status(3), "off");
      assert.match(await hosts.console(3), /SSH cannot listen/);
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });
});

/** A process that has ended but was not collected by its new parent does not count. */
function isRunning(pid: string | undefined): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

function sshOnce(
  host: string,
  command: string,
  stdin: string,
  { username = "root", privateKey = login.private, pinned = hostKey.publicKey }: Login,
): Promise<ExecResult> {
  const client = new Client();
  return new Promise<ExecResult>((resolve, reject) => {
    client
      .on("error", reject)
      .on("ready", () => {
        client.exec(command, (error, stream) => {
          if (error) return reject(error);
          let [stdout, stderr] = ["", ""];
          stream.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
          stream.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
          stream.on("close", (code: number | undefined) =>
            code === undefined
              ? reject(new Error(`${command} ended without a code`))
              : resolve({ code, stdout, stderr }),
          );
          stream.end(stdin);
        });
      })
      .connect({
        host,
        port: SSH_PORT,
        username,
        privateKey,
        hostVerifier: (key: Buffer) => key.toString("base64") === pinned.split(" ")[1],
      });
  }).finally(() => client.end());
}
