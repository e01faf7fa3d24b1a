import { hostedLabels, runHosted, type Running } from "./hosted";
import { iso } from "./http";
import type { Repository, Runner } from "./model";
import { jobInWorkflow, parseRunsOn, type RunsOn } from "./runsOn";
import type { World } from "./world";

interface Work {
  /** What the job does, in bash. */
  readonly script?: string;
  /** Instead of a script: the job only takes this long. */
  readonly durationMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Names of secrets to put into the environment; one that does not reach the repository is empty, as on GitHub. */
  readonly secrets?: readonly string[];
  /** Default: 6 hours. */
  readonly timeoutSeconds?: number;
}

/** A job to run: described here, or a job of a workflow file in the repository's default branch. */
export type JobRequest = Work & {
  /** `owner/name` */
  readonly repository: string;
} & (
    | {
        readonly name: string;
        readonly runsOn:
          | string
          | readonly string[]
          | { readonly group?: string; readonly labels?: string | readonly string[] };
      }
    | {
        /** Path of the workflow file. */
        readonly workflow: string;
        /** Key below `jobs`. */
        readonly job: string;
      }
  );

/** A job as it is at the moment of asking. Times are milliseconds since the epoch. */
export interface Job {
  readonly id: number;
  readonly runId: number;
  readonly repository: string;
  readonly name: string;
  readonly workflow: string | null;
  readonly labels: readonly string[];
  readonly group: string | null;
  readonly status: "queued" | "in_progress" | "completed";
  readonly conclusion: "success" | "failure" | "cancelled" | null;
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
  /** With the values of the secrets that the job got masked. */
  readonly log: string;
}

/** What a self-hosted runner is told. */
export interface JobMessage {
  readonly job_id: string;
  readonly name: string;
  readonly run_id: number;
  readonly repository: string;
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeout_seconds: number;
  readonly masks: readonly string[];
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
  readonly repository: Repository;
  readonly runsOn: RunsOn;
  readonly work: Work;
  rawLog: string;
  /** Secret values that the job may have got. */
  masks: readonly string[];
  runner: Runner | undefined;
  lastHeartbeat: number;
  /** The runner has shown that it got the job. */
  acknowledged: boolean;
  cancelledAt: number | undefined;
  hosted: Running | undefined;
  readonly waiters: Set<() => void>;
}

const day = 86_400_000;
const forcedCancel = 300_000;

/** The queue: assigns each job to an idle runner that may and can take it, or runs it as a hosted runner would. */
export class Jobs {
  private readonly entries = new Map<number, Entry>();
  private readonly offers = new Map<number, (message: JobMessage) => void>();
  private readonly watchdog: NodeJS.Timeout;
  private runNumber = 0;
  private closed = false;

  constructor(
    private readonly world: World,
    private readonly hostedConcurrency: number,
    private readonly times: JobTimes,
  ) {
    this.watchdog = setInterval(() => this.sweep(), 250);
    this.watchdog.unref();
  }

  /** Throws when the request names something that does not exist, or runs on something that cannot be had here. */
  enqueue(request: JobRequest): Job {
    const repository = this.world.repository(request.repository);
    if (repository === undefined)
      throw new Error(`Repository "${request.repository}" does not exist.`);
    if (request.script !== undefined && request.durationMs !== undefined)
      throw new Error("A job has a script or a duration, not both.");
    if (!this.enabled(repository))
      throw new Error(`GitHub Actions is disabled for ${request.repository}.`);
    const head = repository.git.resolve(repository.defaultBranch);
    let name: string;
    let runsOn: RunsOn;
    let workflow: string | null = null;
    if ("workflow" in request) {
      workflow = request.workflow;
      const entry =
        head === undefined ? undefined : repository.git.entry(head.tree, request.workflow);
      const text = entry === undefined ? undefined : repository.git.blob(entry.sha)?.toString();
      if (text === undefined)
        throw new Error(
          `"${request.workflow}" is not in ${request.repository}@${repository.defaultBranch}.`,
        );
      const vars = Object.fromEntries(
        [...this.world.variablesFor(repository)].map(([key, variable]) => [key, variable.value]),
      );
      const github = {
        repository: request.repository,
        repository_owner: repository.owner.login,
        ref: `refs/heads/${repository.defaultBranch}`,
        ref_name: repository.defaultBranch,
        sha: head?.sha ?? "",
        event_name: "workflow_dispatch",
        event: {
          repository: { default_branch: repository.defaultBranch, private: repository.private },
        },
      };
      ({ name, runsOn } = jobInWorkflow(text, request.job, { vars, github }));
    } else {
      name = request.name;
      runsOn = parseRunsOn(request.runsOn);
    }
    const foreign = runsOn.labels.find((label) => /^(windows|macos)-/i.test(label));
    if (foreign !== undefined)
      throw new Error(`The local cloud has no hosted runner "${foreign}", only Linux ones.`);
    const id = 10_000_000 + this.world.id();
    const entry: Entry = {
      job: {
        id,
        runId: 20_000_000 + this.world.id(),
        repository: `${repository.owner.login}/${repository.name}`,
        name,
        workflow,
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
        headSha: head?.sha ?? "",
        headBranch: repository.defaultBranch,
        log: "",
      },
      repository,
      runsOn,
      work: request,
      rawLog: "",
      masks: [],
      runner: undefined,
      lastHeartbeat: 0,
      acknowledged: false,
      cancelledAt: undefined,
      hosted: undefined,
      waiters: new Set(),
    };
    this.entries.set(id, entry);
    this.dispatch();
    return this.view(entry);
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
              `Job ${id} "${entry.job.name}" is still ${entry.job.status} after ${timeoutMs} ms (runs on ${JSON.stringify(entry.runsOn)}, runner ${entry.job.runner ?? "none"}).`,
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

  finish(id: number, result: "succeeded" | "failed" | "cancelled"): void {
    const entry = this.assigned(id);
    if (entry === undefined) return;
    this.alive(entry);
    const conclusions = {
      succeeded: "success",
      failed: "failure",
      cancelled: "cancelled",
    } as const;
    this.complete(entry, conclusions[result]);
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
      const architecture = this.hostedArchitecture(entry.runsOn);
      if (architecture !== undefined) {
        if (this.hostedRunning() < this.hostedConcurrency) this.startHosted(entry, architecture);
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
        offer(this.message(entry, runner));
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

  private enabled(repository: Repository): boolean {
    const organization = this.world.organization(repository.owner.login);
    if (organization === undefined) return repository.actions.enabled;
    const { enabled, repositories } = organization.actions;
    return (
      repository.actions.enabled &&
      (enabled === "all" || (enabled === "selected" && repositories.has(repository.id)))
    );
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
    const { repository, runsOn } = entry;
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
    return !group.restrictedToWorkflows || this.inSelectedWorkflows(entry, group.selectedWorkflows);
  }

  /** Entries look like `owner/repo/.github/workflows/x.yml@ref`; the ref is a branch, a full ref name or a commit. */
  private inSelectedWorkflows({ job }: Entry, selected: readonly string[]): boolean {
    if (job.workflow === null) return false;
    const refs = [job.headBranch, `refs/heads/${job.headBranch}`, job.headSha];
    const names = refs.map((ref) => `${job.repository}/${job.workflow}@${ref}`.toLowerCase());
    return selected.some((one) => names.includes(one.toLowerCase()));
  }

  private start(entry: Entry, by: Pick<Job, "runner" | "runnerId" | "runnerKind">): void {
    entry.job = { ...entry.job, ...by, status: "in_progress", startedAt: this.world.now() };
    entry.masks = [...this.world.secretsFor(entry.repository).values()]
      .map((secret) => secret.value)
      .filter((value) => value !== "");
    this.runNumber += 1;
  }

  private startHosted(entry: Entry, architecture: "X64" | "ARM64"): void {
    this.start(entry, { runner: "hosted", runnerId: null, runnerKind: "hosted" });
    entry.hosted = runHosted({
      script: this.script(entry.work),
      env: this.environment(entry, {
        RUNNER_NAME: `GitHub Actions ${entry.job.id}`,
        RUNNER_ARCH: architecture,
        RUNNER_ENVIRONMENT: "github-hosted",
      }),
      timeoutMs: this.timeoutMs(entry.work),
      onLog: (text) => (entry.rawLog += text),
    });
    entry.hosted.done.then(
      (ending) => {
        if ("exitCode" in ending)
          this.complete(entry, ending.exitCode === 0 ? "success" : "failure");
        else {
          if (ending.stopped === "timeout") this.sayTimeout(entry);
          this.complete(entry, "cancelled");
        }
      },
      (error: unknown) => {
        entry.rawLog += `##[error]${error instanceof Error ? error.message : String(error)}\n`;
        this.complete(entry, "failure");
      },
    );
  }

  private message(entry: Entry, runner: Runner): JobMessage {
    const { job, work } = entry;
    return {
      job_id: String(job.id),
      name: job.name,
      run_id: job.runId,
      repository: job.repository,
      script: this.script(work),
      env: this.environment(entry, {
        RUNNER_NAME: runner.name,
        ...(runner.architecture !== undefined && { RUNNER_ARCH: runner.architecture }),
        RUNNER_ENVIRONMENT: "self-hosted",
      }),
      timeout_seconds: this.timeoutMs(work) / 1000,
      masks: entry.masks,
    };
  }

  private script({ script, durationMs }: Work): string {
    return script ?? `sleep ${(durationMs ?? 0) / 1000}\n`;
  }

  private timeoutMs(work: Work): number {
    return (work.timeoutSeconds ?? 6 * 3600) * 1000;
  }

  private environment(entry: Entry, runner: Record<string, string>): Record<string, string> {
    const { job, work, repository } = entry;
    const secrets = this.world.secretsFor(repository);
    return {
      CI: "true",
      GITHUB_ACTIONS: "true",
      GITHUB_ACTOR: repository.owner.login,
      GITHUB_API_URL: "https://api.github.com",
      GITHUB_EVENT_NAME: "workflow_dispatch",
      GITHUB_JOB: job.name,
      GITHUB_REF: `refs/heads/${job.headBranch}`,
      GITHUB_REF_NAME: job.headBranch,
      GITHUB_REF_TYPE: "branch",
      GITHUB_REPOSITORY: job.repository,
      GITHUB_REPOSITORY_ID: String(repository.id),
      GITHUB_REPOSITORY_OWNER: repository.owner.login,
      GITHUB_RUN_ATTEMPT: "1",
      GITHUB_RUN_ID: String(job.runId),
      GITHUB_RUN_NUMBER: String(this.runNumber),
      GITHUB_SERVER_URL: "https://github.com",
      GITHUB_SHA: job.headSha,
      GITHUB_WORKFLOW: job.workflow ?? job.name,
      RUNNER_OS: "Linux",
      ...runner,
      ...Object.fromEntries(
        (work.secrets ?? []).map((name) => [name, secrets.get(name.toUpperCase())?.value ?? ""]),
      ),
      ...work.env,
    };
  }

  private sayTimeout(entry: Entry): void {
    entry.rawLog += `##[error]The job has exceeded the maximum execution time of ${this.timeoutMs(entry.work) / 1000}s\n`;
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
    for (const waiter of entry.waiters) waiter();
    entry.waiters.clear();
    this.dispatch();
  }

  /** The runner of a job is gone. A job that it never began goes back to the queue. */
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
      if (job.status !== "in_progress" || job.runnerKind !== "self-hosted") continue;
      if (now - entry.lastHeartbeat > this.times.heartbeatTimeoutMs) this.lose(entry);
      else if (entry.cancelledAt !== undefined) {
        if (now - entry.cancelledAt > forcedCancel) this.complete(entry, "cancelled");
      } else if (now - (job.startedAt ?? now) > this.timeoutMs(entry.work)) {
        this.sayTimeout(entry);
        entry.cancelledAt = now;
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
