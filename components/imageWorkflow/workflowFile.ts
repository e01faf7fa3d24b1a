import { Document, isMap, isScalar, type Node, Scalar, YAMLMap } from "yaml";
import { ACTIONS, type ActionName } from "../pins/pins";

/**
 * A GitHub Actions workflow as data, and its file. Only what the emitted workflows use is modelled. Reasons are part
 * of the data and become comments, so that a reader of the file finds them where they apply.
 */

export interface Permission {
  readonly level: "read" | "write";
  readonly reason: string;
}

export type Permissions = Readonly<Record<string, Permission>>;

export interface Step {
  /** Printed above the step. */
  readonly comment?: string;
  readonly name: string;
  readonly id?: string;
  readonly if?: string;
  /** Resolved to a commit by the table of pins. */
  readonly uses?: ActionName;
  readonly with?: Readonly<Record<string, string | boolean>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly run?: string;
}

export interface Job {
  /** Printed above the job. */
  readonly comment?: string;
  readonly name: string;
  readonly needs?: readonly string[];
  readonly if?: string;
  readonly "runs-on":
    string | readonly string[] | { readonly group: string; readonly labels: readonly string[] };
  readonly "timeout-minutes": number;
  readonly permissions: Permissions;
  readonly outputs?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}

/** A job that is a reusable workflow of another file. */
export interface CallJob {
  readonly comment?: string;
  readonly name: string;
  readonly permissions: Permissions;
  readonly uses: string;
  /** Printed behind `uses`. */
  readonly usesComment: string;
  readonly with: Readonly<Record<string, string | boolean>>;
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Workflow {
  readonly name: string;
  /** What its runs are called; default: GitHub's own choice. */
  readonly "run-name"?: string;
  readonly on: Readonly<Record<string, unknown>>;
  readonly concurrency?: {
    readonly group: string;
    readonly "cancel-in-progress": string | boolean;
  };
  readonly env?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job | CallJob>>;
}

/**
 * Writes the file.
 * @param header Comment at the top, without `#`.
 */
export function stringifyWorkflow(workflow: Workflow, header: string): string {
  const jobs = new YAMLMap();
  for (const [id, job] of Object.entries(workflow.jobs)) {
    const key = new Scalar(id);
    key.spaceBefore = jobs.items.length > 0;
    if (job.comment !== undefined) key.commentBefore = comment(job.comment);
    jobs.set(key, "uses" in job ? callNode(job) : jobNode(job));
  }
  const hasSteps = Object.values(workflow.jobs).some((job) => "steps" in job);
  const file = new Document(
    {
      name: workflow.name,
      ...(workflow["run-name"] !== undefined && { "run-name": workflow["run-name"] }),
      on: workflow.on,
      // Each job is given what it needs and nothing else.
      permissions: {},
      ...(workflow.concurrency && { concurrency: workflow.concurrency }),
      ...(workflow.env && { env: workflow.env }),
      // `bash` by name runs with pipefail, which the default shell lacks.
      ...(hasSteps && { defaults: { run: { shell: "bash" } } }),
      jobs,
    },
    PLAIN,
  );
  if (isMap(file.contents)) {
    for (const { key } of file.contents.items.slice(1)) {
      if (isScalar(key)) key.spaceBefore = true;
    }
  }
  file.commentBefore = comment(header);
  // By default long lines are folded.
  return file.toString({ lineWidth: 0 });
}

/** By default values that are used twice become YAML anchors, which make the file hard to read. */
const PLAIN = { aliasDuplicateObjects: false };

function jobNode(job: Job): Node {
  return nodeOf({
    name: job.name,
    ...(job.needs && { needs: job.needs }),
    ...(job.if !== undefined && { if: job.if }),
    "runs-on": job["runs-on"],
    "timeout-minutes": job["timeout-minutes"],
    permissions: permissionsNode(job.permissions),
    ...(job.outputs && { outputs: job.outputs }),
    steps: job.steps.map(stepNode),
  });
}

function callNode(job: CallJob): Node {
  return nodeOf({
    name: job.name,
    permissions: permissionsNode(job.permissions),
    uses: commented(job.uses, job.usesComment),
    with: job.with,
    ...(job.secrets && { secrets: job.secrets }),
  });
}

function stepNode(step: Step): Node {
  const node = nodeOf({
    name: step.name,
    ...(step.id !== undefined && { id: step.id }),
    ...(step.if !== undefined && { if: step.if }),
    ...(step.uses !== undefined && { uses: pinned(step.uses) }),
    ...(step.with && { with: step.with }),
    ...(step.env && { env: step.env }),
    ...(step.run !== undefined && { run: step.run }),
  });
  if (step.comment !== undefined) node.commentBefore = comment(step.comment);
  return node;
}

function permissionsNode(permissions: Permissions): Node {
  const map = new YAMLMap();
  for (const [scope, { level, reason }] of Object.entries(permissions)) {
    map.set(scope, commented(level, reason));
  }
  return map;
}

function pinned(action: ActionName): Scalar<string> {
  const { tag, sha } = ACTIONS[action];
  return commented(`${action}@${sha}`, tag);
}

function commented(value: string, text: string): Scalar<string> {
  const scalar = new Scalar(value);
  scalar.comment = comment(text);
  return scalar;
}

/** Whatever ends a line in YAML would end the comment as well, and what follows would be read as the workflow. */
function comment(text: string): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : ` ${line.replace(/[\p{Cc}\u2028\u2029]/gu, " ")}`))
    .join("\n");
}

function nodeOf(value: object): Node {
  return new Document().createNode(value, PLAIN);
}
