import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../local-cloud/hosts/run";

const FOLDER = "/proc/sys/fs/binfmt_misc";
const PREFIX = "runner-fleet-bench-";
/** Header of a 64-bit little-endian ELF program for machine 183, AArch64, and which of its bits count. */
const MAGIC = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0xb7, 0];
const MASK = [
  ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff],
  ...[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff],
];
const INTERPRETER = "/usr/bin/qemu-aarch64-static";

/**
 * Has the kernel run arm64 programs through QEMU.
 * @returns What undoes it.
 * @throws Error in one sentence where binfmt_misc cannot be had.
 */
export async function enableEmulation(): Promise<() => Promise<void>> {
  const undo: (() => Promise<void>)[] = [];
  const tidy = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    if (!existsSync(join(FOLDER, "register"))) {
      await run("mount", ["-t", "binfmt_misc", "binfmt_misc", FOLDER]);
      undo.push(async () => void (await run("umount", [FOLDER])));
    }
    await removeStale();
    const name = `${PREFIX}${process.pid}`;
    // Also where there is a handler: what others registered, they may take away while a build runs.
    await writeFile(join(FOLDER, "register"), registration(name));
    undo.push(() => writeFile(join(FOLDER, name), "-1"));
  } catch (error) {
    await tidy();
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(
      `The emulated baseline needs binfmt_misc, which cannot be had here, so there is nothing to compare with: ${cause}.`,
      { cause: error },
    );
  }
  return tidy;
}

/** Takes away what runs left that were killed. */
async function removeStale(): Promise<void> {
  for (const name of await readdir(FOLDER)) {
    const pid = name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      await writeFile(join(FOLDER, name), "-1");
    }
  }
}

/** What makes the kernel run arm64 programs by QEMU. F has it open QEMU now, so that it is found in any root file system. */
export function registration(name: string): string {
  return `:${name}:M::${escaped(MAGIC)}:${escaped(MASK)}:${INTERPRETER}:F`;
}

function escaped(bytes: readonly number[]): string {
  return bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}
