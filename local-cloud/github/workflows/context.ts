import type { Value } from "../expressions";
import { fullName } from "../views";
import type { World } from "../world";
import type { WorkflowFile } from "./file";
import type { Trigger } from "./triggers";

interface RunIdentity {
  readonly id: number;
  readonly number: number;
  readonly trigger: Trigger;
}

interface AttemptIdentity {
  readonly number: number;
  readonly triggeringActor: string;
}

/** The `github` context, but for the token and the job. */
export function githubContext(
  world: World,
  run: RunIdentity,
  attempt: AttemptIdentity,
  file: WorkflowFile,
): Record<string, Value> {
  const { trigger } = run;
  const { repository, ref, sha, actor } = trigger;
  const branch = ref.replace("refs/heads/", "");
  return {
    ref,
    ref_name: ref.replace(/^refs\/(heads|tags|pull)\//, ""),
    ref_type: ref.startsWith("refs/tags/") ? "tag" : "branch",
    ref_protected: repository.protections.has(branch),
    sha,
    repository: fullName(repository),
    repository_id: String(repository.id),
    repository_owner: repository.owner.login,
    repository_owner_id: String(repository.owner.id),
    repository_visibility: repository.private ? "private" : "public",
    repositoryUrl: `git://github.com/${fullName(repository)}.git`,
    run_id: String(run.id),
    run_number: String(run.number),
    run_attempt: String(attempt.number),
    retention_days: "90",
    actor,
    actor_id: String(world.account(actor)?.id ?? ""),
    triggering_actor: attempt.triggeringActor,
    workflow: file.name,
    workflow_ref: `${fullName(repository)}/${file.path}@${ref}`,
    workflow_sha: sha,
    head_ref: trigger.headRef,
    base_ref: trigger.baseRef,
    event_name: trigger.event,
    event: trigger.payload,
    server_url: "https://github.com",
    api_url: "https://api.github.com",
    graphql_url: "https://api.github.com/graphql",
    secret_source: trusted(trigger) ? "Actions" : "None",
  };
}

/** The default environment variables that depend on the run alone. */
export function runEnvironment(
  run: RunIdentity,
  attempt: AttemptIdentity,
  workflow: string,
  job: string,
): Record<string, string> {
  const { trigger } = run;
  const { repository, ref, actor } = trigger;
  return {
    CI: "true",
    GITHUB_ACTIONS: "true",
    GITHUB_ACTOR: actor,
    GITHUB_API_URL: "https://api.github.com",
    GITHUB_BASE_REF: trigger.baseRef,
    GITHUB_EVENT_NAME: trigger.event,
    GITHUB_GRAPHQL_URL: "https://api.github.com/graphql",
    GITHUB_HEAD_REF: trigger.headRef,
    GITHUB_JOB: job,
    GITHUB_REF: ref,
    GITHUB_REF_NAME: ref.replace(/^refs\/(heads|tags|pull)\//, ""),
    GITHUB_REF_TYPE: ref.startsWith("refs/tags/") ? "tag" : "branch",
    GITHUB_REPOSITORY: fullName(repository),
    GITHUB_REPOSITORY_ID: String(repository.id),
    GITHUB_REPOSITORY_OWNER: repository.owner.login,
    GITHUB_RUN_ATTEMPT: String(attempt.number),
    GITHUB_RUN_ID: String(run.id),
    GITHUB_RUN_NUMBER: String(run.number),
    GITHUB_SERVER_URL: "https://github.com",
    GITHUB_SHA: trigger.sha,
    GITHUB_WORKFLOW: workflow,
  };
}

/** Secrets and variables do not go to pull requests from forks, unless a private repository says so. */
function trusted({ repository, headRepository }: Trigger): boolean {
  return (
    headRepository === repository ||
    (repository.private && repository.actions.forkPullRequests.send_secrets_and_variables)
  );
}

export function secretsOf(world: World, trigger: Trigger): Record<string, string> {
  return trusted(trigger) ? values(world.secretsFor(trigger.repository)) : {};
}

export function variablesOf(world: World, trigger: Trigger): Record<string, Value> {
  return trusted(trigger) ? values(world.variablesFor(trigger.repository)) : {};
}

function values(of: ReadonlyMap<string, { readonly value: string }>): Record<string, string> {
  return Object.fromEntries([...of].map(([name, { value }]) => [name, value]));
}
