import { createHash } from "node:crypto";
import { openAsBlob } from "node:fs";

/** What a registry says about one thing in it. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: {
    readonly os: string;
    readonly architecture: string;
    readonly variant?: string;
  };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An index or the manifest of one image, as it is stored. */
export interface Manifest {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly artifactType?: string;
  /** Of an index. */
  readonly manifests?: readonly Descriptor[];
  /** Of an image. */
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface StoredManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly content: Manifest;
}

export const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";
export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
export const CONFIG_TYPE = "application/vnd.oci.image.config.v1+json";
/** Of a layer that is not compressed. */
export const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar";

const ACCEPTED = [
  INDEX_TYPE,
  MANIFEST_TYPE,
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export const sha256 = (content: string | Uint8Array): string =>
  `sha256:${createHash("sha256").update(content).digest("hex")}`;

/** Reads and fills a registry over its HTTP API, as it answers without access control. */
export class RegistryClient {
  constructor(
    /** Without a slash at the end. */
    readonly url: string,
  ) {}

  /** Names of all repositories that ever held something, 1000 at most. */
  async repositories(): Promise<string[]> {
    const { repositories } = await this.json<{ repositories: string[] }>("_catalog?n=1000");
    return repositories;
  }

  /** Tags of a repository; none when it does not exist. */
  async tags(repository: string): Promise<string[]> {
    const response = await this.send(`${repository}/tags/list`);
    if (response.status === 404) return [];
    const { tags } = (await succeeded(response).then((r) => r.json())) as { tags: string[] | null };
    return (tags ?? []).sort();
  }

  /** What a tag or digest names; undefined when there is none. */
  async manifest(repository: string, reference: string): Promise<StoredManifest | undefined> {
    const response = await this.send(`${repository}/manifests/${reference}`, {
      headers: { accept: ACCEPTED },
    });
    if (response.status === 404) return undefined;
    await succeeded(response);
    const text = await response.text();
    return {
      digest: sha256(text),
      mediaType: response.headers.get("content-type") ?? "",
      content: JSON.parse(text) as Manifest,
    };
  }

  /** A blob's bytes. Rejects when there is none. */
  async blob(repository: string, digest: string): Promise<Buffer> {
    const response = await succeeded(await this.send(`${repository}/blobs/${digest}`));
    return Buffer.from(await response.arrayBuffer());
  }

  /** A blob that is JSON, such as an image's configuration or an attestation. */
  async blobAsJson(repository: string, digest: string): Promise<unknown> {
    return JSON.parse((await this.blob(repository, digest)).toString()) as unknown;
  }

  /** Puts a file into a repository as a blob. */
  async pushFile(repository: string, file: string, digest: string): Promise<number> {
    const content = await openAsBlob(file);
    await this.pushBlob(repository, digest, content);
    return content.size;
  }

  async pushBlob(repository: string, digest: string, content: Blob | string): Promise<void> {
    const known = await this.send(`${repository}/blobs/${digest}`, { method: "HEAD" });
    if (known.ok) return;
    const begun = await succeeded(
      await this.send(`${repository}/blobs/uploads/`, { method: "POST" }),
    );
    const location = new URL(begun.headers.get("location") ?? "", this.url);
    location.searchParams.set("digest", digest);
    const response = await fetch(location, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream" },
      body: content,
    });
    await succeeded(response);
  }

  /** Puts a manifest or an index under a tag or its digest. */
  async pushManifest(repository: string, reference: string, manifest: Manifest): Promise<void> {
    const response = await this.send(`${repository}/manifests/${reference}`, {
      method: "PUT",
      headers: { "content-type": manifest.mediaType ?? MANIFEST_TYPE },
      body: JSON.stringify(manifest),
    });
    await succeeded(response);
  }

  private async json<T>(path: string): Promise<T> {
    const response = await succeeded(await this.send(path));
    return (await response.json()) as T;
  }

  private send(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`${this.url}/v2/${path}`, init);
  }
}

async function succeeded(response: Response): Promise<Response> {
  if (response.ok) return response;
  const text = (await response.text()).slice(0, 300);
  throw new Error(`the registry answered ${response.status} to ${response.url}: ${text}`);
}
