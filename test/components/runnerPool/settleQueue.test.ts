import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { online, serve, type TestRunner } from "../../local-cloud/github/runnerSupport";
import { type Bench, end, start } from "../../local-cloud/github/support";

const SCRIPT = join(__dirname, "../../../components/runnerPool/settleQueue.mjs");

describe("settleQueue.mjs", () => {
  let bench: Bench;
  let served: Listening;
  let runner: TestRunner | undefined;

  beforeEach(async () => {
    bench = await start();
    served = await listen((request) => bench.github.fetch(request));
    runner = undefined;
  });
  afterEach(async () => {
    await served.close();
    await end(bench);
  });

  function settle(change: Readonly<Record<string, string>> = {}) {
    const environment = {
      GITHUB_API: served.url,
      GITHUB_TOKEN: bench.github.tokens.admin,
      GITHUB_ORGANIZATION: "acme",
      RUNNER_LABELS: JSON.stringify(["self-hosted", "docker"]),
      REPOSITORIES: JSON.stringify(["webppt"]),
      TIMEOUT_SECONDS: "20",
      POLL_SECONDS: "0.05",
      ...change,
    };
    return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, [SCRIPT], { env: environment }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  const queue = (labels: readonly string[] = ["self-hosted", "Linux", "ARM64", "Docker"]) =>
    bench.github.jobs.enqueue({
      repository: "acme/webppt",
      name: "arm64",
      runsOn: labels,
      script: "true",
    });

  /** A runner that takes no job: its registration is online as long as it holds a session. */
  async function connected(): Promise<void> {
    runner = await online(bench, { labels: ["self-hosted", "docker"] });
  }

  const nothing = { code: 0, stdout: "", stderr: "" };

  it("ends at once when nothing is queued", async () => {
    assert.deepEqual(await settle(), nothing);
  });

  it("passes over jobs for other runners", async () => {
    queue(["self-hosted", "gpu"]);
    assert.deepEqual(await settle(), nothing);
  });

  it("waits until a runner has taken what is queued", async () => {
    await connected();
    const job = queue();
    let over = false;
    const settled = settle().finally(() => (over = true));
    await sleep(700);
    assert.equal(over, false);
    await serve(runner!);
    assert.equal(bench.github.jobs.get(job.id).conclusion, "success");
    assert.deepEqual(await settled, nothing);
  });

  it("waits no longer than it may, and names the runs that still wait", async () => {
    await connected();
    queue();
    const { code, stdout, stderr } = await settle({ TIMEOUT_SECONDS: "0" });
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match(
      stderr,
      /^After 0 s 1 job is still queued for these runners and will wait for a day unless its run is cancelled and started again: https:\/\/\S+\/acme\/webppt\/actions\/runs\/\d+\n$/,
    );
  });

  it("waits for no runner when none is left", async () => {
    queue();
    queue();
    const { code, stderr } = await settle();
    assert.equal(code, 0);
    assert.match(stderr, /^No runner is online any more and 2 jobs are still queued .* their runs/);
  });

  it("finds the runners that are left behind a hundred others", async () => {
    for (let count = 0; count < 120; count++) {
      await bench.expect(201, "POST", "/api/v3/orgs/acme/actions/runners/generate-jitconfig", {
        name: `other-${count}`,
        runner_group_id: 1,
        labels: ["self-hosted"],
      });
    }
    await connected();
    queue();
    assert.match(
      (await settle({ TIMEOUT_SECONDS: "0" })).stderr,
      /^After 0 s 1 job is still queued/,
    );
  });

  it("finds a job behind a hundred other runs", async () => {
    await connected();
    queue();
    for (let count = 0; count < 120; count++) queue(["self-hosted", "gpu"]);
    assert.match(
      (await settle({ TIMEOUT_SECONDS: "0" })).stderr,
      /^After 0 s 1 job is still queued/,
    );
  });

  it("asks again when GitHub fails for a moment", async () => {
    bench.traffic.addFault({
      side: "github",
      method: "GET",
      path: /\/actions\/runs/,
      times: 2,
      effect: { kind: "respond", status: 502, body: { message: "Server Error" } },
    });
    assert.deepEqual(await settle(), nothing);
  });

  it("asks the rarer, the more it has to ask", async () => {
    await connected();
    for (let count = 0; count < 40; count++) queue();
    const asked = () => bench.traffic.requests.length;
    const before = asked();
    await settle({ TIMEOUT_SECONDS: "2", POLL_SECONDS: "0.1" });
    // 43 requests a look, each followed by a second's pause.
    assert.ok(asked() - before <= 43 * 3, `${asked() - before} requests`);
  });

  for (const [what, change, says] of [
    [
      "a repository that is gone",
      { REPOSITORIES: '["gone"]' },
      /GitHub answered 404 to GET \/repos/,
    ],
    ["a token that is refused", { GITHUB_TOKEN: "canary-token" }, /GitHub answered 401 to GET/],
    ["an address where nothing is", { GITHUB_API: "http://127.0.0.1:1" }, /ECONNREFUSED|bad port/],
  ] as const) {
    it(`holds nothing up because of ${what}`, async () => {
      const { code, stdout, stderr } = await settle(change);
      assert.deepEqual([code, stdout], [0, ""]);
      assert.match(stderr, /^GitHub's queue could not be read before the runners go: /);
      assert.match(stderr, says);
      assert.ok(!stderr.includes("canary-token"));
    });
  }
});
