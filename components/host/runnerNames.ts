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

/** A pool, a generation and a number: no pool's name begins with a digit, and no number with a zero. */
const HOST = /^([a-z](?:[a-z0-9-]*[a-z0-9])?)-[1-9]\d*-[1-9]\d*$/;

/** Name of the pool that a host is of by its name; undefined where no stack of this name calls a host so. */
export function poolOfHost(host: string, prefix: string): string | undefined {
  return host.startsWith(`${prefix}-`) ? HOST.exec(host.slice(prefix.length + 1))?.[1] : undefined;
}

/**
 * The host that a runner is of, where a stack of this name may have it; undefined for all others. The pool east-arm64 of
 * the stack dev and the pool arm64 of dev-east give the same names: `ownHost` tells them apart.
 */
export function hostOfRunner(runner: string, prefix: string): string | undefined {
  const slot = slotOf(runner);
  const host = hostOfSlot(slot);
  const fits = poolOfHost(host, prefix) !== undefined;
  return slot !== runner && slot !== host && fits ? host : undefined;
}

/** Ids of the runner groups of others. GitHub's default one, where runners of a deleted group go, is nobody's. */
export function groupsOfOthers(
  groups: readonly { readonly id: number; readonly isDefault: boolean }[],
  own: number | undefined,
): number[] {
  return groups.filter(({ id, isDefault }) => id !== own && !isDefault).map(({ id }) => id);
}

/** What tells the runners of a stack from those of others. */
export interface RunnerOwner {
  /** In front of the names of its hosts. */
  readonly prefix: string;
  /** Names of its pools, as far as they are known. */
  readonly pools: readonly string[];
  /** Id of its runner group; undefined where it has none. */
  readonly group: number | undefined;
  /** From `groupsOfOthers`. */
  readonly otherGroups: readonly number[];
}

/** The host of a stack that a runner is of: by its group, or, where that says nothing, by the name of a pool. */
export function ownHost(
  { name, group }: { readonly name: string; readonly group: number | undefined },
  owner: RunnerOwner,
): string | undefined {
  const host = hostOfRunner(name, owner.prefix);
  if (host === undefined || (group !== undefined && group === owner.group)) return host;
  if (group !== undefined && owner.otherGroups.includes(group)) return undefined;
  return owner.pools.includes(poolOfHost(host, owner.prefix)!) ? host : undefined;
}
