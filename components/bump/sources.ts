import { parse } from "yaml";
import { z } from "zod";
import { Api, ApiError, type ApiOptions } from "../preflight/api";
import { STABLE } from "./versions";

/** Base URLs without a slash at their end, and what may be needed to ask there. */
export interface SourceSettings {
  /** Of GitHub's REST API; default: https://api.github.com. */
  readonly github?: string | undefined;
  /** Any token raises the limit from 60 requests an hour; undefined: anonymous. */
  readonly githubToken?: string | undefined;
  /** Default: https://registry.npmjs.org. */
  readonly npm?: string | undefined;
  /** Of registries of images, by the name in references; default: those of ghcr.io and docker.io. */
  readonly registries?: Readonly<Record<string, string | undefined>>;
}

/** What publishers say. All reads throw `ApiError`, which is one sentence. */
export interface Sources {
  /** Tags of published releases, without drafts and pre-releases. */
  releases(repository: string): Promise<readonly string[]>;
  /** Commit that a tag names; undefined where there is no such tag. */
  commit(repository: string, tag: string): Promise<string | undefined>;
  /** What an action takes for an input that is not given, read from its file at a commit. */
  inputDefault(repository: string, commit: string, input: string): Promise<string>;
  /** All tags of an image such as docker.io/library/node. */
  tags(image: string): Promise<readonly string[]>;
  /** Digest of an image such as docker.io/library/node:24; undefined where there is no such tag. */
  digest(reference: string): Promise<string | undefined>;
  /** Versions of an npm package that are not deprecated, and the one that is installed by default. */
  versions(name: string): Promise<{ readonly all: readonly string[]; readonly latest: string }>;
}

const REGISTRIES: Readonly<Record<string, string>> = {
  "docker.io": "https://registry-1.docker.io",
  "ghcr.io": "https://ghcr.io",
};

/** Enough for the image with the most tags many times over: a bound against a list that never ends. */
const MAX_PAGES = 100;
/** An annotated tag may name another one. */
const MAX_TAGS_OF_TAGS = 5;

const releasesAnswer = z.array(
  z.object({ tag_name: z.string(), draft: z.boolean(), prerelease: z.boolean() }),
);
const objectAnswer = z.object({ object: z.object({ type: z.string(), sha: z.string() }) });
const contentsAnswer = z.object({ content: z.string(), encoding: z.literal("base64") });
const tokenAnswer = z.union([
  z.object({ token: z.string() }),
  z.object({ access_token: z.string() }).transform(({ access_token }) => ({ token: access_token })),
]);
const tagsAnswer = z.object({ tags: z.array(z.string()).nullable() });
const packageAnswer = z.object({
  "dist-tags": z.object({ latest: z.string() }),
  versions: z.record(
    z.string(),
    z.object({ deprecated: z.union([z.string(), z.boolean()]).optional() }),
  ),
});
const actionFile = z.object({
  inputs: z.record(z.string(), z.object({ default: z.unknown() }).partial().nullable()),
});

/** What a registry takes for the digest of a tag: that of the index where there is one. */
const MANIFESTS = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

export function openSources(settings: SourceSettings = {}, options: ApiOptions = {}): Sources {
  const github = new Api(
    "GitHub's API",
    settings.github ?? "https://api.github.com",
    settings.githubToken || undefined,
    { Accept: "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28" },
    options,
  );
  const npm = new Api(
    "The npm registry",
    settings.npm ?? "https://registry.npmjs.org",
    undefined,
    // Everything that an installation needs, at a tenth of the size.
    { Accept: "application/vnd.npm.install-v1+json" },
    options,
  );
  const connected = new Map<string, Promise<Api>>();
  const registryOf = (registry: string, repository: string): Promise<Api> => {
    const key = `${registry}/${repository}`;
    const found = connected.get(key);
    if (found !== undefined) return found;
    const base = settings.registries?.[registry] ?? REGISTRIES[registry];
    if (base === undefined) throw new Error(`The registry ${registry} is not known.`);
    const api = connectRegistry(registry, base, repository, options);
    connected.set(key, api);
    return api;
  };

  return {
    releases: async (repository) => {
      const path = `/repos/${repository}/releases?per_page=100`;
      const releases = github.parse(path, await github.ask(path, [200]), releasesAnswer);
      return releases
        .filter(({ draft, prerelease }) => !draft && !prerelease)
        .map(({ tag_name }) => tag_name);
    },
    commit: async (repository, tag) => {
      const root = `/repos/${repository}/git`;
      let found = await github.get(`${root}/ref/tags/${encodeURIComponent(tag)}`, objectAnswer);
      for (let depth = 0; found?.object.type === "tag"; depth++) {
        if (depth === MAX_TAGS_OF_TAGS) {
          throw new ApiError(`The tag ${tag} of ${repository} names more tags than can be right.`);
        }
        found = await github.get(`${root}/tags/${found.object.sha}`, objectAnswer);
      }
      return found?.object.sha;
    },
    inputDefault: async (repository, commit, input) => {
      const path = `/repos/${repository}/contents/action.yml?ref=${commit}`;
      const { content } = github.parse(path, await github.ask(path, [200]), contentsAnswer);
      const file = actionFile.safeParse(readYaml(Buffer.from(content, "base64").toString("utf8")));
      const value = file.success ? file.data.inputs[input]?.default : undefined;
      if (typeof value === "string" && STABLE.test(value)) return value;
      throw new ApiError(
        `action.yml of ${repository} at ${commit} names no version as the default of ${input}.`,
      );
    },
    tags: async (image) => {
      const { registry, repository } = imageParts(image);
      const api = await registryOf(registry, repository);
      const tags: string[] = [];
      let path: string | undefined = `/v2/${repository}/tags/list?n=1000`;
      for (let page = 0; path !== undefined; page++) {
        if (page === MAX_PAGES) {
          throw new ApiError(`${api.name} has more than ${MAX_PAGES} pages of tags of ${image}.`);
        }
        const answer = await api.ask(path, [200]);
        tags.push(...(api.parse(path, answer, tagsAnswer).tags ?? []));
        path = nextPage(answer.headers.get("link"));
      }
      return tags;
    },
    digest: async (reference) => {
      const { registry, repository, tag } = imageParts(reference);
      const api = await registryOf(registry, repository);
      const path = `/v2/${repository}/manifests/${tag}`;
      const answer = await api.ask(path, [200, 404], "HEAD");
      if (answer.status === 404) return undefined;
      const digest = answer.headers.get("docker-content-digest") ?? "";
      if (/^sha256:[0-9a-f]{64}$/.test(digest)) return digest;
      throw new ApiError(`${api.name} names no digest of ${reference}.`);
    },
    versions: async (name) => {
      const path = `/${name.replace("/", "%2f")}`;
      const found = npm.parse(path, await npm.ask(path, [200]), packageAnswer);
      const all = Object.entries(found.versions)
        .filter(([, { deprecated }]) => !deprecated)
        .map(([version]) => version);
      return { all, latest: found["dist-tags"].latest };
    },
  };
}

/** With the token that a registry gives to anybody who asks the service that it names. */
async function connectRegistry(
  registry: string,
  base: string,
  repository: string,
  options: ApiOptions,
): Promise<Api> {
  const name = `The registry ${registry}`;
  const connect = (token?: string) => new Api(name, base, token, { Accept: MANIFESTS }, options);
  const anonymous = connect();
  const { status, headers } = await anonymous.ask("/v2/", [200, 401]);
  if (status === 200) return anonymous;
  const challenge = headers.get("www-authenticate") ?? "";
  const parameter = (key: string) => new RegExp(`\\b${key}="([^"]*)"`).exec(challenge)?.[1];
  const realm = parameter("realm");
  if (!/^Bearer /i.test(challenge) || realm === undefined || !isSafe(realm, base)) {
    throw new ApiError(`${name} at ${base} does not say who gives out tokens.`);
  }
  const service = parameter("service");
  const query = new URLSearchParams({
    ...(service !== undefined && { service }),
    scope: `repository:${repository}:pull`,
  });
  const issuer = new Api(`The token service of ${registry}`, realm, undefined, {}, options);
  const path = `?${query.toString()}`;
  const { token } = issuer.parse(path, await issuer.ask(path, [200]), tokenAnswer);
  return connect(token);
}

/** A registry that is asked over TLS does not lead away from it. */
function isSafe(realm: string, base: string): boolean {
  if (!URL.canParse(realm)) return false;
  const { protocol } = new URL(realm);
  return protocol === "https:" || (protocol === "http:" && base.startsWith("http:"));
}

/** Path and query of `<…>; rel="next"`, wherever the registry says that it is. */
function nextPage(link: string | null): string | undefined {
  const target = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(link ?? "")?.[1];
  if (target === undefined) return undefined;
  const url = new URL(target, "http://registry");
  return url.pathname + url.search;
}

function imageParts(reference: string): {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
} {
  const [, registry = "", repository = "", tag = ""] =
    /^([^/]+)\/([^:]+)(?::(.+))?$/.exec(reference) ?? [];
  return { registry, repository, tag };
}

function readYaml(text: string): unknown {
  try {
    return parse(text) as unknown;
  } catch {
    return undefined;
  }
}
