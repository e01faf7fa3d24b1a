/** One simple command of a shell script. */
export interface Command {
  /** Variables set for this command alone. */
  readonly env: Readonly<Record<string, string>>;
  /** The program and its arguments, without quotes. */
  readonly words: readonly string[];
}

const LEADING = new Set([
  ...["then", "do", "else", "if", "elif", "while", "until", "!", "{", "}", "fi", "done"],
  ...["sudo", "exec", "time", "command", "env", "nice"],
]);
const ASSIGNMENT = /^([A-Za-z_]\w*)=(.*)$/s;

/**
 * The simple commands of a script, in order: those of lists, pipes, groups and conditions alike. Enough of the language
 * to see which programs run with which arguments; what is inside `$(...)` stays one word.
 */
export function commandsOf(script: string): Command[] {
  const commands: Command[] = [];
  let words: string[] = [];
  let word: string | undefined;
  const endWord = () => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  const endCommand = () => {
    endWord();
    const command = simple(words);
    if (command.words.length > 0) commands.push(command);
    words = [];
  };
  for (let at = 0; at < script.length; at++) {
    const char = script[at]!;
    if (char === "\\" && at + 1 < script.length) {
      const next = script[++at]!;
      if (next !== "\n") word = (word ?? "") + next;
    } else if (char === "'" || char === '"') {
      const end = closing(script, at, char);
      word = (word ?? "") + script.slice(at + 1, end);
      at = end;
    } else if (char === "$" && (script[at + 1] === "(" || script[at + 1] === "{")) {
      const end = closingBracket(script, at + 1);
      word = (word ?? "") + script.slice(at, end + 1);
      at = end;
    } else if (char === "#" && word === undefined) {
      const end = script.indexOf("\n", at);
      at = (end < 0 ? script.length : end) - 1;
    } else if (char === ">" || char === "<") {
      // A redirection is no argument, nor is what follows it.
      endWord();
      const target = /^[<>&|]*\d*\s*[^\s;&|]*/.exec(script.slice(at))![0];
      at += target.length - 1;
    } else if (";\n|&()".includes(char)) {
      endCommand();
    } else if (/\s/.test(char)) {
      endWord();
    } else {
      word = (word ?? "") + char;
    }
  }
  endCommand();
  return commands;
}

function closing(script: string, start: number, quote: string): number {
  for (let at = start + 1; at < script.length; at++) {
    if (quote === '"' && script[at] === "\\") at++;
    else if (script[at] === quote) return at;
  }
  return script.length;
}

function closingBracket(script: string, start: number): number {
  const open = script[start]!;
  const close = open === "(" ? ")" : "}";
  let depth = 0;
  for (let at = start; at < script.length; at++) {
    if (script[at] === open) depth++;
    else if (script[at] === close && --depth === 0) return at;
  }
  return script.length;
}

function simple(words: readonly string[]): Command {
  const env: Record<string, string> = {};
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at]!;
    const assignment = ASSIGNMENT.exec(word);
    if (assignment) env[assignment[1]!] = assignment[2]!;
    else if (!LEADING.has(word)) break;
  }
  return { env, words: words.slice(at) };
}

/** The arguments of a command that are no options; the value of an option stands beside it only after `=`. */
export function operands(command: Command): string[] {
  return command.words.filter((word) => !word.startsWith("-"));
}

/** Whether a command is one of a program's subcommands, with options allowed before it. */
export function isCall(command: Command, program: string, ...subcommands: string[]): boolean {
  const [first, ...rest] = command.words;
  if (first === undefined || first.slice(first.lastIndexOf("/") + 1) !== program) return false;
  if (subcommands.length === 0) return true;
  const subcommand = rest.find((word) => !word.startsWith("-"));
  return subcommand !== undefined && subcommands.includes(subcommand);
}
