import { z } from "zod";
import type { ApiAccess, FleetConfig } from "../config/load";
import { canaryPath } from "../canary/path";
import { githubApiUrl } from "../config/githubUrl";
import type { FleetSettings, TargetSettings } from "../config/schema";
import { stackSelector } from "../host/labels";
import { centralPaths } from "../imageWorkflow/emission";
import { type Proposal, proposalBranch } from "../imageWorkflow/proposal";
import { isOurs } from "../imageWorkflow/workflow";
import { Api, ApiError, type ApiOptions } from "./api";
import { type AppFacts, readApp } from "./app";

/** What the two APIs say before the first resource is registered. */
export interface Facts {
  /** Undefined without a pool of own hosts: then nothing is asked there. */
  readonly hetzner: HetznerFacts | undefined;
  readonly github: GitHubFacts;
}

/** Facts, or for either side what stood in the way of reading them. */
export interface Findings {
  readonly hetzner: HetznerFacts | Obstacle | undefined;
  readonly github: GitHubFacts | Obstacle | ServersDiffer;
}

/** githubUrl and the address of the API lead to two servers, so that nothing was asked of either. */
export interface ServersDiffer {
  readonly obstacle: "serversDiffer";
  /** As the provider is told; undefined: github.com. */
  readonly baseUrl: string | undefined;
}

export type Obstacle =
  | { readonly obstacle: "tokenMissing" | "tokenRefused" }
  /** `length` in characters. */
  | { readonly obstacle: "tokenMalformed"; readonly length: number }
  /** The API's address is none that the provider accepts; both texts are parts of a sentence. */
  | { readonly obstacle: "endpointInvalid"; readonly found: string; readonly expected: string }
  /** `sentence` says what was asked and what came back. */
  | { readonly obstacle: "failed"; readonly sentence: string };

/** Decimal text in the project's currency, as the API gives it. */
export interface Price {
  readonly net: string;
  readonly gross: string;
}

export interface HetznerFacts {
  /** When this was read: deprecations are dates. */
  readonly readAt: Date;
  /** By name, such as cax21. */
  readonly serverTypes: ReadonlyMap<string, ServerType>;
  /** By name, such as fsn1. */
  readonly locations: ReadonlyMap<string, { readonly networkZone: string }>;
  /** The stack's living servers, by name without the stack's prefix, such as arm64-1-1. */
  readonly servers: ReadonlyMap<string, LivingServer>;
  /** What the stack's servers were made with, as far as it still lies in the Hetzner project; asked for `ssh` alone. */
  readonly access: {
    /** OpenSSH public key line. */
    readonly sshPublicKey: string | undefined;
    /** TCP ports that the cloud's firewall opens, as Hetzner writes them. */
    readonly openPorts: readonly string[];
    /** Ranges that it opens them to. */
    readonly allowedCidrs: readonly string[];
  };
  /** ISO code, such as EUR. */
  readonly currency: string;
  /** Per cent, decimal text. */
  readonly vatRate: string;
  /** Price of a primary IPv4 address a month, by location. */
  readonly primaryIpv4: ReadonlyMap<string, Price>;
}

export interface LivingServer {
  /** Name of its type, such as cax21. */
  readonly serverType: string;
  readonly location: string;
  /** Powered off, with nobody at work on it. */
  readonly off: boolean;
  /** In a private network, which a server joins once it has been made. */
  readonly attached: boolean;
  /** Size of its disk in GB: a rescale may have left it smaller than its type's. */
  readonly primaryDiskGb: number;
  /** Hash of the configuration that it was made with; only servers that nothing reaches into have it. */
  readonly configHash: string | undefined;
}

export interface ServerType {
  readonly name: string;
  /** `arm` or `x86`. */
  readonly architecture: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly diskGb: number;
  /** Where it is sold, by name of the location. */
  readonly locations: ReadonlyMap<string, Offer>;
  /** Price a month without an IPv4 address, by location. */
  readonly prices: ReadonlyMap<string, Price>;
}

export interface Offer {
  /** Whether there is stock at the moment. */
  readonly available: boolean;
  /** Since or from when it cannot be ordered there, once that is announced. */
  readonly unavailableAfter: Date | undefined;
}

export interface GitHubFacts {
  /** When this was read: versions of the runner end at dates. */
  readonly readAt: Date;
  /** Until when GitHub serves the runner program, by version; those that have no end yet are left out. */
  readonly runnerVersions: ReadonlyMap<string, RunnerVersion>;
  readonly organization:
    | { readonly kind: "organization"; /** Told to owners only. */ readonly plan?: string }
    | { readonly kind: "user" }
    | { readonly kind: "absent" };
  /** The token of the GitHub provider. */
  readonly token: TokenFacts;
  /** The token that the token service is given; undefined where it is an App, or where there is no such service. */
  readonly serviceToken: TokenFacts | Obstacle | undefined;
  /** The App that the token service is; undefined where it is given a token, or where there is no such service. */
  readonly app: AppFacts | undefined;
  /** Whether the organization has a runner group of the configured name; group names ignore case. */
  readonly runnerGroupExists: boolean;
  /** When each of the organization's secrets was last written, ISO 8601, by name in upper case. */
  readonly secretsUpdatedAt: ReadonlyMap<string, string>;
  /** By name in lower case, since GitHub ignores case: every repository that the settings name. */
  readonly repositories: ReadonlyMap<string, Repository | "absent">;
  /** By key in `targets`; absent when the repository is. */
  readonly targets: ReadonlyMap<string, TargetFacts>;
  /** Where reusable workflows go; undefined when no target calls one, or the repository is absent. */
  readonly central: CentralFacts | undefined;
  /** Where the canary's workflow goes; undefined without one, or when the repository is absent. */
  readonly canary?: CanaryFacts | undefined;
  /** Whether the organization lets any repository run Actions; undefined where the token may not ask. */
  readonly actionsEnabled: boolean | undefined;
}

export interface RunnerVersion {
  /** From then on it cannot be registered. */
  readonly registrationEnds: Date | undefined;
  /** From then on it gets no jobs. */
  readonly jobsEnd: Date | undefined;
}

export interface TokenFacts {
  /** Of a classic token; undefined for tokens of a finer grain, which GitHub does not describe. */
  readonly scopes: readonly string[] | undefined;
  /** Whether it may see the organization's runner groups, which only those see who may manage runners. */
  readonly managesRunners: boolean;
}

export interface Repository {
  readonly id: number;
  /** Owner and name as GitHub has them today: it answers for a former name, too. */
  readonly fullName: string;
  readonly private: boolean;
  readonly archived: boolean;
  readonly defaultBranch: string;
  /** Whether the token may write; undefined where GitHub does not say. */
  readonly writable: boolean | undefined;
  /** Whether the token is one of an administrator, whom classic protection may let pass. */
  readonly administered: boolean;
}

/** A branch that files are delivered to. */
export interface BranchFacts {
  /** The branch of the settings, else the repository's default branch. */
  readonly branch: string;
  readonly branchExists: boolean;
  /** What keeps a commit from being put straight on it, if anything does. */
  readonly protection: Protection | undefined;
}

export interface Protection {
  /** Such as `requires status checks`, the end of a sentence about the branch. */
  readonly rule: string;
  /** False where GitHub does not tell whether this token is let through. */
  readonly certain: boolean;
}

/** A workflow file: nothing, one that this program wrote, or something else. */
export interface FileFacts {
  readonly workflowFile: "absent" | "ours" | "foreign";
  /** Git's name of its content; undefined when it is absent. */
  readonly blob: string | undefined;
}

export interface TargetFacts extends BranchFacts, FileFacts {
  /** Pull requests that the stack has made for the file; none are asked for with delivery by commit. */
  readonly proposals: readonly Proposal[];
  /** Whether the repository runs Actions; undefined where the token may not ask. */
  readonly actionsEnabled: boolean | undefined;
}

export interface CanaryFacts extends BranchFacts, FileFacts {
  /** Where the stack's file lies in it. */
  readonly path: string;
  readonly repository: Repository;
  /** Whether the repository runs Actions; undefined where the token may not ask. */
  readonly actionsEnabled: boolean | undefined;
}

export interface CentralFacts extends BranchFacts {
  /** Name in the organization, as configured. */
  readonly name: string;
  readonly repository: Repository;
  /** By path. */
  readonly files: ReadonlyMap<string, FileFacts>;
}

/**
 * Asks both APIs what the fleet needs to know. Reads only, so it can run in every preview.
 * What stands in the way is part of the result, so that one run names every problem.
 */
export async function readFacts(
  config: Pick<FleetConfig, "prefix" | "settings"> & {
    readonly hcloud: ApiAccess;
    readonly github: ApiAccess;
  },
  options: ApiOptions = {},
): Promise<Findings> {
  const [hetzner, github] = await Promise.all([
    Object.keys(config.settings.pools).length === 0
      ? undefined
      : orObstacle(() =>
          readHetzner(config.hcloud, config.prefix, config.settings.management, options),
        ),
    orObstacle<GitHubFacts | ServersDiffer>(
      () =>
        serversDiffer(config.settings.githubUrl, config.github.endpoint) ??
        readGitHub(config.settings, config.prefix, config.github, options),
    ),
  ]);
  return { hetzner, github };
}

const price = z.object({ net: z.string(), gross: z.string() });
/** What every page of a list of Hetzner's has besides. */
export const paged = {
  meta: z.object({ pagination: z.object({ next_page: z.int().nullable() }) }),
};

const serverTypesPage = z.object({
  server_types: z.array(
    z.object({
      name: z.string(),
      architecture: z.string(),
      cores: z.number(),
      memory: z.number(),
      disk: z.number(),
      locations: z.array(
        z.object({
          name: z.string(),
          available: z.boolean(),
          deprecation: z.object({ unavailable_after: z.coerce.date() }).nullish(),
        }),
      ),
      prices: z.array(z.object({ location: z.string(), price_monthly: price })),
    }),
  ),
  ...paged,
});

const locationsPage = z.object({
  locations: z.array(z.object({ name: z.string(), network_zone: z.string() })),
  ...paged,
});

const serversPage = z.object({
  servers: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      server_type: z.object({ name: z.string() }),
      location: z.object({ name: z.string() }),
      private_net: z.array(z.unknown()),
      primary_disk_size: z.number(),
      labels: z.record(z.string(), z.string()),
    }),
  ),
  ...paged,
});

const sshKeysPage = z.object({
  ssh_keys: z.array(z.object({ public_key: z.string() })),
  ...paged,
});

const firewallsPage = z.object({
  firewalls: z.array(
    z.object({
      rules: z.array(
        z.object({
          direction: z.string(),
          protocol: z.string(),
          port: z.string().nullish(),
          source_ips: z.array(z.string()),
        }),
      ),
    }),
  ),
  ...paged,
});

const pricingAnswer = z.object({
  pricing: z.object({
    currency: z.string(),
    vat_rate: z.string(),
    primary_ips: z.array(
      z.object({
        type: z.string(),
        prices: z.array(z.object({ location: z.string(), price_monthly: price })),
      }),
    ),
  }),
});

/** What asks Hetzner. Throws what `orObstacle` turns into the obstacle that an unusable token or address is. */
export function hetznerApi(access: ApiAccess, options: ApiOptions = {}): Api {
  const token = usableToken(access.token, (length) => length === 64);
  return new Api("Hetzner's API", hetznerBase(access.endpoint), token, {}, options);
}

/** The same for GitHub. */
export function githubApi(access: ApiAccess, options: ApiOptions = {}): Api {
  return new Api(
    "GitHub's API",
    githubBase(access.endpoint),
    usableToken(access.token),
    { Accept: "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28" },
    options,
  );
}

/** Everything of a stack's Hetzner project. Throws what `orObstacle` takes. */
export async function readHetzner(
  access: ApiAccess,
  prefix: string,
  management: FleetSettings["management"],
  options: ApiOptions,
): Promise<HetznerFacts> {
  const api = hetznerApi(access, options);
  const ours = stackSelector(prefix);
  const [serverTypes, locations, servers, sshKeys, firewalls, pricing] = await Promise.all([
    readServerTypes(api),
    readLocations(api),
    pages(api, `/servers?${ours}`, serversPage),
    management === "ssh" ? pages(api, `/ssh_keys?${ours}`, sshKeysPage) : [],
    management === "ssh" ? pages(api, `/firewalls?${ours}`, firewallsPage) : [],
    found(api, "/pricing", pricingAnswer),
  ]);
  const opened = firewalls
    .flatMap((page) => page.firewalls)
    .flatMap(({ rules }) => rules)
    .filter(({ direction, protocol }) => direction === "in" && protocol === "tcp");
  return {
    readAt: new Date(),
    serverTypes,
    locations,
    servers: new Map(
      servers
        .flatMap((page) => page.servers)
        .map((server) => [
          server.name.replace(`${prefix}-`, ""),
          {
            serverType: server.server_type.name,
            location: server.location.name,
            off: server.status === "off",
            attached: server.private_net.length > 0,
            primaryDiskGb: server.primary_disk_size,
            configHash: server.labels.config,
          },
        ]),
    ),
    access: {
      sshPublicKey: sshKeys.flatMap((page) => page.ssh_keys)[0]?.public_key,
      openPorts: opened.flatMap(({ port }) => port ?? []),
      allowedCidrs: opened.flatMap(({ source_ips }) => source_ips),
    },
    currency: pricing.pricing.currency,
    vatRate: pricing.pricing.vat_rate,
    primaryIpv4: monthly(
      pricing.pricing.primary_ips.find((one) => one.type === "ipv4")?.prices ?? [],
    ),
  };
}

/** What can be had at Hetzner now. @throws ApiError where it cannot be asked. */
export async function readMarket(
  access: ApiAccess,
  options: ApiOptions = {},
): Promise<Pick<HetznerFacts, "readAt" | "serverTypes" | "locations">> {
  const api = hetznerApi(access, options);
  const [serverTypes, locations] = await Promise.all([readServerTypes(api), readLocations(api)]);
  return { readAt: new Date(), serverTypes, locations };
}

async function readServerTypes(api: Api): Promise<HetznerFacts["serverTypes"]> {
  const serverTypes = await pages(api, "/server_types", serverTypesPage);
  return new Map(
    serverTypes
      .flatMap((page) => page.server_types)
      .map((type) => [
        type.name,
        {
          name: type.name,
          architecture: type.architecture,
          cores: type.cores,
          memoryGb: type.memory,
          diskGb: type.disk,
          locations: new Map(
            type.locations.map(({ name, available, deprecation }) => [
              name,
              { available, unavailableAfter: deprecation?.unavailable_after },
            ]),
          ),
          prices: monthly(type.prices),
        },
      ]),
  );
}

async function readLocations(api: Api): Promise<HetznerFacts["locations"]> {
  const locations = await pages(api, "/locations", locationsPage);
  return new Map(
    locations
      .flatMap((page) => page.locations)
      .map((location) => [location.name, { networkZone: location.network_zone }]),
  );
}

function monthly(
  prices: readonly { readonly location: string; readonly price_monthly: Price }[],
): ReadonlyMap<string, Price> {
  return new Map(prices.map((one) => [one.location, one.price_monthly]));
}

/** More pages than any of the lists has: a bound against an API that always names a next one. */
const MAX_PAGES = 20;

/** All pages of a list of Hetzner's. */
export async function pages<T extends z.output<z.ZodObject<typeof paged>>>(
  api: Api,
  path: string,
  schema: z.ZodType<T>,
): Promise<T[]> {
  const all: T[] = [];
  let next: number | null = 1;
  while (next !== null) {
    if (all.length === MAX_PAGES) {
      throw new ApiError(`${api.name} has more than ${MAX_PAGES} pages of ${path}.`);
    }
    const separator = path.includes("?") ? "&" : "?";
    const page: T = await found(api, `${path}${separator}page=${next}&per_page=50`, schema);
    all.push(page);
    next = page.meta.pagination.next_page;
  }
  return all;
}

async function found<T>(api: Api, path: string, schema: z.ZodType<T>): Promise<T> {
  const answer = await api.get(path, schema);
  if (answer === undefined) throw new ApiError(`${api.name} has no ${path} (404).`, 404);
  return answer;
}

const organizationAnswer = z.object({ plan: z.object({ name: z.string() }).optional() });
const accountAnswer = z.object({ type: z.string() });
const repositoryAnswer = z.object({
  id: z.int(),
  full_name: z.string(),
  private: z.boolean(),
  archived: z.boolean(),
  default_branch: z.string(),
  permissions: z.object({ push: z.boolean().optional(), admin: z.boolean().optional() }).optional(),
});
/** A folder answers with a list, a large file without its content. */
const contentsAnswer = z.union([
  z.object({
    content: z.string().optional(),
    encoding: z.string().optional(),
    sha: z.string().optional(),
  }),
  z.array(z.unknown()),
]);

async function readGitHub(
  settings: FleetSettings,
  stack: string,
  access: ApiAccess,
  options: ApiOptions,
): Promise<GitHubFacts> {
  const api = githubApi(access, options);
  const connect = (token: string) => githubApi({ ...access, token }, options);
  const { githubAuth } = settings;
  // Without own hosts there is no token service that would sign in.
  const hasHosts = Object.keys(settings.pools).length > 0;
  const organization = encodeURIComponent(settings.organization);
  const rights = readRights(api, organization);
  const readServiceToken = (ofService: string) =>
    ofService === access.token
      ? rights.then(({ token }) => token)
      : orObstacle(async () => {
          const { token } = await readRights(connect(ofService), organization);
          return token;
        });
  const [
    kind,
    { token, runnerGroups },
    serviceToken,
    app,
    secretsUpdatedAt,
    repositories,
    actionsEnabled,
    runnerVersions,
  ] = await Promise.all([
    readOrganization(api, organization),
    rights,
    hasHosts && githubAuth.kind === "pat" ? readServiceToken(githubAuth.token) : undefined,
    hasHosts && githubAuth.kind === "app" ? readApp(githubAuth, connect) : undefined,
    Object.keys(settings.secrets).length === 0
      ? new Map<string, string>()
      : readSecrets(api, organization),
    readRepositories(api, settings, stack),
    readActionsOfOrganization(api, organization),
    readRunnerVersions(api, organization, settings),
  ]);
  const groupName = settings.runnerGroup.name.toLowerCase();
  return {
    readAt: new Date(),
    runnerVersions,
    organization: kind,
    token,
    serviceToken,
    app,
    runnerGroupExists: runnerGroups.some((name) => name.toLowerCase() === groupName),
    secretsUpdatedAt,
    actionsEnabled,
    ...repositories,
  };
}

const endsAt = z.coerce
  .date()
  .nullish()
  .transform((date) => date ?? undefined);
const runnerVersionAnswer = z.object({
  registration_deprecates_at: endsAt,
  runtime_deprecates_at: endsAt,
});

/** An image of the user's own may have any version, so that nothing is asked for it. */
export async function readRunnerVersions(
  api: Api,
  organization: string,
  settings: FleetSettings,
): Promise<ReadonlyMap<string, RunnerVersion>> {
  const versions = Object.values(settings.pools)
    .filter(({ runner }) => runner.reference === undefined)
    .map(({ runner }) => runner.version);
  const ends = await Promise.all(
    [...new Set(versions)].map(async (version) => {
      const path = `/orgs/${organization}/actions/runners/deprecations/${version}`;
      const answer = await api.ask(path, [200, 403, 404]);
      if (answer.status !== 200) return [];
      const found = api.parse(path, answer, runnerVersionAnswer);
      const { registration_deprecates_at, runtime_deprecates_at } = found;
      const dates = {
        registrationEnds: registration_deprecates_at,
        jobsEnd: runtime_deprecates_at,
      };
      return [[version, dates] as const];
    }),
  );
  return new Map(ends.flat());
}

async function readOrganization(api: Api, name: string): Promise<GitHubFacts["organization"]> {
  const answer = await api.get(`/orgs/${name}`, organizationAnswer);
  if (answer !== undefined) return { kind: "organization", plan: answer.plan?.name };
  const account = await api.get(`/users/${name}`, accountAnswer);
  return { kind: account?.type === "User" ? "user" : "absent" };
}

const RUNNER_GROUPS_PER_PAGE = 100;
const runnerGroupsAnswer = z.object({ runner_groups: z.array(z.object({ name: z.string() })) });

const SECRETS_PER_PAGE = 100;
const secretsAnswer = z.object({
  secrets: z.array(z.object({ name: z.string(), updated_at: z.string() })),
});

/** Empty for a token that may not see them, which is a problem that `readRights` finds. */
async function readSecrets(api: Api, organization: string): Promise<ReadonlyMap<string, string>> {
  const updatedAt = new Map<string, string>();
  for (let page = 1; page <= MAX_PAGES; page++) {
    const path = `/orgs/${organization}/actions/secrets?per_page=${SECRETS_PER_PAGE}&page=${page}`;
    const answer = await api.ask(path, [200, 403, 404]);
    if (answer.status !== 200) break;
    const { secrets } = api.parse(path, answer, secretsAnswer);
    for (const { name, updated_at } of secrets) updatedAt.set(name.toUpperCase(), updated_at);
    if (secrets.length < SECRETS_PER_PAGE) break;
  }
  return updatedAt;
}

/** What a token may do in the organization, and the names of the runner groups if it may see them. */
async function readRights(
  api: Api,
  organization: string,
): Promise<{ readonly token: TokenFacts; readonly runnerGroups: readonly string[] }> {
  const runnerGroups: string[] = [];
  for (let page = 1; page <= MAX_PAGES; page++) {
    const path = `/orgs/${organization}/actions/runner-groups?per_page=${RUNNER_GROUPS_PER_PAGE}&page=${page}`;
    const answer = await api.ask(path, [200, 403, 404]);
    const scopes = answer.headers
      .get("x-oauth-scopes")
      ?.split(",")
      .map((scope) => scope.trim())
      .filter((scope) => scope !== "");
    if (answer.status !== 200) return { token: { scopes, managesRunners: false }, runnerGroups };
    const groups = api.parse(path, answer, runnerGroupsAnswer).runner_groups;
    runnerGroups.push(...groups.map(({ name }) => name));
    if (groups.length < RUNNER_GROUPS_PER_PAGE) {
      return { token: { scopes, managesRunners: true }, runnerGroups };
    }
  }
  throw new ApiError(`${api.name} has more than ${MAX_PAGES} pages of runner groups.`);
}

async function readRepositories(
  api: Api,
  settings: FleetSettings,
  stack: string,
): Promise<Pick<GitHubFacts, "repositories" | "targets" | "central" | "canary">> {
  const owner = encodeURIComponent(settings.organization);
  const reads = new Map<string, Promise<Repository | "absent">>();
  for (const { name } of namedRepositories(settings)) {
    const key = name.toLowerCase();
    if (!reads.has(key)) reads.set(key, readRepository(api, `/repos/${owner}/${name}`));
  }
  const targets = Object.entries(settings.targets).map(async ([key, target]) => {
    const name = target.repository ?? key;
    const repository = await reads.get(name.toLowerCase());
    return repository === undefined || repository === "absent"
      ? undefined
      : ([key, await readTarget(api, owner, name, stack, target, repository)] as const);
  });
  const readCentral = async (): Promise<CentralFacts | undefined> => {
    const { repository: name, branch } = settings.reusableWorkflows;
    const paths = centralPaths(settings);
    if (name === undefined || paths.length === 0) return undefined;
    const repository = await reads.get(name.toLowerCase());
    if (repository === undefined || repository === "absent") return undefined;
    const path = `/repos/${owner}/${name}`;
    const facts = await readBranch(api, path, branch, repository);
    const files = paths.map(
      async (file) => [file, await readFile(api, path, file, facts.branch)] as const,
    );
    return { name, repository, ...facts, files: new Map(await Promise.all(files)) };
  };
  const readCanary = async (): Promise<CanaryFacts | undefined> => {
    const name = settings.canary.repository;
    if (name === undefined) return undefined;
    const repository = await reads.get(name.toLowerCase());
    if (repository === undefined || repository === "absent") return undefined;
    const root = `/repos/${owner}/${name}`;
    const path = canaryPath(stack);
    const [facts, file, actionsEnabled] = await Promise.all([
      readBranch(api, root, undefined, repository),
      readFile(api, root, path, repository.defaultBranch),
      readActions(api, root),
    ]);
    return { repository, path, ...facts, ...file, actionsEnabled };
  };
  const [repositories, ofTargets, central, canary] = await Promise.all([
    Promise.all([...reads].map(async ([name, read]) => [name, await read] as const)),
    Promise.all(targets),
    readCentral(),
    readCanary(),
  ]);
  return {
    central,
    canary,
    repositories: new Map(repositories),
    targets: new Map(ofTargets.filter((one) => one !== undefined)),
  };
}

/** Every mention of a repository in the settings, with the configuration key that names it. */
export function namedRepositories(
  settings: FleetSettings,
): readonly { readonly key: string; readonly name: string }[] {
  return [
    ...Object.entries(settings.targets).map(([key, { repository }]) => ({
      key: repository === undefined ? `targets.${key}` : `targets.${key}.repository`,
      name: repository ?? key,
    })),
    ...(settings.reusableWorkflows.repository === undefined
      ? []
      : [{ key: "reusableWorkflows.repository", name: settings.reusableWorkflows.repository }]),
    ...(settings.canary.repository === undefined
      ? []
      : [{ key: "canary.repository", name: settings.canary.repository }]),
    ...(settings.runnerGroup.repositories ?? []).map((name) => ({
      key: "runnerGroup.repositories",
      name,
    })),
    ...Object.entries(settings.secrets).flatMap(([secret, { repositories = [] }]) =>
      repositories.map((name) => ({ key: `secrets.${secret}.repositories`, name })),
    ),
  ];
}

async function readRepository(api: Api, path: string): Promise<Repository | "absent"> {
  const answer = await api.get(path, repositoryAnswer);
  if (answer === undefined) return "absent";
  return {
    id: answer.id,
    fullName: answer.full_name,
    private: answer.private,
    archived: answer.archived,
    defaultBranch: answer.default_branch,
    writable: answer.permissions?.push,
    administered: answer.permissions?.admin ?? false,
  };
}

async function readTarget(
  api: Api,
  owner: string,
  name: string,
  stack: string,
  target: TargetSettings,
  repository: Repository,
): Promise<TargetFacts> {
  const root = `/repos/${owner}/${name}`;
  const branch = target.branch ?? repository.defaultBranch;
  const [branchFacts, file, proposals, actionsEnabled] = await Promise.all([
    readBranch(api, root, target.branch, repository),
    readFile(api, root, target.path, branch),
    target.delivery === "commit"
      ? []
      : readProposals(api, root, owner, proposalBranch(stack, target.path), branch, target.path),
    readActions(api, root),
  ]);
  return { ...branchFacts, ...file, proposals, actionsEnabled };
}

async function readFile(api: Api, root: string, path: string, ref: string): Promise<FileFacts> {
  const file = path.split("/").map(encodeURIComponent).join("/");
  const contents = await api.get(
    `${root}/contents/${file}?ref=${encodeURIComponent(ref)}`,
    contentsAnswer,
  );
  if (contents === undefined) return { workflowFile: "absent", blob: undefined };
  if (Array.isArray(contents)) return { workflowFile: "foreign", blob: undefined };
  const text = Buffer.from(contents.content ?? "", "base64").toString("utf8");
  const ours = contents.encoding === "base64" && isOurs(text);
  return { workflowFile: ours ? "ours" : "foreign", blob: contents.sha };
}

const pullsAnswer = z.array(
  z.object({
    number: z.int(),
    state: z.enum(["open", "closed"]),
    merged_at: z.string().nullable(),
    head: z.object({ sha: z.string() }),
  }),
);

/** The newest hundred: more are older than any that matters. */
async function readProposals(
  api: Api,
  root: string,
  owner: string,
  head: string,
  base: string,
  path: string,
): Promise<Proposal[]> {
  const query = new URLSearchParams({ head: `${owner}:${head}`, base, state: "all" });
  const pulls = await api.get(`${root}/pulls?${query.toString()}&per_page=100`, pullsAnswer);
  return Promise.all(
    (pulls ?? []).map(async ({ number, state, merged_at, head: { sha } }): Promise<Proposal> => {
      if (state === "open") return { number, state, blob: undefined };
      if (merged_at !== null) return { number, state: "merged", blob: undefined };
      return { number, state, blob: (await readFile(api, root, path, sha)).blob };
    }),
  );
}

const actionsAnswer = z.object({ enabled: z.boolean() });
const organizationActionsAnswer = z.object({ enabled_repositories: z.string() });

/** Only administrators may ask. */
async function readActions(api: Api, root: string): Promise<boolean | undefined> {
  const path = `${root}/actions/permissions`;
  const answer = await api.ask(path, [200, 403, 404]);
  return answer.status === 200 ? api.parse(path, answer, actionsAnswer).enabled : undefined;
}

async function readActionsOfOrganization(
  api: Api,
  organization: string,
): Promise<boolean | undefined> {
  const path = `/orgs/${organization}/actions/permissions`;
  const answer = await api.ask(path, [200, 403, 404]);
  if (answer.status !== 200) return undefined;
  return api.parse(path, answer, organizationActionsAnswer).enabled_repositories !== "none";
}

/** Branches that a ruleset protects say so here too, without classic protection being enabled. */
const branchAnswer = z.object({
  protected: z.boolean().optional(),
  protection: z
    .object({
      enabled: z.boolean().optional(),
      required_status_checks: z.object({ enforcement_level: z.string().optional() }).optional(),
    })
    .optional(),
});

async function readBranch(
  api: Api,
  root: string,
  configured: string | undefined,
  repository: Repository,
): Promise<BranchFacts> {
  const branch = configured ?? repository.defaultBranch;
  const path = `${root}/branches/${encodeURIComponent(branch)}`;
  const found = await api.get(path, branchAnswer);
  let protection: Protection | undefined;
  if (found?.protected === true) {
    const classic =
      found.protection?.enabled === true
        ? await readProtection(api, path, found, repository)
        : undefined;
    // Both kinds can hold for one branch.
    protection = classic?.certain ? classic : ((await readRules(api, root, branch)) ?? classic);
  }
  return { branch, branchExists: found !== undefined, protection };
}

const protectionAnswer = z.object({
  required_status_checks: z.unknown().optional(),
  required_pull_request_reviews: z
    .object({
      bypass_pull_request_allowances: z.record(z.string(), z.array(z.unknown())).optional(),
    })
    .optional(),
  restrictions: z.unknown().optional(),
  enforce_admins: z.object({ enabled: z.boolean() }).optional(),
});

/** Classic protection. Only administrators may read it. */
async function readProtection(
  api: Api,
  branchPath: string,
  branch: z.output<typeof branchAnswer>,
  repository: Repository,
): Promise<Protection | undefined> {
  const path = `${branchPath}/protection`;
  const answer = await api.ask(path, [200, 403, 404]);
  if (answer.status !== 200) {
    const checks = branch.protection?.required_status_checks?.enforcement_level ?? "off";
    return checks === "off"
      ? { rule: "is protected by rules that the token may not read", certain: false }
      : { rule: "requires status checks", certain: true };
  }
  const rules = api.parse(path, answer, protectionAnswer);
  if (repository.administered && rules.enforce_admins?.enabled !== true) return undefined;
  const reviews = rules.required_pull_request_reviews;
  if (rules.required_status_checks != null)
    return { rule: "requires status checks", certain: true };
  if (reviews !== undefined) {
    const exempt = Object.values(reviews.bypass_pull_request_allowances ?? {}).flat();
    return { rule: "requires pull requests", certain: exempt.length === 0 };
  }
  return rules.restrictions == null
    ? undefined
    : { rule: "restricts who may push", certain: false };
}

const rulesAnswer = z.array(z.object({ type: z.string(), ruleset_id: z.int() }));
const rulesetAnswer = z.object({ current_user_can_bypass: z.string().optional() });
/** Rules that refuse a commit made by the API, in words. */
const REFUSING_RULES: Readonly<Record<string, string>> = {
  pull_request: "requires pull requests",
  required_status_checks: "requires status checks",
  update: "restricts who may push",
  merge_queue: "requires the merge queue",
  required_deployments: "requires deployments",
  workflows: "requires workflows to pass",
};

/** Rulesets, of the repository and of those above it. */
async function readRules(api: Api, root: string, branch: string): Promise<Protection | undefined> {
  const rules = await api.get(
    `${root}/rules/branches/${encodeURIComponent(branch)}?per_page=100`,
    rulesAnswer,
  );
  for (const { type, ruleset_id } of rules ?? []) {
    const rule = REFUSING_RULES[type];
    if (rule === undefined) continue;
    const path = `${root}/rulesets/${ruleset_id}?includes_parents=true`;
    const answer = await api.ask(path, [200, 403, 404]);
    const bypass =
      answer.status === 200
        ? api.parse(path, answer, rulesetAnswer).current_user_can_bypass
        : undefined;
    if (bypass !== "always") return { rule, certain: bypass !== undefined };
  }
  return undefined;
}

/** Ends a read with the obstacle that its settings are. */
class ObstacleError extends Error {
  constructor(readonly obstacle: Obstacle) {
    super(obstacle.obstacle);
  }
}

/** What was read, or the obstacle that stood in the way. */
export async function orObstacle<T>(read: () => T | Promise<T>): Promise<T | Obstacle> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ObstacleError) return error.obstacle;
    if (!(error instanceof ApiError)) throw error;
    return error.status === 401
      ? { obstacle: "tokenRefused" }
      : { obstacle: "failed", sentence: error.message };
  }
}

/** A token that may stand in a header; anything else would be quoted in the error of `fetch`. */
function usableToken(
  token: string | undefined,
  hasLength: (length: number) => boolean = () => true,
): string {
  if (token === undefined || token === "") throw new ObstacleError({ obstacle: "tokenMissing" });
  if (!hasLength(token.length) || !/^[\x21-\x7e]+$/.test(token)) {
    throw new ObstacleError({ obstacle: "tokenMalformed", length: token.length });
  }
  return token;
}

/** Address of the API, without a slash at its end. */
export function hetznerBase(endpoint: string | undefined): string {
  return httpUrl(endpoint || "https://api.hetzner.cloud/v1").href.replace(/\/+$/, "");
}

/**
 * Base URL of the REST API, without a slash at its end, derived from the provider's `baseUrl` as the provider does it.
 * Throws for an address that the provider refuses, which `preflight` has reported before.
 */
export function githubBase(endpoint: string | undefined): string {
  const url = httpUrl(endpoint || "https://api.github.com/");
  const base = githubApiUrl(url);
  if (base !== undefined) return base;
  throw new ObstacleError({
    obstacle: "endpointInvalid",
    found: JSON.stringify(url.href),
    expected: "https and no path, since that is how github.com and ghe.com are reached",
  });
}

/**
 * The provider does not read githubUrl, and runners do not read what the provider is told. What leads to this machine
 * stands in for any server.
 */
export function serversDiffer(
  githubUrl: string,
  baseUrl: string | undefined,
): ServersDiffer | undefined {
  const base = githubBase(baseUrl);
  const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(base).hostname);
  return local || base === githubBase(githubUrl)
    ? undefined
    : { obstacle: "serversDiffer", baseUrl: baseUrl || undefined };
}

function httpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && url.href === `${url.origin}${url.pathname}`;
  if (plain && /^https?:$/.test(url.protocol)) return url;
  throw new ObstacleError({
    obstacle: "endpointInvalid",
    // Not shown: credentials may stand in it.
    found: url === undefined ? "no URL" : "a URL of another form",
    expected: "an absolute http or https URL without user, query and fragment",
  });
}
