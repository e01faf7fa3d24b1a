import { createHash } from "node:crypto";
import { Hono } from "hono";
import { parse } from "yaml";
import { type Ctx, type GitHubEnv, iso, notFound, paginate } from "../http";
import type { Repository } from "../model";
import { fullName, nodeId, repositoryUrl } from "../views";
import type { WorkflowRuns } from "../workflows/runs";
import { repositoryAt } from "./shared";

export interface Workflow {
  readonly id: number;
  readonly name: string;
  readonly path: string;
  /** When its file came to the default branch and was last changed there; ISO 8601. */
  readonly createdAt: string;
  readonly updatedAt: string;
}

/** The same for the same file, as long as the repository lives. */
export function workflowId(repository: Repository, path: string): number {
  const hash = createHash("sha256").update(`${repository.id}:${path}`).digest();
  return 30_000_000 + (hash.readUInt32BE() % 10_000_000);
}

/** Workflows of the default branch, by path, and those that ran without a file. */
function workflowsOf(repository: Repository, runs: WorkflowRuns): Workflow[] {
  const { git } = repository;
  const head = git.resolve(repository.defaultBranch);
  const found: Workflow[] = [];
  for (const [path, { sha }] of head === undefined ? [] : git.files(head.tree)) {
    if (head === undefined || !/^\.github\/workflows\/[^/]+\.ya?ml$/.test(path)) continue;
    const history = git.history(head.sha);
    const at = (tree: string): string | undefined => git.entry(tree, path)?.sha;
    // Newest first: back to where the file was not there, or was another one.
    const until = (same: (sha: string | undefined) => boolean): string => {
      const before = history.findIndex(({ tree }) => !same(at(tree)));
      return (history[before < 0 ? history.length - 1 : before - 1] ?? head).committer.date;
    };
    found.push({
      id: workflowId(repository, path),
      name: nameIn(git.blob(sha)?.toString() ?? "") ?? path,
      path,
      createdAt: until((one) => one !== undefined),
      updatedAt: until((one) => one === sha),
    });
  }
  for (const { path, name, createdAt } of runs.list(repository).reverse()) {
    if (found.some((one) => one.path === path)) continue;
    const time = iso(createdAt);
    found.push({ id: workflowId(repository, path), name, path, createdAt: time, updatedAt: time });
  }
  return found;
}

/** By id or by file name. Throws GitHub's 404 when there is none. */
export function findWorkflow(repository: Repository, runs: WorkflowRuns, name: string): Workflow {
  const found = workflowsOf(repository, runs).find(
    ({ id, path }) => String(id) === name || path === `.github/workflows/${name}`,
  );
  if (found === undefined) throw notFound();
  return found;
}

/** What a workflow calls itself; a file that is no YAML is listed by its path, as on GitHub. */
function nameIn(text: string): string | undefined {
  try {
    const parsed = parse(text) as { name?: unknown } | null;
    return typeof parsed?.name === "string" ? parsed.name : undefined;
  } catch {
    return undefined;
  }
}

/** Workflow files as resources. */
export function workflowRoutes(runs: WorkflowRuns): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/actions/workflows";
  const at = (c: Ctx): Repository =>
    repositoryAt(c, { permission: "actions", level: "read", role: "read" });
  const view = (c: Ctx, repository: Repository, workflow: Workflow) => {
    const { id, name, path } = workflow;
    const page = `https://github.com/${fullName(repository)}`;
    return {
      id,
      node_id: nodeId("Workflow", id),
      name,
      path,
      state: "active",
      created_at: workflow.createdAt,
      updated_at: workflow.updatedAt,
      url: `${repositoryUrl(c.var.base, repository)}/actions/workflows/${id}`,
      html_url: `${page}/blob/${repository.defaultBranch}/${path}`,
      badge_url: `${page}/workflows/${encodeURIComponent(name)}/badge.svg`,
    };
  };

  app.get(root, (c) => {
    const repository = at(c);
    const all = workflowsOf(repository, runs);
    return c.json({
      total_count: all.length,
      workflows: paginate(c, all).map((one) => view(c, repository, one)),
    });
  });

  app.get(`${root}/:workflow`, (c) => {
    const repository = at(c);
    return c.json(view(c, repository, findWorkflow(repository, runs, c.req.param("workflow"))));
  });

  return app;
}
