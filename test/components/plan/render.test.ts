import assert from "node:assert/strict";
import {
  commentMarker,
  jsonReport,
  markdownReport,
  textReport,
} from "../../../components/plan/render";
import type { Report } from "../../../components/plan/report";
import { UNCHANGED } from "./unchanged";

const at = (name: string, serverType = "cax21", location = "fsn1") => ({
  name,
  serverType,
  location,
});
const both = { serverType: "cax21", locations: ["fsn1", "nbg1"] };
const REPORT: Report = {
  stack: "dev",
  outcome: "blocked",
  blocks: [
    {
      reason: "stock",
      sentence:
        "dev-arm64-1-4 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again",
      allowed: false,
    },
    {
      reason: "budget",
      sentence:
        "the servers cost 21.98 EUR a month after it, more than the 20.00 EUR of budget.monthlyEur",
      allowed: true,
    },
  ],
  problems: [],
  warnings: ["fleet:pools.arm64.serverTypes: cax21 cannot be ordered in fsn1 at the moment."],
  notes: ["which jobs run and wait: GitHub refuses the token"],
  servers: [
    {
      change: "create",
      pool: "arm64",
      before: undefined,
      after: at("dev-arm64-2-3"),
      reasons: [],
      orderable: both,
      again: undefined,
      price: { after: "10.99", change: "+10.99" },
      running: 0,
    },
    {
      change: "roll",
      pool: "arm64",
      before: at("dev-arm64-1-1"),
      after: at("dev-arm64-2-1", "cax21", "nbg1"),
      reasons: [],
      orderable: both,
      again: undefined,
      price: { after: "10.99", change: "0.00" },
      running: 2,
    },
    {
      change: "rescale",
      pool: "arm64",
      before: at("dev-arm64-2-2"),
      after: at("dev-arm64-2-2", "cax31"),
      reasons: [],
      orderable: { serverType: "cax31", locations: ["fsn1", "hel1", "nbg1"] },
      again: both,
      price: { after: "21.49", change: "+10.50" },
      running: 1,
    },
    {
      change: "replace",
      pool: undefined,
      before: at("dev-token-service", "cax11"),
      after: at("dev-token-service", "cax11"),
      reasons: ["image"],
      orderable: { serverType: "cax11", locations: [] },
      again: undefined,
      price: { after: "6.49", change: "0.00" },
      running: 0,
    },
    {
      change: "delete",
      pool: "arm64",
      before: at("dev-arm64-1-4"),
      after: undefined,
      reasons: [],
      orderable: undefined,
      again: { serverType: "cax21", locations: [] },
      price: { after: "0.00", change: "-10.99" },
      running: undefined,
    },
  ],
  serverCount: { now: 4, most: 6, after: 4 },
  cost: { currency: "EUR", before: "39.46", after: "49.96", change: "+10.50", budget: "20.00" },
  drains: [
    { server: "dev-arm64-1-1", atMostSeconds: 3600 },
    { server: "dev-arm64-2-2", atMostSeconds: 90 },
  ],
  queues: [{ pool: "arm64", jobs: 1 }],
  secrets: [
    { change: "update", name: "REGISTRY_PASSWORD", what: "value" },
    { change: "update", name: "SEEN", what: "repositories" },
  ],
  workflows: [
    {
      change: "update",
      repository: "acme/webppt",
      path: ".github/workflows/image.yml",
      delivery: "pullRequest",
    },
    {
      change: "keep",
      repository: "acme/old",
      path: ".github/workflows/image.yml",
      delivery: "commit",
    },
  ],
  others: { create: 8, update: 3 },
};

describe("textReport", () => {
  it("is a table and what it has no room for", () => {
    assert.equal(
      textReport(REPORT),
      `CHANGE   SERVER             TYPE     LOCATION  ORDERABLE NOW      A MONTH  MORE    JOBS
create   dev-arm64-2-3      cax21    fsn1      fsn1, nbg1         10.99    +10.99  0
roll     dev-arm64-1-1      cax21    fsn1      fsn1, nbg1         10.99    0.00    2
         → dev-arm64-2-1             → nbg1
rescale  dev-arm64-2-2      cax21    fsn1      fsn1, hel1, nbg1   21.49    +10.50  1
                            → cax31            again: fsn1, nbg1
replace  dev-token-service  cax11    fsn1      nowhere            6.49     0.00    0
delete   dev-arm64-1-4      cax21    fsn1      again: nowhere     0.00     -10.99  ?

- dev-token-service is replaced for its image
- dev-arm64-1-1 is drained before: jobs that run on it have up to 1 h
- dev-arm64-2-2 is drained before: jobs that run on it have up to 90 s
- pool arm64: 1 job waits for its labels
- secret REGISTRY_PASSWORD: update
- secret SEEN: other repositories see it
- workflow .github/workflows/image.yml in acme/webppt: update by pull request
- workflow .github/workflows/image.yml in acme/old: stays there, no longer managed
- other resources: 8 create, 3 update
- servers: 4 now, up to 6 during the run, 4 after it; Hetzner's API does not tell the project's
  limit, the console does
- all servers a month, without VAT: 39.46 → 49.96 (+10.50) EUR, of a budget of 20.00 EUR

Warnings of the program:
  - fleet:pools.arm64.serverTypes: cax21 cannot be ordered in fsn1 at the moment.

Not known:
  - which jobs run and wait: GitHub refuses the token

Against it, unless --allow names the reason:
  - stock: dev-arm64-1-4 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its
    place again
  - budget (allowed): the servers cost 21.98 EUR a month after it, more than the 20.00 EUR of
    budget.monthlyEur

Plan of dev: blocked by stock; servers: 1 created, 1 replaced, 1 rescaled, 1 rolled, 1 deleted.
`,
    );
  });

  it("says in two lines that nothing changes", () => {
    assert.equal(
      textReport(UNCHANGED),
      `- all servers a month, without VAT: 17.48 EUR, without a budget

Plan of dev: no change.
`,
    );
  });

  it("has no more than 100 columns, however long names are", () => {
    const name = `${"production-of-the-east".repeat(3)}-1-1`;
    const servers = REPORT.servers.map((one) => ({
      ...one,
      before: one.before && { ...one.before, name },
      after: one.after && { ...one.after, name: name.replace("1-1", "2-1") },
      orderable: { serverType: "cax21", locations: ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"] },
    }));
    const lines = textReport({ ...REPORT, servers, drains: [] }).split("\n");
    assert.deepEqual(
      lines.filter((line) => line.length > 100),
      [],
    );
    const column = lines.slice(1).map((line) => line.slice(9).split(/ {2}/)[0]);
    assert.ok(column.join("").startsWith(name.replace("1-1", "2-1")), lines.join("\n"));
  });

  for (const [what, change, says] of [
    ["a preview that failed", { outcome: "failed" }, "Plan of dev: the preview failed."],
    [
      "what the program refuses",
      {
        outcome: "blocked",
        problems: ["fleet:a: no."],
        blocks: [{ reason: "runner-version", sentence: "it ended", allowed: false }],
      },
      "Plan of dev: blocked by runner-version; the program refuses to run.",
    ],
    ["changes of no server", { outcome: "changes" }, "Plan of dev: changes; no server touched."],
  ] as const) {
    it(`ends with the outcome of ${what}`, () => {
      assert.equal(
        textReport({ ...UNCHANGED, ...change })
          .trimEnd()
          .split("\n")
          .at(-1),
        says,
      );
    });
  }

  it("does not promise that --allow helps where the program itself refuses", () => {
    const blocks = [{ reason: "stock", sentence: "nothing is left", allowed: false }] as const;
    const text = textReport({
      ...UNCHANGED,
      outcome: "blocked",
      problems: ["fleet:a: no."],
      blocks,
    });
    assert.ok(
      text.includes("Reasons, which --allow does not help against:\n  - stock: nothing is left\n"),
      text,
    );
  });

  it("says what is not known", () => {
    const cost = { ...REPORT.cost!, currency: "USD" };
    const queues = [{ pool: "arm64", jobs: undefined }];
    const text = textReport({ ...UNCHANGED, cost, queues });
    assert.match(text, /^- pool arm64: GitHub does not say how many jobs wait$/m);
    assert.match(text, /USD, which cannot be compared with the\n {2}budget of 20\.00 EUR$/m);
  });
});

describe("markdownReport", () => {
  it("begins with the marker of its comment", () => {
    assert.equal(
      markdownReport(REPORT, "runner-fleet"),
      `<!-- plan of runner-fleet/dev -->

### Plan of dev: blocked by stock; servers: 1 created, 1 replaced, 1 rescaled, 1 rolled, 1 deleted.

| change | server | type | location | orderable now | a month | more | jobs |
| --- | --- | --- | --- | --- | --- | --- | --- |
| create | \`dev-arm64-2-3\` | \`cax21\` | \`fsn1\` | \`fsn1, nbg1\` | \`10.99\` | \`+10.99\` | \`0\` |
| roll | \`dev-arm64-1-1 → dev-arm64-2-1\` | \`cax21\` | \`fsn1 → nbg1\` | \`fsn1, nbg1\` | \`10.99\` | \`0.00\` | \`2\` |
| rescale | \`dev-arm64-2-2\` | \`cax21 → cax31\` | \`fsn1\` | \`fsn1, hel1, nbg1 again: fsn1, nbg1\` | \`21.49\` | \`+10.50\` | \`1\` |
| replace | \`dev-token-service\` | \`cax11\` | \`fsn1\` | \`nowhere\` | \`6.49\` | \`0.00\` | \`0\` |
| delete | \`dev-arm64-1-4\` | \`cax21\` | \`fsn1\` | \`again: nowhere\` | \`0.00\` | \`-10.99\` | \`?\` |

- dev-token-service is replaced for its image
- dev-arm64-1-1 is drained before: jobs that run on it have up to 1 h
- dev-arm64-2-2 is drained before: jobs that run on it have up to 90 s
- pool arm64: 1 job waits for its labels
- secret REGISTRY\\_PASSWORD: update
- secret SEEN: other repositories see it
- workflow .github/workflows/image.yml in acme/webppt: update by pull request
- workflow .github/workflows/image.yml in acme/old: stays there, no longer managed
- other resources: 8 create, 3 update
- servers: 4 now, up to 6 during the run, 4 after it; Hetzner's API does not tell the project's limit, the console does
- all servers a month, without VAT: 39.46 → 49.96 (+10.50) EUR, of a budget of 20.00 EUR

**Warnings of the program**

- fleet:pools.arm64.serverTypes: cax21 cannot be ordered in fsn1 at the moment.

**Not known**

- which jobs run and wait: GitHub refuses the token

**Against it, unless --allow names the reason**

- stock: dev-arm64-1-4 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again
- budget (allowed): the servers cost 21.98 EUR a month after it, more than the 20.00 EUR of budget.monthlyEur
`,
    );
    assert.equal(commentMarker("runner-fleet", "dev"), "<!-- plan of runner-fleet/dev -->");
  });

  it("takes the words of others for text", () => {
    const problems = ["<img src=x> @acme/all `rm` [a](b) | *b*"];
    const text = markdownReport({ ...UNCHANGED, outcome: "failed", problems }, "fleet");
    assert.ok(
      text.includes("- \\<img src=x\\> &#64;acme/all \\`rm\\` \\[a\\](b) \\| \\*b\\*\n"),
      text,
    );
  });
});

describe("jsonReport", () => {
  it("is the report itself", () => {
    const text = jsonReport(REPORT);
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(REPORT)));
    assert.ok(text.endsWith("}\n"));
  });
});
