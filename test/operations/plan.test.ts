import assert from "node:assert/strict";
import { RUNNER_VERSION } from "../../components/pins/pins";
import type { Report } from "../../components/plan/report";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { type LocalStack, openStack } from "../../local-cloud/pulumi";
import { plan as runPlan } from "./planning";

const SECRET = "a-password-that-nobody-may-see";

describe("npm run plan, on the real engine", function () {
  this.timeout("5m");
  let cloud: LocalCloud;
  let stack: LocalStack;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    stack = await openStack(cloud);
    await stack.configure({ "pools.arm64.count": 2 });
    const { code, output } = await stack.run("up");
    assert.equal(code, 0, output);
  });
  after(async () => {
    await stack?.remove();
    assert.deepEqual(cloud?.traffic.takeSurprises(), []);
    await cloud?.close();
  });

  const plan = (...args: string[]) => runPlan(cloud, stack, args, [SECRET]);

  it("ends with 0 where nothing changes", async () => {
    const { code, text } = await plan();
    assert.equal(
      text,
      "- all servers a month, without VAT: 28.47 EUR, without a budget\n\nPlan of dev: no change.\n",
    );
    assert.equal(code, 0);
  });

  it("ends with 2 for changes, with prices, drains, and names of secrets and workflows", async () => {
    await stack.configure({
      "pools.arm64.count": 3,
      "pools.arm64.serverTypes": ["cax31"],
      "targets.webppt.tags": ["latest"],
    });
    // No runner has all of these labels, so that it waits.
    cloud.github.jobs.enqueue({
      repository: `${cloud.organization}/webppt`,
      name: "large",
      runsOn: ["self-hosted", "docker", "webpcloud", "large"],
      script: "true",
    });
    await stack.configureSecret("secrets.REGISTRY_PASSWORD.value", SECRET);
    const { code, text } = await plan();
    assert.equal(
      text,
      `CHANGE   SERVER         TYPE     LOCATION  ORDERABLE NOW            A MONTH  MORE    JOBS
rescale  dev-arm64-1-1  cax21    fsn1      fsn1, nbg1, hel1         21.49    +10.50  0
                        → cax31            again: fsn1, nbg1, hel1
rescale  dev-arm64-1-2  cax21    fsn1      fsn1, nbg1, hel1         21.49    +10.50  0
                        → cax31            again: fsn1, nbg1, hel1
create   dev-arm64-1-3  cax31    fsn1      fsn1, nbg1, hel1         21.49    +21.49  0

- dev-arm64-1-1 is drained before: jobs that run on it have up to 1 h
- dev-arm64-1-2 is drained before: jobs that run on it have up to 1 h
- pool arm64: 1 job waits for its labels
- secret REGISTRY_PASSWORD: update
- workflow .github/workflows/image.yml in acme/webppt: update
- other resources: 5 create, 2 update
- servers: 3 now, up to 4 during the run, 4 after it; Hetzner's API does not tell the project's
  limit, the console does
- all servers a month, without VAT: 28.47 → 70.96 (+42.49) EUR, without a budget

Plan of dev: changes; servers: 1 created, 2 rescaled.
`,
    );
    assert.equal(code, 2);
  });

  it("ends with 3 for a change over the budget", async () => {
    await stack.configure({ "budget.monthlyEur": 60 });
    const { code, text } = await plan("--json");
    const report = JSON.parse(text) as Report;
    assert.deepEqual(report.blocks, [
      {
        reason: "budget",
        sentence:
          "the servers cost 70.96 EUR a month after it, more than the 60.00 EUR of budget.monthlyEur",
        allowed: false,
      },
    ]);
    assert.deepEqual(report.cost, {
      currency: "EUR",
      before: "28.47",
      after: "70.96",
      change: "+42.49",
      budget: "60.00",
    });
    assert.equal(code, 3);
  });

  it("ends with 3 where hosts go that could not be ordered again, and with 2 where that is allowed", async () => {
    await stack.configure({ "pools.arm64.count": 1, "pools.arm64.serverTypes": ["cax21"] });
    cloud.hetzner.setStock("cax21", "fsn1", false);
    const refused = await plan();
    assert.match(
      refused.text,
      /^ {2}- stock: dev-arm64-1-2 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its\n {4}place again$/m,
    );
    assert.match(refused.text, /^Plan of dev: blocked by stock; servers: 1 deleted\.$/m);
    assert.equal(refused.code, 3);
    const allowed = await plan("--allow", "stock", "--markdown");
    assert.equal(
      allowed.text,
      `<!-- plan of runner-fleet/dev -->

### Plan of dev: changes; servers: 1 deleted.

| change | server | type | location | orderable now | a month | more | jobs |
| --- | --- | --- | --- | --- | --- | --- | --- |
| delete | \`dev-arm64-1-2\` | \`cax21\` | \`fsn1\` | \`again: nbg1, hel1\` | \`0.00\` | \`-10.99\` | \`0\` |

- dev-arm64-1-2 is drained before: jobs that run on it have up to 1 h
- pool arm64: 1 job waits for its labels
- secret REGISTRY\\_PASSWORD: update
- workflow .github/workflows/image.yml in acme/webppt: update
- other resources: 5 delete
- servers: 3 now, up to 3 during the run, 2 after it; Hetzner's API does not tell the project's limit, the console does
- all servers a month, without VAT: 28.47 → 17.48 (-10.99) EUR, of a budget of 60.00 EUR

**Warnings of the program**

- runner-fleet:pools.arm64.serverTypes: cax21 cannot be ordered in fsn1 at the moment, but it can in nbg1 or hel1.

**Against it, unless --allow names the reason**

- stock (allowed): dev-arm64-1-2 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again
`,
    );
    assert.equal(allowed.code, 2);
  });

  it("ends with 3 and the program's sentence where GitHub does not serve the runners any more", async () => {
    cloud.hetzner.setStock("cax21", "fsn1", true);
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, {
      registrationDeprecatesAt: new Date("2026-01-01"),
    });
    const { code, text } = await plan();
    assert.equal(
      text,
      `There is no preview:
  - runner-fleet:pools.arm64.runner.version: found "${RUNNER_VERSION}", which GitHub does not serve since
    2026-01-01, expected a newer release of GitHub's runner program.

Reasons, which --allow does not help against:
  - runner-version: pool arm64: GitHub does not serve ${RUNNER_VERSION} since 2026-01-01

Plan of dev: blocked by runner-version; the program refuses to run.
`,
    );
    assert.equal(code, 3);
  });
});
