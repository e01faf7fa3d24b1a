import { z } from "zod";

/**
 * What the executor is told on stdin. Steps are those of the workflow file, with expressions that are not evaluated
 * yet. An unknown key of a step is refused: it would have been ignored silently.
 */

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const scalars = z.record(z.string(), scalar);
const object = z.record(z.string(), z.unknown());

const stepDefinition = z.strictObject({
  id: z.string().optional(),
  name: z.string().optional(),
  if: scalar.optional(),
  uses: z.string().optional(),
  with: scalars.optional(),
  env: scalars.optional(),
  run: z.string().optional(),
  shell: z.string().optional(),
  "working-directory": z.string().optional(),
  "continue-on-error": z.union([z.boolean(), z.string()]).optional(),
  "timeout-minutes": z.union([z.number(), z.string()]).optional(),
});

const executorInput = z.object({
  message: z.object({
    name: z.string(),
    repository: z.string(),
    /** Environment of every step, below all that the workflow sets. */
    env: z.record(z.string(), z.string()),
    /** 0: no limit. */
    timeout_seconds: z.number().nonnegative(),
    /** Values that no log may show. */
    masks: z.array(z.string()),
    steps: z.array(stepDefinition),
    job: z.object({
      /** Key below `jobs`. */
      id: z.string(),
      /** Of the workflow, then of the job. */
      env: z.array(scalars),
      defaults: z
        .object({
          run: z
            .object({
              shell: z.string().optional(),
              "working-directory": z.string().optional(),
            })
            .optional(),
        })
        .optional(),
      outputs: z.record(z.string(), scalar),
      contexts: z.object({
        github: object,
        vars: object,
        secrets: object,
        needs: object,
        strategy: object,
        matrix: object,
        inputs: object,
      }),
    }),
  }),
  runner: z.object({
    name: z.string(),
    arch: z.enum(["X64", "ARM64"]),
    environment: z.enum(["github-hosted", "self-hosted"]),
    /** Where the repository goes: absolute paths of folders. */
    workspace: z.string(),
    temp: z.string(),
    toolCache: z.string(),
  }),
});

export type Scalar = z.infer<typeof scalar>;
export type StepDefinition = z.infer<typeof stepDefinition>;
export type ExecutorInput = z.infer<typeof executorInput>;

export type Conclusion = "success" | "failure" | "cancelled" | "skipped";

/** A step that has ended, as GitHub's REST view of a job lists it. */
export interface StepReport {
  /** From 1. */
  readonly number: number;
  readonly name: string;
  readonly status: "completed";
  readonly conclusion: Conclusion;
  /** ISO 8601. */
  readonly started_at: string;
  readonly completed_at: string;
}

/** What the executor writes to the file named by RUNNER_FLEET_RESULT, anew after each step. */
export interface JobReport {
  /** Absent while the job runs. */
  readonly result?: "succeeded" | "failed" | "cancelled";
  readonly outputs: Readonly<Record<string, string>>;
  readonly steps: readonly StepReport[];
}

/** @throws Error with one sentence that says where the text is not what the executor takes. */
export function parseInput(text: string): ExecutorInput {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The executor got something else than JSON on stdin, expected one job.");
  }
  const parsed = executorInput.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(
    `The executor cannot run this job: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it is not a job"}.`,
  );
}

/** A YAML scalar as GitHub reads it where it wants text. */
export function textOf(value: Scalar | undefined): string {
  return value === null || value === undefined ? "" : String(value);
}
