import assert from "node:assert/strict";
import { renderApplyScript } from "../../components/host/applyScript";
import { KNATNETWORK_KMS_IMAGE, NODE_IMAGE, runnerImage } from "../../components/pins/pins";
import {
  runnerHostCommands,
  runnerHostFiles,
  type RunnerStackModel,
} from "../../components/runnerHost/stack";
import type { TokenServiceModel } from "../../components/tokenService/stack";
import { Traffic } from "../../local-cloud/core/traffic";
import { createGitHub, type GitHub, type Job } from "../../local-cloud/github";
import { createBootedHosts } from "../../local-cloud/hosts/booted";
import type { HostBackend } from "../../local-cloud/hosts/types";
import { booted, eventually, shell } from "../local-cloud/hosts/support";
import { preparedImages } from "../local-cloud/hosts/prepared";

const ID = 1;
const HOST = "dev-arm64-1-1";
const VERSION = "2.338.0";
const PASSWORD = "canary-password-of-the-token-service";
/** How long a slot may take between two jobs, in seconds. */
const READY_SECONDS = 10;

interface Status {
  readonly disk: { readonly freePercent: number };
  readonly slots: readonly {
    readonly slot: number;
    readonly state: string;
    readonly runner: string | null;
    readonly failures: number;
    readonly drainedBy: string | null;
  }[];
}

/** Builds on the host's daemon, with a step that writes to a cache mount and shows what it found there. */
const CACHE_BUILD = [
  "mkdir context && cd context && mkdir root",
  "cp --parents -L /bin/bash /bin/date /bin/sleep $(ldd /bin/bash /bin/date /bin/sleep | grep -o '/[^ ]*' | grep -v :$ | sort -u) root",
  "cat >Dockerfile <<'FILE'",
  "FROM scratch",
  "COPY root /",
  "ARG RUN PAUSE",
  'RUN --mount=type=cache,target=/cache ["/bin/bash", "-c", "echo before: $(</cache/note); echo $RUN >/cache/note; sleep ${PAUSE:-0}"]',
  "FILE",
  "docker buildx create --name host --driver remote unix:///run/buildkit/buildkitd.sock",
  'docker buildx build --builder host --progress plain --build-arg RUN="$RUN" --build-arg PAUSE="$PAUSE" . 2>&1',
].join("\n");

/** What runs on a runner host, on a system that really boots: with the token service beside it and GitHub's other side here. */
describe("a runner host", function () {
  this.timeout("3m");
  this.bail(true);
  let hosts: HostBackend;
  let github: GitHub;

  const service: TokenServiceModel = {
    implementation: "builtin",
    image: NODE_IMAGE,
    organization: "acme",
    githubUrl: "https://github.com",
    credential: { kind: "pat", token: "" },
    password: PASSWORD,
    runnerNamePrefix: "dev-",
    runnerGroupId: "1",
    registrationTokens: true,
    sources: [],
  };
  const model = (more: Partial<RunnerStackModel> = {}): RunnerStackModel => ({
    organization: "acme",
    githubUrl: "https://github.com",
    hostName: HOST,
    serverType: "cax21",
    runners: 2,
    labels: ["docker"],
    runnerGroup: { id: "1", name: "Default" },
    image: runnerImage("actions-runner", VERSION),
    runnerImage: "actions-runner",
    dockerSocket: false,
    buildCachePercent: 60,
    registryMirrors: {},
    drainTimeoutSeconds: 60,
    tokenService: {
      placement: "colocated",
      service: { ...service, credential: { kind: "pat", token: github.tokens.admin } },
    },
    ...more,
  });

  before(async function () {
    const images = await preparedImages(this);
    github = await createGitHub({ traffic: new Traffic(), startsWorkflows: false });
    hosts = await createBootedHosts({
      images,
      services: {
        names: ["github.com", "api.github.com"],
        handler: (request) => github.fetch(request),
        metadata: () => ({ status: 404, body: "" }),
      },
    });
    await hosts.create({
      id: ID,
      name: HOST,
      ipv4: hosts.reserveAddress(),
      userData: "#cloud-config\n",
      publicKeys: [],
      cores: 2,
      memoryGb: 4,
      location: "fsn1",
    });
    await hosts.powerOn(ID);
    await booted(hosts, ID);
    // What else fills the disk of this machine is no concern of the tests.
    await guardBy({});
  });
  after(async () => {
    await hosts?.close();
    await github?.close();
  });

  const run = (script: string) => shell(hosts, ID, script);

  async function apply(wanted: RunnerStackModel): Promise<void> {
    const { code, stdout, stderr } = await hosts.exec(ID, ["bash", "-s"], {
      stdin: renderApplyScript(runnerHostFiles(wanted), runnerHostCommands(wanted)),
      timeoutMs: 150_000,
    });
    assert.equal(code, 0, stdout + stderr);
  }

  async function status(): Promise<Status> {
    return JSON.parse(await run("/opt/runner-fleet/bin/status")) as Status;
  }

  const states = async () => (await status()).slots.map(({ state }) => state);

  /** Sets what the guard goes by; by default nothing makes it act. */
  async function guardBy(thresholds: Readonly<Record<string, number>>): Promise<void> {
    const all = {
      GUARD_INTERVAL_SECONDS: 1,
      GUARD_PRUNE_BELOW: 0,
      GUARD_DRAIN_BELOW: 0,
      GUARD_RESUME_ABOVE: 0,
      GUARD_KILL_BELOW: 0,
      ...thresholds,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}=${value}`);
    await run(
      `install -d /etc/runner-fleet; printf '%s\\n' ${lines.join(" ")} >/etc/runner-fleet/guard.env; ! systemctl is-active --quiet runner-guard.service || systemctl restart runner-guard.service`,
    );
  }

  const online = () =>
    github
      .runners("acme")
      .filter((one) => one.status === "online")
      .map(({ name }) => name);

  /** The slots listen, and GitHub lists their runners and none besides. */
  async function everybody(slots = 2): Promise<void> {
    const there = async () =>
      (await status()).slots.filter(({ state }) => state === "listening").length === slots &&
      online().length === slots &&
      github.runners("acme").length === slots;
    await eventually("every runner is online", there).catch(async (error: Error) => {
      const found = JSON.stringify([await status(), github.runners("acme")], null, 1);
      const log = await run("journalctl --no-pager --lines 60 -u 'runner-*'");
      throw new Error(`${error.message}: ${found}\n${log}`);
    });
  }

  function enqueue(script: string, env: Readonly<Record<string, string>> = {}): Job {
    return github.jobs.enqueue({
      repository: "acme/webppt",
      name: "job",
      runsOn: ["self-hosted", "docker"],
      script,
      env,
    });
  }

  const begun = (job: Job) =>
    eventually("the job runs", () => github.jobs.get(job.id).log.includes("started"));

  async function succeeds(job: Job): Promise<Job> {
    const done = await github.jobs.wait(job.id, 60_000);
    assert.equal(done.conclusion, "success", done.log);
    return done;
  }

  async function rebooted(): Promise<void> {
    const before = await run("cat /proc/sys/kernel/random/boot_id; stat -c %Y /run/systemd");
    await hosts.reboot(ID);
    await eventually("the host is up again", async () => {
      const { stdout, code } = await hosts
        .exec(ID, ["bash", "-c", "cat /proc/sys/kernel/random/boot_id; stat -c %Y /run/systemd"])
        .catch(() => ({ stdout: "", code: 1 }));
      return code === 0 && stdout !== before;
    });
    await booted(hosts, ID);
  }

  it("comes up, and stays as it is when it is told the same again", async () => {
    await apply(model());
    await everybody();
    const before = [online(), await run("docker ps --quiet --no-trunc | sort")];
    await apply(model());
    assert.deepEqual([online(), await run("docker ps --quiet --no-trunc | sort")], before);
    for (const name of online()) assert.match(name, /^dev-arm64-1-1-[12]-[a-z0-9]{6}$/);
  });

  it("is ready for the next job within seconds, in a clean container", async () => {
    const slots = (await status()).slots.map(({ runner }) => runner);
    const took: number[] = [];
    for (let round = 0; round < 3; round++) {
      const known = new Set(online());
      const job = await succeeds(
        enqueue("ls -A /home/runner/_work /tmp; touch /tmp/left; touch ../../left; id -un"),
      );
      assert.doesNotMatch(job.log, /left/);
      assert.match(job.log, /^runner$/m);
      await eventually("another runner is online", () => online().some((one) => !known.has(one)));
      took.push((Date.now() - job.completedAt!) / 1000);
    }
    console.log(`      ready again after ${took.map((one) => one.toFixed(1)).join(", ")} s`);
    assert.ok(Math.max(...took) < READY_SECONDS);
    assert.notDeepEqual(
      (await status()).slots.map(({ runner }) => runner),
      slots,
    );
    await everybody();
  });

  it("shows a job nothing that registers runners", async () => {
    const { log } = await succeeds(
      enqueue(
        [
          "env; tr '\\0' '\\n' </proc/self/environ; ls -la /run/buildkit /etc/runner-fleet 2>&1 || true",
          "if sudo rm -f /run/buildkit/buildkitd.sock; then exit 1; fi",
          "if curl -sS -m 3 http://kms:3000/healthz; then exit 1; fi",
          "grep CapBnd /proc/self/status",
        ].join("\n"),
      ),
    );
    assert.ok(!log.includes(PASSWORD) && !log.includes(github.tokens.admin));
    assert.doesNotMatch(log, /JITCONFIG|token-service/);
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, NET_BIND_SERVICE, AUDIT_WRITE, SETFCAP.
    assert.match(log, /^CapBnd:\s00000000a00004fb$/m);
    await everybody();
    const shown = await run("ps axww -o args; journalctl --no-pager; docker inspect runner-1");
    assert.ok(shown.includes("runner-slot@1"));
    assert.ok(!shown.includes(PASSWORD) && !shown.includes("encoded_jit_config"));
  });

  it("waits for jobs when it is drained, and leaves no runner behind; twice is harmless", async () => {
    const job = enqueue("echo started; sleep 6");
    await begun(job);
    await run("/opt/runner-fleet/bin/drain 60");
    assert.equal(github.jobs.get(job.id).conclusion, "success");
    assert.deepEqual(github.runners("acme"), []);
    assert.deepEqual(await states(), ["drained", "drained"]);
    await run("/opt/runner-fleet/bin/drain 60");
    const waiting = enqueue("true");
    await run("/opt/runner-fleet/bin/undrain");
    await succeeds(waiting);
    await everybody();
  });

  it("takes up work again by itself when whoever drained it does not come back", async () => {
    await run("/opt/runner-fleet/bin/drain 60");
    const lease = await run("systemctl show --property NextElapseUSecMonotonic runner-lease.timer");
    assert.match(lease, /=\d+min|=\d+h/);
    // Its time comes.
    await run("systemctl start runner-lease.service");
    await everybody();
  });

  it("drains on shutdown, and has everybody back after a reboot", async () => {
    const job = enqueue("echo started; sleep 8");
    await begun(job);
    await rebooted();
    assert.equal(github.jobs.get(job.id).conclusion, "success");
    await everybody();
    await succeeds(enqueue("true"));
    await everybody();
  });

  it("clears up after a crash", async () => {
    const before = online();
    await hosts.kill(ID);
    await hosts.powerOff(ID);
    await hosts.powerOn(ID);
    await booted(hosts, ID);
    await everybody();
    assert.ok(online().every((name) => !before.includes(name)));
  });

  it("keeps cache mounts over a reboot and a change of the stack", async () => {
    assert.match((await succeeds(enqueue(CACHE_BUILD, { RUN: "one" }))).log, /before: *$/m);
    await rebooted();
    await everybody();
    assert.match((await succeeds(enqueue(CACHE_BUILD, { RUN: "two" }))).log, /before: one$/m);
    await everybody();
    const daemon = await run("docker compose -p runner-fleet ps --quiet buildkit");
    await apply(model({ buildCachePercent: 50 }));
    assert.notEqual(await run("docker compose -p runner-fleet ps --quiet buildkit"), daemon);
    assert.match((await succeeds(enqueue(CACHE_BUILD, { RUN: "three" }))).log, /before: two$/m);
    await everybody();
  });

  it("prunes without touching a build that runs", async () => {
    const job = enqueue(`echo started\n${CACHE_BUILD}`, { RUN: "four", PAUSE: "6" });
    await begun(job);
    await run("docker create --name stale ghcr.io/actions/actions-runner:latest true >/dev/null");
    await run("docker volume create >/dev/null; rm -f /run/runner-fleet/pruned");
    await guardBy({ GUARD_PRUNE_BELOW: 101 });
    await eventually(
      "volumes are pruned",
      async () => (await run("docker volume ls --quiet")) === "runner-fleet_buildkit\n",
    );
    await guardBy({});
    assert.match((await succeeds(job)).log, /before: three$/m);
    // Too young to go.
    await run("docker rm stale");
    await everybody();
  });

  it("drains before the disk is full, and takes up work when there is space", async () => {
    const job = enqueue("echo started; sleep 5");
    await begun(job);
    await run("/opt/runner-fleet/bin/drain 60 2");
    await guardBy({ GUARD_DRAIN_BELOW: 101, GUARD_RESUME_ABOVE: 101 });
    await eventually("the slots are drained", async () =>
      (await states()).every((state) => state === "drained"),
    );
    assert.equal(github.jobs.get(job.id).conclusion, "success");
    await guardBy({});
    await eventually("the slot is back", async () => (await states())[0] === "listening");
    // An operator's drain is an operator's to end.
    assert.deepEqual(
      (await status()).slots.map(({ drainedBy }) => drainedBy),
      [null, "operator"],
    );
    await run("/opt/runner-fleet/bin/undrain");
    await everybody();
  });

  it("ends the job that fills the disk, and no other", async () => {
    const modest = enqueue("echo started; sleep 8");
    await begun(modest);
    const greedy = enqueue("head -c 50M /dev/zero >file; echo started; sleep 60");
    await begun(greedy);
    await guardBy({ GUARD_KILL_BELOW: 101 });
    await eventually("a job is ended", async () =>
      (await run("journalctl --no-pager -u runner-guard.service")).includes("its job is ended"),
    );
    await guardBy({});
    await succeeds(modest);
    const { runner } = github.jobs.get(greedy.id);
    const slot = /^dev-arm64-1-1-(\d)-/.exec(runner!)![1];
    assert.match(
      await run("journalctl --no-pager -u runner-guard.service"),
      new RegExp(`slot ${slot}: its job is ended: .* its work folder is the largest`),
    );
    github.jobs.cancel(greedy.id);
    await eventually("both slots listen", async () =>
      (await states()).every((state) => state === "listening"),
    );
  });

  it("backs off in a crash loop, shows it, and recovers by itself", async () => {
    await run("docker stop runner-fleet-kms-1; docker kill runner-1 runner-2");
    await eventually("it backs off", async () =>
      (await status()).slots.every(
        ({ state, failures }) => state === "backing-off" && failures >= 2,
      ),
    );
    await run("docker start runner-fleet-kms-1");
    await everybody();
    await succeeds(enqueue("true"));
    await everybody();
  });

  it("says what is missing when a runner does not come online", async () => {
    await run("docker stop runner-fleet-kms-1");
    await run("/opt/runner-fleet/bin/drain 30; docker rm --force runner-fleet-kms-1");
    // Another password than the service's.
    await run("sed -i.good 's/fleet:/fleet:x/' /etc/runner-fleet/token-service.curl");
    const { code, stderr } = await hosts.exec(
      ID,
      ["/opt/runner-fleet/bin/converge", "2", "30", "12"],
      { timeoutMs: 90_000 },
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^slot 1 is not online after 12 s: (starting|backing-off), failed \d times/m,
    );
    assert.match(stderr, /is not registered: the token service answers 401/);
    await run("mv /etc/runner-fleet/token-service.curl.good /etc/runner-fleet/token-service.curl");
    await run("/opt/runner-fleet/bin/converge 2 30 120");
    await everybody();
  });

  const knatnetwork = (): RunnerStackModel["tokenService"] => ({
    placement: "colocated",
    service: {
      ...service,
      implementation: "knatnetwork",
      image: KNATNETWORK_KMS_IMAGE,
      credential: { kind: "pat", token: github.tokens.admin },
    },
  });
  const origin = {
    image: runnerImage("knatnetwork", VERSION),
    runnerImage: "knatnetwork",
  } as const;

  for (const [what, change] of [
    ["the origin's image with our token service", () => origin],
    ["the origin's image with its own", () => ({ ...origin, tokenService: knatnetwork() })],
    ["GitHub's image with the origin's token service", () => ({ tokenService: knatnetwork() })],
  ] as const) {
    it(`runs ${what}, changed in place: the job that runs ends first`, async () => {
      const job = enqueue("echo started; sleep 5");
      await begun(job);
      await apply(model(change()));
      assert.equal(github.jobs.get(job.id).conclusion, "success");
      await everybody();
      const next = enqueue("echo started; sleep 4; pwd");
      await begun(next);
      await run("/opt/runner-fleet/bin/drain 60");
      assert.match((await succeeds(next)).log, /^\/home\/runner\/_work\//m);
      assert.deepEqual(github.runners("acme"), []);
      await run("/opt/runner-fleet/bin/undrain");
      await everybody();
    });
  }

  it("takes slots out of service, and back", async () => {
    await apply(model({ runners: 1 }));
    await everybody(1);
    await apply(model({ runners: 2 }));
    await everybody();
  });
});
