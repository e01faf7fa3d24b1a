import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { Hono } from "hono";
import { getPath } from "hono/utils/url";
import sodium from "libsodium-wrappers";
import { observed } from "../core/serve";
import type { Traffic } from "../core/traffic";
import { Access, authenticate, type Principal } from "./access";
import { ApiError, conditional, errorResponse, type GitHubEnv } from "./http";
import { loadExpressions } from "./expressions";
import { type HostedRunners, scriptRunners } from "./hostedRunners";
import { type Job, type JobFaults, Jobs, type JobTimes } from "./jobs";
import type { Deprecation, Repository, Secret, Visibility } from "./model";
import { gitHubRateLimit, type RateLimit, RateLimiter } from "./rateLimit";
import { accountRoutes } from "./routes/accounts";
import { appRoutes } from "./routes/apps";
import { contentsRoutes } from "./routes/contents";
import { gitRoutes } from "./routes/git";
import { graphqlRoutes } from "./routes/graphql";
import { permissionRoutes } from "./routes/permissions";
import { pullRoutes } from "./routes/pulls";
import { repositoryRoutes } from "./routes/repositories";
import { runnerGroupRoutes } from "./routes/runnerGroups";
import { runnerRoutes } from "./routes/runners";
import { runRoutes } from "./routes/runs";
import { secretRoutes } from "./routes/secrets";
import { variableRoutes } from "./routes/variables";
import { workflowRoutes } from "./routes/workflows";
import { runnerProtocol } from "./runnerProtocol";
import { defaultSeed, type Seed, tokens } from "./seed";
import { loadWorkflowParser } from "./workflows/file";
import { type JobRequest, type WorkflowRun, WorkflowRuns } from "./workflows/runs";
import { World } from "./world";

export type { HostedJob, HostedRunners } from "./hostedRunners";
export type { Job, JobFaults, JobMessage, JobResult, JobStep, JobTimes } from "./jobs";
export type { JobRequest, RunAttempt, WorkflowRun } from "./workflows/runs";
export type { Deprecation } from "./model";
export type { RateLimit } from "./rateLimit";
export type { Seed } from "./seed";
export { defaultSeed } from "./seed";

export interface GitHubOptions {
  readonly traffic: Traffic;
  /** Default: `defaultSeed`. */
  readonly seed?: Seed;
  /** How many jobs of GitHub-hosted runners run at once (default 2), and what runs them (default: processes of this machine, scripts only). */
  readonly hosted?: { readonly concurrency?: number; readonly runners?: HostedRunners };
  /** Whether pushes and pull requests start workflows; default: true. */
  readonly startsWorkflows?: boolean;
  /** Default: heartbeats missed for 10 s, no lag, polls held for 20 s. */
  readonly times?: Partial<JobTimes>;
  /** Default: jobs that no runner took up are offered again; a runner with a job cannot be deleted. */
  readonly faults?: Partial<JobFaults>;
  /** Milliseconds since the epoch; default: the system's clock. */
  readonly now?: () => number;
}

/** A runner as tests see it. `group` is the group's name. */
export interface RunnerState {
  readonly id: number;
  readonly name: string;
  readonly status: "online" | "offline";
  readonly busy: boolean;
  readonly labels: readonly string[];
  readonly group: string;
  readonly ephemeral: boolean;
  readonly version: string | null;
}

/** A repository as tests see and change it, past all tokens. */
export interface RepositoryState {
  readonly id: number;
  readonly defaultBranch: string;
  /** Text of a file, or undefined when it is not there. Default ref: the default branch. */
  file(path: string, ref?: string): string | undefined;
  /** Newest first. */
  commits(ref?: string): { sha: string; message: string; author: string }[];
  branches(): string[];
  pulls(): { number: number; title: string; state: "open" | "closed"; merged: boolean }[];
  /** A commit made by hand; undefined removes the file. Returns its name. */
  edit(path: string, content: string | undefined, branch?: string): string;
  /** Protects a branch: status checks are required of everybody. */
  protect(branch: string, requiredChecks: readonly string[]): void;
  secretValue(name: string): string | undefined;
  /** Values of the variables that its workflows see. */
  variables(): Record<string, string>;
  readonly accessLevel: "none" | "user" | "organization";
  /** A commit with several files (undefined removes one) on a branch, by default the default branch; a new branch begins there. Returns its name. */
  push(
    files: Readonly<Record<string, string | undefined>>,
    options?: { readonly branch?: string; readonly message?: string; readonly login?: string },
  ): string;
  /** Makes or moves a tag; default target: the default branch. Returns the commit. */
  tag(name: string, target?: string, login?: string): string;
  /** Opens a pull request from a branch of this repository. Returns its number. */
  openPull(
    head: string,
    options?: { readonly base?: string; readonly title?: string; readonly login?: string },
  ): number;
}

/** What a credential may do in the container registry. */
export interface RegistryAccess {
  readonly login: string;
  /** Account whose packages it reaches; undefined = all that the user can reach. */
  readonly owner: string | undefined;
  /** Names of the owner's repositories that it is limited to; undefined = all. */
  readonly repositories: readonly string[] | undefined;
  readonly packages: "none" | "read" | "write";
}

export interface RunnerGroupState {
  readonly id: number;
  readonly name: string;
  readonly visibility: Visibility;
  /** Names of the selected repositories. */
  readonly repositories: readonly string[];
  readonly allowsPublicRepositories: boolean;
  readonly restrictedToWorkflows: boolean;
  readonly selectedWorkflows: readonly string[];
}

export interface GitHub {
  /** REST at `/` and below `/api/v3`, a little GraphQL, and what runners use below `/_runner`. */
  fetch(request: Request): Response | Promise<Response>;
  readonly tokens: typeof tokens;
  /** The App that is installed in the organization; its key is new in each process. */
  readonly app: {
    readonly id: number;
    readonly clientId: string;
    readonly installationId: number;
    /** PEM (PKCS#1), as GitHub hands it out. */
    readonly privateKey: string;
  };
  /** Stops all jobs and puts the seed back. */
  reset(): Promise<void>;
  /** Throws when there is no such repository. */
  repository(fullName: string): RepositoryState;
  secretValue(organization: string, name: string): string | undefined;
  /** Names of the repositories that get an organization's secret. */
  secretRepositories(organization: string, name: string): string[];
  variables(organization: string): Record<string, string>;
  runners(organization: string): RunnerState[];
  runnerGroups(organization: string): RunnerGroupState[];
  /** Makes the deprecation route know a version; a date in the past is enforced. */
  setRunnerDeprecation(version: string, dates: Deprecation): void;
  /** From now on, with full buckets. What is left out is as on GitHub. */
  setRateLimit(rate: Partial<RateLimit>): void;
  readonly jobs: {
    enqueue(job: JobRequest): Job;
    get(id: number): Job;
    list(): Job[];
    wait(id: number, timeoutMs: number): Promise<Job>;
    cancel(id: number): void;
  };
  readonly runs: {
    /** Newest first; of one repository (`owner/name`), or all. */
    list(repository?: string): WorkflowRun[];
    /** Throws for an unknown id. */
    get(id: number): WorkflowRun;
    /** The run once its last attempt is completed, or waits for approval; rejects after `timeoutMs`. */
    wait(id: number, timeoutMs: number): Promise<WorkflowRun>;
    /** Starts a workflow file (its path) by hand. */
    dispatch(
      repository: string,
      workflow: string,
      options?: {
        readonly ref?: string;
        readonly inputs?: Readonly<Record<string, string | number | boolean>>;
        readonly login?: string;
      },
    ): WorkflowRun;
    cancel(id: number): void;
    rerun(id: number): WorkflowRun;
    rerunFailed(id: number): WorkflowRun;
    /** Runs one job (its id) of the last attempt again, with those that depend on it. */
    rerunJob(job: number): WorkflowRun;
    approve(id: number): void;
  };
  /** Somebody from outside forks a repository (once), pushes files to a branch of the fork and opens a pull request. Returns its number. */
  forkPullRequest(
    repository: string,
    files: Readonly<Record<string, string | undefined>>,
    options?: {
      readonly login?: string;
      readonly branch?: string;
      readonly base?: string;
      readonly title?: string;
    },
  ): number;
  /** What a token may do in the container registry, or undefined when it is none that is good now. */
  registryAccess(token: string): RegistryAccess | undefined;
  /** What a destroyed fleet must not leave behind, counted. */
  leftovers(organization: string): Record<string, number>;
  close(): Promise<void>;
}

/** Runs without a token, and counts for no rate limit. */
const unlimited = /^\/(_runner|_local|rate_limit)(\/|$)/;

/** The App's key, made when it is first asked for: that takes a moment, and most never ask. */
let appKey: { readonly public: KeyObject; readonly pem: string } | undefined;

/** A GitHub that lives in this process. */
export async function createGitHub(options: GitHubOptions): Promise<GitHub> {
  await Promise.all([sodium.ready, loadExpressions(), loadWorkflowParser()]);
  const { traffic } = options;
  const now = options.now ?? Date.now;
  const seed = options.seed ?? defaultSeed;
  const times: JobTimes = {
    heartbeatTimeoutMs: 10_000,
    busyLagMs: 0,
    pollMs: 20_000,
    ...options.times,
  };
  const faults: JobFaults = { unacquired: "requeue", deleteDuringLag: false, ...options.faults };
  const { concurrency = 2, runners = scriptRunners() } = options.hosted ?? {};
  const build = () => {
    const world = new World(seed, now);
    const jobs = new Jobs(world, { concurrency, runners }, times, faults);
    const runs = new WorkflowRuns(world, jobs, options.startsWorkflows ?? true);
    const state = { world, jobs, runs, limiter: new RateLimiter(now, gitHubRateLimit) };
    return { ...state, app: routes(state) };
  };

  const routes = ({ world, jobs, runs }: { world: World; jobs: Jobs; runs: WorkflowRuns }) => {
    const app = new Hono<GitHubEnv>({
      getPath: (request) => {
        const path = getPath(request);
        return path.replace(/^\/api\/v3(?=\/|$)/, "").replace(/(.)\/$/, "$1") || "/";
      },
    });
    app.use(observed(traffic, "github", (c) => c.req.path));
    app.use(async (c, next) => {
      const url = new URL(c.req.url);
      c.set("base", url.origin + (url.pathname.startsWith("/api/v3") ? "/api/v3" : ""));
      c.set("surprise", (text) => traffic.surprise(`github: ${text}`));
      // Runners carry their own credentials.
      const runner = c.req.path.startsWith("/_runner/");
      let principal: Principal = { kind: "anonymous" };
      let failure: Error | undefined;
      if (!runner) {
        try {
          principal = authenticate(world, c.req.header("authorization"), () => appKey?.public);
        } catch (error) {
          failure = error instanceof Error ? error : new Error(String(error));
        }
      }
      const access = new Access(world, principal);
      c.set("access", access);
      const who = limitedAs(principal);
      const { limiter } = current;
      const counted = !unlimited.test(c.req.path);
      try {
        if (failure !== undefined) throw failure;
        if (counted) limiter.take(who, !["GET", "HEAD"].includes(c.req.method));
        await next();
        await conditional(c);
        if (counted && c.res.status === 304) limiter.giveBack(who);
      } catch (error) {
        c.res = fail(error, c.req.method, c.req.path);
      }
      const { headers } = c.res;
      if (!runner) {
        for (const [name, value] of Object.entries(limiter.headers(who))) headers.set(name, value);
        if (principal.kind === "token" && principal.token.kind === "classic") {
          headers.set("x-oauth-scopes", principal.token.scopes.join(", "));
          headers.set("x-accepted-oauth-scopes", access.acceptedScopes.join(", "));
        }
      }
      headers.set("x-github-request-id", randomBytes(10).toString("hex").toUpperCase());
      headers.set("x-github-media-type", "github.v3; format=json");
      headers.set("x-github-api-version-selected", "2022-11-28");
    });

    app.get("/", (c) =>
      c.json({
        current_user_url: `${c.var.base}/user`,
        organization_url: `${c.var.base}/orgs/{org}`,
        rate_limit_url: `${c.var.base}/rate_limit`,
        repository_url: `${c.var.base}/repos/{owner}/{repo}`,
        user_url: `${c.var.base}/users/{user}`,
      }),
    );
    app.get("/zen", (c) => c.text("Keep it logically awesome."));
    app.get("/meta", (c) => c.json({ verifiable_password_authentication: false, domains: {} }));
    app.get("/rate_limit", (c) => {
      const core = current.limiter.status(limitedAs(c.var.access.principal));
      return c.json({ resources: { core, search: core }, rate: core });
    });
    for (const part of [
      accountRoutes(world),
      appRoutes(world),
      contentsRoutes(world),
      gitRoutes(world),
      graphqlRoutes(world),
      permissionRoutes(world),
      pullRoutes(world),
      repositoryRoutes(world),
      runnerGroupRoutes(world, jobs),
      runnerRoutes(world, jobs),
      runRoutes(world, jobs, runs),
      secretRoutes(world),
      variableRoutes(world),
      workflowRoutes(runs),
      runnerProtocol(world, jobs),
    ])
      app.route("/", part);
    app.notFound((c) => {
      const route = `${c.req.method} ${c.req.path}`;
      traffic.surprise(`github: unknown route ${route}`);
      return errorResponse(
        new ApiError(404, `The local cloud does not know the route ${route}.`),
        c.req.path,
      );
    });
    app.onError((error, c) => fail(error, c.req.method, c.req.path));
    return app;
  };

  const fail = (error: unknown, method: string, path: string): Response => {
    if (error instanceof ApiError) return errorResponse(error, path);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    traffic.surprise(`github: ${method} ${path} failed inside: ${text}`);
    return errorResponse(new ApiError(500, "Server Error"), path);
  };

  let current = build();

  const organization = (login: string) => {
    const found = current.world.organization(login);
    if (found === undefined) throw new Error(`There is no organization "${login}".`);
    return found;
  };
  const names = (ids: ReadonlySet<number>): string[] =>
    [...ids].flatMap((id) => current.world.repositoryById(id)?.name ?? []).sort();

  return {
    fetch: (request) => current.app.fetch(request),
    tokens,
    get app() {
      const { app } = current.world;
      if (appKey === undefined) {
        const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
        appKey = {
          public: pair.publicKey,
          pem: pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString(),
        };
      }
      return {
        id: app.id,
        clientId: app.clientId,
        installationId: app.installation.id,
        privateKey: appKey.pem,
      };
    },
    reset: async () => {
      const old = current;
      current = build();
      await old.runs.close();
    },
    repository: (fullName) => repositoryState(current.world, fullName),
    secretValue: (login, name) => organization(login).secrets.get(name.toUpperCase())?.value,
    secretRepositories: (login, name) => {
      const { world } = current;
      const secret: Secret | undefined = organization(login).secrets.get(name.toUpperCase());
      if (secret === undefined) return [];
      return world
        .repositoriesOf(login)
        .filter((one) => world.shared(one, new Map([[secret.name, secret]])).size > 0)
        .map((one) => one.name)
        .sort();
    },
    variables: (login) =>
      Object.fromEntries(
        [...organization(login).variables].map(([name, { value }]) => [name, value]),
      ),
    runners: (login) => {
      const { world, jobs } = current;
      world.sweepRunners();
      return [...world.runners.values()]
        .filter((runner) => runner.scope.owner === organization(login).account)
        .map((runner) => ({
          id: runner.id,
          name: runner.name,
          status: jobs.isOnline(runner) ? "online" : "offline",
          busy: runner.job !== undefined,
          labels: runner.labels,
          group: world.groupOf(runner)?.name ?? "Default",
          ephemeral: runner.ephemeral,
          version: runner.version,
        }));
    },
    runnerGroups: (login) =>
      [...organization(login).groups.values()].map((group) => ({
        id: group.id,
        name: group.name,
        visibility: group.visibility,
        repositories: names(group.repositories),
        allowsPublicRepositories: group.allowsPublicRepositories,
        restrictedToWorkflows: group.restrictedToWorkflows,
        selectedWorkflows: group.selectedWorkflows,
      })),
    setRunnerDeprecation: (version, dates) => {
      current.world.deprecations.set(version, dates);
    },
    setRateLimit: (rate) => {
      current.limiter = new RateLimiter(now, { ...gitHubRateLimit, ...rate });
    },
    jobs: {
      enqueue: (job) => current.runs.enqueue(job),
      get: (id) => current.jobs.get(id),
      list: () => current.jobs.list(),
      wait: (id, timeoutMs) => current.jobs.wait(id, timeoutMs),
      cancel: (id) => current.jobs.cancel(id),
    },
    runs: {
      list: (name) =>
        current.runs.list(name === undefined ? undefined : named(current.world, name)),
      get: (id) => current.runs.get(id),
      wait: (id, timeoutMs) => current.runs.wait(id, timeoutMs),
      dispatch: (name, workflow, { ref, inputs = {}, login = byHand } = {}) => {
        const repository = named(current.world, name);
        const by = { login, startsWorkflows: true };
        return current.runs.dispatch(
          repository,
          workflow,
          ref ?? repository.defaultBranch,
          inputs,
          by,
        );
      },
      cancel: (id) => current.runs.cancel(id),
      rerun: (id) => current.runs.rerun(id, "all", byHand),
      rerunFailed: (id) => current.runs.rerun(id, "failed", byHand),
      rerunJob: (job) => current.runs.rerun(current.jobs.get(job).runId, { job }, byHand),
      approve: (id) => current.runs.approve(id),
    },
    forkPullRequest: (
      name,
      files,
      { login = byHand, branch = "change", base, title = `Change by ${login}` } = {},
    ) => {
      const { world } = current;
      const parent = named(world, name);
      const owner = world.account(login);
      if (owner === undefined) throw new Error(`There is no account "${login}".`);
      const fork =
        world.forksOf(parent).find((one) => one.owner === owner) ??
        world.fork(parent, owner, parent.name);
      const by = { login, startsWorkflows: true };
      const headSha = repositoryState(world, `${login}/${fork.name}`).push(files, {
        branch,
        login,
      });
      const open = parent.pulls.find(
        (pull) =>
          pull.state === "open" && pull.headRepository === fork && pull.headBranch === branch,
      );
      const baseBranch = base ?? parent.defaultBranch;
      const wanted = { title, headRepository: fork, headBranch: branch, headSha, baseBranch };
      return (open ?? world.openPull(parent, wanted, by)).number;
    },
    registryAccess: (value) => {
      const { world } = current;
      const token = world.tokens.get(value);
      if (token === undefined || (token.expiresAt ?? Infinity) <= world.now()) return undefined;
      const { login, scopes, permissions, resourceOwner: owner, repositories } = token;
      const scoped = scopes.includes("write:packages")
        ? "write"
        : scopes.includes("read:packages")
          ? "read"
          : "none";
      const level = permissions["packages"] ?? "none";
      // Only classic tokens and those of jobs are good for packages.
      const packages =
        token.kind === "classic"
          ? scoped
          : token.ofJob === true
            ? level === "admin"
              ? "write"
              : level
            : "none";
      return { login, owner, repositories, packages };
    },
    leftovers: (login) => {
      const { account, secrets, variables, groups } = organization(login);
      const repositories = current.world.repositoriesOf(account.login);
      const sum = (count: (one: (typeof repositories)[number]) => number): number =>
        repositories.reduce((total, one) => total + count(one), 0);
      current.world.sweepRunners();
      return {
        runners: [...current.world.runners.values()].filter((one) => one.scope.owner === account)
          .length,
        runnerGroups: [...groups.values()].filter((group) => !group.isDefault).length,
        organizationSecrets: secrets.size,
        organizationVariables: variables.size,
        repositorySecrets: sum((one) => one.secrets.size),
        repositoryVariables: sum((one) => one.variables.size),
      };
    },
    close: async () => {
      await current.runs.close();
      await runners.close();
    },
  };
}

/** Whose rate limit a request counts against. */
function limitedAs(principal: Principal): string | undefined {
  if (principal.kind === "anonymous") return undefined;
  return principal.kind === "token" ? principal.token.login : "app";
}

/** Who changes things past all tokens, unless somebody else is named. */
const byHand = "octocat";

function named(world: World, fullName: string): Repository {
  const repository = world.repository(fullName);
  if (repository === undefined) throw new Error(`There is no repository "${fullName}".`);
  return repository;
}

function repositoryState(world: World, fullName: string): RepositoryState {
  const repository = named(world, fullName);
  const { git } = repository;
  return {
    id: repository.id,
    get defaultBranch() {
      return repository.defaultBranch;
    },
    file: (path, ref = repository.defaultBranch) => {
      const commit = git.resolve(ref);
      const entry = commit === undefined ? undefined : git.entry(commit.tree, path);
      return entry === undefined ? undefined : git.blob(entry.sha)?.toString();
    },
    commits: (ref = repository.defaultBranch) => {
      const commit = git.resolve(ref);
      return commit === undefined
        ? []
        : git
            .history(commit.sha)
            .map(({ sha, message, author }) => ({ sha, message, author: author.name }));
    },
    branches: () =>
      [...git.refs.keys()]
        .filter((ref) => ref.startsWith("refs/heads/"))
        .map((ref) => ref.slice("refs/heads/".length)),
    pulls: () =>
      repository.pulls.map(({ number, title, state, mergedAt }) => ({
        number,
        title,
        state,
        merged: mergedAt !== null,
      })),
    edit: (path, content, branch = repository.defaultBranch) =>
      world.commitFile(repository, {
        branch,
        path,
        content: content === undefined ? undefined : Buffer.from(content),
        message: `Change ${path} by hand`,
        author: world.signature(byHand),
        by: { login: byHand, startsWorkflows: true },
      }),
    push: (
      files,
      { branch = repository.defaultBranch, message = "Change by hand", login = byHand } = {},
    ) =>
      world.commitFiles(repository, {
        branch,
        files: new Map(
          Object.entries(files).map(([path, content]) => [
            path,
            content === undefined ? undefined : Buffer.from(content),
          ]),
        ),
        message,
        author: world.signature(login),
        by: { login, startsWorkflows: true },
      }),
    tag: (name, target = repository.defaultBranch, login = byHand) => {
      const commit = git.resolve(target);
      if (commit === undefined) throw new Error(`${fullName} has no "${target}".`);
      const ref = `refs/tags/${name}`;
      const before = git.refs.get(ref);
      git.refs.set(ref, commit.sha);
      world.pushed(repository, ref, before, { login, startsWorkflows: true });
      return commit.sha;
    },
    openPull: (head, { base, title = `Merge ${head}`, login = byHand } = {}) => {
      const headSha = git.refs.get(`refs/heads/${head}`);
      if (headSha === undefined) throw new Error(`${fullName} has no branch "${head}".`);
      const pull = world.openPull(
        repository,
        {
          title,
          headRepository: repository,
          headBranch: head,
          headSha,
          baseBranch: base ?? repository.defaultBranch,
        },
        { login, startsWorkflows: true },
      );
      return pull.number;
    },
    protect: (branch, requiredChecks) => {
      repository.protections.set(branch, {
        requiredChecks,
        strict: false,
        requiredReviews: undefined,
        enforceAdmins: true,
      });
    },
    secretValue: (name) => repository.secrets.get(name.toUpperCase())?.value,
    variables: () =>
      Object.fromEntries(
        [...world.variablesFor(repository)].map(([name, { value }]) => [name, value]),
      ),
    get accessLevel() {
      return repository.actions.access;
    },
  };
}
