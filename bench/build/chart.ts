import { barChart } from "../chart";
import { factor, seconds } from "../format";
import type { Report, Row, RowKind } from "./report";

const GROUPS: Readonly<Record<RowKind, string>> = {
  emulated: "emulated",
  native: "native",
  cached: "native and persistent cache",
};

/** A chart of the report: bars of seconds with the ratio to the baseline. */
export function renderChart({ rows, baseline, environment }: Report): string {
  const { cpus, model, service } = environment;
  return barChart({
    title: "Seconds per image build for linux/amd64 and linux/arm64",
    subtitle: `Go service of ${service.lines} lines · ${cpus} cores, ${model}`,
    bars: rows.map((row) => ({
      label: row.title.trim(),
      value: row.seconds,
      shown: `${seconds(row.seconds)} s`,
      note: noteOf(row, baseline),
      group: GROUPS[row.kind],
    })),
    footnote:
      "This amd64 machine stands in for the ARM64 one; an end-to-end time is the slower leg plus the combine step.",
  });
}

function noteOf({ id, ratio, mark, met }: Row, baseline: string): string {
  const compared = id === baseline ? "baseline" : factor(ratio);
  return mark === undefined ? compared : `${compared} · ≥ ${mark}x ${met ? "met" : "missed"}`;
}
