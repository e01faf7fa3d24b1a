import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FleetStatus } from "../../components/status/model";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import { finishedWell, Scene, slotOf } from "../../local-cloud/story";

const ROOT = join(__dirname, "../..");

/** `npm run status` on a fleet of thin hosts, against what the simulators have. */
describe("status of a fleet, on the real engine and real providers", function () {
  this.timeout("2m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;
  let folder: string;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    scene = await Scene.open(cloud);
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-status-"));
    await scene.stack.configure({ budget: { monthlyEur: 60 } });
    await scene.pulumi("up");
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
    if (folder !== undefined) await rm(folder, { recursive: true });
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  const status = async (...args: string[]) => {
    const { environment } = scene.stack;
    const script = ["--import", "tsx", "scripts/status.ts", "--stack", "dev", ...args];
    const config = ["--config-file", scene.stack.configFile];
    const found = await run(process.execPath, [...script, ...config], {
      cwd: ROOT,
      env: environment,
    });
    return { code: found.code, stdout: found.stdout, stderr: found.stderr };
  };
  const read = async (...args: string[]): Promise<FleetStatus> => {
    const { code, stdout, stderr } = await status("--json", ...args);
    assert.deepEqual([code, stderr], [0, ""]);
    return JSON.parse(stdout) as FleetStatus;
  };

  /** Between two jobs a slot has no runner. */
  const bothIdle = () =>
    scene.until(
      "both runners are online",
      () =>
        cloud.github
          .runners(cloud.organization)
          .filter(({ status: is, busy }) => is === "online" && !busy).length === 2,
    );

  it("says what the simulators have", async () => {
    const job = await finishedWell(scene, scene.arm64Job("echo built"));
    await bothIdle();
    const found = await read();
    const [host, service] = found.hosts;
    const server = [...cloud.hetzner.state.servers.values()].find(
      ({ name }) => name === "dev-arm64-1-1",
    )!;
    assert.deepEqual(
      found.hosts.map(({ name, pool, server: is }) => [name, pool, is]),
      [
        ["dev-arm64-1-1", "arm64", "running"],
        ["dev-token-service", null, "running"],
      ],
    );
    assert.equal(service?.reason, "runs no jobs");
    assert.equal(host?.serverType, server.serverType);
    assert.equal(host.location, server.location);
    assert.equal(Date.parse(host.createdAt!), Math.floor(server.created.getTime() / 1000) * 1000);
    assert.deepEqual([host.reach, host.online, host.busy], ["answers", 2, 0]);
    assert.deepEqual(
      host.slots.map(({ slot, state, runner }) => [slot, state, runner]),
      [1, 2].map((slot) => {
        const names = cloud.github.runners(cloud.organization).map(({ name }) => name);
        return [slot, "listening", names.find((name) => slotOf(name).endsWith(`-${slot}`))];
      }),
    );
    assert.ok(host.diskSizeBytes! > host.diskFreeBytes!);
    assert.deepEqual(found.routing.values, [{ repository: null, goes: "own" }]);
    assert.deepEqual(found.drift, []);
    assert.deepEqual(found.problems, []);
    assert.deepEqual(
      found.jobs?.done.map(({ id, repository, on, runner, conclusion }) => ({
        id,
        repository,
        on,
        runner,
        conclusion,
      })),
      [
        {
          id: job.id,
          repository: "webppt",
          on: "own",
          runner: job.runner,
          conclusion: "success",
        },
      ],
    );
    // One hour has begun: (10.49 + 5.99 + 2 × 0.50) / 624 = 0.0280…
    assert.deepEqual(
      [found.costs?.soFar.net, found.costs?.monthly, found.costs?.budget, found.costs?.overBudget],
      ["0.03", "17.48", "60.00", false],
    );
    assert.deepEqual(
      [found.costs?.breakEven?.jobs, found.costs?.breakEven?.privateMinutes],
      [1, 1],
    );
  });

  it("shows jobs that run and wait", async () => {
    const go = join(folder, "go");
    const jobs = [1, 2, 3].map(() => scene.arm64Job(`until [ -e ${go} ]; do sleep 0.1; done`));
    await scene.until(
      "two jobs run",
      () =>
        jobs.filter(({ id }) => cloud.github.jobs.get(id).status === "in_progress").length === 2,
    );
    const found = await read();
    assert.deepEqual([found.jobs?.running.length, found.jobs?.queued.length], [2, 1]);
    assert.deepEqual([found.hosts[0]?.online, found.hosts[0]?.busy], [2, 2]);
    assert.deepEqual(
      found.hosts[0]?.slots.map(({ state }) => state),
      ["working", "working"],
    );
    assert.equal(found.jobs?.queued[0]?.on, "own");
    await writeFile(go, "");
    for (const job of jobs) await finishedWell(scene, job);
  });

  it("prints a table that fits, and writes a page", async () => {
    await bothIdle();
    const { code, stdout, stderr } = await status();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^Stack dev of acme, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n/);
    assert.match(stdout, /^ {2}dev-arm64-1-1 +cax21 +fsn1 +2 listening +2\/0 /m);
    assert.match(stdout, /^ {2}ARM64_RUNS_ON sends jobs to pool arm64\.$/m);
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 100),
      [],
    );
    const file = join(folder, "status.html");
    assert.deepEqual(await status("--html", file), { code: 0, stdout: "", stderr: "" });
    assert.match(await readFile(file, "utf8"), /<h4 class="good">dev-arm64-1-1<\/h4>/);
  });

  it("sees what was changed behind the stack's back, and a host that does not answer", async () => {
    await cloud.hetzner.killHost("dev-arm64-1-1");
    const runnersUrl = `${scene.stack.environment.GITHUB_BASE_URL}orgs/acme/actions/variables/ARM64_RUNS_ON`;
    const answer = await fetch(runnersUrl, {
      method: "DELETE",
      headers: { authorization: `Bearer ${scene.stack.environment.GITHUB_TOKEN}` },
    });
    assert.equal(answer.status, 204);
    const found = await read();
    assert.equal(found.hosts[0]?.reach, "unreachable");
    assert.equal(found.hosts[0]?.reason, "nobody answers SSH");
    assert.deepEqual(found.routing.values, [{ repository: null, goes: "hosted" }]);
    assert.deepEqual(found.drift, ["Variable ARM64_RUNS_ON is gone."]);
  });

  it("shows the rest where one API refuses", async () => {
    cloud.traffic.addFault({
      side: "hetzner",
      method: "GET",
      path: /^\/pricing$/,
      effect: { kind: "respond", status: 403, body: { error: { message: "forbidden" } } },
    });
    const found = await read();
    assert.equal(found.costs, null);
    const at = scene.stack.environment.HCLOUD_ENDPOINT;
    assert.deepEqual(found.problems, [
      `Hetzner's API at ${at} answered 403 to GET /pricing (forbidden).`,
    ]);
    assert.equal(found.hosts.length, 2);
  });

  for (const [args, says] of [
    [["10"], "Unexpected argument '10', expected what `npm run status -- --help` lists.\n"],
    [["--watch", "1"], '--watch: found "1", expected a whole number from 5 to 3600.\n'],
    [["--watch", "--json"], "--watch: found --json beside it, expected one of the two.\n"],
    [["--runs", "0"], '--runs: found "0", expected a whole number from 1 to 1000.\n'],
    [
      ["--usd-per-eur=-1"],
      '--usd-per-eur: found "-1", expected a decimal number above 0 such as 1.16.\n',
    ],
    [
      ["--usd-per-eur", "0"],
      '--usd-per-eur: found "0", expected a decimal number above 0 such as 1.16.\n',
    ],
    [["--what"], "Unknown option '--what', expected what `npm run status -- --help` lists.\n"],
  ] as const) {
    it(`refuses ${args.join(" ")} in one sentence`, async () => {
      const { code, stdout, stderr } = await status(...args);
      assert.deepEqual([code, stdout, stderr], [1, "", says]);
    });
  }
});
