import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { run } from "../../local-cloud/hosts/run";
import type { RegistryClient } from "../../local-cloud/registry/client";
import { imagesOf } from "../../local-cloud/registry/image";

/** Sources of the sample service, Dockerfiles included. */
export const SOURCES = join(__dirname, "..", "service");
/** Where the one-line change happens: a package that the program depends on. */
export const CHANGED_FILE = "internal/httpapi/documents.go";

/** The file's content with the value of one constant changed to another one for every `change`. */
export function withOneLineChanged(content: string, change: number): string {
  const after = content.replace(/^\tmaxTags {6}= \d+$/m, `\tmaxTags      = ${100 + change}`);
  if (after === content) throw new Error(`${CHANGED_FILE}: the line to change is not there.`);
  return after;
}

/** A build context of the sample service: its sources, and its modules vendored. */
export class Service {
  private changes = 0;

  private constructor(
    readonly context: string,
    readonly lines: number,
    readonly modules: number,
  ) {}

  static async prepare(folder: string): Promise<Service> {
    const context = join(folder, "context");
    await cp(SOURCES, context, { recursive: true, filter: (path) => !path.endsWith("/vendor") });
    await run("go", ["mod", "vendor"], { cwd: context, timeoutMs: 10 * 60_000 });
    let lines = 0;
    for (const part of ["cmd", "internal"]) {
      for (const name of await readdir(join(context, part), { recursive: true })) {
        if (!name.endsWith(".go")) continue;
        lines += (await readFile(join(context, part, name), "utf8")).split("\n").length - 1;
      }
    }
    const modules = (await readFile(join(context, "vendor", "modules.txt"), "utf8"))
      .split("\n")
      .filter((line) => line.startsWith("# ")).length;
    return new Service(context, lines, modules);
  }

  /** Changes one line of Go, each time to what it was never before. */
  async changeOneLine(): Promise<void> {
    const path = join(this.context, CHANGED_FILE);
    await writeFile(path, withOneLineChanged(await readFile(path, "utf8"), ++this.changes));
  }
}

/**
 * Takes the image of each platform from the registry and runs the program in it, emulated where it is for arm64.
 * @throws Error unless there are exactly linux/amd64 and linux/arm64, and each program says that it is for its platform.
 */
export async function checkImage(
  registry: RegistryClient,
  repository: string,
  tag: string,
  folder: string,
): Promise<void> {
  const images = await imagesOf(registry, repository, tag);
  const platforms = images.map(({ platform }) => platform);
  if (platforms.join(" ") !== "linux/amd64 linux/arm64") {
    throw new Error(
      `${repository}:${tag}: found ${platforms.join(", ")}, expected linux/amd64 and linux/arm64.`,
    );
  }
  for (const { digest, platform } of images) {
    // One for each: the program of the other would do if this image had none.
    const place = await mkdtemp(join(folder, "check-"));
    const manifest = await registry.manifest(repository, digest);
    for (const layer of manifest?.content.layers ?? []) {
      const content = await registry.blob(repository, layer.digest);
      execFileSync("tar", ["-x", "-C", place, "-f", "-"], { input: gunzipSync(content) });
    }
    const said = await run(join(place, "folio"), ["-version"]);
    if (!said.includes(` ${platform} `)) {
      throw new Error(`${repository}:${tag} for ${platform}: found ${said.trim()}.`);
    }
    await rm(place, { recursive: true });
  }
}
