import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { goModules, type Package, readerOf } from "./packages";
import { entriesOf } from "./tar";

/** Go programs are large; a smaller executable is none. */
const SMALLEST_PROGRAM = 256 * 1024;

/**
 * Packages in an image archive of `docker save` or an exporter of type docker.
 * @param folder Empty, for what is unpacked.
 * @throws Error where the archive is not of that kind.
 */
export async function packagesOfArchive(archive: string, folder: string): Promise<Package[]> {
  const files = new Map<string, string>();
  await mkdir(folder, { recursive: true });
  for await (const entry of entriesOf(archive)) {
    if (entry.kind !== "file") continue;
    const file = join(folder, `${files.size}-${basename(entry.path)}`);
    await writeFile(file, await entry.content());
    files.set(entry.path, file);
  }
  const layers = (await layersOf(files)).map((layer) => {
    const file = files.get(layer);
    if (file === undefined) throw new Error(`The image archive lacks its layer ${layer}.`);
    return file;
  });
  return packagesOfLayers(layers);
}

/** Packages in layers, each a file, the lowest first. */
export async function packagesOfLayers(layers: readonly string[]): Promise<Package[]> {
  const found = new Map<string, Package[]>();
  for (const layer of layers) await readLayer(layer, found);
  return [...found.values()].flat();
}

async function layersOf(files: ReadonlyMap<string, string>): Promise<string[]> {
  const file = files.get("manifest.json");
  if (file === undefined)
    throw new Error("The archive has no manifest.json, expected one of `docker save`.");
  const manifest = JSON.parse(await readFile(file, "utf8")) as { Layers?: unknown }[];
  const layers = manifest[0]?.Layers;
  if (manifest.length !== 1 || !Array.isArray(layers))
    throw new Error(`The archive holds ${manifest.length} images, expected one.`);
  return layers.map(String);
}

/** Later layers replace or remove files of earlier ones. */
async function readLayer(file: string, found: Map<string, Package[]>): Promise<void> {
  for await (const entry of entriesOf(file)) {
    const { path } = entry;
    const name = basename(path);
    const parent = path.slice(0, path.length - name.length);
    if (name === ".wh..wh..opq") {
      remove(found, parent);
      continue;
    }
    if (name.startsWith(".wh.")) {
      remove(found, parent + name.slice(4));
      continue;
    }
    found.delete(path);
    if (entry.kind !== "file") continue;
    const read = readerOf(path);
    const program = (entry.mode & 0o111) !== 0 && entry.size >= SMALLEST_PROGRAM;
    const packages = read
      ? read(await entry.content(), path)
      : program
        ? goModules(await entry.content(), path)
        : [];
    if (packages.length > 0) found.set(path, packages);
  }
}

function remove(found: Map<string, Package[]>, path: string): void {
  for (const known of found.keys())
    if (known === path || known.startsWith(path.endsWith("/") ? path : `${path}/`))
      found.delete(known);
}
