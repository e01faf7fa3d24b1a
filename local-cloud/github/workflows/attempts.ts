import { randomBytes } from "node:crypto";
import { evaluate, evaluateIn, evaluateScalar, toText, truthy, type Value } from "../expressions";
import { hostedLabels } from "../hosted";
import type { Conclusion, Job, JobDefinition, Jobs, JobSpec, Prepared } from "../jobs";
import { parseRunsOn, type RunsOn } from "../runsOn";
import type { World } from "../world";
import { ConcurrencyGroups, DeadlockError, type Holder, topLevel } from "./concurrency";
import { githubContext, runEnvironment, secretsOf, variablesOf } from "./context";
import { type StepDefinition, WorkflowError, type WorkflowFile } from "./file";
import {
  ancestors,
  buildScope,
  type Instance,
  instancesOf,
  type Node,
  nodesOf,
  renew,
  renewed,
  type Scope,
  typedInput,
  worst,
} from "./graph";
import { expandMatrix, single } from "./matrix";
import {
  askedPermissions,
  defaultPermissions,
  type JobPermissions,
  readOnlyOf,
  tokenPermissions,
} from "./permissions";
import { refNames, type Trigger } from "./triggers";

/** `action_required`: a maintainer has to approve the run before it starts. */
export type RunConclusion = Conclusion | "startup_failure" | "action_required";

/** One attempt of a run on its way. */
export interface Attempt {
  readonly run: Run;
  readonly number: number;
  readonly triggeringActor: string;
  readonly startedAt: number;
  root: Scope | undefined;
  completedAt: number | null;
  conclusion: RunConclusion | null;
  error: string | undefined;
  cancelled: boolean;
  pending: boolean;
  /** Ids in the queue, in the order in which the jobs came up. */
  readonly jobs: number[];
  holder: Holder | undefined;
}

/** A run with all its attempts. */
export interface Run {
  readonly id: number;
  readonly number: number;
  readonly trigger: Trigger;
  readonly path: string;
  name: string;
  displayTitle: string;
  readonly createdAt: number;
  readonly attempts: Attempt[];
  awaitsApproval: boolean;
  referenced: { path: string; sha: string }[];
}

export const defaultTimeoutMinutes = 360;
const limits = { jobs: 256 };

/** Takes each attempt of a run through its jobs. */
export class Attempts {
  private readonly groups = new ConcurrencyGroups();
  private closed = false;

  constructor(
    private readonly world: World,
    private readonly jobs: Jobs,
    /** Told of a run whose attempt is completed. */
    private readonly ended: (run: Run) => void,
  ) {}

  /** From now on nothing starts. */
  close(): void {
    this.closed = true;
  }

  /** Reads the workflows that are called, and begins. */
  load(attempt: Attempt, file: WorkflowFile): void {
    const { run } = attempt;
    const { trigger } = run;
    try {
      run.referenced = [];
      const github = githubContext(this.world, run, attempt, file);
      const contexts = { github, inputs: trigger.inputs, vars: variablesOf(this.world, trigger) };
      if (file.raw["run-name"] !== undefined)
        run.displayTitle = toText(evaluateIn(file.raw["run-name"], contexts));
      const reach = { world: this.world, trigger, referenced: run.referenced };
      const root = buildScope(reach, file, {
        source: { repository: trigger.repository, sha: trigger.sha },
        refs: refNames(trigger.repository, file.path, trigger),
        depth: 1,
      });
      root.inputs = trigger.inputs;
      root.secrets = secretsOf(this.world, trigger);
      attempt.root = root;
    } catch (error) {
      this.fail(attempt, error);
      return;
    }
    if (!run.awaitsApproval) this.begin(attempt);
  }

  /** Waits for a place in the workflow's concurrency group, and goes on. */
  begin(attempt: Attempt): void {
    const { root, run } = attempt;
    if (root === undefined) return;
    try {
      const contexts = {
        github: githubContext(this.world, run, attempt, root.file),
        inputs: root.inputs,
        vars: variablesOf(this.world, run.trigger),
      };
      attempt.pending = true;
      this.groups.acquire(
        run.trigger.repository.id,
        evaluateIn(root.file.raw["concurrency"], contexts),
        {
          owner: attempt,
          label: topLevel,
          go: () => {
            attempt.pending = false;
            this.advance(attempt);
          },
          cancel: () => this.cancel(attempt, false),
        },
        (holder) => (attempt.holder = holder),
      );
    } catch (error) {
      this.fail(attempt, error);
    }
  }

  /** Runs some jobs of an earlier attempt again, with what depends on them. */
  again(attempt: Attempt, before: Scope, chosen: ReadonlySet<Instance>): void {
    attempt.root = this.copy(attempt, before, undefined, chosen);
    this.begin(attempt);
  }

  /** The same jobs for a new attempt: those chosen, and what depends on them, are to run again. */
  private copy(
    attempt: Attempt,
    scope: Scope,
    caller: Node | undefined,
    chosen: ReadonlySet<Instance>,
  ): Scope {
    const copied: Scope = { ...scope, prefix: { ...scope.prefix }, nodes: new Map(), caller };
    const hit = (one: Instance): boolean => chosen.has(one);
    const inside = ({ called }: Node): Instance[] =>
      called === undefined ? [] : instancesOf(called);
    const again = new Set<string>();
    for (const [key, node] of scope.nodes)
      if ([...inside(node), ...node.instances].some(hit)) again.add(key);
    const dependent = new Set<string>();
    for (const [key, { file }] of scope.nodes)
      if (ancestors(scope, ...file.needs).some((need) => again.has(need))) dependent.add(key);
    for (const [key, node] of scope.nodes) {
      const fresh: Node = {
        ...node,
        scope: copied,
        outputs: { ...node.outputs },
        instances: [],
        called: undefined,
      };
      copied.nodes.set(key, fresh);
      const partly =
        !dependent.has(key) &&
        (inside(node).some(hit) || (node.instances.some(hit) && !node.instances.every(hit)));
      if (!partly && (dependent.has(key) || again.has(key))) {
        Object.assign(fresh, { state: "waiting", result: undefined, outputs: {} });
        if (node.called !== undefined) fresh.called = renewed(node.called, fresh);
        continue;
      }
      // The rest of it is as it was: what runs again goes on from there.
      if (partly) Object.assign(fresh, { state: "started", result: undefined });
      if (node.called !== undefined) fresh.called = this.copy(attempt, node.called, fresh, chosen);
      fresh.instances = node.instances.map((one) =>
        hit(one) ? renew(one, fresh) : this.carry(attempt, one, fresh),
      );
    }
    return copied;
  }

  /** A job that does not run again is in the new attempt as it was in the one before. */
  private carry(attempt: Attempt, instance: Instance, node: Node): Instance {
    if (instance.job === undefined) return { ...instance, node };
    const before = this.jobs.get(instance.job.id);
    const job = this.jobs.record(
      { ...this.placed(attempt), key: before.key, name: before.name, workflow: before.workflow },
      { copyOf: before },
    );
    attempt.jobs.push(job.id);
    return { ...instance, node, job };
  }

  /** Starts every job whose turn has come, and ends the attempt after the last one. */
  private advance(attempt: Attempt): void {
    if (
      this.closed ||
      attempt.completedAt !== null ||
      attempt.root === undefined ||
      attempt.pending
    )
      return;
    for (let changed = true; changed;) {
      changed = false;
      for (const node of nodesOf(attempt.root)) {
        if (node.state === "done" || node.state === "blocked") continue;
        const { caller } = node.scope;
        if (caller !== undefined && caller.state !== "started") continue;
        if (node.state === "waiting") {
          const needs = node.file.needs.map((need) => node.scope.nodes.get(need));
          if (needs.some((need) => need?.state !== "done")) continue;
          this.startNode(attempt, node);
          changed = true;
        } else if (this.settled(attempt, node)) changed = true;
      }
    }
    const top = [...attempt.root.nodes.values()];
    if (top.some(({ state }) => state !== "done")) return;
    const results = top.map(({ result }) => result);
    const conclusion =
      attempt.cancelled && results.includes("cancelled")
        ? "cancelled"
        : (["failure", "cancelled", "success", "skipped"] as const).find((one) =>
            results.includes(one),
          );
    this.complete(attempt, conclusion ?? "success");
  }

  /** True when a started job has just turned out to be over. */
  private settled(attempt: Attempt, node: Node): boolean {
    if (node.called === undefined) {
      for (const instance of node.instances)
        if (
          instance.job === undefined &&
          instance.result === undefined &&
          instance.holder === undefined
        )
          this.queue(attempt, instance);
      const results = node.instances.map(({ result }) => result);
      if (results.some((result) => result === undefined)) return false;
      this.finish(node, worst(results));
      return true;
    }
    const inside = [...node.called.nodes.values()];
    if (inside.some(({ state }) => state !== "done")) return false;
    const jobs = Object.fromEntries(
      inside.map((one): [string, Value] => [
        one.file.key,
        { result: one.result ?? null, outputs: one.outputs },
      ]),
    );
    const contexts = { ...this.contexts(attempt, node.called), jobs };
    try {
      for (const [name, { value }] of Object.entries(node.called.file.call.outputs))
        node.outputs[name] = toText(evaluateScalar(value, contexts));
      this.finish(node, worst(inside.map(({ result }) => result)));
    } catch (error) {
      this.refuse(attempt, node, error);
    }
    for (const { holder } of node.instances) if (holder !== undefined) this.groups.release(holder);
    return true;
  }

  private finish(node: Node, result: Conclusion): void {
    node.state = "done";
    node.result = result;
    if (node.called !== undefined)
      for (const inner of nodesOf(node.called)) {
        inner.state = "done";
        inner.result ??= result;
      }
  }

  /** Whether the job's `if` holds. */
  private condition(attempt: Attempt, node: Node): boolean {
    const before = ancestors(node.scope, ...node.file.needs).map((key) =>
      node.scope.nodes.get(key),
    );
    return truthy(
      evaluate(node.file.condition, this.contexts(attempt, node.scope, node), {
        always: () => true,
        success: () => !attempt.cancelled && before.every((one) => one?.result === "success"),
        failure: () => before.some((one) => one?.result === "failure"),
        cancelled: () => attempt.cancelled,
      }),
    );
  }

  private startNode(attempt: Attempt, node: Node): void {
    try {
      if (!this.condition(attempt, node)) {
        this.record(attempt, node, "skipped");
        this.finish(node, "skipped");
        return;
      }
      const contexts = this.contexts(attempt, node.scope, node);
      node.state = "started";
      if (node.called !== undefined) {
        this.call(attempt, node, node.called, contexts);
        return;
      }
      const matrix = expandMatrix(evaluateIn(node.file.raw["strategy"] ?? {}, contexts));
      if (matrix.length > limits.jobs)
        throw new WorkflowError(
          `The matrix of job "${node.file.key}" gives ${matrix.length} jobs; at most ${limits.jobs} are allowed.`,
        );
      node.instances = matrix.map((one): Instance => {
        const inside = { ...contexts, matrix: one.values, strategy: one.strategy };
        const { name: given } = node.file.raw;
        const own =
          given === undefined ? node.file.key + one.suffix : toText(evaluateIn(given, inside));
        return {
          node,
          matrix: one,
          name: node.scope.prefix.name + (own === "" ? node.file.key : own),
          job: undefined,
          result: undefined,
          holder: undefined,
        };
      });
      if (node.instances.length === 0) {
        this.record(attempt, node, "skipped");
        this.finish(node, "skipped");
      }
      for (const instance of node.instances) this.queue(attempt, instance);
    } catch (error) {
      this.refuse(attempt, node, error);
    }
  }

  /** A job that cannot be evaluated has failed, with the reason in its log. */
  private refuse(attempt: Attempt, node: Node, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    const conclusion = error instanceof DeadlockError ? "cancelled" : "failure";
    if (error instanceof DeadlockError) attempt.error = text;
    this.record(attempt, node, conclusion, `##[error]${text}\n`);
    this.finish(node, conclusion);
  }

  private record(attempt: Attempt, node: Node, conclusion: Conclusion, log = ""): void {
    const { prefix, file } = node.scope;
    const { name } = node.file.raw;
    const shown = typeof name === "string" && !name.includes("${{") ? name : node.file.key;
    const job = this.jobs.record(
      {
        ...this.placed(attempt),
        key: prefix.key + node.file.key,
        name: prefix.name + shown,
        workflow: file.path,
      },
      { conclusion, log },
    );
    attempt.jobs.push(job.id);
    node.instances = [
      {
        node,
        matrix: single,
        name: job.name,
        job,
        result: conclusion,
        holder: undefined,
      },
    ];
  }

  /** Hands a called workflow its inputs and secrets; its jobs may start then. */
  private call(attempt: Attempt, node: Node, called: Scope, contexts: Record<string, Value>): void {
    const { raw } = node.file;
    const name = toText(evaluateIn(raw["name"] ?? node.file.key, contexts));
    called.prefix.name = `${node.scope.prefix.name}${name || node.file.key} / `;
    const given = Object.entries((raw["with"] ?? {}) as Record<string, unknown>);
    called.inputs = {};
    for (const [name, { type, default: otherwise }] of Object.entries(called.file.call.inputs)) {
      const [, value] = given.find(([key]) => key.toLowerCase() === name.toLowerCase()) ?? [];
      const found =
        value !== undefined
          ? evaluateIn(value, contexts)
          : evaluateIn(otherwise, { ...contexts, inputs: called.inputs });
      called.inputs[name] = typedInput(name, type, found);
    }
    const inherited = node.scope.secrets;
    if (raw["secrets"] === "inherit") called.secrets = inherited;
    else
      called.secrets = Object.fromEntries(
        Object.entries((raw["secrets"] ?? {}) as Record<string, unknown>).map(([name, value]) => [
          name.toUpperCase(),
          toText(evaluateIn(value, { ...contexts, secrets: inherited })),
        ]),
      );
    const instance: Instance = {
      node,
      matrix: single,
      name: node.file.key,
      job: undefined,
      result: undefined,
      holder: undefined,
    };
    if (raw["concurrency"] === undefined) return;
    node.instances = [instance];
    node.state = "blocked";
    this.groups.acquire(
      attempt.run.trigger.repository.id,
      evaluateIn(raw["concurrency"], contexts),
      {
        owner: attempt,
        label: node.file.key,
        go: () => {
          node.state = "started";
          this.advance(attempt);
        },
        cancel: () => {
          if (node.state === "started") {
            for (const inner of instancesOf(called)) this.stop(attempt, inner);
            return;
          }
          if (instance.holder !== undefined) this.groups.release(instance.holder);
          this.record(attempt, node, "cancelled");
          this.finish(node, "cancelled");
          this.advance(attempt);
        },
      },
      (holder) => (instance.holder = holder),
    );
  }

  /** Puts a job into the queue once its concurrency group and its matrix leave it room. */
  private queue(attempt: Attempt, instance: Instance): void {
    const { node, matrix } = instance;
    if ((instance.job ?? instance.result ?? instance.holder) !== undefined) return;
    const { maxParallel } = matrix;
    const busy = node.instances.filter(
      (one) => one.result === undefined && (one.job ?? one.holder) !== undefined,
    );
    if (maxParallel !== undefined && busy.length >= maxParallel) return;
    const contexts = {
      ...this.contexts(attempt, node.scope, node),
      matrix: matrix.values,
      strategy: matrix.strategy,
    };
    const fail = (error: unknown): void => {
      const text = error instanceof Error ? error.message : String(error);
      const job = this.jobs.record(
        { ...this.placed(attempt), ...this.named(instance) },
        { conclusion: "failure", log: `##[error]${text}\n` },
      );
      attempt.jobs.push(job.id);
      Object.assign(instance, { job, result: "failure" });
      if (instance.holder !== undefined) this.groups.release(instance.holder);
      this.advance(attempt);
    };
    const go = (): void => {
      if (this.closed) return;
      try {
        const job = this.jobs.add(this.spec(attempt, instance, contexts));
        attempt.jobs.push(job.id);
        instance.job = job;
      } catch (error) {
        fail(error);
      }
    };
    try {
      this.groups.acquire(
        attempt.run.trigger.repository.id,
        evaluateIn(node.file.raw["concurrency"], contexts),
        {
          owner: attempt,
          label: node.file.key,
          go,
          cancel: () => this.stop(attempt, instance),
        },
        (holder) => (instance.holder = holder),
      );
    } catch (error) {
      if (error instanceof DeadlockError) {
        attempt.error = error.message;
        this.stop(attempt, instance);
      } else fail(error);
    }
  }

  private named(instance: Instance): Pick<JobSpec, "key" | "name" | "workflow"> {
    const { scope, file } = instance.node;
    return { key: scope.prefix.key + file.key, name: instance.name, workflow: scope.file.path };
  }

  /** Ends a job that has not ended yet. */
  private stop(attempt: Attempt, instance: Instance): void {
    if (instance.result !== undefined) return;
    if (instance.job !== undefined) {
      this.jobs.cancel(instance.job.id);
      return;
    }
    if (instance.node.called !== undefined) return;
    const job = this.jobs.record(
      { ...this.placed(attempt), ...this.named(instance) },
      { conclusion: "cancelled" },
    );
    attempt.jobs.push(job.id);
    Object.assign(instance, { job, result: "cancelled" });
    if (instance.holder !== undefined) this.groups.release(instance.holder);
    this.advance(attempt);
  }

  private spec(attempt: Attempt, instance: Instance, contexts: Record<string, Value>): JobSpec {
    const { node } = instance;
    const { scope } = node;
    const { raw } = node.file;
    const runsOn = parseRunsOn(evaluateIn(raw["runs-on"], contexts));
    checkLabels(runsOn);
    const minutes = evaluateIn(raw["timeout-minutes"] ?? defaultTimeoutMinutes, contexts);
    if (typeof minutes !== "number" || minutes <= 0)
      throw new WorkflowError(`timeout-minutes of job "${node.file.key}" is no positive number.`);
    let token: string | undefined;
    return {
      ...this.placed(attempt),
      ...this.named(instance),
      workflowRefs: scope.refs,
      runsOn,
      timeoutSeconds: minutes * 60,
      prepare: () => {
        // A runner that had taken the job may have been lost before it began.
        if (token !== undefined) this.world.tokens.delete(token);
        token = this.newToken(attempt, node);
        return this.prepare(attempt, instance, contexts, token);
      },
      ended: (job) => {
        if (token !== undefined) this.world.tokens.delete(token);
        this.jobEnded(attempt, instance, job);
      },
    };
  }

  private jobEnded(attempt: Attempt, instance: Instance, job: Job): void {
    if (instance.result !== undefined) return;
    const { node } = instance;
    const forgiven =
      job.conclusion === "failure" &&
      truthy(
        evaluateIn(node.file.raw["continue-on-error"] ?? false, {
          ...this.contexts(attempt, node.scope, node),
          matrix: instance.matrix.values,
          strategy: instance.matrix.strategy,
        }),
      );
    instance.job = job;
    instance.result = forgiven ? "success" : (job.conclusion ?? "failure");
    for (const [name, value] of Object.entries(job.outputs))
      if (value !== "" || node.outputs[name] === undefined) node.outputs[name] = value;
    if (instance.result === "failure" && instance.matrix.failFast)
      for (const other of node.instances) this.stop(attempt, other);
    if (instance.holder !== undefined) this.groups.release(instance.holder);
    this.advance(attempt);
  }

  /** Which permissions the job's token has. */
  private permissions(attempt: Attempt, { file, scope }: Node): JobPermissions {
    const { repository, headRepository } = attempt.run.trigger;
    const asked =
      askedPermissions(file, scope.file) ??
      scope.limit ??
      defaultPermissions(repository.actions.workflow.default_workflow_permissions);
    const mayWrite =
      headRepository === repository ||
      (repository.private && repository.actions.forkPullRequests.send_write_tokens_to_workflows);
    return mayWrite ? asked : readOnlyOf(asked);
  }

  /** The job's own token, good until the job ends. */
  private newToken(attempt: Attempt, node: Node): string {
    const { repository } = attempt.run.trigger;
    const value = `ghs_${randomBytes(27).toString("base64url").replace(/[-_]/g, "0").padEnd(36, "0")}`;
    this.world.tokens.set(value, {
      value,
      kind: "installation",
      login: "github-actions[bot]",
      scopes: [],
      permissions: tokenPermissions(this.permissions(attempt, node)),
      resourceOwner: repository.owner.login,
      repositories: [repository.name],
      expiresAt: undefined,
      ofJob: true,
    });
    return value;
  }

  private prepare(
    attempt: Attempt,
    instance: Instance,
    contexts: Record<string, Value>,
    token: string,
  ): Prepared {
    const { node } = instance;
    const { scope } = node;
    const { raw } = node.file;
    const secrets = { ...scope.secrets, GITHUB_TOKEN: token };
    const texts = (value: unknown): Record<string, string> =>
      Object.fromEntries(
        Object.entries((value ?? {}) as Record<string, string | number | boolean | null>).map(
          ([name, one]) => [name, one === null ? "" : String(one)],
        ),
      );
    type Defaults = { readonly run?: Readonly<Record<string, string>> } | undefined;
    const run = {
      ...(scope.file.raw["defaults"] as Defaults)?.run,
      ...(raw["defaults"] as Defaults)?.run,
    };
    const job: JobDefinition = {
      id: node.file.key,
      env: [texts(scope.file.raw["env"]), texts(raw["env"])],
      ...(Object.keys(run).length > 0 && { defaults: { run } }),
      outputs: texts(raw["outputs"]),
      contexts: {
        github: { ...(contexts["github"] as Record<string, Value>), token, job: node.file.key },
        vars: contexts["vars"] as Record<string, Value>,
        secrets,
        needs: contexts["needs"] as Record<string, Value>,
        strategy: instance.matrix.strategy,
        matrix: instance.matrix.values,
        inputs: contexts["inputs"] as Record<string, Value>,
      },
    };
    return {
      steps: raw["steps"] as StepDefinition[],
      job,
      env: runEnvironment(attempt.run, attempt, attempt.run.name, node.file.key),
      masks: [...new Set(Object.values(secrets))].filter((value) => value !== ""),
    };
  }

  /** Where every job of an attempt belongs. */
  placed(
    attempt: Attempt,
  ): Pick<JobSpec, "runId" | "attempt" | "repository" | "headSha" | "headBranch"> {
    const { id, trigger } = attempt.run;
    const { repository, headSha, headBranch } = trigger;
    return { runId: id, attempt: attempt.number, repository, headSha, headBranch };
  }

  private contexts(attempt: Attempt, scope: Scope, node?: Node): Record<string, Value> {
    const { run } = attempt;
    const needs = (node?.file.needs ?? []).map((key): [string, Value] => {
      const need = scope.nodes.get(key);
      return [key, { result: need?.result ?? null, outputs: need?.outputs ?? {} }];
    });
    return {
      github: githubContext(this.world, run, attempt, attempt.root?.file ?? scope.file),
      vars: variablesOf(this.world, run.trigger),
      inputs: scope.inputs,
      needs: Object.fromEntries(needs),
      matrix: {},
      strategy: {},
    };
  }

  complete(attempt: Attempt, conclusion: RunConclusion): void {
    if (attempt.completedAt !== null) return;
    attempt.completedAt = this.world.now();
    attempt.conclusion = conclusion;
    attempt.pending = false;
    if (attempt.holder !== undefined) this.groups.release(attempt.holder);
    this.ended(attempt.run);
  }

  /** The attempt could not start. */
  fail(attempt: Attempt, error: unknown): void {
    attempt.error = error instanceof Error ? error.message : String(error);
    this.complete(attempt, "startup_failure");
  }

  /** Tells an attempt to stop. A running job goes on if its `if` still holds, unless `force` is given. */
  cancel(attempt: Attempt, force: boolean): void {
    if (attempt.completedAt !== null) return;
    attempt.cancelled = true;
    const { root, run } = attempt;
    if (root === undefined) {
      for (const job of attempt.jobs) this.jobs.cancel(job);
      return;
    }
    if (attempt.pending || run.awaitsApproval) {
      run.awaitsApproval = false;
      this.complete(attempt, "cancelled");
      return;
    }
    for (const instance of instancesOf(root)) {
      if (instance.result !== undefined) continue;
      if (instance.node.state === "blocked") {
        instance.holder?.cancel();
        continue;
      }
      if (!force && instance.job !== undefined) {
        const running = this.jobs.get(instance.job.id).status === "in_progress";
        if (running && this.condition(attempt, instance.node)) continue;
      }
      this.stop(attempt, instance);
    }
    if (force)
      for (const node of nodesOf(root))
        if (node.state === "waiting") this.finish(node, "cancelled");
    this.advance(attempt);
  }
}

/** The next attempt of a run, which is not told of it. */
export function newAttempt(run: Run, actor: string, now: number): Attempt {
  return {
    run,
    number: run.attempts.length + 1,
    triggeringActor: actor,
    startedAt: now,
    root: undefined,
    completedAt: null,
    conclusion: null,
    error: undefined,
    cancelled: false,
    pending: false,
    jobs: [],
    holder: undefined,
  };
}

export function last(run: Run): Attempt {
  const attempt = run.attempts.at(-1);
  if (attempt === undefined) throw new Error(`Run ${run.id} has no attempt.`);
  return attempt;
}

/** Refuses labels of GitHub's machines that cannot be had here. */
export function checkLabels({ labels }: RunsOn): void {
  const foreign = labels.find(
    (label) => /^(windows|macos|ubuntu)-/i.test(label) && !hostedLabels.has(label.toLowerCase()),
  );
  if (foreign !== undefined)
    throw new Error(`The local cloud has no hosted runner "${foreign}", only Linux ones.`);
}
