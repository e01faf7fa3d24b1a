import { Hono } from "hono";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, iso, notFound, paginate } from "../http";
import type { Organization, Repository, Variable } from "../model";
import type { World } from "../world";
import { checkName, ownedIds, repositoryAt, selectionRoutes } from "./shared";

// GitHub's own Go client sends these back with each write; the API takes and ignores them.
const ignored = {
  created_at: z.string().optional(),
  updated_at: z.string().optional(),
  selected_repositories_url: z.string().optional(),
};
const visibility = z.enum(["all", "private", "selected"]);
const selected = z.array(z.int()).optional();
const text = z.string();

/** Actions variables of organizations and repositories. */
export function variableRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const at = (c: Ctx, level: "read" | "write"): Organization =>
    c.var.access.organization(c.req.param("org") ?? "", {
      permission: "organization_actions_variables",
      level,
    });
  const found = (variables: ReadonlyMap<string, Variable>, c: Ctx): Variable => {
    const variable = variables.get((c.req.param("name") ?? "").toUpperCase());
    if (variable === undefined) throw notFound();
    return variable;
  };
  const view = (c: Ctx, organization: Organization, variable: Variable) => ({
    ...bare(variable),
    visibility: variable.visibility,
    ...(variable.visibility === "selected" && {
      selected_repositories_url: `${c.var.base}/orgs/${organization.account.login}/actions/variables/${variable.name}/repositories`,
    }),
  });
  const create = (
    variables: Map<string, Variable>,
    given: { name: string; value: string },
    share: Pick<Variable, "visibility" | "repositories">,
  ): void => {
    const name = checkName(given.name, "Variable");
    if (variables.has(name)) throw new ApiError(409, "Already exists - Variable already exists");
    const now = world.now();
    variables.set(name, {
      name,
      value: checkValue(given.value),
      createdAt: now,
      updatedAt: now,
      ...share,
    });
  };
  const update = (
    variables: Map<string, Variable>,
    variable: Variable,
    given: { name?: string | undefined; value?: string | undefined },
  ): void => {
    if (given.name !== undefined) {
      const name = checkName(given.name, "Variable");
      if (name !== variable.name && variables.has(name))
        throw new ApiError(409, "Already exists - Variable already exists");
      variables.delete(variable.name);
      variable.name = name;
      variables.set(name, variable);
    }
    if (given.value !== undefined) variable.value = checkValue(given.value);
    variable.updatedAt = world.now();
  };

  app.get("/orgs/:org/actions/variables", (c) => {
    const organization = at(c, "read");
    const all = sorted(organization.variables);
    return c.json({
      total_count: all.length,
      variables: paginate(c, all, 10, 30).map((one) => view(c, organization, one)),
    });
  });

  app.post("/orgs/:org/actions/variables", async (c) => {
    const organization = at(c, "write");
    const given = await body(
      c,
      z.strictObject({
        ...ignored,
        name: text,
        value: text,
        visibility,
        selected_repository_ids: selected,
      }),
    );
    const ids = ownedIds(
      world,
      organization.account,
      given.selected_repository_ids,
      given.visibility,
    );
    create(organization.variables, given, {
      visibility: given.visibility,
      repositories: new Set(ids),
    });
    return c.json({}, 201);
  });

  app.get("/orgs/:org/actions/variables/:name", (c) => {
    const organization = at(c, "read");
    return c.json(view(c, organization, found(organization.variables, c)));
  });

  app.patch("/orgs/:org/actions/variables/:name", async (c) => {
    const organization = at(c, "write");
    const variable = found(organization.variables, c);
    const given = await body(
      c,
      z.strictObject({
        ...ignored,
        name: text.optional(),
        value: text.optional(),
        visibility: visibility.optional(),
        selected_repository_ids: selected,
      }),
    );
    const wanted = given.visibility ?? variable.visibility;
    const ids = ownedIds(world, organization.account, given.selected_repository_ids, wanted);
    update(organization.variables, variable, given);
    variable.visibility = wanted;
    if (ids !== undefined || wanted !== "selected") variable.repositories.clear();
    for (const id of ids ?? []) variable.repositories.add(id);
    return c.body(null, 204);
  });

  app.delete("/orgs/:org/actions/variables/:name", (c) => {
    const { variables } = at(c, "write");
    variables.delete(found(variables, c).name);
    return c.body(null, 204);
  });

  selectionRoutes(app, world, {
    path: "/orgs/:org/actions/variables/:name/repositories",
    resource: "variable",
    emptyUnlessSelected: false,
    at: (c, level) => {
      const organization = at(c, level);
      return { organization, holder: found(organization.variables, c) };
    },
  });

  const repository = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, { permission: "actions_variables", level, role: "write" });

  app.get("/repos/:owner/:repo/actions/variables", (c) => {
    const all = sorted(repository(c, "read").variables);
    return c.json({ total_count: all.length, variables: paginate(c, all, 10, 30).map(bare) });
  });

  app.get("/repos/:owner/:repo/actions/organization-variables", (c) => {
    const one = repository(c, "read");
    const inherited = world.organization(one.owner.login)?.variables ?? new Map<string, Variable>();
    const all = sorted(world.shared(one, inherited));
    return c.json({ total_count: all.length, variables: paginate(c, all, 10, 30).map(bare) });
  });

  app.post("/repos/:owner/:repo/actions/variables", async (c) => {
    const { variables } = repository(c, "write");
    const given = await body(c, z.strictObject({ ...ignored, name: text, value: text }));
    create(variables, given, { visibility: "all", repositories: new Set() });
    return c.json({}, 201);
  });

  app.get("/repos/:owner/:repo/actions/variables/:name", (c) =>
    c.json(bare(found(repository(c, "read").variables, c))),
  );

  app.patch("/repos/:owner/:repo/actions/variables/:name", async (c) => {
    const { variables } = repository(c, "write");
    const variable = found(variables, c);
    const given = await body(
      c,
      z.strictObject({ ...ignored, name: text.optional(), value: text.optional() }),
    );
    update(variables, variable, given);
    return c.body(null, 204);
  });

  app.delete("/repos/:owner/:repo/actions/variables/:name", (c) => {
    const { variables } = repository(c, "write");
    variables.delete(found(variables, c).name);
    return c.body(null, 204);
  });

  return app;
}

/** Variables hold at most 48 KB. */
function checkValue(value: string): string {
  if (Buffer.byteLength(value) > 48 * 1024)
    throw new ApiError(422, "Variable value exceeds the maximum size of 48 KB");
  return value;
}

function bare(variable: Variable) {
  return {
    name: variable.name,
    value: variable.value,
    created_at: iso(variable.createdAt),
    updated_at: iso(variable.updatedAt),
  };
}

function sorted(variables: ReadonlyMap<string, Variable>): Variable[] {
  return [...variables.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
