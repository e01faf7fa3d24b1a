import { z } from "zod";
import type { Stack } from "../stack/stack";

/** What `pulumi preview` would do, from the engine's events. */
export interface Preview {
  /** One for each resource, those that stay as they are among them. */
  readonly steps: readonly Step[];
  /** Why it failed, in the words of the program, of the engine or of a provider; empty where it did not. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** What the engine would do with one resource. Secrets in it are `[secret]`. */
export interface Step {
  readonly op: "same" | "create" | "update" | "replace" | "delete";
  readonly type: string;
  /** Name in the program, the last part of the URN. */
  readonly name: string;
  /** As recorded; undefined for what is created. */
  readonly old: ResourceState | undefined;
  /** As the program wants it; undefined for what is deleted. */
  readonly new: ResourceState | undefined;
  /** Names of the properties that ask for a replacement, or else of those that change. */
  readonly reasons: readonly string[];
}

export interface ResourceState {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly outputs: Readonly<Record<string, unknown>>;
  /** Whether it outlives its deletion here. */
  readonly retained: boolean;
}

const properties = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {});
const state = z
  .object({ inputs: properties, outputs: properties, retainOnDelete: z.boolean().nullish() })
  .nullish()
  .transform((value): ResourceState | undefined => {
    if (value == null) return undefined;
    const { inputs, outputs, retainOnDelete } = value;
    return { inputs, outputs, retained: retainOnDelete === true };
  });
const names = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? []);

const engineEvent = z.object({
  resourcePreEvent: z
    .object({
      metadata: z.object({
        op: z.string(),
        urn: z.string(),
        type: z.string(),
        old: state,
        new: state,
        keys: names,
        diffs: names,
      }),
    })
    .optional(),
  diagnosticEvent: z
    .object({ message: z.string(), severity: z.string(), ephemeral: z.boolean().optional() })
    .optional(),
  errorEvent: z.object({ error: z.string() }).optional(),
});

/** The CLI's own variable: with it `--json` prints events as they come, one object a line. */
export const EVENTS_ENVIRONMENT = { PULUMI_ENABLE_STREAMING_JSON_PREVIEW: "true" } as const;

/**
 * Runs `pulumi preview`. Nothing of it is written to a disk.
 * @param stack one that was opened with `EVENTS_ENVIRONMENT`
 * @param refresh looks first at what there really is, rather than at what the last run has recorded
 * @throws Error with the CLI's last words when it did not come as far as the engine.
 */
export async function previewStack(
  stack: Pick<Stack, "pulumi" | "options">,
  { refresh = false }: { readonly refresh?: boolean } = {},
): Promise<Preview> {
  const args = ["preview", "--json", ...(refresh ? ["--refresh"] : []), ...stack.options];
  try {
    return readPreview(await stack.pulumi(args));
  } catch (error) {
    const { stdout } = ((error as Error).cause ?? {}) as { stdout?: unknown };
    if (typeof stdout !== "string") throw error;
    const preview = readPreview(stdout);
    if (preview.problems.length > 0) return preview;
    throw error;
  }
}

const OPERATIONS: readonly string[] = ["same", "create", "update", "replace", "delete"];

/** @param text events of the engine as JSON, one a line */
export function readPreview(text: string): Preview {
  // By URN and operation: what is refreshed first is announced twice.
  const steps = new Map<string, Step>();
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("{")) continue;
    const event = engineEvent.parse(JSON.parse(line));
    const step = event.resourcePreEvent?.metadata;
    if (step !== undefined && OPERATIONS.includes(step.op)) {
      const { op, urn, type, keys, diffs } = step;
      steps.set(`${op} ${urn}`, {
        op: op as Step["op"],
        type,
        name: urn.slice(urn.lastIndexOf("::") + 2),
        old: step.old,
        new: step.new,
        reasons: [...new Set(keys.length > 0 ? keys : diffs)],
      });
    }
    const said = event.diagnosticEvent;
    if (said !== undefined && said.ephemeral !== true) {
      if (said.severity === "error") problems.push(...sentences(said.message));
      if (said.severity === "warning") warnings.push(...sentences(said.message));
    }
    if (event.errorEvent !== undefined) problems.push(...sentences(event.errorEvent.error));
  }
  return {
    steps: [...steps.values()],
    problems: [...new Set(problems)],
    warnings: [...new Set(warnings)],
  };
}

/** One for each line, without the colours that messages carry. */
function sentences(message: string): string[] {
  return message
    .replaceAll(/<\{%[^%]*%\}>/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
