import { groupsOfOthers, hostOfRunner, hostOfSlot, poolOfHost, slotOf } from "../host/runnerNames";
import { deleteRunner } from "../host/runners";
import { hasServer } from "./hetznerProject";
import { type Finding, orOk, problem, skipped, warning } from "./check";
import type { Context } from "./context";
import { ghDelete } from "./gh";
import type { ListedRunner, RunnerGroup } from "./githubOrganization";

/** What is known of runners, and of where they should be. */
export interface Sight {
  readonly prefix: string;
  readonly organization: string;
  /** Names of the pools, in the settings and in the state. */
  readonly pools: readonly string[];
  /** Id of the stack's runner group; undefined where it does not exist. */
  readonly group: number | undefined;
  /** Those of the organization that are not in a group of others. */
  readonly runners: readonly ListedRunner[];
  /** Names of servers that exist. */
  readonly servers: readonly string[];
  /** Slots that the last run has made, such as dev-arm64-1-1-2. */
  readonly slots: readonly string[];
}

/** A finding, and the runner that may be deleted for it. */
export interface RunnerFinding extends Finding {
  readonly ghost?: { readonly runner: ListedRunner; readonly host: string };
}

/** The host that a runner is called after, and whether its name is one that the stack gives. */
export function hostOf(
  runner: string,
  { prefix, pools }: Pick<Sight, "prefix" | "pools">,
): { readonly host: string; readonly isOurs: boolean } | undefined {
  const host = hostOfRunner(runner, prefix);
  if (host === undefined) return undefined;
  return { host, isOurs: pools.includes(poolOfHost(host, prefix)!) };
}

/**
 * Runners without those in a group that is neither the stack's nor GitHub's default: whatever they are called, they are
 * those of others.
 */
export function notOfOthers(
  runners: readonly ListedRunner[],
  groups: readonly RunnerGroup[],
  own: number | undefined,
): ListedRunner[] {
  const others = groupsOfOthers(groups, own);
  return runners.filter(({ group }) => group === undefined || !others.includes(group));
}

/** @param githubUrl where GitHub is, as gh is told */
export function judgeRunners(sight: Sight, githubUrl: string): readonly RunnerFinding[] {
  const { organization, group, runners, servers, slots } = sight;
  const online = runners.filter((one) => one.online);
  const findings: RunnerFinding[] = [];
  for (const runner of runners) {
    const inGroup = group !== undefined && runner.group === group;
    const named = hostOf(runner.name, sight);
    const path = `/orgs/${organization}/actions/runners/${runner.id}`;
    const repair = ghDelete(path, githubUrl);
    if (named === undefined || (!named.isOurs && !inGroup)) {
      if (!inGroup) continue;
      findings.push(
        warning(
          `The runner ${runner.name} is in the stack's runner group, but none of its hosts is called so: it takes jobs that are meant for them.`,
          ghDelete(
            `/orgs/${organization}/actions/runner-groups/${group}/runners/${runner.id}`,
            githubUrl,
          ),
        ),
      );
    } else if (!servers.includes(named.host)) {
      const { host } = named;
      findings.push(
        runner.online
          ? problem(
              `The runner ${runner.name} is online, but there is no server ${host}: somebody runs it elsewhere.`,
              repair,
            )
          : {
              ...warning(
                `The runner ${runner.name} is offline for good, since there is no server ${host}.`,
                repair,
              ),
              ...(named.isOurs && (inGroup || group === undefined) && { ghost: { runner, host } }),
            },
      );
    } else if (!runner.online && online.some(({ name }) => slotOf(name) === slotOf(runner.name))) {
      findings.push(
        warning(
          `The runner ${runner.name} is left over from an earlier start of its slot.`,
          repair,
        ),
      );
    }
  }
  // Of a server that is gone another check tells.
  const expected = slots.filter((slot) => servers.includes(hostOfSlot(slot)));
  for (const slot of expected) {
    if (online.some(({ name }) => slotOf(name) === slot)) continue;
    const host = hostOfSlot(slot);
    findings.push(
      warning(
        `No runner of ${slot} is online: its host is drained, busy with a start, or in trouble.`,
        `npm run logs -- ${host} ${slot.slice(host.length + 1)}`,
      ),
    );
  }
  return orOk(
    findings,
    expected.length === 0
      ? "No runner is there, and no server that should have one."
      : `The runners of all ${expected.length} slots are online, and no others are in the way.`,
  );
}

/** Between two jobs a slot has no runner for so long, in milliseconds. */
const START_MS = 8_000;

export async function checkRunners(context: Context): Promise<readonly Finding[]> {
  const { settings, prefix } = await context.stack();
  const { organization, githubUrl, pools, runnerGroup } = settings;
  const [{ hosts }, told] = await Promise.all([context.recorded(), context.outputs()]);
  if (Object.keys(pools).length === 0 && hosts.length === 0) {
    return [skipped("There is no pool of own hosts.")];
  }
  const [github, hetzner, listed, groups, labelled] = await Promise.all([
    context.github(),
    context.hetzner(),
    context.runners(),
    context.runnerGroups(),
    context.servers(),
  ]);
  const summaries = (told.hosts ?? []) as readonly { readonly runners: readonly string[] }[];
  const group = groups.find(
    ({ name }) => name.toLowerCase() === runnerGroup.name.toLowerCase(),
  )?.id;
  const runners = notOfOthers(listed, groups, group);
  const sight: Sight = {
    prefix,
    organization,
    pools: [...new Set([...Object.keys(pools), ...hosts.flatMap(({ pool }) => pool ?? [])])],
    group,
    runners,
    servers: labelled.map(({ name }) => name),
    slots: summaries.flatMap((one) => one.runners),
  };
  // A server whose labels somebody took off is one all the same.
  const unknown = [
    ...new Set(runners.flatMap(({ name }) => hostOf(name, sight)?.host ?? [])),
  ].filter((host) => !sight.servers.includes(host));
  const unlabelled = await Promise.all(
    unknown.map(async (host) => ((await hasServer(hetzner.api, host)) ? [host] : [])),
  );
  const complete = { ...sight, servers: [...sight.servers, ...unlabelled.flat()] };
  let findings = judgeRunners(complete, githubUrl);
  if (findings.some(({ repair }) => repair?.startsWith("npm run logs"))) {
    await context.pause(START_MS);
    const again = notOfOthers(await context.readRunnersAgain(), groups, group);
    findings = judgeRunners({ ...complete, runners: again }, githubUrl);
  }
  return findings.map(({ ghost, ...finding }) =>
    ghost === undefined
      ? finding
      : {
          ...finding,
          fix: async () => {
            if (await hasServer(hetzner.api, ghost.host)) {
              throw new Error(`There is a server ${ghost.host} now.`);
            }
            const gone = await deleteRunner(github.target, organization, ghost.runner);
            if (gone === "busy") throw new Error("GitHub counts it as busy.");
            return `The runner ${ghost.runner.name} is deleted.`;
          },
        },
  );
}
