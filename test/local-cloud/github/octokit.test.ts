import assert from "node:assert/strict";
import type { Octokit } from "@octokit/core";
import { describe, it } from "mocha";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { type Bench, end, seal, start } from "./support";

describe("github: GitHub's own JavaScript client over HTTP", () => {
  let bench: Bench;
  let server: Listening;
  let octokit: Octokit;
  before(async () => {
    bench = await start({ times: { pollMs: 2000 } });
    server = await listen((request) => bench.github.fetch(request));
    const { Octokit: Client } = await import("@octokit/core");
    octokit = new Client({ auth: bench.github.tokens.admin, baseUrl: `${server.url}/api/v3` });
  });
  after(async () => {
    await server.close();
    await end(bench);
  });
  const org = "acme";

  it("sets a secret", async () => {
    const { data: key } = await octokit.request("GET /orgs/{org}/actions/secrets/public-key", {
      org,
    });
    const { status } = await octokit.request("PUT /orgs/{org}/actions/secrets/{secret_name}", {
      org,
      secret_name: "A",
      visibility: "private",
      key_id: key.key_id,
      encrypted_value: await seal(key.key, "value"),
    });
    assert.equal(status, 201);
    assert.equal(bench.github.secretValue("acme", "A"), "value");
  });

  it("writes a file on a branch whose name has a slash", async () => {
    const at = { owner: "acme", repo: "hello" };
    const { data: main } = await octokit.request("GET /repos/{owner}/{repo}/git/ref/{ref}", {
      ...at,
      ref: "heads/main",
    });
    await octokit.request("POST /repos/{owner}/{repo}/git/refs", {
      ...at,
      ref: "refs/heads/fleet/image",
      sha: main.object.sha,
    });
    await octokit.request("PUT /repos/{owner}/{repo}/contents/{path}", {
      ...at,
      path: ".github/workflows/a b.yml",
      message: "Add",
      branch: "fleet/image",
      content: Buffer.from("on: push\n").toString("base64"),
    });
    const { data: branch } = await octokit.request("GET /repos/{owner}/{repo}/branches/{branch}", {
      ...at,
      branch: "fleet/image",
    });
    assert.equal(branch.name, "fleet/image");
    const hello = bench.github.repository("acme/hello");
    assert.equal(hello.file(".github/workflows/a b.yml", "fleet/image"), "on: push\n");
  });

  it("sees GitHub's errors", async () => {
    await assert.rejects(
      octokit.request("GET /repos/{owner}/{repo}", { owner: "acme", repo: "none" }),
      (error: Error & { status?: number }) =>
        error.status === 404 &&
        /^Not Found - https:\/\/docs\.github\.com\/rest/.test(error.message),
    );
  });

  it("leaves no job with a runner whose connection broke", async () => {
    const { data } = await octokit.request("POST /orgs/{org}/actions/runners/generate-jitconfig", {
      org,
      name: "jit",
      runner_group_id: 1,
      labels: ["jit"],
    });
    const { credential } = JSON.parse(
      Buffer.from(data.encoded_jit_config, "base64").toString(),
    ) as { credential: string };
    const session = await fetch(`${server.url}/_runner/sessions`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}` },
      body: JSON.stringify({ version: "2.336.0", os: "Linux", architecture: "ARM64" }),
    });
    const { session_id: id } = (await session.json()) as { session_id: string };
    const controller = new AbortController();
    const url = `${server.url}/_runner/messages?session=${id}`;
    const broken = fetch(url, { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 50));
    controller.abort();
    await assert.rejects(broken);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const job = bench.github.jobs.enqueue({ repository: "acme/hello", name: "j", runsOn: "jit" });
    assert.equal(job.status, "queued");
    const message = (await (await fetch(url)).json()) as {
      job_id: string;
      env: Record<string, string>;
    };
    assert.equal(message.job_id, String(job.id));
    assert.equal(message.env["RUNNER_ARCH"], "ARM64");
    const done = await fetch(`${server.url}/_runner/jobs/${job.id}/complete`, {
      method: "POST",
      body: JSON.stringify({ result: "succeeded", exit_code: 0 }),
    });
    assert.equal(done.status, 204);
    assert.equal((await bench.github.jobs.wait(job.id, 100)).conclusion, "success");
  });
});
