import { gzipSync } from "node:zlib";
import type { FileEntry, GitStore } from "./git";

/** A gzipped tar archive of a tree, below one folder. */
export function tarball(git: GitStore, tree: string, folder: string): Uint8Array<ArrayBuffer> {
  const parts: Buffer[] = [header(`${folder}/`, 0o775, 0, "5", "")];
  for (const [path, entry] of git.files(tree)) parts.push(...file(git, `${folder}/${path}`, entry));
  parts.push(Buffer.alloc(1024));
  return new Uint8Array(gzipSync(Buffer.concat(parts)));
}

function file(git: GitStore, path: string, entry: FileEntry): Buffer[] {
  const content = git.blob(entry.sha) ?? Buffer.alloc(0);
  const long = Buffer.byteLength(path) > 100 ? pax(path) : [];
  const short = path.slice(0, 60);
  const name = long.length > 0 ? short : path;
  if (entry.mode === "120000") return [...long, header(name, 0o777, 0, "2", content.toString())];
  const mode = entry.mode === "100755" ? 0o775 : 0o664;
  return [...long, header(name, mode, content.length, "0", ""), padded(content)];
}

/** The path of the next entry, where a header has no room for it. */
function pax(path: string): Buffer[] {
  const record = (length: number): string => `${length} path=${path}\n`;
  let length = 0;
  while (Buffer.byteLength(record(length)) !== length) length = Buffer.byteLength(record(length));
  const content = Buffer.from(record(length));
  return [header("pax_header", 0o644, content.length, "x", ""), padded(content)];
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

function header(name: string, mode: number, size: number, type: string, link: string): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at);
  };
  block.write(name, 0, 100);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write("        ", 148);
  block.write(type, 156);
  block.write(link, 157, 100);
  block.write("ustar\0" + "00", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}
