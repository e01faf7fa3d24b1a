import type { GitStore } from "./git";

export type Plan = "free" | "team" | "enterprise";
export type Visibility = "all" | "private" | "selected";
export type Level = "read" | "write" | "admin";

export interface Account {
  readonly id: number;
  readonly login: string;
  readonly type: "Organization" | "User";
  readonly name: string;
  readonly plan: Plan;
  readonly createdAt: number;
  /** Organizations only: login of each member, lower case, to role. */
  readonly members: Map<string, "admin" | "member">;
}

/** A member's rights in a repository of the organization; owners have all of them. */
export type RepositoryRole = "read" | "write" | "admin";

export interface Protection {
  readonly requiredChecks: readonly string[] | undefined;
  readonly strict: boolean;
  readonly requiredReviews: number | undefined;
  readonly enforceAdmins: boolean;
}

export interface Repository {
  readonly id: number;
  readonly owner: Account;
  readonly name: string;
  readonly private: boolean;
  readonly description: string | null;
  defaultBranch: string;
  readonly git: GitStore;
  /** Where it was forked from. */
  readonly parent: Repository | undefined;
  forks: number;
  readonly createdAt: number;
  pushedAt: number;
  readonly collaborators: Map<string, RepositoryRole>;
  readonly protections: Map<string, Protection>;
  readonly pulls: PullRequest[];
  readonly secrets: Map<string, Secret>;
  readonly variables: Map<string, Variable>;
  readonly keys: SealingKey;
  actions: {
    enabled: boolean;
    allowed: AllowedActions;
    shaPinning: boolean;
    selected: SelectedActions;
    access: "none" | "user" | "organization";
    workflow: WorkflowPermissions;
    forkPullRequests: ForkPullRequests;
    forkApproval: ForkApproval;
  };
}

/** What pull requests from forks of a private repository may do. */
export interface ForkPullRequests {
  run_workflows_from_fork_pull_requests: boolean;
  send_write_tokens_to_workflows: boolean;
  send_secrets_and_variables: boolean;
  require_approval_for_fork_pr_workflows: boolean;
}

/** Whose pull requests from forks of a public repository run workflows only after a maintainer's approval. */
export type ForkApproval =
  "first_time_contributors_new_to_github" | "first_time_contributors" | "all_external_contributors";

export type AllowedActions = "all" | "local_only" | "selected";

export interface SelectedActions {
  github_owned_allowed: boolean;
  verified_allowed: boolean;
  patterns_allowed: string[];
}

export interface WorkflowPermissions {
  default_workflow_permissions: "read" | "write";
  can_approve_pull_request_reviews: boolean;
}

export interface PullRequest {
  readonly number: number;
  readonly id: number;
  title: string;
  body: string | null;
  state: "open" | "closed";
  readonly user: string;
  /** The repository itself, or a fork of it. */
  readonly headRepository: Repository;
  readonly headBranch: string;
  /** Kept after the branch is gone. */
  headSha: string;
  baseBranch: string;
  readonly draft: boolean;
  maintainerCanModify: boolean;
  readonly createdAt: number;
  updatedAt: number;
  closedAt: number | null;
  mergedAt: number | null;
  mergedBy: string | null;
  mergeCommit: string | null;
}

/** Key pair of a repository or organization for sealed boxes. */
export interface SealingKey {
  readonly id: string;
  readonly publicKey: Uint8Array;
  readonly privateKey: Uint8Array;
}

export interface Secret {
  readonly name: string;
  value: string;
  readonly createdAt: number;
  updatedAt: number;
  visibility: Visibility;
  readonly repositories: Set<number>;
}

export interface Variable {
  name: string;
  value: string;
  readonly createdAt: number;
  updatedAt: number;
  visibility: Visibility;
  readonly repositories: Set<number>;
}

export interface RunnerGroup {
  readonly id: number;
  name: string;
  visibility: Visibility;
  readonly isDefault: boolean;
  allowsPublicRepositories: boolean;
  restrictedToWorkflows: boolean;
  selectedWorkflows: string[];
  readonly repositories: Set<number>;
}

/** Where a runner is registered: a whole organization, or one repository. */
export interface RunnerScope {
  readonly owner: Account;
  readonly repository: Repository | undefined;
}

export interface Session {
  readonly id: string;
  /** Milliseconds since the epoch: the last sign of life. */
  lastSeen: number;
  /** Wakes the held poll, if one is held. */
  wake: (() => void) | undefined;
}

export interface Runner {
  readonly id: number;
  readonly name: string;
  readonly scope: RunnerScope;
  groupId: number;
  os: string;
  architecture: string | undefined;
  labels: string[];
  ephemeral: boolean;
  version: string | null;
  credential: string;
  session: Session | undefined;
  lastOnline: number;
  /** Job under way. */
  job: number | undefined;
  /** When `job` last changed; the REST view follows it late if a lag is set. */
  jobChangedAt: number;
  wasBusy: boolean;
}

export interface RunnerToken {
  readonly value: string;
  readonly kind: "registration" | "remove";
  readonly scope: RunnerScope;
  readonly expiresAt: number;
}

export interface Deprecation {
  /** When the version stops getting jobs. */
  readonly runtimeDeprecatesAt?: Date;
  /** When the version can no longer be registered. */
  readonly registrationDeprecatesAt?: Date;
}

export type Permissions = Readonly<Record<string, Level>>;

/** A credential that the API knows. */
export interface Token {
  readonly value: string;
  readonly kind: "classic" | "fineGrained" | "installation";
  /** Login of the user who made it, or the App's slug. */
  readonly login: string;
  /** Classic tokens. */
  readonly scopes: readonly string[];
  /** Fine-grained and installation tokens: rights in `resourceOwner`. */
  readonly permissions: Permissions;
  readonly resourceOwner: string | undefined;
  /** Names of repositories it is limited to; undefined = all of the owner's. */
  readonly repositories: readonly string[] | undefined;
  readonly expiresAt: number | undefined;
  /** Of a job: what is done with it starts no workflows. */
  readonly ofJob?: boolean;
}

export interface App {
  readonly id: number;
  readonly slug: string;
  readonly clientId: string;
  readonly installation: {
    readonly id: number;
    readonly owner: string;
    readonly permissions: Permissions;
    readonly repositories: readonly string[] | undefined;
  };
}

/** Organization-wide Actions state. */
export interface Organization {
  readonly account: Account;
  readonly keys: SealingKey;
  readonly secrets: Map<string, Secret>;
  readonly variables: Map<string, Variable>;
  readonly groups: Map<number, RunnerGroup>;
  lastGroupId: number;
  actions: {
    enabled: "all" | "none" | "selected";
    allowed: AllowedActions;
    shaPinning: boolean;
    selected: SelectedActions;
    repositories: Set<number>;
    workflow: WorkflowPermissions;
  };
}
