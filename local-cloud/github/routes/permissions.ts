import { Hono } from "hono";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, idParameter, notFound, paginate } from "../http";
import type { Organization, Repository, SelectedActions } from "../model";
import { minimalRepository, repositoryUrl } from "../views";
import type { World } from "../world";
import { checkOwned, repositoryAt } from "./shared";

const allowed = z.enum(["all", "local_only", "selected"]).optional();
const selection = z.strictObject({
  github_owned_allowed: z.boolean().optional(),
  verified_allowed: z.boolean().optional(),
  patterns_allowed: z.array(z.string()).optional(),
});
const workflow = z.strictObject({
  default_workflow_permissions: z.enum(["read", "write"]).optional(),
  can_approve_pull_request_reviews: z.boolean().optional(),
});

/** Actions permissions: who may run which actions, access from outside, rights of workflow tokens. */
export function permissionRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const organizationAt = (c: Ctx, level: "read" | "write"): Organization =>
    c.var.access.organization(c.req.param("org") ?? "", {
      permission: "organization_administration",
      level,
    });
  const at = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, { permission: "administration", level, role: "admin" });
  const root = "/orgs/:org/actions/permissions";
  const repositoryRoot = "/repos/:owner/:repo/actions/permissions";

  app.get(root, (c) => {
    const { account, actions } = organizationAt(c, "read");
    const url = `${c.var.base}/orgs/${account.login}/actions/permissions`;
    return c.json({
      enabled_repositories: actions.enabled,
      ...(actions.enabled === "selected" && {
        selected_repositories_url: `${url}/repositories`,
      }),
      allowed_actions: actions.allowed,
      ...(actions.allowed === "selected" && { selected_actions_url: `${url}/selected-actions` }),
      sha_pinning_required: actions.shaPinning,
    });
  });

  app.put(root, async (c) => {
    const { actions } = organizationAt(c, "write");
    const given = await body(
      c,
      z.strictObject({
        enabled_repositories: z.enum(["all", "none", "selected"]),
        allowed_actions: allowed,
        sha_pinning_required: z.boolean().optional(),
        selected_actions_url: z.string().optional(),
      }),
    );
    actions.enabled = given.enabled_repositories;
    actions.allowed = given.allowed_actions ?? actions.allowed;
    actions.shaPinning = given.sha_pinning_required ?? actions.shaPinning;
    return c.body(null, 204);
  });

  const chosen = (c: Ctx, level: "read" | "write"): Organization => {
    const organization = organizationAt(c, level);
    if (organization.actions.enabled !== "selected")
      throw new ApiError(
        409,
        "The organization's policy for enabled repositories is not set to selected",
      );
    return organization;
  };

  app.get(`${root}/repositories`, (c) => {
    const { actions } = chosen(c, "read");
    const all = [...actions.repositories].flatMap((id) => world.repositoryById(id) ?? []);
    return c.json({
      total_count: all.length,
      repositories: paginate(c, all).map((one) => minimalRepository(c.var.base, one)),
    });
  });

  app.put(`${root}/repositories`, async (c) => {
    const { account, actions } = chosen(c, "write");
    const given = await body(c, z.strictObject({ selected_repository_ids: z.array(z.int()) }));
    actions.repositories = new Set(checkOwned(world, account, given.selected_repository_ids));
    return c.body(null, 204);
  });

  app.put(`${root}/repositories/:repository`, (c) => {
    const { account, actions } = chosen(c, "write");
    const id = idParameter(c, "repository");
    if (world.repositoryById(id)?.owner.id !== account.id) throw notFound();
    actions.repositories.add(id);
    return c.body(null, 204);
  });

  app.delete(`${root}/repositories/:repository`, (c) => {
    const { actions } = chosen(c, "write");
    if (!actions.repositories.delete(idParameter(c, "repository"))) throw notFound();
    return c.body(null, 204);
  });

  app.get(`${root}/selected-actions`, (c) =>
    c.json(selectedOnly(organizationAt(c, "read").actions)),
  );

  app.put(`${root}/selected-actions`, async (c) => {
    const { actions } = organizationAt(c, "write");
    selectedOnly(actions);
    actions.selected = merge(actions.selected, await body(c, selection));
    return c.body(null, 204);
  });

  app.get(`${root}/workflow`, (c) => c.json(organizationAt(c, "read").actions.workflow));

  app.put(`${root}/workflow`, async (c) => {
    const { actions } = organizationAt(c, "write");
    actions.workflow = merge(actions.workflow, await body(c, workflow));
    return c.body(null, 204);
  });

  app.get(repositoryRoot, (c) => {
    const repository = at(c, "read");
    const { actions } = repository;
    return c.json({
      enabled: actions.enabled,
      ...(actions.enabled && { allowed_actions: actions.allowed }),
      ...(actions.enabled &&
        actions.allowed === "selected" && {
          selected_actions_url: `${repositoryUrl(c.var.base, repository)}/actions/permissions/selected-actions`,
        }),
      sha_pinning_required: actions.shaPinning,
    });
  });

  app.put(repositoryRoot, async (c) => {
    const { actions } = at(c, "write");
    const given = await body(
      c,
      z.strictObject({
        enabled: z.boolean(),
        allowed_actions: allowed,
        sha_pinning_required: z.boolean().optional(),
        selected_actions_url: z.string().optional(),
      }),
    );
    actions.enabled = given.enabled;
    actions.allowed = given.allowed_actions ?? actions.allowed;
    actions.shaPinning = given.sha_pinning_required ?? actions.shaPinning;
    return c.body(null, 204);
  });

  app.get(`${repositoryRoot}/selected-actions`, (c) => c.json(selectedOnly(at(c, "read").actions)));

  app.put(`${repositoryRoot}/selected-actions`, async (c) => {
    const { actions } = at(c, "write");
    selectedOnly(actions);
    actions.selected = merge(actions.selected, await body(c, selection));
    return c.body(null, 204);
  });

  /** Only private repositories can be opened to workflows elsewhere: public ones are open. */
  const privateOnly = (repository: Repository): Repository => {
    if (!repository.private)
      throw new ApiError(422, "Access policy only applies to internal and private repositories.");
    return repository;
  };

  app.get(`${repositoryRoot}/access`, (c) =>
    c.json({ access_level: privateOnly(at(c, "read")).actions.access }),
  );

  app.put(`${repositoryRoot}/access`, async (c) => {
    const repository = privateOnly(at(c, "write"));
    const given = await body(
      c,
      z.strictObject({ access_level: z.enum(["none", "user", "organization"]) }),
    );
    const other = repository.owner.type === "Organization" ? "user" : "organization";
    if (given.access_level === other)
      throw new ApiError(422, `The access level "${other}" does not apply to this repository.`);
    repository.actions.access = given.access_level;
    return c.body(null, 204);
  });

  app.get(`${repositoryRoot}/fork-pr-workflows-private-repos`, (c) =>
    c.json(at(c, "read").actions.forkPullRequests),
  );

  app.put(`${repositoryRoot}/fork-pr-workflows-private-repos`, async (c) => {
    const { actions } = privateOnly(at(c, "write"));
    const flag = z.boolean().optional();
    const given = await body(
      c,
      z.strictObject({
        run_workflows_from_fork_pull_requests: z.boolean(),
        send_write_tokens_to_workflows: flag,
        send_secrets_and_variables: flag,
        require_approval_for_fork_pr_workflows: flag,
      }),
    );
    actions.forkPullRequests = merge(actions.forkPullRequests, given);
    return c.body(null, 204);
  });

  app.get(`${repositoryRoot}/fork-pr-contributor-approval`, (c) =>
    c.json({ approval_policy: at(c, "read").actions.forkApproval }),
  );

  app.put(`${repositoryRoot}/fork-pr-contributor-approval`, async (c) => {
    const { actions } = at(c, "write");
    const policy = z.enum([
      "first_time_contributors_new_to_github",
      "first_time_contributors",
      "all_external_contributors",
    ]);
    const given = await body(c, z.strictObject({ approval_policy: policy }));
    actions.forkApproval = given.approval_policy;
    return c.body(null, 204);
  });

  app.get(`${repositoryRoot}/workflow`, (c) => c.json(at(c, "read").actions.workflow));

  app.put(`${repositoryRoot}/workflow`, async (c) => {
    const { actions } = at(c, "write");
    actions.workflow = merge(actions.workflow, await body(c, workflow));
    return c.body(null, 204);
  });

  return app;
}

function selectedOnly(actions: { allowed: string; selected: SelectedActions }): SelectedActions {
  if (actions.allowed !== "selected")
    throw new ApiError(409, "The policy for allowed actions is not set to selected");
  return actions.selected;
}

function merge<T extends object>(known: T, given: { [K in keyof T]?: T[K] | undefined }): T {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...known, ...set };
}
