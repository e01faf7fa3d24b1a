import { Hono } from "hono";
import { z } from "zod";
import type { Signature } from "../git";
import { ApiError, body, type Ctx, type GitHubEnv, iso, notFound } from "../http";
import type { Repository } from "../model";
import { fullName, gitCommitView, repositoryUrl } from "../views";
import type { World } from "../world";
import { protectedBecause } from "./repositories";
import { repositoryAt } from "./shared";

const person = z.strictObject({ name: z.string(), email: z.string(), date: z.string().optional() });
const change = {
  message: z.string(),
  branch: z.string().optional(),
  committer: person.optional(),
  author: person.optional(),
};

/** Files of a repository, read and written one by one. */
export function contentsRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/contents";

  const show = (c: Ctx, path: string) => {
    const repository = repositoryAt(c, { permission: "contents", level: "read", role: "read" });
    const { git } = repository;
    const ref = c.req.query("ref") ?? repository.defaultBranch;
    const commit = git.resolve(ref.replace(/^refs\/(heads|tags)\//, ""));
    if (commit === undefined) throw new ApiError(404, `No commit found for the ref ${ref}`);
    const entry = git.entry(commit.tree, path);
    if (entry === undefined) throw notFound();
    if (entry.mode === "040000")
      return c.json(
        (git.tree(entry.sha) ?? []).map((one) =>
          entryView(
            c,
            repository,
            ref,
            [path, one.name].filter(Boolean).join("/"),
            one.mode,
            one.sha,
          ),
        ),
      );
    const content = git.blob(entry.sha) ?? Buffer.alloc(0);
    if (/vnd\.github\.(v3\.)?raw/.test(c.req.header("accept") ?? ""))
      return c.body(new Uint8Array(content), 200, {
        "content-type": "application/vnd.github.raw+json; charset=utf-8",
      });
    return c.json({
      ...entryView(c, repository, ref, path, entry.mode, entry.sha),
      content: content.toString("base64").replace(/.{1,60}/g, "$&\n"),
      encoding: "base64",
    });
  };
  app.get(root, (c) => show(c, ""));
  app.get("/repos/:owner/:repo/readme", (c) => {
    const repository = repositoryAt(c, { permission: "contents", level: "read", role: "read" });
    const commit = repository.git.resolve(c.req.query("ref") ?? repository.defaultBranch);
    const paths = commit === undefined ? [] : [...repository.git.files(commit.tree).keys()];
    for (const folder of ["\\.github/", "", "docs/"]) {
      const path = paths.find((one) => new RegExp(`^${folder}readme(\\.\\w+)?$`, "i").test(one));
      if (path !== undefined) return show(c, path);
    }
    throw notFound();
  });
  app.get(`${root}/:path{.+}`, (c) => show(c, c.req.param("path").replace(/\/$/, "")));

  /** What both kinds of change check, in GitHub's order. */
  const target = (c: Ctx, path: string): Repository => {
    const repository = repositoryAt(c, { permission: "contents", level: "write", role: "write" });
    if (path.startsWith(".github/workflows/")) c.var.access.workflows(repository);
    if (path.split("/").some((part) => ["", ".", "..", ".git"].includes(part)))
      throw new ApiError(422, "path contains a malformed path component");
    return repository;
  };
  const existing = (repository: Repository, branch: string, path: string) => {
    const { git } = repository;
    const head = git.refs.get(`refs/heads/${branch}`);
    const commit = head === undefined ? undefined : git.commit(head);
    if (commit === undefined) throw new ApiError(404, `Branch ${branch} not found`);
    return git.entry(commit.tree, path);
  };
  const signature = (c: Ctx, given: z.infer<typeof person> | undefined): Signature => {
    if (given === undefined) return world.signature(c.var.access.login);
    const date = given.date === undefined ? world.now() : Date.parse(given.date);
    if (Number.isNaN(date)) throw new ApiError(422, "Invalid date");
    return { name: given.name, email: given.email, date: iso(date) };
  };

  app.put(`${root}/:path{.+}`, async (c) => {
    const path = c.req.param("path");
    const repository = target(c, path);
    const given = await body(
      c,
      z.strictObject({ ...change, content: z.string(), sha: z.string().optional() }),
    );
    const branch = given.branch ?? repository.defaultBranch;
    const known = existing(repository, branch, path);
    const content = Buffer.from(given.content, "base64");
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(given.content))
      throw new ApiError(422, "content is not valid Base64");
    if (known?.mode === "040000") throw new ApiError(422, `${path} is a directory`);
    if (known !== undefined) {
      if (given.sha === undefined)
        throw new ApiError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.');
      if (given.sha !== known.sha) throw new ApiError(409, `${path} does not match ${given.sha}`);
    }
    const reason = protectedBecause(c.var.access, repository, branch);
    if (reason !== undefined)
      throw new ApiError(
        409,
        `Could not ${known === undefined ? "create" : "update"} file: ${reason}`,
      );
    const author = signature(c, given.author ?? given.committer);
    const sha = world.commitFile(repository, {
      branch,
      path,
      content,
      message: given.message,
      author,
      committer: signature(c, given.committer ?? given.author),
      by: c.var.access.pusher,
    });
    const commit = repository.git.commit(sha);
    const entry = existing(repository, branch, path);
    if (commit === undefined || entry === undefined) throw new Error("The commit was lost.");
    return c.json(
      {
        content: entryView(c, repository, branch, path, entry.mode, entry.sha),
        commit: gitCommitView(c.var.base, repository, commit),
      },
      known === undefined ? 201 : 200,
    );
  });

  app.delete(`${root}/:path{.+}`, async (c) => {
    const path = c.req.param("path");
    const repository = target(c, path);
    // GitHub's own Go client sends a `content` that means nothing here.
    const given = await body(
      c,
      z.strictObject({ ...change, sha: z.string(), content: z.string().nullish() }),
    );
    const branch = given.branch ?? repository.defaultBranch;
    const known = existing(repository, branch, path);
    if (known === undefined) throw notFound();
    if (known.mode === "040000") throw new ApiError(422, `${path} is a directory`);
    if (given.sha !== known.sha) throw new ApiError(409, `${path} does not match ${given.sha}`);
    const reason = protectedBecause(c.var.access, repository, branch);
    if (reason !== undefined) throw new ApiError(409, `Could not delete file: ${reason}`);
    const sha = world.commitFile(repository, {
      branch,
      path,
      content: undefined,
      message: given.message,
      author: signature(c, given.author ?? given.committer),
      committer: signature(c, given.committer ?? given.author),
      by: c.var.access.pusher,
    });
    const commit = repository.git.commit(sha);
    if (commit === undefined) throw new Error("The commit was lost.");
    return c.json({ content: null, commit: gitCommitView(c.var.base, repository, commit) });
  });

  return app;
}

function entryView(
  c: Ctx,
  repository: Repository,
  ref: string,
  path: string,
  mode: string,
  sha: string,
) {
  const directory = mode === "040000";
  const root = repositoryUrl(c.var.base, repository);
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  const url = `${root}/contents/${encoded}?ref=${encodeURIComponent(ref).replaceAll("%2F", "/")}`;
  const git = `${root}/git/${directory ? "trees" : "blobs"}/${sha}`;
  const html = `https://github.com/${fullName(repository)}/${directory ? "tree" : "blob"}/${ref}/${encoded}`;
  return {
    name: path.split("/").at(-1) ?? "",
    path,
    sha,
    size: directory ? 0 : (repository.git.blob(sha)?.length ?? 0),
    url,
    html_url: html,
    git_url: git,
    download_url: directory
      ? null
      : `https://raw.githubusercontent.com/${fullName(repository)}/${ref}/${encoded}`,
    type: directory ? "dir" : "file",
    _links: { self: url, git, html },
  };
}
