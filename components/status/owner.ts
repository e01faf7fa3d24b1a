import { groupsOfOthers, type RunnerOwner } from "../host/runnerNames";
import type { Reading } from "./reading";

export const RUNNER_GROUP = "github:index/actionsRunnerGroup:ActionsRunnerGroup";

/** What tells the stack's runners from those of others, as far as the sources say it. */
export function runnerOwner({ stack, settings, recorded, runnerGroups }: Reading): RunnerOwner {
  const ids = recorded.resources.filter(({ type }) => type === RUNNER_GROUP).map(({ id }) => id);
  const group = runnerGroups?.find(({ id }) => ids.includes(String(id)));
  return {
    prefix: stack,
    pools: [
      ...new Set([
        ...Object.keys(settings.pools),
        ...recorded.hosts.flatMap(({ pool }) => pool ?? []),
      ]),
    ],
    group: group?.id,
    otherGroups: groupsOfOthers(runnerGroups ?? [], group?.id),
  };
}
