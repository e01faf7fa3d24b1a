import { randomBytes } from "node:crypto";
import { access, constants, mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { EXECUTABLES } from "./versions";

/** The folder of everything that this project keeps between runs, outside the checkout. */
export function cacheFolder(): string {
  return path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "runner-fleet");
}

/** What was not used for so long, in milliseconds, is of sources that have changed since, and below no running process. */
const UNUSED_MS = 3 * 24 * 60 * 60_000;

/** Says that a folder of a cache is used now. False when it is not there. */
export async function markUsed(folder: string): Promise<boolean> {
  const now = new Date();
  return utimes(folder, now, now).then(
    () => true,
    () => false,
  );
}

/** Folders beside `used` for other keys of the same kind, of those named `<kind>-<16 digits>`, that were not used in three days. */
export async function unusedSiblings(used: string): Promise<string[]> {
  const root = path.dirname(used);
  const kind = kindOf(path.basename(used));
  const unused: string[] = [];
  if (kind === undefined) return unused;
  for (const name of await readdir(root)) {
    const folder = path.join(root, name);
    if (folder === used || kindOf(name) !== kind) continue;
    const asked = await stat(folder).catch(() => undefined);
    if (asked !== undefined && Date.now() - asked.mtimeMs > UNUSED_MS) unused.push(folder);
  }
  return unused;
}

/** All before the key: "runner-tools" is not "runner". */
function kindOf(name: string): string | undefined {
  return /^(.+)-[0-9a-f]{16}$/.exec(name)?.[1];
}

/** The bin folder of the engine cached under `key`, or undefined if there is none or it is incomplete. */
export async function cachedEngine(key: string): Promise<string | undefined> {
  const folder = engineFolder(key);
  return (await markUsed(folder)) && (await hasEngine(folder))
    ? path.join(folder, "bin")
    : undefined;
}

function engineFolder(key: string): string {
  return path.join(cacheFolder(), `engine-${key}`);
}

async function hasEngine(folder: string): Promise<boolean> {
  for (const name of EXECUTABLES) {
    if (!(await isExecutable(path.join(folder, "bin", name)))) return false;
  }
  return true;
}

/** Whether a file can be run; a link counts as what it points to. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Lets `fill` make an engine in a new folder and puts it under `key`, as `storeFolder` does. */
export async function storeEngine(
  key: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = engineFolder(key);
  await storeFolder(folder, hasEngine, async (work) => {
    await mkdir(path.join(work, "bin"));
    await fill(work);
  });
  if (!(await hasEngine(folder))) throw new Error(`The engine in ${folder} is incomplete.`);
  return path.join(folder, "bin");
}

/**
 * Lets `fill` make a new folder, which becomes `folder`. Safe when two do so at once: the folder appears whole or not at all, and
 * the slower one takes the faster one's. Removes others of its kind that were not used in three days.
 */
export async function storeFolder(
  folder: string,
  isComplete: (folder: string) => Promise<boolean>,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  await removeAbandoned(folder);
  const work = workFolder(folder);
  await mkdir(work, { recursive: true });
  try {
    await fill(work);
    if (!(await isComplete(folder))) {
      // An incomplete folder, for example after a full disk, is in the way.
      await rm(folder, { recursive: true, force: true });
      await rename(work, folder).catch(async (error: unknown) => {
        if (!(await isComplete(folder))) throw error;
      });
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  for (const unused of await unusedSiblings(folder)) {
    // Under another name first, so that an interruption leaves nothing that looks complete. What fails is tried again later.
    const doomed = workFolder(unused);
    await rename(unused, doomed)
      .then(() => rm(doomed, { recursive: true, force: true }))
      .catch(() => undefined);
  }
}

function workFolder(folder: string): string {
  return `${folder}.${process.pid}-${randomBytes(4).toString("hex")}`;
}

/** Work folders, for any key, of processes that ended before they could clean up, for example by Ctrl-C. */
async function removeAbandoned(folder: string): Promise<void> {
  const root = path.dirname(folder);
  const kind = kindOf(path.basename(folder));
  if (kind === undefined) return;
  for (const name of await readdir(root).catch(() => [])) {
    const [, stored = "", owner] = /^(.+)\.(\d+)-[0-9a-f]{8}$/.exec(name) ?? [];
    if (owner === undefined || kindOf(stored) !== kind || isRunning(Number(owner))) continue;
    await rm(path.join(root, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
