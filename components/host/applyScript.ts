import { createHash } from "node:crypto";

/** A file that a host gets over SSH. */
export interface HostFile {
  /** Absolute path. */
  readonly path: string;
  /** Octal, e.g. "0644"; everything belongs to root. */
  readonly mode: string;
  readonly content: string;
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
    "state=0; cloud-init status --wait >/dev/null || state=$?",
    // 2 means "done with recoverable errors", such as a key that a newer cloud-init warns about.
    'if [ "$state" -ne 0 ] && [ "$state" -ne 2 ]; then cloud-init status --long; return 1; fi',
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
  return [
    `install -d -m 0755 ${quote(directory)}`,
    `cat >${quote(`${file.path}.new`)} <<'${mark}'`,
    `${file.content}${ends}${mark}`,
    `chmod ${file.mode} ${quote(`${file.path}.new`)}`,
    `mv -f ${quote(`${file.path}.new`)} ${quote(file.path)}`,
  ].join("\n");
}

/** Quotes for a POSIX shell. */
export function quote(text: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
