import { setTimeout as pause } from "node:timers/promises";
import { isDown, pressPowerButton, serverStatus } from "./power";
import { type ApiTarget, HostError } from "./request";
import { deleteRunner, runnersOf } from "./runners";
import { runOverSsh, SshError, type SshTarget } from "./ssh";

/** What it takes to take a host out of service for good. */
export interface Retirement {
  /** Name of the server, and its id at Hetzner. */
  readonly host: string;
  readonly serverId: string;
  readonly hetzner: ApiTarget;
  /** Without it the host is drained by its own shutdown. */
  readonly ssh?: SshTarget;
  /** Program with arguments that is run on the host and ends when it is out of service. */
  readonly drain?: { readonly command: string; readonly timeoutSeconds: number };
  /** Where GitHub lists the host's runners. */
  readonly runners?: { readonly github: ApiTarget; readonly organization: string };
}

/** In seconds. */
export interface Pace {
  /** How long nothing has to be heard of a host until it counts as dead. */
  readonly deadAfter: number;
  readonly poll: number;
  /** What a drain may take beyond its own limit. */
  readonly grace: number;
  /** How long GitHub may count a runner as busy that is at work no more. */
  readonly busy: number;
}

export const PACE: Pace = { deadAfter: 120, poll: 5, grace: 120, busy: 120 };

/**
 * Drains a host, then deletes what GitHub still lists of its runners. A host that is off or dead is given up with a line
 * that says so; one that SSH does not reach but that has runners online is shut down, which drains it too. Harmless when
 * repeated.
 * @param warn hears one sentence for each thing that was given up.
 * @throws HostError when the host is alive and cannot be drained, or when an API does not answer.
 */
export async function retire(
  job: Retirement,
  warn: (sentence: string) => void,
  pace: Pace = PACE,
): Promise<void> {
  if (job.drain !== undefined) {
    if (job.ssh === undefined) await shutDown(job, warn, pace);
    else await drain(job.drain, job.ssh, job, warn, pace);
  }
  if (job.runners !== undefined) await forgetRunners(job.host, job.runners, warn, pace);
}

async function drain(
  { command, timeoutSeconds }: NonNullable<Retirement["drain"]>,
  ssh: SshTarget,
  job: Retirement,
  warn: (sentence: string) => void,
  pace: Pace,
): Promise<void> {
  const { host } = job;
  // Of a host that was never configured nothing has to be drained.
  const guarded = `test ! -x ${command.split(" ")[0]} || exec ${command}`;
  const end = seconds() + timeoutSeconds + pace.grace + pace.deadAfter;
  let heard = seconds();
  for (;;) {
    const status = await serverStatus(job.hetzner, job.serverId);
    if (isDown(status)) {
      warn(`${host} is ${status}, so it is not drained.`);
      return;
    }
    try {
      await runOverSsh(ssh, guarded, timeoutSeconds + pace.grace);
      return;
    } catch (error) {
      if (!(error instanceof SshError)) throw error;
      const { failure, message } = error;
      const remedy = "power it off at Hetzner to have it deleted as it is";
      if (failure === "failed" || failure === "late") {
        throw new HostError(`${host} cannot be drained, ${message}; ${remedy}.`);
      }
      // A second drain is harmless, so one that broke off is begun again.
      if (failure === "lost") heard = seconds();
      if (seconds() - heard >= pace.deadAfter || seconds() >= end) {
        if (failure === "refused") {
          throw new HostError(
            `${host} answers SSH but refuses this login or shows another host key (${message}); ${remedy}.`,
          );
        }
        if (await hasRunnerOnline(job)) {
          warn(
            `${host} cannot be reached by SSH (${message}), but its runners are online, so it is shut down, which drains it.`,
          );
          return shutDown(job, warn, pace);
        }
        warn(
          `${host} has not answered for ${pace.deadAfter} s (${message}), so it is not drained.`,
        );
        return;
      }
    }
    await pause(pace.poll * 1000);
  }
}

/**
 * Presses the power button and waits until the server is off: what runs on it drains when it is stopped.
 * @param warn hears it when the server is given up: dead, or not off in time.
 */
export async function shutDown(
  job: Retirement,
  warn: (sentence: string) => void,
  pace: Pace = PACE,
): Promise<void> {
  const { host, serverId, hetzner, drain: limit, runners } = job;
  const began = seconds();
  const limitSeconds = (limit?.timeoutSeconds ?? 0) + pace.grace;
  const end = began + limitSeconds;
  let pressed: number | undefined;
  let quiet: number | undefined;
  for (;;) {
    const status = await serverStatus(hetzner, serverId);
    if (isDown(status)) return;
    const now = seconds();
    if (now >= end) {
      warn(`${host} is still ${status} after ${limitSeconds} s, so it is not waited for any more.`);
      return;
    }
    // Once is not always enough: a system that still boots does not hear it.
    if (status === "running" && (pressed === undefined || now - pressed >= 60)) {
      await pressPowerButton(hetzner, serverId);
      pressed = now;
    }
    // A drained host is off in a moment: one without a runner online that stays on does not hear anything.
    if (runners !== undefined) {
      quiet = (await hasRunnerOnline(job)) ? undefined : (quiet ?? now);
      if (quiet !== undefined && now - quiet >= pace.deadAfter) {
        warn(
          `${host} has had no runner online for ${pace.deadAfter} s and does not shut down, so it is not waited for any more.`,
        );
        return;
      }
    }
    // The rarer, the longer it takes: hosts that wait for long jobs share the hourly limits of both APIs.
    await pause(pace.poll * Math.min(6, 1 + (now - began) / 60) * 1000);
  }
}

async function hasRunnerOnline({ host, runners }: Retirement): Promise<boolean> {
  if (runners === undefined) return false;
  const listed = await runnersOf(runners.github, runners.organization, host);
  return listed.some(({ online }) => online);
}

async function forgetRunners(
  host: string,
  { github, organization }: NonNullable<Retirement["runners"]>,
  warn: (sentence: string) => void,
  pace: Pace,
): Promise<void> {
  const end = seconds() + pace.busy;
  for (;;) {
    const busy: string[] = [];
    for (const runner of await runnersOf(github, organization, host)) {
      if ((await deleteRunner(github, organization, runner)) === "busy") busy.push(runner.name);
    }
    if (busy.length === 0) return;
    if (seconds() >= end) {
      warn(
        `${host}: GitHub counts ${busy.join(", ")} as busy and deletes it by itself when it has noticed the end of the job.`,
      );
      return;
    }
    await pause(pace.poll * 1000);
  }
}

function seconds(): number {
  return performance.now() / 1000;
}
