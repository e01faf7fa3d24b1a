/** Something whose version or digest was raised. */
export interface Raised {
  readonly name: string;
  readonly from: string;
  /** The same as `from` where only the digest is another one. */
  readonly to: string;
}

const HEADER = `# Changelog

What changes for people who run a fleet, in the form of [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).
`;

/**
 * Adds a line for each to "Changed" below "Unreleased", which are made where they are missing. A line that is there
 * for the same name is continued: from its first version to the new one.
 * @param text the file; undefined where there is none
 */
export function addToChangelog(text: string | undefined, raised: readonly Raised[]): string {
  const lines = (text ?? HEADER).trimEnd().split("\n");
  let start = lines.findIndex((line) => /^## \[?Unreleased\]?\s*$/i.test(line));
  if (start < 0) {
    const first = lines.findIndex((line) => line.startsWith("## "));
    const at = first < 0 ? lines.length : first;
    lines.splice(at, 0, ...(first < 0 ? [""] : []), "## [Unreleased]", ...(first < 0 ? [] : [""]));
    start = lines.indexOf("## [Unreleased]");
  }
  for (const one of raised) addLine(lines, start, one);
  return `${lines.join("\n").trimEnd()}\n`;
}

function addLine(lines: string[], start: number, one: Raised): void {
  const heading = changedHeading(lines, start);
  const after = lines.findIndex((line, index) => index > heading && line.startsWith("#"));
  const end = lastText(lines, heading, after < 0 ? lines.length : after) + 1;
  const list = lines.slice(heading + 1, end);
  if (list.includes(sentence(one))) return;
  const beginning = `- Raise ${one.name} from `;
  const earlier = list.findIndex((line) => line.startsWith(beginning));
  if (earlier >= 0 && one.from !== one.to) {
    const [from = ""] = (list[earlier] ?? "").slice(beginning.length).split(" ", 1);
    lines[heading + 1 + earlier] = sentence({ ...one, from });
  } else if (list.length === 0) {
    lines.splice(heading + 1, (after < 0 ? lines.length : after) - heading - 1);
    lines.splice(heading + 1, 0, "", sentence(one), ...(after < 0 ? [] : [""]));
  } else {
    lines.splice(end, 0, sentence(one));
  }
}

function sentence({ name, from, to }: Raised): string {
  return from === to
    ? `- Renew the digest of ${name} ${to}.`
    : `- Raise ${name} from ${from} to ${to}.`;
}

/** Index of the heading of the changes, which is made where it is missing. */
function changedHeading(lines: string[], start: number): number {
  const next = lines.findIndex((line, index) => index > start && line.startsWith("## "));
  const section = next < 0 ? lines.length : next;
  const found = lines.findIndex(
    (line, index) => index > start && index < section && /^### Changed\s*$/.test(line),
  );
  if (found >= 0) return found;
  // Behind what was added, as the form has it; before the next release.
  const at = lastText(lines, start, section) + 1;
  lines.splice(at, section - at, "", "### Changed", ...(next < 0 ? [] : [""]));
  return at + 1;
}

/** The last line that is not empty between two, or the first one itself. */
function lastText(lines: readonly string[], first: number, end: number): number {
  let last = end - 1;
  while (last > first && lines[last]?.trim() === "") last--;
  return last;
}
