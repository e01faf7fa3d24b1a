import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type PoolQueue, settleQueue } from "../../../components/runnerPool/settleQueue";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { online, serve, type TestRunner } from "../../local-cloud/github/runnerSupport";
import { type Bench, end, start } from "../../local-cloud/github/support";

const SCRIPT = join(__dirname, "../../../components/runnerPool/settleQueue.main.ts");

describe("the queue of a pool that goes", () => {
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

  /** What is said of jobs that go on waiting. */
  async function settle(
    change: Partial<PoolQueue> = {},
    timeoutSeconds = 20,
    pollSeconds = 0.05,
    goneAfterSeconds = 10,
  ): Promise<string[]> {
    const warnings: string[] = [];
    await settleQueue(
      {
        github: { name: "GitHub", baseUrl: served.url, token: bench.github.tokens.admin },
        organization: "acme",
        labels: ["self-hosted", "docker"],
        repositories: ["webppt"],
        ...change,
      },
      timeoutSeconds,
      (sentence) => warnings.push(sentence),
      pollSeconds,
      goneAfterSeconds,
    );
    return warnings;
  }

  function program(change: Readonly<Record<string, string>> = {}) {
    const environment = {
      GITHUB_API: served.url,
      GITHUB_TOKEN: bench.github.tokens.admin,
      GITHUB_ORGANIZATION: "acme",
      RUNNER_LABELS: JSON.stringify(["self-hosted", "docker"]),
      REPOSITORIES: JSON.stringify(["webppt"]),
      TIMEOUT_SECONDS: "20",
      ...change,
    };
    return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      const args = ["--import", "tsx", SCRIPT];
      execFile(process.execPath, args, { env: environment }, (error, stdout, stderr) =>
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

  it("ends at once when nothing is queued", async () => {
    assert.deepEqual(await settle(), []);
  });

  it("passes over jobs for other runners", async () => {
    queue(["self-hosted", "gpu"]);
    assert.deepEqual(await settle(), []);
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
    assert.deepEqual(await settled, []);
  });

  it("waits no longer than it may, and names the runs that still wait", async () => {
    await connected();
    queue();
    const [said, ...more] = await settle({}, 0);
    assert.deepEqual(more, []);
    assert.match(
      said!,
      /^After 0 s 1 job is still queued for these runners and will wait for a day unless its run is cancelled and started again: https:\/\/\S+\/acme\/webppt\/actions\/runs\/\d+$/,
    );
  });

  it("waits while every slot is between two jobs, and GitHub lists no runner", async () => {
    const job = queue();
    const settled = settle();
    await sleep(300);
    await connected();
    await serve(runner!);
    assert.equal(bench.github.jobs.get(job.id).conclusion, "success");
    assert.deepEqual(await settled, []);
  });

  it("waits for no runner when none is left", async () => {
    queue();
    queue();
    const [said] = await settle({}, 20, 0.05, 0.2);
    assert.match(said!, /^No runner is online any more and 2 jobs are still queued .* their runs/);
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
    assert.match((await settle({}, 0)).join(), /^After 0 s 1 job is still queued/);
  });

  it("finds a job behind a hundred other runs", async () => {
    await connected();
    queue();
    for (let count = 0; count < 120; count++) queue(["self-hosted", "gpu"]);
    assert.match((await settle({}, 0)).join(), /^After 0 s 1 job is still queued/);
  });

  it("asks again when GitHub fails for a moment", async () => {
    bench.traffic.addFault({
      side: "github",
      method: "GET",
      path: /\/actions\/runs/,
      times: 2,
      effect: { kind: "respond", status: 502, body: { message: "Server Error" } },
    });
    assert.deepEqual(await settle(), []);
  });

  it("asks the rarer, the more it has to ask", async () => {
    await connected();
    for (let count = 0; count < 40; count++) queue();
    const asked = () => bench.traffic.requests.length;
    const before = asked();
    await settle({}, 2, 0.1);
    // 43 requests a look, each followed by a second's pause.
    assert.ok(asked() - before <= 43 * 3, `${asked() - before} requests`);
  });

  it("is what its program waits for", async () => {
    queue();
    const { code, stdout, stderr } = await program({ TIMEOUT_SECONDS: "0" });
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match(stderr, /^After 0 s 1 job is still queued .*\n$/);
  });

  for (const [what, change, says] of [
    [
      "a repository that is gone",
      { REPOSITORIES: '["gone"]' },
      /GitHub answered 404 to GET \/repos/,
    ],
    ["a token that is refused", { GITHUB_TOKEN: "canary-token" }, /GitHub answered 401 to GET/],
  ] as const) {
    it(`holds nothing up because of ${what}`, async () => {
      const { code, stdout, stderr } = await program(change);
      assert.deepEqual([code, stdout], [0, ""]);
      assert.match(stderr, /^GitHub's queue could not be read before the runners go: /);
      assert.match(stderr, says);
      assert.ok(!stderr.includes("canary-token"));
    });
  }
});
