import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { renderChart } from "../../bench/build/chart";
import { buildReport, type Report, type Sample } from "../../bench/build/report";
import { barChart } from "../../bench/chart";

const one = (seconds: number): Sample[] => [{ seconds, cpuSeconds: seconds }];
const legs = (seconds: number) => ({
  amd64: one(seconds),
  arm64: one(seconds),
  combine: one(0.5),
});

function report(model = "Example CPU"): Report {
  return buildReport(
    { cpus: 2, model, load: 0, versions: {}, service: { lines: 3000, modules: 17 } },
    {
      amd64Only: one(30),
      qemu: { cold: one(400), oneLine: one(40), noChange: one(1) },
      hybrid: {
        cold: legs(30),
        oneLine: legs(5),
        noChange: legs(0.3),
        sharedCores: one(60),
      },
      crossCompiled: one(50),
    },
  );
}

/** Opening and closing tags in their order; throws when they do not match. */
function checkNesting(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/g)) {
    if (self) continue;
    if (close) assert.equal(open.pop(), name);
    else open.push(name!);
  }
  assert.deepEqual(open, []);
}

describe("bench:build, chart", () => {
  it("is well-formed", function () {
    const svg = renderChart(report());
    checkNesting(svg);
    try {
      execFileSync("python3", ["-c", "import sys, xml.dom.minidom as m; m.parse(sys.stdin)"], {
        input: svg,
        stdio: ["pipe", "pipe", "pipe"],
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") this.skip();
      throw error;
    }
  });

  it("needs nothing from outside", () => {
    const svg = renderChart(report());
    const addresses = [...svg.matchAll(/https?:\/\/[^"]+/g)].map(([address]) => address);
    assert.deepEqual(addresses, ["http://www.w3.org/2000/svg"]);
    assert.doesNotMatch(svg, /<(script|image|style|use)|href=|url\(/);
  });

  it("has a bar for every row, as long as its seconds", () => {
    const bars = [...renderChart(report()).matchAll(/<rect x="300"[^>]* width="([\d.]+)"/g)].map(
      ([, width]) => Number(width),
    );
    const { rows } = report();
    assert.equal(bars.length, rows.length);
    const longest = Math.max(...bars);
    for (const [index, { seconds }] of rows.entries()) {
      const expected = Math.max(2, (seconds / 400) * longest);
      assert.ok(Math.abs(bars[index]! - expected) < 0.1, `${seconds} s: bar of ${bars[index]}`);
    }
  });

  it("tells ratios and marks", () => {
    const svg = renderChart(report());
    assert.match(svg, /400 s<\/tspan> · baseline</);
    assert.match(svg, /30\.5 s<\/tspan> · 13x · ≥ 8x met</);
    assert.match(svg, /stands in for the ARM64 one/);
  });

  it("names each colour once", () => {
    const svg = renderChart(report());
    for (const [name, rows] of [
      ["emulated", 3],
      ["native", 5],
      ["native and persistent cache", 2],
    ] as const) {
      const legend = new RegExp(`fill="(#[0-9a-f]{6})"/><text [^>]*>${name}</text>`).exec(svg);
      const color = legend?.[1] ?? assert.fail(name);
      assert.equal(svg.split(`fill="${color}"`).length - 1, rows + 1, name);
    }
  });

  it("is there for no bars as well, and where all are of no length", () => {
    const empty = { title: "t", subtitle: "s", bars: [] };
    checkNesting(barChart(empty));
    const bars = [{ label: "l", value: 0, shown: "0 s", group: "g" }];
    assert.match(barChart({ ...empty, bars }), /<rect x="300"[^>]* width="2\.0"/);
  });

  it("escapes what it is given", () => {
    const svg = renderChart(report('A & B <"C">'));
    checkNesting(svg);
    assert.match(svg, /A &amp; B &lt;&quot;C&quot;&gt;/);
  });
});
