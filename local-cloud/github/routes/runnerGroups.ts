import { Hono } from "hono";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, idParameter, notFound, paginate } from "../http";
import type { Jobs } from "../jobs";
import type { Organization, Repository, RunnerGroup } from "../model";
import { groupView, runnerView } from "../views";
import type { World } from "../world";
import { ownedIds, selectionRoutes } from "./shared";

const settings = {
  visibility: z.enum(["selected", "all", "private"]).optional(),
  allows_public_repositories: z.boolean().optional(),
  restricted_to_workflows: z.boolean().optional(),
  selected_workflows: z.array(z.string()).optional(),
  network_configuration_id: z.string().nullish(),
};

/** Runner groups of organizations: which repositories and workflows may use which runners. */
export function runnerGroupRoutes(world: World, jobs: Jobs): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const at = (c: Ctx, level: "read" | "write"): Organization =>
    c.var.access.organization(c.req.param("org") ?? "", {
      permission: "organization_self_hosted_runners",
      level,
    });
  const group = (c: Ctx, organization: Organization): RunnerGroup => {
    const found = organization.groups.get(idParameter(c, "group"));
    if (found === undefined) throw notFound();
    return found;
  };
  const view = (c: Ctx, organization: Organization, one: RunnerGroup) =>
    groupView(c.var.base, organization.account.login, one);
  const nameFree = (organization: Organization, name: string, but?: RunnerGroup): string => {
    const taken = [...organization.groups.values()].some(
      (one) => one !== but && one.name.toLowerCase() === name.toLowerCase(),
    );
    if (taken)
      throw new ApiError(
        409,
        `Already exists - A runner group with the name ${name} already exists.`,
      );
    return name;
  };
  const apply = (one: RunnerGroup, given: z.infer<z.ZodObject<typeof settings>>): void => {
    one.visibility = given.visibility ?? one.visibility;
    if (one.visibility !== "selected") one.repositories.clear();
    one.allowsPublicRepositories = given.allows_public_repositories ?? one.allowsPublicRepositories;
    one.restrictedToWorkflows = given.restricted_to_workflows ?? one.restrictedToWorkflows;
    one.selectedWorkflows = given.selected_workflows ?? one.selectedWorkflows;
  };
  const members = (organization: Organization, one: RunnerGroup) =>
    world
      .runnersAt({ owner: organization.account, repository: undefined })
      .filter((runner) => runner.groupId === one.id);
  const move = (organization: Organization, id: number, to: RunnerGroup): void => {
    const runner = world
      .runnersAt({ owner: organization.account, repository: undefined })
      .find((one) => one.id === id);
    if (runner === undefined) throw notFound();
    runner.groupId = to.id;
  };

  app.get("/orgs/:org/actions/runner-groups", (c) => {
    const organization = at(c, "read");
    const visible = c.req.query("visible_to_repository");
    const repository =
      visible === undefined
        ? undefined
        : world.repository(`${organization.account.login}/${visible}`);
    const all = [...organization.groups.values()].filter(
      (one) => visible === undefined || (repository !== undefined && reaches(one, repository)),
    );
    return c.json({
      total_count: all.length,
      runner_groups: paginate(c, all).map((one) => view(c, organization, one)),
    });
  });

  app.post("/orgs/:org/actions/runner-groups", async (c) => {
    const organization = at(c, "write");
    const given = await body(
      c,
      z.strictObject({
        ...settings,
        name: z.string().min(1),
        selected_repository_ids: z.array(z.int()).optional(),
        runners: z.array(z.int()).optional(),
      }),
    );
    if (organization.account.plan === "free")
      throw new ApiError(
        403,
        "Creating runner groups is available to organizations with GitHub Team or GitHub Enterprise.",
      );
    nameFree(organization, given.name);
    const visibility = given.visibility ?? "all";
    const ids = ownedIds(world, organization.account, given.selected_repository_ids, visibility);
    const created = world.newGroup(organization, given.name, { repositories: new Set(ids) });
    apply(created, { ...given, visibility });
    for (const id of given.runners ?? []) move(organization, id, created);
    return c.json(view(c, organization, created), 201);
  });

  app.get("/orgs/:org/actions/runner-groups/:group", (c) => {
    const organization = at(c, "read");
    return c.json(view(c, organization, group(c, organization)));
  });

  app.patch("/orgs/:org/actions/runner-groups/:group", async (c) => {
    const organization = at(c, "write");
    const one = group(c, organization);
    const given = await body(c, z.strictObject({ ...settings, name: z.string().min(1) }));
    if (one.isDefault && given.name !== one.name)
      throw new ApiError(422, "The default runner group cannot be renamed.");
    one.name = nameFree(organization, given.name, one);
    apply(one, given);
    jobs.dispatch();
    return c.json(view(c, organization, one));
  });

  app.delete("/orgs/:org/actions/runner-groups/:group", (c) => {
    const organization = at(c, "write");
    const one = group(c, organization);
    if (one.isDefault) throw new ApiError(422, "The default runner group cannot be deleted.");
    const fallback = [...organization.groups.values()].find((other) => other.isDefault);
    if (fallback !== undefined)
      for (const runner of members(organization, one)) runner.groupId = fallback.id;
    organization.groups.delete(one.id);
    return c.body(null, 204);
  });

  selectionRoutes(app, world, {
    path: "/orgs/:org/actions/runner-groups/:group/repositories",
    resource: "runner group",
    emptyUnlessSelected: true,
    at: (c, level) => {
      const organization = at(c, level);
      return { organization, holder: group(c, organization) };
    },
  });

  app.get("/orgs/:org/actions/runner-groups/:group/runners", (c) => {
    const organization = at(c, "read");
    const all = members(organization, group(c, organization));
    return c.json({
      total_count: all.length,
      runners: paginate(c, all).map((one) =>
        runnerView(one, { online: jobs.isOnline(one), busy: jobs.isBusy(one) }),
      ),
    });
  });

  app.put("/orgs/:org/actions/runner-groups/:group/runners", async (c) => {
    const organization = at(c, "write");
    const one = group(c, organization);
    const { runners } = await body(c, z.strictObject({ runners: z.array(z.int()) }));
    const fallback = [...organization.groups.values()].find((other) => other.isDefault) ?? one;
    for (const runner of members(organization, one))
      if (!runners.includes(runner.id)) runner.groupId = fallback.id;
    for (const id of runners) move(organization, id, one);
    jobs.dispatch();
    return c.body(null, 204);
  });

  app.put("/orgs/:org/actions/runner-groups/:group/runners/:runner", (c) => {
    const organization = at(c, "write");
    move(organization, idParameter(c, "runner"), group(c, organization));
    jobs.dispatch();
    return c.body(null, 204);
  });

  app.delete("/orgs/:org/actions/runner-groups/:group/runners/:runner", (c) => {
    const organization = at(c, "write");
    const one = group(c, organization);
    const id = idParameter(c, "runner");
    if (!members(organization, one).some((runner) => runner.id === id)) throw notFound();
    const fallback = [...organization.groups.values()].find((other) => other.isDefault);
    if (fallback !== undefined) move(organization, id, fallback);
    return c.body(null, 204);
  });

  return app;
}

function reaches(group: RunnerGroup, repository: Repository): boolean {
  if (!repository.private && !group.allowsPublicRepositories) return false;
  if (group.visibility === "all") return true;
  if (group.visibility === "private") return repository.private;
  return group.repositories.has(repository.id);
}
