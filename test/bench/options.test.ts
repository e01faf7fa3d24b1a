import assert from "node:assert/strict";
import { parseOptions } from "../../bench/build/options";

describe("bench:build, options", () => {
  it("has defaults", () => {
    assert.deepEqual(parseOptions([]), { json: false, svg: undefined, slowRuns: 1, runs: 3 });
  });

  it("takes what is given", () => {
    assert.deepEqual(
      parseOptions(["--json", "--svg", "out/chart.svg", "--runs", "5", "--slow-runs=2"]),
      { json: true, svg: "out/chart.svg", slowRuns: 2, runs: 5 },
    );
    assert.equal(parseOptions(["--runs", "1", "--help"]), "help");
  });

  for (const [args, message] of [
    [["--runs", "0"], "--runs: found 0, expected a number from 1 to 9."],
    [["--slow-runs", "10"], "--slow-runs: found 10, expected a number from 1 to 9."],
    [["--runs", "1.5"], "--runs: found 1.5, expected a number from 1 to 9."],
    [["--svg", "chart.png"], "--svg: found chart.png, expected a file name that ends in .svg."],
  ] as const) {
    it(`refuses ${args.join(" ")}`, () => {
      assert.throws(() => parseOptions(args), { message });
    });
  }

  it("refuses what it does not know", () => {
    assert.throws(() => parseOptions(["--fast"]), /--fast/);
    assert.throws(() => parseOptions(["now"]), /now/);
  });
});
