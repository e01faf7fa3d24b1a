import assert from "node:assert/strict";
import { fleetStatus } from "../../../components/status/model";
import { printable, renderTable, WIDTH } from "../../../components/status/table";
import { hostile } from "./hostile";
import { reading } from "./statuses";

describe("renderTable", () => {
  it("says all there is to say of a small fleet", () => {
    assert.equal(
      renderTable(fleetStatus(reading())),
      `Stack dev of acme, 2026-11-26 12:00:00 UTC

Hosts
  HOST           TYPE   PLACE  SLOTS                   ON/BUSY  FREE     CACHE
  dev-arm64-1-1  cax21  fsn1   1 working, 1 listening  2/1      62.0 GB  3.1 GB

Pools
  arm64, runner program: GitHub does not say until when it serves 2.338.0.

Routing
  ARM64_RUNS_ON sends jobs to pool arm64.

Jobs
  0 jobs wait for own runners, 0 wait for others; 0 run; 1 done in 1 run since 2026-10-27.
  SINCE (UTC)       JOB                    STATE    TIME   WHERE
  2026-11-26 10:00  webppt: build (arm64)  success  2 min  dev-arm64-1-1-1

Costs
  This month so far: 0.05 EUR net for 1 server, 1.86 by its end if they stay.
  A whole month: 10.50 EUR net, there is no budget (budget.monthlyEur).
  Servers that are deleted by now are not in it, and prices are those of today.
  In the last 30 days, own hosts ran 1 job: 3 minutes in private and 0 in public repositories,
    each job rounded up as GitHub bills.
  Hosted arm64 runners with 2 cores would have cost 0.02 USD at 0.005 a private minute, 0.01 EUR
    at 1.16 USD for 1 EUR; public minutes are free. The servers cost 0.05 EUR.
  Hosted runners would have been cheaper by 0.04 EUR.
  Own hosts pay from 2436 private minutes a month on.
  Not counted: minutes that a GitHub plan includes, and that a hosted runner with 2 cores may take
    longer for the same job.

Differences from the state
  None was seen.
  \`pulumi preview --refresh\` is the whole answer: this looks at names, types, labels and values
    alone.
`,
    );
  });

  it("is nowhere wider than a hundred characters and writes nothing that moves the cursor", () => {
    const text = renderTable(fleetStatus(hostile()));
    for (const line of text.split("\n")) assert.ok([...line].length <= WIDTH, line);
    assert.doesNotMatch(text, /[^\P{Cc}\n]/u);
    assert.match(text, /over the budget of 60\.00\./);
    assert.match(text, /^ {2}dev-arm64-1-4 says nothing itself: nobody answers SSH\.$/m);
  });

  it("says what it does not know", () => {
    const nothing = { servers: undefined, rates: undefined, runners: undefined, jobs: undefined };
    const text = renderTable(
      fleetStatus(reading({ ...nothing, variables: undefined, problems: ["It is so."] })),
    );
    assert.match(text, /ARM64_RUNS_ON: GitHub does not say\./);
    assert.match(text, /GitHub does not say which there are\./);
    assert.match(text, /Hetzner does not say what there is and what it costs\./);
    assert.match(text, /\nNot read\n {2}It is so\.\n/);
    assert.match(text, / \?\/\? /);
  });
});

describe("printable", () => {
  it("shows what would rewrite the screen as such", () => {
    assert.equal(printable("a\u001b[2Jb\u202ec\u0007\u2028"), "a\uFFFD[2Jb\uFFFDc\uFFFD\uFFFD");
  });
});
