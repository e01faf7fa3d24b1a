import assert from "node:assert/strict";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import {
  expectNothingLeft,
  expectOnline,
  finishedWell,
  Scene,
  slotOf,
} from "../../local-cloud/story";

/** The life of a fleet in short where no system can be booted. The whole of it is in lifecycle.test.ts. */
describe("a fleet on thin hosts, on the real engine and real providers", function () {
  this.timeout("1m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    scene = await Scene.open(cloud);
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  const first = ["dev-arm64-1-1-1", "dev-arm64-1-1-2"];
  const second = ["dev-arm64-1-2-1", "dev-arm64-1-2-2"];

  it("comes up", async () => {
    await scene.pulumi("up");
    await expectOnline(scene, first);
  });

  it("runs a job on its host, in a runner that is gone afterwards", async () => {
    const before = cloud.github.runners(cloud.organization).map(({ id }) => id);
    const script = 'echo "on $(basename "$PWD") by $RUNNER_NAME"';
    const job = await finishedWell(scene, scene.arm64Job(script));
    assert.equal(job.runnerKind, "self-hosted");
    assert.ok(first.includes(slotOf(job.runner ?? "")));
    assert.match(job.log, /on webppt by dev-arm64-1-1-[12]-[a-z0-9]{6}/);
    await scene.until("the runner of the job is another one", () => {
      const now = cloud.github.runners(cloud.organization);
      return now.length === 2 && now.filter(({ id }) => before.includes(id)).length === 1;
    });
    await expectOnline(scene, first);
  });

  it("finds nothing to do in a second preview", async () => {
    const { steps } = await scene.pulumi("preview", "--expect-no-changes");
    assert.deepEqual(steps, []);
  });

  it("grows by a host", async () => {
    await scene.stack.configure({ "pools.arm64.count": 2 });
    await scene.pulumi("up");
    await expectOnline(scene, [...first, ...second]);
  });

  it("shrinks while every runner works, and every job ends well", async () => {
    const jobs = [1, 2, 3, 4].map(() => scene.arm64Job("sleep 4"));
    await scene.until("four jobs run", () =>
      jobs.every(({ id }) => cloud.github.jobs.get(id).status === "in_progress"),
    );
    await scene.stack.configure({ "pools.arm64.count": 1 });
    await scene.pulumi("up");
    const ranOn = [];
    for (const job of jobs) ranOn.push(slotOf((await finishedWell(scene, job)).runner ?? ""));
    assert.deepEqual(ranOn.sort(), [...first, ...second]);
    assert.deepEqual(Object.keys(scene.servers()).sort(), ["dev-arm64-1-1", "dev-token-service"]);
    await expectOnline(scene, first);
  });

  it("goes without a trace", async () => {
    await scene.pulumi("destroy");
    expectNothingLeft(scene);
  });
});
