/** A file of a host. */
export interface StoredFile {
  readonly mode: string;
  /** User and group; without one it belongs to root. */
  readonly owner?: string;
  readonly content: string;
}

/** What a script that a host gets over SSH amounts to: files to lay down, then commands. */
export interface ApplyScript {
  readonly files: ReadonlyMap<string, StoredFile>;
  readonly commands: readonly (readonly string[])[];
}

const WORD = String.raw`(?:[A-Za-z0-9_./:@%+=,-]+|'(?:[^']|'\\'')*')`;
const HEREDOC = new RegExp(`^cat >(${WORD}) <<'([A-Za-z0-9_]+)'$`);
/** A command; one that sets a variable first would need a shell. What is to be said when it fails is left out. */
const COMMAND = new RegExp(
  String.raw`^(?![^ ]*=)(${WORD}(?: ${WORD})*)(?: \|\| \{ .* exit 1; \})?$`,
);

/** Lines that frame the files and commands, and the wait for cloud-init, which is over when SSH answers. */
const FRAME = [
  /^set -euo pipefail$/,
  /^umask 077$/,
  /^apply\(\) \{$/,
  /^cloud-init status --wait >\/dev\/null \|\| true$/,
  /^install -d -m 0755 [^ ]+$/,
  /^\}$/,
  /^apply <\/dev\/null$/,
  /^(#.*)?$/,
];

/**
 * Understands a script by what it lays down. No shell runs it: a line that is not of the known forms is an error, before
 * anything is applied.
 */
export function parseApplyScript(text: string): ApplyScript {
  const files = new Map<string, StoredFile>();
  const commands: string[][] = [];
  const lines = text.split("\n");
  const refuse = (at: number, reason: string): Error =>
    new Error(
      `line ${at + 1} of the script ${reason}, expected what lays down files and applies them`,
    );
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const heredoc = HEREDOC.exec(line);
    if (heredoc !== null) {
      const end = lines.indexOf(heredoc[2] ?? "", at + 1);
      if (end < 0) throw refuse(at, "begins a file that has no end");
      const content = lines.slice(at + 1, end).map((one) => `${one}\n`);
      files.set(unquote(heredoc[1] ?? ""), { mode: "0600", content: content.join("") });
      at = end;
      continue;
    }
    if (FRAME.some((form) => form.test(line))) continue;
    // The line itself may hold what must not be shown.
    const command = COMMAND.exec(line)?.[1];
    if (command === undefined) throw refuse(at, "is not understood");
    const words = [...command.matchAll(new RegExp(WORD, "g"))].map(([word]) => unquote(word));
    const [program, first = "", second = ""] = words;
    const file = files.get(second);
    if (program === "chmod" && words.length === 3 && file !== undefined) {
      files.set(second, { ...file, mode: first });
    } else if (program === "chown" && words.length === 3 && file !== undefined) {
      files.set(second, { ...file, owner: first });
    } else if (line.startsWith("mv -f ") && words.length === 4 && files.has(second)) {
      files.set(words[3] ?? "", files.get(second) as StoredFile);
      files.delete(second);
    } else if (/^(chmod|chown|mv)$/.test(program ?? "")) {
      throw refuse(at, "changes a file that it has not laid down");
    } else {
      commands.push(words);
    }
  }
  return { files, commands };
}

function unquote(word: string): string {
  return word.startsWith("'") ? word.slice(1, -1).replaceAll("'\\''", "'") : word;
}
