import type { HostReport } from "../status/reading";

/** What `bin/status` on a runner host says of its slots. */
export type Slots = HostReport["slots"];

/** Such as "slot 1 working, slot 2 drained". */
export function describeSlots(slots: Slots): string {
  if (slots.length === 0) return "it has no slot";
  return slots.map(({ slot, state }) => `slot ${slot} ${state}`).join(", ");
}

/** One line for each slot whose state is another than before, such as "slot 1: draining (dev-arm64-1-1-1-k3x9ab)". */
export function changedSlots(before: Slots, now: Slots): readonly string[] {
  return now
    .filter(({ slot, state }) => before.find((one) => one.slot === slot)?.state !== state)
    .map(
      ({ slot, state, runner }) => `slot ${slot}: ${state}${runner === null ? "" : ` (${runner})`}`,
    );
}
