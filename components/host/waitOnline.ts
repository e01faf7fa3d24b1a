import { setTimeout as pause } from "node:timers/promises";
import { type ApiTarget, HostError } from "./request";
import { slotOf } from "./runnerNames";
import { runnersOf } from "./runners";

/** Runners of a host that nothing reaches into. */
export interface AwaitedRunners {
  readonly host: string;
  readonly github: ApiTarget;
  readonly organization: string;
  /** Names without the six characters of each job's runner. */
  readonly names: readonly string[];
}

/**
 * Resolves when GitHub has listed a runner of each name as online.
 * @throws HostError that names those that are missing after `timeoutSeconds`.
 */
export async function waitOnline(
  { host, github, organization, names }: AwaitedRunners,
  timeoutSeconds: number,
  pollSeconds = 5,
): Promise<void> {
  const missing = new Set(names);
  for (const end = performance.now() + timeoutSeconds * 1000; ;) {
    // A runner that was seen may be gone again: it has had its job.
    for (const { name, online } of await runnersOf(github, organization, host)) {
      if (online) missing.delete(slotOf(name));
    }
    if (missing.size === 0) return;
    if (performance.now() >= end) {
      throw new HostError(
        `${host}: found no runner online of ${[...missing].join(", ")} after ${timeoutSeconds} s, expected ${names.length}; what went wrong stands in the journal of ${host}, and the next run waits again.`,
      );
    }
    await pause(pollSeconds * 1000);
  }
}
