import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The files of a small service with a Dockerfile, by path: what repositories of the local cloud build. */
export async function sampleFiles(): Promise<Record<string, string>> {
  const folder = join(__dirname, "webppt");
  const names = (await readdir(folder)).sort();
  const files = names.map(
    async (name) => [name, await readFile(join(folder, name), "utf8")] as const,
  );
  return Object.fromEntries(await Promise.all(files));
}
