import { ApiError, type GitHubEnv, iso, notFound, paginate } from "../http";
import type { Account } from "../model";
import { accountView, minimalRepository, repositoryView } from "../views";
import type { World } from "../world";
import { Hono } from "hono";

/** Users, organizations and their repositories. */
export function accountRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();

  const profile = (base: string, account: Account) => ({
    ...accountView(base, account),
    name: account.name,
    company: null,
    blog: "",
    location: null,
    email: null,
    bio: null,
    public_repos: world.repositoriesOf(account.login).filter((one) => !one.private).length,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: iso(account.createdAt),
    updated_at: iso(account.createdAt),
  });

  app.get("/user", (c) => {
    const token = c.var.access.token();
    const account = world.account(token.login);
    // An installation token stands for no user.
    if (account === undefined || token.kind === "installation") throw notFound();
    return c.json(profile(c.var.base, account));
  });

  app.get("/user/orgs", (c) => {
    const { login } = c.var.access.token();
    const mine = [...world.organizations.values()].filter(({ account }) =>
      account.members.has(login.toLowerCase()),
    );
    return c.json(paginate(c, mine).map(({ account }) => organizationSummary(c.var.base, account)));
  });

  app.get("/user/memberships/orgs/:org", (c) => {
    const { base, access } = c.var;
    const token = access.token();
    const organization = world.organization(c.req.param("org"));
    const account = world.account(token.login);
    const role = organization?.account.members.get(token.login.toLowerCase());
    // An installation token stands for no user.
    if (organization === undefined || account === undefined || token.kind === "installation")
      throw notFound();
    if (token.kind === "classic") {
      access.acceptedScopes = ["admin:org", "read:org", "user", "write:org"];
      if (!access.acceptedScopes.some((scope) => token.scopes.includes(scope)))
        throw new ApiError(
          403,
          "You need at least read:org scope or user scope to get your organization membership.",
        );
    }
    if (role === undefined) throw notFound();
    const { url } = organizationSummary(base, organization.account);
    return c.json({
      url: `${url}/memberships/${account.login}`,
      state: "active",
      role,
      organization_url: url,
      user: accountView(base, account),
      organization: organizationSummary(base, organization.account),
    });
  });

  app.get("/user/repos", (c) => {
    const { login } = c.var.access.token();
    const mine = [...world.repositories.values()].filter(
      (one) => c.var.access.roleIn(one, login) !== undefined && c.var.access.canSee(one),
    );
    return c.json(paginate(c, mine).map((one) => repositoryView(c.var.base, one, c.var.access)));
  });

  app.get("/users/:login", (c) => {
    const account = world.account(c.req.param("login"));
    if (account === undefined) throw notFound();
    return c.json(profile(c.var.base, account));
  });

  app.get("/users/:login/repos", (c) => {
    const account = world.account(c.req.param("login"));
    if (account === undefined) throw notFound();
    const shown = world.repositoriesOf(account.login).filter((one) => !one.private);
    return c.json(paginate(c, shown).map((one) => minimalRepository(c.var.base, one)));
  });

  app.get("/orgs/:org", (c) => {
    const { base, access } = c.var;
    const organization = world.organization(c.req.param("org"));
    if (organization === undefined) throw notFound();
    const { account } = organization;
    const owner =
      access.principal.kind === "token" &&
      access.principal.token.kind === "classic" &&
      account.members.get(access.login.toLowerCase()) === "admin" &&
      access.principal.token.scopes.includes("admin:org");
    const repositories = world.repositoriesOf(account.login);
    return c.json({
      ...organizationSummary(base, account),
      name: account.name,
      company: null,
      blog: "",
      location: null,
      email: null,
      is_verified: false,
      has_organization_projects: true,
      has_repository_projects: true,
      public_repos: repositories.filter((one) => !one.private).length,
      public_gists: 0,
      followers: 0,
      following: 0,
      html_url: `https://github.com/${account.login}`,
      created_at: iso(account.createdAt),
      updated_at: iso(account.createdAt),
      archived_at: null,
      type: "Organization",
      // Owners see the plan and the private part.
      ...(owner && {
        total_private_repos: repositories.filter((one) => one.private).length,
        owned_private_repos: repositories.filter((one) => one.private).length,
        plan: {
          name: account.plan,
          space: 976562499,
          private_repos: 999999,
          filled_seats: account.members.size,
          seats: account.members.size,
        },
        default_repository_permission: "read",
        members_can_create_repositories: true,
        two_factor_requirement_enabled: false,
      }),
    });
  });

  app.get("/orgs/:org/repos", (c) => {
    const organization = world.organization(c.req.param("org"));
    if (organization === undefined) throw notFound();
    const shown = world
      .repositoriesOf(organization.account.login)
      .filter((one) => c.var.access.canSee(one));
    return c.json(paginate(c, shown).map((one) => repositoryView(c.var.base, one, c.var.access)));
  });

  return app;
}

function organizationSummary(base: string, account: Account) {
  const url = `${base}/orgs/${account.login}`;
  return {
    login: account.login,
    id: account.id,
    node_id: accountView(base, account).node_id,
    url,
    repos_url: `${url}/repos`,
    events_url: `${url}/events`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues`,
    members_url: `${url}/members{/member}`,
    public_members_url: `${url}/public_members{/member}`,
    avatar_url: `https://avatars.githubusercontent.com/u/${account.id}?v=4`,
    description: null,
  };
}
