import type { Level, Permissions, Plan, RepositoryRole } from "./model";

export interface SeedRepository {
  readonly owner: string;
  readonly name: string;
  readonly private: boolean;
  readonly defaultBranch: string;
  readonly files: Readonly<Record<string, string>>;
  /** Rights of members that are not owners; default: read. */
  readonly collaborators?: Readonly<Record<string, RepositoryRole>>;
}

export interface SeedToken {
  readonly value: string;
  readonly kind: "classic" | "fineGrained";
  readonly login: string;
  readonly scopes?: readonly string[];
  readonly permissions?: Permissions;
  readonly resourceOwner?: string;
  readonly repositories?: readonly string[];
  readonly expired?: boolean;
}

/** What exists on the GitHub side at the start and after `reset()`. */
export interface Seed {
  readonly users: readonly string[];
  readonly organizations: readonly {
    readonly login: string;
    readonly plan: Plan;
    readonly owners: readonly string[];
    readonly members: readonly string[];
  }[];
  readonly repositories: readonly SeedRepository[];
  readonly tokens: readonly SeedToken[];
  readonly app: {
    readonly id: number;
    readonly slug: string;
    readonly installationId: number;
    readonly owner: string;
    readonly permissions: Permissions;
    readonly repositories?: readonly string[];
  };
}

/** Fixed dummies in GitHub's formats: nothing outside the local cloud accepts them. */
export const tokens = {
  /** Classic, by an owner of the organization, all the scopes the program needs. */
  admin: classic("LocalCloudAdmin"),
  /** Classic, no scope at all. */
  noScope: classic("LocalCloudNoScope"),
  /** Like `admin` without `workflow`. */
  noWorkflow: classic("LocalCloudNoWorkflow"),
  /** Like `admin` without `admin:org`. */
  noOrganization: classic("LocalCloudNoOrganization"),
  /** All scopes, by a member who owns nothing. */
  member: classic("LocalCloudMember"),
  /** All scopes, by a user outside the organization. */
  stranger: classic("LocalCloudStranger"),
  /** Was good once. */
  expired: classic("LocalCloudExpired"),
  /** Fine-grained: may read everything in the organization, write nothing. */
  readOnly: `github_pat_${"LocalCloudReadOnly".padEnd(22, "0")}_${"0".repeat(59)}`,
  /** Fine-grained: every right that the program needs. */
  fineGrained: `github_pat_${"LocalCloudFineGrained".padEnd(22, "0")}_${"0".repeat(59)}`,
} as const;

function classic(name: string): string {
  return `ghp_${name.padEnd(36, "0")}`;
}

const everything: Permissions = permissions("write");

function permissions(level: Level): Permissions {
  return {
    actions: level,
    actions_variables: level,
    administration: level,
    contents: level,
    metadata: "read",
    organization_actions_variables: level,
    organization_administration: level,
    organization_secrets: level,
    organization_self_hosted_runners: level,
    pull_requests: level,
    secrets: level,
    ...(level === "write" && { workflows: level }),
  };
}

const scopes = ["repo", "workflow", "admin:org"];

/** Organization "acme" (Team plan) with private repositories webppt, webp-server and hello and the public site; user "octocat". */
export const defaultSeed: Seed = {
  users: ["fleet-admin", "fleet-member", "octocat"],
  organizations: [
    { login: "acme", plan: "team", owners: ["fleet-admin"], members: ["fleet-member"] },
  ],
  repositories: [
    repository("acme", "webppt", true, "master"),
    repository("acme", "webp-server", true, "master"),
    repository("acme", "hello", true, "main"),
    repository("acme", "site", false, "main"),
    repository("octocat", "playground", false, "main"),
  ],
  tokens: [
    { value: tokens.admin, kind: "classic", login: "fleet-admin", scopes },
    { value: tokens.noScope, kind: "classic", login: "fleet-admin", scopes: [] },
    {
      value: tokens.noWorkflow,
      kind: "classic",
      login: "fleet-admin",
      scopes: ["repo", "admin:org"],
    },
    {
      value: tokens.noOrganization,
      kind: "classic",
      login: "fleet-admin",
      scopes: ["repo", "workflow"],
    },
    { value: tokens.member, kind: "classic", login: "fleet-member", scopes },
    { value: tokens.stranger, kind: "classic", login: "octocat", scopes },
    { value: tokens.expired, kind: "classic", login: "fleet-admin", scopes, expired: true },
    {
      value: tokens.readOnly,
      kind: "fineGrained",
      login: "fleet-admin",
      resourceOwner: "acme",
      permissions: permissions("read"),
    },
    {
      value: tokens.fineGrained,
      kind: "fineGrained",
      login: "fleet-admin",
      resourceOwner: "acme",
      permissions: everything,
    },
  ],
  app: {
    id: 1001,
    slug: "runner-fleet",
    installationId: 2001,
    owner: "acme",
    permissions: everything,
  },
};

function repository(
  owner: string,
  name: string,
  isPrivate: boolean,
  defaultBranch: string,
): SeedRepository {
  const files = {
    "README.md": `# ${name}\n`,
    Dockerfile: "FROM scratch\nCOPY README.md /\n",
  };
  return { owner, name, private: isPrivate, defaultBranch, files };
}
