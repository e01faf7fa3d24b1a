import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Daemon } from "./daemon";

/** A registry on a free port of the loopback interface. */
export interface Registry {
  /** host:port */
  readonly address: string;
  stop(): Promise<void>;
}

export async function startRegistry(folder: string): Promise<Registry> {
  await mkdir(folder, { recursive: true });
  const address = `127.0.0.1:${await freePort()}`;
  const config = join(folder, "config.json");
  // JSON is YAML as well.
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "warn", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, "data") } },
      http: { addr: address },
    }),
  );
  const daemon = await Daemon.start("docker-registry", ["serve", config], {
    name: "docker-registry",
    log: join(folder, "log"),
    ready: () =>
      fetch(`http://${address}/v2/`).then(
        ({ ok }) => ok,
        () => false,
      ),
  });
  return { address, stop: () => daemon.stop() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port was found");
  return address.port;
}

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

interface Descriptor {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

/** What a tag or digest of a repository holds. */
export async function readIndex(
  registry: Registry,
  repository: string,
  reference: string,
): Promise<readonly Descriptor[]> {
  const index = await get(registry, `${repository}/manifests/${reference}`, INDEX);
  return ((await index.json()) as { manifests: Descriptor[] }).manifests;
}

/** The layers of an image manifest, compressed, the base first. */
export async function readLayers(
  registry: Registry,
  repository: string,
  digest: string,
): Promise<Buffer[]> {
  const manifest = await get(registry, `${repository}/manifests/${digest}`, MANIFEST);
  const { layers } = (await manifest.json()) as { layers: Descriptor[] };
  const contents: Buffer[] = [];
  for (const layer of layers) {
    const blob = await get(registry, `${repository}/blobs/${layer.digest}`, layer.mediaType);
    contents.push(Buffer.from(await blob.arrayBuffer()));
  }
  return contents;
}

async function get(registry: Registry, path: string, accept: string): Promise<Response> {
  const answer = await fetch(`http://${registry.address}/v2/${path}`, { headers: { accept } });
  if (!answer.ok) throw new Error(`The registry answered ${answer.status} for ${path}.`);
  return answer;
}
