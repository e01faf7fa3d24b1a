import type { RunnerVersion } from "../preflight/facts";

/** How long GitHub goes on to serve a release of its runner program. */
export interface RunnerLife {
  readonly version: string;
  /** From then on it gets no jobs or cannot be registered; undefined as long as GitHub has named no day. */
  readonly endsAt?: Date;
  /** Days that have begun count; 0 once it has ended. */
  readonly daysLeft?: number;
  /**
   * - `unknown`: GitHub did not say, or nobody asked, as for an image of the user's own;
   * - `served`: without an end, or with one that is further away than the warning;
   * - `ending`: within the days of the warning;
   * - `ended`: a runner of this version waits for jobs in vain.
   */
  readonly state: "unknown" | "served" | "ending" | "ended";
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * @param ends what GitHub says of this version; undefined where it says nothing
 * @param warnDays days before the end from which on it counts as ending; 0: never
 */
export function runnerLife(
  version: string,
  ends: RunnerVersion | undefined,
  now: Date,
  warnDays: number,
): RunnerLife {
  if (ends === undefined) return { version, state: "unknown" };
  // Either end leaves a host without jobs: runners are registered anew for each one.
  const [endsAt] = [ends.jobsEnd, ends.registrationEnds]
    .filter((date) => date !== undefined)
    .sort((one, other) => one.getTime() - other.getTime());
  if (endsAt === undefined) return { version, state: "served" };
  const daysLeft = Math.max(0, Math.ceil((endsAt.getTime() - now.getTime()) / DAY_MS));
  const state = daysLeft === 0 ? "ended" : daysLeft <= warnDays ? "ending" : "served";
  return { version, endsAt, daysLeft, state };
}

/** The same for people, a sentence without its full stop. */
export function lifeSentence({ version, endsAt, daysLeft, state }: RunnerLife): string {
  if (state === "unknown") return `GitHub does not say until when it serves ${version}`;
  if (endsAt === undefined) return `GitHub serves ${version} and has named no end`;
  const day = endsAt.toISOString().slice(0, 10);
  if (state === "ended") return `GitHub does not serve ${version} since ${day}`;
  return `GitHub does not serve ${version} after ${day}, ${daysLeft === 1 ? "1 day" : `${daysLeft} days`} from now`;
}
