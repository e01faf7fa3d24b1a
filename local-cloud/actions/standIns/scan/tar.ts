import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

const BLOCK = 512;
/** A file longer than this is no list of packages and no program that anyone ships. */
const LONGEST = 512 * 1024 * 1024;

export interface TarEntry {
  /** Without a leading `./` or `/`. */
  readonly path: string;
  readonly kind: "file" | "link" | "other";
  readonly mode: number;
  readonly size: number;
  /** All of the entry's content; only before the next entry is asked for. */
  readonly content: () => Promise<Buffer>;
}

/** Reads a tar archive, compressed by gzip or not, entry by entry. @throws Error where it is none. */
export async function* entriesOf(file: string): AsyncGenerator<TarEntry> {
  const magic = Buffer.alloc(4);
  const handle = await open(file);
  await handle.read(magic, 0, 4, 0);
  await handle.close();
  if (magic.readUInt32LE() === 0xfd2fb528)
    throw new Error("The archive is compressed by zstd, expected tar or gzip.");
  const source = createReadStream(file);
  const gzip = magic[0] === 0x1f && magic[1] === 0x8b;
  const stream: Readable = gzip ? source.pipe(createGunzip()) : source;
  if (gzip) source.on("error", (error) => stream.destroy(error));
  const reader = new Reader(stream);
  try {
    let longName: string | undefined;
    for (;;) {
      const header = await reader.take(BLOCK);
      if (header === undefined || header.every((byte) => byte === 0)) return;
      const size = number(header, 124, 12);
      const type = String.fromCharCode(header[156] ?? 0);
      const padded = Math.ceil(size / BLOCK) * BLOCK;
      if (type === "x" || type === "L") {
        const text = (await reader.exactly(padded)).subarray(0, size).toString();
        const named = type === "L" ? text.replace(/\0+$/, "") : /^\d+ path=(.*)$/m.exec(text)?.[1];
        longName = named ?? longName;
        continue;
      }
      const prefix =
        header.toString("latin1", 257, 262) === "ustar" ? string(header, 345, 155) : "";
      const name = longName ?? (prefix === "" ? "" : `${prefix}/`) + string(header, 0, 100);
      longName = undefined;
      let left = padded;
      yield {
        path: name.replace(/^(?:\.?\/)+/, ""),
        kind:
          type === "0" || type === "\0" ? "file" : type === "1" || type === "2" ? "link" : "other",
        mode: number(header, 100, 8),
        size,
        content: async () => {
          if (size > LONGEST) throw new Error(`${name} is too long to be scanned.`);
          left = 0;
          return (await reader.exactly(padded)).subarray(0, size);
        },
      };
      await reader.skip(left);
    }
  } finally {
    source.destroy();
    stream.destroy();
  }
}

class Reader {
  private chunks: Buffer[] = [];
  private length = 0;
  private readonly source: AsyncIterator<Buffer>;

  constructor(stream: Readable) {
    this.source = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Undefined at the end of the stream. */
  async take(size: number): Promise<Buffer | undefined> {
    if (size === 0) return Buffer.alloc(0);
    await this.fill(size);
    if (this.length === 0) return undefined;
    if (this.length < size) throw new Error("The archive ends in the middle of an entry.");
    const all =
      this.chunks.length === 1 ? (this.chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.chunks);
    this.chunks = all.length > size ? [all.subarray(size)] : [];
    this.length = all.length - size;
    return all.subarray(0, size);
  }

  async exactly(size: number): Promise<Buffer> {
    const taken = await this.take(size);
    if (taken === undefined) throw new Error("The archive ends in the middle of an entry.");
    return taken;
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) {
      const part = Math.min(left, 1 << 20);
      await this.exactly(part);
      left -= part;
    }
  }

  private async fill(size: number): Promise<void> {
    while (this.length < size) {
      const next = await this.source.next();
      if (next.done === true) return;
      this.chunks.push(next.value);
      this.length += next.value.length;
    }
  }
}

function string(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString();
}

function number(header: Buffer, from: number, length: number): number {
  const text = string(header, from, length).trim();
  const value = text === "" ? 0 : parseInt(text, 8);
  if (!Number.isInteger(value) || value < 0) throw new Error("The archive is no tar archive.");
  return value;
}
