import type { FleetSettings } from "../config/schema";
import { type Finding, orOk, problem, skipped, warning } from "./check";
import type { Connection, Context } from "./context";

/** In seconds: what the clocks may be apart before it is worth a word, and what GitHub takes of an App. */
const WORTH_A_WORD = 30;
const OF_AN_APP = 60;

const REPAIR = "timedatectl set-ntp true";

/** @param ahead by how many seconds the clocks of the APIs are ahead of this machine's, by name of the API */
export function judgeClock(
  ahead: Readonly<Record<string, number>>,
  credential: FleetSettings["githubAuth"]["kind"],
): readonly Finding[] {
  const clocks = Object.entries(ahead);
  if (clocks.length === 0) return [skipped("Neither API has told the time.")];
  const findings = clocks
    .filter(([, seconds]) => Math.abs(seconds) > WORTH_A_WORD)
    .map(([name, seconds]) => {
      const side = seconds > 0 ? "behind" : "ahead of";
      const sentence = `The clock of this machine is ${Math.abs(seconds)} s ${side} ${name}'s`;
      return Math.abs(seconds) > OF_AN_APP && credential === "app"
        ? problem(`${sentence}: GitHub refuses an App whose clock is ${OF_AN_APP} s wrong.`, REPAIR)
        : warning(`${sentence}.`, REPAIR);
    });
  const most = Math.max(...clocks.map(([, seconds]) => Math.abs(seconds)));
  const names = clocks.map(([name]) => `${name}'s`).join(" and ");
  return orOk(findings, `The clock of this machine is within ${most} s of ${names}.`);
}

export async function checkClock(context: Context): Promise<readonly Finding[]> {
  const { settings } = await context.stack();
  const hasHosts = Object.keys(settings.pools).length > 0;
  const told = async (name: string, connect: () => Promise<Connection>) => {
    // What does not answer is the subject of another check.
    const seconds = await connect().then(
      ({ secondsAhead }) => secondsAhead,
      () => undefined,
    );
    return seconds === undefined ? [] : [[name, seconds] as const];
  };
  const clocks = await Promise.all([
    hasHosts ? told("Hetzner", context.hetzner) : [],
    told("GitHub", context.github),
  ]);
  return judgeClock(Object.fromEntries(clocks.flat()), settings.githubAuth.kind);
}
