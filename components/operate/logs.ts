import { quote } from "../host/applyScript";
import { STACK_DIRECTORY } from "../host/compose";
import type { RecordedHost } from "../stack/recordedHosts";

export interface LogQuery {
  /** Of one slot alone; default: everything of the fleet's on the host. */
  readonly slot?: number | undefined;
  /** Goes on with what is written from now on, until the connection ends. */
  readonly follow: boolean;
  /** Nothing older. */
  readonly since?: Date | undefined;
  /** The last so many lines; default: 100, or all where `since` is given. */
  readonly lines?: number | undefined;
}

const DEFAULT_LINES = 100;

/** Units whose journal tells what a runner host does. */
const UNITS = ["runner-slot@*.service", "runner-guard.service", "runner-lease.service"];

/**
 * The command that prints the log of a host: of its runners' units, or of the token service.
 * @throws Error in one sentence when a slot is asked for where there is none.
 */
export function logCommand(host: Pick<RecordedHost, "name" | "pool">, query: LogQuery): string {
  const { slot, follow } = query;
  const since = query.since && Math.floor(query.since.getTime() / 1000);
  const lines = query.lines ?? (since === undefined ? DEFAULT_LINES : "all");
  const options = follow ? ["--follow"] : [];
  let words: string[];
  if (host.pool === undefined) {
    if (slot !== undefined) {
      throw new Error(`SLOT: found ${slot}, expected none, since ${host.name} runs no runners.`);
    }
    words = ["docker compose --project-directory", STACK_DIRECTORY, "logs --no-color --timestamps"];
    words.push(`--tail ${lines}`, ...options);
    if (since !== undefined) words.push(`--since ${since}`);
  } else {
    const units = slot === undefined ? UNITS : [`runner-slot@${slot}.service`];
    words = ["journalctl --no-pager --output short-iso", `--lines ${lines}`, ...options];
    if (since !== undefined) words.push(`--since @${since}`);
    words.push(...units.map((unit) => `--unit ${quote(unit)}`));
  }
  const command = words.join(" ");
  return follow ? endedWithInput(command) : command;
}

/** A command that follows does not notice that nobody listens: here it ends with its input, so with the connection. */
function endedWithInput(command: string): string {
  return [
    "exec 3<&0",
    `${command} & followed=$!`,
    '{ cat <&3; kill "$followed"; } >/dev/null 2>&1 &',
    'wait "$followed"',
  ].join("\n");
}

const UNITS_OF_TIME: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/**
 * A point in time as people write it: a span back from now such as 90s, 30m, 2h or 1d, or a date such as 2026-01-31 or
 * 2026-01-31T12:00:00Z. A date without a time is midnight in UTC.
 * @throws Error in one sentence for anything else.
 */
export function parseSince(text: string, now: Date): Date {
  const [, amount, unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined) {
    return new Date(now.getTime() - Number(amount) * UNITS_OF_TIME[unit]! * 1000);
  }
  const date = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? new Date(text)
    : new Date(Number.NaN);
  if (Number.isNaN(date.getTime())) {
    throw new Error(
      `--since: found ${JSON.stringify(text)}, expected a span such as 30m, 2h or 1d, or a date such as 2026-01-31T12:00:00Z.`,
    );
  }
  return date;
}
