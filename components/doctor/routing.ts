import { routedPool, routedRunsOn } from "../githubOrg/runsOn";
import { request } from "../host/request";
import { hasLabels } from "../host/runners";
import { selectRepositories } from "../preflight/repositories";
import type { RecordedResource } from "../stack/recordedHosts";
import { type Finding, orOk, problem, skipped, warning } from "./check";
import type { Context } from "./context";
import { ghDelete } from "./gh";
import { type ListedRunner, readVariable, type RunnerGroup } from "./githubOrganization";
import { readServers } from "./hetznerProject";
import { recoveryOf } from "./importRepair";

/** One place where the routing variable may be. */
export interface Place {
  /** The organization, or owner and name of a repository. */
  readonly owner: string;
  /** Of the variable in GitHub's API. */
  readonly path: string;
  /** What GitHub has there; undefined: no such variable. */
  readonly value: string | undefined;
  /** Whether the stack's state has it. */
  readonly recorded: boolean;
}

/** What is known where the variable leads. */
export interface Routes {
  readonly variable: string;
  readonly hostedFallback: string;
  /** What the configuration makes of it. */
  readonly wanted: string;
  /** Whether others run the runners, which may be made only when there is a job. */
  readonly external: boolean;
  readonly runners: readonly ListedRunner[];
  readonly groups: readonly RunnerGroup[];
  /** Whether any server of the stack exists. */
  readonly hasServers: boolean;
  /** `--stack` and, where it is not the default, `--config-file`. */
  readonly options: readonly string[];
  readonly githubUrl: string;
  /** The command that imports what a lost state had; undefined where it is not lost. */
  readonly recovery: string | undefined;
}

/** A finding, and the variable that may be deleted for it. */
export interface RoutingFinding extends Finding {
  readonly stale?: Place;
}

export function judgeRouting(places: readonly Place[], routes: Routes): readonly RoutingFinding[] {
  const { variable, hostedFallback, wanted, external } = routes;
  const findings: RoutingFinding[] = [];
  const again = ["pulumi up --refresh", ...routes.options].join(" ");
  for (const place of places) {
    const { owner, path, value, recorded } = place;
    if (value === undefined) {
      if (!recorded) continue;
      findings.push(
        warning(
          `The stack's state has the variable ${variable} of ${owner}, which GitHub does not have any more: the jobs go to ${hostedFallback}.`,
          again,
        ),
      );
      continue;
    }
    const repair = ghDelete(path, routes.githubUrl);
    const target = parseRunsOn(value);
    if (target === undefined) {
      findings.push(
        problem(
          `The variable ${variable} of ${owner} holds something that is no runs-on in JSON: every workflow that reads it fails.`,
          repair,
        ),
      );
    } else if (!external && !isServed(target, routes)) {
      const group = target.group === undefined ? "" : ` in the group ${target.group}`;
      findings.push({
        ...problem(
          `The variable ${variable} of ${owner} sends jobs to runners with the labels ${target.labels.join(", ")}${group}, none of which is online: the jobs wait, for a day at most.`,
          repair,
        ),
        ...(!routes.hasServers && value === wanted && { stale: place }),
      });
    } else if (!recorded) {
      findings.push(
        problem(
          `The variable ${variable} of ${owner} exists, but the stack's state does not have it: \`pulumi up\` cannot make it.`,
          routes.recovery ?? repair,
        ),
      );
    } else if (value !== wanted) {
      findings.push(
        warning(
          `The variable ${variable} of ${owner} holds something else than the configuration says.`,
          again,
        ),
      );
    }
  }
  const present = places.filter(({ value }) => value !== undefined).map(({ owner }) => owner);
  return orOk(
    findings,
    present.length === 0
      ? `There is no variable ${variable}: the jobs go to ${hostedFallback}.`
      : `The variable ${variable} of ${present.join(", ")} leads to ${external ? "the runners of others" : "runners that are online"}.`,
  );
}

interface RunsOn {
  readonly labels: readonly string[];
  readonly group: string | undefined;
}

/** `runs-on` in any of its forms: a label, labels, or labels in a group. */
function parseRunsOn(text: string): RunsOn | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { labels, group } =
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as { labels?: unknown; group?: unknown })
      : { labels: value };
  const list = typeof labels === "string" ? [labels] : labels;
  if (!Array.isArray(list) || !list.every((one) => typeof one === "string")) return undefined;
  return { labels: list, group: typeof group === "string" ? group : undefined };
}

function isServed({ labels, group }: RunsOn, { runners, groups }: Routes): boolean {
  const id = groups.find(({ name }) => name.toLowerCase() === group?.toLowerCase())?.id;
  return runners.some((runner) => {
    if (!runner.online || (group !== undefined && (id === undefined || runner.group !== id))) {
      return false;
    }
    return hasLabels(runner.labels, labels);
  });
}

const ORGANIZATION_VARIABLE =
  "github:index/actionsOrganizationVariable:ActionsOrganizationVariable";
const REPOSITORY_VARIABLE = "github:index/actionsVariable:ActionsVariable";

/** Names of the repositories whose variable a state has, and whether it has the organization's. */
export function recordedVariables(
  resources: readonly RecordedResource[],
  variable: string,
): { readonly organization: boolean; readonly repositories: readonly string[] } {
  const ours = resources.filter(
    ({ outputs }) => String(outputs?.variableName).toUpperCase() === variable.toUpperCase(),
  );
  return {
    organization: ours.some(({ type }) => type === ORGANIZATION_VARIABLE),
    repositories: ours
      .filter(({ type }) => type === REPOSITORY_VARIABLE)
      .flatMap(({ outputs }) =>
        typeof outputs?.repository === "string" ? [outputs.repository] : [],
      ),
  };
}

export async function checkRouting(context: Context): Promise<readonly Finding[]> {
  const { settings, options, prefix } = await context.stack();
  const { organization, routing, githubUrl, pools } = settings;
  const { variable } = routing;
  const [{ resources, hosts }, facts, github] = await Promise.all([
    context.recorded(),
    context.githubFacts(),
    context.github(),
  ]);
  if (facts.organization.kind !== "organization")
    return [skipped("There is no such organization.")];
  const [runners, groups] = await Promise.all([context.runners(), context.runnerGroups()]);
  const recorded = recordedVariables(resources, variable);
  const routed = repositoriesOf(settings, facts);
  const repositories = [...new Set([...routed, ...recorded.repositories])];
  const orgPath = `/orgs/${organization}/actions/variables/${variable}`;
  const places: Place[] = await Promise.all([
    readVariable(github.api, orgPath).then((value) => ({
      owner: organization,
      path: orgPath,
      value,
      recorded: recorded.organization,
    })),
    ...repositories.map(async (name) => {
      const path = `/repos/${organization}/${name}/actions/variables/${variable}`;
      return {
        owner: `${organization}/${name}`,
        path,
        value: await readVariable(github.api, path),
        recorded: recorded.repositories.includes(name),
      };
    }),
  ]);
  const hasHosts = Object.keys(pools).length > 0 || hosts.length > 0;
  const servers = hasHosts ? (await context.servers()).length : 0;
  const routes: Routes = {
    variable,
    hostedFallback: routing.hostedFallback,
    wanted: routedRunsOn(settings),
    external: routedPool(settings).external,
    runners,
    groups,
    // The token service's server is none that runs jobs, but then the stack is not gone.
    hasServers: servers > 0,
    options,
    githubUrl,
    recovery: hasHosts ? await recoveryOf(context) : undefined,
  };
  return judgeRouting(places, routes).map(({ stale, ...finding }) =>
    stale === undefined
      ? finding
      : {
          ...finding,
          fix: async () => {
            const { api } = await context.hetzner();
            if ((await readServers(api, prefix)).length > 0) {
              throw new Error("The stack has a server now.");
            }
            if (
              isServed(parseRunsOn(stale.value ?? "")!, {
                ...routes,
                runners: await context.readRunnersAgain(),
              })
            ) {
              throw new Error("A runner is online now.");
            }
            await request(github.target, "DELETE", stale.path, [204, 404]);
            const again = ["pulumi up --refresh", ...options].join(" ");
            return `The variable ${variable} of ${stale.owner} is deleted, so the jobs go to ${routing.hostedFallback}${stale.recorded ? `; \`${again}\` makes it again with the hosts` : ""}.`;
          },
        },
  );
}

/** Names of the repositories that the variable may be in; none where one of the settings does not exist, which preflight says. */
function repositoriesOf(
  ...[settings, facts]: Parameters<typeof selectRepositories>
): readonly string[] {
  const known = (name: string) => {
    const found = facts.repositories.get(name.toLowerCase());
    return found !== undefined && found !== "absent";
  };
  const targets = Object.fromEntries(
    Object.entries(settings.targets).filter(([key, one]) => known(one.repository ?? key)),
  );
  const bare = {
    ...settings,
    targets,
    secrets: {},
    runnerGroup: { ...settings.runnerGroup, repositories: undefined },
  };
  return Object.keys(selectRepositories(bare, facts).routed);
}

const RUNNER_GROUP = "github:index/actionsRunnerGroup:ActionsRunnerGroup";

/** @param recorded id of the group in the stack's state */
export function judgeRunnerGroup(
  organization: string,
  name: string,
  groups: readonly RunnerGroup[],
  recorded: string | undefined,
  { options, githubUrl, recovery }: Pick<Routes, "options" | "githubUrl" | "recovery">,
): readonly Finding[] {
  const found = groups.find((one) => one.name.toLowerCase() === name.toLowerCase());
  const up = (...flags: string[]) => ["pulumi up", ...flags, ...options].join(" ");
  if (found === undefined) {
    return orOk(
      recorded === undefined
        ? []
        : [
            warning(
              `The runner group ${name} of the stack's state does not exist any more: the next run makes it again.`,
              up(),
            ),
          ],
      `There is no runner group ${name} yet.`,
    );
  }
  if (String(found.id) !== recorded) {
    return [
      problem(
        `The runner group ${name} (${found.id}) exists, but the stack's state does not have it: \`pulumi up\` cannot make it.`,
        // Without it the runners would be in the default group, which serves other repositories.
        recovery ?? ghDelete(`/orgs/${organization}/actions/runner-groups/${found.id}`, githubUrl),
      ),
    ];
  }
  return orOk(
    found.allowsPublicRepositories
      ? [
          problem(
            `The runner group ${name} takes jobs of public repositories, where anybody's pull request brings its own code to a host.`,
            up("--refresh"),
          ),
        ]
      : [],
    `The runner group ${name} is the stack's, and takes no job of a public repository.`,
  );
}

export async function checkRunnerGroup(context: Context): Promise<readonly Finding[]> {
  const { settings, options } = await context.stack();
  const { organization, runnerGroup, githubUrl, pools } = settings;
  const [{ resources }, groups] = await Promise.all([context.recorded(), context.runnerGroups()]);
  const recorded = resources.find(({ type }) => type === RUNNER_GROUP)?.id;
  if (Object.keys(pools).length === 0 && recorded === undefined) {
    return [skipped("There is no pool of own hosts.")];
  }
  return judgeRunnerGroup(organization, runnerGroup.name, groups, recorded, {
    options,
    githubUrl,
    recovery: await recoveryOf(context),
  });
}
