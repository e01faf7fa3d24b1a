import { setTimeout as pause } from "node:timers/promises";
import { STACK_DIRECTORY } from "../host/compose";
import { runOverSsh, SshError } from "../host/ssh";
import { drainCommand } from "../runnerHost/stack";
import { readReport } from "../status/read";
import { lineWriter } from "./lineWriter";
import type { ReachedHost } from "./reach";
import { changedSlots, describeSlots, type Slots } from "./slots";

/** How long a host that is still up after a drain's limit stays out of service, in seconds (files/drain.sh). */
export const LEASE_SECONDS = 900;

/** What a drain may take beyond its own limit, in seconds. */
const GRACE = 120;
/** How long slots that go back into service may take until they listen for jobs, in seconds. */
const ONLINE_TIMEOUT = 120;
const STATUS_TIMEOUT = 30;
/** Exit code of a command that Ctrl-C has ended. */
const INTERRUPTED = 130;

/** How a person follows it. */
export interface Watch {
  /** Hears one line at a time. */
  readonly say: (line: string) => void;
  /** Ends the wait; the host goes on with what it does. */
  readonly signal: AbortSignal;
  /** Seconds between two looks at the host. Default: 2. */
  readonly pollSeconds?: number;
}

/**
 * Takes all slots of a host out of service and waits until none has a runner any more, saying what each slot does
 * meanwhile. Resolves with the exit code: 0 drained, 1 not all of it, 130 the wait was ended.
 * @param timeoutSeconds how long running jobs may go on. Default: the one that the host was made with.
 * @throws Error in one sentence when the host runs no jobs, or could not be drained.
 */
export async function drainHost(
  { host, target }: ReachedHost,
  timeoutSeconds: number | undefined,
  watch: Watch,
): Promise<number> {
  const { name } = host;
  const limit = timeoutSeconds ?? host.drain?.timeoutSeconds;
  if (host.drain === undefined || limit === undefined) {
    throw new Error(`HOST: found ${name}, expected a host that runs jobs.`);
  }
  const backAt = new Date(Date.now() + (limit + LEASE_SECONDS) * 1000);
  const back = `\`npm run undrain -- ${name}\` puts it back into service, as the host does by itself at ${clock(backAt)}, at a reboot, or when \`pulumi up\` changes what runs on it`;
  watch.say(`${name}: drains, running jobs may go on for ${limit} s`);
  const ended = new AbortController();
  const lines = lineWriter((line) => watch.say(line));
  const progress = followSlots(target, watch, AbortSignal.any([watch.signal, ended.signal]));
  try {
    await runOverSsh(target, drainCommand(limit), limit + GRACE, {
      stderr: lines.stream,
      signal: watch.signal,
    });
  } catch (error) {
    if (!(error instanceof SshError)) throw error;
    if (error.failure !== "left") {
      throw new Error(`${name} is not drained, ${error.message}.`, { cause: error });
    }
    watch.say(`${name} goes on by itself: ${await stateOf(target)}; ${back}.`);
    return INTERRUPTED;
  } finally {
    ended.abort();
    await progress;
    lines.flush();
  }
  const slots = await readSlots(target).catch((error: unknown) => error as Error);
  if (slots instanceof Error) {
    throw new Error(`${name} cannot be asked whether it is drained, ${slots.message}.`);
  }
  // As when somebody has put it back meanwhile.
  if (slots.some(({ state }) => state !== "drained")) {
    watch.say(`${name} is not drained: ${describeSlots(slots)}.`);
    return 1;
  }
  watch.say(`${name} is drained; ${back}.`);
  return 0;
}

/**
 * Puts the slots of a host that were drained back into service and waits until each listens for jobs. Resolves with the
 * exit code: 0 all do, 1 some do not after two minutes, 130 the wait was ended.
 * @throws Error in one sentence when the host runs no jobs, or could not be asked.
 */
export async function undrainHost({ host, target }: ReachedHost, watch: Watch): Promise<number> {
  const { name } = host;
  if (host.drain === undefined) {
    throw new Error(`HOST: found ${name}, expected a host that runs jobs.`);
  }
  try {
    await runOverSsh(target, `${STACK_DIRECTORY}/bin/undrain`, STATUS_TIMEOUT + GRACE, {
      signal: watch.signal,
    });
  } catch (error) {
    if (!(error instanceof SshError)) throw error;
    if (error.failure === "left") return INTERRUPTED;
    throw new Error(`${name} is not back in service, ${error.message}.`, { cause: error });
  }
  const isBack = (slots: Slots) =>
    slots.every(({ state }) => state === "listening" || state === "working");
  const late = AbortSignal.timeout(ONLINE_TIMEOUT * 1000);
  const slots = await followSlots(target, watch, AbortSignal.any([watch.signal, late]), isBack);
  const back = slots !== undefined && isBack(slots);
  const state = slots === undefined ? await stateOf(target) : describeSlots(slots);
  watch.say(`${name} is ${back ? "" : "not yet "}back in service: ${state}.`);
  return back ? 0 : watch.signal.aborted ? INTERRUPTED : 1;
}

/** Says what changes on a host until it is told to end, or until the slots are as wanted; resolves with the last look. */
async function followSlots(
  target: ReachedHost["target"],
  { say, pollSeconds = 2 }: Watch,
  signal: AbortSignal,
  enough: (slots: Slots) => boolean = () => false,
): Promise<Slots | undefined> {
  let last: Slots | undefined;
  while (!signal.aborted) {
    try {
      const now = await readSlots(target, signal);
      for (const line of changedSlots(last ?? [], now)) say(line);
      last = now;
      if (enough(now)) break;
    } catch {
      // A look that fails is no news: what is waited for says why it fails itself.
    }
    await pause(pollSeconds * 1000, undefined, { signal }).catch(() => undefined);
  }
  return last;
}

async function readSlots(target: ReachedHost["target"], signal?: AbortSignal): Promise<Slots> {
  const text = await runOverSsh(target, `${STACK_DIRECTORY}/bin/status`, STATUS_TIMEOUT, {
    ...(signal && { signal }),
  });
  const report = readReport(text);
  if (report === undefined) throw new Error("bin/status prints something else than expected");
  return report.slots;
}

async function stateOf(target: ReachedHost["target"]): Promise<string> {
  try {
    return describeSlots(await readSlots(target));
  } catch (error) {
    return `its state cannot be read (${(error as Error).message})`;
  }
}

/** Such as 2026-01-31 12:00 UTC. */
function clock(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
