import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";

const TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export interface RemoteOptions {
  /** `<os>/<architecture>[/<variant>]` */
  readonly platform: string;
  /** Says where Docker keeps what it knows of registries. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

interface Manifest {
  readonly manifests?: readonly {
    readonly digest: string;
    readonly platform?: {
      readonly os: string;
      readonly architecture: string;
      readonly variant?: string;
    };
  }[];
  readonly layers?: readonly { readonly digest: string }[];
}

/**
 * Downloads the layers of an image from its registry, with Docker's login if there is one.
 * @param folder Where the layers go.
 * @returns Their files, the lowest first.
 * @throws Error with one sentence.
 */
export async function fetchLayers(
  image: string,
  folder: string,
  options: RemoteOptions,
): Promise<string[]> {
  const { host, name, reference } = parseImage(image);
  const registry = new Registry(host, name, options);
  let manifest = await registry.manifest(reference);
  if (manifest.manifests !== undefined) {
    const [os, architecture, variant] = options.platform.split("/");
    const entry = manifest.manifests.find(
      ({ platform }) =>
        platform?.os === os &&
        platform?.architecture === architecture &&
        (variant === undefined || platform?.variant === variant),
    );
    if (entry === undefined) throw new Error(`${image} has no image for ${options.platform}.`);
    manifest = await registry.manifest(entry.digest);
  }
  await mkdir(folder, { recursive: true });
  const files: string[] = [];
  for (const { digest } of manifest.layers ?? []) {
    const file = join(folder, `${files.length}.layer`);
    await registry.blob(digest, file);
    files.push(file);
  }
  return files;
}

function parseImage(image: string): { host: string; name: string; reference: string } {
  const [, path = "", tag, digest] =
    /^(.+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/.exec(image) ?? [];
  const slash = path.indexOf("/");
  const first = path.slice(0, Math.max(slash, 0));
  const named = /[.:]|^localhost$/.test(first);
  const name = named ? path.slice(slash + 1) : path;
  const host = named && first !== "docker.io" ? first : "registry-1.docker.io";
  return {
    host,
    name: host === "registry-1.docker.io" && !name.includes("/") ? `library/${name}` : name,
    reference: digest ?? tag ?? "latest",
  };
}

class Registry {
  private authorization: string | undefined;

  constructor(
    private readonly host: string,
    private readonly name: string,
    private readonly options: RemoteOptions,
  ) {}

  async manifest(reference: string): Promise<Manifest> {
    const response = await this.get(`manifests/${reference}`, { accept: TYPES });
    const content = Buffer.from(await response.arrayBuffer());
    if (reference.startsWith("sha256:"))
      this.check(reference, createHash("sha256").update(content).digest("hex"));
    return JSON.parse(content.toString()) as Manifest;
  }

  async blob(digest: string, file: string): Promise<void> {
    const { body } = await this.get(`blobs/${digest}`, {});
    if (body === null) throw new Error(`The registry ${this.host} has nothing for ${digest}.`);
    const hash = createHash("sha256");
    const hashed = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    const { signal } = this.options;
    const content = Readable.fromWeb(body as ReadableStream<Uint8Array>);
    await pipeline(content, hashed, createWriteStream(file), { signal });
    this.check(digest, hash.digest("hex"));
  }

  private check(digest: string, sha256: string): void {
    if (`sha256:${sha256}` !== digest)
      throw new Error(`The registry ${this.host} gave something else than ${digest}.`);
  }

  private async get(path: string, headers: Record<string, string>): Promise<Response> {
    // As Docker does, without encryption on this machine only.
    const scheme = /^(localhost|127\.)/.test(this.host) ? "http" : "https";
    const url = `${scheme}://${this.host}/v2/${this.name}/${path}`;
    const send = (): Promise<Response> =>
      fetch(url, {
        headers: { ...headers, ...(this.authorization && { authorization: this.authorization }) },
        signal: this.options.signal,
      });
    let response = await send();
    if (response.status === 401 && this.authorization === undefined) {
      this.authorization = await this.authorize(response.headers.get("www-authenticate") ?? "");
      response = await send();
    }
    if (!response.ok)
      throw new Error(
        `The registry ${this.host} answered ${response.status} to ${path} of ${this.name}.`,
      );
    return response;
  }

  private async authorize(challenge: string): Promise<string> {
    const login = await this.login();
    if (/^basic/i.test(challenge)) {
      if (login === undefined) throw new Error(`There is no login for the registry ${this.host}.`);
      return login;
    }
    const field = (name: string): string | undefined =>
      new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1];
    const realm = field("realm");
    if (realm === undefined)
      throw new Error(`The registry ${this.host} asks for a login of an unknown kind.`);
    const url = new URL(realm);
    for (const name of ["service", "scope"]) {
      const value = field(name);
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const response = await fetch(url, {
      headers: login === undefined ? {} : { authorization: login },
      signal: this.options.signal,
    });
    if (!response.ok)
      throw new Error(
        `The registry ${this.host} refuses the login with status ${response.status}.`,
      );
    const answer = (await response.json()) as { token?: string; access_token?: string };
    return `Bearer ${answer.token ?? answer.access_token ?? ""}`;
  }

  /** From the file that `docker login` writes. */
  private async login(): Promise<string | undefined> {
    const { env } = this.options;
    const folder = env["DOCKER_CONFIG"] || join(env["HOME"] || homedir(), ".docker");
    const text = await readFile(join(folder, "config.json"), "utf8").catch(() => "{}");
    const { auths = {} } = JSON.parse(text) as { auths?: Record<string, { auth?: string }> };
    const key = this.host === "registry-1.docker.io" ? "https://index.docker.io/v1/" : this.host;
    const auth = auths[key]?.auth;
    return auth === undefined ? undefined : `Basic ${auth}`;
  }
}
