import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startLocalCloud, type LocalCloudOptions } from ".";
import { exportLine, serveGitHubSecurely } from "./clients";
import { interruptible, uninterrupted } from "./core/interruption";
import { engineEnvironment, prepareEngine } from "./engine";
import { lastWords, run } from "./engine/run";

const USAGE = `Usage: npm run local-cloud [-- --hosts booted|thin]

Serves a Hetzner project and a GitHub organization on this machine until Ctrl-C, and prints the variables that lead clients to them.

  --hosts booted   servers are real systems in containers, or it fails
  --hosts thin     servers are a model that answers SSH and runs jobs; needs neither root nor Linux
                   Default: booted where the machine can.
`;

/** Exit code of a program that Ctrl-C ended before it did what it was asked to. */
const INTERRUPTED = 130;

const log = (line: string): void => void process.stderr.write(`${line}\n`);

/** Undefined: the usage was asked for. */
function readArguments(): LocalCloudOptions | undefined {
  const { values } = parseArgs({
    options: { hosts: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  if (values.help) return undefined;
  const { hosts } = values;
  if (hosts !== undefined && hosts !== "booted" && hosts !== "thin") {
    throw new Error(`--hosts: found "${hosts}", expected booted or thin.`);
  }
  return { log, hosts };
}

/**
 * Serves until `signal` is aborted, and leaves nothing. Only `export` lines go to standard output, so they can be pasted or sourced.
 * Answers false when the signal came before they did.
 */
async function serve(options: LocalCloudOptions, signal: AbortSignal): Promise<boolean> {
  const undo: (() => Promise<unknown>)[] = [];
  try {
    const engine = await prepareEngine({ log });
    const state = await mkdtemp(join(tmpdir(), "runner-fleet-cloud-"));
    undo.push(() => rm(state, { recursive: true, force: true }));
    signal.throwIfAborted();
    const cloud = await startLocalCloud(options);
    undo.push(() => cloud.close());

    const pulumi = engineEnvironment(engine, state, process.env);
    const created = await run("pulumi", ["stack", "init", "dev"], { env: pulumi });
    if (created.code !== 0) throw new Error(`pulumi stack init: ${lastWords(created)}`);
    const secure = await serveGitHubSecurely(cloud, state).catch((error: unknown) => {
      if (signal.aborted) throw error;
      log(`local cloud: without GH_HOST, so gh does not find it, since ${messageOf(error)}`);
      return undefined;
    });
    if (secure !== undefined) undo.push(() => secure.close());
    signal.throwIfAborted();

    const variables = {
      // The rest of it is this shell's own.
      ...Object.fromEntries(Object.entries(pulumi).filter(([name]) => name.startsWith("PULUMI_"))),
      ...cloud.environment,
      // The variable of GitHub's own actions and of scripts for them; no provider reads it.
      GITHUB_API_URL: cloud.environment.GITHUB_BASE_URL?.replace(/\/$/, ""),
      ...secure?.environment,
    };
    // The second shell has a search path of its own.
    process.stdout.write(`${exportLine("PATH", engine.bin, ':"$PATH"')}\n`);
    for (const [name, value] of Object.entries(variables)) {
      if (value !== undefined) process.stdout.write(`${exportLine(name, value)}\n`);
    }
    log("local cloud: serving until Ctrl-C; in a second shell, with the lines above: pulumi up");
    await aborted(signal);
    return true;
  } catch (error) {
    // What is interrupted fails in one way or another.
    if (!signal.aborted) throw error;
    return false;
  } finally {
    if (signal.aborted) log("local cloud: stopping, hosts and state go");
    await uninterrupted(() => inReverse(undo));
  }
}

/** Runs all of them, the last first, even when one fails; rejects with the first failure then. */
async function inReverse(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.toReversed()) await step().catch((error) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** Node does not count it as work to wait for a signal: this does, whatever else goes on. */
function aborted(signal: AbortSignal): Promise<void> {
  const wake = setInterval(() => undefined, 2 ** 30);
  return new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  }).finally(() => clearInterval(wake));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function main(): Promise<void> {
  const stop = new AbortController();
  // They stay: npm sends the signal of a terminal on, so that it arrives twice, and it must not end what tidies up.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop.abort());
  // Who read the lines may be gone, and the terminal too: neither ends the service.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const options = readArguments();
  if (options === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  const served = await interruptible(stop.signal, () => serve(options, stop.signal));
  if (!served) process.exitCode = INTERRUPTED;
}

main().catch((error: unknown) => {
  log(messageOf(error));
  process.exitCode = 1;
});
