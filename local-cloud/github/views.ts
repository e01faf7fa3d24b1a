import type { Access } from "./access";
import type { Commit } from "./git";
import { type Ctx, iso } from "./http";
import type { Account, PullRequest, Repository, Runner, RunnerGroup } from "./model";

export function nodeId(type: string, id: number | string): string {
  return Buffer.from(`${type}:${id}`).toString("base64");
}

export function accountView(base: string, account: Account) {
  const url = `${base}/users/${account.login}`;
  return {
    login: account.login,
    id: account.id,
    node_id: nodeId(account.type, account.id),
    avatar_url: `https://avatars.githubusercontent.com/u/${account.id}?v=4`,
    gravatar_id: "",
    url,
    html_url: `https://github.com/${account.login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: account.type,
    user_view_type: "public",
    site_admin: false,
  };
}

export function fullName(repository: Repository): string {
  return `${repository.owner.login}/${repository.name}`;
}

export function repositoryUrl(base: string, repository: Repository): string {
  return `${base}/repos/${fullName(repository)}`;
}

/** The short form, as lists inside other resources carry it. */
export function minimalRepository(base: string, repository: Repository) {
  const url = repositoryUrl(base, repository);
  return {
    id: repository.id,
    node_id: nodeId("Repository", repository.id),
    name: repository.name,
    full_name: fullName(repository),
    private: repository.private,
    owner: accountView(base, repository.owner),
    html_url: `https://github.com/${fullName(repository)}`,
    description: repository.description,
    fork: repository.parent !== undefined,
    url,
    archive_url: `${url}/{archive_format}{/ref}`,
    branches_url: `${url}/branches{/branch}`,
    collaborators_url: `${url}/collaborators{/collaborator}`,
    commits_url: `${url}/commits{/sha}`,
    compare_url: `${url}/compare/{base}...{head}`,
    contents_url: `${url}/contents/{+path}`,
    git_commits_url: `${url}/git/commits{/sha}`,
    git_refs_url: `${url}/git/refs{/sha}`,
    git_tags_url: `${url}/git/tags{/sha}`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues{/number}`,
    pulls_url: `${url}/pulls{/number}`,
    trees_url: `${url}/git/trees{/sha}`,
  };
}

export function repositoryView(base: string, repository: Repository, access: Access) {
  const role = access.role(repository);
  const admin = role === "admin";
  const push = admin || role === "write";
  const name = fullName(repository);
  return {
    ...minimalRepository(base, repository),
    created_at: iso(repository.createdAt),
    updated_at: iso(repository.pushedAt),
    pushed_at: iso(repository.pushedAt),
    git_url: `git://github.com/${name}.git`,
    ssh_url: `git@github.com:${name}.git`,
    clone_url: `https://github.com/${name}.git`,
    svn_url: `https://github.com/${name}`,
    homepage: null,
    size: 1,
    stargazers_count: 0,
    watchers_count: 0,
    language: null,
    has_issues: true,
    has_projects: true,
    has_downloads: true,
    has_wiki: false,
    has_pages: false,
    has_discussions: false,
    forks_count: repository.forks,
    mirror_url: null,
    archived: false,
    disabled: false,
    open_issues_count: repository.pulls.filter((pull) => pull.state === "open").length,
    license: null,
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: [],
    visibility: repository.private ? "private" : "public",
    forks: repository.forks,
    open_issues: repository.pulls.filter((pull) => pull.state === "open").length,
    watchers: 0,
    default_branch: repository.defaultBranch,
    ...(role !== undefined && {
      permissions: { admin, maintain: admin, push, triage: push, pull: true },
    }),
    ...(push && {
      allow_squash_merge: true,
      allow_merge_commit: true,
      allow_rebase_merge: true,
      allow_auto_merge: false,
      delete_branch_on_merge: false,
      allow_update_branch: false,
    }),
    network_count: 0,
    subscribers_count: 0,
    ...(repository.owner.type === "Organization" && {
      organization: accountView(base, repository.owner),
    }),
  };
}

const unsigned = { verified: false, reason: "unsigned", signature: null, payload: null };

/** The commit object itself, as the contents and git routes answer it. */
export function gitCommitView(base: string, repository: Repository, commit: Commit) {
  const url = repositoryUrl(base, repository);
  const html = `https://github.com/${fullName(repository)}`;
  return {
    sha: commit.sha,
    node_id: nodeId("Commit", commit.sha),
    url: `${url}/git/commits/${commit.sha}`,
    html_url: `${html}/commit/${commit.sha}`,
    author: commit.author,
    committer: commit.committer,
    tree: { sha: commit.tree, url: `${url}/git/trees/${commit.tree}` },
    message: commit.message,
    parents: commit.parents.map((sha) => ({
      sha,
      url: `${url}/git/commits/${sha}`,
      html_url: `${html}/commit/${sha}`,
    })),
    verification: { ...unsigned, verified_at: null },
  };
}

/** A commit as the commits and branches routes answer it. */
export function commitView(base: string, repository: Repository, commit: Commit) {
  const url = repositoryUrl(base, repository);
  const git = gitCommitView(base, repository, commit);
  return {
    sha: commit.sha,
    node_id: git.node_id,
    commit: {
      author: git.author,
      committer: git.committer,
      message: git.message,
      tree: git.tree,
      url: git.url,
      comment_count: 0,
      verification: git.verification,
    },
    url: `${url}/commits/${commit.sha}`,
    html_url: git.html_url,
    comments_url: `${url}/commits/${commit.sha}/comments`,
    author: null,
    committer: null,
    parents: git.parents.map((parent) => ({ ...parent, url: `${url}/commits/${parent.sha}` })),
  };
}

/** What changed, with line counts. */
export function fileChanges(base: string, repository: Repository, before: string, after: string) {
  const url = repositoryUrl(base, repository);
  const lines = (sha: string | undefined): number =>
    sha === undefined
      ? 0
      : (repository.git.blob(sha)?.toString().replace(/\n$/, "").split("\n").length ?? 0);
  return repository.git
    .changes(repository.git.commit(before)?.tree, repository.git.commit(after)?.tree ?? "")
    .map((change) => ({
      sha: change.after ?? change.before ?? null,
      filename: change.path,
      status: change.status,
      additions: lines(change.after),
      deletions: lines(change.before),
      changes: lines(change.after) + lines(change.before),
      blob_url: `https://github.com/${fullName(repository)}/blob/${after}/${change.path}`,
      raw_url: `https://github.com/${fullName(repository)}/raw/${after}/${change.path}`,
      contents_url: `${url}/contents/${change.path}?ref=${after}`,
    }));
}

export function pullView(c: Ctx, repository: Repository, pull: PullRequest, author: Account) {
  const { base, access } = c.var;
  const url = `${repositoryUrl(base, repository)}/pulls/${pull.number}`;
  const html = `https://github.com/${fullName(repository)}/pull/${pull.number}`;
  const { git } = repository;
  const baseSha = git.refs.get(`refs/heads/${pull.baseBranch}`) ?? "";
  const repo = repositoryView(base, repository, access);
  const side = (of: Repository, ref: string, sha: string) => ({
    label: `${of.owner.login}:${ref}`,
    ref,
    sha,
    user: accountView(base, of.owner),
    repo: of === repository ? repo : repositoryView(base, of, access),
  });
  const changes = fileChanges(base, repository, baseSha, pull.headSha);
  return {
    url,
    id: pull.id,
    node_id: nodeId("PullRequest", pull.id),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: `${repositoryUrl(base, repository)}/issues/${pull.number}`,
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    user: accountView(base, author),
    body: pull.body,
    labels: [],
    milestone: null,
    active_lock_reason: null,
    created_at: iso(pull.createdAt),
    updated_at: iso(pull.updatedAt),
    closed_at: pull.closedAt === null ? null : iso(pull.closedAt),
    merged_at: pull.mergedAt === null ? null : iso(pull.mergedAt),
    merge_commit_sha: pull.mergeCommit ?? git.refs.get(`refs/pull/${pull.number}/merge`) ?? null,
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    head: side(pull.headRepository, pull.headBranch, pull.headSha),
    base: side(repository, pull.baseBranch, baseSha),
    author_association: "MEMBER",
    auto_merge: null,
    draft: pull.draft,
    merged: pull.mergedAt !== null,
    mergeable: pull.state === "open" ? true : null,
    mergeable_state: pull.state === "open" ? "clean" : "unknown",
    merged_by: pull.mergedBy === null ? null : { login: pull.mergedBy },
    comments: 0,
    review_comments: 0,
    maintainer_can_modify: pull.maintainerCanModify,
    commits: git
      .history(pull.headSha)
      .filter((commit) => baseSha === "" || !git.isAncestor(commit.sha, baseSha)).length,
    additions: changes.reduce((sum, change) => sum + change.additions, 0),
    deletions: changes.reduce((sum, change) => sum + change.deletions, 0),
    changed_files: changes.length,
  };
}

export function groupView(base: string, organization: string, group: RunnerGroup) {
  const url = `${base}/orgs/${organization}/actions/runner-groups/${group.id}`;
  return {
    id: group.id,
    name: group.name,
    visibility: group.visibility,
    default: group.isDefault,
    ...(group.visibility === "selected" && { selected_repositories_url: `${url}/repositories` }),
    runners_url: `${url}/runners`,
    hosted_runners_url: `${url}/hosted-runners`,
    inherited: false,
    allows_public_repositories: group.allowsPublicRepositories,
    workflow_restrictions_read_only: false,
    restricted_to_workflows: group.restrictedToWorkflows,
    selected_workflows: group.selectedWorkflows,
  };
}

/** Labels that GitHub gives by itself; the rest are custom. */
const readOnlyLabels = ["self-hosted", "linux", "windows", "macos", "x64", "arm", "arm64"];

export function labelView(label: string) {
  const index = readOnlyLabels.indexOf(label.toLowerCase());
  if (index >= 0) return { id: index + 1, name: label, type: "read-only" as const };
  let id = 100;
  for (const letter of label.toLowerCase()) id = (id * 31 + letter.charCodeAt(0)) % 1_000_003;
  return { id: id + 100, name: label, type: "custom" as const };
}

export function runnerView(runner: Runner, state: { online: boolean; busy: boolean }) {
  return {
    id: runner.id,
    name: runner.name,
    os: runner.os,
    status: state.online ? "online" : "offline",
    busy: state.busy,
    ephemeral: runner.ephemeral,
    version: runner.version,
    runner_group_id: runner.groupId,
    labels: runner.labels.map(labelView),
  };
}
