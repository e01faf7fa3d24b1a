import assert from "node:assert/strict";
import { RUNNER_VERSION } from "../../components/pins/pins";
import type { Report } from "../../components/plan/report";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { type LocalStack, openStack } from "../../local-cloud/pulumi";
import { foresee as foreseeOf } from "./planning";

/** Each case goes on where the last one ended: plan first, then what really happens. */
describe("what plan says before, and what happens after, on the real engine", function () {
  this.timeout("5m");
  this.bail(true);
  let cloud: LocalCloud;
  let stack: LocalStack;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    stack = await openStack(cloud);
  });
  after(async () => {
    await stack?.remove();
    assert.deepEqual(cloud?.traffic.takeSurprises(), []);
    await cloud?.close();
  });

  const foresee = (...args: string[]) => foreseeOf(cloud, stack, ...args);

  const sentences = ({ blocks }: Report) =>
    blocks.map(({ reason, sentence }) => `${reason}: ${sentence}`);
  const servers = () =>
    [...cloud.hetzner.state.servers.values()]
      .map(({ name, serverType, location }) => `${name} ${serverType} ${location}`)
      .sort();

  async function up(): Promise<string> {
    const { code, output } = await stack.run("up");
    assert.equal(code, 0, output);
    return output;
  }

  it("out of stock everywhere: there is no preview, and up makes nothing", async () => {
    for (const location of ["fsn1", "nbg1", "hel1"]) {
      cloud.hetzner.setStock("cax21", location, false);
    }
    const { code, report } = await foresee();
    assert.deepEqual([code, report.outcome], [3, "blocked"]);
    assert.match(report.problems.join(), /^runner-fleet:pools\.arm64: .*cax21/);
    const refused = await stack.run("up");
    assert.notEqual(refused.code, 0);
    for (const problem of report.problems) assert.ok(refused.output.includes(problem), problem);
    assert.deepEqual(servers(), []);
  });

  it("out of stock in the first location: what is ordered is what was foreseen", async () => {
    await stack.configure({ "pools.arm64.locations": ["fsn1", "nbg1"] });
    cloud.hetzner.setStock("cax21", "nbg1", true);
    const { code, changes } = await foresee();
    assert.equal(code, 2);
    assert.deepEqual(changes, [
      "create dev-arm64-1-1 cax21 nbg1",
      "create dev-token-service cax11 fsn1",
    ]);
    await up();
    assert.deepEqual(servers(), ["dev-arm64-1-1 cax21 nbg1", "dev-token-service cax11 fsn1"]);
    assert.equal((await foresee()).code, 0);
  });

  it("a price rise: it is in the cost of what is new, and over the budget", async () => {
    await stack.configure({ "budget.monthlyEur": 30, "pools.arm64.count": 2 });
    assert.equal((await foresee()).report.cost?.after, "28.47");
    cloud.hetzner.setPrice("cax21", "nbg1", 14.49);
    const { code, report } = await foresee();
    assert.deepEqual(sentences(report), [
      "budget: the servers cost 36.47 EUR a month after it, more than the 30.00 EUR of budget.monthlyEur",
    ]);
    assert.equal(code, 3);
    // Whoever decides that it is worth that gets what was foreseen.
    const decided = await foresee("--allow", "budget");
    assert.deepEqual([decided.code, decided.changes], [2, ["create dev-arm64-1-2 cax21 nbg1"]]);
    await up();
    const { monthlyCost } = (await stack.outputs()) as { monthlyCost: { net: string } };
    assert.equal(monthlyCost.net, decided.report.cost?.after);
  });

  it("a rescale up and down: drained as was said, the same servers, and no way back without stock", async () => {
    const ids = [...cloud.hetzner.state.servers.keys()].sort();
    await stack.configure({
      "budget.monthlyEur": undefined,
      "pools.arm64.serverTypes": ["cax31"],
    });
    assert.equal((await foresee()).code, 2);
    await up();
    await stack.configure({ "pools.arm64.serverTypes": ["cax21"] });
    cloud.hetzner.setStock("cax31", "nbg1", false);
    const { code, report, changes } = await foresee();
    assert.deepEqual(changes, [
      "rescale dev-arm64-1-1 cax21 nbg1",
      "rescale dev-arm64-1-2 cax21 nbg1",
    ]);
    assert.deepEqual(report.drains.map(({ server }) => server).sort(), [
      "dev-arm64-1-1",
      "dev-arm64-1-2",
    ]);
    assert.ok(sentences(report).every((one) => one.startsWith("stock: ")));
    assert.deepEqual([code, report.blocks.length], [3, 2]);
    await up();
    assert.deepEqual([...cloud.hetzner.state.servers.keys()].sort(), ids);
    assert.deepEqual(servers(), [
      "dev-arm64-1-1 cax21 nbg1",
      "dev-arm64-1-2 cax21 nbg1",
      "dev-token-service cax11 fsn1",
    ]);
  });

  it("a version near its end is warned of, and past its end refused by both", async () => {
    const days = (count: number) => new Date(Date.now() + count * 86_400_000);
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, { runtimeDeprecatesAt: days(10) });
    const near = await foresee();
    assert.deepEqual([near.code, near.report.outcome], [0, "unchanged"]);
    assert.match(near.report.warnings.join(), new RegExp(RUNNER_VERSION));
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, { runtimeDeprecatesAt: days(-1) });
    await stack.configure({ "pools.arm64.count": 1 });
    const past = await foresee();
    assert.deepEqual([past.code, past.report.blocks[0]?.reason], [3, "runner-version"]);
    const before = servers();
    const refused = await stack.run("up");
    assert.notEqual(refused.code, 0);
    for (const problem of past.report.problems) assert.ok(refused.output.includes(problem));
    assert.deepEqual(servers(), before);
  });
});
