import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { base64, type Bench, end, start } from "./support";

const repo = "/repos/acme/webppt";

describe("github: refs, git objects, pull requests", () => {
  let bench: Bench;
  let master: string;
  beforeEach(async () => {
    bench = await start();
    const ref = await bench.expect<{ object: { sha: string } }>(
      200,
      "GET",
      `${repo}/git/ref/heads/master`,
    );
    master = ref.object.sha;
  });
  afterEach(() => end(bench));

  const branch = async (name: string, file = `${name}.txt`) => {
    await bench.expect(201, "POST", `${repo}/git/refs`, { ref: `refs/heads/${name}`, sha: master });
    await bench.expect(201, "PUT", `${repo}/contents/${file}`, {
      message: `Add ${file}`,
      content: base64(name),
      branch: name,
    });
  };
  const open = (head: string) =>
    bench.call("POST", `${repo}/pulls`, { title: "Do it", head, base: "master", body: "Why" });

  it("creates, moves and deletes refs", async () => {
    await bench.refuses(404, "Not Found", "GET", `${repo}/git/ref/heads/work`);
    await branch("work");
    await bench.refuses(422, "Reference already exists", "POST", `${repo}/git/refs`, {
      ref: "refs/heads/work",
      sha: master,
    });
    await bench.refuses(422, "Object does not exist", "POST", `${repo}/git/refs`, {
      ref: "refs/heads/other",
      sha: "0".repeat(40),
    });
    await bench.refuses(422, "other is not a valid ref name.", "POST", `${repo}/git/refs`, {
      ref: "other",
      sha: master,
    });
    const work = `${repo}/git/refs/heads/work`;
    await bench.refuses(422, "Update is not a fast forward", "PATCH", work, { sha: master });
    await bench.expect(200, "PATCH", work, { sha: master, force: true });
    const matching = await bench.expect<{ ref: string }[]>(
      200,
      "GET",
      `${repo}/git/matching-refs/heads/`,
    );
    assert.deepEqual(
      matching.map((one) => one.ref),
      ["refs/heads/master", "refs/heads/work"],
    );
    await bench.expect(204, "DELETE", work);
    await bench.refuses(422, "Reference does not exist", "DELETE", work);
    await bench.refuses(
      422,
      "Cannot delete the default branch",
      "DELETE",
      `${repo}/git/refs/heads/master`,
    );
  });

  it("builds a commit from blob and tree, and keeps workflow files behind their right", async () => {
    const { noWorkflow } = bench.github.tokens;
    const blob = await bench.expect(201, "POST", `${repo}/git/blobs`, { content: "hello\n" });
    // printf 'hello\n' | git hash-object --stdin
    assert.equal(blob["sha"], "ce013625030ba8dba906f756967f9e9ca394464a");
    const entry = {
      path: ".github/workflows/x.yml",
      mode: "100644",
      type: "blob",
      sha: blob["sha"],
    };
    const body = { base_tree: master, tree: [entry] };
    await bench.refuses(404, "Not Found", "POST", `${repo}/git/trees`, body, { token: noWorkflow });
    const tree = await bench.expect(201, "POST", `${repo}/git/trees`, body);
    const commit = await bench.expect(201, "POST", `${repo}/git/commits`, {
      message: "All at once",
      tree: tree["sha"],
      parents: [master],
    });
    const move = { sha: commit["sha"] };
    await bench.refuses(404, "Not Found", "PATCH", `${repo}/git/refs/heads/master`, move, {
      token: noWorkflow,
    });
    await bench.expect(200, "PATCH", `${repo}/git/refs/heads/master`, move);
    const webppt = bench.github.repository("acme/webppt");
    assert.equal(webppt.file(".github/workflows/x.yml"), "hello\n");
    assert.equal(webppt.file("README.md"), "# webppt\n");
    const all = await bench.expect<{ tree: { path: string }[] }>(
      200,
      "GET",
      `${repo}/git/trees/master?recursive=1`,
    );
    assert.ok(all.tree.some((one) => one.path === ".github/workflows/x.yml"));
  });

  it("opens, lists, changes and closes a pull request", async () => {
    await branch("work");
    const opened = await open("work");
    assert.equal(opened.status, 201);
    const pull = opened.body as { number: number; head: { ref: string }; changed_files: number };
    assert.deepEqual([pull.number, pull.head.ref, pull.changed_files], [1, "work", 1]);
    const list = async (query: string) =>
      (await bench.expect<unknown[]>(200, "GET", `${repo}/pulls${query}`)).length;
    assert.equal(await list("?head=acme:work"), 1);
    assert.equal(await list("?head=acme:other"), 0);
    const files = await bench.expect<{ filename: string; status: string }[]>(
      200,
      "GET",
      `${repo}/pulls/1/files`,
    );
    assert.deepEqual(
      files.map(({ filename, status }) => ({ filename, status })),
      [{ filename: "work.txt", status: "added" }],
    );
    assert.equal(
      (await bench.expect(200, "PATCH", `${repo}/pulls/1`, { title: "New" }))["title"],
      "New",
    );
    assert.equal(
      (await bench.expect(200, "PATCH", `${repo}/pulls/1`, { state: "closed" }))["state"],
      "closed",
    );
    assert.equal(await list(""), 0);
    assert.equal(await list("?state=all"), 1);
    await bench.refuses(404, "Not Found", "GET", `${repo}/pulls/7`);
  });

  it("says what is wrong with a pull request", async () => {
    const errors = async (head: string, base = "master") => {
      const body = { title: "t", head, base };
      const answer = await bench.call("POST", `${repo}/pulls`, body);
      assert.equal(answer.status, 422);
      return (answer.body as { message: string; errors: unknown[] }).errors;
    };
    const resource = "PullRequest";
    assert.deepEqual(await errors("nowhere"), [{ resource, field: "head", code: "invalid" }]);
    await branch("work");
    assert.deepEqual(await errors("work", "nowhere"), [
      { resource, field: "base", code: "invalid" },
    ]);
    await bench.expect(201, "POST", `${repo}/git/refs`, { ref: "refs/heads/same", sha: master });
    assert.deepEqual(await errors("same"), [
      { resource, code: "custom", message: "No commits between master and same" },
    ]);
    await open("work");
    assert.deepEqual(await errors("work"), [
      { resource, code: "custom", message: "A pull request already exists for acme:work." },
    ]);
  });

  for (const [method, parents, messages] of [
    ["merge", 2, "Merge pull request #1 from acme/work\n\nDo it"],
    ["squash", 1, "Do it (#1)"],
    ["rebase", 1, "Add work.txt"],
  ] as const)
    it(`merges by ${method}`, async () => {
      await branch("work");
      await open("work");
      bench.github.repository("acme/webppt").edit("meanwhile.txt", "x");
      const merged = await bench.expect<{ sha: string; merged: boolean }>(
        200,
        "PUT",
        `${repo}/pulls/1/merge`,
        { merge_method: method },
      );
      assert.equal(merged.merged, true);
      const webppt = bench.github.repository("acme/webppt");
      assert.equal(webppt.file("work.txt"), "work");
      assert.equal(webppt.file("meanwhile.txt"), "x");
      assert.equal(webppt.commits()[0]?.message, messages);
      const commit = await bench.expect<{ parents: unknown[] }>(
        200,
        "GET",
        `${repo}/commits/${merged.sha}`,
      );
      assert.equal(commit.parents.length, parents);
      assert.deepEqual(webppt.pulls(), [
        { number: 1, title: "Do it", state: "closed", merged: true },
      ]);
      await bench.expect(204, "GET", `${repo}/pulls/1/merge`);
      await bench.refuses(405, "Pull Request is not mergeable", "PUT", `${repo}/pulls/1/merge`, {});
    });

  it("does not merge what conflicts, moved on, or may not go into the branch", async () => {
    await branch("work", "same.txt");
    await open("work");
    const merge = `${repo}/pulls/1/merge`;
    await bench.refuses(
      409,
      "Head branch was modified. Review and try the merge again.",
      "PUT",
      merge,
      { sha: master },
    );
    bench.github.repository("acme/webppt").edit("same.txt", "different");
    await bench.refuses(405, "Pull Request is not mergeable", "PUT", merge, {});
    bench.github.repository("acme/webppt").protect("master", ["ci"]);
    await bench.refuses(405, 'Required status check "ci" is expected.', "PUT", merge, {});
  });

  it("closes the pull request of a branch that is deleted, and follows one that moves", async () => {
    await branch("work");
    await open("work");
    const sha = bench.github.repository("acme/webppt").edit("more.txt", "1", "work");
    const pull = await bench.expect<{ head: { sha: string } }>(200, "GET", `${repo}/pulls/1`);
    assert.equal(pull.head.sha, sha);
    await bench.expect(204, "DELETE", `${repo}/git/refs/heads/work`);
    assert.equal((await bench.expect(200, "GET", `${repo}/pulls/1`))["state"], "closed");
    await bench.expect(422, "PATCH", `${repo}/pulls/1`, { state: "open" });
  });
});
