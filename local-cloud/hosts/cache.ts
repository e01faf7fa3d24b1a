import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { uninterrupted } from "../core/interruption";
import { cacheFolder, markUsed, unusedSiblings } from "../engine/cache";
import { unmountBelow } from "./instance";
import { removeFolder } from "./run";

/** Where everything is kept that is made once per machine: outside the checkout, keyed by content. */
export function cacheRoot(): string {
  return join(cacheFolder(), "hosts");
}

/** A short key of everything that goes into an artefact. */
export function keyOf(...parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex").slice(0, 16);
}

/** The names and contents of all files below a folder, tests apart, as one key. */
export async function keyOfFolder(folder: string): Promise<string> {
  const parts: string[] = [];
  for (const entry of await readdir(folder, {
    recursive: true,
    withFileTypes: true,
  })) {
    if (!entry.isFile() || entry.name.endsWith("_test.go")) continue;
    const path = join(entry.parentPath, entry.name);
    const { mode } = await stat(path);
    parts.push(
      `${relative(folder, path)}\0${mode & 0o111 ? "x" : "-"}\0${await readFile(path, "utf8")}`,
    );
  }
  return keyOf(...parts.sort());
}

const COMPLETE = ".complete";
const TEMPORARY = "tmp-";
/** A build takes minutes: what is older was interrupted. */
const STALE_MS = 2 * 60 * 60_000;

/**
 * The folder `<kind>-<key>` of the cache, made by `build` if it is not there yet. It is made under a temporary name and
 * renamed when complete, so that an interrupted build leaves nothing half-made, and of two at once the first one wins. A
 * build removes folders of its kind that were not asked for in three days.
 */
export async function cached(
  kind: string,
  key: string,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const root = cacheRoot();
  const target = join(root, `${kind}-${key}`);
  const complete = join(target, COMPLETE);
  // In this order: what is marked is not removed.
  if ((await markUsed(target)) && (await exists(complete))) return target;
  await mkdir(root, { recursive: true });
  await removeStale(root);
  const temporary = await mkdtemp(join(root, `${TEMPORARY}${kind}-`));
  try {
    await build(temporary);
    await writeFile(join(temporary, COMPLETE), "");
    await rename(temporary, target).catch(async (error: unknown) => {
      if (!(await exists(complete))) throw error;
    });
  } finally {
    await discard(temporary);
  }
  await removeUnused(target);
  return target;
}

/** The tool that makes root file systems mounts /proc, /sys and /dev there; if it is killed, they stay. */
function discard(folder: string): Promise<void> {
  return uninterrupted(async () => {
    await unmountBelow(folder);
    await removeFolder(folder);
  });
}

async function removeStale(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const path = join(root, name);
    if (!name.startsWith(TEMPORARY)) continue;
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > STALE_MS) await discard(path);
  }
}

async function removeUnused(used: string): Promise<void> {
  for (const folder of await unusedSiblings(used)) {
    // Under another name first, so that an interruption leaves nothing that looks complete. A later build removes what stays.
    const doomed = join(cacheRoot(), `${TEMPORARY}${basename(folder)}`);
    await rename(folder, doomed)
      .then(() => discard(doomed))
      .catch(() => undefined);
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
