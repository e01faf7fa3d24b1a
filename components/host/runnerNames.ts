/**
 * Names of runners: the host's, the number of the slot, and six characters that make each job's runner its own, such as
 * dev-arm64-1-1-2-x7k2p9. Hosts are called after stack, pool, generation and number.
 */

/** Name of the slot that a runner is of, such as dev-arm64-1-1-2. */
export function slotOf(runner: string): string {
  return runner.replace(/-[a-z0-9]{6}$/, "");
}

/** Name of the host that a slot is of, such as dev-arm64-1-1. */
export function hostOfSlot(slot: string): string {
  return slot.replace(/-\d{1,2}$/, "");
}

/** Number of the slot that a runner is of. */
export function slotNumber(runner: string): number {
  return Number(/-(\d{1,2})$/.exec(slotOf(runner))?.[1] ?? Number.NaN);
}

/** Whether a runner is called as those of this host are. */
export function isRunnerOf(host: string, runner: string): boolean {
  const slot = slotOf(runner);
  return slot !== host && hostOfSlot(slot) === host;
}

/** The host of a stack that a runner is of by its name; undefined for runners of others. */
export function hostOfRunner(runner: string, prefix: string): string | undefined {
  const slot = slotOf(runner);
  const host = hostOfSlot(slot);
  const ours = host.startsWith(`${prefix}-`) && /^.+-\d+-\d+$/.test(host.slice(prefix.length + 1));
  return slot !== runner && slot !== host && ours ? host : undefined;
}
