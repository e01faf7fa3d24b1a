import { parse } from "yaml";
import { z } from "zod";
import { evaluateScalar, ExpressionError, type Value } from "./expressions";

/** What a job asks for. */
export interface RunsOn {
  readonly group: string | undefined;
  /** All of them must be had; at least one unless a group is named. */
  readonly labels: readonly string[];
}

const labels = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);
const shape = z.union([
  labels,
  z.strictObject({ group: z.string().min(1), labels: labels.optional() }),
  z.strictObject({ group: z.string().min(1).optional(), labels }),
]);

/** Reads a `runs-on` value: a label, a list of labels, or `{ group, labels }`. Throws ExpressionError on anything else. */
export function parseRunsOn(value: unknown): RunsOn {
  const parsed = shape.safeParse(value);
  if (!parsed.success)
    throw new ExpressionError(
      `runs-on must be a label, a list of labels or { group, labels }, got ${JSON.stringify(value)}`,
    );
  const list = (given: z.infer<typeof labels> | undefined): string[] =>
    given === undefined ? [] : typeof given === "string" ? [given] : given;
  const { data } = parsed;
  if (typeof data === "string" || Array.isArray(data))
    return { group: undefined, labels: list(data) };
  return { group: data.group, labels: list(data.labels) };
}

const workflow = z.looseObject({
  name: z.string().optional(),
  jobs: z.record(
    z.string(),
    z.looseObject({ name: z.string().optional(), "runs-on": z.unknown().optional() }),
  ),
});

/** One job of a workflow file: its display name and where it wants to run, with every expression evaluated. */
export function jobInWorkflow(
  text: string,
  job: string,
  contexts: Record<string, Value>,
): { name: string; runsOn: RunsOn } {
  const parsed = workflow.safeParse(parse(text));
  if (!parsed.success)
    throw new ExpressionError(`Not a workflow file: ${z.prettifyError(parsed.error)}`);
  const found = parsed.data.jobs[job];
  if (found === undefined)
    throw new ExpressionError(
      `The workflow has no job "${job}", only ${Object.keys(parsed.data.jobs).join(", ")}`,
    );
  if (found["runs-on"] === undefined) throw new ExpressionError(`Job "${job}" has no runs-on`);
  return {
    name: toLabel(evaluateIn(found.name ?? job, contexts), job),
    runsOn: parseRunsOn(evaluateIn(found["runs-on"], contexts)),
  };
}

function toLabel(value: Value, otherwise: string): string {
  return typeof value === "string" ? value : otherwise;
}

function evaluateIn(value: unknown, contexts: Record<string, Value>): Value {
  if (typeof value === "string") return evaluateScalar(value, contexts);
  if (Array.isArray(value)) return value.map((one) => evaluateIn(one, contexts));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, evaluateIn(one, contexts)]),
    );
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}
