import { posix } from "node:path";
import {
  Copy,
  DockerfileParser,
  type Flag,
  From,
  type Heredoc,
  type Instruction,
  Onbuild,
  Run,
} from "dockerfile-ast";
import { type Command, commandsOf } from "./shell";

/** One instruction. */
export interface Step {
  /** In capitals; of an ONBUILD instruction, that of its trigger. */
  readonly keyword: string;
  /** Runs when another image builds on this one. */
  readonly onbuild: boolean;
  /** First and last line, from 1. */
  readonly first: number;
  readonly last: number;
  /** Those lines as they are. */
  readonly lines: readonly string[];
  readonly flags: readonly { readonly name: string; readonly value: string }[];
  /** Arguments after the flags, of the JSON form those of its list. */
  readonly words: readonly string[];
  /** Whether the arguments are a JSON list. */
  readonly json: boolean;
  readonly heredoc: boolean;
  /** What RUN runs; empty for other instructions. */
  readonly commands: readonly Command[];
  /** Working directory when it runs; undefined where the base image or a variable decides. */
  readonly cwd: string | undefined;
  /** User when it runs, as far as this file says. */
  readonly user: string | undefined;
  /** Variables that ENV and ARG have set by then, with their values where these have no variables in them. */
  readonly env: Readonly<Record<string, string>>;
  /** Names and values that ENV or ARG sets, each with its text. */
  readonly assigned: readonly {
    readonly name: string;
    readonly value: string | undefined;
    readonly text: string;
  }[];
}

export interface Stage {
  readonly index: number;
  readonly name: string | undefined;
  readonly from: Step;
  /** As written. */
  readonly image: string;
  /** With default values of variables put in; undefined where one has none. */
  readonly resolvedImage: string | undefined;
  /** The stage of this file that it builds on. */
  readonly base: Stage | undefined;
  readonly platform: string | undefined;
  readonly steps: readonly Step[];
}

export interface BuildFile {
  readonly path: string;
  readonly lines: readonly string[];
  /** What continues a line at its end: a backslash unless a directive says otherwise. */
  readonly escape: string;
  /** ARG instructions before the first stage. */
  readonly globals: readonly Step[];
  readonly stages: readonly Stage[];
}

const SHELLS = /^(?:\/\S*\/)?(?:ba|da|a|z)?sh\b/;

/** Reads a Dockerfile into stages and steps. Instructions before the first FROM, except ARG, are left out. */
export function readDockerfile(path: string, text: string): BuildFile {
  const lines = text.split(/\r?\n/);
  const parsed = DockerfileParser.parse(text);
  const escape = parsed.getEscapeCharacter();
  const globals: Step[] = [];
  const stages: Stage[] = [];
  const global: Record<string, string> = {};
  let steps: Step[] = [];
  let context: Context = { cwd: undefined, user: undefined, env: {} };
  const ends = new Map<Stage, Context>();
  for (const instruction of parsed.getInstructions()) {
    if (instruction instanceof From) {
      const previous = stages.at(-1);
      if (previous) ends.set(previous, context);
      steps = [];
      const name = instruction.getBuildStage() ?? undefined;
      const image = instruction.getImage() ?? "";
      const resolvedImage = expand(image, global);
      const base = baseOf(stages, image, resolvedImage);
      context = (base && ends.get(base)) ?? { cwd: undefined, user: undefined, env: {} };
      const from = readStep(instruction, lines, escape, context);
      const platform = instruction.getPlatformFlag()?.getValue() ?? undefined;
      stages.push({
        index: stages.length,
        ...{ name, from, image, resolvedImage, base, platform, steps },
      });
      continue;
    }
    const step = readStep(instruction, lines, escape, context);
    if (stages.length > 0) steps.push(step);
    else if (step.keyword === "ARG") {
      globals.push(step);
      for (const { name, value } of step.assigned) {
        const known = value === undefined ? undefined : expand(value, global);
        if (known !== undefined) global[name] = known;
      }
    }
    context = after(step, context);
  }
  return { path, lines, escape, globals, stages };
}

/** The stage that an image's name stands for; of those that a variable chooses from, one. */
function baseOf(
  stages: readonly Stage[],
  image: string,
  resolved: string | undefined,
): Stage | undefined {
  const byName = (wanted: RegExp) =>
    stages.filter(({ name }) => name !== undefined && wanted.test(name)).at(-1);
  const exact = byName(new RegExp(`^${literal(resolved ?? image)}$`, "i"));
  if (exact !== undefined || !image.includes("$")) return exact;
  const [head = "", ...rest] = image.split(/\$(?:\{[^}]*\}|\w+)/).map(literal);
  // A variable alone may be anything.
  return head + rest.join("") === ""
    ? undefined
    : byName(new RegExp(`^${[head, ...rest].join(".*")}$`, "i"));
}

/** A text as part of a regular expression. */
export function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

interface Context {
  readonly cwd: string | undefined;
  readonly user: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

/** A stage by its name, or by its number where COPY and mounts allow that. */
export function stageNamed(stages: readonly Stage[], reference: string): Stage | undefined {
  const named = stages.filter(({ name }) => name?.toLowerCase() === reference.toLowerCase()).at(-1);
  return named ?? (/^\d+$/.test(reference) ? stages[Number(reference)] : undefined);
}

function after(step: Step, context: Context): Context {
  if (step.onbuild) return context;
  switch (step.keyword) {
    case "WORKDIR": {
      const target = expand(step.words[0] ?? "", context.env);
      if (target === undefined) return { ...context, cwd: undefined };
      if (target.startsWith("/")) return { ...context, cwd: posix.normalize(target) };
      return {
        ...context,
        cwd: context.cwd === undefined ? undefined : posix.join(context.cwd, target),
      };
    }
    case "USER":
      return { ...context, user: step.words[0] };
    case "ENV":
    case "ARG": {
      const env = { ...context.env };
      for (const { name, value } of step.assigned) {
        env[name] = value === undefined ? "" : (expand(value, env) ?? "");
      }
      return { ...context, env };
    }
    default:
      return context;
  }
}

/** A text with `$NAME`, `${NAME}` and `${NAME:-default}` put in, or undefined if one of them has no value. */
export function expand(text: string, values: Readonly<Record<string, string>>): string | undefined {
  let known = true;
  const result = text.replace(
    /\$(?:\{(\w+)(?::-([^}]*))?[^}]*\}|(\w+))/g,
    (_, braced: string | undefined, fallback: string | undefined, bare: string | undefined) => {
      const value = values[braced ?? bare ?? ""] || fallback;
      if (value === undefined) known = false;
      return value ?? "";
    },
  );
  return known ? result : undefined;
}

function readStep(
  outer: Instruction,
  lines: readonly string[],
  escape: string,
  context: Context,
): Step {
  const trigger = outer instanceof Onbuild ? outer.getTriggerInstruction() : null;
  const instruction = trigger ?? outer;
  const { start, end } = outer.getRange();
  const own = lines.slice(start.line, end.line + 1);
  const keyword = instruction.getKeyword();
  const list = jsonList(instruction.getArgumentsContent());
  const heredocs =
    instruction instanceof Run || instruction instanceof Copy ? instruction.getHeredocs() : [];
  return {
    keyword,
    onbuild: trigger !== null,
    first: start.line + 1,
    last: end.line + 1,
    lines: own,
    flags:
      "getFlags" in instruction
        ? (instruction.getFlags as () => Flag[])().map((flag) => ({
            name: flag.getName(),
            value: flag.getValue() ?? "",
          }))
        : [],
    words: list ?? instruction.getArguments().map((argument) => argument.getValue()),
    json: list !== undefined,
    heredoc: heredocs.length > 0,
    commands: keyword === "RUN" ? runCommands(own, list, heredocs, escape) : [],
    ...context,
    assigned: keyword === "ENV" || keyword === "ARG" ? assignments(instruction) : [],
  };
}

function jsonList(text: string | null): string[] | undefined {
  if (!text?.startsWith("[")) return undefined;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((word) => typeof word === "string") ? list : undefined;
  } catch {
    // Docker takes what is no JSON for a shell command.
    return undefined;
  }
}

function assignments(instruction: Instruction): Step["assigned"] {
  if (!("getProperties" in instruction)) return [];
  interface Assignment {
    getName(): string;
    getValue(): string | null;
    getUnescapedValue(): string | null;
  }
  const properties = (instruction.getProperties as () => Assignment[])();
  return properties.map((property) => {
    const value = property.getValue() ?? undefined;
    const written = property.getUnescapedValue() ?? undefined;
    const text = written === undefined ? property.getName() : `${property.getName()}=${written}`;
    return { name: property.getName(), value, text };
  });
}

function runCommands(
  lines: readonly string[],
  list: readonly string[] | undefined,
  heredocs: readonly Heredoc[],
  escape: string,
): Command[] {
  if (list !== undefined) {
    const [shell = "", option, script] = list;
    if (SHELLS.test(shell) && option === "-c") return commandsOf(script ?? "");
    return list.length > 0 ? [{ env: {}, words: list }] : [];
  }
  // The lines of a here-document come after that on which it starts.
  const [firstBody] = heredocs.map((heredoc) => heredoc.getContentRange()?.start.line);
  const logical = (head: readonly string[]) =>
    head
      .filter((line) => !/^\s*#/.test(line))
      .map((line) =>
        line.trimEnd().endsWith(escape) ? `${line.trimEnd().slice(0, -1)} ` : `${line}\n`,
      )
      .join("")
      .replace(/^\s*(?:ONBUILD\s+)?RUN\s+/i, "")
      .replace(/^(?:--\S+\s+)+/, "");
  if (heredocs.length === 0 || firstBody === undefined) return commandsOf(logical(lines));
  const headLines = lines.findIndex((line) => /<<-?["']?\w/.test(line)) + 1;
  const head = logical(lines.slice(0, headLines)).trim();
  const body = lines.slice(headLines, -1).join("\n");
  const interpreter = head.replace(/<<-?["']?\w+["']?/g, "").trim();
  if (!head.startsWith("<<")) return commandsOf(head.replace(/<<-?["']?\w+["']?/g, ""));
  return interpreter === "" || SHELLS.test(interpreter)
    ? commandsOf(body)
    : commandsOf(interpreter);
}

/** Values of a flag such as `--mount`, each as its options. */
export function mounts(step: Step): Readonly<Record<string, string>>[] {
  return step.flags
    .filter(({ name }) => name === "mount")
    .map(({ value }) =>
      Object.fromEntries(
        value.split(",").map((option) => {
          const [key = "", ...rest] = option.split("=");
          return [ALIASES[key] ?? key, rest.join("=")];
        }),
      ),
    );
}

const ALIASES: Readonly<Record<string, string>> = {
  dst: "target",
  destination: "target",
  src: "source",
};

/** The value of a flag, or undefined. */
export function flag(step: Step, wanted: string): string | undefined {
  return step.flags.find(({ name }) => name === wanted)?.value;
}

/** A stage and those that it builds on, the oldest first. */
export function lineage(stage: Stage): Stage[] {
  return stage.base === undefined ? [stage] : [...lineage(stage.base), stage];
}

/** Whether a stage is, or builds on, another. */
export function buildsOn(stage: Stage, other: Stage): boolean {
  return lineage(stage).includes(other);
}

/** The steps of a stage in the two orders in which they run: now, and when another image builds on it. */
export function sequences(stage: Stage): Step[][] {
  const now = stage.steps.filter(({ onbuild }) => !onbuild);
  const later = stage.steps.filter(({ onbuild }) => onbuild);
  return [now, later].filter((steps) => steps.length > 0);
}
