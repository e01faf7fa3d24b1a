import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRefusals, type Refusal, REFUSALS_FILE } from "../components/host/refusals";
import { listPlaces } from "../components/runnerPool/placement";
import { type RollProgress, rollSentence } from "../components/runnerPool/roll";
import { NO_PULUMI, runPulumi } from "../components/stack/stack";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE =
  "expected --stack NAME, --config-file FILE, --for MINUTES or -- and arguments for `pulumi up`";

/**
 * `pulumi up`, and again with the next choice for servers that Hetzner had no room for, and as long as a pool has hosts
 * of another generation. What was made stays made. Ends, as each run goes on only where a listed type and location was
 * refused that had not been refused before, or where the last one took a roll further; and, with `--for`, where fewer
 * minutes have passed, so that a scheduler's limit meets no run in its middle.
 * @returns the exit code of the last run, and 1 for a roll that it took no further
 * @throws Error in one sentence when the stack's outputs cannot be read, which tell whether a roll goes on
 */
async function up(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const { values } = readArguments(
    { args: args.slice(0, end), options: { ...STACK_OPTIONS, for: { type: "string" } } },
    USAGE,
  );
  const minutes = Number(values.for ?? Infinity);
  if (!(minutes > 0)) {
    throw new Error(`--for: found ${JSON.stringify(values.for)}, expected a number of minutes.`);
  }
  const twice = args.slice(end + 1).find((one) => /^(--stack|-s|--config-file)(=|$)/.test(one));
  if (twice !== undefined) {
    throw new Error(
      `${twice}: found behind --, expected before it, since it is not \`pulumi up\`'s alone.`,
    );
  }
  const began = performance.now();
  const options = [
    ...(values.stack === undefined ? [] : ["--stack", values.stack]),
    ...(values["config-file"] === undefined ? [] : ["--config-file", values["config-file"]]),
    ...args.slice(end + 1),
  ];
  const folder = await mkdtemp(join(tmpdir(), "runner-fleet-up-"));
  const file = environment[REFUSALS_FILE] || join(folder, "refusals.jsonl");
  const ofStack = values.stack === undefined ? [] : ["--stack", values.stack];
  let rolls = "";
  let interrupted = false;
  // The engine hears it as well, and ends what it is at.
  const onInterrupt = () => {
    interrupted = true;
  };
  for (const signal of SIGNALS) process.on(signal, onInterrupt);
  try {
    for (;;) {
      const known = readRefusals(file);
      const code = await pulumiUp(options, { ...environment, [REFUSALS_FILE]: file });
      const refused = readRefusals(file).filter((one) => !known.some(isSame(one)));
      if (interrupted) return code;
      if (code === 0) {
        const unfinished = await readRolls(ofStack, environment);
        const before = rolls;
        rolls = JSON.stringify(unfinished);
        if (rolls === "{}") return code;
        if (rolls === before) {
          const pools = Object.keys(unfinished).join(", ");
          process.stderr.write(`The last run has taken the roll of ${pools} no further.\n`);
          return 1;
        }
        for (const [pool, progress] of Object.entries(unfinished)) {
          process.stderr.write(`${rollSentence(pool, progress)}.\n`);
        }
        if (performance.now() - began > minutes * 60_000) return code;
        continue;
      }
      if (refused.length === 0) return code;
      process.stderr.write(
        `Hetzner had no room for ${listPlaces(refused)}: again, with the next choice.\n`,
      );
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, onInterrupt);
    await rm(folder, { recursive: true, force: true });
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function isSame(one: Refusal) {
  return (other: Refusal) => one.serverType === other.serverType && one.location === other.location;
}

/** The stack's output: pools that the next run takes further. */
async function readRolls(
  ofStack: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<Readonly<Record<string, RollProgress>>> {
  const args = ["stack", "output", "--json", ...ofStack];
  const output = await runPulumi(args, process.cwd(), environment).catch((error: unknown) => {
    throw new Error(
      `pulumi up has succeeded, but whether a roll goes on is not known, since ${(error as Error).message}`,
      { cause: error },
    );
  });
  return (JSON.parse(output) as { rolls?: Record<string, RollProgress> }).rolls ?? {};
}

/** Its exit code. With the terminal of this process, so that it may ask for confirmation. */
function pulumiUp(options: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const pulumi = spawn("pulumi", ["up", ...options], { stdio: "inherit", env: environment });
    pulumi.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "ENOENT" ? new Error(NO_PULUMI) : error);
    });
    pulumi.once("exit", (code) => resolve(code ?? 1));
  });
}

runScript(() => up(process.argv.slice(2), process.env));
