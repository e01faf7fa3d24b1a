import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The files of a folder, by path: what a push takes. Default: a small site with a Dockerfile, which the demo builds. */
export async function filesOf(folder = join(__dirname, "webppt")): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(folder.length + 1), await readFile(path, "utf8")] as const;
    });
  return Object.fromEntries((await Promise.all(files)).sort(([a], [b]) => a.localeCompare(b)));
}
