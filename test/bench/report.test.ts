import assert from "node:assert/strict";
import {
  buildReport,
  endToEnd,
  type Environment,
  formatReport,
  type Measurements,
  median,
  type Sample,
  summarize,
} from "../../bench/build/report";

const sample = (seconds: number, cpuSeconds?: number): Sample => ({ seconds, cpuSeconds });

const ENVIRONMENT: Environment = {
  cpus: 2,
  model: "Example CPU",
  load: 0.1,
  versions: { BuildKit: "v1.2.3", QEMU: "7.2" },
  service: { lines: 3000, modules: 17 },
};

function measurements(change: Partial<Measurements> = {}): Measurements {
  return {
    amd64Only: [sample(30, 50)],
    qemu: {
      cold: [sample(400, 700)],
      oneLine: [sample(40, 60)],
      noChange: [sample(1, 0.5)],
    },
    hybrid: {
      cold: {
        amd64: [sample(30, 50)],
        arm64: [sample(38, 52)],
        combine: [sample(2, 1)],
      },
      oneLine: {
        amd64: [sample(9, 8), sample(7, 6), sample(8, 7)],
        arm64: [sample(4, 6), sample(20, 6), sample(5, 6)],
        combine: [sample(2, 1), sample(2, 1), sample(2, 1)],
      },
      noChange: {
        amd64: [sample(1, 0.5)],
        arm64: [sample(1.5, 0.5)],
        combine: [sample(0.5, 0.1)],
      },
      sharedCores: [sample(70, 102)],
    },
    crossCompiled: [sample(60, 90)],
    ...change,
  };
}

describe("bench:build, report", () => {
  it("takes the middle value", () => {
    assert.equal(median([3]), 3);
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 2, 9]), 3);
    assert.throws(() => median([]), /found no value/);
  });

  it("summarizes processor time only when every run has it", () => {
    assert.deepEqual(summarize([sample(1, 4), sample(3, 2)]), sample(2, 3));
    assert.deepEqual(summarize([sample(1, 4), sample(3)]), sample(2));
  });

  it("ends when the slower leg is combined", () => {
    assert.deepEqual(endToEnd(measurements().hybrid.cold), sample(40, 103));
    // Medians of each leg, not the worst run.
    assert.deepEqual(endToEnd(measurements().hybrid.oneLine), sample(10, 14));
  });

  it("compares every row with the emulated build without cache", () => {
    const { rows } = buildReport(ENVIRONMENT, measurements());
    const shown = rows.map(({ id, seconds, ratio, cpuFactor, cacheFactor }) => [
      id,
      seconds,
      ratio,
      cpuFactor,
      cacheFactor,
    ]);
    assert.deepEqual(shown, [
      ["amd64-cold", 30, 13.33, undefined, undefined],
      ["qemu-cold", 400, 1, 1, 1],
      ["qemu-one-line", 40, 10, 1, 10],
      ["qemu-no-change", 1, 400, 1, 400],
      ["cross-cold", 60, 6.67, 6.67, 1],
      ["hybrid-cold", 40, 10, 10, 1],
      ["hybrid-shared-cores", 70, 5.71, 5.71, 1],
      ["hybrid-one-line-fresh-amd64", 32, 12.5, undefined, undefined],
      ["hybrid-one-line", 10, 40, 4, 10],
      ["hybrid-no-change", 2, 200, 0.5, 400],
    ]);
  });

  it("splits the ratio into factors that multiply to it", () => {
    for (const row of buildReport(ENVIRONMENT, measurements()).rows) {
      if (row.cpuFactor === undefined || row.cacheFactor === undefined) continue;
      const product = row.cpuFactor * row.cacheFactor;
      assert.ok(Math.abs(product / row.ratio - 1) < 0.01, `${row.id}: ${product} of ${row.ratio}`);
    }
  });

  it("tells marks that are met from marks that are missed", () => {
    const marks = (measured: Measurements) =>
      buildReport(ENVIRONMENT, measured)
        .rows.filter(({ mark }) => mark !== undefined)
        .map(({ id, mark, met }) => [id, mark, met]);
    assert.deepEqual(marks(measurements()), [
      ["hybrid-cold", 8, true],
      ["hybrid-one-line", 20, true],
      ["hybrid-no-change", 50, true],
    ]);
    const slow = { ...measurements().qemu, cold: [sample(160)] };
    assert.deepEqual(marks(measurements({ qemu: slow })), [
      ["hybrid-cold", 8, false],
      ["hybrid-one-line", 20, false],
      ["hybrid-no-change", 50, true],
    ]);
  });

  it("judges a mark by what was measured, not by what it was rounded to", () => {
    // 319.99 / 40 is 7.99975, shown as 8.
    const qemu = { ...measurements().qemu, cold: [sample(319.99)] };
    const row = buildReport(ENVIRONMENT, measurements({ qemu })).rows.find(
      ({ id }) => id === "hybrid-cold",
    );
    assert.deepEqual([row?.ratio, row?.met], [8, false]);
  });

  it("prints a table", () => {
    const text = formatReport(buildReport(ENVIRONMENT, measurements()));
    const lines = text.split("\n");
    const line = (start: string) => lines.find((each) => each.startsWith(start));
    assert.match(line("QEMU, one job, both platforms") ?? "", / 400 +700 +1 +1\.0x +1\.0x$/);
    assert.match(
      line("two native legs + combine") ?? "",
      / 40\.0 +103 +10x +10x +1\.0x +>= 8x met$/,
    );
    assert.match(line("amd64 alone") ?? "", / 30\.0 +50\.0 +13x +- +-$/);
    assert.match(
      text,
      /Go service of 3000 lines with 17 modules vendored\. 2 cores, Example CPU\./,
    );
    assert.match(text, /BuildKit v1\.2\.3, QEMU 7\.2\./);
    assert.match(line("one-line change  ") ?? "", / 8\.00 +5\.00 +2\.00$/);
    assert.match(text, /this amd64 machine stands in/);
  });

  it("shows a dash where processor time is not counted", () => {
    const text = formatReport(buildReport(ENVIRONMENT, measurements({ amd64Only: [sample(30)] })));
    assert.match(text, /^amd64 alone, one job +30\.0 +- +13x/m);
  });

  it("says when the machine was busy", () => {
    const text = (load: number) =>
      formatReport(buildReport({ ...ENVIRONMENT, load }, measurements()));
    assert.doesNotMatch(text(0.5), /Other programs/);
    assert.match(text(6), /load average 6\.0 on 2 cores/);
  });

  it("compares processor time, which other programs do not change, where it is counted", () => {
    const first = (measured: Measurements) => buildReport(ENVIRONMENT, measured).notes[0];
    assert.equal(
      first(measurements()),
      "By processor time: 700 s for the baseline, 52.0 s for the slower leg without cache, 13x.",
    );
    const { cold, ...others } = measurements().hybrid;
    const uncounted = { ...others, cold: { ...cold, arm64: [sample(38)] } };
    assert.match(first(measurements({ hybrid: uncounted })) ?? "", /^No ARM64 machine/);
  });

  it("survives JSON", () => {
    const report = buildReport(ENVIRONMENT, measurements());
    const read = JSON.parse(JSON.stringify(report)) as typeof report;
    assert.equal(read.baseline, "qemu-cold");
    assert.deepEqual(read.measurements, JSON.parse(JSON.stringify(measurements())));
  });
});
