import type { FleetSettings } from "../config/schema";
import type { HetznerFacts } from "../preflight/facts";
import { costChange, exceeds, formatBudget, hasPrice, monthlyCost } from "../pricing/pricing";
import {
  choices,
  type Place,
  type Preferences,
  orderableNow,
  placeFleet,
  tokenServicePreferences,
} from "../runnerPool/placement";
import { lifeSentence } from "../runnerVersions/runnerLife";
import type { PoolLife } from "../runnerVersions/stackLives";
import { enumerate } from "../text/words";
import { type Jobs, queuedFor, runningOn } from "./jobs";
import type { Preview, Step } from "./preview";

/** What a run would do to a fleet, and whether it should. */
export interface Report {
  readonly stack: string;
  /**
   * - `unchanged`, `changes`: what the preview found;
   * - `blocked`: a reason speaks against it that is not allowed;
   * - `failed`: there is no preview.
   */
  readonly outcome: "unchanged" | "changes" | "blocked" | "failed";
  readonly blocks: readonly Block[];
  /** Why there is no preview. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
  /** What could not be read, and what that means. */
  readonly notes: readonly string[];
  readonly servers: readonly ServerChange[];
  /** How many servers there are before, at the most during, and after the run. */
  readonly serverCount: { readonly now: number; readonly most: number; readonly after: number };
  /** Undefined where Hetzner names no price. */
  readonly cost: Cost | undefined;
  readonly drains: readonly Drain[];
  /** Pools whose hosts go or change, with the jobs that wait for their labels; undefined: GitHub does not say. */
  readonly queues: readonly { readonly pool: string; readonly jobs: number | undefined }[];
  readonly secrets: readonly NamedChange[];
  readonly workflows: readonly WorkflowChange[];
  /** Everything else, counted by operation. */
  readonly others: Readonly<Partial<Record<Operation, number>>>;
}

export type Operation = "create" | "update" | "replace" | "delete";

export const BLOCK_REASONS = ["stock", "budget", "runner-version"] as const;
export type BlockReason = (typeof BLOCK_REASONS)[number];

export interface Block {
  readonly reason: BlockReason;
  readonly sentence: string;
  /** Whether somebody said that it may be so. */
  readonly allowed: boolean;
}

export interface Server extends Place {
  /** Name at Hetzner. */
  readonly name: string;
}

/**
 * - `create`, `delete`: as they say;
 * - `replace`: the same server is deleted and made anew;
 * - `rescale`: powered off, changed to another type, powered on;
 * - `roll`: a host of another generation takes the place of one.
 */
export interface ServerChange {
  readonly change: "create" | "replace" | "rescale" | "roll" | "delete";
  /** Undefined for the token service. */
  readonly pool: string | undefined;
  readonly before: Server | undefined;
  readonly after: Server | undefined;
  /** Names of the properties that ask for a replacement. */
  readonly reasons: readonly string[];
  /** Where the type that is needed can be ordered now; undefined where Hetzner was not asked. */
  readonly orderable: Stock | undefined;
  /** The same for the type that is given up, where that is another or none is needed. */
  readonly again: Stock | undefined;
  /** Net, a month, with an IPv4 address; undefined where Hetzner names no price. */
  readonly price: { readonly after: string; readonly change: string } | undefined;
  /** Jobs that run on what goes or changes; undefined: GitHub does not say. */
  readonly running: number | undefined;
}

export interface Stock {
  readonly serverType: string;
  readonly locations: readonly string[];
}

/** Net amounts a month at today's prices. */
export interface Cost {
  readonly currency: string;
  readonly before: string;
  readonly after: string;
  readonly change: string;
  readonly budget: string | undefined;
}

export interface Drain {
  readonly server: string;
  /** How long jobs that run may take until it goes on without them. */
  readonly atMostSeconds: number;
}

export interface NamedChange {
  readonly change: Operation;
  readonly name: string;
  /** Its value, or which repositories see it. */
  readonly what: "value" | "repositories";
}

export interface WorkflowChange {
  readonly change: Operation | "keep";
  readonly repository: string;
  readonly path: string;
  readonly delivery: "commit" | "pullRequest";
}

export interface ReportInput {
  readonly stack: string;
  /** Namespace of the configuration keys. */
  readonly project: string;
  readonly settings: FleetSettings;
  readonly preview: Preview;
  /** A text says why Hetzner could not be asked; undefined: there was nothing to ask. */
  readonly hetzner: HetznerFacts | string | undefined;
  /** How long GitHub serves the runners of each pool, or why that is not known. */
  readonly lives: readonly PoolLife[] | string;
  readonly jobs: Jobs | string;
  readonly allowed: readonly BlockReason[];
}

const SERVER = "hcloud:index/server:Server";
const COMMAND = "command:local:Command";
const SECRET = "github:index/actionsOrganizationSecret:ActionsOrganizationSecret";
const SECRET_REPOSITORIES =
  "github:index/actionsOrganizationSecretRepositories:ActionsOrganizationSecretRepositories";
const FILE = "github:index/repositoryFile:RepositoryFile";

export function makeReport(input: ReportInput): Report {
  const { stack, settings, preview, hetzner, lives, jobs } = input;
  const facts = typeof hetzner === "string" ? undefined : hetzner;
  const work = typeof jobs === "string" ? undefined : jobs;
  const { steps, problems, warnings } = preview;
  const failed = problems.length > 0;

  const servers = failed ? [] : serverChanges(steps, settings, facts, work);
  const before = steps.flatMap((step) => recordedServer(step) ?? []);
  const after = steps.flatMap((step) => wantedServer(step) ?? []);
  const cost = failed ? undefined : costOf(before, after, settings.budget.monthlyEur, facts);
  const found = [
    ...(facts === undefined ? [] : stockBlocks(servers, after, settings, facts)),
    ...budgetBlocks(cost, before, after, settings.budget.monthlyEur, facts),
    ...(typeof lives === "string" ? [] : versionBlocks(lives)),
    ...(failed && facts !== undefined ? refusals(stack, settings, facts) : []),
  ];
  const blocks = found.map(({ reason, sentence }) => ({
    reason,
    sentence,
    allowed: input.allowed.includes(reason),
  }));
  const isBlocked = blocks.some(({ allowed }) => !allowed);
  // What the program itself refuses for a reason that blocks is no failure of the preview.
  const explained = problems.every((problem) =>
    found.some(
      ({ keys, reason }) =>
        !input.allowed.includes(reason) &&
        keys?.some((key) => problem.startsWith(`${input.project}:${key}: `)),
    ),
  );
  return {
    stack,
    outcome:
      failed && !explained
        ? "failed"
        : isBlocked
          ? "blocked"
          : steps.some(({ op }) => op !== "same")
            ? "changes"
            : "unchanged",
    blocks,
    problems,
    warnings,
    notes: [
      ...[hetzner, lives, jobs].filter((one) => typeof one === "string"),
      ...(work?.complete === false
        ? ["all jobs that wait: only the newest hundred runs of each repository were looked at"]
        : []),
      ...(facts !== undefined && !failed && cost === undefined
        ? ["what the servers cost, and so what budget.monthlyEur says: one of them has no price"]
        : []),
    ],
    servers,
    serverCount: {
      now: before.length,
      // A server that is replaced goes before the new one comes.
      most:
        before.length + steps.filter((step) => step.type === SERVER && step.op === "create").length,
      after: after.length,
    },
    cost,
    drains: failed ? [] : drains(servers, steps),
    queues: failed ? [] : queues(servers, steps, settings, work),
    secrets: failed ? [] : secretChanges(steps),
    workflows: failed ? [] : workflowChanges(steps, settings.organization),
    others: failed ? {} : otherChanges(steps),
  };
}

/** Undefined for what is no server, or none yet. */
function recordedServer({ type, old }: Step): Server | undefined {
  return type === SERVER && old !== undefined ? serverOf(old.outputs, old.inputs) : undefined;
}

/** Undefined for what is no server, or none any more. */
function wantedServer({ type, op, old, new: wanted }: Step): Server | undefined {
  if (type !== SERVER || op === "delete" || wanted === undefined) return undefined;
  return serverOf(wanted.inputs, old?.outputs);
}

function serverOf(...sources: readonly (Readonly<Record<string, unknown>> | undefined)[]): Server {
  const text = (key: string): string => {
    const value = sources.map((source) => source?.[key]).find((one) => typeof one === "string");
    return typeof value === "string" ? value : "?";
  };
  return { name: text("name"), serverType: text("serverType"), location: text("location") };
}

interface Change extends Pick<ServerChange, "change" | "pool" | "before" | "after" | "reasons"> {
  readonly key: string;
}

function serverChanges(
  steps: readonly Step[],
  settings: FleetSettings,
  facts: HetznerFacts | undefined,
  work: Jobs | undefined,
): ServerChange[] {
  const orderable = facts === undefined ? undefined : orderableNow(settings.network.zone, facts);
  const stock = (serverType: string | undefined): Stock | undefined =>
    serverType === undefined || orderable === undefined
      ? undefined
      : {
          serverType,
          locations: orderable
            .filter((place) => place.serverType === serverType)
            .map(({ location }) => location),
        };
  const changes = withRolls(steps.flatMap((step) => plainChange(step) ?? []));
  return changes.sort(byName(({ after, before }) => (after ?? before)!.name)).map((one) => {
    const { change, pool, before, after, reasons } = one;
    const givenUp = before?.serverType === after?.serverType ? undefined : before?.serverType;
    return {
      change,
      pool,
      before,
      after,
      reasons,
      orderable: stock(after?.serverType),
      again: stock(givenUp),
      price: priceOf(before, after, facts),
      running:
        before === undefined || pool === undefined
          ? 0
          : work === undefined
            ? undefined
            : runningOn(before.name, work),
    };
  });
}

function plainChange(step: Step): Change | undefined {
  const [before, after] = [recordedServer(step), wantedServer(step)];
  const labels = (step.old?.outputs.labels ?? step.new?.inputs.labels ?? {}) as { pool?: string };
  const base = { key: step.name, pool: labels.pool, before, after, reasons: [] };
  if (step.type !== SERVER) return undefined;
  switch (step.op) {
    case "create":
    case "delete":
      return { ...base, change: step.op };
    case "replace":
      return { ...base, change: "replace", reasons: step.reasons };
    case "update":
      return before?.serverType === after?.serverType ? undefined : { ...base, change: "rescale" };
    case "same":
      return undefined;
  }
}

/** The parts of a host's name, in the program and at Hetzner: pool, generation and number. */
const HOST_NAME = /^(.+)-(\d+)-(\d+)$/;

/** Joins each host of a new generation with the one of an old generation whose place it takes. */
function withRolls(changes: readonly Change[]): Change[] {
  const part = (one: Change, index: 2 | 3) => Number(HOST_NAME.exec(one.key)?.[index] ?? 0);
  const joined = new Map<Change, Change>();
  for (const created of changes.filter(({ change }) => change === "create")) {
    const candidates = changes.filter(
      (one) =>
        one.change === "delete" &&
        one.pool !== undefined &&
        one.pool === created.pool &&
        part(one, 2) !== part(created, 2) &&
        ![...joined.values()].includes(one),
    );
    const old =
      candidates.find((one) => part(one, 3) === part(created, 3)) ??
      candidates.find((one) => !changes.some((other) => isSameNumber(one, other)));
    if (old !== undefined) joined.set(created, old);
  }
  const gone = new Set(joined.values());
  return changes
    .filter((one) => !gone.has(one))
    .map((one) => {
      const old = joined.get(one);
      return old === undefined ? one : { ...one, change: "roll", before: old.before };
    });

  /** Whether `other` is the host that is made in the place of `one`. */
  function isSameNumber(one: Change, other: Change): boolean {
    return other.change === "create" && other.pool === one.pool && part(other, 3) === part(one, 3);
  }
}

function priceOf(
  before: Server | undefined,
  after: Server | undefined,
  facts: HetznerFacts | undefined,
): ServerChange["price"] {
  const [old, wanted] = [before, after].map((one) => (one === undefined ? [] : [one]));
  if (facts === undefined || ![...old!, ...wanted!].every((one) => hasPrice(one, facts))) {
    return undefined;
  }
  return {
    after: monthlyCost(wanted!, facts).net,
    change: costChange(old!, wanted!, facts),
  };
}

function costOf(
  before: readonly Server[],
  after: readonly Server[],
  budget: number | undefined,
  facts: HetznerFacts | undefined,
): Cost | undefined {
  if (facts === undefined || ![...before, ...after].every((one) => hasPrice(one, facts))) {
    return undefined;
  }
  return {
    currency: facts.currency,
    before: monthlyCost(before, facts).net,
    after: monthlyCost(after, facts).net,
    change: costChange(before, after, facts),
    budget: budget === undefined ? undefined : formatBudget(budget),
  };
}

interface FoundBlock extends Pick<Block, "reason" | "sentence"> {
  /** Configuration keys that the program's own refusal would name. */
  readonly keys?: readonly string[];
}

/** What goes and could not be had again. */
function stockBlocks(
  servers: readonly ServerChange[],
  remaining: readonly { readonly name: string }[],
  settings: FleetSettings,
  facts: HetznerFacts,
): FoundBlock[] {
  const orderable = orderableNow(settings.network.zone, facts);
  const isOrderable = (place: Place) =>
    orderable.some(
      ({ serverType, location }) => serverType === place.serverType && location === place.location,
    );
  const block = (sentence: string): FoundBlock[] => [{ reason: "stock", sentence }];
  return servers.flatMap(({ change, pool, before, after }) => {
    if (before === undefined) return [];
    const wanted = preferencesOf(pool, settings);
    const { name, serverType, location } = before;
    switch (change) {
      case "create":
        return [];
      case "rescale":
        return after === undefined ||
          !isSmaller(after.serverType, serverType, facts) ||
          isOrderable(before)
          ? []
          : block(
              `${name} becomes a ${after.serverType}, and could not become a ${serverType} again, which is out of stock in ${location}`,
            );
      case "delete": {
        // A host of another generation has its place already.
        if (pool !== undefined && remaining.some((one) => placeOf(one.name) === placeOf(name))) {
          return [];
        }
        // Whatever serves as well: the same in another configured location, or another configured type.
        const places = [
          before,
          ...(wanted?.locations ?? []).map((one) => ({ serverType, location: one })),
          ...(wanted === undefined ? [] : choices(wanted)),
        ].filter((place) => !isSmaller(place.serverType, serverType, facts));
        return places.some(isOrderable)
          ? []
          : block(`${name} is deleted, and ${unavailable(places)} to take its place again`);
      }
      case "replace":
      case "roll": {
        const places = [after!, ...(wanted === undefined ? [] : choices(wanted))];
        return places.some(isOrderable)
          ? []
          : block(
              `${name} is ${change === "roll" ? "rolled" : "replaced"}, and ${unavailable(places)} in its place`,
            );
      }
    }
  });
}

/** A host's name without its generation, such as dev-arm64-2 of dev-arm64-1-2. */
function placeOf(name: string): string {
  return name.replace(HOST_NAME, "$1-$3");
}

/** What a pool's servers, or the token service's, may be; undefined for a pool that goes. */
function preferencesOf(pool: string | undefined, settings: FleetSettings): Preferences | undefined {
  return pool === undefined ? tokenServicePreferences(settings) : settings.pools[pool];
}

function unavailable(places: readonly Place[]): string {
  const types = [...new Set(places.map(({ serverType }) => serverType))];
  const locations = [...new Set(places.map(({ location }) => location))];
  return `no ${enumerate(types)} can be ordered in ${enumerate(locations)} at the moment`;
}

function isSmaller(
  serverType: string,
  than: string,
  { serverTypes }: Pick<HetznerFacts, "serverTypes">,
): boolean {
  const [one, other] = [serverTypes.get(serverType), serverTypes.get(than)];
  if (one === undefined || other === undefined) return false;
  return one.cores < other.cores || one.memoryGb < other.memoryGb;
}

/** A change that costs more than before, and more than the budget. */
function budgetBlocks(
  cost: Cost | undefined,
  before: readonly Server[],
  after: readonly Server[],
  budget: number | undefined,
  facts: HetznerFacts | undefined,
): FoundBlock[] {
  if (cost === undefined || budget === undefined || facts === undefined) return [];
  const rises = costChange(before, after, facts).startsWith("+");
  if (!rises || cost.currency !== "EUR" || !exceeds(after, budget, facts)) return [];
  const { currency } = cost;
  return [
    {
      reason: "budget",
      sentence: `the servers cost ${cost.after} ${currency} a month after it, more than the ${cost.budget} ${currency} of budget.monthlyEur`,
    },
  ];
}

function versionBlocks(lives: readonly PoolLife[]): FoundBlock[] {
  return lives
    .filter(({ life }) => life.state === "ended")
    .map(({ pool, life }) => ({
      reason: "runner-version",
      sentence: `pool ${pool}: ${lifeSentence(life)}`,
      keys: [`pools.${pool}.runner.version`],
    }));
}

/** Where the program refuses for want of stock, so that there is no preview to judge. */
function refusals(stack: string, settings: FleetSettings, facts: HetznerFacts): FoundBlock[] {
  const { pools, tokenService } = placeFleet(stack, settings, facts);
  const obstacles = [
    ...Object.entries(pools).map(([pool, hosts]) => ({
      what: `pool ${pool}`,
      key: `pools.${pool}`,
      types: `pools.${pool}.serverTypes`,
      kinds: hosts.map(({ obstacle }) => obstacle),
    })),
    {
      what: "the token service",
      key: "tokenService",
      types: "tokenService.serverType",
      kinds: [tokenService?.obstacle],
    },
  ];
  return obstacles.flatMap(({ what, key, types, kinds }): FoundBlock[] => [
    ...(kinds.includes("order")
      ? [
          {
            reason: "stock" as const,
            sentence: `nothing that the configuration lists can be ordered for ${what}`,
            keys: [key],
          },
        ]
      : []),
    ...(kinds.includes("rescale")
      ? [
          {
            reason: "stock" as const,
            sentence: `a living server of ${what} can be changed to nothing that the configuration lists`,
            keys: [types],
          },
        ]
      : []),
  ]);
}

/** Variables of the command that goes with a host or a pool. */
function environmentOf(
  steps: readonly Step[],
  name: string,
  side: "old" | "new",
): Readonly<Record<string, unknown>> {
  const step = steps.find((one) => one.type === COMMAND && one.name === name && one[side]);
  return (step?.[side]?.inputs.environment ?? {}) as Readonly<Record<string, unknown>>;
}

function drains(servers: readonly ServerChange[], steps: readonly Step[]): Drain[] {
  const keys = new Map(
    steps.flatMap((step) => {
      const server = recordedServer(step);
      return server === undefined ? [] : [[server.name, step.name] as const];
    }),
  );
  return servers.flatMap(({ change, before }) => {
    const key = before && keys.get(before.name);
    if (before === undefined || key === undefined) return [];
    // What is rescaled is drained by the run as it is configured now, what goes by the command that is recorded.
    const wanted = change === "rescale" ? environmentOf(steps, `${key}-retire`, "new") : {};
    const { DRAIN_COMMAND, TIMEOUT_SECONDS } = {
      ...environmentOf(steps, `${key}-retire`, "old"),
      ...wanted,
    };
    const atMostSeconds = Number(TIMEOUT_SECONDS);
    return DRAIN_COMMAND === undefined || !Number.isFinite(atMostSeconds)
      ? []
      : [{ server: before.name, atMostSeconds }];
  });
}

function queues(
  servers: readonly ServerChange[],
  steps: readonly Step[],
  settings: FleetSettings,
  work: Jobs | undefined,
): Report["queues"] {
  const touched = servers.filter(({ before }) => before !== undefined);
  const pools = [...new Set(touched.flatMap(({ pool }) => pool ?? []))];
  return pools.map((pool) => {
    // Jobs carry the labels that the last run has told them.
    const recorded = environmentOf(steps, `${pool}-queue`, "old").RUNNER_LABELS;
    const labels =
      typeof recorded === "string"
        ? (JSON.parse(recorded) as string[])
        : ["self-hosted", ...(settings.pools[pool]?.labels ?? [])];
    return { pool, jobs: work === undefined ? undefined : queuedFor(labels, work) };
  });
}

function secretChanges(steps: readonly Step[]): NamedChange[] {
  const changes = steps.flatMap((step): NamedChange[] => {
    const what =
      step.type === SECRET
        ? "value"
        : step.type === SECRET_REPOSITORIES
          ? "repositories"
          : undefined;
    if (what === undefined || step.op === "same") return [];
    const name = textOf(step, "secretName");
    // Who sees a secret that comes or goes is no news beside that.
    const comesOrGoes = step.op === "create" || step.op === "delete";
    return what === "repositories" && comesOrGoes ? [] : [{ change: step.op, name, what }];
  });
  return changes.sort(byName(({ name }) => name));
}

function workflowChanges(steps: readonly Step[], organization: string): WorkflowChange[] {
  const changes = steps.flatMap((step): WorkflowChange[] => {
    if (step.op === "same") return [];
    if (step.type === FILE) {
      return [
        {
          change: step.op === "delete" && step.old?.retained === true ? "keep" : step.op,
          repository: `${organization}/${textOf(step, "repository")}`,
          path: textOf(step, "file"),
          delivery: "commit",
        },
      ];
    }
    if (!isProposal(step)) return [];
    const { PROPOSAL_REPOSITORY: repository, PROPOSAL_PATH: path } = (step.new ?? step.old)?.inputs
      .environment as { PROPOSAL_REPOSITORY: string; PROPOSAL_PATH: string };
    return [{ change: step.op, repository, path, delivery: "pullRequest" }];
  });
  return changes.sort(byName(({ repository, path }) => `${repository} ${path}`));
}

function isProposal({ type, old, new: wanted }: Step): boolean {
  const environment = (wanted ?? old)?.inputs.environment;
  return (
    type === COMMAND &&
    typeof environment === "object" &&
    environment !== null &&
    "PROPOSAL_REPOSITORY" in environment &&
    "PROPOSAL_PATH" in environment
  );
}

/** What people do not think of as a resource: components, providers and the stack itself. */
const INTERNAL = /^(runner-fleet:index:|pulumi:)/;

function otherChanges(steps: readonly Step[]): Report["others"] {
  const counts: Partial<Record<Operation, number>> = {};
  for (const step of steps) {
    const { op, type } = step;
    const named =
      type === SECRET || type === FILE || isProposal(step) || plainChange(step) !== undefined;
    if (op === "same" || named || INTERNAL.test(type)) continue;
    counts[op] = (counts[op] ?? 0) + 1;
  }
  return counts;
}

function textOf({ old, new: wanted }: Step, key: string): string {
  const value = wanted?.inputs[key] ?? old?.inputs[key] ?? old?.outputs[key];
  return typeof value === "string" ? value : "?";
}

/** The engine is at many resources at once: what it says first differs from run to run. */
function byName<T>(name: (one: T) => string): (one: T, other: T) => number {
  return (one, other) => (name(one) < name(other) ? -1 : name(one) > name(other) ? 1 : 0);
}
