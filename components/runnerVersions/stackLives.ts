import type { ApiAccess } from "../config/load";
import type { FleetSettings } from "../config/schema";
import type { ApiOptions } from "../preflight/api";
import {
  githubApi,
  type Obstacle,
  orObstacle,
  readRunnerVersions,
  type RunnerVersion,
  serversDiffer,
  type ServersDiffer,
} from "../preflight/facts";
import { textTable } from "../text/table";
import { lifeSentence, type RunnerLife, runnerLife } from "./runnerLife";

/** What the runners of a pool are, and how long GitHub serves it. */
export interface PoolLife {
  readonly pool: string;
  /** The configured image of the user's own, whose version nobody knows; else undefined. */
  readonly reference: string | undefined;
  readonly life: RunnerLife;
}

/** One for each pool, in the order of the configuration. */
export function poolLives(
  settings: Pick<FleetSettings, "pools" | "runnerLife">,
  ends: ReadonlyMap<string, RunnerVersion>,
  now: Date,
): PoolLife[] {
  return Object.entries(settings.pools).map(([pool, { runner }]) => ({
    pool,
    reference: runner.reference,
    life: runnerLife(
      runner.version,
      runner.reference === undefined ? ends.get(runner.version) : undefined,
      now,
      settings.runnerLife.warnDays,
    ),
  }));
}

/** Asks GitHub about the versions of a stack, and about nothing else. */
export async function readPoolLives(
  settings: FleetSettings,
  access: ApiAccess,
  options: ApiOptions = {},
): Promise<readonly PoolLife[] | Obstacle | ServersDiffer> {
  return orObstacle<readonly PoolLife[] | ServersDiffer>(async () => {
    const differ = serversDiffer(settings.githubUrl, access.endpoint);
    if (differ !== undefined) return differ;
    const organization = encodeURIComponent(settings.organization);
    const ends = await readRunnerVersions(githubApi(access, options), organization, settings);
    return poolLives(settings, ends, new Date());
  });
}

/** 0: all well, 2: one ends soon, 3: one has ended, 1: of one GitHub says nothing, so that nobody knows. */
export function exitCodeOf(lives: readonly PoolLife[]): number {
  const states = lives.filter(({ reference }) => reference === undefined);
  const has = (state: RunnerLife["state"]) => states.some(({ life }) => life.state === state);
  return has("ended") ? 3 : has("ending") ? 2 : has("unknown") ? 1 : 0;
}

/** What `check:versions` prints for people. */
export function livesTable(lives: readonly PoolLife[]): string {
  return textTable([
    ["POOL", "VERSION", "ENDS", "DAYS LEFT", "STATE"],
    ...lives.map(({ pool, reference, life }) => [
      pool,
      reference ?? life.version,
      life.endsAt?.toISOString().slice(0, 10) ?? "-",
      life.daysLeft === undefined ? "-" : String(life.daysLeft),
      reference === undefined ? life.state : "of your own",
    ]),
  ]);
}

/** Sentences for the pools that somebody has to look after. */
export function livesAdvice(lives: readonly PoolLife[], namespace: string): string[] {
  return lives.flatMap(({ pool, reference, life }) => {
    if (reference !== undefined || life.state === "served") return [];
    const key = `${namespace}:pools.${pool}.runner.version`;
    return [
      life.state === "unknown"
        ? `${key}: ${lifeSentence(life)}; it knows no such release, or the token may not see the organization's runners.`
        : `${key}: ${lifeSentence(life)}; \`npm run bump\` proposes a newer release.`,
    ];
  });
}
