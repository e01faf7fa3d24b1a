import type { Value } from "../expressions";
import type { Commit } from "../git";
import { iso } from "../http";
import type { PullRequest, Repository } from "../model";
import { accountView, fullName, minimalRepository, nodeId } from "../views";
import type { World } from "../world";

const api = "https://api.github.com";
type Payload = Record<string, Value>;

/** A login in an event's payload; the accounts of Apps and of Actions itself are known by name only. */
export function accountPayload(world: World, login: string): Payload {
  const account = world.account(login);
  return account === undefined ? { login, type: "Bot" } : plain(accountView(api, account));
}

export function repositoryPayload(repository: Repository): Payload {
  return {
    ...plain(minimalRepository(api, repository)),
    default_branch: repository.defaultBranch,
    master_branch: repository.defaultBranch,
    visibility: repository.private ? "private" : "public",
    clone_url: `https://github.com/${fullName(repository)}.git`,
    git_url: `git://github.com/${fullName(repository)}.git`,
    ssh_url: `git@github.com:${fullName(repository)}.git`,
    svn_url: `https://github.com/${fullName(repository)}`,
    created_at: iso(repository.createdAt),
    updated_at: iso(repository.pushedAt),
    pushed_at: iso(repository.pushedAt),
    archived: false,
    disabled: false,
    language: null,
    license: null,
    topics: [],
    homepage: null,
  };
}

export function organizationPayload({ owner }: Repository): Payload {
  return owner.type === "Organization" ? { organization: plain(accountView(api, owner)) } : {};
}

export function commitPayload(repository: Repository, commit: Commit): Payload {
  const { git } = repository;
  const [parent] = commit.parents;
  const changes = git.changes(
    parent === undefined ? undefined : git.commit(parent)?.tree,
    commit.tree,
  );
  const paths = (status: string): string[] =>
    changes.filter((one) => one.status === status).map(({ path }) => path);
  const who = ({ name, email }: Commit["author"]): Payload => ({ name, email });
  return {
    id: commit.sha,
    tree_id: commit.tree,
    distinct: true,
    message: commit.message,
    timestamp: commit.committer.date,
    url: `https://github.com/${fullName(repository)}/commit/${commit.sha}`,
    author: who(commit.author),
    committer: who(commit.committer),
    added: paths("added"),
    removed: paths("removed"),
    modified: paths("modified"),
  };
}

export function pullPayload(world: World, repository: Repository, pull: PullRequest): Payload {
  const { git } = repository;
  const side = (of: Repository, ref: string, sha: string): Payload => ({
    label: `${of.owner.login}:${ref}`,
    ref,
    sha,
    user: accountPayload(world, of.owner.login),
    repo: repositoryPayload(of),
  });
  const html = `https://github.com/${fullName(repository)}/pull/${pull.number}`;
  return {
    url: `${api}/repos/${fullName(repository)}/pulls/${pull.number}`,
    id: pull.id,
    node_id: nodeId("PullRequest", pull.id),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    body: pull.body,
    user: accountPayload(world, pull.user),
    draft: pull.draft,
    labels: [],
    merged: pull.mergedAt !== null,
    merge_commit_sha: git.refs.get(`refs/pull/${pull.number}/merge`) ?? null,
    created_at: iso(pull.createdAt),
    updated_at: iso(pull.updatedAt),
    closed_at: pull.closedAt === null ? null : iso(pull.closedAt),
    merged_at: pull.mergedAt === null ? null : iso(pull.mergedAt),
    maintainer_can_modify: pull.maintainerCanModify,
    head: side(pull.headRepository, pull.headBranch, pull.headSha),
    base: side(repository, pull.baseBranch, git.refs.get(`refs/heads/${pull.baseBranch}`) ?? ""),
  };
}

/** The view types are plain JSON, which their inferred types do not say. */
function plain(value: object): Payload {
  return JSON.parse(JSON.stringify(value)) as Payload;
}
