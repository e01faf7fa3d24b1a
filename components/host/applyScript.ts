import { createHash } from "node:crypto";

/** A file that a host gets. */
export interface HostFile {
  /** Absolute path. */
  readonly path: string;
  /** Octal, e.g. "0644". What others cannot read counts as secret. */
  readonly mode: string;
  readonly content: string;
  /** User and group, e.g. "65532:65532". Default: root. */
  readonly owner?: string;
}

/**
 * One bash script that brings a host to what is wanted: lays down the files, then runs the commands. It goes to
 * `bash -s` on standard input, so neither a command line nor a log ever shows what the files hold.
 */
export function renderApplyScript(files: readonly HostFile[], commands: readonly string[]): string {
  return [
    "set -euo pipefail",
    "umask 077",
    // In a function, so that bash has read everything before a command could eat from standard input.
    "apply() {",
    // However the first boot ended: the commands make up for what it failed at.
    "cloud-init status --wait >/dev/null || true",
    ...files.map(writeFile),
    ...commands,
    "}",
    "apply </dev/null",
    "",
  ].join("\n");
}

/** Written beside and moved into place: a reader sees the old file or the new one. */
function writeFile(file: HostFile): string {
  const directory = file.path.slice(0, file.path.lastIndexOf("/"));
  const mark = `END_${createHash("sha256").update(file.content).digest("hex").slice(0, 16)}`;
  const ends = file.content.endsWith("\n") ? "" : "\n";
  const beside = quote(`${file.path}.new`);
  return [
    `install -d -m 0755 ${quote(directory)}`,
    `cat >${beside} <<'${mark}'`,
    `${file.content}${ends}${mark}`,
    // Before the mode, which a change of owner may reset.
    ...(file.owner === undefined ? [] : [`chown ${file.owner} ${beside}`]),
    `chmod ${file.mode} ${beside}`,
    `mv -f ${beside} ${quote(file.path)}`,
  ].join("\n");
}

/** Quotes for a POSIX shell. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
