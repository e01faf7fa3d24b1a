import { factor, type Report, type Row, type RowKind, seconds } from "./report";

const WIDTH = 960;
const LEFT = 300;
const RIGHT = 230;
const TOP = 92;
const ROW = 34;
const BAR = 20;
const COLOURS: Readonly<Record<RowKind, { readonly fill: string; readonly label: string }>> = {
  emulated: { fill: "#bc4c00", label: "emulated" },
  native: { fill: "#0969da", label: "native" },
  cached: { fill: "#1a7f37", label: "native and persistent cache" },
};

/** A chart of the report that needs nothing from outside: bars of seconds, linear, with the ratio to the baseline. */
export function renderChart(report: Report): string {
  const longest = Math.max(...report.rows.map((row) => row.seconds));
  const scale = (WIDTH - LEFT - RIGHT) / longest;
  const height = TOP + report.rows.length * ROW + 46;
  const { cpus, model, service } = report.environment;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="Seconds per image build" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(20, 30, "Seconds per image build for linux/amd64 and linux/arm64", "#1f2328", {
      size: 18,
      weight: 600,
    }),
    text(20, 50, `Go service of ${service.lines} lines · ${cpus} cores, ${model}`, "#59636e"),
    legend(),
    ...report.rows.flatMap((row, index) => bar(row, TOP + index * ROW, scale, report.baseline)),
    text(
      20,
      height - 16,
      "This amd64 machine stands in for the ARM64 one; an end-to-end time is the slower leg plus the combine step.",
      "#59636e",
      { size: 12 },
    ),
    `</svg>`,
    "",
  ].join("\n");
}

function legend(): string {
  let x = 20;
  return Object.values(COLOURS)
    .map(({ fill, label }) => {
      const entry = `<rect x="${x}" y="63" width="12" height="12" rx="2" fill="${fill}"/>${text(x + 18, 74, label, "#1f2328", { size: 12 })}`;
      x += 50 + label.length * 7;
      return entry;
    })
    .join("\n");
}

function bar(row: Row, y: number, scale: number, baseline: string): string[] {
  // What is too short to be drawn is still there.
  const width = Math.max(2, row.seconds * scale);
  const middle = y + BAR / 2 + 5;
  const ratio = row.id === baseline ? "baseline" : factor(row.ratio);
  const mark = row.mark === undefined ? "" : ` · ≥ ${row.mark}x ${row.met ? "met" : "missed"}`;
  return [
    `<text x="${LEFT - 10}" y="${middle}" text-anchor="end" fill="#1f2328">${escape(row.title.trim())}</text>`,
    `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" fill="${COLOURS[row.kind].fill}"><title>${escape(row.title.trim())}: ${seconds(row.seconds)} s</title></rect>`,
    `<text x="${(LEFT + width + 8).toFixed(1)}" y="${middle}" fill="#1f2328"><tspan font-weight="600">${seconds(row.seconds)} s</tspan> · ${ratio}${mark}</text>`,
  ];
}

function text(
  x: number,
  y: number,
  content: string,
  fill: string,
  { size = 13, weight = 400 }: { readonly size?: number; readonly weight?: number } = {},
): string {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}">${escape(content)}</text>`;
}

function escape(content: string): string {
  return content
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
