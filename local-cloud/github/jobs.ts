import { hostedLabels } from "./hosted";
import type { HostedRunners } from "./hostedRunners";
import { iso } from "./http";
import type { Repository, Runner } from "./model";
import type { RunsOn } from "./runsOn";
import type { StepDefinition } from "./workflows/file";
import type { Value } from "./expressions";
import type { World } from "./world";

export type Conclusion = "success" | "failure" | "cancelled" | "skipped";

/** A step as the REST API shows it. */
export interface JobStep {
  readonly number: number;
  readonly name: string;
  readonly status: "queued" | "in_progress" | "completed";
  readonly conclusion: Conclusion | null;
  /** ISO 8601. */
  readonly started_at: string | null;
  readonly completed_at: string | null;
}

/** How a runner says that a job ended. */
export interface JobResult {
  readonly result: "succeeded" | "failed" | "cancelled";
  readonly exitCode: number;
  readonly outputs: Readonly<Record<string, string>>;
  readonly steps: readonly JobStep[];
}

/** A job as it is at the moment of asking. Times are milliseconds since the epoch. */
export interface Job {
  readonly id: number;
  readonly runId: number;
  /** Which attempt of the run it belongs to; the first is 1. */
  readonly attempt: number;
  /** Key below `jobs`, after the keys of the jobs that called its workflow: `call/build`. */
  readonly key: string;
  readonly repository: string;
  readonly name: string;
  readonly workflow: string | null;
  readonly labels: readonly string[];
  readonly group: string | null;
  readonly status: "queued" | "in_progress" | "completed";
  readonly conclusion: Conclusion | null;
  readonly queuedAt: number;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  /** Name of the self-hosted runner, or "hosted". */
  readonly runner: string | null;
  readonly runnerId: number | null;
  readonly runnerKind: "hosted" | "self-hosted" | null;
  readonly runnerGroup: { readonly id: number; readonly name: string } | null;
  readonly headSha: string;
  readonly headBranch: string;
  /** Of a workflow's job; a script has none. */
  readonly steps: readonly JobStep[];
  readonly hasSteps: boolean;
  readonly outputs: Readonly<Record<string, string>>;
  /** With the values of the secrets that the job got masked. */
  readonly log: string;
}

/** What a job of a workflow is made of. Nothing of it is evaluated yet except the contexts. */
export interface JobDefinition {
  /** Key below `jobs`. */
  readonly id: string;
  /** The workflow's `env`, then the job's: later ones win. */
  readonly env: readonly Readonly<Record<string, string>>[];
  readonly defaults?: { readonly run: Readonly<Record<string, string>> };
  readonly outputs: Readonly<Record<string, string>>;
  /** Values of the expression contexts that do not depend on the runner. */
  readonly contexts: Readonly<
    Record<
      "github" | "vars" | "secrets" | "needs" | "strategy" | "matrix" | "inputs",
      Readonly<Record<string, Value>>
    >
  >;
}

/** What a runner is told. A job is either one `script` or `steps` with the `job` that they belong to. */
export interface JobMessage {
  readonly job_id: string;
  readonly name: string;
  readonly run_id: number;
  readonly repository: string;
  readonly script?: string;
  readonly steps?: readonly StepDefinition[];
  readonly job?: JobDefinition;
  readonly env: Readonly<Record<string, string>>;
  readonly timeout_seconds: number;
  readonly masks: readonly string[];
}

/** What a job turns out to be once a runner takes it. */
export type Prepared = Pick<JobMessage, "script" | "steps" | "job" | "env" | "masks">;

/** A job for the queue. */
export interface JobSpec {
  readonly runId: number;
  readonly attempt: number;
  readonly key: string;
  readonly name: string;
  readonly repository: Repository;
  /** Path of the workflow file, if it comes from one. */
  readonly workflow: string | null;
  /** `owner/repo/path@ref` in every form that a runner group may name it by. */
  readonly workflowRefs: readonly string[];
  readonly runsOn: RunsOn;
  readonly headSha: string;
  readonly headBranch: string;
  readonly timeoutSeconds: number;
  /** Called when a runner takes the job. */
  prepare(id: number): Prepared;
  /** Called once, when the job is completed. */
  ended?(job: Job): void;
}

/** How GitHub behaves where it is known to behave in more than one way. */
export interface JobFaults {
  /**
   * What becomes of a job whose runner is gone before it took the job up: GitHub offers it to the next runner, as a rule,
   * and reports now and then that no runner acquired it.
   */
  readonly unacquired: "requeue" | "fail";
  /**
   * Whether a busy runner can be deleted for as long as `busy` lags, as users of the API report; its job is lost then. The
   * documented answer is 422.
   */
  readonly deleteDuringLag: boolean;
}

/** Times that the queue works by, in milliseconds. */
export interface JobTimes {
  /** A running job whose runner has not been heard of for this long has failed; an idle runner is offline. */
  readonly heartbeatTimeoutMs: number;
  /** How late `busy` in the REST view follows the truth. */
  readonly busyLagMs: number;
  /** How long a poll for work is held. */
  readonly pollMs: number;
}

interface Entry {
  job: Job;
  readonly spec: JobSpec;
  rawLog: string;
  /** Secret values that the job may have got. */
  masks: readonly string[];
  runner: Runner | undefined;
  lastHeartbeat: number;
  /** The runner has shown that it got the job. */
  acknowledged: boolean;
  cancelledAt: number | undefined;
  timedOut: boolean;
  hosted: ReturnType<HostedRunners["start"]> | undefined;
  readonly waiters: Set<() => void>;
}

const day = 86_400_000;
const forcedCancel = 300_000;

/** The queue: assigns each job to an idle runner that may and can take it, or runs it as a hosted runner would. */
export class Jobs {
  private readonly entries = new Map<number, Entry>();
  private readonly offers = new Map<number, (message: JobMessage) => void>();
  private readonly watchdog: NodeJS.Timeout;
  private closed = false;

  constructor(
    private readonly world: World,
    private readonly hosted: { readonly concurrency: number; readonly runners: HostedRunners },
    private readonly times: JobTimes,
    private readonly faults: JobFaults,
  ) {
    this.watchdog = setInterval(() => this.sweep(), 250);
    this.watchdog.unref();
  }

  /** Puts a job into the queue. */
  add(spec: JobSpec): Job {
    const entry = this.newEntry(spec);
    this.dispatch();
    return this.view(entry);
  }

  /** Records a job that never comes to a runner, or a copy of one that did in an earlier attempt. */
  record(
    spec: Omit<JobSpec, "runsOn" | "timeoutSeconds" | "prepare" | "workflowRefs" | "ended">,
    how: { readonly conclusion: Conclusion; readonly log?: string } | { readonly copyOf: Job },
  ): Job {
    const entry = this.newEntry({
      ...spec,
      runsOn: { group: undefined, labels: [] },
      timeoutSeconds: 0,
      workflowRefs: [],
      prepare: () => {
        throw new Error("The job was never to run.");
      },
    });
    const now = this.world.now();
    if ("copyOf" in how) {
      const { id, attempt, runId } = entry.job;
      entry.job = { ...how.copyOf, id, attempt, runId };
      entry.rawLog = how.copyOf.log;
    } else {
      const { conclusion, log = "" } = how;
      entry.job = { ...entry.job, status: "completed", conclusion, completedAt: now };
      entry.rawLog = log;
    }
    return this.view(entry);
  }

  private newEntry(spec: JobSpec): Entry {
    const { repository, runsOn } = spec;
    const id = 10_000_000 + this.world.id();
    const entry: Entry = {
      job: {
        id,
        runId: spec.runId,
        attempt: spec.attempt,
        key: spec.key,
        repository: `${repository.owner.login}/${repository.name}`,
        name: spec.name,
        workflow: spec.workflow,
        labels: runsOn.labels,
        group: runsOn.group ?? null,
        status: "queued",
        conclusion: null,
        queuedAt: this.world.now(),
        startedAt: null,
        completedAt: null,
        runner: null,
        runnerId: null,
        runnerKind: null,
        runnerGroup: null,
        headSha: spec.headSha,
        headBranch: spec.headBranch,
        steps: [],
        hasSteps: false,
        outputs: {},
        log: "",
      },
      spec,
      rawLog: "",
      masks: [],
      runner: undefined,
      lastHeartbeat: 0,
      acknowledged: false,
      cancelledAt: undefined,
      timedOut: false,
      hosted: undefined,
      waiters: new Set(),
    };
    this.entries.set(id, entry);
    return entry;
  }

  find(id: number): Job | undefined {
    const entry = this.entries.get(id);
    return entry === undefined ? undefined : this.view(entry);
  }

  /** Throws for an unknown id. */
  get(id: number): Job {
    return this.view(this.entry(id));
  }

  /** Oldest first. */
  list(): Job[] {
    return [...this.entries.values()].map((entry) => this.view(entry));
  }

  /** The job once it is completed. Rejects after `timeoutMs`, saying how far it got. */
  async wait(id: number, timeoutMs: number): Promise<Job> {
    const entry = this.entry(id);
    if (entry.job.status !== "completed") {
      await new Promise<void>((resolve, reject) => {
        const waiter = (): void => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          entry.waiters.delete(waiter);
          reject(
            new Error(
              `Job ${id} "${entry.job.name}" is still ${entry.job.status} after ${timeoutMs} ms (runs on ${JSON.stringify(entry.spec.runsOn)}, runner ${entry.job.runner ?? "none"}).`,
            ),
          );
        }, timeoutMs);
        entry.waiters.add(waiter);
      });
    }
    return this.view(entry);
  }

  /** A queued job ends at once, a running one is told to stop. Does nothing to a completed one. */
  cancel(id: number): void {
    const entry = this.entry(id);
    if (entry.job.status === "queued") this.complete(entry, "cancelled");
    else if (entry.job.status === "in_progress") {
      entry.cancelledAt ??= this.world.now();
      entry.hosted?.stop();
    }
  }

  isOnline(runner: Runner): boolean {
    const { session } = runner;
    if (session === undefined) return false;
    return (
      this.offers.has(runner.id) ||
      this.world.now() - session.lastSeen < this.times.heartbeatTimeoutMs
    );
  }

  /** `busy` as the REST API shows it, which lags. */
  isBusy(runner: Runner): boolean {
    const settled = this.world.now() - runner.jobChangedAt >= this.times.busyLagMs;
    return settled ? runner.job !== undefined : runner.wasBusy;
  }

  /** Whether GitHub refuses to delete the runner because of its job. */
  keepsRunner(runner: Runner): boolean {
    return this.faults.deleteDuringLag ? this.isBusy(runner) : runner.job !== undefined;
  }

  /** A runner asks for work: a job, or undefined when there was none while the poll was held or the runner's session ended. */
  async poll(runner: Runner, signal: AbortSignal): Promise<JobMessage | undefined> {
    const { session } = runner;
    if (session === undefined) return undefined;
    session.lastSeen = this.world.now();
    session.wake?.();
    return new Promise<JobMessage | undefined>((resolve) => {
      const end = (message?: JobMessage): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", none);
        if (this.offers.get(runner.id) === end) this.offers.delete(runner.id);
        session.wake = undefined;
        session.lastSeen = this.world.now();
        resolve(message);
      };
      const none = (): void => end();
      const timer = setTimeout(none, this.times.pollMs);
      session.wake = none;
      signal.addEventListener("abort", none);
      if (signal.aborted) {
        end();
        return;
      }
      this.offers.set(runner.id, end);
      this.dispatch();
    });
  }

  /** The runner's job, if it is running this one. */
  private assigned(id: number): Entry | undefined {
    const entry = this.entries.get(id);
    return entry?.job.status === "in_progress" && entry.runner !== undefined ? entry : undefined;
  }

  /** The runner that has the job, or undefined when nobody runs it (any more). */
  runnerOf(id: number): Runner | undefined {
    return this.assigned(id)?.runner;
  }

  log(id: number, text: string): void {
    const entry = this.assigned(id);
    if (entry === undefined) return;
    this.alive(entry);
    entry.rawLog += text;
  }

  /** True when the runner has to stop the job. */
  heartbeat(id: number): boolean {
    const entry = this.assigned(id);
    if (entry === undefined) return true;
    this.alive(entry);
    return entry.cancelledAt !== undefined;
  }

  /** The steps of a running job as far as they have come. */
  progress(id: number, steps: readonly JobStep[]): void {
    const entry = this.assigned(id);
    if (entry !== undefined) entry.job = { ...entry.job, steps };
  }

  finish(id: number, result: JobResult): void {
    const entry = this.assigned(id);
    if (entry === undefined) return;
    this.alive(entry);
    this.end(entry, result);
  }

  private end(entry: Entry, { result, outputs, steps }: JobResult): void {
    if (entry.job.status === "completed") return;
    entry.job = { ...entry.job, outputs, steps };
    const conclusions = {
      succeeded: "success",
      failed: "failure",
      cancelled: "cancelled",
    } as const;
    // A job that was out of time is cancelled, whatever its runner made of that.
    this.complete(entry, entry.timedOut ? "cancelled" : conclusions[result]);
  }

  /** A runner was removed or replaced: its held poll ends and its job, if any, has failed. */
  abandon(runner: Runner): void {
    const entry = runner.job === undefined ? undefined : this.entries.get(runner.job);
    runner.session?.wake?.();
    runner.session = undefined;
    if (entry !== undefined) this.lose(entry);
  }

  /** Tries to serve every queued job, oldest first. */
  dispatch(): void {
    if (this.closed) return;
    for (const entry of this.entries.values()) {
      if (entry.job.status !== "queued") continue;
      const architecture = this.hostedArchitecture(entry.spec.runsOn);
      if (architecture !== undefined) {
        if (this.hostedRunning() < this.hosted.concurrency) this.startHosted(entry, architecture);
        continue;
      }
      for (const [id, offer] of this.offers) {
        const runner = this.world.runners.get(id);
        if (runner === undefined || runner.job !== undefined || !this.mayTake(entry, runner))
          continue;
        this.start(entry, { runner: runner.name, runnerId: runner.id, runnerKind: "self-hosted" });
        entry.runner = runner;
        entry.lastHeartbeat = this.world.now();
        entry.acknowledged = false;
        const group = this.world.groupOf(runner);
        entry.job = {
          ...entry.job,
          runnerGroup: { id: runner.groupId, name: group?.name ?? "Default" },
        };
        this.setJob(runner, entry.job.id);
        offer(
          this.message(entry, {
            RUNNER_NAME: runner.name,
            ...(runner.architecture !== undefined && { RUNNER_ARCH: runner.architecture }),
            RUNNER_ENVIRONMENT: "self-hosted",
          }),
        );
        break;
      }
    }
  }

  /** Stops what runs and wakes who waits. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.watchdog);
    for (const runner of this.world.runners.values()) runner.session?.wake?.();
    const running = [...this.entries.values()].flatMap(({ hosted }) => hosted ?? []);
    for (const one of running) one.stop();
    await Promise.allSettled(running.map((one) => one.done));
    for (const entry of this.entries.values())
      if (entry.job.status !== "completed") this.complete(entry, "cancelled");
  }

  private entry(id: number): Entry {
    const entry = this.entries.get(id);
    if (entry === undefined) throw new Error(`There is no job ${id}.`);
    return entry;
  }

  private hostedArchitecture(runsOn: RunsOn): "X64" | "ARM64" | undefined {
    const [label = ""] = runsOn.labels;
    return runsOn.group === undefined && runsOn.labels.length === 1
      ? hostedLabels.get(label.toLowerCase())
      : undefined;
  }

  private hostedRunning(): number {
    return [...this.entries.values()].filter(
      ({ job }) => job.status === "in_progress" && job.runnerKind === "hosted",
    ).length;
  }

  /** Labels, group, and who may use the group. */
  private mayTake(entry: Entry, runner: Runner): boolean {
    const { repository, runsOn } = entry.spec;
    if (runner.scope.owner.id !== repository.owner.id) return false;
    const had = new Set(runner.labels.map((label) => label.toLowerCase()));
    if (!runsOn.labels.every((label) => had.has(label.toLowerCase()))) return false;
    const wanted = runsOn.group?.toLowerCase().replace(/^org(anization)?\//, "");
    if (runner.scope.repository !== undefined)
      return (
        runner.scope.repository.id === repository.id &&
        (wanted === undefined || wanted === "default")
      );
    const group = this.world.groupOf(runner);
    if (group === undefined) return false;
    if (wanted !== undefined && group.name.toLowerCase() !== wanted) return false;
    if (!repository.private && !group.allowsPublicRepositories) return false;
    if (group.visibility === "private" && !repository.private) return false;
    if (group.visibility === "selected" && !group.repositories.has(repository.id)) return false;
    if (!group.restrictedToWorkflows) return true;
    const refs = entry.spec.workflowRefs.map((ref) => ref.toLowerCase());
    return group.selectedWorkflows.some((one) => refs.includes(one.toLowerCase()));
  }

  private start(entry: Entry, by: Pick<Job, "runner" | "runnerId" | "runnerKind">): void {
    entry.job = { ...entry.job, ...by, status: "in_progress", startedAt: this.world.now() };
  }

  private startHosted(entry: Entry, architecture: "X64" | "ARM64"): void {
    this.start(entry, { runner: "hosted", runnerId: null, runnerKind: "hosted" });
    const hosted = this.hosted.runners.start({
      arch: architecture,
      message: this.message(entry, {
        RUNNER_NAME: `GitHub Actions ${entry.job.id}`,
        RUNNER_ARCH: architecture,
        RUNNER_ENVIRONMENT: "github-hosted",
      }),
      label: entry.spec.runsOn.labels[0] ?? "",
      onLog: (text) => (entry.rawLog += text),
      onSteps: (steps) => {
        if (entry.job.status === "in_progress") entry.job = { ...entry.job, steps };
      },
    });
    entry.hosted = hosted;
    hosted.done.then(
      (result) => this.end(entry, result),
      (error: unknown) => {
        entry.rawLog += `##[error]${error instanceof Error ? error.message : String(error)}\n`;
        this.complete(entry, "failure");
      },
    );
  }

  private message(entry: Entry, runner: Readonly<Record<string, string>>): JobMessage {
    const { job, spec } = entry;
    const { env, masks, ...work } = spec.prepare(job.id);
    entry.masks = masks;
    entry.job = { ...entry.job, hasSteps: work.steps !== undefined };
    return {
      job_id: String(job.id),
      name: job.name,
      run_id: job.runId,
      repository: job.repository,
      ...work,
      env: { RUNNER_OS: "Linux", ...runner, ...env },
      timeout_seconds: spec.timeoutSeconds,
      masks,
    };
  }

  private sayTimeout(entry: Entry): void {
    entry.rawLog += `##[error]The job has exceeded the maximum execution time of ${entry.spec.timeoutSeconds}s\n`;
  }

  private alive(entry: Entry): void {
    entry.acknowledged = true;
    entry.lastHeartbeat = this.world.now();
    if (entry.runner?.session !== undefined) entry.runner.session.lastSeen = entry.lastHeartbeat;
  }

  private setJob(runner: Runner, job: number | undefined): void {
    runner.wasBusy = runner.job !== undefined;
    runner.job = job;
    runner.jobChangedAt = this.world.now();
  }

  private complete(entry: Entry, conclusion: NonNullable<Job["conclusion"]>): void {
    if (entry.job.status === "completed") return;
    entry.job = { ...entry.job, status: "completed", conclusion, completedAt: this.world.now() };
    entry.hosted = undefined;
    const { runner } = entry;
    entry.runner = undefined;
    if (runner !== undefined) {
      this.setJob(runner, undefined);
      runner.lastOnline = this.world.now();
      if (runner.ephemeral && this.world.runners.get(runner.id) === runner) {
        this.world.runners.delete(runner.id);
        runner.session?.wake?.();
        runner.session = undefined;
      }
    }
    entry.spec.ended?.(this.view(entry));
    for (const waiter of entry.waiters) waiter();
    entry.waiters.clear();
    this.dispatch();
  }

  /** The runner of a job is gone. A job that it never took up goes back to the queue, or has failed. */
  private lose(entry: Entry): void {
    const { runner } = entry;
    if (runner !== undefined) {
      runner.session?.wake?.();
      runner.session = undefined;
    }
    if (entry.acknowledged) {
      entry.rawLog += `##[error]The self-hosted runner lost communication with the server. Verify the machine is running and has a healthy network connection.\n`;
      this.complete(entry, "failure");
      return;
    }
    if (this.faults.unacquired === "fail") {
      entry.rawLog += `##[error]The job was not acquired by Runner of type self-hosted even after multiple attempts\n`;
      this.complete(entry, "failure");
      return;
    }
    if (runner !== undefined) this.setJob(runner, undefined);
    entry.runner = undefined;
    entry.job = {
      ...entry.job,
      status: "queued",
      startedAt: null,
      runner: null,
      runnerId: null,
      runnerKind: null,
      runnerGroup: null,
    };
    this.dispatch();
  }

  private sweep(): void {
    const now = this.world.now();
    for (const runner of this.world.runners.values())
      if (this.isOnline(runner)) runner.lastOnline = now;
    for (const entry of this.entries.values()) {
      const { job } = entry;
      if (job.status === "queued" && now - job.queuedAt > day) {
        entry.rawLog += `##[error]The job was not acquired by a runner within 24 hours.\n`;
        this.complete(entry, "failure");
      }
      if (job.status !== "in_progress") continue;
      const selfHosted = job.runnerKind === "self-hosted";
      if (selfHosted && now - entry.lastHeartbeat > this.times.heartbeatTimeoutMs) this.lose(entry);
      else if (entry.cancelledAt !== undefined) {
        if (now - entry.cancelledAt > forcedCancel) this.complete(entry, "cancelled");
      } else if (now - (job.startedAt ?? now) > entry.spec.timeoutSeconds * 1000) {
        this.sayTimeout(entry);
        entry.timedOut = true;
        entry.cancelledAt = now;
        entry.hosted?.stop();
      }
    }
  }

  private view(entry: Entry): Job {
    let log = entry.rawLog;
    for (const mask of entry.masks) log = log.replaceAll(mask, "***");
    return { ...entry.job, log };
  }
}

/** Times of a job as the REST API prints them. */
export function jobTimes(job: Job) {
  return {
    created_at: iso(job.queuedAt),
    started_at: iso(job.startedAt ?? job.queuedAt),
    completed_at: job.completedAt === null ? null : iso(job.completedAt),
  };
}
