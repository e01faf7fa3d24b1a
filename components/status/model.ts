import {
  type Bill,
  bill,
  type BilledServer,
  monthlyAmount,
  monthStart,
  nextMonth,
} from "../costs/bill";
import { type BreakEven, breakEven } from "../costs/breakEven";
import { routedPool, routedRunsOn } from "../githubOrg/runsOn";
import { formatAmount, formatBudget, parseAmount } from "../pricing/pricing";
import { lifeSentence, type RunnerLife, runnerLife } from "../runnerVersions/runnerLife";
import { drift } from "./drift";
import { type HostReport, type JobReading, ORGANIZATION, type Reading } from "./reading";
import { ownHost, type RunnerOwner, slotNumber } from "../host/runnerNames";
import { runnerOwner } from "./owner";

/** A fleet at one moment, in plain values: what `--json` prints, and what the table and the page show. */
export interface FleetStatus {
  readonly stack: string;
  readonly organization: string;
  /** ISO 8601, as all times here. */
  readonly readAt: string;
  readonly pools: readonly PoolStatus[];
  /** Every host of the state, and the token service's. */
  readonly hosts: readonly HostStatus[];
  readonly routing: RoutingStatus;
  /** Null where GitHub did not say. */
  readonly jobs: JobsStatus | null;
  readonly costs: CostStatus | null;
  /** Sentences; whether there is more, only `pulumi preview --refresh` tells. */
  readonly drift: readonly string[];
  /** Sentences about what could not be read. */
  readonly problems: readonly string[];
}

export interface PoolStatus {
  readonly name: string;
  readonly labels: readonly string[];
  /** Configured version of the runner program; null for an image of the user's own. */
  readonly version: string | null;
  /** ISO 8601; null as long as GitHub has named no day. */
  readonly versionEndsAt: string | null;
  readonly versionDaysLeft: number | null;
  readonly versionState: RunnerLife["state"];
  /** The same for people, a sentence without its full stop. */
  readonly versionLife: string;
}

export interface HostStatus {
  readonly name: string;
  /** Null for the token service. */
  readonly pool: string | null;
  readonly serverType: string;
  readonly location: string;
  readonly address: string;
  /** As Hetzner says it, or gone, or unknown. */
  readonly server: string;
  readonly createdAt: string | null;
  readonly reach: "answers" | "unreachable" | "notAsked";
  /** Why it does not answer; null where it does. */
  readonly reason: string | null;
  readonly diskSizeBytes: number | null;
  readonly diskFreeBytes: number | null;
  readonly cacheBytes: number | null;
  readonly slots: readonly SlotStatus[];
  /** Of its runners, as GitHub says it; null where it does not. */
  readonly online: number | null;
  readonly busy: number | null;
}

export interface SlotStatus {
  readonly slot: number;
  /** As the host says it, or, where it does not answer, as GitHub does: busy, online, offline; unknown. */
  readonly state: string;
  readonly since: string | null;
  readonly drainedBy: string | null;
  readonly failures: number;
  /** Name at GitHub; null where none is registered. */
  readonly runner: string | null;
  /** Version that the runner told GitHub. */
  readonly version: string | null;
}

export interface RoutingStatus {
  readonly variable: string;
  readonly level: "organization" | "repository";
  /** The pool that jobs are to go to. */
  readonly pool: string;
  /** One for the organization, or one for each repository. */
  readonly values: readonly {
    /** Null for the organization. */
    readonly repository: string | null;
    /** `own`: to the pool. `hosted`: the variable is not set. `other`: it has another value. */
    readonly goes: "own" | "hosted" | "other" | "unknown";
  }[];
  /** Label of the hosted runners that take jobs where it is not set. */
  readonly hostedFallback: string;
}

export interface JobsStatus {
  /** From then on every run was looked at. */
  readonly from: string;
  readonly runs: number;
  readonly truncated: boolean;
  /** Those that wait, the oldest first. */
  readonly queued: readonly JobStatus[];
  readonly running: readonly JobStatus[];
  /** Those that are done and had a runner, the newest first. */
  readonly done: readonly JobStatus[];
}

export interface JobStatus {
  readonly id: number;
  readonly repository: string;
  readonly workflow: string | null;
  readonly name: string;
  /** Where it runs, ran or is to run: on this stack's hosts, on GitHub's, or elsewhere. */
  readonly on: "own" | "hosted" | "other";
  readonly runner: string | null;
  readonly host: string | null;
  readonly slot: number | null;
  readonly queuedAt: string;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  readonly conclusion: string | null;
}

export interface CostStatus {
  readonly currency: string;
  /** Of this calendar month, net, up to now. */
  readonly soFar: Bill;
  /** By the end of the month if the servers stay, net. */
  readonly byMonthEnd: string;
  /** What a whole month of the servers costs, net. */
  readonly monthly: string;
  /** Null without one. */
  readonly budget: string | null;
  /** Whether a whole month costs more than the budget. */
  readonly overBudget: boolean;
  /** Null where GitHub did not say what ran. */
  readonly breakEven: BreakEven | null;
}

export interface StatusOptions {
  /** Decimal text; default: USD_PER_EUR. */
  readonly usdPerEur?: string | undefined;
}

export function fleetStatus(reading: Reading, options: StatusOptions = {}): FleetStatus {
  const { stack, settings, readAt } = reading;
  const jobs = jobsStatus(reading);
  return {
    stack,
    organization: settings.organization,
    readAt: readAt.toISOString(),
    pools: poolStatuses(reading),
    hosts: hostStatuses(reading),
    routing: routingStatus(reading),
    jobs,
    costs: costStatus(reading, options),
    drift: drift(reading),
    problems: reading.problems,
  };
}

function poolStatuses({ settings, runnerVersions, readAt }: Reading): PoolStatus[] {
  return Object.entries(settings.pools).map(([name, { labels, runner }]) => {
    const own = runner.reference !== undefined;
    const ends = own ? undefined : runnerVersions?.get(runner.version);
    const life = runnerLife(runner.version, ends, readAt, settings.runnerLife.warnDays);
    return {
      name,
      labels,
      version: own ? null : life.version,
      versionEndsAt: life.endsAt?.toISOString() ?? null,
      versionDaysLeft: life.daysLeft ?? null,
      versionState: life.state,
      versionLife: own ? "an image of your own, whose version nobody knows" : lifeSentence(life),
    };
  });
}

function hostStatuses(reading: Reading): HostStatus[] {
  const { recorded, servers, runners, hosts, settings } = reading;
  const owner = runnerOwner(reading);
  return recorded.hosts.map((host) => {
    const server = servers?.find(({ id }) => id === host.serverId);
    const found = hosts.get(host.name);
    const report = found?.reach === "answers" ? found.report : undefined;
    const own = runners?.filter((runner) => ownHost(runner, owner) === host.name);
    const configured =
      host.pool === undefined ? 0 : (settings.pools[host.pool]?.runnersPerHost ?? 0);
    const slots = report?.slots.map(({ slot }) => slot) ?? [
      ...new Set([
        ...Array.from({ length: configured }, (_, index) => index + 1),
        ...(own ?? []).map(({ name }) => slotNumber(name)),
      ]),
    ];
    return {
      name: host.name,
      pool: host.pool ?? null,
      serverType: server?.serverType ?? host.serverType,
      location: server?.location ?? host.location,
      address: host.address,
      server: servers === undefined ? "unknown" : (server?.status ?? "gone"),
      createdAt: server?.createdAt.toISOString() ?? null,
      reach: found?.reach ?? "notAsked",
      reason: found === undefined || found.reach === "answers" ? null : found.reason,
      diskSizeBytes: report?.disk.sizeBytes ?? null,
      diskFreeBytes: report?.disk.freeBytes ?? null,
      cacheBytes: report?.cacheBytes ?? null,
      slots: slots.sort((one, other) => one - other).map((slot) => slotStatus(slot, report, own)),
      online: own?.filter(({ online }) => online).length ?? null,
      busy: own?.filter(({ busy }) => busy).length ?? null,
    };
  });
}

function slotStatus(
  slot: number,
  report: HostReport | undefined,
  runners: Reading["runners"],
): SlotStatus {
  const told = report?.slots.find((one) => one.slot === slot);
  // Where it has several, those that are offline are what former ones have left.
  const [runner] = (runners ?? [])
    .filter(({ name }) => slotNumber(name) === slot)
    .sort((one, other) => Number(other.online) - Number(one.online));
  const listed =
    runners === undefined
      ? "unknown"
      : runner === undefined || !runner.online
        ? "offline"
        : runner.busy
          ? "busy"
          : "online";
  return {
    slot,
    state: told?.state ?? listed,
    since: told?.since ?? null,
    drainedBy: told?.drainedBy ?? null,
    failures: told?.failures ?? 0,
    runner: runner?.name ?? null,
    version: runner?.version ?? null,
  };
}

function routingStatus({ settings, variables }: Reading): RoutingStatus {
  const { variable, level, hostedFallback } = settings.routing;
  const own = routedRunsOn(settings);
  const goes = (value: string | undefined) =>
    value === undefined ? "hosted" : value === own ? "own" : "other";
  return {
    variable,
    level,
    pool: routedPool(settings).name,
    values:
      variables === undefined
        ? [{ repository: null, goes: "unknown" }]
        : [...variables].map(([repository, value]) => ({
            repository: repository === ORGANIZATION ? null : repository,
            goes: goes(value),
          })),
    hostedFallback,
  };
}

function jobsStatus(reading: Reading): JobsStatus | null {
  const { jobs: history } = reading;
  if (history === undefined) return null;
  const { jobs, from, runs, truncated } = history;
  const owner = runnerOwner(reading);
  const shown = (which: (job: JobReading) => boolean) =>
    jobs.filter(which).map((job) => jobStatus(job, reading, owner));
  return {
    from: from.toISOString(),
    runs,
    truncated,
    queued: shown(({ status }) => WAITING.includes(status)).reverse(),
    running: shown(({ status }) => status === "in_progress"),
    done: shown(({ status, runner }) => status === "completed" && runner !== undefined),
  };
}

const WAITING: readonly string[] = ["queued", "waiting", "pending", "requested"];

/** The host of this stack that a job had its runner on. */
function hostOfJob({ runner, runnerGroup }: JobReading, owner: RunnerOwner): string | undefined {
  return runner === undefined ? undefined : ownHost({ name: runner, group: runnerGroup }, owner);
}

function jobStatus(job: JobReading, reading: Reading, owner: RunnerOwner): JobStatus {
  const host = hostOfJob(job, owner);
  return {
    id: job.id,
    repository: job.repository,
    workflow: job.workflow ?? null,
    name: job.name,
    on: host === undefined ? whereElse(job, reading) : "own",
    runner: job.runner ?? null,
    host: host ?? null,
    slot: host === undefined ? null : slotNumber(job.runner!),
    queuedAt: job.createdAt.toISOString(),
    // GitHub gives a job that waits the moment in which it began to.
    startedAt: job.runner === undefined ? null : (job.startedAt?.toISOString() ?? null),
    completedAt: job.completedAt?.toISOString() ?? null,
    conclusion: job.conclusion ?? null,
  };
}

/** By its labels: `self-hosted` is on all runners of one's own but those of scale sets. */
function whereElse(
  { runner, labels }: JobReading,
  { settings }: Reading,
): "own" | "hosted" | "other" {
  if (runner !== undefined) return /^GitHub Actions \d+$/.test(runner) ? "hosted" : "other";
  const wanted = labels.map((label) => label.toLowerCase());
  const isOwn = Object.values(settings.pools).some((pool) =>
    ["self-hosted", ...pool.labels].every((label) => wanted.includes(label.toLowerCase())),
  );
  if (isOwn) return "own";
  return wanted.includes("self-hosted") ? "other" : "hosted";
}

function costStatus(reading: Reading, { usdPerEur }: StatusOptions): CostStatus | null {
  const { servers, rates, readAt, settings, jobs } = reading;
  if (servers === undefined || rates === undefined) return null;
  const budget = settings.budget.monthlyEur;
  const from = monthStart(readAt);
  const billed: readonly BilledServer[] = servers;
  const monthly = monthlyAmount(billed, rates);
  const owner = runnerOwner(reading);
  const finished = (jobs?.jobs ?? []).flatMap((job) => {
    const { startedAt, completedAt } = job;
    return hostOfJob(job, owner) !== undefined &&
      startedAt !== undefined &&
      completedAt !== undefined
      ? [{ private: job.private, startedAt, completedAt }]
      : [];
  });
  return {
    currency: rates.currency,
    soFar: bill(billed, rates, from, readAt),
    byMonthEnd: bill(billed, rates, from, nextMonth(readAt)).net,
    monthly: formatAmount(monthly),
    budget: budget === undefined ? null : formatBudget(budget),
    overBudget: budget !== undefined && monthly > parseAmount(formatBudget(budget)),
    breakEven:
      jobs === undefined ? null : breakEven(finished, billed, rates, jobs.from, readAt, usdPerEur),
  };
}
