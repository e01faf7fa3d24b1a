import type { Proposal } from "./propose";
import { isChange } from "./propose";

/** An exact text of a file and the one in its place. */
export interface Edit {
  /** Path below the project's folder. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * What has to be written for a proposal.
 * @param workflows this repository's own workflow files, content by path
 */
export function editsOf(
  proposal: Proposal,
  workflows: ReadonlyMap<string, string>,
): readonly Edit[] {
  const { pin, version, digest = "" } = proposal;
  if (!isChange(proposal)) return [];
  const before = pin.digest ?? "";
  const inPlaces = pin.places.map(({ file, text, keeps = false }) => {
    const from = text(pin.current, before);
    const to = text(version, digest);
    return { file, from, to: keeps && version !== pin.current ? to + from : to };
  });
  if (pin.kind !== "action") return inPlaces.filter(({ from, to }) => from !== to);
  // With a path in the action's repository as well, so that its name is not part of what is looked for.
  const from = `@${before} # ${pin.current}`;
  const to = `@${digest} # ${version}`;
  const users = [...workflows].filter(([, text]) => text.includes(from));
  return [...inPlaces, ...users.map(([file]) => ({ file, from, to }))];
}

/**
 * The files after the edits; those without one are left out.
 * @throws Error when a file does not hold what is to be replaced.
 */
export function applyEdits(
  files: ReadonlyMap<string, string>,
  edits: readonly Edit[],
): ReadonlyMap<string, string> {
  const edited = new Map<string, string>();
  for (const { file, from, to } of edits) {
    const text = edited.get(file) ?? files.get(file) ?? "";
    if (!text.includes(from)) {
      throw new Error(
        `${file}: found no ${JSON.stringify(from)}, expected it as the table has it.`,
      );
    }
    edited.set(
      file,
      text.replaceAll(from, () => to),
    );
  }
  return edited;
}
