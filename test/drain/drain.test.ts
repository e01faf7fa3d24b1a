import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import type { Job } from "../../local-cloud/github";
import { expectNothingLeft, Scene, slotOf } from "../../local-cloud/story";

const JOBS = 1000;
/** Jobs that are queued or run at a time: more than there are runners, so that none of them is ever idle for long. */
const AT_ONCE = 14;
const ROUNDS = 5;

type Change = readonly [kind: string, settings: Readonly<Record<string, unknown>>];

/** One round: a host comes and goes, the one that stays is changed in place, then replaced. */
function round(index: number): Change[] {
  return [
    ["scale-up", { "pools.arm64.count": 3 }],
    ["scale-down", { "pools.arm64.count": 1 }],
    ["rescale", { "pools.arm64.serverTypes": ["cax31"] }],
    // Down again fits, since a rescale leaves the disk as it is.
    ["rescale", { "pools.arm64.serverTypes": ["cax21"] }],
    ["roll", { "pools.arm64.generation": index + 2 }],
  ];
}

const CHANGES = Array.from({ length: ROUNDS }, (_, index) => round(index)).flat();

/**
 * The promise of the drain under load: whatever `pulumi up` does to hosts, no job is lost. GitHub's "busy" lags as it is
 * known to, so what the drain goes by is what it sees on the host.
 */
describe("a thousand jobs while hosts come, change and go", function () {
  this.timeout("40m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;
  const jobs: number[] = [];
  let stopped = false;
  let load: Promise<void> = Promise.resolve();
  const done: Record<string, number> = {};
  let changed = 0;

  before(async () => {
    cloud = await startLocalCloud({
      startsWorkflows: false,
      jobs: { times: { busyLagMs: 30_000 }, faults: { deleteDuringLag: true } },
    });
    scene = await Scene.open(cloud);
    await scene.stack.configure({ "pools.arm64.runnersPerHost": 3 });
    await scene.pulumi("up");
  });
  after(async () => {
    stopped = true;
    await load.catch(() => undefined);
    await scene?.close();
    await cloud?.close();
  });

  const job = (id: number): Job => cloud.github.jobs.get(id);
  const unfinished = () => jobs.filter((id) => job(id).status !== "completed");

  /** Queues jobs as fast as they end: most are short, so that runners change all the time; some outlive a drain's first look. */
  async function keepBusy(): Promise<void> {
    while (!stopped && jobs.length < JOBS) {
      // Over all changes, as many to each.
      const due = Math.ceil((JOBS * (changed + 1)) / CHANGES.length);
      if (jobs.length < due && unfinished().length < AT_ONCE) {
        const seconds = jobs.length % 10 === 0 ? 6 : (jobs.length % 4) / 5;
        jobs.push(scene.arm64Job(`sleep ${seconds}; echo "done by $RUNNER_NAME"`).id);
      } else {
        await sleep(20);
      }
    }
  }

  function expectNoneLost(): void {
    const lost = jobs
      .map(job)
      .filter(({ status, conclusion }) => status === "completed" && conclusion !== "success");
    assert.deepEqual(
      lost.map(({ id, runner, conclusion, log }) => [id, runner, conclusion, log.slice(-300)]),
      [],
    );
  }

  /** No runner of a host that is gone, and none that stays offline: one that starts is offline for a moment. */
  async function expectNoGhosts(): Promise<void> {
    const hosts = Object.keys(scene.servers());
    const suspects = () =>
      cloud.github
        .runners(cloud.organization)
        .filter(
          ({ name, status }) =>
            status === "offline" || !hosts.some((host) => slotOf(name).startsWith(`${host}-`)),
        )
        .map(({ name }) => name);
    const first = suspects();
    await scene.until(
      `${first.join(", ")} are online or gone`,
      () => {
        const now = suspects();
        return !first.some((name) => now.includes(name));
      },
      60,
    );
  }

  it("begins to queue jobs", () => {
    load = keepBusy();
  });

  for (const [kind, settings] of CHANGES) {
    it(`${kind}: ${JSON.stringify(settings)}`, async () => {
      await scene.stack.configure(settings);
      await scene.pulumi("up");
      done[kind] = (done[kind] ?? 0) + 1;
      changed += 1;
      expectNoneLost();
      await expectNoGhosts();
    });
  }

  it("has done every job of a thousand, on our hosts", async () => {
    await load;
    await scene.until("every job is done", () => unfinished().length === 0, 900);
    expectNoneLost();
    assert.equal(jobs.length, JOBS);
    assert.deepEqual([...new Set(jobs.map((id) => job(id).runnerKind))], ["self-hosted"]);
    const { "scale-down": downs = 0, roll: rolls = 0, rescale: rescales = 0 } = done;
    assert.ok(downs + rolls + rescales >= 20);
    console.log(
      `      ${jobs.length} jobs over ${downs} scale-downs, ${rolls} rolls and ${rescales} rescales: 0 killed`,
    );
  });

  it("leaves no job waiting when the fleet goes: what is queued is done, what comes later is hosted", async () => {
    const queued = Array.from({ length: 8 }, () => scene.arm64Job("sleep 2"));
    const destroyed = scene.pulumi("destroy");
    const late = scene
      .until(
        "the routing variable is gone",
        () => !("ARM64_RUNS_ON" in cloud.github.variables(cloud.organization)),
        60,
      )
      .then(() => scene.arm64Job("echo late"));
    await destroyed;
    for (const { id } of queued) {
      assert.deepEqual([job(id).conclusion, job(id).runnerKind], ["success", "self-hosted"]);
    }
    const after = await scene.finished(await late);
    assert.deepEqual([after.conclusion, after.runnerKind], ["success", "hosted"]);
    expectNothingLeft(scene);
  });
});
