import { writeFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { USD_PER_EUR } from "../components/costs/breakEven";
import type { JobCache } from "../components/status/jobs";
import { fleetStatus, type FleetStatus } from "../components/status/model";
import { renderPage } from "../components/status/page";
import { readStatus } from "../components/status/read";
import { renderTable } from "../components/status/table";
import { openStack, type Stack } from "../components/stack/stack";
import { codeOf } from "../components/text/files";
import { interruptSignal } from "./interruptSignal";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const HELP = `Usage: npm run status -- [options]

What the fleet does: hosts and their slots, runner versions, jobs, routing, costs, and what differs from the state.

  --stack NAME         default: the stack that is selected
  --config-file FILE   default: Pulumi.<stack>.yaml
  --json               prints JSON
  --html FILE          writes one page that needs nothing else
  --watch [SECONDS]    shows it again and again until Ctrl-C, every 5 to 3600 seconds; default 10
  --runs N             the newest runs of workflows that are looked at, 1 to 1000; default 100
  --usd-per-eur RATE   for the comparison with hosted runners; default ${USD_PER_EUR}
`;

const USAGE = "expected what `npm run status -- --help` lists";
const DAYS = 30;
/** Clears the screen and what has scrolled off it, and goes to its beginning. */
const CLEAR = "\u001b[2J\u001b[3J\u001b[H";
const INTERRUPTED = 130;

async function main(): Promise<number> {
  const { values, positionals } = readArguments(
    {
      allowPositionals: true,
      options: {
        ...STACK_OPTIONS,
        help: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        html: { type: "string" },
        watch: { type: "boolean", default: false },
        runs: { type: "string", default: "100" },
        "usd-per-eur": { type: "string", default: USD_PER_EUR },
      },
    },
    USAGE,
  );
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { json, html, watch } = values;
  const maxRuns = wholeNumber("--runs", values.runs, 1, 1000);
  const [every = "10", ...more] = positionals;
  if (positionals.length > 0 && (!watch || more.length > 0)) {
    throw new Error(`Unexpected argument '${(watch ? more[0] : every)!}', ${USAGE}.`);
  }
  // Each look takes requests of an hourly allowance that the fleet's other programs need as well.
  const seconds = wholeNumber("--watch", every, 5, 3600);
  if (watch && json) throw new Error("--watch: found --json beside it, expected one of the two.");
  if (html === "") throw new Error("--html: found nothing, expected the name of a file.");
  const usdPerEur = rate(values["usd-per-eur"]);

  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const cache: JobCache = new Map();
  const look = (of: Stack) => lookAt(of, maxRuns, usdPerEur, cache);
  const show = async (status: FleetStatus, before = "") => {
    if (html !== undefined) await writePage(html, status);
    if (json) process.stdout.write(`${JSON.stringify(status, null, 2)}\n`);
    else if (html === undefined || watch) process.stdout.write(before + renderTable(status));
  };
  if (!watch) {
    await show(await look(stack));
    return 0;
  }
  // The key that hosts let in is decrypted once.
  const key = remember(() => stack.secret("ssh.privateKey"));
  const watched: Stack = { ...stack, secret: key };
  const signal = interruptSignal();
  while (!signal.aborted) {
    const status = await Promise.race([look(watched), aborted(signal)]);
    if (status === undefined) break;
    await show(status, CLEAR);
    await pause(seconds * 1000, undefined, { signal }).catch(() => undefined);
  }
  // Requests that are still under way hold nobody up.
  setImmediate(() => process.exit(INTERRUPTED));
  return INTERRUPTED;
}

async function lookAt(
  stack: Stack,
  maxRuns: number,
  usdPerEur: string,
  cache: JobCache,
): Promise<FleetStatus> {
  return fleetStatus(await readStatus(stack, { maxRuns, days: DAYS, cache }), { usdPerEur });
}

function remember(read: () => Promise<string>): () => Promise<string> {
  let value: Promise<string> | undefined;
  return () => (value ??= read());
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

async function writePage(file: string, status: FleetStatus): Promise<void> {
  try {
    await writeFile(file, renderPage(status));
  } catch (error) {
    throw new Error(`${file} cannot be written (${codeOf(error)}).`, { cause: error });
  }
}

function wholeNumber(option: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new Error(
    `${option}: found ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}.`,
  );
}

function rate(text: string): string {
  if (/^\d{1,6}(\.\d{1,10})?$/.test(text) && Number(text) > 0) return text;
  throw new Error(
    `--usd-per-eur: found ${JSON.stringify(text)}, expected a decimal number above 0 such as ${USD_PER_EUR}.`,
  );
}

runScript(main);
