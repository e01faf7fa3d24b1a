import assert from "node:assert/strict";
import type { RunnerVersion } from "../../../components/preflight/facts";
import {
  lifeSentence,
  type RunnerLife,
  runnerLife,
} from "../../../components/runnerVersions/runnerLife";
import {
  exitCodeOf,
  livesAdvice,
  livesTable,
  poolLives,
} from "../../../components/runnerVersions/stackLives";
import { settingsWith } from "../config/settings";

const NOW = new Date("2026-11-01T12:00:00Z");
const VERSION = "2.331.0";
const DAY_MS = 86_400_000;

function after(milliseconds: number): Date {
  return new Date(NOW.getTime() + milliseconds);
}

interface Case {
  readonly ends: RunnerVersion | undefined;
  readonly warnDays?: number;
  readonly life: Omit<RunnerLife, "version">;
  readonly says: string;
}

function ending(jobsEnd: Date | undefined, registrationEnds?: Date): RunnerVersion {
  return { jobsEnd, registrationEnds };
}

const day = (date: Date) => date.toISOString().slice(0, 10);
const never = after(-1);

const CASES: Readonly<Record<string, Case>> = {
  "nothing that GitHub says": {
    ends: undefined,
    life: { state: "unknown" },
    says: "GitHub does not say until when it serves 2.331.0",
  },
  "no end": {
    ends: ending(undefined),
    life: { state: "served" },
    says: "GitHub serves 2.331.0 and has named no end",
  },
  "an end on the first day outside of the warning": {
    ends: ending(after(30 * DAY_MS + 1)),
    life: { endsAt: after(30 * DAY_MS + 1), daysLeft: 31, state: "served" },
    says: "GitHub does not serve 2.331.0 after 2026-12-01, 31 days from now",
  },
  "an end on the last day of the warning": {
    ends: ending(after(30 * DAY_MS)),
    life: { endsAt: after(30 * DAY_MS), daysLeft: 30, state: "ending" },
    says: "GitHub does not serve 2.331.0 after 2026-12-01, 30 days from now",
  },
  "the last minute": {
    ends: ending(after(60_000)),
    life: { endsAt: after(60_000), daysLeft: 1, state: "ending" },
    says: "GitHub does not serve 2.331.0 after 2026-11-01, 1 day from now",
  },
  "the moment itself": {
    ends: ending(NOW),
    life: { endsAt: NOW, daysLeft: 0, state: "ended" },
    says: "GitHub does not serve 2.331.0 since 2026-11-01",
  },
  "an end that is long past": {
    ends: ending(new Date("2026-04-30T21:52:20Z")),
    life: { endsAt: new Date("2026-04-30T21:52:20Z"), daysLeft: 0, state: "ended" },
    says: "GitHub does not serve 2.331.0 since 2026-04-30",
  },
  "registration that ends before jobs do": {
    ends: ending(after(90 * DAY_MS), after(10 * DAY_MS)),
    life: { endsAt: after(10 * DAY_MS), daysLeft: 10, state: "ending" },
    says: `GitHub does not serve 2.331.0 after ${day(after(10 * DAY_MS))}, 10 days from now`,
  },
  "jobs that end before registration does": {
    ends: ending(never, after(10 * DAY_MS)),
    life: { endsAt: never, daysLeft: 0, state: "ended" },
    says: "GitHub does not serve 2.331.0 since 2026-11-01",
  },
  "a warning of zero days, which never comes": {
    ends: ending(after(1)),
    warnDays: 0,
    life: { endsAt: after(1), daysLeft: 1, state: "served" },
    says: "GitHub does not serve 2.331.0 after 2026-11-01, 1 day from now",
  },
};

describe("the life of a runner version", () => {
  for (const [what, { ends, warnDays = 30, life, says }] of Object.entries(CASES)) {
    it(`with ${what}`, () => {
      const found = runnerLife(VERSION, ends, NOW, warnDays);
      assert.deepEqual(found, { version: VERSION, ...life });
      assert.equal(lifeSentence(found), says);
    });
  }
});

describe("the lives of a stack's pools", () => {
  const settings = settingsWith((raw) => {
    const pool = raw.pools.arm64;
    raw.routing = { pool: "arm64" };
    raw.runnerLife = { warnDays: 14 };
    raw.pools = {
      arm64: { ...pool, runner: { version: "2.340.0" } },
      big: { ...pool, runner: { version: "2.331.0" } },
      own: { ...pool, runner: { reference: "example.org/runner:1" } },
      small: { ...pool, runner: { version: "2.332.0" } },
      spare: { ...pool, runner: { version: "9.9.9" } },
    };
  });
  const ends = new Map([
    ["2.340.0", ending(undefined)],
    ["2.331.0", ending(new Date("2026-04-30T21:52:20Z"))],
    ["2.332.0", ending(after(14 * DAY_MS))],
  ]);
  const lives = poolLives(settings, ends, NOW);
  const only = (...names: string[]) => lives.filter(({ pool }) => names.includes(pool));

  it("as a table", () => {
    assert.equal(
      livesTable(lives),
      `POOL   VERSION               ENDS        DAYS LEFT  STATE
arm64  2.340.0               -           -          served
big    2.331.0               2026-04-30  0          ended
own    example.org/runner:1  -           -          of your own
small  2.332.0               2026-11-15  14         ending
spare  9.9.9                 -           -          unknown
`,
    );
  });

  it("with a sentence for each that needs a look", () => {
    assert.deepEqual(livesAdvice(lives, "fleet"), [
      "fleet:pools.big.runner.version: GitHub does not serve 2.331.0 since 2026-04-30; `npm run bump` proposes a newer release.",
      "fleet:pools.small.runner.version: GitHub does not serve 2.332.0 after 2026-11-15, 14 days from now; `npm run bump` proposes a newer release.",
      "fleet:pools.spare.runner.version: GitHub does not say until when it serves 9.9.9; it knows no such release, or the token may not see the organization's runners.",
    ]);
  });

  for (const [names, code] of [
    [["arm64", "own"], 0],
    [["arm64", "spare"], 1],
    [["spare", "small"], 2],
    [["spare", "small", "big"], 3],
  ] as const) {
    it(`exits with ${code} for ${names.join(" and ")}`, () => {
      assert.equal(exitCodeOf(only(...names)), code);
    });
  }
});
