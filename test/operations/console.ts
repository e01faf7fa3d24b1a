/** A step of a task, as the documentation words it. */
export type Step =
  | {
      readonly kind: "command";
      /** What a shell is given. */
      readonly command: string;
      /** Lines that are to be seen, in this order; `…` stands for anything. */
      readonly seen: readonly string[];
    }
  /** What happens beside the commands: the words of an HTML comment. */
  | { readonly kind: "meanwhile" | "afterwards"; readonly what: string };

export interface Task {
  readonly title: string;
  readonly steps: readonly Step[];
}

const COMMENT = /^<!-- (meanwhile|afterwards): (.+) -->$/;

/** The tasks of a document: its sections, with the commands of their `console` blocks. */
export function readTasks(markdown: string): readonly Task[] {
  const tasks: { title: string; steps: Step[] }[] = [];
  let steps: Step[] = [];
  let inside = false;
  let command: { kind: "command"; command: string; seen: string[] } | undefined;
  for (const line of markdown.split("\n")) {
    if (line.startsWith("```")) {
      inside = !inside && line === "```console";
      command = undefined;
    } else if (inside && line.startsWith("$ ")) {
      command = { kind: "command", command: line.slice(2), seen: [] };
      steps.push(command);
    } else if (inside) {
      if (command === undefined) throw new Error(`no command comes before the line "${line}"`);
      if (line.trim() !== "") command.seen.push(line.trim());
    } else {
      const [, title] = /^## (.+)$/.exec(line) ?? [];
      const [, kind, what] = COMMENT.exec(line) ?? [];
      if (title !== undefined) tasks.push({ title, steps: (steps = []) });
      if (what !== undefined) steps.push({ kind: kind as "meanwhile" | "afterwards", what });
    }
  }
  return tasks;
}

/** The first of the lines that is not seen in the output, after those before it; undefined when all are. */
export function unseen(wanted: readonly string[], output: string): string | undefined {
  const lines = output.split("\n").map(plain);
  let at = 0;
  for (const line of wanted) {
    const parts = plain(line).split("…").map(escaped);
    const pattern = new RegExp(`^${parts.join(".*")}$`);
    const found = lines.findIndex((one, index) => index >= at && pattern.test(one));
    if (found < 0) return line;
    at = found + 1;
  }
  return undefined;
}

/** Without what aligns columns. */
function plain(line: string): string {
  return line.trim().replaceAll(/\s+/g, " ");
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
