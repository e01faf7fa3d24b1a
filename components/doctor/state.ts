import type { RecordedResource } from "../stack/recordedHosts";
import { type Finding, orOk, problem, skipped } from "./check";
import type { Context } from "./context";
import { exists, KINDS, readThings, type Thing } from "./hetznerProject";

/** Compares what carries the stack's labels with what its state has. */
export interface Comparison {
  /** There, but not in the state. */
  readonly orphans: readonly Thing[];
  /** In the state, but there no more. */
  readonly missing: readonly Thing[];
  /** How many things the state has in the project. */
  readonly recorded: number;
}

/** @param options `--stack` and, where it is not the default, `--config-file` */
export function judgeState(
  { orphans, missing, recorded }: Comparison,
  options: readonly string[],
): readonly Finding[] {
  const lost =
    recorded === 0 && orphans.length > 0
      ? [
          problem(
            `The stack's state has nothing at Hetzner, where ${orphans.length === 1 ? "1 thing has" : `${orphans.length} things have`} its labels: it was lost, or another backend keeps it, and then nothing of what follows should be deleted.`,
            "pulumi whoami --verbose",
          ),
        ]
      : [];
  return orOk(
    [
      ...lost,
      ...missing.map(({ kind, id, name }) =>
        problem(
          `The stack's state has the ${kind.noun} ${name} (${id}), which is not in the Hetzner project any more.`,
          ["pulumi up --refresh", ...options].join(" "),
        ),
      ),
      ...orphans.map(({ kind, id, name }) =>
        problem(
          `The ${kind.noun} ${name} (${id}) has the stack's labels, but its state does not have it.`,
          `hcloud ${kind.command} delete ${id}`,
        ),
      ),
    ],
    recorded === 0
      ? "Neither the stack's state nor its labels have anything in the Hetzner project yet."
      : `The ${recorded} things that the stack's state has in the Hetzner project are all that have its labels.`,
  );
}

export async function checkState(context: Context): Promise<readonly Finding[]> {
  const { settings, prefix, options } = await context.stack();
  const { resources } = await context.recorded();
  const recorded = recordedThings(resources);
  if (Object.keys(settings.pools).length === 0 && recorded.length === 0) {
    return [skipped("There is no pool of own hosts.")];
  }
  const { api } = await context.hetzner();
  const found = await readThings(api, prefix);
  const isSame = (one: Thing) => (other: Thing) => one.kind === other.kind && one.id === other.id;
  // Somebody may have taken the labels off.
  const missing = await Promise.all(
    recorded
      .filter((one) => !found.some(isSame(one)))
      .map(async (one) => ((await exists(api, one.kind, one.id)) ? [] : [one])),
  );
  const comparison = {
    orphans: found.filter((one) => !recorded.some(isSame(one))),
    missing: missing.flat(),
    recorded: recorded.length,
  };
  return judgeState(comparison, options);
}

/** What a state has of the kinds of things that are looked for, by kind and name. */
export function recordedThings(resources: readonly RecordedResource[]): Thing[] {
  const things = resources.flatMap(({ type, id, outputs }) => {
    const kind = KINDS.find((one) => one.type === type);
    if (kind === undefined || id === undefined || id === "") return [];
    return [{ kind, id, name: typeof outputs?.name === "string" ? outputs.name : id }];
  });
  const rank = ({ kind, name }: Thing) => `${KINDS.indexOf(kind)} ${name}`;
  return things.sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
}
