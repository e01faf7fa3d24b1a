import assert from "node:assert/strict";
import { breakEven, type FinishedJob } from "../../../components/costs/breakEven";
import { NOW, RATES, server } from "../status/statuses";

const FROM = new Date("2026-10-27T12:00:00Z");

function ran(seconds: number, isPrivate = true): FinishedJob {
  const startedAt = new Date("2026-11-20T00:00:00Z");
  return {
    private: isPrivate,
    startedAt,
    completedAt: new Date(startedAt.getTime() + seconds * 1000),
  };
}

const times = (count: number, job: FinishedJob) => Array.from({ length: count }, () => job);
/** From before the window: 108 hours of October and 612 of November at 0.0168, which is 12.096. */
const OLD = server("dev-arm64-1-1", { createdAt: new Date("2026-01-01T00:00:00Z") });

describe("breakEven", () => {
  it("rounds each job up to a minute, apart for public repositories", () => {
    const jobs = [ran(1), ran(60), ran(61), ran(0), ran(90, false)];
    const found = breakEven(jobs, [OLD], RATES, FROM, NOW, "2");
    assert.deepEqual(
      [found.jobs, found.privateMinutes, found.publicMinutes, found.hostedUsd, found.hosted],
      [5, 5, 2, "0.03", "0.01"],
    );
  });

  const CASES: readonly {
    readonly what: string;
    readonly jobs: readonly FinishedJob[];
    readonly expected: readonly unknown[];
  }[] = [
    {
      what: "says that hosted would have been cheaper",
      jobs: times(100, ran(600)),
      // 1000 × 0.005 / 1.25
      expected: ["5.00", "4.00", "12.10", "hosted", "8.10"],
    },
    {
      what: "says that own hosts were cheaper",
      jobs: times(1000, ran(600)),
      expected: ["50.00", "40.00", "12.10", "own", "27.90"],
    },
    {
      what: "says that hosted minutes of public repositories cost nothing",
      jobs: times(1000, ran(600, false)),
      expected: ["0.00", "0.00", "12.10", "hosted", "12.10"],
    },
  ];
  for (const { what, jobs, expected } of CASES) {
    it(what, () => {
      const found = breakEven(jobs, [OLD], RATES, FROM, NOW, "1.25");
      assert.deepEqual(
        [found.hostedUsd, found.hosted, found.own, found.cheaper, found.difference],
        expected,
      );
      // 10.50 × 1.25 / 0.005
      assert.equal(found.minutesPerMonth, 2625);
    });
  }

  it("takes USD as it is, and compares nothing in another currency", () => {
    const usd = breakEven([ran(600)], [OLD], { ...RATES, currency: "USD" }, FROM, NOW, "1.25");
    assert.deepEqual([usd.hosted, usd.minutesPerMonth], ["0.05", 2100]);
    const other = breakEven([ran(600)], [OLD], { ...RATES, currency: "CHF" }, FROM, NOW);
    assert.deepEqual(
      [other.hosted, other.cheaper, other.difference, other.minutesPerMonth],
      [null, "unknown", null, null],
    );
  });
});
