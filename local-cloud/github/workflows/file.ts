import type * as Parser from "@actions/workflow-parser" with { "resolution-mode": "import" };
import type * as Events from "@actions/workflow-parser/model/converter/events" with {
  "resolution-mode": "import",
};
import type * as Jobs from "@actions/workflow-parser/model/converter/jobs" with {
  "resolution-mode": "import",
};
import type * as Referenced from "@actions/workflow-parser/model/converter/referencedWorkflow" with {
  "resolution-mode": "import",
};
import type {
  EventsConfig,
  WorkflowJob,
} from "@actions/workflow-parser/model/workflow-template" with { "resolution-mode": "import" };
import type { TemplateContext } from "@actions/workflow-parser/templates/template-context" with {
  "resolution-mode": "import",
};
import type { TemplateToken } from "@actions/workflow-parser/templates/tokens/template-token" with {
  "resolution-mode": "import",
};
import { parse } from "yaml";

/** A workflow file that GitHub would not start. */
export class WorkflowError extends Error {}

/** One step as it stands in the file; nothing is evaluated. */
export type StepDefinition = Readonly<Record<string, unknown>>;

/** One entry of `jobs`. */
export interface JobFile {
  readonly key: string;
  readonly needs: readonly string[];
  /** The expression of `if`, with the `success()` that GitHub adds where no status function stands. */
  readonly condition: string;
  /** The rest as it stands in the file; nothing is evaluated. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** What a called workflow takes and gives. */
export interface CallDefinition {
  readonly inputs: Readonly<
    Record<string, { readonly type: "string" | "boolean" | "number"; readonly default?: unknown }>
  >;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
}

/** A workflow file that GitHub's own parser takes. */
export interface WorkflowFile {
  readonly path: string;
  readonly name: string;
  readonly events: EventsConfig;
  readonly call: CallDefinition;
  readonly jobs: ReadonlyMap<string, JobFile>;
  /** As it stands in the file; nothing is evaluated. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** What is wrong with a call of `called` by one of this file's jobs. */
  callErrors(key: string, called: WorkflowFile): string[];
  readonly token: TemplateToken;
}

interface Library {
  readonly parser: typeof Parser;
  readonly events: typeof Events;
  readonly jobs: typeof Jobs;
  readonly referenced: typeof Referenced;
}
let library: Library | undefined;

/** GitHub's own parser is an ES module: it has to be here before a file is read. */
export async function loadWorkflowParser(): Promise<void> {
  if (library !== undefined) return;
  const [parser, events, jobs, referenced] = await Promise.all([
    import("@actions/workflow-parser"),
    import("@actions/workflow-parser/model/converter/events"),
    import("@actions/workflow-parser/model/converter/jobs"),
    import("@actions/workflow-parser/model/converter/referencedWorkflow"),
  ]);
  library = { parser, events, jobs, referenced };
}

const inert = { error: () => undefined, info: () => undefined, verbose: () => undefined };

/** Events that happen here, or need more than this cloud's time to happen. */
const modelled = new Set([
  "push",
  "pull_request",
  "workflow_dispatch",
  "workflow_call",
  "schedule",
]);
const unmodelledKeys = ["container", "services", "environment", "snapshot"];

/** Reads a workflow file. Throws WorkflowError for what GitHub refuses, and for what is not modelled here. */
export function parseWorkflowFile(path: string, text: string): WorkflowFile {
  if (library === undefined) throw new Error("The workflow parser is not loaded.");
  const { parser, events, jobs, referenced } = library;
  const read = (): { context: TemplateContext; token: TemplateToken; jobs: WorkflowJob[] } => {
    const { context, value } = parser.parseWorkflow({ name: path, content: text }, inert);
    check(path, context);
    if (value === undefined) throw new WorkflowError(`${path}: the file is empty.`);
    const jobsToken = property(value, "jobs");
    const found = jobsToken === undefined ? [] : jobs.convertJobs(context, jobsToken);
    check(path, context);
    return { context, token: value, jobs: found };
  };
  const { context, token, jobs: models } = read();
  const on = property(token, "on");
  const config = on === undefined ? {} : events.convertOn(context, on);
  check(path, context);
  const raw = parse(text) as Record<string, unknown>;
  for (const event of Object.keys(config))
    if (!modelled.has(event))
      throw new WorkflowError(`${path}: the local cloud does not model the event "${event}".`);
  const rawJobs = (raw["jobs"] ?? {}) as Record<string, Record<string, unknown>>;
  const all = new Map<string, JobFile>();
  for (const model of models) {
    const key = model.id.value;
    const job = rawJobs[key] ?? {};
    for (const name of unmodelledKeys)
      if (name in job)
        throw new WorkflowError(
          `${path}: the local cloud does not model "${name}" of job "${key}".`,
        );
    if (model.type === "reusableWorkflowJob" && "strategy" in job)
      throw new WorkflowError(
        `${path}: the local cloud does not model "strategy" of job "${key}", which calls a workflow.`,
      );
    if (model.type === "job" && !("steps" in job))
      throw new WorkflowError(`${path}: job "${key}" has no steps.`);
    all.set(key, {
      key,
      needs: (model.needs ?? []).map((need) => need.value),
      condition: model.if.expression,
      raw: job,
    });
  }
  const rawOn = raw["on"];
  const rawCall =
    typeof rawOn === "object" && rawOn !== null && !Array.isArray(rawOn)
      ? ((rawOn as Record<string, unknown>)["workflow_call"] as Partial<CallDefinition> | null)
      : undefined;
  return {
    path,
    name: typeof raw["name"] === "string" ? raw["name"] : path,
    events: config,
    call: { inputs: rawCall?.inputs ?? {}, outputs: rawCall?.outputs ?? {} },
    jobs: all,
    raw,
    token,
    callErrors: (key, called) => {
      // The check writes into what it is given: it gets a reading of its own.
      const own = read();
      const job = own.jobs.find((one) => one.id.value === key);
      if (job?.type !== "reusableWorkflowJob") return [];
      referenced.convertReferencedWorkflow(own.context, called.token, job);
      return messages(own.context);
    },
  };
}

function property(token: TemplateToken, name: string): TemplateToken | undefined {
  for (const { key, value } of token.assertMapping("workflow"))
    if (key.assertString("key").value === name) return value;
  return undefined;
}

function messages(context: TemplateContext): string[] {
  return context.errors.getErrors().map((error) => error.message);
}

function check(path: string, context: TemplateContext): void {
  const found = messages(context);
  if (found.length > 0)
    throw new WorkflowError(`Invalid workflow file: ${path}: ${found.join("; ")}`);
}
