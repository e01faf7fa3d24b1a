import { slotOf } from "../host/runners";

/** The host of a stack that a runner is of by its name, such as dev-arm64-1-1; undefined for runners of others. */
export function hostOfRunner(runner: string, prefix: string): string | undefined {
  const slot = slotOf(runner);
  // Names of slots end with generation, host and slot, and are those of runners without what makes each its own.
  const host = /^(.+-\d+-\d+)-\d{1,2}$/.exec(slot)?.[1];
  return slot !== runner && host?.startsWith(`${prefix}-`) ? host : undefined;
}

/** Number of the slot that a runner is of. */
export function slotNumber(runner: string): number {
  return Number(/-(\d{1,2})$/.exec(slotOf(runner))?.[1] ?? Number.NaN);
}
