import { barChart } from "../chart";
import { factor, hundredths, table } from "../format";
import type { Measurement, Strategy } from "./benchRepository";
import type { JobTiming } from "./timing";

/** One run, compared with emulation. Times in seconds. */
export interface Row {
  readonly strategy: Strategy;
  readonly run: number;
  readonly url: string;
  /** Why there is no time; undefined when the run was good. */
  readonly failed?: string;
  readonly seconds?: number;
  /** Part of `seconds` in which no job ran. */
  readonly idle?: number;
  /** How many times as fast as QEMU's first run. */
  readonly ratio?: number;
  /** The factor of `ratio` that native machines give: to QEMU's run of the same number, which found as much cache. */
  readonly cpuFactor?: number;
  /** The rest of `ratio`: what QEMU itself gains from the caches that its earlier runs left. */
  readonly cacheFactor?: number;
  readonly jobs?: readonly JobTiming[];
}

export function rowsOf(measurements: readonly Measurement[]): Row[] {
  const emulated = (run: number): number | undefined => {
    const found = measurements.find((one) => one.strategy === "qemu" && one.run === run);
    return found?.ok === true ? found.timing.seconds : undefined;
  };
  return measurements.map((measurement) => {
    const { strategy, run, url } = measurement;
    if (!measurement.ok) return { strategy, run, url, failed: measurement.reason };
    const { seconds, idle, jobs } = measurement.timing;
    const [first, same] = [emulated(1), emulated(run)];
    return {
      strategy,
      run,
      url,
      seconds,
      idle,
      ...(first !== undefined && { ratio: quotient(first, seconds) }),
      ...(same !== undefined && { cpuFactor: quotient(same, seconds) }),
      ...(first !== undefined && same !== undefined && { cacheFactor: quotient(first, same) }),
      jobs,
    };
  });
}

/** To hundredths. Times are whole seconds: none means less than one. */
function quotient(one: number, other: number): number {
  return hundredths(one / Math.max(1, other));
}

/** Aligned text for people: the runs, their jobs, and how to read both. */
export function textReport(rows: readonly Row[]): string {
  const times = (value: number | undefined) => (value === undefined ? "-" : factor(value));
  const runs = table(
    [
      ["strategy", "run", "seconds", "ratio", "CPU", "cache", "idle"],
      ...rows.map((row) => [
        row.strategy,
        String(row.run),
        row.seconds === undefined ? "failed" : String(row.seconds),
        times(row.ratio),
        times(row.cpuFactor),
        times(row.cacheFactor),
        row.idle === undefined ? "-" : String(row.idle),
      ]),
    ],
    [1, 2, 3, 4, 5, 6],
  );
  const jobs = table(
    [
      ["strategy", "run", "queued", "seconds", "job", "on"],
      ...rows.flatMap(({ strategy, run, jobs = [] }) =>
        jobs.map((job) => [
          strategy,
          String(run),
          String(job.queued),
          String(job.seconds),
          job.name,
          job.hosted ? "GitHub's machine" : job.runner,
        ]),
      ),
    ],
    [1, 2, 3],
  );
  const failures = rows.flatMap(({ strategy, run, failed, url }) =>
    failed === undefined ? [] : [`${strategy}, run ${run} has no time: ${failed} (${url})`],
  );
  return [
    runs,
    jobs,
    ...(failures.length > 0 ? [failures.join("\n")] : []),
    [
      "- seconds: from the dispatch to the end of the last job, as GitHub tells them; idle: the part in which no job ran.",
      "- ratio: QEMU's first run to this one. CPU: QEMU's run of the same number, which found as much cache, to this one.",
      "- cache: QEMU's first run to its run of the same number. CPU and cache multiply to the ratio.",
      "- A first run finds what earlier builds left in the registry and on the hosts, so it need not be a cold one.",
    ].join("\n"),
    "",
  ].join("\n\n");
}

/** A bar for each run that has a time. */
export function svgReport(repository: string, rows: readonly Row[]): string {
  const bars = rows.flatMap(({ strategy, run, seconds, ratio }) =>
    seconds === undefined
      ? []
      : [
          {
            label: `${strategy}, run ${run}`,
            value: seconds,
            shown: `${seconds} s`,
            ...(ratio !== undefined && { note: factor(ratio) }),
            group: strategy,
          },
        ],
  );
  return barChart({
    title: `Image builds of ${repository} on GitHub`,
    subtitle:
      "Seconds from the dispatch to the end of the last job, and how many times as fast as QEMU's first run that is.",
    bars,
  });
}
