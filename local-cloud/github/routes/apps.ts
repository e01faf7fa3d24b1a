import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import {
  ApiError,
  body,
  type Ctx,
  type GitHubEnv,
  idParameter,
  iso,
  notFound,
  paginate,
} from "../http";
import type { Level, Permissions, Repository, Token } from "../model";
import { accountView, nodeId, repositoryView } from "../views";
import type { World } from "../world";

const rank: Record<Level, number> = { read: 1, write: 2, admin: 3 };
const hour = 3_600_000;

/** The GitHub App: what it may ask for with its JWT, and what an installation token may ask for. */
export function appRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const { installation } = world.app;
  const owner = () => {
    const account = world.account(installation.owner);
    if (account === undefined) throw notFound();
    return account;
  };
  const reach = (): Repository[] =>
    world
      .repositoriesOf(installation.owner)
      .filter((one) => installation.repositories?.includes(one.name) ?? true);
  const selection = (repositories: readonly string[] | undefined) =>
    repositories === undefined ? "all" : "selected";

  const appView = (c: Ctx) => ({
    id: world.app.id,
    slug: world.app.slug,
    node_id: nodeId("App", world.app.id),
    client_id: world.app.clientId,
    owner: accountView(c.var.base, owner()),
    name: world.app.slug,
    description: null,
    external_url: "https://example.com",
    html_url: `https://github.com/apps/${world.app.slug}`,
    created_at: iso(owner().createdAt),
    updated_at: iso(owner().createdAt),
    permissions: installation.permissions,
    events: [],
    installations_count: 1,
  });
  const installationView = (c: Ctx) => ({
    id: installation.id,
    account: accountView(c.var.base, owner()),
    repository_selection: selection(installation.repositories),
    access_tokens_url: `${c.var.base}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${c.var.base}/installation/repositories`,
    html_url: `https://github.com/organizations/${installation.owner}/settings/installations/${installation.id}`,
    app_id: world.app.id,
    client_id: world.app.clientId,
    app_slug: world.app.slug,
    target_id: owner().id,
    target_type: owner().type,
    permissions: installation.permissions,
    events: [],
    created_at: iso(owner().createdAt),
    updated_at: iso(owner().createdAt),
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: null,
    suspended_at: null,
  });
  const asApp = (c: Ctx): void => c.var.access.app();

  app.get("/app", (c) => {
    asApp(c);
    return c.json(appView(c));
  });
  app.get("/app/installations", (c) => {
    asApp(c);
    return c.json(paginate(c, [installationView(c)]));
  });
  app.get("/app/installations/:id", (c) => {
    asApp(c);
    if (idParameter(c, "id") !== installation.id) throw notFound();
    return c.json(installationView(c));
  });
  for (const kind of ["orgs", "users"] as const)
    app.get(`/${kind}/:login/installation`, (c) => {
      asApp(c);
      const type = kind === "orgs" ? "Organization" : "User";
      const account = owner();
      const same = c.req.param("login").toLowerCase() === account.login.toLowerCase();
      if (!same || account.type !== type) throw notFound();
      return c.json(installationView(c));
    });
  app.get("/repos/:owner/:repo/installation", (c) => {
    asApp(c);
    const name = `${c.req.param("owner")}/${c.req.param("repo")}`;
    const repository = world.repository(name);
    if (repository === undefined || !reach().includes(repository)) throw notFound();
    return c.json(installationView(c));
  });

  app.post("/app/installations/:id/access_tokens", async (c) => {
    asApp(c);
    if (idParameter(c, "id") !== installation.id) throw notFound();
    const given = await body(
      c,
      z.strictObject({
        repositories: z.array(z.string()).max(500).optional(),
        repository_ids: z.array(z.int()).max(500).optional(),
        permissions: z.record(z.string(), z.enum(["read", "write", "admin"])).optional(),
      }),
    );
    const permissions: Permissions = given.permissions ?? installation.permissions;
    for (const [name, level] of Object.entries(permissions)) {
      const granted = installation.permissions[name];
      if (granted === undefined || rank[level] > rank[granted])
        throw new ApiError(422, "The permissions requested are not granted to this installation.");
    }
    const wanted = [
      ...(given.repositories ?? []).map((name) => reach().find((one) => one.name === name)),
      ...(given.repository_ids ?? []).map((id) => reach().find((one) => one.id === id)),
    ];
    const limited = wanted.map((one) => {
      if (one === undefined)
        throw new ApiError(
          422,
          "There is at least one repository that does not exist or is not accessible to the parent installation.",
        );
      return one;
    });
    const names = limited.length === 0 ? installation.repositories : limited.map((one) => one.name);
    const token: Token = {
      value: `ghs_${randomBytes(40)
        .toString("base64")
        .replace(/[^A-Za-z0-9]/g, "")
        .slice(0, 36)}`,
      kind: "installation",
      login: `${world.app.slug}[bot]`,
      scopes: [],
      permissions: { metadata: "read", ...permissions },
      resourceOwner: installation.owner,
      repositories: names,
      expiresAt: world.now() + hour,
    };
    world.tokens.set(token.value, token);
    return c.json(
      {
        token: token.value,
        expires_at: iso(world.now() + hour),
        permissions: token.permissions,
        repository_selection: selection(names),
        ...(limited.length > 0 && {
          repositories: limited.map((one) => repositoryView(c.var.base, one, c.var.access)),
        }),
      },
      201,
    );
  });

  const asInstallation = (c: Ctx): Token => {
    const token = c.var.access.token();
    if (token.kind !== "installation")
      throw new ApiError(
        403,
        "You must authenticate with an installation access token in order to list repositories for an installation.",
      );
    return token;
  };

  app.get("/installation/repositories", (c) => {
    const token = asInstallation(c);
    const all = reach().filter((one) => token.repositories?.includes(one.name) ?? true);
    return c.json({
      total_count: all.length,
      repository_selection: selection(token.repositories),
      repositories: paginate(c, all).map((one) => repositoryView(c.var.base, one, c.var.access)),
    });
  });

  app.delete("/installation/token", (c) => {
    world.tokens.delete(asInstallation(c).value);
    return c.body(null, 204);
  });

  return app;
}
