import type { FleetSettings } from "../config/schema";

/**
 * What the routing variable holds for a pool of own hosts: the JSON that `runs-on: ${{ fromJSON(vars.NAME || …) }}`
 * reads. Runners carry self-hosted, Linux and ARM64 by themselves; naming them keeps a job off a runner of another kind
 * in the group.
 */
export function runsOnValue(group: string, labels: readonly string[]): string {
  return JSON.stringify({ group, labels: ["self-hosted", "Linux", "ARM64", ...labels] });
}

/** The same for runners that others run: the name of a scale set, or labels as they are, in a group if one is named. */
export function externalRunsOnValue(pool: FleetSettings["externalPools"][string]): string {
  const { scaleSet, labels, group } = pool;
  return JSON.stringify(scaleSet ?? (group === undefined ? labels : { group, labels }));
}

/** The pool that jobs are routed to. */
export function routedPool(settings: Pick<FleetSettings, "pools" | "externalPools" | "routing">): {
  readonly name: string;
  readonly external: boolean;
} {
  const names = [...Object.keys(settings.pools), ...Object.keys(settings.externalPools)];
  // The schema has seen that there is one, and that it is named where there are more.
  const name = settings.routing.pool ?? names[0]!;
  return { name, external: name in settings.externalPools };
}

/** Whether there is a routing variable: not where the pool that it would point to is paused. */
export function isRouted(
  settings: Pick<FleetSettings, "pools" | "externalPools" | "routing">,
): boolean {
  const { name } = routedPool(settings);
  return (settings.pools[name]?.paused ?? false) === false;
}

/** What the routing variable holds, where there is one. */
export function routedRunsOn(
  settings: Pick<FleetSettings, "pools" | "externalPools" | "routing" | "runnerGroup">,
): string {
  const { name } = routedPool(settings);
  const external = settings.externalPools[name];
  return external === undefined
    ? runsOnValue(settings.runnerGroup.name, settings.pools[name]!.labels)
    : externalRunsOnValue(external);
}
