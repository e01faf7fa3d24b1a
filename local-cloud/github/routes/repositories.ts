import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import type { Access } from "../access";
import { ApiError, body, type Ctx, type GitHubEnv, notFound, paginate } from "../http";
import type { Protection, Repository } from "../model";
import { tarball } from "../tar";
import { commitView, fileChanges, repositoryUrl, repositoryView } from "../views";
import type { World } from "../world";
import { repositoryAt } from "./shared";

/** Repositories, their branches with protection, and commits. */
export function repositoryRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const read = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "metadata", level: "read", role: "read" });
  const contents = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "contents", level: "read", role: "read" });
  const admin = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, { permission: "administration", level, role: "admin" });

  app.get("/repos/:owner/:repo", (c) => c.json(repositoryView(c.var.base, read(c), c.var.access)));

  app.get("/repositories/:id", (c) => {
    const repository = world.repositoryById(Number(c.req.param("id")));
    if (repository === undefined || !c.var.access.canSee(repository)) throw notFound();
    return c.json(repositoryView(c.var.base, repository, c.var.access));
  });

  app.get("/repos/:owner/:repo/forks", (c) => {
    const forks = world.forksOf(read(c)).filter((one) => c.var.access.canSee(one));
    return c.json(paginate(c, forks).map((one) => repositoryView(c.var.base, one, c.var.access)));
  });

  app.post("/repos/:owner/:repo/forks", async (c) => {
    const parent = contents(c);
    const { login } = c.var.access.token();
    const given = await body(
      c,
      z.strictObject({
        organization: z.string().optional(),
        name: z.string().min(1).optional(),
        default_branch_only: z.boolean().optional(),
      }),
    );
    const owner = world.account(given.organization ?? login);
    if (owner === undefined) throw notFound();
    if (owner.type === "Organization") {
      if (!owner.members.has(login.toLowerCase())) throw notFound();
      if (parent.private && owner.plan === "free")
        throw new ApiError(
          403,
          "The organization's plan does not allow forks of private repositories.",
        );
    }
    if (owner.id === parent.owner.id)
      throw new ApiError(403, "The repository cannot be forked into the account that owns it.");
    const fork =
      world.forksOf(parent).find((one) => one.owner.id === owner.id) ??
      world.fork(parent, owner, given.name ?? parent.name, given.default_branch_only);
    return c.json(repositoryView(c.var.base, fork, c.var.access), 202);
  });

  /** Links to archives live five minutes. */
  const archives = new Map<string, { repository: Repository; sha: string; expiresAt: number }>();
  const archive = (c: Ctx, ref: string): Response => {
    const repository = contents(c);
    const commit = repository.git.resolve(ref.replace(/^refs\/(heads|tags)\//, ""));
    if (commit === undefined) throw notFound();
    const key = randomBytes(16).toString("hex");
    archives.set(key, { repository, sha: commit.sha, expiresAt: world.now() + 300_000 });
    return c.redirect(`${c.var.base}/_local/tarball/${key}`, 302);
  };
  app.get("/repos/:owner/:repo/tarball", (c) => archive(c, read(c).defaultBranch));
  app.get("/repos/:owner/:repo/tarball/:ref{.+}", (c) => archive(c, c.req.param("ref")));

  app.get("/_local/tarball/:key", (c) => {
    const link = archives.get(c.req.param("key"));
    if (link === undefined || link.expiresAt < world.now()) throw notFound();
    const { repository, sha } = link;
    const folder = `${repository.owner.login}-${repository.name}-${sha.slice(0, 7)}`;
    const content = tarball(repository.git, repository.git.commit(sha)?.tree ?? "", folder);
    return c.body(content, 200, {
      "content-type": "application/x-gzip",
      "content-disposition": `attachment; filename=${folder}.tar.gz`,
    });
  });

  const branchView = (c: Ctx, repository: Repository, name: string) => {
    const sha = repository.git.refs.get(`refs/heads/${name}`);
    const commit = sha === undefined ? undefined : repository.git.commit(sha);
    if (commit === undefined) throw new ApiError(404, "Branch not found");
    const protection = repository.protections.get(name);
    const url = `${repositoryUrl(c.var.base, repository)}/branches/${encodeURIComponent(name)}`;
    return {
      name,
      commit: commitView(c.var.base, repository, commit),
      _links: {
        self: url,
        html: `https://github.com/${repository.owner.login}/${repository.name}/tree/${name}`,
      },
      protected: protection !== undefined,
      protection: {
        enabled: protection !== undefined,
        required_status_checks: {
          enforcement_level: protection?.requiredChecks === undefined ? "off" : "non_admins",
          contexts: protection?.requiredChecks ?? [],
          checks: (protection?.requiredChecks ?? []).map((context) => ({ context, app_id: null })),
        },
      },
      protection_url: `${url}/protection`,
    };
  };

  app.get("/repos/:owner/:repo/branches", (c) => {
    const repository = contents(c);
    const names = [...repository.git.refs.keys()]
      .filter((ref) => ref.startsWith("refs/heads/"))
      .map((ref) => ref.slice("refs/heads/".length))
      .sort();
    return c.json(
      paginate(c, names).map((name) => {
        const { commit, protection, protection_url, ...rest } = branchView(c, repository, name);
        return {
          name,
          commit: { sha: commit.sha, url: commit.url },
          protected: rest.protected,
          protection,
          protection_url,
        };
      }),
    );
  });

  app.get("/repos/:owner/:repo/branches/:branch", (c) =>
    c.json(branchView(c, contents(c), c.req.param("branch"))),
  );

  app.post("/repos/:owner/:repo/branches/:branch/rename", async (c) => {
    const repository = repositoryAt(c, { permission: "contents", level: "write", role: "write" });
    const { new_name: name } = await body(c, z.strictObject({ new_name: z.string().min(1) }));
    const old = c.req.param("branch");
    if (old === repository.defaultBranch) admin(c, "write");
    const { refs } = repository.git;
    const sha = refs.get(`refs/heads/${old}`);
    if (sha === undefined) throw notFound();
    if (refs.has(`refs/heads/${name}`))
      throw new ApiError(422, `Validation Failed: New name already exists`);
    refs.delete(`refs/heads/${old}`);
    refs.set(`refs/heads/${name}`, sha);
    const protection = repository.protections.get(old);
    if (protection !== undefined) {
      repository.protections.delete(old);
      repository.protections.set(name, protection);
    }
    if (repository.defaultBranch === old) repository.defaultBranch = name;
    for (const pull of repository.pulls) {
      if (pull.baseBranch === old) pull.baseBranch = name;
      // The head of an open pull request cannot follow: GitHub closes it.
      if (pull.headBranch === old && pull.state === "open") {
        pull.state = "closed";
        pull.closedAt = world.now();
      }
    }
    return c.json(branchView(c, repository, name), 201);
  });

  const protectionView = (c: Ctx, repository: Repository, branch: string) => {
    const found = repository.protections.get(branch);
    if (found === undefined) throw new ApiError(404, "Branch not protected");
    const url = `${repositoryUrl(c.var.base, repository)}/branches/${encodeURIComponent(branch)}/protection`;
    return {
      url,
      ...(found.requiredChecks !== undefined && {
        required_status_checks: {
          url: `${url}/required_status_checks`,
          strict: found.strict,
          contexts: found.requiredChecks,
          contexts_url: `${url}/required_status_checks/contexts`,
          checks: found.requiredChecks.map((context) => ({ context, app_id: null })),
        },
      }),
      ...(found.requiredReviews !== undefined && {
        required_pull_request_reviews: {
          url: `${url}/required_pull_request_reviews`,
          dismiss_stale_reviews: false,
          require_code_owner_reviews: false,
          require_last_push_approval: false,
          required_approving_review_count: found.requiredReviews,
        },
      }),
      enforce_admins: { url: `${url}/enforce_admins`, enabled: found.enforceAdmins },
    };
  };

  app.get("/repos/:owner/:repo/branches/:branch/protection", (c) =>
    c.json(protectionView(c, admin(c, "read"), c.req.param("branch"))),
  );

  app.put("/repos/:owner/:repo/branches/:branch/protection", async (c) => {
    const repository = admin(c, "write");
    const branch = c.req.param("branch");
    if (repository.private && repository.owner.plan === "free")
      throw new ApiError(
        403,
        "Upgrade to GitHub Pro or make this repository public to enable this feature.",
      );
    if (!repository.git.refs.has(`refs/heads/${branch}`))
      throw new ApiError(404, "Branch not found");
    const given = await body(c, protectionBody);
    const checks = given.required_status_checks;
    repository.protections.set(branch, {
      requiredChecks: checks?.checks?.map((check) => check.context) ?? checks?.contexts,
      strict: checks?.strict ?? false,
      requiredReviews:
        given.required_pull_request_reviews === null
          ? undefined
          : (given.required_pull_request_reviews.required_approving_review_count ?? 1),
      enforceAdmins: given.enforce_admins ?? false,
    });
    return c.json(protectionView(c, repository, branch));
  });

  app.delete("/repos/:owner/:repo/branches/:branch/protection", (c) => {
    const repository = admin(c, "write");
    if (!repository.protections.delete(c.req.param("branch")))
      throw new ApiError(404, "Branch not protected");
    return c.body(null, 204);
  });

  app.get("/repos/:owner/:repo/commits", (c) => {
    const repository = contents(c);
    const { git } = repository;
    const start = git.resolve(c.req.query("sha") ?? repository.defaultBranch);
    if (start === undefined) throw notFound();
    const path = c.req.query("path");
    const at = (tree: string | undefined): string | undefined =>
      tree === undefined || path === undefined ? undefined : git.entry(tree, path)?.sha;
    const all = git.history(start.sha).filter((commit) => {
      if (path === undefined) return true;
      const [parent] = commit.parents;
      return at(commit.tree) !== at(parent === undefined ? undefined : git.commit(parent)?.tree);
    });
    return c.json(paginate(c, all).map((commit) => commitView(c.var.base, repository, commit)));
  });

  app.get("/repos/:owner/:repo/commits/:ref{.+}", (c) => {
    const repository = contents(c);
    const ref = c.req.param("ref");
    const commit = repository.git.resolve(ref.replace(/^heads\/|^tags\//, ""));
    if (commit === undefined) throw new ApiError(422, `No commit found for SHA: ${ref}`);
    if (c.req.header("accept")?.includes("vnd.github.sha") === true) return c.text(commit.sha);
    const [parent] = commit.parents;
    const files = fileChanges(c.var.base, repository, parent ?? "", commit.sha);
    return c.json({
      ...commitView(c.var.base, repository, commit),
      stats: {
        total: files.reduce((sum, file) => sum + file.changes, 0),
        additions: files.reduce((sum, file) => sum + file.additions, 0),
        deletions: files.reduce((sum, file) => sum + file.deletions, 0),
      },
      files,
    });
  });

  return app;
}

const users = z.strictObject({
  users: z.array(z.string()),
  teams: z.array(z.string()),
  apps: z.array(z.string()).optional(),
});
const flag = z.boolean().nullish();
const protectionBody = z.strictObject({
  required_status_checks: z
    .strictObject({
      strict: z.boolean(),
      contexts: z.array(z.string()).optional(),
      checks: z
        .array(z.strictObject({ context: z.string(), app_id: z.int().optional() }))
        .optional(),
    })
    .nullable(),
  enforce_admins: z.boolean().nullable(),
  required_pull_request_reviews: z
    .strictObject({
      dismissal_restrictions: users.partial().optional(),
      dismiss_stale_reviews: z.boolean().optional(),
      require_code_owner_reviews: z.boolean().optional(),
      required_approving_review_count: z.int().min(0).max(6).optional(),
      require_last_push_approval: z.boolean().optional(),
      bypass_pull_request_allowances: users.partial().optional(),
    })
    .nullable(),
  restrictions: users.nullable(),
  required_linear_history: z.boolean().optional(),
  allow_force_pushes: flag,
  allow_deletions: z.boolean().optional(),
  block_creations: z.boolean().optional(),
  required_conversation_resolution: z.boolean().optional(),
  lock_branch: z.boolean().optional(),
  allow_fork_syncing: z.boolean().optional(),
});

/** Why a commit may not be put straight onto a branch, if it may not. Administrators pass unless protection includes them. */
export function protectedBecause(
  access: Access,
  repository: Repository,
  branch: string,
): string | undefined {
  const protection: Protection | undefined = repository.protections.get(branch);
  if (protection === undefined) return undefined;
  if (access.role(repository) === "admin" && !protection.enforceAdmins) return undefined;
  if (protection.requiredReviews !== undefined)
    return "Changes must be made through a pull request.";
  const [first, ...more] = protection.requiredChecks ?? [];
  if (first === undefined) return undefined;
  return more.length === 0
    ? `Required status check "${first}" is expected.`
    : `${more.length + 1} of ${more.length + 1} required status checks are expected.`;
}
