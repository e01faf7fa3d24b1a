import { factor, hundredths, seconds, table } from "../format";

/** One run of one step: how long it took, and the processor time of the daemon and of the build's own processes. */
export interface Sample {
  readonly seconds: number;
  /** Undefined where control groups do not tell. */
  readonly cpuSeconds: number | undefined;
}

/** A leg is one build on a machine of its own; samples of its repetitions. */
export interface Legs {
  readonly amd64: readonly Sample[];
  readonly arm64: readonly Sample[];
  readonly combine: readonly Sample[];
}

/** What was measured, and nothing derived from it. */
export interface Measurements {
  /** One job, linux/amd64 only, empty cache. */
  readonly amd64Only: readonly Sample[];
  readonly qemu: {
    /** One job, both platforms, empty cache: what everything is compared with. */
    readonly cold: readonly Sample[];
    readonly oneLine: readonly Sample[];
    readonly noChange: readonly Sample[];
  };
  readonly hybrid: {
    readonly cold: Legs;
    readonly oneLine: Legs;
    readonly noChange: Legs;
    /** Both cold legs at once on this one machine, and the combine step after them. */
    readonly sharedCores: readonly Sample[];
  };
  /** One job, both platforms, empty cache, compiler on the builder's own platform. */
  readonly crossCompiled: readonly Sample[];
}

export interface Environment {
  readonly cpus: number;
  readonly model: string;
  /** Load average over the minute before the benchmark began; close to 0 on an idle machine. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly service: { readonly lines: number; readonly modules: number };
}

export type RowKind = "emulated" | "native" | "cached";

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly kind: RowKind;
  /** Median, rounded to hundredths. */
  readonly seconds: number;
  readonly cpuSeconds: number | undefined;
  /** How many times as fast as the baseline. */
  readonly ratio: number;
  /** The factor of `ratio` that native processors give; the two multiply to `ratio`. Undefined where no emulated build has the same cache. */
  readonly cpuFactor: number | undefined;
  readonly cacheFactor: number | undefined;
  /** The least `ratio` that is asked for. */
  readonly mark: number | undefined;
  readonly met: boolean | undefined;
}

export interface LegRow {
  readonly title: string;
  readonly amd64: number;
  readonly arm64: number;
  readonly combine: number;
}

export interface Report {
  readonly environment: Environment;
  readonly baseline: string;
  readonly rows: readonly Row[];
  readonly legs: readonly LegRow[];
  readonly notes: readonly string[];
  readonly measurements: Measurements;
}

/** The least ratios to the baseline, by row. */
const MARKS: Readonly<Record<string, number>> = {
  "hybrid-cold": 8,
  "hybrid-one-line": 20,
  "hybrid-no-change": 50,
};

/** The middle value; of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("median: found no value, expected at least one.");
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Median of each quantity; processor time only when every run has it. */
export function summarize(samples: readonly Sample[]): Sample {
  const cpu = samples.map(({ cpuSeconds }) => cpuSeconds).filter((value) => value !== undefined);
  return {
    seconds: median(samples.map(({ seconds }) => seconds)),
    cpuSeconds: cpu.length === samples.length ? median(cpu) : undefined,
  };
}

/** From start to end on two machines: both legs begin together, and the combine step waits for the slower one. */
export function endToEnd({ amd64, arm64, combine }: Legs): Sample {
  const [one, other, last] = [summarize(amd64), summarize(arm64), summarize(combine)];
  const cpu = [one.cpuSeconds, other.cpuSeconds, last.cpuSeconds];
  return {
    seconds: Math.max(one.seconds, other.seconds) + last.seconds,
    cpuSeconds: cpu.every((value) => value !== undefined)
      ? cpu.reduce((sum, value) => sum + value, 0)
      : undefined,
  };
}

export function buildReport(environment: Environment, measurements: Measurements): Report {
  const { amd64Only, qemu, hybrid, crossCompiled } = measurements;
  const baseline = summarize(qemu.cold);
  const row = (
    id: string,
    title: string,
    kind: RowKind,
    sample: Sample,
    /** The same build with the same cache, but emulated; undefined where there is nothing to compare. */
    emulated?: Sample,
  ): Row => {
    const ratio = baseline.seconds / sample.seconds;
    const mark = MARKS[id];
    return {
      id,
      title,
      kind,
      seconds: hundredths(sample.seconds),
      cpuSeconds: sample.cpuSeconds === undefined ? undefined : hundredths(sample.cpuSeconds),
      ratio: hundredths(ratio),
      cpuFactor: emulated && hundredths(emulated.seconds / sample.seconds),
      cacheFactor: emulated && hundredths(baseline.seconds / emulated.seconds),
      mark,
      met: mark === undefined ? undefined : ratio >= mark,
    };
  };
  const [oneLine, noChange] = [summarize(qemu.oneLine), summarize(qemu.noChange)];
  const mixed: Legs = { ...hybrid.oneLine, amd64: hybrid.cold.amd64 };
  return {
    environment,
    baseline: "qemu-cold",
    rows: [
      row("amd64-cold", "amd64 alone, one job", "native", summarize(amd64Only)),
      row("qemu-cold", "QEMU, one job, both platforms", "emulated", baseline, baseline),
      row("qemu-one-line", "QEMU, one-line change, persistent", "emulated", oneLine, oneLine),
      row("qemu-no-change", "QEMU, no change, persistent", "emulated", noChange, noChange),
      row("cross-cold", "cross-compiled, one job", "native", summarize(crossCompiled), baseline),
      row("hybrid-cold", "two native legs + combine", "native", endToEnd(hybrid.cold), baseline),
      row(
        "hybrid-shared-cores",
        "both legs at once on these cores",
        "native",
        summarize(hybrid.sharedCores),
        baseline,
      ),
      row(
        "hybrid-one-line-fresh-amd64",
        "one-line change, amd64 leg without cache",
        "native",
        endToEnd(mixed),
      ),
      row(
        "hybrid-one-line",
        "one-line change, persistent",
        "cached",
        endToEnd(hybrid.oneLine),
        oneLine,
      ),
      row(
        "hybrid-no-change",
        "no change, persistent",
        "cached",
        endToEnd(hybrid.noChange),
        noChange,
      ),
    ],
    legs: [
      legRow("no cache", hybrid.cold),
      legRow("one-line change", hybrid.oneLine),
      legRow("no change", hybrid.noChange),
    ],
    notes: [...processorNote(baseline, hybrid.cold), ...notes(environment)],
    measurements,
  };
}

function legRow(title: string, { amd64, arm64, combine }: Legs): LegRow {
  const seconds = (samples: readonly Sample[]) => hundredths(summarize(samples).seconds);
  return { title, amd64: seconds(amd64), arm64: seconds(arm64), combine: seconds(combine) };
}

/** Processor time tells the same whatever else the machine is doing. */
function processorNote({ cpuSeconds: baseline }: Sample, { amd64, arm64 }: Legs): string[] {
  const legs = [summarize(amd64).cpuSeconds, summarize(arm64).cpuSeconds];
  if (baseline === undefined || !legs.every((leg) => leg !== undefined)) return [];
  const slower = Math.max(...legs);
  return [
    `By processor time: ${seconds(baseline)} s for the baseline, ${seconds(slower)} s for the slower leg without cache, ${factor(baseline / slower)}.`,
  ];
}

/** How the figures were come by, where that is not what a reader would take for granted. */
function notes({ cpus, load }: Environment): string[] {
  return [
    "No ARM64 machine took part: this amd64 machine stands in for it. The arm64 leg runs the same Dockerfile for linux/arm64 with a Go image whose programs are amd64 ones that generate arm64 code.",
    `Each leg ran alone on all ${cpus} cores, as on a machine of its own: end to end is the slower leg plus the combine step. Both at once on the same cores is the row below it.`,
    "Images come from and go to a registry on this machine, and each build's daemon was running: pulls over a network, the start of a job and of a builder are left out everywhere, the baseline included.",
    "CPU is how many times as long the same build takes emulated, with the same cache; cache is how many times as long the emulated build takes without it. They multiply to the ratio.",
    "Without cache, the baseline too means an empty BuildKit. With a persistent one, both legs have one; the row above it is for an amd64 leg that starts with an empty one, as on a hosted runner.",
    ...(load > cpus / 2
      ? [
          `Other programs were using this machine (load average ${load.toFixed(1)} on ${cpus} cores): compare processor seconds as well.`,
        ]
      : []),
  ];
}

/** The report for people. */
export function formatReport(report: Report): string {
  const { environment, rows, legs } = report;
  const main = rows.map((row) => [
    row.title,
    seconds(row.seconds),
    row.cpuSeconds === undefined ? "-" : seconds(row.cpuSeconds),
    row.id === report.baseline ? "1" : factor(row.ratio),
    row.cpuFactor === undefined ? "-" : factor(row.cpuFactor),
    row.cacheFactor === undefined ? "-" : factor(row.cacheFactor),
    row.mark === undefined ? "" : `>= ${row.mark}x ${row.met ? "met" : "MISSED"}`,
  ]);
  const versions = Object.entries(environment.versions).map((entry) => entry.join(" "));
  return [
    `Go service of ${environment.service.lines} lines with ${environment.service.modules} modules vendored. ${environment.cpus} cores, ${environment.model}.`,
    `${versions.join(", ")}.`,
    "",
    table(
      [["build", "seconds", "CPU s", "ratio", "CPU", "cache", "mark"], ...main],
      [1, 2, 3, 4, 5],
    ),
    "",
    table(
      [
        ["legs of the hybrid, seconds", "amd64", "arm64", "combine"],
        ...legs.map((leg) => [
          leg.title,
          ...[leg.amd64, leg.arm64, leg.combine].map((value) => seconds(value)),
        ]),
      ],
      [1, 2, 3],
    ),
    "",
    ...report.notes.map((note) => `- ${note}`),
    "",
  ].join("\n");
}
