import type { Ecosystem } from "./versions";

export interface Package {
  readonly ecosystem: Ecosystem;
  /** By which advisories name it: Debian's and Alpine's source package, Go's module path. */
  readonly name: string;
  readonly version: string;
  /** File that says so, as a path in the image. */
  readonly found: string;
}

/** How packages are read from the files of an image. */
export function readerOf(path: string): ((content: Buffer, path: string) => Package[]) | undefined {
  if (path === "var/lib/dpkg/status" || /^var\/lib\/dpkg\/status\.d\/[^/]+$/.test(path))
    return path.endsWith(".md5sums") ? undefined : debian;
  if (path === "lib/apk/db/installed" || path === "usr/lib/apk/db/installed") return apk;
  return undefined;
}

function debian(content: Buffer, path: string): Package[] {
  return content
    .toString()
    .split(/\n\n+/)
    .flatMap((stanza) => {
      const field = (name: string): string | undefined =>
        new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1]?.trim();
      const name = field("Package");
      const version = field("Version");
      const status = field("Status");
      if (name === undefined || version === undefined) return [];
      // Without a status where each package has a file of its own.
      if (status !== undefined && !status.endsWith(" installed")) return [];
      const source = /^(\S+)(?: \((.*)\))?$/.exec(field("Source") ?? name);
      return [
        {
          ecosystem: "debian" as const,
          name: source?.[1] ?? name,
          version: source?.[2] ?? version,
          found: path,
        },
      ];
    });
}

function apk(content: Buffer, path: string): Package[] {
  return content
    .toString()
    .split(/\n\n+/)
    .flatMap((stanza) => {
      const field = (letter: string): string | undefined =>
        new RegExp(`^${letter}:(.*)$`, "m").exec(stanza)?.[1]?.trim();
      const name = field("o") ?? field("P");
      const version = field("V");
      return name === undefined || version === undefined
        ? []
        : [{ ecosystem: "alpine" as const, name, version, found: path }];
    });
}

const ELF = Buffer.from("\x7fELF", "latin1");
const BUILD_INFO = Buffer.from("\xff Go buildinf:", "latin1");
const HEADER = 32;
/** Random bytes that enclose the list of modules. */
const FRAME = 16;

/** The modules that a program written in Go (1.18 or later) says it was built from; none for another file. */
export function goModules(content: Buffer, path: string): Package[] {
  if (!content.subarray(0, 4).equals(ELF)) return [];
  for (let at = content.indexOf(BUILD_INFO); at >= 0; at = content.indexOf(BUILD_INFO, at + 1)) {
    // The text itself is in every program that can read it.
    if (at % 16 !== 0 || ((content[at + 15] ?? 0) & 2) === 0) continue;
    const version = text(content, at + HEADER);
    const modules = version && text(content, version.end);
    if (!version || !modules) continue;
    const found: Package[] = [
      {
        ecosystem: "go",
        name: "stdlib",
        version: version.bytes
          .toString()
          .replace(/^go/, "")
          .replace(/[ -].*$/, ""),
        found: path,
      },
    ];
    const lines = modules.bytes
      .subarray(FRAME, Math.max(modules.bytes.length - FRAME, FRAME))
      .toString()
      .split("\n");
    for (const line of lines) {
      const [kind, name = "", one = ""] = line.split("\t");
      // A replacement stands after the module that it replaces.
      if (kind === "=>") found.pop();
      if ((kind === "dep" || kind === "=>") && /^v\d/.test(one))
        found.push({ ecosystem: "go", name, version: one, found: path });
    }
    return found;
  }
  return [];
}

/** A text after its length as a varint. */
function text(content: Buffer, from: number): { bytes: Buffer; end: number } | undefined {
  let length = 0;
  let at = from;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = content[at++];
    if (byte === undefined) return undefined;
    length += (byte & 127) * 2 ** shift;
    if (byte < 128) return { bytes: content.subarray(at, at + length), end: at + length };
  }
  return undefined;
}
