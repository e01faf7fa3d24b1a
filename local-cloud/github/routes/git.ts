import { Hono } from "hono";
import { z } from "zod";
import type { FileEntry, Signature } from "../git";
import { ApiError, body, type Ctx, type GitHubEnv, iso, notFound, paginate } from "../http";
import type { Repository } from "../model";
import { gitCommitView, nodeId, repositoryUrl } from "../views";
import type { World } from "../world";
import { protectedBecause } from "./repositories";
import { repositoryAt } from "./shared";

const person = z.strictObject({
  name: z.string(),
  email: z.string(),
  date: z.string().optional(),
});

/** Git's own objects: refs, blobs, trees and commits. */
export function gitRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/git";
  const read = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "contents", level: "read", role: "read" });
  const write = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "contents", level: "write", role: "write" });

  const refView = (c: Ctx, repository: Repository, ref: string, sha: string) => {
    const url = repositoryUrl(c.var.base, repository);
    return {
      ref,
      node_id: nodeId("Ref", ref),
      url: `${url}/git/${ref}`,
      object: { sha, type: "commit", url: `${url}/git/commits/${sha}` },
    };
  };

  app.get(`${root}/ref/:ref{.+}`, (c) => {
    const repository = read(c);
    const ref = `refs/${c.req.param("ref")}`;
    const sha = repository.git.refs.get(ref);
    if (sha === undefined) throw notFound();
    return c.json(refView(c, repository, ref, sha));
  });

  app.get(`${root}/matching-refs/:ref{.+}`, (c) => {
    const repository = read(c);
    const start = `refs/${c.req.param("ref")}`;
    const all = [...repository.git.refs].filter(([ref]) => ref.startsWith(start)).sort();
    return c.json(paginate(c, all).map(([ref, sha]) => refView(c, repository, ref, sha)));
  });

  /** Moving a branch to a commit that changes workflow files needs the same right as writing them. */
  const checkWorkflows = (c: Ctx, repository: Repository, from: string, to: string): void => {
    const { git } = repository;
    const changed = git
      .changes(git.commit(from)?.tree, git.commit(to)?.tree ?? "")
      .some((change) => change.path.startsWith(".github/workflows/"));
    if (changed) c.var.access.workflows(repository);
  };

  app.post(`${root}/refs`, async (c) => {
    const repository = write(c);
    const { git } = repository;
    const { ref, sha } = await body(c, z.strictObject({ ref: z.string(), sha: z.string() }));
    if (!/^refs\/[^/]+\/.+/.test(ref) || /[\s~^:?*[\\]|\.\.|\/$|\.lock$/.test(ref))
      throw new ApiError(422, `${ref} is not a valid ref name.`);
    if (git.refs.has(ref)) throw new ApiError(422, "Reference already exists");
    if (git.commit(sha) === undefined) throw new ApiError(422, "Object does not exist");
    // What a pull request from a fork brought is in no branch or tag yet.
    const published = [...git.refs].some(
      ([name, head]) => !name.startsWith("refs/pull/") && git.isAncestor(sha, head),
    );
    if (!published)
      checkWorkflows(
        c,
        repository,
        git.refs.get(`refs/heads/${repository.defaultBranch}`) ?? "",
        sha,
      );
    git.refs.set(ref, sha);
    world.pushed(repository, ref, undefined, c.var.access.pusher);
    return c.json(refView(c, repository, ref, sha), 201);
  });

  app.patch(`${root}/refs/:ref{.+}`, async (c) => {
    const repository = write(c);
    const { git } = repository;
    const ref = `refs/${c.req.param("ref")}`;
    const given = await body(c, z.strictObject({ sha: z.string(), force: z.boolean().optional() }));
    const known = git.refs.get(ref);
    if (known === undefined) throw new ApiError(422, "Reference does not exist");
    if (git.commit(given.sha) === undefined) throw new ApiError(422, "Object does not exist");
    if (given.force !== true && !git.isAncestor(known, given.sha))
      throw new ApiError(422, "Update is not a fast forward");
    const reason = protectedBecause(c.var.access, repository, ref.replace("refs/heads/", ""));
    if (reason !== undefined) throw new ApiError(422, reason);
    checkWorkflows(c, repository, known, given.sha);
    git.refs.set(ref, given.sha);
    world.pushed(repository, ref, known, c.var.access.pusher);
    return c.json(refView(c, repository, ref, given.sha));
  });

  app.delete(`${root}/refs/:ref{.+}`, (c) => {
    const repository = write(c);
    const ref = `refs/${c.req.param("ref")}`;
    const branch = ref.replace("refs/heads/", "");
    if (!repository.git.refs.has(ref)) throw new ApiError(422, "Reference does not exist");
    if (branch === repository.defaultBranch)
      throw new ApiError(422, "Cannot delete the default branch");
    if (repository.protections.has(branch))
      throw new ApiError(422, "Cannot delete a protected branch");
    repository.git.refs.delete(ref);
    for (const base of [
      repository,
      ...(repository.parent === undefined ? [] : [repository.parent]),
    ])
      for (const pull of base.pulls) {
        const head = pull.headRepository === repository && pull.headBranch === branch;
        if (
          pull.state === "closed" ||
          !(head || (base === repository && pull.baseBranch === branch))
        )
          continue;
        pull.state = "closed";
        pull.closedAt = world.now();
        pull.updatedAt = world.now();
        const { pusher: by } = c.var.access;
        world.onEvent({ type: "pull_request", repository: base, action: "closed", pull, by });
      }
    return c.body(null, 204);
  });

  app.post(`${root}/blobs`, async (c) => {
    const repository = write(c);
    const given = await body(
      c,
      z.strictObject({ content: z.string(), encoding: z.enum(["utf-8", "base64"]).optional() }),
    );
    const encoding = given.encoding === "base64" ? "base64" : "utf8";
    const sha = repository.git.putBlob(Buffer.from(given.content, encoding));
    return c.json({ sha, url: `${repositoryUrl(c.var.base, repository)}/git/blobs/${sha}` }, 201);
  });

  app.get(`${root}/blobs/:sha`, (c) => {
    const repository = read(c);
    const sha = c.req.param("sha");
    const blob = repository.git.blob(sha);
    if (blob === undefined) throw notFound();
    return c.json({
      sha,
      node_id: nodeId("Blob", sha),
      size: blob.length,
      url: `${repositoryUrl(c.var.base, repository)}/git/blobs/${sha}`,
      content: blob.toString("base64").replace(/.{1,60}/g, "$&\n"),
      encoding: "base64",
    });
  });

  const treeView = (c: Ctx, repository: Repository, sha: string, recursive: boolean) => {
    const { git } = repository;
    const url = `${repositoryUrl(c.var.base, repository)}/git`;
    const list = (tree: string, prefix: string): unknown[] =>
      (git.tree(tree) ?? []).flatMap((entry) => {
        const directory = entry.mode === "040000";
        const here = {
          path: prefix + entry.name,
          mode: entry.mode,
          type: directory ? "tree" : "blob",
          sha: entry.sha,
          ...(!directory && { size: git.blob(entry.sha)?.length ?? 0 }),
          url: `${url}/${directory ? "trees" : "blobs"}/${entry.sha}`,
        };
        return directory && recursive
          ? [here, ...list(entry.sha, `${prefix}${entry.name}/`)]
          : [here];
      });
    return { sha, url: `${url}/trees/${sha}`, tree: list(sha, ""), truncated: false };
  };

  app.get(`${root}/trees/:sha{.+}`, (c) => {
    const repository = read(c);
    const asked = c.req.param("sha");
    const sha = repository.git.resolve(asked)?.tree ?? asked;
    if (repository.git.tree(sha) === undefined) throw notFound();
    // Any value of `recursive` means yes, even "0".
    return c.json(treeView(c, repository, sha, c.req.query("recursive") !== undefined));
  });

  app.post(`${root}/trees`, async (c) => {
    const repository = write(c);
    const { git } = repository;
    const given = await body(
      c,
      z.strictObject({
        base_tree: z.string().optional(),
        tree: z.array(
          z.strictObject({
            path: z.string(),
            mode: z.enum(["100644", "100755", "040000", "120000"]),
            type: z.enum(["blob", "tree"]).optional(),
            sha: z.string().nullish(),
            content: z.string().optional(),
          }),
        ),
      }),
    );
    const base = given.base_tree;
    const baseTree = base === undefined ? undefined : (git.commit(base)?.tree ?? base);
    if (baseTree !== undefined && git.tree(baseTree) === undefined) throw notFound();
    const files = baseTree === undefined ? new Map<string, FileEntry>() : git.files(baseTree);
    for (const entry of given.tree) {
      if (entry.path.startsWith(".github/workflows/")) c.var.access.workflows(repository);
      if (entry.sha === null) {
        if (!files.delete(entry.path)) throw new ApiError(422, "GitRPC::BadObjectState");
        continue;
      }
      const sha = entry.content === undefined ? entry.sha : git.putBlob(Buffer.from(entry.content));
      if (sha === undefined) throw new ApiError(422, "Must supply either tree.sha or tree.content");
      if (entry.mode === "040000") {
        if (git.tree(sha) === undefined)
          throw new ApiError(422, `tree.sha ${sha} is not a valid tree`);
        for (const path of files.keys()) if (path.startsWith(`${entry.path}/`)) files.delete(path);
        for (const [path, file] of git.files(sha, `${entry.path}/`)) files.set(path, file);
      } else {
        if (git.blob(sha) === undefined)
          throw new ApiError(422, `tree.sha ${sha} is not a valid blob`);
        files.set(entry.path, { mode: entry.mode, sha });
      }
    }
    return c.json(treeView(c, repository, git.treeOf(files), false), 201);
  });

  app.get(`${root}/commits/:sha`, (c) => {
    const repository = read(c);
    const commit = repository.git.commit(c.req.param("sha"));
    if (commit === undefined) throw notFound();
    return c.json(gitCommitView(c.var.base, repository, commit));
  });

  app.post(`${root}/commits`, async (c) => {
    const repository = write(c);
    const { git } = repository;
    const given = await body(
      c,
      z.strictObject({
        message: z.string(),
        tree: z.string(),
        parents: z.array(z.string()).optional(),
        author: person.optional(),
        committer: person.optional(),
      }),
    );
    if (git.tree(given.tree) === undefined) throw new ApiError(422, `Tree SHA does not exist`);
    for (const parent of given.parents ?? [])
      if (git.commit(parent) === undefined)
        throw new ApiError(422, "Parent SHA does not exist or is not a commit object");
    const signature = (who: z.infer<typeof person> | undefined): Signature =>
      who === undefined
        ? world.signature(c.var.access.login)
        : { name: who.name, email: who.email, date: iso(Date.parse(who.date ?? iso(world.now()))) };
    const sha = git.putCommit({
      tree: given.tree,
      parents: given.parents ?? [],
      message: given.message,
      author: signature(given.author ?? given.committer),
      committer: signature(given.committer ?? given.author),
    });
    const commit = git.commit(sha);
    if (commit === undefined) throw new Error("The commit was lost.");
    return c.json(gitCommitView(c.var.base, repository, commit), 201);
  });

  return app;
}
