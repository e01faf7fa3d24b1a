import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { base64, type Bench, end, start } from "./support";

const repo = "/repos/acme/webppt";
const workflow = `${repo}/contents/.github/workflows/image.yml`;

interface Written {
  content: { sha: string; url: string } | null;
  commit: { sha: string; message: string };
}

describe("github: contents, branches, commits", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));
  const put = (extra: Record<string, unknown> = {}, path = workflow) =>
    bench.call("PUT", path, { message: "Add it", content: base64("on: push\n"), ...extra });

  it("creates, reads, updates and deletes a file, each as one commit", async () => {
    const created = await put();
    assert.equal(created.status, 201);
    const { content, commit } = created.body as Written;
    assert.equal(
      content?.url,
      "http://127.0.0.1:8080/repos/acme/webppt/contents/.github/workflows/image.yml?ref=master",
    );
    const read = await bench.expect<Record<string, string>>(200, "GET", `${workflow}?ref=master`);
    assert.equal(read["type"], "file");
    assert.equal(read["encoding"], "base64");
    assert.equal(Buffer.from(read["content"] ?? "", "base64").toString(), "on: push\n");
    assert.equal(read["sha"], content?.sha);
    const shown = await bench.expect<{ commit: { message: string; committer: { name: string } } }>(
      200,
      "GET",
      `${repo}/commits/${commit.sha}`,
    );
    assert.equal(shown.commit.message, "Add it");
    assert.equal(shown.commit.committer.name, "fleet-admin");

    const updated = await put({ content: base64("on: pull_request\n"), sha: content?.sha });
    assert.equal(updated.status, 200);
    const webppt = bench.github.repository("acme/webppt");
    assert.equal(webppt.file(".github/workflows/image.yml"), "on: pull_request\n");

    const next = (updated.body as Written).content?.sha;
    // As GitHub's Go client sends it.
    await bench.expect(200, "DELETE", workflow, { message: "Drop it", sha: next, content: null });
    assert.equal(webppt.file(".github/workflows/image.yml"), undefined);
    assert.deepEqual(
      webppt.commits().map((one) => one.message),
      ["Drop it", "Add it", "Add it", "Initial commit"],
    );
  });

  it("uses git's own object names", async () => {
    // printf 'on: push\n' | git hash-object --stdin
    const { body } = await put();
    assert.equal((body as Written).content?.sha, "b83836ed8c80558d4e40ea4ac5d69f4405334799");
    const empty = await put({ content: "" }, `${repo}/contents/empty`);
    assert.equal((empty.body as Written).content?.sha, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  });

  it("wants the sha of the file that is replaced, and the right one", async () => {
    const { content } = (await put()).body as Written;
    await bench.refuses(422, 'Invalid request.\n\n"sha" wasn\'t supplied.', "PUT", workflow, {
      message: "m",
      content: base64("x"),
    });
    bench.github.repository("acme/webppt").edit(".github/workflows/image.yml", "by hand");
    const stale = `.github/workflows/image.yml does not match ${content?.sha}`;
    const body = { message: "m", content: base64("x"), sha: content?.sha };
    await bench.refuses(409, stale, "PUT", workflow, body);
    await bench.refuses(409, stale, "DELETE", workflow, { message: "m", sha: content?.sha });
    await bench.refuses(422, 'Invalid request.\n\n"sha" wasn\'t supplied.', "DELETE", workflow, {
      message: "m",
    });
    assert.equal(
      bench.github.repository("acme/webppt").file(".github/workflows/image.yml"),
      "by hand",
    );
  });

  it("ignores the sha of a file that does not exist yet", async () => {
    assert.equal((await put({ sha: "0".repeat(40) })).status, 201);
  });

  it("knows no workflow path for a token without that right", async () => {
    const { noWorkflow, readOnly, stranger } = bench.github.tokens;
    const body = { message: "m", content: base64("x") };
    await bench.refuses(404, "Not Found", "PUT", workflow, body, { token: noWorkflow });
    await bench.refuses(
      403,
      "Resource not accessible by personal access token",
      "PUT",
      workflow,
      body,
      { token: readOnly },
    );
    await bench.refuses(404, "Not Found", "PUT", workflow, body, { token: stranger });
    await bench.expect(201, "PUT", `${repo}/contents/other.txt`, body, { token: noWorkflow });
    assert.equal(
      bench.github.repository("acme/webppt").file(".github/workflows/image.yml"),
      undefined,
    );
  });

  it("writes to other branches, and refuses unknown ones first", async () => {
    await bench.refuses(404, "Branch nowhere not found", "PUT", `${repo}/contents/README.md`, {
      message: "m",
      content: base64("x"),
      branch: "nowhere",
      sha: "wrong",
    });
    const master = await bench.expect<{ object: { sha: string } }>(
      200,
      "GET",
      `${repo}/git/ref/heads/master`,
    );
    await bench.expect(201, "POST", `${repo}/git/refs`, {
      ref: "refs/heads/work",
      sha: master.object.sha,
    });
    assert.equal((await put({ branch: "work" })).status, 201);
    const webppt = bench.github.repository("acme/webppt");
    assert.equal(webppt.file(".github/workflows/image.yml", "work"), "on: push\n");
    assert.equal(webppt.file(".github/workflows/image.yml"), undefined);
  });

  it("lists folders, gives raw content, and knows what is missing", async () => {
    const list = await bench.expect<{ name: string; type: string }[]>(
      200,
      "GET",
      `${repo}/contents`,
    );
    assert.deepEqual(
      list.map((one) => one.name),
      ["Dockerfile", "README.md"],
    );
    const raw = await bench.call("GET", `${repo}/contents/README.md`, undefined, {
      headers: { accept: "application/vnd.github.raw+json" },
    });
    assert.equal(raw.body, "# webppt\n");
    await bench.refuses(404, "Not Found", "GET", `${repo}/contents/missing`);
    await bench.refuses(
      404,
      "No commit found for the ref nowhere",
      "GET",
      `${repo}/contents/README.md?ref=nowhere`,
    );
  });

  it("refuses paths and contents that are none", async () => {
    const body = { message: "m", content: base64("x") };
    await bench.refuses(
      422,
      "path contains a malformed path component",
      "PUT",
      `${repo}/contents/a/%2E%2E%2Fb`,
      body,
    );
    await bench.refuses(422, "content is not valid Base64", "PUT", `${repo}/contents/a`, {
      message: "m",
      content: "no!",
    });
  });

  it("keeps protected branches closed", async () => {
    const protection = `${repo}/branches/master/protection`;
    await bench.refuses(404, "Branch not protected", "GET", protection);
    await bench.expect(200, "PUT", protection, {
      required_status_checks: { strict: false, contexts: ["ci"] },
      enforce_admins: true,
      required_pull_request_reviews: null,
      restrictions: null,
    });
    await bench.refuses(
      409,
      'Could not create file: Required status check "ci" is expected.',
      "PUT",
      workflow,
      { message: "m", content: base64("x") },
    );
    const branch = await bench.expect(200, "GET", `${repo}/branches/master`);
    assert.equal(branch["protected"], true);
    await bench.expect(204, "DELETE", protection);
    assert.equal((await put()).status, 201);
  });

  it("lets administrators pass a protection that does not include them", async () => {
    await bench.expect(200, "PUT", `${repo}/branches/master/protection`, {
      required_status_checks: null,
      enforce_admins: false,
      required_pull_request_reviews: { required_approving_review_count: 1 },
      restrictions: null,
    });
    assert.equal((await put()).status, 201);
  });

  it("renames a branch", async () => {
    const renamed = await bench.expect(201, "POST", `${repo}/branches/master/rename`, {
      new_name: "main",
    });
    assert.equal(renamed["name"], "main");
    assert.equal((await bench.expect(200, "GET", repo))["default_branch"], "main");
    await bench.refuses(404, "Branch not found", "GET", `${repo}/branches/master`);
  });

  it("lists commits, also those of one path", async () => {
    const webppt = bench.github.repository("acme/webppt");
    webppt.edit("a.txt", "1");
    webppt.edit("b.txt", "1");
    const count = async (query: string) =>
      (await bench.expect<unknown[]>(200, "GET", `${repo}/commits${query}`)).length;
    assert.equal(await count(""), 3);
    assert.equal(await count("?path=a.txt"), 1);
    await bench.refuses(422, "No commit found for SHA: nowhere", "GET", `${repo}/commits/nowhere`);
  });
});
