import type { Hono } from "hono";
import { z } from "zod";
import type { Right } from "../access";
import { ApiError, body, type Ctx, type GitHubEnv, idParameter, notFound, paginate } from "../http";
import type { Account, Organization, Repository, RepositoryRole, Visibility } from "../model";
import { minimalRepository } from "../views";
import type { World } from "../world";

/** The repository of the route, with the right asked for. */
export function repositoryAt(c: Ctx, right: Right & { role: RepositoryRole }): Repository {
  return c.var.access.repository(`${c.req.param("owner")}/${c.req.param("repo")}`, right);
}

/** Secret and variable names are upper case inside GitHub. */
export function checkName(name: string, kind: "Secret" | "Variable"): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new ApiError(
      422,
      `${kind} names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).`,
    );
  if (/^GITHUB_/i.test(name)) throw new ApiError(422, `${kind} names must not start with GITHUB_.`);
  return name.toUpperCase();
}

/** Selected repositories must be the organization's own, and go only with visibility "selected". */
export function ownedIds(
  world: World,
  owner: Account,
  ids: readonly number[] | undefined,
  visibility: Visibility,
): readonly number[] | undefined {
  if (ids === undefined || ids.length === 0) return ids;
  if (visibility !== "selected")
    throw new ApiError(
      422,
      'Invalid request.\n\n"selected_repository_ids" can only be given when "visibility" is "selected".',
    );
  return checkOwned(world, owner, ids);
}

export function checkOwned(
  world: World,
  owner: Account,
  ids: readonly number[],
): readonly number[] {
  for (const id of ids)
    if (world.repositoryById(id)?.owner.id !== owner.id)
      throw new ApiError(404, `Repository ${id} is not part of ${owner.login}`);
  return ids;
}

const selection = z.strictObject({ selected_repository_ids: z.array(z.int()) });

/** The routes below something that can be limited to selected repositories. */
export function selectionRoutes(
  app: Hono<GitHubEnv>,
  world: World,
  options: {
    readonly path: string;
    readonly resource: string;
    /** While repositories are not selected, the list is empty and may be set to nothing; otherwise each request is a conflict. */
    readonly emptyUnlessSelected: boolean;
    readonly at: (
      c: Ctx,
      level: "read" | "write",
    ) => {
      organization: Organization;
      holder: { readonly visibility: Visibility; readonly repositories: Set<number> };
    };
  },
): void {
  const { path, at } = options;
  const selected = (c: Ctx, level: "read" | "write") => {
    const found = at(c, level);
    if (found.holder.visibility !== "selected")
      throw new ApiError(
        409,
        `The visibility of the ${options.resource} is not set to selected repositories`,
      );
    return found;
  };

  app.get(path, (c) => {
    const { holder } = options.emptyUnlessSelected ? at(c, "read") : selected(c, "read");
    const all = [...holder.repositories].flatMap((id) => world.repositoryById(id) ?? []);
    return c.json({
      total_count: all.length,
      repositories: paginate(c, all).map((one) => minimalRepository(c.var.base, one)),
    });
  });

  app.put(path, async (c) => {
    const { selected_repository_ids: ids } = await body(c, selection);
    const unset = options.emptyUnlessSelected && ids.length === 0;
    const { organization, holder } = unset ? at(c, "write") : selected(c, "write");
    checkOwned(world, organization.account, ids);
    holder.repositories.clear();
    for (const id of ids) holder.repositories.add(id);
    return c.body(null, 204);
  });

  app.put(`${path}/:repository`, (c) => {
    const { organization, holder } = selected(c, "write");
    const id = idParameter(c, "repository");
    if (world.repositoryById(id)?.owner.id !== organization.account.id) throw notFound();
    holder.repositories.add(id);
    return c.body(null, 204);
  });

  app.delete(`${path}/:repository`, (c) => {
    const { holder } = selected(c, "write");
    if (!holder.repositories.delete(idParameter(c, "repository"))) throw notFound();
    return c.body(null, 204);
  });
}
