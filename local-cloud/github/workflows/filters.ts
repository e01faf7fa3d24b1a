import type { EventsConfig } from "@actions/workflow-parser/model/workflow-template" with {
  "resolution-mode": "import",
};

/** GitHub compares only this many changed files with `paths`. */
const comparedFiles = 300;

/** A filter pattern as a regular expression: `*`, `**`, `?`, `+`, `[]` and `\`, as GitHub documents them. */
export function toRegExp(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const letter = pattern.charAt(at);
    if (letter === "\\") {
      at += 1;
      source += escape(pattern.charAt(at));
    } else if (letter === "*") {
      if (pattern.charAt(at + 1) !== "*") source += "[^/]*";
      else {
        at += 1;
        // "**/" also stands for nothing at all.
        if (pattern.charAt(at + 1) === "/" && (at === 1 || pattern.charAt(at - 2) === "/")) {
          at += 1;
          source += "(?:.*/)?";
        } else source += ".*";
      }
    } else if (letter === "[") {
      const end = pattern.indexOf("]", at);
      if (end < 0) source += "\\[";
      else {
        source += `[${pattern.slice(at + 1, end).replace(/[\\^]/g, "\\$&")}]`;
        at = end;
      }
    } else if (letter === "?" || letter === "+") source += source === "" ? escape(letter) : letter;
    else source += escape(letter);
  }
  return new RegExp(`^${source}$`, "s");
}

function escape(letter: string): string {
  return letter.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** Patterns in turn: the last one that matches decides, and `!` in front of one takes away. */
export function matches(patterns: readonly string[], name: string): boolean {
  let found = false;
  for (const pattern of patterns) {
    const negative = pattern.startsWith("!");
    if (toRegExp(negative ? pattern.slice(1) : pattern).test(name)) found = !negative;
  }
  return found;
}

function passes(
  only: readonly string[] | undefined,
  ignored: readonly string[] | undefined,
  name: string,
): boolean {
  if (only !== undefined) return matches(only, name);
  return ignored === undefined || !matches(ignored, name);
}

function pathsPass(
  filter: { paths?: string[]; "paths-ignore"?: string[] },
  changed: readonly string[],
): boolean {
  const compared = changed.slice(0, comparedFiles);
  if (filter.paths !== undefined) return compared.some((path) => matches(filter.paths ?? [], path));
  const ignored = filter["paths-ignore"];
  return ignored === undefined || !compared.every((path) => matches(ignored, path));
}

/** Whether a push of `ref` (a full name) starts a workflow. */
export function pushStarts(
  filter: EventsConfig["push"],
  ref: string,
  changed: () => readonly string[],
): boolean {
  if (filter === undefined) return false;
  const { branches, "branches-ignore": noBranches, tags, "tags-ignore": noTags } = filter;
  const forBranches = branches !== undefined || noBranches !== undefined;
  const forTags = tags !== undefined || noTags !== undefined;
  if (ref.startsWith("refs/tags/")) {
    // Paths are not compared for tags.
    if (!forTags) return !forBranches;
    return passes(tags, noTags, ref.slice("refs/tags/".length));
  }
  if (!forBranches && forTags) return false;
  return (
    passes(branches, noBranches, ref.slice("refs/heads/".length)) && pathsPass(filter, changed())
  );
}

/** Whether what happened to a pull request into `base` starts a workflow. */
export function pullRequestStarts(
  filter: EventsConfig["pull_request"],
  action: string,
  base: string,
  changed: () => readonly string[],
): boolean {
  if (filter === undefined) return false;
  const types = filter.types ?? ["opened", "synchronize", "reopened"];
  return (
    types.includes(action) &&
    passes(filter.branches, filter["branches-ignore"], base) &&
    pathsPass(filter, changed())
  );
}

/** Whether a commit's message asks for no runs. */
export function skipsRuns(message: string): boolean {
  return (
    /\[(skip ci|ci skip|no ci|skip actions|actions skip)\]/.test(message) ||
    /\n\n(?:.*\n)*skip-checks: ?true\s*$/.test(message)
  );
}
