import { z } from "zod";
import type { Rates } from "../costs/bill";
import { STACK_DIRECTORY } from "../host/compose";
import { stackSelector } from "../host/labels";
import { runOverSsh, SshError, type SshFailure, type SshTarget } from "../host/ssh";
import type { Api, ApiOptions } from "../preflight/api";
import {
  githubApi,
  hetznerApi,
  type Obstacle,
  orObstacle,
  paged,
  pages,
  readRunnerVersions,
  serversDiffer,
} from "../preflight/facts";
import { githubObstacle, hetznerObstacle } from "../preflight/obstacles";
import { runnerRepositories } from "../preflight/repositories";
import { type RecordedHost, recordedHosts, recordedResources } from "../stack/recordedHosts";
import type { Stack } from "../stack/stack";
import { type JobCache, readJobHistory } from "./jobs";
import {
  type HostReading,
  type HostReport,
  ORGANIZATION,
  type Reading,
  type RunnerGroupReading,
  type RunnerReading,
  type ServerReading,
} from "./reading";

export interface ReadOptions extends ApiOptions {
  /** How many of the newest runs of workflows are looked at. */
  readonly maxRuns: number;
  /** How many days back. */
  readonly days: number;
  /** What an earlier reading knows of jobs. */
  readonly cache?: JobCache;
  /** Default: `runOverSsh`. */
  readonly ssh?: typeof runOverSsh;
}

/** A host that does not answer in this time, in seconds, is shown as one that does not. */
const SSH_TIMEOUT = 8;
const DAY_MS = 24 * 60 * 60 * 1000;
const STATUS_COMMAND = `${STACK_DIRECTORY}/bin/status`;

/**
 * Asks the stack's state, both APIs and all hosts, each beside the others. Reads only. A source that fails leaves its
 * part out.
 * @throws Error in one sentence when the stack's state cannot be read.
 */
export async function readStatus(
  stack: Pick<
    Stack,
    "name" | "project" | "prefix" | "settings" | "hcloud" | "github" | "secret" | "pulumi"
  >,
  options: ReadOptions,
): Promise<Reading> {
  const { settings } = stack;
  const readAt = new Date();
  const problems: string[] = [];
  const say = (sentence: string) => {
    if (!problems.includes(sentence)) problems.push(sentence);
    return undefined;
  };
  const state = stack.pulumi(["stack", "export", "--stack", stack.name]).then((text) => {
    const resources = recordedResources(text);
    return { hosts: recordedHosts(resources), resources };
  });
  const hetzner = readHetzner(stack, options, say);
  const [recorded, { servers, rates }, github, hosts] = await Promise.all([
    state,
    hetzner,
    readGitHub(stack, readAt, options, say),
    readHosts(
      stack,
      state.then((found) => found.hosts),
      hetzner.then((found) => found.servers),
      options,
    ),
  ]);
  return {
    stack: stack.name,
    settings,
    readAt,
    recorded,
    servers,
    rates,
    ...github,
    hosts,
    problems,
  };
}

type Say = (sentence: string) => undefined;

/** What `read` finds, or nothing and a sentence. */
async function orSaid<T>(
  read: () => Promise<T>,
  sentence: (obstacle: Obstacle) => string,
  say: Say,
): Promise<T | undefined> {
  const found = await orObstacle(async () => ({ value: await read() }));
  return "value" in found ? found.value : say(sentence(found));
}

const price = z.object({ net: z.string(), gross: z.string() });
const priceList = z.array(
  z.object({ location: z.string(), price_hourly: price, price_monthly: price }),
);
const pricingAnswer = z.object({
  pricing: z.object({
    currency: z.string(),
    primary_ips: z.array(z.object({ type: z.string(), prices: priceList })),
    server_types: z.array(z.object({ name: z.string(), prices: priceList })),
  }),
});
const serversPage = z.object({
  servers: z.array(
    z.object({
      id: z.int(),
      name: z.string(),
      status: z.string(),
      created: z.coerce.date(),
      server_type: z.object({ name: z.string() }),
      location: z.object({ name: z.string() }),
      public_net: z.object({ ipv4: z.unknown().nullish() }),
      labels: z.record(z.string(), z.string()),
    }),
  ),
  ...paged,
});

async function readHetzner(
  stack: Pick<Stack, "hcloud" | "prefix">,
  options: ReadOptions,
  say: Say,
): Promise<Pick<Reading, "servers" | "rates">> {
  const read = <T>(what: (api: Api) => Promise<T>) =>
    orSaid(async () => what(hetznerApi(stack.hcloud, options)), hetznerObstacle, say);
  const path = `/servers?${stackSelector(stack.prefix)}`;
  const [servers, rates] = await Promise.all([
    read(async (api) => (await pages(api, path, serversPage)).flatMap((page) => page.servers)),
    read(readRates),
  ]);
  return {
    servers: servers?.map(
      ({
        id,
        name,
        status,
        created,
        server_type,
        location,
        public_net,
        labels,
      }): ServerReading => ({
        id: String(id),
        name,
        status,
        createdAt: created,
        serverType: server_type.name,
        location: location.name,
        hasIpv4: public_net.ipv4 != null,
        labels,
      }),
    ),
    rates,
  };
}

async function readRates(api: Api): Promise<Rates> {
  const path = "/pricing";
  const answer = await api.ask(path, [200]);
  const { currency, server_types, primary_ips } = api.parse(path, answer, pricingAnswer).pricing;
  const ipv4 = primary_ips.find(({ type }) => type === "ipv4")?.prices ?? [];
  const rates = (list: z.output<typeof priceList>) =>
    new Map(
      list.map(({ location, price_hourly, price_monthly }) => [
        location,
        { hourly: price_hourly.net, monthly: price_monthly.net },
      ]),
    );
  return {
    currency,
    servers: new Map(server_types.map(({ name, prices }) => [name, rates(prices)])),
    ipv4: rates(ipv4),
  };
}

const runner = z.object({
  name: z.string(),
  status: z.string(),
  busy: z.boolean(),
  version: z.string().nullish(),
  runner_group_id: z.int().nullish(),
});
const runnerGroup = z.object({ id: z.int(), name: z.string(), default: z.boolean() });
const variableAnswer = z.object({ value: z.string() });

async function readGitHub(
  { settings, github, project }: Pick<Stack, "settings" | "github" | "project">,
  readAt: Date,
  options: ReadOptions,
  say: Say,
): Promise<Pick<Reading, "runners" | "runnerGroups" | "variables" | "runnerVersions" | "jobs">> {
  const { organization, githubUrl } = settings;
  const owner = encodeURIComponent(organization);
  const seen = await orObstacle(() => ({ differ: serversDiffer(githubUrl, github.endpoint) }));
  const obstacle = "obstacle" in seen ? seen : seen.differ;
  if (obstacle !== undefined) {
    say(githubObstacle(obstacle, githubUrl, project));
    return {
      runners: undefined,
      runnerGroups: undefined,
      variables: undefined,
      runnerVersions: undefined,
      jobs: undefined,
    };
  }
  const read = <T>(what: (api: Api) => Promise<T>) =>
    orSaid(
      async () => what(api()),
      (found) => githubObstacle(found, githubUrl, project),
      say,
    );
  let one: Api | undefined;
  // One for all: it bounds how many requests are under way at once.
  const api = () => (one ??= githubApi(github, options));
  const from = new Date(readAt.getTime() - options.days * DAY_MS);
  const repositories = runnerRepositories(settings);
  const [runners, runnerGroups, variables, runnerVersions, jobs] = await Promise.all([
    read((of) => readRunners(of, owner)),
    read((of) => readGroups(of, owner)),
    read((of) => readVariables(of, owner, settings.routing, repositories)),
    read((of) => readRunnerVersions(of, owner, settings)),
    read((of) =>
      readJobHistory(of, organization, repositories, from, options.maxRuns, options.cache),
    ),
  ]);
  return { runners, runnerGroups, variables, runnerVersions, jobs };
}

async function readRunners(api: Api, owner: string): Promise<RunnerReading[]> {
  const runners = await api.list(`/orgs/${owner}/actions/runners`, "runners", runner);
  return runners.map(({ name, status, busy, version, runner_group_id }) => ({
    name,
    group: runner_group_id ?? undefined,
    online: status === "online",
    busy,
    version: version ?? undefined,
  }));
}

async function readGroups(api: Api, owner: string): Promise<RunnerGroupReading[]> {
  const path = `/orgs/${owner}/actions/runner-groups`;
  const groups = await api.list(path, "runner_groups", runnerGroup);
  return groups.map(({ id, name, default: isDefault }) => ({ id, name, isDefault }));
}

async function readVariables(
  api: Api,
  owner: string,
  { level, variable }: Stack["settings"]["routing"],
  repositories: readonly string[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const at = level === "organization" ? [ORGANIZATION] : repositories;
  const values = await Promise.all(
    at.map(async (name) => {
      const scope = name === ORGANIZATION ? `orgs/${owner}` : `repos/${owner}/${name}`;
      const found = await api.get(`/${scope}/actions/variables/${variable}`, variableAnswer);
      return [name, found?.value] as const;
    }),
  );
  return new Map(values);
}

async function readHosts(
  { settings, secret }: Pick<Stack, "settings" | "secret">,
  recorded: Promise<readonly RecordedHost[]>,
  living: Promise<readonly ServerReading[] | undefined>,
  { ssh = runOverSsh }: ReadOptions,
): Promise<ReadonlyMap<string, HostReading>> {
  const { management } = settings;
  const key =
    management === "ssh"
      ? secret("ssh.privateKey").catch((error: unknown) => error as Error)
      : undefined;
  const [hosts, servers] = await Promise.all([recorded, living]);
  const readings = hosts.map(async (host): Promise<readonly [string, HostReading]> => {
    const server = servers?.find(({ id }) => id === host.serverId);
    const reason = notAsked(host, management, servers === undefined ? "running" : server?.status);
    if (reason !== undefined) return [host.name, { reach: "notAsked", reason }];
    const privateKey = await key!;
    if (typeof privateKey !== "string") {
      return [host.name, { reach: "unreachable", reason: privateKey.message }];
    }
    const { address, sshPort: port, hostKey } = host;
    return [host.name, await askHost({ host: address, port, privateKey, hostKey: hostKey! }, ssh)];
  });
  return new Map(await Promise.all(readings));
}

/** Why nothing is asked of a host; undefined where it is. */
function notAsked(
  { pool, hostKey }: RecordedHost,
  management: Stack["settings"]["management"],
  status: string | undefined,
): string | undefined {
  if (management === "none") return "management is none";
  if (pool === undefined) return "runs no jobs";
  if (status !== "running") return `its server is ${status ?? "gone"}`;
  return hostKey === undefined ? "the state has no host key of it" : undefined;
}

const SSH_FAILURES: Readonly<Record<SshFailure, string>> = {
  unreachable: "nobody answers SSH",
  refused: "SSH shows another host key, or refuses ours",
  lost: "the connection broke off",
  failed: "bin/status failed",
  late: "no answer in time",
  left: "no answer in time",
};

async function askHost(target: SshTarget, ssh: typeof runOverSsh): Promise<HostReading> {
  try {
    const report = readReport(await ssh(target, STATUS_COMMAND, SSH_TIMEOUT, { stdin: "" }));
    if (report !== undefined) return { reach: "answers", report };
    return { reach: "unreachable", reason: "bin/status prints something else than expected" };
  } catch (error) {
    // A host with a key or an address that no client takes, too: one of many must not hide the others.
    const reason = error instanceof SshError ? SSH_FAILURES[error.failure] : String(error);
    return { reach: "unreachable", reason };
  }
}

const reportText = z.object({
  disk: z.object({ sizeBytes: z.number(), freeBytes: z.number(), freePercent: z.number() }),
  cacheBytes: z.number().nullish(),
  slots: z.array(
    z.object({
      slot: z.int(),
      state: z.string(),
      runner: z.string().nullable(),
      failures: z.int(),
      since: z.string().nullable(),
      drainedBy: z.string().nullable(),
    }),
  ),
});

/** What `bin/status` printed; undefined when it is something else. */
export function readReport(text: string): HostReport | undefined {
  try {
    return reportText.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
