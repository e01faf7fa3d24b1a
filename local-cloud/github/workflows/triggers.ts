import type { Value } from "../expressions";
import type { PullRequest, Repository } from "../model";
import { fullName } from "../views";
import type { Pusher, RepositoryEvent, World } from "../world";
import {
  accountPayload,
  commitPayload,
  organizationPayload,
  pullPayload,
  repositoryPayload,
} from "./payloads";

/** What started a run. */
export interface Trigger {
  readonly event: "push" | "pull_request" | "workflow_dispatch";
  readonly repository: Repository;
  readonly headRepository: Repository;
  readonly ref: string;
  readonly sha: string;
  readonly headSha: string;
  readonly headBranch: string;
  readonly baseRef: string;
  readonly headRef: string;
  readonly actor: string;
  readonly payload: Record<string, Value>;
  readonly inputs: Record<string, Value>;
  readonly pull: PullRequest | undefined;
}

/** A start by hand, of a branch or tag (full name). */
export function dispatchTrigger(
  world: World,
  repository: Repository,
  ref: string,
  by: Pusher,
): Trigger {
  const sha = repository.git.refs.get(ref) ?? "";
  return {
    event: "workflow_dispatch",
    repository,
    headRepository: repository,
    ref,
    sha,
    headSha: sha,
    headBranch: ref.replace(/^refs\/(heads|tags)\//, ""),
    baseRef: "",
    headRef: "",
    actor: by.login,
    payload: common(world, repository, by.login),
    inputs: {},
    pull: undefined,
  };
}

export function pushTrigger(world: World, event: RepositoryEvent & { type: "push" }): Trigger {
  const { repository, ref, before, after, by } = event;
  const { git } = repository;
  const none = "0".repeat(40);
  const known =
    before === undefined ? new Set<string>() : new Set(git.history(before).map(({ sha }) => sha));
  const tip = git.commit(after);
  const commits =
    before === undefined
      ? tip === undefined
        ? []
        : [tip]
      : git
          .history(after)
          .filter(({ sha }) => !known.has(sha))
          .slice(0, 20)
          .reverse();
  return {
    event: "push",
    repository,
    headRepository: repository,
    ref,
    sha: after,
    headSha: after,
    headBranch: ref.replace(/^refs\/(heads|tags)\//, ""),
    baseRef: "",
    headRef: "",
    actor: by.login,
    payload: {
      ref,
      before: before ?? none,
      after,
      created: before === undefined,
      deleted: false,
      forced: before !== undefined && !git.isAncestor(before, after),
      base_ref: null,
      compare: `https://github.com/${fullName(repository)}/compare/${(before ?? none).slice(0, 12)}...${after.slice(0, 12)}`,
      commits: commits.map((commit) => commitPayload(repository, commit)),
      head_commit: tip === undefined ? null : commitPayload(repository, tip),
      pusher: { name: by.login, email: world.signature(by.login).email },
      ...common(world, repository, by.login),
    },
    inputs: {},
    pull: undefined,
  };
}

/** What happened to a pull request; `merge` is the commit of it and its base. */
export function pullTrigger(
  world: World,
  event: RepositoryEvent & { type: "pull_request" },
  merge: string,
): Trigger {
  const { repository, pull, action, by } = event;
  return {
    event: "pull_request",
    repository,
    headRepository: pull.headRepository,
    ref: `refs/pull/${pull.number}/merge`,
    sha: merge,
    headSha: pull.headSha,
    headBranch: pull.headBranch,
    baseRef: pull.baseBranch,
    headRef: pull.headBranch,
    actor: by.login,
    payload: {
      action,
      number: pull.number,
      pull_request: pullPayload(world, repository, pull),
      ...common(world, repository, by.login),
    },
    inputs: {},
    pull,
  };
}

function common(world: World, repository: Repository, login: string): Record<string, Value> {
  return {
    repository: repositoryPayload(repository),
    ...organizationPayload(repository),
    sender: accountPayload(world, login),
  };
}

/** Text of a file at a commit. */
export function fileAt(repository: Repository, sha: string, path: string): string | undefined {
  const { git } = repository;
  const commit = git.commit(sha);
  const entry = commit === undefined ? undefined : git.entry(commit.tree, path);
  return entry === undefined ? undefined : git.blob(entry.sha)?.toString();
}

/** The names by which a runner group may select the workflow file of a run. */
export function refNames(
  repository: Repository,
  path: string,
  { ref, sha }: Pick<Trigger, "ref" | "sha">,
): string[] {
  const short = ref.replace(/^refs\/(heads|tags)\//, "");
  return [ref, short, sha].map((one) => `${fullName(repository)}/${path}@${one}`);
}
