import { randomBytes } from "node:crypto";
import { access, constants, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { EXECUTABLES } from "./versions";

/** The folder of everything that this project keeps between runs, outside the checkout. */
export function cacheFolder(): string {
  return path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "runner-fleet");
}

/** The bin folder of the engine cached under `key`, or undefined if there is none or it is incomplete. */
export async function cachedEngine(key: string): Promise<string | undefined> {
  const bin = path.join(cacheFolder(), `engine-${key}`, "bin");
  for (const name of EXECUTABLES) {
    if (!(await isExecutable(path.join(bin, name)))) return undefined;
  }
  return bin;
}

/** Whether a file can be run; a link counts as what it points to. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Lets `fill` make an engine in a new folder and puts it under `key`. Safe when two do so at once: the
 * folder appears whole or not at all, and the slower one takes the faster one's.
 */
export async function storeEngine(
  key: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = path.join(cacheFolder(), `engine-${key}`);
  await removeAbandoned(folder);
  const work = `${folder}.${process.pid}-${randomBytes(4).toString("hex")}`;
  await mkdir(path.join(work, "bin"), { recursive: true });
  try {
    await fill(work);
    if ((await cachedEngine(key)) === undefined) {
      // An incomplete folder, for example after a full disk, is in the way.
      await rm(folder, { recursive: true, force: true });
      await rename(work, folder).catch(async (error: unknown) => {
        if ((await cachedEngine(key)) === undefined) throw error;
      });
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const bin = await cachedEngine(key);
  if (bin === undefined) throw new Error(`The engine in ${folder} is incomplete.`);
  return bin;
}

/** Work folders of processes that ended before they could clean up, for example by Ctrl-C. */
async function removeAbandoned(folder: string): Promise<void> {
  const prefix = `${path.basename(folder)}.`;
  const siblings = await readdir(path.dirname(folder)).catch(() => []);
  for (const name of siblings.filter((sibling) => sibling.startsWith(prefix))) {
    const owner = Number.parseInt(name.slice(prefix.length), 10);
    if (!isRunning(owner)) {
      await rm(path.join(path.dirname(folder), name), { recursive: true, force: true });
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
