import { createHash } from "node:crypto";

/** Name and time of who made a commit. */
export interface Signature {
  readonly name: string;
  readonly email: string;
  /** ISO 8601 with seconds, as GitHub prints it. */
  readonly date: string;
}

export interface Commit {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: Signature;
  readonly committer: Signature;
  readonly message: string;
}

export interface TreeEntry {
  readonly name: string;
  readonly mode: "100644" | "100755" | "120000" | "040000";
  readonly sha: string;
}

/** One path of a whole tree. */
export interface FileEntry {
  readonly mode: TreeEntry["mode"];
  readonly sha: string;
}

/** How two trees differ at one path. */
export interface Change {
  readonly path: string;
  readonly status: "added" | "removed" | "modified";
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** One repository's objects and refs. Object names are those that git itself computes. */
export class GitStore {
  private readonly blobs = new Map<string, Buffer>();
  private readonly trees = new Map<string, readonly TreeEntry[]>();
  private readonly commits = new Map<string, Commit>();
  /** Full ref name (`refs/heads/main`) to commit. */
  readonly refs = new Map<string, string>();

  putBlob(content: Buffer): string {
    const sha = hash("blob", content);
    this.blobs.set(sha, content);
    return sha;
  }

  blob(sha: string): Buffer | undefined {
    return this.blobs.get(sha);
  }

  putTree(entries: readonly TreeEntry[]): string {
    // Git sorts directories as if their names ended with a slash.
    const key = (entry: TreeEntry): string =>
      entry.mode === "040000" ? `${entry.name}/` : entry.name;
    const sorted = [...entries].sort((a, b) => (key(a) < key(b) ? -1 : 1));
    const parts = sorted.flatMap((entry) => [
      Buffer.from(`${entry.mode.replace(/^0/, "")} ${entry.name}\0`),
      Buffer.from(entry.sha, "hex"),
    ]);
    const sha = hash("tree", Buffer.concat(parts));
    this.trees.set(sha, sorted);
    return sha;
  }

  tree(sha: string): readonly TreeEntry[] | undefined {
    return this.trees.get(sha);
  }

  putCommit(commit: Omit<Commit, "sha">): string {
    const line = (who: Signature): string =>
      `${who.name} <${who.email}> ${Math.floor(Date.parse(who.date) / 1000)} +0000`;
    const text = [
      `tree ${commit.tree}`,
      ...commit.parents.map((parent) => `parent ${parent}`),
      `author ${line(commit.author)}`,
      `committer ${line(commit.committer)}`,
      "",
      commit.message,
    ].join("\n");
    const sha = hash("commit", Buffer.from(text));
    this.commits.set(sha, { ...commit, sha });
    return sha;
  }

  commit(sha: string): Commit | undefined {
    return this.commits.get(sha);
  }

  /** A branch, tag, full ref name, or commit (whole or at least 7 digits of it). Branches win over tags. */
  resolve(revision: string): Commit | undefined {
    const candidates = [`refs/heads/${revision}`, `refs/tags/${revision}`, revision];
    for (const name of candidates) {
      const sha = this.refs.get(name);
      if (sha !== undefined) return this.commits.get(sha);
    }
    if (!/^[0-9a-f]{7,40}$/.test(revision)) return undefined;
    const whole = this.commits.get(revision);
    if (whole !== undefined) return whole;
    for (const [sha, commit] of this.commits) if (sha.startsWith(revision)) return commit;
    return undefined;
  }

  /** What lies at `path` ("" is the root) of a tree. */
  entry(tree: string, path: string): FileEntry | undefined {
    let found: FileEntry = { mode: "040000", sha: tree };
    for (const name of path.split("/").filter((part) => part !== "")) {
      const next = this.trees.get(found.sha)?.find((entry) => entry.name === name);
      if (next === undefined) return undefined;
      found = next;
    }
    return found;
  }

  /** Every file below a tree, by path. */
  files(tree: string, prefix = ""): Map<string, FileEntry> {
    const all = new Map<string, FileEntry>();
    for (const entry of this.trees.get(tree) ?? []) {
      const path = prefix + entry.name;
      if (entry.mode !== "040000") all.set(path, entry);
      else for (const [below, file] of this.files(entry.sha, `${path}/`)) all.set(below, file);
    }
    return all;
  }

  treeOf(files: ReadonlyMap<string, FileEntry>): string {
    const here: TreeEntry[] = [];
    const below = new Map<string, Map<string, FileEntry>>();
    for (const [path, file] of files) {
      const slash = path.indexOf("/");
      if (slash < 0) {
        here.push({ name: path, ...file });
        continue;
      }
      const name = path.slice(0, slash);
      const inside = below.get(name) ?? new Map<string, FileEntry>();
      inside.set(path.slice(slash + 1), file);
      below.set(name, inside);
    }
    for (const [name, inside] of below)
      here.push({ name, mode: "040000", sha: this.treeOf(inside) });
    return this.putTree(here);
  }

  /** Commits reachable from `sha`, newest first by parent order. */
  history(sha: string): Commit[] {
    const seen = new Set<string>();
    const found: Commit[] = [];
    const queue = [sha];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const commit = this.commits.get(next);
      if (commit === undefined || seen.has(next)) continue;
      seen.add(next);
      found.push(commit);
      queue.push(...commit.parents);
    }
    return found;
  }

  /** Takes a commit with all it needs from another repository. */
  fetch(from: GitStore, sha: string): void {
    const take = (tree: string): void => {
      const entries = from.trees.get(tree);
      if (entries === undefined || this.trees.has(tree)) return;
      this.trees.set(tree, entries);
      for (const entry of entries) {
        if (entry.mode === "040000") take(entry.sha);
        const blob = from.blobs.get(entry.sha);
        if (blob !== undefined) this.blobs.set(entry.sha, blob);
      }
    };
    for (const commit of from.history(sha)) {
      take(commit.tree);
      this.commits.set(commit.sha, commit);
    }
  }

  /** The tree of both commits' changes since they parted; undefined when both changed a file differently. */
  mergeTrees(ours: Commit, theirs: Commit): string | undefined {
    const start = this.mergeBase(ours.sha, theirs.sha);
    const files = this.files(ours.tree);
    const changedHere = new Map(
      this.changes(start?.tree, ours.tree).map((change) => [change.path, change.after]),
    );
    const there = this.files(theirs.tree);
    for (const change of this.changes(start?.tree, theirs.tree)) {
      if (changedHere.has(change.path) && changedHere.get(change.path) !== change.after)
        return undefined;
      const entry = there.get(change.path);
      if (entry === undefined) files.delete(change.path);
      else files.set(change.path, entry);
    }
    return this.treeOf(files);
  }

  isAncestor(ancestor: string, descendant: string): boolean {
    return this.history(descendant).some((commit) => commit.sha === ancestor);
  }

  mergeBase(a: string, b: string): Commit | undefined {
    const ofA = new Set(this.history(a).map((commit) => commit.sha));
    return this.history(b).find((commit) => ofA.has(commit.sha));
  }

  changes(before: string | undefined, after: string): Change[] {
    const old = before === undefined ? new Map<string, FileEntry>() : this.files(before);
    const now = this.files(after);
    const found: Change[] = [];
    for (const path of [...new Set([...old.keys(), ...now.keys()])].sort()) {
      const a = old.get(path)?.sha;
      const b = now.get(path)?.sha;
      if (a === b) continue;
      const status = a === undefined ? "added" : b === undefined ? "removed" : "modified";
      found.push({ path, status, before: a, after: b });
    }
    return found;
  }
}

function hash(type: string, content: Buffer): string {
  return createHash("sha1").update(`${type} ${content.length}\0`).update(content).digest("hex");
}
