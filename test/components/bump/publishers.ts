import { Hono } from "hono";
import { listen, type Listening } from "../../../local-cloud/core/serve";

/** What publishers have, for as long as a test runs. */
export interface Published {
  /** By repository on GitHub, the latest first. */
  readonly releases: Record<string, Release[]>;
  /** Commit of each tag, by repository and tag. */
  readonly commits: Record<string, Record<string, string>>;
  /** Tags that are objects of their own, by repository and tag: what each names is in `commits`. */
  readonly annotated: Record<string, readonly string[]>;
  /** `action.yml` by repository and commit. */
  readonly actionFiles: Record<string, Record<string, string>>;
  /** Digest of each tag, by registry and repository, such as ghcr.io/actions/actions-runner. */
  readonly images: Record<string, Record<string, string>>;
  readonly packages: Record<string, Package>;
}

export interface Release {
  readonly tag: string;
  readonly prerelease?: boolean;
  readonly draft?: boolean;
}

export interface Package {
  readonly latest: string;
  readonly versions: readonly string[];
  readonly deprecated?: readonly string[];
}

export interface Publishers {
  /** Options of the script that lead here. */
  readonly options: readonly string[];
  /** Method, service and path of each request; those that no publisher answers begin with "unknown". */
  readonly requests: string[];
  /** Authorization headers that came to GitHub. */
  readonly authorizations: (string | undefined)[];
  close(): Promise<void>;
}

const INDEX = "application/vnd.oci.image.index.v1+json";

/** Serves GitHub's REST API, the npm registry and two image registries, as far as they are documented and asked. */
export async function startPublishers(published: Published): Promise<Publishers> {
  const requests: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const running: Listening[] = [];
  const serve = async (name: string, app: Hono): Promise<string> => {
    app.notFound((c) => {
      requests.push(`unknown ${name} ${c.req.method} ${c.req.path}`);
      return c.json({ message: "no such route" }, 501);
    });
    const one = await listen((request) => {
      requests.push(`${request.method} ${name} ${new URL(request.url).pathname}`);
      return app.fetch(request);
    });
    running.push(one);
    return one.url;
  };

  const github = new Hono();
  const gone = {
    message: "Not Found",
    documentation_url: "https://docs.github.com/rest",
    status: "404",
  };
  github.use(async (c, next) => {
    authorizations.push(c.req.header("authorization"));
    await next();
  });
  github.get("/repos/:owner/:repo/releases", (c) => {
    const found = published.releases[`${c.req.param("owner")}/${c.req.param("repo")}`];
    if (found === undefined) return c.json(gone, 404);
    const size = Number(c.req.query("per_page") ?? 30);
    return c.json(
      found.slice(0, size).map(({ tag, prerelease = false, draft = false }, index) => ({
        id: index + 1,
        tag_name: tag,
        name: tag,
        draft,
        prerelease,
        published_at: draft ? null : "2026-11-01T00:00:00Z",
      })),
    );
  });
  /** Object name of an annotated tag, made of its commit. */
  const tagObject = (commit: string) => commit.split("").reverse().join("");
  github.get("/repos/:owner/:repo/git/ref/tags/:tag", (c) => {
    const repository = `${c.req.param("owner")}/${c.req.param("repo")}`;
    const tag = c.req.param("tag");
    const commit = published.commits[repository]?.[tag];
    if (commit === undefined) return c.json(gone, 404);
    const annotated = published.annotated[repository]?.includes(tag) === true;
    const object = annotated
      ? { type: "tag", sha: tagObject(commit) }
      : { type: "commit", sha: commit };
    return c.json({ ref: `refs/tags/${tag}`, node_id: "x", url: c.req.url, object });
  });
  github.get("/repos/:owner/:repo/git/tags/:sha", (c) => {
    const repository = `${c.req.param("owner")}/${c.req.param("repo")}`;
    const sha = c.req.param("sha");
    const found = (published.annotated[repository] ?? []).find(
      (tag) => tagObject(published.commits[repository]?.[tag] ?? "") === sha,
    );
    if (found === undefined) return c.json(gone, 404);
    const object = { type: "commit", sha: published.commits[repository]?.[found] };
    return c.json({ node_id: "x", tag: found, sha, url: c.req.url, message: found, object });
  });
  github.get("/repos/:owner/:repo/contents/action.yml", (c) => {
    const repository = `${c.req.param("owner")}/${c.req.param("repo")}`;
    const text = published.actionFiles[repository]?.[c.req.query("ref") ?? ""];
    if (text === undefined) return c.json(gone, 404);
    const content = Buffer.from(text).toString("base64");
    return c.json({ type: "file", name: "action.yml", encoding: "base64", content, sha: "x" });
  });

  const npm = new Hono();
  npm.get("/:name{.+}", (c) => {
    const name = decodeURIComponent(c.req.param("name"));
    const found = published.packages[name];
    if (found === undefined) return c.json({ error: "Not found" }, 404);
    const versions = found.versions.map((version) => [
      version,
      {
        name,
        version,
        dist: { tarball: `https://registry.npmjs.org/${name}-${version}.tgz` },
        ...(found.deprecated?.includes(version) && { deprecated: "by mistake" }),
      },
    ]);
    return c.json({
      name,
      modified: "2026-11-01T00:00:00Z",
      "dist-tags": { latest: found.latest },
      versions: Object.fromEntries(versions) as unknown,
    });
  });

  const registry = (name: string): Hono => {
    const app = new Hono();
    const imagesOf = (repository: string) => published.images[`${name}/${repository}`];
    const unauthorized = (url: string) =>
      new Response(
        JSON.stringify({
          errors: [{ code: "UNAUTHORIZED", message: "authentication required", detail: null }],
        }),
        {
          status: 401,
          headers: {
            "content-type": "application/json",
            "www-authenticate": `Bearer realm="${new URL(url).origin}/token",service="${name}"`,
          },
        },
      );
    const missing = (code: string) => ({ errors: [{ code, message: "not known", detail: null }] });
    /** A token is good for one repository. */
    const tokenFor = (scope: string) => Buffer.from(scope).toString("base64url");
    const ours = (header: string | undefined, repository: string) =>
      header === `Bearer ${tokenFor(`repository:${repository}:pull`)}`;
    app.get("/v2/", (c) => unauthorized(c.req.url));
    app.get("/token", (c) => {
      if (c.req.query("service") !== name) return c.json(missing("DENIED"), 400);
      const token = tokenFor(c.req.query("scope") ?? "");
      return c.json({ token, access_token: token, expires_in: 300 });
    });
    app.get("/v2/:path{.+}/tags/list", (c) => {
      const repository = c.req.param("path");
      if (!ours(c.req.header("authorization"), repository)) return unauthorized(c.req.url);
      const all = Object.keys(imagesOf(repository) ?? {}).sort();
      if (all.length === 0) return c.json(missing("NAME_UNKNOWN"), 404);
      const from = all.indexOf(c.req.query("last") ?? "") + 1;
      // Pages of two, whatever is asked for: a registry may give fewer.
      const tags = all.slice(from, from + 2);
      const last = tags.at(-1) ?? "";
      if (from + 2 < all.length) {
        const query = new URLSearchParams({ last, n: c.req.query("n") ?? "" });
        c.header("link", `</v2/${repository}/tags/list?${query.toString()}>; rel="next"`);
      }
      return c.json({ name: repository, tags });
    });
    app.get("/v2/:path{.+}/manifests/:tag", (c) => {
      const repository = c.req.param("path");
      if (!ours(c.req.header("authorization"), repository)) return unauthorized(c.req.url);
      const digest = imagesOf(repository)?.[c.req.param("tag")];
      if (digest === undefined) return c.json(missing("MANIFEST_UNKNOWN"), 404);
      // Without the type of an index a registry answers for one platform.
      if (c.req.header("accept")?.includes(INDEX) !== true)
        return c.json(missing("UNSUPPORTED"), 406);
      c.header("docker-content-digest", digest);
      c.header("content-type", INDEX);
      return c.body("{}");
    });
    return app;
  };

  const urls = {
    "github-url": await serve("github", github),
    "npm-url": await serve("npm", npm),
    "ghcr-url": await serve("ghcr.io", registry("ghcr.io")),
    "docker-hub-url": await serve("docker.io", registry("docker.io")),
  };
  return {
    options: Object.entries(urls).map(([option, url]) => `--${option}=${url}`),
    requests,
    authorizations,
    close: async () => {
      await Promise.all(running.map((one) => one.close()));
    },
  };
}
