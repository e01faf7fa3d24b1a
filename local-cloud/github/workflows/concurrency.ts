import { toText, truthy, type Value } from "../expressions";

/** Somebody who has, or waits for, a place in a concurrency group. */
export interface Holder {
  /** What it is part of: an attempt of a run. */
  readonly owner: object;
  readonly group: string;
  /** What it is in that run; "top level workflow" for the run itself. */
  readonly label: string;
  /** Called when the place is free, or at once. */
  go(): void;
  /** Called when a newer one takes its place. */
  cancel(): void;
}

export const topLevel = "top level workflow";

/** Groups in which one run or job at a time goes on, for all repositories. */
export class ConcurrencyGroups {
  private readonly groups = new Map<string, { running: Holder | undefined; pending: Holder[] }>();

  /**
   * Takes a place in the group that an evaluated `concurrency` names, or goes at once where it names none. `holds` gets the
   * place before anything is called. Throws for a run that would wait for itself.
   */
  acquire(
    repository: number,
    concurrency: Value,
    wants: Omit<Holder, "group">,
    holds: (holder: Holder) => void,
  ): void {
    const settings =
      typeof concurrency === "object" && concurrency !== null && !Array.isArray(concurrency)
        ? concurrency
        : { group: concurrency };
    const name = toText(settings["group"] ?? null);
    if (name === "") {
      wants.go();
      return;
    }
    const key = `${repository}:${name.toLowerCase()}`;
    const group = this.groups.get(key) ?? { running: undefined, pending: [] };
    this.groups.set(key, group);
    const holder: Holder = { ...wants, group: key };
    const { running } = group;
    if (running === undefined) {
      group.running = holder;
      holds(holder);
      holder.go();
      return;
    }
    if (running.owner === holder.owner && running.label === topLevel)
      throw new DeadlockError(
        `Canceling since a deadlock for concurrency group '${name}' was detected between '${running.label}' and '${holder.label}'`,
      );
    holds(holder);
    // Only the newest of those that wait goes on waiting.
    const waiting = settings["queue"] === "max" ? [] : group.pending.splice(0);
    group.pending.push(holder);
    for (const one of waiting) one.cancel();
    if (truthy(settings["cancel-in-progress"] ?? false)) running.cancel();
  }

  /** Gives a place back, or stops waiting for it; the next one goes on. */
  release(holder: Holder): void {
    const group = this.groups.get(holder.group);
    if (group === undefined) return;
    group.pending = group.pending.filter((one) => one !== holder);
    if (group.running !== holder) return;
    group.running = group.pending.shift();
    if (group.running === undefined) this.groups.delete(holder.group);
    else group.running.go();
  }
}

export class DeadlockError extends Error {}
