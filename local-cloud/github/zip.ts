import { crc32 } from "node:zlib";

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];
/** 1980-01-01, the first day that the format can name. */
const DATE = 0x21;
/** Names are in UTF-8. */
const FLAGS = 0x800;
const VERSION = 20;

/** A ZIP archive of texts by path, stored as they are. */
export function zip(files: ReadonlyMap<string, string>): Uint8Array<ArrayBuffer> {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  const size = (of: readonly Buffer[]): number => of.reduce((sum, { length }) => sum + length, 0);
  for (const [path, text] of files) {
    const [name, data] = [Buffer.from(path), Buffer.from(text)];
    const common = Buffer.alloc(26);
    common.writeUInt16LE(VERSION, 0);
    common.writeUInt16LE(FLAGS, 2);
    common.writeUInt16LE(DATE, 8);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(CENTRAL, 0);
    entry.writeUInt16LE(VERSION, 4);
    common.copy(entry, 6);
    entry.writeUInt32LE(size(parts), 42);
    directory.push(entry, name);
    const signature = Buffer.alloc(4);
    signature.writeUInt32LE(LOCAL);
    parts.push(signature, common, name, data);
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(files.size, 8);
  end.writeUInt16LE(files.size, 10);
  end.writeUInt32LE(size(directory), 12);
  end.writeUInt32LE(size(parts), 16);
  return new Uint8Array(Buffer.concat([...parts, ...directory, end]));
}
