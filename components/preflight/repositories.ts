import type { FleetSettings } from "../config/schema";
import type { GitHubFacts, Repository } from "./facts";

export interface RepositorySelection {
  /** Ids of the repositories whose jobs the runner group takes. */
  readonly runnerGroup: readonly number[];
  /** Ids of the repositories that see each secret. */
  readonly secrets: Readonly<Record<string, readonly number[]>>;
  /**
   * Ids by name of the repositories whose workflows are routed to a pool, as those with the strategy hybrid are: not the
   * public ones, whose jobs the runner group refuses, since anybody's pull request could bring its own.
   */
  readonly routed: Readonly<Record<string, number>>;
}

/** Names of the repositories of all targets, each once. */
function targetRepositories({ targets }: Pick<FleetSettings, "targets">): string[] {
  return [...new Set(Object.entries(targets).map(([key, one]) => one.repository ?? key))];
}

/** Names of the repositories whose jobs the runner group takes. */
export function runnerRepositories(
  settings: Pick<FleetSettings, "runnerGroup" | "targets" | "canary">,
): readonly string[] {
  const { runnerGroup, canary } = settings;
  if (runnerGroup.repositories !== undefined) return runnerGroup.repositories;
  const ofTargets = targetRepositories(settings);
  const name = canary.repository;
  const isTarget = ofTargets.some((one) => one.toLowerCase() === name?.toLowerCase());
  return name === undefined || isTarget ? ofTargets : [...ofTargets, name];
}

/** Which repository gets what; whatever names none means those of all targets. Ids are sorted, each once. */
export function selectRepositories(
  settings: FleetSettings,
  facts: Pick<GitHubFacts, "repositories">,
): RepositorySelection {
  const find = (name: string): Repository => {
    const repository = facts.repositories.get(name.toLowerCase());
    if (repository === undefined || repository === "absent") {
      throw new Error(`The repository ${name} was not found.`);
    }
    return repository;
  };
  const idOf = (name: string): number => find(name).id;
  const ids = (names: readonly string[]) =>
    [...new Set(names.map(idOf))].sort((one, other) => one - other);
  const ofHybridTargets = Object.entries(settings.targets)
    .filter(([, { strategy }]) => strategy === "hybrid")
    .map(([key, one]) => one.repository ?? key);
  return {
    runnerGroup: ids(runnerRepositories(settings)),
    secrets: Object.fromEntries(
      Object.entries(settings.secrets).map(([name, secret]) => [
        name,
        ids(secret.repositories ?? targetRepositories(settings)),
      ]),
    ),
    routed: Object.fromEntries(
      [
        ...new Map(
          ofHybridTargets.filter((name) => find(name).private).map((name) => [idOf(name), name]),
        ),
      ].map(([id, name]) => [name, id]),
    ),
  };
}
