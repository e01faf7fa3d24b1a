import { randomBytes } from "node:crypto";
import sodium from "libsodium-wrappers";
import { type FileEntry, GitStore, type Signature } from "./git";
import { iso } from "./http";
import type {
  Account,
  App,
  Deprecation,
  Organization,
  PullRequest,
  Repository,
  Runner,
  RunnerGroup,
  RunnerScope,
  RunnerToken,
  SealingKey,
  Secret,
  Token,
  Variable,
} from "./model";
import type { Seed } from "./seed";

/** Minutes and days of GitHub's own clockwork. */
const hour = 3_600_000;
const day = 24 * hour;

/** Who made something happen. What a job's own token does starts no workflows. */
export interface Pusher {
  readonly login: string;
  readonly startsWorkflows: boolean;
}

/** What workflows may start on. */
export type RepositoryEvent =
  | {
      readonly type: "push";
      readonly repository: Repository;
      /** Full name. */
      readonly ref: string;
      /** Absent for a new branch or tag. */
      readonly before: string | undefined;
      readonly after: string;
      readonly by: Pusher;
    }
  | {
      readonly type: "pull_request";
      readonly repository: Repository;
      readonly action: "opened" | "synchronize" | "reopened" | "closed" | "edited";
      readonly pull: PullRequest;
      readonly by: Pusher;
    };

/** Everything that the GitHub side knows; routes and jobs read and change it. */
export class World {
  readonly accounts = new Map<string, Account>();
  readonly organizations = new Map<string, Organization>();
  readonly repositories = new Map<string, Repository>();
  readonly tokens = new Map<string, Token>();
  readonly runners = new Map<number, Runner>();
  readonly runnerTokens = new Map<string, RunnerToken>();
  readonly deprecations = new Map<string, Deprecation>();
  readonly app: App;
  /** Told of each event once its effects are in place. */
  onEvent: (event: RepositoryEvent) => void = () => undefined;
  private nextId = 1;

  constructor(
    seed: Seed,
    readonly now: () => number,
  ) {
    for (const login of seed.users) this.addAccount(login, "User", "free");
    for (const { login, plan, owners, members } of seed.organizations) {
      const account = this.addAccount(login, "Organization", plan);
      for (const member of members) account.members.set(member.toLowerCase(), "member");
      for (const owner of owners) account.members.set(owner.toLowerCase(), "admin");
      this.organizations.set(login.toLowerCase(), this.newOrganization(account));
    }
    for (const one of seed.repositories) this.addRepository(one);
    for (const token of seed.tokens)
      this.tokens.set(token.value, {
        value: token.value,
        kind: token.kind,
        login: token.login,
        scopes: token.scopes ?? [],
        permissions: token.permissions ?? {},
        resourceOwner: token.resourceOwner,
        repositories: token.repositories,
        expiresAt: token.expired === true ? 0 : undefined,
      });
    const { app } = seed;
    this.app = {
      id: app.id,
      slug: app.slug,
      clientId: `Iv23li${String(app.id).padStart(14, "0")}`,
      installation: {
        id: app.installationId,
        owner: app.owner,
        permissions: app.permissions,
        repositories: app.repositories,
      },
    };
  }

  id(): number {
    return this.nextId++;
  }

  account(login: string): Account | undefined {
    return this.accounts.get(login.toLowerCase());
  }

  organization(login: string): Organization | undefined {
    return this.organizations.get(login.toLowerCase());
  }

  repository(fullName: string): Repository | undefined {
    return this.repositories.get(fullName.toLowerCase());
  }

  repositoriesOf(login: string): Repository[] {
    return [...this.repositories.values()].filter(
      (one) => one.owner.login.toLowerCase() === login.toLowerCase(),
    );
  }

  forksOf(repository: Repository): Repository[] {
    return [...this.repositories.values()].filter((one) => one.parent === repository);
  }

  repositoryById(id: number): Repository | undefined {
    return [...this.repositories.values()].find((one) => one.id === id);
  }

  /** Runners registered at exactly this organization or repository; long gone ones are swept first. */
  runnersAt(scope: RunnerScope): Runner[] {
    this.sweepRunners();
    return [...this.runners.values()].filter((runner) => sameScope(runner.scope, scope));
  }

  /** GitHub forgets ephemeral runners that have been offline for a day, others after 14. */
  sweepRunners(): void {
    for (const runner of this.runners.values()) {
      const limit = runner.ephemeral ? day : 14 * day;
      const last = Math.max(runner.lastOnline, runner.session?.lastSeen ?? 0);
      if (runner.job === undefined && this.now() - last > limit) this.runners.delete(runner.id);
    }
  }

  newRunnerToken(kind: RunnerToken["kind"], scope: RunnerScope): RunnerToken {
    const value = `A${randomBytes(18).toString("hex").toUpperCase().slice(0, 28)}`;
    const token: RunnerToken = { value, kind, scope, expiresAt: this.now() + hour };
    this.runnerTokens.set(value, token);
    return token;
  }

  newGroup(
    organization: Organization,
    name: string,
    settings: Partial<RunnerGroup> = {},
  ): RunnerGroup {
    const group: RunnerGroup = {
      // Never the id of a group that was deleted, as on GitHub.
      id: ++organization.lastGroupId,
      name,
      visibility: "all",
      isDefault: organization.groups.size === 0,
      allowsPublicRepositories: false,
      restrictedToWorkflows: false,
      selectedWorkflows: [],
      repositories: new Set(),
      ...settings,
    };
    organization.groups.set(group.id, group);
    return group;
  }

  groupOf(runner: Runner): RunnerGroup | undefined {
    return this.organization(runner.scope.owner.login)?.groups.get(runner.groupId);
  }

  /** Secrets that a job of the repository gets: the repository's own win over the organization's. */
  secretsFor(repository: Repository): Map<string, Secret> {
    const inherited =
      this.organization(repository.owner.login)?.secrets ?? new Map<string, Secret>();
    return new Map([...this.shared(repository, inherited), ...repository.secrets]);
  }

  variablesFor(repository: Repository): Map<string, Variable> {
    const inherited =
      this.organization(repository.owner.login)?.variables ?? new Map<string, Variable>();
    return new Map([...this.shared(repository, inherited), ...repository.variables]);
  }

  /** The organization's secrets or variables that reach the repository. On the Free plan none reaches a private one. */
  shared<T extends Secret | Variable>(
    repository: Repository,
    of: ReadonlyMap<string, T>,
  ): Map<string, T> {
    if (repository.private && repository.owner.plan === "free") return new Map();
    return new Map(
      [...of].filter(([, one]) => {
        if (one.visibility === "all") return true;
        if (one.visibility === "private") return repository.private;
        return one.repositories.has(repository.id);
      }),
    );
  }

  /** Puts a commit with one changed file on a branch; `content` undefined removes the file. */
  commitFile(
    repository: Repository,
    change: {
      branch: string;
      path: string;
      content: Buffer | undefined;
      message: string;
      author: Signature;
      committer?: Signature;
      by: Pusher;
    },
  ): string {
    const { path, content, ...rest } = change;
    return this.commitFiles(repository, { ...rest, files: new Map([[path, content]]) });
  }

  /** Puts a commit on a branch, which begins at the default branch if it is new; `undefined` removes a file. */
  commitFiles(
    repository: Repository,
    change: {
      branch: string;
      files: ReadonlyMap<string, Buffer | undefined>;
      message: string;
      author: Signature;
      committer?: Signature;
      by: Pusher;
    },
  ): string {
    const { git } = repository;
    const ref = `refs/heads/${change.branch}`;
    const known = git.refs.get(ref);
    const parent = known ?? git.refs.get(`refs/heads/${repository.defaultBranch}`);
    const before = parent === undefined ? undefined : git.commit(parent);
    const files = before === undefined ? new Map<string, FileEntry>() : git.files(before.tree);
    for (const [path, content] of change.files) {
      const mode = files.get(path)?.mode ?? "100644";
      if (content === undefined) files.delete(path);
      else files.set(path, { mode, sha: git.putBlob(content) });
    }
    const sha = git.putCommit({
      tree: git.treeOf(files),
      parents: parent === undefined ? [] : [parent],
      author: change.author,
      committer: change.committer ?? change.author,
      message: change.message,
    });
    git.refs.set(ref, sha);
    this.pushed(repository, ref, known, change.by);
    return sha;
  }

  /** What follows from a branch or tag (full name) having been made or moved. */
  pushed(repository: Repository, ref: string, before: string | undefined, by: Pusher): void {
    repository.pushedAt = this.now();
    const after = repository.git.refs.get(ref);
    if (after === undefined || after === before || !/^refs\/(heads|tags)\//.test(ref)) return;
    this.onEvent({ type: "push", repository, ref, before, after, by });
    for (const base of repository.parent === undefined
      ? [repository]
      : [repository, repository.parent])
      for (const pull of base.pulls) {
        if (pull.state !== "open") continue;
        const moved = pull.headRepository === repository && ref === `refs/heads/${pull.headBranch}`;
        if (moved) pull.headSha = after;
        if (moved || (base === repository && ref === `refs/heads/${pull.baseBranch}`))
          this.mergePull(base, pull);
        if (moved)
          this.onEvent({ type: "pull_request", repository: base, action: "synchronize", pull, by });
      }
  }

  /** Opens a pull request. */
  openPull(
    repository: Repository,
    given: Pick<PullRequest, "title" | "headRepository" | "headBranch" | "headSha" | "baseBranch"> &
      Partial<Pick<PullRequest, "body" | "draft" | "maintainerCanModify">>,
    by: Pusher,
  ): PullRequest {
    const now = this.now();
    const pull: PullRequest = {
      number: repository.pulls.length + 1,
      id: this.id(),
      body: null,
      state: "open",
      user: by.login,
      draft: false,
      maintainerCanModify: false,
      createdAt: now,
      updatedAt: now,
      closedAt: null,
      mergedAt: null,
      mergedBy: null,
      mergeCommit: null,
      ...given,
    };
    repository.pulls.push(pull);
    this.mergePull(repository, pull);
    this.onEvent({ type: "pull_request", repository, action: "opened", pull, by });
    return pull;
  }

  /** Keeps `refs/pull/<number>/head` and `/merge` up to date; there is no `/merge` where the two conflict. */
  mergePull(repository: Repository, pull: PullRequest): void {
    const { git } = repository;
    const ref = `refs/pull/${pull.number}`;
    git.fetch(pull.headRepository.git, pull.headSha);
    git.refs.set(`${ref}/head`, pull.headSha);
    const ours = git.commit(git.refs.get(`refs/heads/${pull.baseBranch}`) ?? "");
    const theirs = git.commit(pull.headSha);
    const tree =
      ours === undefined || theirs === undefined ? undefined : git.mergeTrees(ours, theirs);
    if (tree === undefined || ours === undefined) {
      git.refs.delete(`${ref}/merge`);
      return;
    }
    const author = this.signature(pull.user);
    const sha = git.putCommit({
      tree,
      parents: [ours.sha, pull.headSha],
      author,
      committer: author,
      message: `Merge ${pull.headSha} into ${ours.sha}`,
    });
    git.refs.set(`${ref}/merge`, sha);
  }

  /** A copy of a repository in another account. */
  fork(parent: Repository, owner: Account, name: string, onlyDefaultBranch = false): Repository {
    const fork = this.newRepository(owner, name, {
      private: parent.private,
      defaultBranch: parent.defaultBranch,
      parent,
    });
    parent.forks += 1;
    for (const [ref, sha] of parent.git.refs) {
      if (!/^refs\/(heads|tags)\//.test(ref)) continue;
      if (onlyDefaultBranch && ref !== `refs/heads/${parent.defaultBranch}`) continue;
      fork.git.fetch(parent.git, sha);
      fork.git.refs.set(ref, sha);
    }
    return fork;
  }

  signature(login: string): Signature {
    const account = this.account(login);
    return {
      name: account?.name ?? login,
      email: `${account?.id ?? 0}+${login}@users.noreply.github.com`,
      date: iso(this.now()),
    };
  }

  private addAccount(login: string, type: Account["type"], plan: Account["plan"]): Account {
    const account: Account = {
      id: 1000 + this.id(),
      login,
      type,
      name: login,
      plan,
      createdAt: this.now(),
      members: new Map(),
    };
    this.accounts.set(login.toLowerCase(), account);
    return account;
  }

  private newOrganization(account: Account): Organization {
    const organization: Organization = {
      account,
      keys: newKeys(),
      secrets: new Map(),
      variables: new Map(),
      groups: new Map(),
      lastGroupId: 0,
      actions: {
        enabled: "all",
        allowed: "all",
        shaPinning: false,
        selected: newSelection(),
        repositories: new Set(),
        workflow: {
          default_workflow_permissions: "read",
          can_approve_pull_request_reviews: false,
        },
      },
    };
    this.newGroup(organization, "Default");
    return organization;
  }

  private addRepository(seed: Seed["repositories"][number]): void {
    const owner = this.account(seed.owner);
    if (owner === undefined)
      throw new Error(`Seed: repository ${seed.name} belongs to unknown account "${seed.owner}".`);
    const repository = this.newRepository(owner, seed.name, seed);
    for (const [login, role] of Object.entries(seed.collaborators ?? {}))
      repository.collaborators.set(login.toLowerCase(), role);
    const { git } = repository;
    const files = new Map(
      Object.entries(seed.files).map(([path, content]) => [
        path,
        { mode: "100644" as const, sha: git.putBlob(Buffer.from(content)) },
      ]),
    );
    const author = this.signature(seed.owner);
    const sha = git.putCommit({
      tree: git.treeOf(files),
      parents: [],
      author,
      committer: author,
      message: "Initial commit",
    });
    git.refs.set(`refs/heads/${seed.defaultBranch}`, sha);
  }

  private newRepository(
    owner: Account,
    name: string,
    given: { private: boolean; defaultBranch: string; parent?: Repository },
  ): Repository {
    const repository: Repository = {
      id: 100_000 + this.id(),
      owner,
      name,
      private: given.private,
      description: null,
      defaultBranch: given.defaultBranch,
      git: new GitStore(),
      parent: given.parent,
      forks: 0,
      createdAt: this.now(),
      pushedAt: this.now(),
      collaborators: new Map(),
      protections: new Map(),
      pulls: [],
      secrets: new Map(),
      variables: new Map(),
      keys: newKeys(),
      actions: {
        enabled: true,
        allowed: "all",
        shaPinning: false,
        selected: newSelection(),
        access: "none",
        workflow: {
          default_workflow_permissions: "read",
          can_approve_pull_request_reviews: false,
        },
        forkPullRequests: {
          run_workflows_from_fork_pull_requests: false,
          send_write_tokens_to_workflows: false,
          send_secrets_and_variables: false,
          require_approval_for_fork_pr_workflows: false,
        },
        forkApproval: "first_time_contributors",
      },
    };
    this.repositories.set(`${owner.login}/${name}`.toLowerCase(), repository);
    return repository;
  }
}

export function sameScope(a: RunnerScope, b: RunnerScope): boolean {
  return a.owner.id === b.owner.id && a.repository?.id === b.repository?.id;
}

function newKeys(): SealingKey {
  const pair = sodium.crypto_box_keypair();
  return {
    id: String(10n ** 17n + (BigInt(`0x${randomBytes(8).toString("hex")}`) % 10n ** 17n)),
    publicKey: pair.publicKey,
    privateKey: pair.privateKey,
  };
}

function newSelection(): Organization["actions"]["selected"] {
  return { github_owned_allowed: true, verified_allowed: false, patterns_allowed: [] };
}
