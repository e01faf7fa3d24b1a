import { evaluateIn, ExpressionError, toText, type Value } from "../expressions";
import type { Job, Jobs } from "../jobs";
import type { Repository } from "../model";
import { parseRunsOn, type RunsOn } from "../runsOn";
import { fullName } from "../views";
import type { Pusher, RepositoryEvent, World } from "../world";
import {
  type Attempt,
  Attempts,
  checkLabels,
  defaultTimeoutMinutes,
  last,
  newAttempt,
  type Run,
  type RunConclusion,
} from "./attempts";
import { githubContext, runEnvironment, secretsOf, variablesOf } from "./context";
import { parseWorkflowFile, WorkflowError, type WorkflowFile } from "./file";
import { pullRequestStarts, pushStarts, skipsRuns } from "./filters";
import { instancesOf } from "./graph";
import {
  dispatchTrigger,
  fileAt,
  pullTrigger,
  pushTrigger,
  refNames,
  type Trigger,
} from "./triggers";

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

/** A job to run by itself: described here, or standing in for a job of a workflow file in the repository's default branch. */
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

export type RunStatus = "queued" | "pending" | "in_progress" | "completed";

/** One attempt of a run as it is at the moment of asking. Times are milliseconds since the epoch. */
export interface RunAttempt {
  readonly number: number;
  /** Login of who started it. */
  readonly triggeringActor: string;
  readonly status: RunStatus;
  readonly conclusion: RunConclusion | null;
  readonly startedAt: number;
  readonly completedAt: number | null;
  /** Why it could not start, or could not go on; GitHub shows this on the run's page. */
  readonly error: string | undefined;
  readonly jobs: readonly Job[];
}

/** A workflow run as it is at the moment of asking, with its last attempt. */
export interface WorkflowRun extends RunAttempt {
  readonly id: number;
  /** `owner/name` */
  readonly repository: string;
  readonly headRepository: string;
  /** Of the workflow file, or of a workflow that has none. */
  readonly path: string;
  readonly name: string;
  readonly displayTitle: string;
  readonly event: Trigger["event"];
  /** `GITHUB_REF` */
  readonly ref: string;
  /** `GITHUB_SHA`: for a pull request, the merge commit. */
  readonly sha: string;
  /** For a pull request, the tip of its branch. */
  readonly headSha: string;
  readonly headBranch: string;
  /** Numbers of the pull requests that it belongs to. */
  readonly pullRequests: readonly number[];
  /** Counts the runs of its workflow. */
  readonly number: number;
  readonly actor: string;
  readonly createdAt: number;
  readonly attempts: readonly RunAttempt[];
  /** The called workflows: `owner/repo/path@ref`, and the commit that the ref was. */
  readonly referencedWorkflows: readonly { readonly path: string; readonly sha: string }[];
}

const limits = { attempts: 50, days: 30 };

/** Starts workflows on events, and keeps their runs. */
export class WorkflowRuns {
  private readonly runs = new Map<number, Run>();
  private readonly attempts: Attempts;
  private readonly waiters = new Map<number, Set<() => void>>();
  private closed = false;

  constructor(
    private readonly world: World,
    private readonly jobs: Jobs,
    /** Without it runs start by hand only. */
    eventsStartRuns: boolean,
  ) {
    this.attempts = new Attempts(world, jobs, ({ id }) => {
      for (const waiter of this.waiters.get(id) ?? []) waiter();
      this.waiters.delete(id);
    });
    if (eventsStartRuns) world.onEvent = (event) => this.happened(event);
  }

  /** Newest first. */
  list(repository?: Repository): WorkflowRun[] {
    return [...this.runs.values()]
      .filter((run) => repository === undefined || run.trigger.repository === repository)
      .reverse()
      .map((run) => this.view(run));
  }

  find(id: number): WorkflowRun | undefined {
    const run = this.runs.get(id);
    return run === undefined ? undefined : this.view(run);
  }

  /** Throws for an unknown id. */
  get(id: number): WorkflowRun {
    return this.view(this.run(id));
  }

  /** The run once its last attempt is completed, or waits for approval. Rejects after `timeoutMs`, saying how far it got. */
  async wait(id: number, timeoutMs: number): Promise<WorkflowRun> {
    const run = this.run(id);
    if (last(run).completedAt === null && !run.awaitsApproval)
      await new Promise<void>((resolve, reject) => {
        const waiters = this.waiters.get(id) ?? new Set();
        this.waiters.set(id, waiters);
        const waiter = (): void => {
          clearTimeout(timer);
          resolve();
        };
        waiters.add(waiter);
        const timer = setTimeout(() => {
          waiters.delete(waiter);
          const { status, jobs } = this.view(run);
          const states = jobs.map(
            (job) =>
              `"${job.name}" ${job.conclusion ?? job.status} on ${job.runner ?? (job.labels.join(", ") || String(job.group))}`,
          );
          reject(
            new Error(
              `Run ${id} of ${run.path} is still ${status} after ${timeoutMs} ms: ${states.join("; ") || "no jobs yet"}.`,
            ),
          );
        }, timeoutMs);
      });
    return this.view(run);
  }

  /** One job without a workflow run of its own file. Throws when it names something that does not exist, or runs on something that cannot be had here. */
  enqueue(request: JobRequest): Job {
    const repository = this.world.repository(request.repository);
    if (repository === undefined)
      throw new Error(`Repository "${request.repository}" does not exist.`);
    if (request.script !== undefined && request.durationMs !== undefined)
      throw new Error("A job has a script or a duration, not both.");
    if (!this.enabled(repository))
      throw new Error(`GitHub Actions is disabled for ${request.repository}.`);
    const branch = repository.defaultBranch;
    const trigger = dispatchTrigger(this.world, repository, `refs/heads/${branch}`, {
      login: repository.owner.login,
      startsWorkflows: true,
    });
    let name: string;
    let runsOn: RunsOn;
    let workflow: string | null = null;
    const path = "workflow" in request ? request.workflow : "dynamic/local-cloud/job";
    const run = this.newRun(trigger, path, "local-cloud");
    if ("workflow" in request) {
      workflow = request.workflow;
      const text = fileAt(repository, trigger.sha, request.workflow);
      if (text === undefined)
        throw new Error(`"${request.workflow}" is not in ${request.repository}@${branch}.`);
      const file = parseWorkflowFile(request.workflow, text);
      const job = file.jobs.get(request.job);
      if (job === undefined)
        throw new ExpressionError(
          `The workflow has no job "${request.job}", only ${[...file.jobs.keys()].join(", ")}`,
        );
      const vars = variablesOf(this.world, trigger);
      const github = githubContext(
        this.world,
        run,
        newAttempt(run, trigger.actor, this.world.now()),
        file,
      );
      const contexts = { vars, github, inputs: {}, needs: {}, matrix: {}, strategy: {} };
      name = toText(evaluateIn(job.raw["name"] ?? job.key, contexts));
      runsOn = parseRunsOn(evaluateIn(job.raw["runs-on"], contexts));
      run.name = file.name;
    } else {
      name = request.name;
      runsOn = parseRunsOn(request.runsOn);
    }
    checkLabels(runsOn);
    run.displayTitle = name;
    this.register(run);
    const attempt = this.newAttempt(run, trigger.actor);
    const secrets = secretsOf(this.world, trigger);
    const given = (request.secrets ?? []).map((one): [string, string] => [
      one,
      secrets[one.toUpperCase()] ?? "",
    ]);
    const job = this.jobs.add({
      ...this.attempts.placed(attempt),
      key: "workflow" in request ? request.job : name,
      name,
      workflow,
      workflowRefs: workflow === null ? [] : refNames(repository, workflow, trigger),
      runsOn,
      timeoutSeconds: request.timeoutSeconds ?? defaultTimeoutMinutes * 60,
      prepare: () => ({
        script: request.script ?? `sleep ${(request.durationMs ?? 0) / 1000}\n`,
        env: {
          ...runEnvironment(run, attempt, workflow ?? name, name),
          ...Object.fromEntries(given),
          ...request.env,
        },
        masks: Object.values(secrets).filter((value) => value !== ""),
      }),
      ended: ({ conclusion }) => this.attempts.complete(attempt, conclusion ?? "failure"),
    });
    attempt.jobs.push(job.id);
    return this.jobs.get(job.id);
  }

  /** Starts a workflow by hand. Throws WorkflowError with what GitHub answers. */
  dispatch(
    repository: Repository,
    path: string,
    ref: string,
    inputs: Readonly<Record<string, Value>>,
    by: Pusher,
  ): WorkflowRun {
    const full = ["", "refs/heads/", "refs/tags/"]
      .map((prefix) => prefix + ref)
      .find((name) => /^refs\/(heads|tags)\//.test(name) && repository.git.refs.has(name));
    if (full === undefined) throw new WorkflowError(`No ref found for: ${ref}`);
    const trigger = dispatchTrigger(this.world, repository, full, by);
    const text = fileAt(repository, trigger.sha, path);
    if (text === undefined) throw new WorkflowError(`No workflow file ${path} at ${ref}`);
    const file = parseWorkflowFile(path, text);
    const config = file.events.workflow_dispatch;
    if (config === undefined)
      throw new WorkflowError("Workflow does not have 'workflow_dispatch' trigger");
    if (!this.enabled(repository))
      throw new WorkflowError(`Actions has been disabled for this repository.`);
    const defined = config.inputs ?? {};
    const unexpected = Object.keys(inputs).filter((name) => !(name in defined));
    if (unexpected.length > 0)
      throw new WorkflowError(`Unexpected inputs provided: ${JSON.stringify(unexpected)}`);
    const texts: Record<string, Value> = {};
    const typed: Record<string, Value> = {};
    for (const [name, input] of Object.entries(defined)) {
      const value = inputs[name] ?? input.default;
      if (inputs[name] === undefined && input.required === true && input.default === undefined)
        throw new WorkflowError(`Required input '${name}' not provided`);
      const asText = value === undefined ? "" : toText(value);
      const kind = input.type as string;
      if (kind === "choice" && !(input.options ?? []).includes(asText))
        throw new WorkflowError(
          `Provided value '${asText}' for input '${name}' not in the list of allowed values`,
        );
      if (kind === "boolean" && !["", "true", "false"].includes(asText))
        throw new WorkflowError(`Provided value '${asText}' for input '${name}' is not a boolean`);
      texts[name] = asText;
      typed[name] = kind === "boolean" ? asText === "true" : asText;
    }
    const payload = {
      ...trigger.payload,
      inputs: Object.keys(texts).length > 0 ? texts : null,
      ref: full,
      workflow: path,
    };
    const run = this.start({ ...trigger, payload, inputs: typed }, file);
    return this.view(run);
  }

  /** Tells a run to stop. A running job goes on if its `if` still holds, unless `force` is given. */
  cancel(id: number, force = false): void {
    const attempt = last(this.run(id));
    if (attempt.completedAt !== null) return;
    this.attempts.cancel(attempt, force);
  }

  /** Runs everything, what failed, or one job again, with what depends on it. Throws WorkflowError with what GitHub answers. */
  rerun(id: number, what: "all" | "failed" | { readonly job: number }, by: string): WorkflowRun {
    const run = this.run(id);
    const before = last(run);
    if (before.completedAt === null)
      throw new WorkflowError(
        typeof what === "object"
          ? "The workflow run containing this job is already running"
          : "This workflow is already running",
      );
    if (this.world.now() - run.createdAt > limits.days * 86_400_000)
      throw new WorkflowError(
        "Unable to re-run this workflow run because it was created over a month ago",
      );
    if (run.attempts.length > limits.attempts)
      throw new WorkflowError(`A workflow run can be re-run at most ${limits.attempts} times`);
    if (before.root === undefined)
      throw new WorkflowError(
        "This workflow run cannot be retried: it has no workflow file that starts",
      );
    const chosen = instancesOf(before.root).filter((instance) =>
      what === "all"
        ? true
        : what === "failed"
          ? instance.result === "failure" || instance.result === "cancelled"
          : instance.job?.id === what.job,
    );
    if (chosen.length === 0)
      throw new WorkflowError(
        what === "failed"
          ? "This workflow run has no failed jobs to re-run"
          : "The job is not of the run's last attempt",
      );
    const attempt = this.newAttempt(run, by);
    if (what === "all") this.attempts.load(attempt, before.root.file);
    else this.attempts.again(attempt, before.root, new Set(chosen));
    return this.view(run);
  }

  /** Lets a run start that waits for a maintainer. Throws WorkflowError when it does not wait. */
  approve(id: number): void {
    const run = this.run(id);
    if (!run.awaitsApproval)
      throw new WorkflowError("This workflow run does not need to be approved");
    run.awaitsApproval = false;
    this.attempts.begin(last(run));
  }

  /** Stops what runs and wakes who waits; nothing starts any more. */
  async close(): Promise<void> {
    this.closed = true;
    this.attempts.close();
    await this.jobs.close();
    for (const run of this.runs.values()) this.attempts.complete(last(run), "cancelled");
  }

  private run(id: number): Run {
    const run = this.runs.get(id);
    if (run === undefined) throw new Error(`There is no run ${id}.`);
    return run;
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

  /** Looks for workflows that an event starts. */
  private happened(event: RepositoryEvent): void {
    const { repository, by } = event;
    if (this.closed || !by.startsWorkflows || !this.enabled(repository)) return;
    const { git } = repository;
    if (event.type === "push") {
      const { before, after } = event;
      const commit = git.commit(after);
      if (commit === undefined || skipsRuns(commit.message)) return;
      const trigger = pushTrigger(this.world, event);
      const changed = (): string[] => {
        const [parent] = commit.parents;
        const from = git.commit(before ?? parent ?? "");
        return git.changes(from?.tree, commit.tree).map(({ path }) => path);
      };
      this.startThose(trigger, after, (file) => pushStarts(file.events.push, event.ref, changed));
      return;
    }
    const { pull, action } = event;
    const head = git.commit(pull.headSha);
    const merge = git.commit(git.refs.get(`refs/pull/${pull.number}/merge`) ?? "");
    // A pull request that cannot be merged starts nothing.
    if (head === undefined || merge === undefined || skipsRuns(head.message)) return;
    const fork = pull.headRepository !== repository;
    const settings = repository.actions.forkPullRequests;
    if (fork && repository.private && !settings.run_workflows_from_fork_pull_requests) return;
    const trigger = pullTrigger(this.world, event, merge.sha);
    const changed = (): string[] => {
      const base = git.mergeBase(merge.parents[0] ?? "", head.sha);
      return git.changes(base?.tree, head.tree).map(({ path }) => path);
    };
    this.startThose(trigger, merge.sha, (file) =>
      pullRequestStarts(file.events.pull_request, action, pull.baseBranch, changed),
    );
  }

  private startThose(trigger: Trigger, sha: string, wanted: (file: WorkflowFile) => boolean): void {
    const { repository } = trigger;
    const { git } = repository;
    const commit = git.commit(sha);
    for (const [path, { sha: blob }] of commit === undefined ? [] : git.files(commit.tree)) {
      if (!/^\.github\/workflows\/[^/]+\.ya?ml$/.test(path)) continue;
      let file: WorkflowFile;
      try {
        file = parseWorkflowFile(path, git.blob(blob)?.toString() ?? "");
      } catch (error) {
        // Nobody can say what such a file would have run on; GitHub shows a failed run for each push of it.
        if (trigger.event === "push") this.startupFailure(trigger, path, error);
        continue;
      }
      if (wanted(file)) this.start(trigger, file);
    }
  }

  private startupFailure(trigger: Trigger, path: string, error: unknown): void {
    const run = this.newRun(trigger, path, path);
    this.register(run);
    const attempt = this.newAttempt(run, trigger.actor);
    this.attempts.fail(attempt, error);
  }

  private start(trigger: Trigger, file: WorkflowFile): Run {
    const run = this.newRun(trigger, file.path, file.name);
    this.register(run);
    run.awaitsApproval = this.needsApproval(trigger);
    this.attempts.load(this.newAttempt(run, trigger.actor), file);
    return run;
  }

  private needsApproval({ pull, repository, headRepository }: Trigger): boolean {
    if (pull === undefined || headRepository === repository) return false;
    const { forkPullRequests, forkApproval } = repository.actions;
    if (repository.private) return forkPullRequests.require_approval_for_fork_pr_workflows;
    const login = pull.user.toLowerCase();
    if (repository.owner.members.has(login) || repository.collaborators.has(login)) return false;
    if (forkApproval === "all_external_contributors") return true;
    // Accounts here count as known to GitHub.
    if (forkApproval === "first_time_contributors_new_to_github") return false;
    return !repository.pulls.some(
      (one) => one.mergedAt !== null && one.user.toLowerCase() === login,
    );
  }

  private newRun(trigger: Trigger, path: string, name: string): Run {
    const { pull, repository, headSha } = trigger;
    const subject = repository.git.commit(headSha)?.message.split("\n")[0] ?? "";
    return {
      id: 20_000_000 + this.world.id(),
      number:
        [...this.runs.values()].filter(
          (one) => one.path === path && one.trigger.repository === repository,
        ).length + 1,
      trigger,
      path,
      name,
      displayTitle: trigger.event === "workflow_dispatch" ? name : (pull?.title ?? subject),
      createdAt: this.world.now(),
      attempts: [],
      awaitsApproval: false,
      referenced: [],
    };
  }

  private register(run: Run): void {
    this.runs.set(run.id, run);
  }

  private newAttempt(run: Run, actor: string): Attempt {
    const attempt = newAttempt(run, actor, this.world.now());
    run.attempts.push(attempt);
    return attempt;
  }

  private attemptView(attempt: Attempt): RunAttempt {
    const { run, completedAt } = attempt;
    const jobs = attempt.jobs.map((id) => this.jobs.get(id));
    const begun = jobs.some(({ startedAt }) => startedAt !== null);
    const asks = run.awaitsApproval && attempt === last(run);
    const status =
      completedAt !== null || asks
        ? "completed"
        : attempt.pending
          ? "pending"
          : begun
            ? "in_progress"
            : "queued";
    return {
      number: attempt.number,
      triggeringActor: attempt.triggeringActor,
      status,
      conclusion: asks ? "action_required" : attempt.conclusion,
      startedAt: attempt.startedAt,
      completedAt,
      error: attempt.error,
      jobs,
    };
  }

  private view(run: Run): WorkflowRun {
    const { trigger } = run;
    const attempts = run.attempts.map((attempt) => this.attemptView(attempt));
    return {
      ...this.attemptView(last(run)),
      id: run.id,
      repository: fullName(trigger.repository),
      headRepository: fullName(trigger.headRepository),
      path: run.path,
      name: run.name,
      displayTitle: run.displayTitle,
      event: trigger.event,
      ref: trigger.ref,
      sha: trigger.sha,
      headSha: trigger.headSha,
      headBranch: trigger.headBranch,
      pullRequests:
        trigger.pull === undefined || trigger.headRepository !== trigger.repository
          ? []
          : [trigger.pull.number],
      number: run.number,
      actor: trigger.actor,
      createdAt: run.createdAt,
      attempts,
      referencedWorkflows: run.referenced,
    };
  }
}
