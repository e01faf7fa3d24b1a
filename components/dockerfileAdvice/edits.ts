import type { BuildFile, Step } from "./dockerfile";
import type { Edit } from "./finding";

/** Puts lines in the place of a step. */
export function replaceStep(file: BuildFile, step: Step, lines: readonly string[]): Edit {
  return { file: file.path, first: step.first, last: step.last, lines };
}

/** Puts lines before a step. */
export function insertBefore(file: BuildFile, step: Step, lines: readonly string[]): Edit {
  return { file: file.path, first: step.first, last: step.first - 1, lines };
}

/** The lines of a RUN step with flags added and its text changed. */
export function rewritten(
  file: BuildFile,
  step: Step,
  options: { readonly flags?: readonly string[]; readonly text?: (script: string) => string },
): string[] {
  const { flags = [], text = (script: string) => script } = options;
  const whole = step.lines.join("\n");
  const [head = ""] = /^\s*(?:ONBUILD\s+)?RUN\s+/i.exec(whole) ?? [];
  const script = text(whole.slice(head.length));
  // A here-document has to start on the line of its instruction.
  const separator = step.heredoc ? " " : ` ${file.escape}\n    `;
  const rest = script.replace(new RegExp(`^${file.escape === "`" ? "`" : "\\\\"}\\n\\s*`), "");
  return [head + [...flags, rest].join(separator)].join("").split("\n");
}

/** A text with edits made: for all that belong to its file. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  const lines = text.split("\n");
  const backwards = [...edits].sort((a, b) => b.first - a.first || b.last - a.last);
  for (const { first, last, lines: replacement } of backwards) {
    lines.splice(first - 1, last - first + 1, ...replacement);
  }
  return lines.join("\n");
}
