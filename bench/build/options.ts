import { parseArgs } from "node:util";

/** What the command line of the benchmark asks for. */
export interface BenchOptions {
  /** Print JSON instead of a table. */
  readonly json: boolean;
  /** Where to write the chart. */
  readonly svg: string | undefined;
  /** How often the emulated builds run; the median counts. */
  readonly slowRuns: number;
  /** How often the quick builds run: one-line change and no change on the persistent daemon. */
  readonly runs: number;
}

export const USAGE = `npm run bench:build -- [--json] [--svg FILE] [--runs N] [--slow-runs N]

  --json         print JSON instead of a table
  --svg FILE     write the chart to FILE
  --runs N       how often the quick builds run, 1 to 9; their median counts (default 3)
  --slow-runs N  how often the builds without any cache run, 1 to 9 (default 1)
`;

/**
 * Reads the command line.
 * @throws Error in one sentence for what is not known or out of range.
 */
export function parseOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      svg: { type: "string" },
      runs: { type: "string", default: "3" },
      "slow-runs": { type: "string", default: "1" },
    },
  });
  if (values.help) return "help";
  if (values.svg !== undefined && !values.svg.endsWith(".svg")) {
    throw new Error(`--svg: found ${values.svg}, expected a file name that ends in .svg.`);
  }
  return {
    json: values.json,
    svg: values.svg,
    runs: count("--runs", values.runs),
    slowRuns: count("--slow-runs", values["slow-runs"]),
  };
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d$/.test(text) || value < 1) {
    throw new Error(`${name}: found ${text}, expected a number from 1 to 9.`);
  }
  return value;
}
