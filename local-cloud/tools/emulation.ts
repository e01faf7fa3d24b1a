import { existsSync } from "node:fs";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cached, keyOf } from "../hosts/cache";
import { mmdebstrap } from "../hosts/mmdebstrap";
import { capture } from "../hosts/run";

/** Whether programs for arm64 run on this machine, its hosts included. */
export type Emulation =
  | {
      readonly available: true;
      readonly by: "native" | "emulator";
      /** Takes back what was registered here. */
      close(): Promise<void>;
    }
  | { readonly available: false; readonly reason: string };

/** The kernel's list of interpreters for programs that it cannot run itself. */
const REGISTRY = "/proc/sys/fs/binfmt_misc";
const FIXED = ["register", "status"];
const OWN = "runner-fleet-aarch64-";
let count = 0;
/** The head of an ELF file for aarch64, and which of its bits count. */
const MAGIC = "7f454c460201010000000000000000000200b700";
const MASK = "ffffffffffffff00fffffffffffffffffeffffff";

/**
 * Sees to it that programs for arm64 run, hosts and their containers included: registers an emulator under a name of this
 * process until `close`, beside what others have registered, who may end before. Never rejects: where it is not possible, a
 * reason tells why.
 * @param emulator a program without libraries, such as `fetchEmulator` has
 */
export async function emulateArm64(emulator: string): Promise<Emulation> {
  if (process.arch === "arm64") {
    return { available: true, by: "native", close: () => Promise.resolve() };
  }
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return { available: false, reason: "emulation of arm64 is registered by root on Linux" };
  }
  let mounted = false;
  try {
    mounted = await mountRegistry();
    await removeAbandoned();
    const name = `${OWN}${process.pid}-${count++}`;
    await writeFile(join(REGISTRY, "register"), registration(name, emulator));
    return {
      available: true,
      by: "emulator",
      close: async () => {
        await writeFile(join(REGISTRY, name), "-1");
        if (mounted) await unmountRegistry();
      },
    };
  } catch (error) {
    if (mounted) await unmountRegistry();
    const said = error instanceof Error ? error.message : String(error);
    return { available: false, reason: `emulation of arm64 cannot be had here: ${said}` };
  }
}

/** Whether it was mounted now. */
async function mountRegistry(): Promise<boolean> {
  if ((await readdir(REGISTRY).catch((): string[] => [])).includes("register")) return false;
  const { code, stderr } = await capture("mount", ["-t", "binfmt_misc", "binfmt_misc", REGISTRY]);
  if (code !== 0) throw new Error(stderr.trim());
  return true;
}

/** Entries of others would go with it: then it stays. */
async function unmountRegistry(): Promise<void> {
  const left = (await readdir(REGISTRY)).filter((name) => !FIXED.includes(name));
  if (left.length === 0) await capture("umount", [REGISTRY]);
}

/** Entries of processes that ended before they could take them back. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(REGISTRY)) {
    if (!name.startsWith(OWN)) continue;
    const pid = Number.parseInt(name.slice(OWN.length), 10);
    if (!existsSync(`/proc/${pid}`)) await writeFile(join(REGISTRY, name), "-1");
  }
}

/**
 * The line that has the kernel run programs for arm64 by an interpreter. Flag F: it is opened now, and so the same file in
 * every container.
 */
export function registration(name: string, interpreter: string): string {
  const bytes = (hex: string): string => hex.replace(/../g, "\\x$&");
  return `:${name}:M::${bytes(MAGIC)}:${bytes(MASK)}:${interpreter}:F`;
}

/** Debian's QEMU for programs of arm64, taken out of its package, or found in the cache. */
export async function fetchEmulator(log: (line: string) => void): Promise<string> {
  const key = keyOf(await readFile(join(__dirname, "../hosts/mmdebstrap.ts"), "utf8"));
  const folder = await cached("qemu", key, async (target) => {
    log("Debian's qemu-user …");
    const start = Date.now();
    const root = join(target, "root");
    await mmdebstrap(root, ["qemu-user"], { variant: "extract" });
    await copyFile(join(root, "usr/bin/qemu-aarch64"), join(target, "qemu-aarch64"));
    await rm(root, { recursive: true });
    log(`Debian's qemu-user: ${((Date.now() - start) / 1000).toFixed(1)} s`);
  });
  return join(folder, "qemu-aarch64");
}
