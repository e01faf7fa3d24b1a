import { z } from "zod";
import { ExpressionError } from "./expressions";

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
