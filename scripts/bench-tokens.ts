import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { table } from "../bench/format";
import type { Load, LoadResult } from "../bench/tokens/load.main";
import { type Bench, type Memory, startBench } from "../bench/tokens/processes";
import type { Behaviour } from "../bench/tokens/upstream.main";
import { NODE_OPTIONS } from "../components/tokenService/stack";

const HELP = `Usage: npm run bench:tokens -- [options]

Load on the token service: requests per second, latency and memory at 1, 50 and 500 clients, with a GitHub that answers
after 50 ms, fails or hangs; then a longer run that shows whether memory grows. Takes about a minute.

  --seconds N   how long each measurement takes, 1 to 60; default 2
  --soak N      requests of the longer run, in thousands, 1 to 1000; default 30
  --json        print JSON

Exits with 1 when an answer is not what it has to be, when the service ends or does not answer /healthz, or when it
takes more memory than its bound.
`;

const LATENCY_MS = 50;
const CLIENTS = [1, 50, 500];
/** Of the service for one exchange with GitHub. */
const TIMEOUT_MS = 1_000;
const MEBIBYTE = 1024 * 1024;
/** What the service may take. */
const BOUND_BYTES = 64 * MEBIBYTE;
/** More than this after a warm-up is a leak; garbage that is not collected yet stays below. */
const GROWTH_BYTES = 8 * MEBIBYTE;

const CASES: readonly {
  readonly name: string;
  readonly ask: Load["ask"];
  readonly behaviour: Behaviour["kind"];
  /** Answers that may come, beside 503 with the time to come again where more wait than may. */
  readonly expected: readonly string[];
}[] = [
  { name: "registration token", ask: "registrationToken", behaviour: "answers", expected: ["200"] },
  { name: "JIT configuration", ask: "jitConfig", behaviour: "answers", expected: ["201"] },
  {
    name: "GitHub fails (503)",
    ask: "jitConfig",
    behaviour: "fails",
    expected: ["502", "503", "504"],
  },
  { name: "GitHub hangs", ask: "jitConfig", behaviour: "hangs", expected: ["503", "504"] },
];

interface Row {
  readonly case: string;
  readonly clients: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** The most that was seen. */
  readonly memory: Memory;
}

interface Soak {
  readonly requests: number;
  readonly before: Memory;
  readonly after: Memory;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      seconds: { type: "string", default: "2" },
      soak: { type: "string", default: "30" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const seconds = number("--seconds", values.seconds, 60);
  const soakRequests = number("--soak", values.soak, 1000) * 1000;
  const bench = await startBench(TIMEOUT_MS);
  try {
    const problems: string[] = [];
    const rows: Row[] = [];
    for (const one of CASES) {
      await bench.behave({ kind: one.behaviour, latencyMs: LATENCY_MS });
      for (const clients of CLIENTS) {
        const row = await measure(bench, one.name, { ask: one.ask, clients, seconds });
        rows.push(row);
        const odd = Object.keys(row.statuses).filter((status) => !one.expected.includes(status));
        if (odd.length > 0)
          problems.push(
            `${one.name}, ${clients} clients: found the answers ${odd.join(", ")}, expected ${one.expected.join(", ")} only.`,
          );
        if (!(await bench.healthy()))
          problems.push(`${one.name}, ${clients} clients: /healthz is not answered with 200.`);
      }
    }
    await bench.behave({ kind: "answers", latencyMs: 1 });
    const soak = await longRun(bench, soakRequests);
    const growth = soak.after.rss - soak.before.rss;
    if (growth > GROWTH_BYTES)
      problems.push(`Memory grew by ${mebibytes(growth)} MiB over ${soak.requests} requests.`);
    const most = Math.max(soak.after.rss, ...rows.map(({ memory }) => memory.rss));
    if (most > BOUND_BYTES)
      problems.push(
        `Memory: found ${mebibytes(most)} MiB, expected ${mebibytes(BOUND_BYTES)} at most.`,
      );
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ latencyMs: LATENCY_MS, nodeOptions: NODE_OPTIONS, rows, soak, problems }, null, 2)}\n`
        : report(rows, soak),
    );
    if (problems.length > 0) throw new Error(problems.join("\n"));
  } finally {
    await bench.close();
  }
}

async function measure(
  bench: Bench,
  name: string,
  load: Parameters<Bench["load"]>[0],
): Promise<Row> {
  let most: Memory = { rss: 0, anonymous: 0 };
  const running = bench.load(load);
  let done = false;
  const ended = running.finally(() => (done = true));
  while (!done) {
    const { rss, anonymous } = await bench.memory();
    most = { rss: Math.max(most.rss, rss), anonymous: Math.max(most.anonymous, anonymous) };
    await Promise.race([sleep(100), ended]);
  }
  const { latencies, seconds, statuses } = await running;
  return {
    case: name,
    clients: load.clients,
    requestsPerSecond: Math.round(latencies.length / seconds),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    statuses,
    memory: most,
  };
}

/** Both kinds of requests, first as many as warm the service up, then the ones that count. */
async function longRun(bench: Bench, requests: number): Promise<Soak> {
  const both = async (count: number): Promise<LoadResult[]> => {
    const results = [];
    for (const ask of ["registrationToken", "jitConfig"] as const)
      results.push(await bench.load({ ask, clients: 50, seconds: 60, requests: count / 2 }));
    return results;
  };
  await both(Math.min(10_000, requests));
  await sleep(1_000);
  const before = await bench.memory();
  const results = await both(requests);
  await sleep(1_000);
  const after = await bench.memory();
  const answered = results.reduce((sum, { latencies }) => sum + latencies.length, 0);
  return { requests: answered, before, after };
}

/** @param sorted milliseconds. */
function percentile(sorted: readonly number[], part: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return Math.round(value * 10) / 10;
}

function mebibytes(bytes: number): string {
  return (bytes / MEBIBYTE).toFixed(1);
}

function report(rows: readonly Row[], soak: Soak): string {
  const lines = [
    ["case", "clients", "requests/s", "p50 ms", "p99 ms", "RSS MiB", "anonymous MiB", "answers"],
    ...rows.map((row) => [
      row.case,
      String(row.clients),
      String(row.requestsPerSecond),
      String(row.p50Ms),
      String(row.p99Ms),
      mebibytes(row.memory.rss),
      mebibytes(row.memory.anonymous),
      Object.entries(row.statuses)
        .map(([status, count]) => `${status}: ${count}`)
        .join(", "),
    ]),
  ];
  return [
    `GitHub answers after ${LATENCY_MS} ms; the service runs with ${NODE_OPTIONS.join(" ")}.`,
    "",
    table(lines, [1, 2, 3, 4, 5, 6]),
    "",
    `${soak.requests} requests more: ${mebibytes(soak.before.rss)} MiB before (${mebibytes(soak.before.anonymous)} anonymous), ${mebibytes(soak.after.rss)} MiB after (${mebibytes(soak.after.anonymous)} anonymous).`,
    "",
  ].join("\n");
}

function number(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new Error(`${option}: found ${text}, expected a whole number from 1 to ${max}.`);
  }
  return value;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
