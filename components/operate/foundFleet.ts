import { z } from "zod";
import type { FleetSettings } from "../config/schema";
import { stackSelector } from "../host/labels";
import { poolOfHost } from "../host/runnerNames";
import { centralPaths } from "../imageWorkflow/emission";
import { isOurs } from "../imageWorkflow/workflow";
import { type Api, orWhereAbsent } from "../preflight/api";
import { paged, pages } from "../preflight/facts";
import { tokenServiceServer } from "../runnerPool/placement";

interface Found {
  readonly id: number;
  readonly name: string;
}

export interface FoundServer extends Found {
  /** Undefined: the token service. */
  readonly pool: string | undefined;
  /** Id of its placement group. */
  readonly placementGroup: number | undefined;
}

export interface FoundFile {
  /** Without the organization. */
  readonly repository: string;
  readonly path: string;
  readonly branch: string;
}

/**
 * What there is of a stack at Hetzner and GitHub, found by its labels and by the names that its settings give. Servers
 * and placement groups that are not called as the program calls them are left out: it could not name them either.
 */
export interface FoundFleet {
  readonly network: (Found & { /** Ranges. */ readonly subnets: readonly string[] }) | undefined;
  readonly firewall: Found | undefined;
  readonly sshKey: Found | undefined;
  readonly placementGroups: readonly (Found & { readonly pool: string | undefined })[];
  readonly servers: readonly FoundServer[];
  /** Id of the runner group. */
  readonly runnerGroup: number | undefined;
  /** Where the routing variable is. */
  readonly routing: { readonly organization: boolean; readonly repositories: readonly string[] };
  /** Workflow files that this program has written. */
  readonly files: {
    readonly targets: Readonly<Record<string, FoundFile>>;
    readonly central: readonly FoundFile[];
  };
}

const labelled = { id: z.int(), name: z.string(), labels: z.record(z.string(), z.string()) };
const labelledThing = z.object(labelled);
const networks = z.object({
  networks: z.array(
    z.object({ ...labelled, subnets: z.array(z.object({ ip_range: z.string() })) }),
  ),
  ...paged,
});
const firewalls = z.object({ firewalls: z.array(labelledThing), ...paged });
const sshKeys = z.object({ ssh_keys: z.array(labelledThing), ...paged });
const placementGroups = z.object({ placement_groups: z.array(labelledThing), ...paged });
const servers = z.object({
  servers: z.array(z.object({ ...labelled, placement_group: z.object({ id: z.int() }).nullish() })),
  ...paged,
});

const runnerGroup = z.object({ id: z.int(), name: z.string() });
const anything = z.unknown();
const repositoryAnswer = z.object({ default_branch: z.string() });
const fileAnswer = z.object({ content: z.string(), encoding: z.literal("base64") });

/**
 * Reads both APIs; changes nothing.
 * @param prefix of all names at Hetzner, which is the stack's name
 * @throws ApiError
 */
export async function findFleet(
  { hetzner, github }: { readonly hetzner: Api; readonly github: Api },
  prefix: string,
  settings: Pick<
    FleetSettings,
    "organization" | "runnerGroup" | "routing" | "targets" | "reusableWorkflows"
  >,
): Promise<FoundFleet> {
  const ours = stackSelector(prefix);
  const [network, firewall, sshKey, groups, machines, rest] = await Promise.all([
    pages(hetzner, `/networks?${ours}`, networks),
    pages(hetzner, `/firewalls?${ours}`, firewalls),
    pages(hetzner, `/ssh_keys?${ours}`, sshKeys),
    pages(hetzner, `/placement_groups?${ours}`, placementGroups),
    pages(hetzner, `/servers?${ours}`, servers),
    findAtGitHub(github, settings),
  ]);
  /** The one that is called as the stack is, or one that somebody has renamed. */
  const theOne = <T extends Found>(all: readonly T[]): T | undefined =>
    all.find(({ name }) => name === prefix) ?? all[0];
  const bare = ({ id, name }: Found): Found => ({ id, name });
  const isNamed = ({ name, labels }: z.output<typeof labelledThing>) =>
    labels.pool === undefined
      ? name === tokenServiceServer(prefix)
      : poolOfHost(name, prefix) === labels.pool;
  const found = {
    network: theOne(network.flatMap((page) => page.networks)),
    firewall: theOne(firewall.flatMap((page) => page.firewalls)),
    sshKey: theOne(sshKey.flatMap((page) => page.ssh_keys)),
  };
  return {
    network: found.network && {
      ...bare(found.network),
      subnets: found.network.subnets.map(({ ip_range }) => ip_range),
    },
    firewall: found.firewall && bare(found.firewall),
    sshKey: found.sshKey && bare(found.sshKey),
    placementGroups: groups
      .flatMap((page) => page.placement_groups)
      .filter(isNamed)
      .map(({ id, name, labels }) => ({ id, name, pool: labels.pool })),
    servers: machines
      .flatMap((page) => page.servers)
      .filter(isNamed)
      .map(({ id, name, labels, placement_group }) => ({
        id,
        name,
        pool: labels.pool,
        placementGroup: placement_group?.id,
      })),
    ...rest,
  };
}

async function findAtGitHub(
  api: Api,
  settings: Parameters<typeof findFleet>[2],
): Promise<Pick<FoundFleet, "runnerGroup" | "routing" | "files">> {
  const { organization, routing, targets, reusableWorkflows } = settings;
  const repositories = [
    ...new Set(Object.entries(targets).map(([name, { repository }]) => repository ?? name)),
  ];
  const has = async (path: string) => (await api.get(path, anything)) !== undefined;
  const variable = `actions/variables/${routing.variable}`;
  const isOrganization = routing.level === "organization";
  const [runnerGroup, atOrganization, routed, ofTargets, central] = await Promise.all([
    findRunnerGroup(api, organization, settings.runnerGroup.name),
    isOrganization && has(`/orgs/${organization}/${variable}`),
    isOrganization
      ? []
      : filtered(repositories, (one) => has(`/repos/${organization}/${one}/${variable}`)),
    Promise.all(
      Object.entries(targets).map(async ([target, one]) => {
        if (one.delivery !== "commit") return [];
        const file = await findFile(api, organization, one.repository ?? target, one);
        return file === undefined ? [] : [[target, file] as const];
      }),
    ),
    Promise.all(
      centralPaths(settings).map(async (path) => {
        const { repository, branch } = reusableWorkflows;
        if (repository === undefined) return [];
        return (await findFile(api, organization, repository, { path, branch })) ?? [];
      }),
    ),
  ]);
  return {
    runnerGroup,
    routing: { organization: atOrganization, repositories: routed },
    files: { targets: Object.fromEntries(ofTargets.flat()), central: central.flat() },
  };
}

async function findRunnerGroup(
  api: Api,
  organization: string,
  name: string,
): Promise<number | undefined> {
  const path = `/orgs/${organization}/actions/runner-groups`;
  const groups = await orWhereAbsent(api.list(path, "runner_groups", runnerGroup), []);
  // GitHub ignores the case of their names.
  return groups.find((one) => one.name.toLowerCase() === name.toLowerCase())?.id;
}

/** The file, where there is one that this program wrote. */
async function findFile(
  api: Api,
  organization: string,
  repository: string,
  { path, branch: wanted }: { readonly path: string; readonly branch?: string | undefined },
): Promise<FoundFile | undefined> {
  const base = `/repos/${organization}/${repository}`;
  const branch = wanted ?? (await api.get(base, repositoryAnswer))?.default_branch;
  if (branch === undefined) return undefined;
  const at = `${base}/contents/${path.split("/").map(encodeURIComponent).join("/")}?ref=${encodeURIComponent(branch)}`;
  const file = await api.get(at, fileAnswer);
  if (file === undefined || !isOurs(Buffer.from(file.content, "base64").toString())) {
    return undefined;
  }
  return { repository, path, branch };
}

async function filtered<T>(
  list: readonly T[],
  keep: (one: T) => Promise<boolean>,
): Promise<readonly T[]> {
  const kept = await Promise.all(list.map(keep));
  return list.filter((_, index) => kept[index]);
}
