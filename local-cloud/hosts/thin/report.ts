import { statfs } from "node:fs/promises";

/** A slot as `bin/status` words it. */
export interface SlotReport {
  readonly slot: number;
  readonly state: "starting" | "listening" | "working" | "draining" | "drained";
  /** Name of its last runner, for as long as it may be in GitHub's list. */
  readonly runner: string | null;
}

/** What `bin/status` prints. The disk is this machine's; since when a slot is as it is, nobody keeps here. */
export async function statusText(host: string, slots: readonly SlotReport[]): Promise<string> {
  const { bsize, blocks, bavail } = await statfs("/");
  const disk = {
    sizeBytes: bsize * blocks,
    freeBytes: bsize * bavail,
    freePercent: Math.floor((bavail * 100) / blocks),
  };
  const rows = slots.map(({ slot, state, runner }) => ({
    slot,
    state,
    runner,
    failures: 0,
    since: null,
    drainedBy: state === "draining" || state === "drained" ? "operator" : null,
  }));
  return `${JSON.stringify({ host, disk, slots: rows })}\n`;
}

const JOURNAL =
  /^journalctl --no-pager --output short-iso --lines (\d+|all)(?: --since @(\d+))?((?: --unit \S+)+)$/;
const COMPOSE_LOGS =
  /^docker compose --project-directory \S+ logs --no-color --timestamps --tail (\d+|all)(?: --since (\d+))?$/;

/**
 * What a command that reads a host's log prints, of lines such as "2026-01-31T12:00:00.000Z runner-1: Listening for
 * Jobs"; undefined for any other command, and for one that follows.
 */
export function logText(command: string, lines: readonly string[]): string | undefined {
  const journal = JOURNAL.exec(command);
  const [, count = "", since, units = ""] = journal ?? COMPOSE_LOGS.exec(command) ?? [];
  if (count === "") return undefined;
  const sources =
    journal === null
      ? ["kms"]
      : [...units.matchAll(/runner-slot@(\d+|\*)\.service/g)].map(([, slot = ""]) =>
          slot === "*" ? "runner-" : `runner-${slot}`,
        );
  const wanted = lines.filter((line) => {
    const [time = "", source = ""] = line.split(" ", 2);
    const isOf = sources.some((one) =>
      one.endsWith("-") ? source.startsWith(one) : source === `${one}:`,
    );
    return isOf && (since === undefined || Date.parse(time) >= Number(since) * 1000);
  });
  const last = count === "all" ? wanted : wanted.slice(-Number(count));
  if (last.length === 0 && journal !== null) return "-- No entries --\n";
  return last.map((line) => `${line}\n`).join("");
}
