import { toText, type Value } from "../expressions";
import type { Conclusion, Job } from "../jobs";
import type { Repository } from "../model";
import { fullName } from "../views";
import type { World } from "../world";
import { checkAllowed } from "./allowed";
import type { Holder } from "./concurrency";
import {
  type JobFile,
  parseWorkflowFile,
  type StepDefinition,
  WorkflowError,
  type WorkflowFile,
} from "./file";
import type { MatrixJob } from "./matrix";
import { askedPermissions, defaultPermissions, excess, type JobPermissions } from "./permissions";
import { fileAt, refNames, type Trigger } from "./triggers";

/** Jobs of one workflow file in a run: the started workflow's, or those of one that a job calls. */
export interface Scope {
  readonly file: WorkflowFile;
  /** `owner/repo/path@ref` in every form that names it. */
  readonly refs: readonly string[];
  readonly prefix: { readonly key: string; name: string };
  readonly nodes: Map<string, Node>;
  readonly caller: Node | undefined;
  /** What its jobs may ask for at most; undefined = anything. */
  readonly limit: JobPermissions | undefined;
  inputs: Record<string, Value>;
  secrets: Record<string, string>;
}

/** A job of a workflow file; with a matrix, several jobs. */
export interface Node {
  readonly file: JobFile;
  readonly scope: Scope;
  called: Scope | undefined;
  /** Blocked: it waits for a place in its concurrency group. */
  state: "waiting" | "blocked" | "started" | "done";
  result: Conclusion | undefined;
  outputs: Record<string, string>;
  instances: Instance[];
}

export interface Instance {
  readonly node: Node;
  readonly matrix: MatrixJob;
  readonly name: string;
  job: Job | undefined;
  result: Conclusion | undefined;
  holder: Holder | undefined;
}

/** Where called workflows are looked for, and noted. */
interface Reach {
  readonly world: World;
  readonly trigger: Trigger;
  readonly referenced: { path: string; sha: string }[];
}

const limits = { depth: 10, workflows: 50 };

/** The jobs of a file, and of those that they call; everything that can be checked before is checked. */
export function buildScope(
  reach: Reach,
  file: WorkflowFile,
  at: {
    source: { repository: Repository; sha: string };
    refs: readonly string[];
    depth: number;
    caller?: { node: Node; limit: JobPermissions; key: string };
  },
): Scope {
  const { trigger } = reach;
  const scope: Scope = {
    file,
    refs: at.refs,
    prefix: { key: at.caller?.key ?? "", name: "" },
    nodes: new Map(),
    caller: at.caller?.node,
    limit: at.caller?.limit,
    inputs: {},
    secrets: {},
  };
  for (const job of file.jobs.values()) {
    const { uses } = job.raw;
    const node: Node = {
      file: job,
      scope,
      called: undefined,
      state: "waiting",
      result: undefined,
      outputs: {},
      instances: [],
    };
    scope.nodes.set(job.key, node);
    const asked = askedPermissions(job, file);
    const permissions =
      asked ??
      scope.limit ??
      defaultPermissions(trigger.repository.actions.workflow.default_workflow_permissions);
    if (scope.limit !== undefined && asked !== undefined) {
      const more = excess(asked, scope.limit);
      if (more.length > 0)
        throw new WorkflowError(
          `Error calling workflow '${scope.refs[0]}'. The nested job '${job.key}' is ${more.join(", ")}.`,
        );
    }
    for (const step of (job.raw["steps"] ?? []) as readonly StepDefinition[])
      checkAllowed(reach.world, trigger.repository, step["uses"]);
    if (typeof uses !== "string") continue;
    checkAllowed(reach.world, trigger.repository, uses);
    if (at.depth >= limits.depth)
      throw new WorkflowError(`Workflows can be nested at most ${limits.depth} levels deep.`);
    const called = calledFile(reach, uses, at.source);
    const errors = file.callErrors(job.key, called.file);
    if (errors.length > 0) throw new WorkflowError(`Invalid workflow file: ${errors.join("; ")}`);
    if (called.file.raw["concurrency"] !== undefined)
      throw new WorkflowError(
        `${uses}: the local cloud does not model "concurrency" of a workflow that is called.`,
      );
    const inner = buildScope(reach, called.file, {
      source: called.source,
      refs: called.refs,
      depth: at.depth + 1,
      caller: {
        node,
        limit: permissions,
        key: `${scope.prefix.key}${job.key}/`,
      },
    });
    node.called = inner;
  }
  return scope;
}

/** The file that `uses` names, if the caller may use it. */
function calledFile(
  { world, trigger, referenced }: Reach,
  uses: string,
  from: { repository: Repository; sha: string },
): { file: WorkflowFile; source: { repository: Repository; sha: string }; refs: string[] } {
  const caller = trigger.repository;
  const [, local] = /^\.\/(\.github\/workflows\/[^/@]+\.ya?ml)$/.exec(uses) ?? [];
  const [, owner = "", name = "", remote = "", ref = ""] =
    /^([^/]+)\/([^/]+)\/(\.github\/workflows\/[^/@]+\.ya?ml)@(.+)$/.exec(uses) ?? [];
  const repository = local === undefined ? world.repository(`${owner}/${name}`) : from.repository;
  const path = local ?? remote;
  const sha =
    local === undefined
      ? repository?.git.resolve(ref.replace(/^refs\/(heads|tags)\//, ""))?.sha
      : from.sha;
  const found =
    repository !== undefined &&
    sha !== undefined &&
    (repository === caller || mayCall(caller, repository))
      ? fileAt(repository, sha, path)
      : undefined;
  if (repository === undefined || sha === undefined || found === undefined)
    throw new WorkflowError(
      `Invalid workflow file: error parsing called workflow "${uses}": workflow was not found. See https://docs.github.com/actions/learn-github-actions/reusing-workflows#access-to-reusable-workflows for more information.`,
    );
  const full = `${fullName(repository)}/${path}`;
  const names =
    local !== undefined
      ? refNames(repository, path, trigger)
      : [ref, `refs/heads/${ref}`, `refs/tags/${ref}`, sha]
          .filter((one) => one === ref || one === sha || repository.git.refs.has(one))
          .map((one) => `${full}@${one}`);
  const first = local !== undefined ? `${full}@${trigger.ref}` : `${full}@${ref}`;
  if (!referenced.some((one) => one.path === first)) referenced.push({ path: first, sha });
  if (referenced.length > limits.workflows)
    throw new WorkflowError(`A workflow can call at most ${limits.workflows} others.`);
  return { file: parseWorkflowFile(path, found), source: { repository, sha }, refs: names };
}

/** The same jobs, none of them begun. */
export function renewed(scope: Scope, caller: Node): Scope {
  const copied: Scope = { ...scope, prefix: { ...scope.prefix }, nodes: new Map(), caller };
  for (const [key, node] of scope.nodes) {
    const fresh: Node = {
      ...node,
      scope: copied,
      called: undefined,
      state: "waiting",
      result: undefined,
      outputs: {},
      instances: [],
    };
    if (node.called !== undefined) fresh.called = renewed(node.called, fresh);
    copied.nodes.set(key, fresh);
  }
  return copied;
}

export function renew(instance: Instance, node: Node): Instance {
  return { ...instance, node, job: undefined, result: undefined, holder: undefined };
}

/** Callers before what they call. */
export function nodesOf(scope: Scope): Node[] {
  return [...scope.nodes.values()].flatMap((node) => [
    node,
    ...(node.called === undefined ? [] : nodesOf(node.called)),
  ]);
}

export function instancesOf(scope: Scope): Instance[] {
  return nodesOf(scope).flatMap(({ instances }) => instances);
}

/** Keys of jobs and of all that they need, directly or not. */
export function ancestors(scope: Scope, ...keys: readonly string[]): string[] {
  const found = new Set<string>();
  const queue = [...keys];
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    if (found.has(key)) continue;
    found.add(key);
    queue.push(...(scope.nodes.get(key)?.file.needs ?? []));
  }
  return [...found];
}

export function worst(results: readonly (Conclusion | undefined)[]): Conclusion {
  const order = ["failure", "cancelled", "success", "skipped"] as const;
  return order.find((one) => results.includes(one)) ?? "success";
}

export function typedInput(
  name: string,
  type: "string" | "boolean" | "number",
  value: Value,
): Value {
  if (type === "boolean") {
    if (value === null) return false;
    if (typeof value === "boolean") return value;
    if (value === "true" || value === "false") return value === "true";
  } else if (type === "number") {
    if (value === null) return 0;
    const number = Number(value);
    if (!Number.isNaN(number)) return number;
  } else return toText(value);
  throw new WorkflowError(`Input "${name}" must be a ${type}, got ${JSON.stringify(value)}.`);
}

/** A private workflow is open to the owner's other private repositories when its repository says so; a public one is to all. */
function mayCall(caller: Repository, called: Repository): boolean {
  if (!called.private) return true;
  return caller.private && called.owner.id === caller.owner.id && called.actions.access !== "none";
}
