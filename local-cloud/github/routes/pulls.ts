import { Hono } from "hono";
import { z } from "zod";
import {
  ApiError,
  body,
  type Ctx,
  type GitHubEnv,
  idParameter,
  notFound,
  paginate,
  validationFailed,
} from "../http";
import type { PullRequest, Repository } from "../model";
import { commitView, fileChanges, pullView } from "../views";
import type { Pusher, World } from "../world";
import { protectedBecause } from "./repositories";
import { repositoryAt } from "./shared";

/** Pull requests between branches of one repository, or from a fork of it. */
export function pullRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/pulls";
  const read = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "pull_requests", level: "read", role: "read" });
  const write = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "pull_requests", level: "write", role: "write" });
  const find = (c: Ctx, repository: Repository): PullRequest => {
    const number = idParameter(c, "number");
    const pull = repository.pulls.find((one) => one.number === number);
    if (pull === undefined) throw notFound();
    return pull;
  };
  const view = (c: Ctx, repository: Repository, pull: PullRequest) =>
    pullView(c, repository, pull, world.account(pull.user) ?? repository.owner);
  const head = (repository: Repository, branch: string): string | undefined =>
    repository.git.refs.get(`refs/heads/${branch}`);
  const fail = (problem: { field?: string; code: string; message?: string }): ApiError =>
    validationFailed({ resource: "PullRequest", ...problem });

  app.get(root, (c) => {
    const repository = read(c);
    const { state = "open", head: from, base } = c.req.query();
    const all = repository.pulls
      .filter((pull) => state === "all" || pull.state === state)
      .filter(
        (pull) =>
          from === undefined || `${pull.headRepository.owner.login}:${pull.headBranch}` === from,
      )
      .filter((pull) => base === undefined || pull.baseBranch === base)
      .sort((a, b) => b.number - a.number);
    return c.json(paginate(c, all).map((pull) => view(c, repository, pull)));
  });

  app.post(root, async (c) => {
    // Whoever can read a repository can propose a change to it.
    const repository = repositoryAt(c, {
      permission: "pull_requests",
      level: "write",
      role: "read",
    });
    c.var.access.token();
    const given = await body(
      c,
      z.strictObject({
        title: z.string().min(1),
        head: z.string(),
        head_repo: z.string().optional(),
        base: z.string(),
        body: z.string().nullish(),
        draft: z.boolean().optional(),
        maintainer_can_modify: z.boolean().optional(),
      }),
    );
    const [owner, branch = given.head] = given.head.includes(":")
      ? given.head.split(":", 2)
      : [repository.owner.login, given.head];
    const same = (a: string | undefined, b: string | undefined): boolean =>
      a?.toLowerCase() === b?.toLowerCase();
    const from = [repository, ...world.forksOf(repository)].find(
      (one) =>
        same(one.owner.login, owner) &&
        (given.head_repo === undefined || same(one.name, given.head_repo)),
    );
    const headSha = from === undefined ? undefined : head(from, branch);
    if (from === undefined || headSha === undefined) throw fail({ field: "head", code: "invalid" });
    const baseSha = head(repository, given.base);
    if (baseSha === undefined) throw fail({ field: "base", code: "invalid" });
    if (from.git.isAncestor(headSha, baseSha))
      throw fail({ code: "custom", message: `No commits between ${given.base} and ${branch}` });
    const known = repository.pulls.some(
      (pull) =>
        pull.state === "open" &&
        pull.headRepository === from &&
        pull.headBranch === branch &&
        pull.baseBranch === given.base,
    );
    if (known)
      throw fail({
        code: "custom",
        message: `A pull request already exists for ${from.owner.login}:${branch}.`,
      });
    const pull = world.openPull(
      repository,
      {
        title: given.title,
        body: given.body ?? null,
        headRepository: from,
        headBranch: branch,
        headSha,
        baseBranch: given.base,
        draft: given.draft ?? false,
        maintainerCanModify: given.maintainer_can_modify ?? false,
      },
      c.var.access.pusher,
    );
    return c.json(view(c, repository, pull), 201);
  });

  app.get(`${root}/:number`, (c) => {
    const repository = read(c);
    return c.json(view(c, repository, find(c, repository)));
  });

  app.patch(`${root}/:number`, async (c) => {
    const repository = write(c);
    const pull = find(c, repository);
    const given = await body(
      c,
      z.strictObject({
        title: z.string().min(1).optional(),
        body: z.string().nullish(),
        state: z.enum(["open", "closed"]).optional(),
        base: z.string().optional(),
        maintainer_can_modify: z.boolean().optional(),
      }),
    );
    if (given.base !== undefined && head(repository, given.base) === undefined)
      throw fail({ field: "base", code: "invalid" });
    if (given.state === "open" && pull.state === "closed") {
      if (pull.mergedAt !== null || head(pull.headRepository, pull.headBranch) === undefined)
        throw fail({ field: "state", code: "invalid" });
      pull.closedAt = null;
    }
    if (given.state === "closed" && pull.state === "open") pull.closedAt = world.now();
    const action =
      given.state === undefined || given.state === pull.state
        ? "edited"
        : given.state === "open"
          ? "reopened"
          : "closed";
    pull.state = given.state ?? pull.state;
    pull.title = given.title ?? pull.title;
    if (given.body !== undefined) pull.body = given.body;
    pull.baseBranch = given.base ?? pull.baseBranch;
    pull.maintainerCanModify = given.maintainer_can_modify ?? pull.maintainerCanModify;
    pull.updatedAt = world.now();
    if (pull.state === "open") world.mergePull(repository, pull);
    const { pusher: by } = c.var.access;
    world.onEvent({ type: "pull_request", repository, action, pull, by });
    return c.json(view(c, repository, pull));
  });

  const base = (repository: Repository, pull: PullRequest): string => {
    const { git } = repository;
    const merged = pull.mergeCommit === null ? undefined : git.commit(pull.mergeCommit);
    const tip = merged?.parents[0] ?? head(repository, pull.baseBranch) ?? "";
    return git.mergeBase(tip, pull.headSha)?.sha ?? tip;
  };

  app.get(`${root}/:number/files`, (c) => {
    const repository = read(c);
    const pull = find(c, repository);
    const files = fileChanges(c.var.base, repository, base(repository, pull), pull.headSha);
    return c.json(paginate(c, files));
  });

  app.get(`${root}/:number/commits`, (c) => {
    const repository = read(c);
    const pull = find(c, repository);
    const start = base(repository, pull);
    const all = repository.git
      .history(pull.headSha)
      .filter((commit) => !repository.git.isAncestor(commit.sha, start))
      .reverse();
    return c.json(paginate(c, all).map((commit) => commitView(c.var.base, repository, commit)));
  });

  app.get(`${root}/:number/merge`, (c) => {
    const pull = find(c, read(c));
    if (pull.mergedAt === null) throw notFound();
    return c.body(null, 204);
  });

  app.put(`${root}/:number/merge`, async (c) => {
    const repository = repositoryAt(c, { permission: "contents", level: "write", role: "write" });
    const pull = find(c, repository);
    const given = await body(
      c,
      z.strictObject({
        commit_title: z.string().optional(),
        commit_message: z.string().optional(),
        sha: z.string().optional(),
        merge_method: z.enum(["merge", "squash", "rebase"]).optional(),
      }),
    );
    if (pull.state === "closed" || pull.draft)
      throw new ApiError(405, "Pull Request is not mergeable");
    if (given.sha !== undefined && given.sha !== pull.headSha)
      throw new ApiError(409, "Head branch was modified. Review and try the merge again.");
    const reason = protectedBecause(c.var.access, repository, pull.baseBranch);
    if (reason !== undefined) throw new ApiError(405, reason);
    const sha = merge(world, repository, pull, {
      method: given.merge_method ?? "merge",
      by: c.var.access.pusher,
      title: given.commit_title,
      text: given.commit_message,
    });
    if (sha === undefined) throw new ApiError(405, "Pull Request is not mergeable");
    return c.json({ sha, merged: true, message: "Pull Request successfully merged" });
  });

  return app;
}

/** Merges and closes the pull request; undefined when both sides changed a file differently. */
function merge(
  world: World,
  repository: Repository,
  pull: PullRequest,
  how: {
    method: "merge" | "squash" | "rebase";
    by: Pusher;
    title: string | undefined;
    text: string | undefined;
  },
): string | undefined {
  const { git } = repository;
  const ref = `refs/heads/${pull.baseBranch}`;
  const tip = git.refs.get(ref) ?? "";
  const ours = git.commit(tip);
  const theirs = git.commit(pull.headSha);
  if (ours === undefined || theirs === undefined) return undefined;
  const tree = git.mergeTrees(ours, theirs);
  if (tree === undefined) return undefined;
  const author = world.signature(how.by.login);
  const commit = (message: string, parents: string[]): string =>
    git.putCommit({ tree, parents, author, committer: author, message });
  let sha: string;
  if (how.method === "merge") {
    const title =
      how.title ??
      `Merge pull request #${pull.number} from ${pull.headRepository.owner.login}/${pull.headBranch}`;
    sha = commit(`${title}\n\n${how.text ?? pull.title}`, [tip, pull.headSha]);
  } else if (how.method === "squash") {
    const title = how.title ?? `${pull.title} (#${pull.number})`;
    sha = commit(how.text === undefined ? title : `${title}\n\n${how.text}`, [tip]);
  } else {
    // Replayed one by one; their sum was merged above, so none of them can conflict at the end.
    const replayed = git
      .history(pull.headSha)
      .filter((one) => !git.isAncestor(one.sha, tip))
      .reverse();
    const state = git.files(ours.tree);
    sha = tip;
    for (const one of replayed) {
      const [parent] = one.parents;
      const before = parent === undefined ? undefined : git.commit(parent)?.tree;
      for (const change of git.changes(before, one.tree)) {
        const entry = git.files(one.tree).get(change.path);
        if (entry === undefined) state.delete(change.path);
        else state.set(change.path, entry);
      }
      sha = git.putCommit({
        tree: git.treeOf(state),
        parents: [sha],
        author: one.author,
        committer: author,
        message: one.message,
      });
    }
  }
  git.refs.set(ref, sha);
  Object.assign(pull, {
    state: "closed",
    mergedAt: world.now(),
    mergedBy: how.by.login,
    closedAt: world.now(),
    updatedAt: world.now(),
    mergeCommit: sha,
  });
  world.pushed(repository, ref, tip, how.by);
  world.onEvent({ type: "pull_request", repository, action: "closed", pull, by: how.by });
  return sha;
}
