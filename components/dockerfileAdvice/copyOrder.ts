import { posix } from "node:path";
import { type ContextCopy, contextCopy } from "./context";
import { type BuildFile, expand, lineage, sequences, type Stage, type Step } from "./dockerfile";
import { insertBefore, replaceStep } from "./edits";
import type { Edit, Finding, Rule, Subject } from "./finding";
import { hasCacheMount } from "./cacheMount";
import { type Command, commandsOf, isCall } from "./shell";
import { requirementFiles, TOOL_NAMES, type ToolName, TOOLS } from "./tools";

/** Fetches dependencies from the manifests alone, for tools that need the sources for all else that they do. */
const FETCHES: Partial<Record<ToolName, (command: Command) => string>> = {
  go: () => "go mod download",
  // Cargo reads no manifest without a source beside it.
  cargo: () => "mkdir -p src && touch src/lib.rs src/main.rs && cargo fetch && rm -r src",
  maven: ({ words: [program = "mvn"] }) => `${program} --batch-mode dependency:go-offline`,
  gradle: ({ words: [program = "gradle"] }) => `${program} --no-daemon dependencies`,
  poetry: ({ words }) => `${words.join(" ")} --no-root`,
  uv: ({ words }) => `${words.join(" ")} --no-install-project`,
  composer: ({ words }) => `${words.join(" ")} --no-scripts --no-autoloader`,
};

/** Tools that, with their caches mounted, fetch nothing twice however the steps are ordered. */
const CACHED = new Set<ToolName>(["go", "cargo", "maven", "gradle"]);

/** Stands for a working directory that the base image decides. */
const UNKNOWN_CWD = "/<working directory>";

export const copyBeforeInstall: Rule = (subject) =>
  subject.dockerfile.stages.flatMap((stage) =>
    sequences(stage).flatMap((steps) =>
      steps.flatMap((step) =>
        TOOL_NAMES.flatMap((tool) => early(subject, stage, steps, step, tool)),
      ),
    ),
  );

function early(
  subject: Subject,
  stage: Stage,
  steps: readonly Step[],
  step: Step,
  tool: ToolName,
): Finding[] {
  const file = subject.dockerfile;
  const install = step.commands.find((command) => TOOLS[tool].installs(command));
  if (install === undefined) return [];
  const earlier = [
    ...lineage(stage)
      .slice(0, -1)
      .flatMap((base) => base.steps),
    ...steps,
  ].filter(({ first }) => first < step.first);
  if (earlier.some(({ commands }) => commands.some((command) => TOOLS[tool].installs(command))))
    return [];
  if (CACHED.has(tool) && hasCacheMount(step, tool)) return [];
  const cwd = workingDirectory(step, install);
  for (const candidate of steps.filter(({ first }) => first < step.first).reverse()) {
    const copy = contextCopy(candidate);
    const place = copy && placeOf(copy, cwd);
    if (copy === undefined || place === undefined) continue;
    const groups = manifests(subject, tool, install, copy, place);
    if (groups.length === 0) continue;
    return [finding(file, step, tool, install, copy, groups)];
  }
  return [];
}

/** Where the step is when it comes to a command: `cd` counts. */
function workingDirectory(step: Step, command: Command): string {
  let cwd = step.cwd ?? UNKNOWN_CWD;
  for (const one of step.commands) {
    if (one === command) break;
    if (isCall(one, "cd")) cwd = posix.resolve(cwd, one.words[1] ?? "/");
  }
  return cwd;
}

/** Path of the working directory in the copied folder, or undefined if it is not in it. */
function placeOf({ step, destination }: ContextCopy, cwd: string): string | undefined {
  const target = expand(destination, step.env);
  if (target === undefined) return undefined;
  const place = posix.relative(posix.resolve(step.cwd ?? UNKNOWN_CWD, target), cwd);
  return place.startsWith("..") ? undefined : place;
}

interface ManifestGroup {
  /** Paths in the context. */
  readonly sources: readonly string[];
  /** Folder below the copy's destination; "" is that itself. */
  readonly below: string;
}

/** What has to be there before dependencies can be fetched, by the folder that it goes to. */
function manifests(
  { files }: Subject,
  tool: ToolName,
  install: Command,
  { folder }: ContextCopy,
  place: string,
): ManifestGroup[] {
  const exists = (path: string) =>
    files.has(path) || [...files].some((other) => other.startsWith(`${path}/`));
  const { required, manifests: names } = TOOLS[tool];
  const root = posix.join(folder, place);
  if (tool === "go" && exists(posix.join(root, "vendor/modules.txt"))) return [];
  const wanted = tool === "pip" ? requirementFiles(install) : names;
  if (tool === "pip" && !wanted.every((name) => exists(posix.join(root, name)))) return [];
  if (required.length > 0 && !required.some((name) => files.has(posix.join(root, name)))) return [];
  const below = posix.join(root, "/");
  const members = [...files]
    .filter((path) => required.includes(posix.basename(path)))
    .filter(
      (path) => (root === "." || path.startsWith(below)) && !/(?:^|\/)node_modules\//.test(path),
    )
    .map((path) => posix.dirname(path))
    .filter((directory) => posix.normalize(directory) !== posix.normalize(root || "."));
  const own = wanted.map((name) => posix.join(root, name)).filter(exists);
  const groups = new Map<string, string[]>();
  const add = (source: string) => {
    // A folder's contents are copied, not the folder itself, so that it has to be named in the destination.
    const key = posix.relative(folder || ".", files.has(source) ? posix.dirname(source) : source);
    groups.set(key, [...(groups.get(key) ?? []), source]);
  };
  for (const source of own) add(source);
  for (const member of [...new Set(members)].sort()) {
    for (const name of required) {
      if (files.has(posix.join(member, name))) add(posix.join(member, name));
    }
  }
  return [...groups].map(([key, sources]) => ({ sources, below: key === "." ? "" : key }));
}

function finding(
  file: BuildFile,
  step: Step,
  tool: ToolName,
  install: Command,
  copy: ContextCopy,
  groups: readonly ManifestGroup[],
): Finding {
  const prefix = copy.step.onbuild ? "ONBUILD " : "";
  const flags = copy.step.flags
    .map(({ name, value }) => `--${name}${value === "" ? "" : `=${value}`} `)
    .join("");
  const base = copy.destination.replace(/\/?$/, "/");
  const copies = groups.map(
    ({ sources, below }) =>
      `${prefix}COPY ${flags}${sources.join(" ")} ${base}${below === "" ? "" : `${below}/`}`,
  );
  return {
    rule: "copy-before-install",
    file: file.path,
    line: copy.step.first,
    message: `All sources are copied before ${TOOLS[tool].name} fetches dependencies in line ${step.first}.`,
    cost: "Every change of any file fetches and installs all dependencies again; a manifest changes far less often than a source.",
    edits: [replaceStep(file, copy.step, copies), ...installEdits(file, step, tool, install, copy)],
  };
}

function installEdits(
  file: BuildFile,
  step: Step,
  tool: ToolName,
  install: Command,
  copy: ContextCopy,
): Edit[] {
  const prefix = step.onbuild ? "ONBUILD " : "";
  const fetch = FETCHES[tool]?.(install);
  const flags = step.flags.map(({ name, value }) => `--${name}=${value} `).join("");
  if (fetch !== undefined) {
    const directory = step.commands
      .slice(0, step.commands.indexOf(install))
      .filter((one) => isCall(one, "cd"));
    const there = directory.map(({ words }) => `${words.join(" ")} && `).join("");
    return [
      insertBefore(file, step, [`${prefix}RUN ${flags}${there}${fetch}`, ...copy.step.lines]),
    ];
  }
  const [head, tail] = split(file, step, tool);
  return [replaceStep(file, step, [...head, ...copy.step.lines, ...tail])];
}

/** A step as two: up to the installation, and what comes after it. */
function split(file: BuildFile, step: Step, tool: ToolName): [string[], string[]] {
  const isLast = (pieces: readonly string[]) =>
    pieces.findLastIndex((piece) =>
      commandsOf(piece).some((command) => TOOLS[tool].installs(command)),
    );
  const whole = step.lines.join("\n");
  if (step.heredoc) {
    const [head = "", ...body] = step.lines;
    const end = body.pop() ?? "";
    const at = isLast(body) + 1;
    const setup = body.slice(0, at).filter((line) => /^\s*(?:set|cd)\s/.test(line));
    const rest = body.slice(at);
    const tail = rest.some((line) => line.trim() !== "") ? [head, ...setup, ...rest, end] : [];
    return [[head, ...body.slice(0, at), end], tail];
  }
  const [start = ""] = /^\s*(?:ONBUILD\s+)?RUN\s+(?:--\S+\s+(?:\\\n\s*)?)*/i.exec(whole) ?? [];
  const pieces = whole.slice(start.length).split(/&&/);
  const clean = (text: string) =>
    text
      .trim()
      .replace(file.escape === "`" ? /^`\n\s*|\s*`$/g : /^\\\n\s*|\s*\\$/g, "")
      .trim();
  const join = (some: readonly string[]) => some.map(clean).join(` && ${file.escape}\n    `);
  const at = isLast(pieces.map((piece) => piece.replaceAll(`${file.escape}\n`, " "))) + 1;
  const setup = pieces.slice(0, at).filter((piece) => /^(?:set|cd)\s/.test(clean(piece)));
  const rest = pieces.slice(at);
  if (at === 0 || rest.length === 0) return [[...step.lines], []];
  const lines = (some: readonly string[]) => (start + join(some)).split("\n");
  return [lines(pieces.slice(0, at)), lines([...setup, ...rest])];
}
