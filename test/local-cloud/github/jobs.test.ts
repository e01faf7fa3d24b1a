import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "mocha";
import type { Job, JobRequest } from "../../../local-cloud/github";
import { online, registrationToken, serve } from "./runnerSupport";
import { type Bench, end, seal, start } from "./support";

const groups = "/orgs/acme/actions/runner-groups";
const day = 86_400_000;
/** Longer than a runner may be silent. */
const silence = 11_000;

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    assert.ok(tries < 150, "it did not come about in 3 s");
    await sleep(20);
  }
}

describe("github: jobs", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start({
      hosted: { concurrency: 2 },
      times: { pollMs: 60 },
    });
  });
  afterEach(() => end(bench));
  const enqueue = (request: Partial<JobRequest> & { runsOn?: unknown }): Job =>
    bench.github.jobs.enqueue({
      repository: "acme/webppt",
      name: "job",
      runsOn: "ubuntu-24.04",
      ...request,
    } as JobRequest);

  describe("on hosted runners", () => {
    it("run in bash in a folder of their own, with the environment that GitHub gives", async () => {
      const { id } = enqueue({
        script:
          'echo "$GITHUB_REPOSITORY $CI $RUNNER_ARCH $EXTRA"; ls -A; pwd; false | true; echo never\n',
        env: { EXTRA: "1" },
      });
      const job = await bench.github.jobs.wait(id, 5000);
      // pipefail is on.
      assert.equal(job.conclusion, "failure");
      assert.match(job.log, /^acme\/webppt true X64 1\n\/.*\/work\n$/);
      assert.deepEqual([job.runner, job.runnerKind], ["hosted", "hosted"]);
      assert.ok(
        (job.startedAt ?? 0) >= job.queuedAt && (job.completedAt ?? 0) >= (job.startedAt ?? 0),
      );
    });

    it("know their architecture by the label", async () => {
      const job = enqueue({ runsOn: ["ubuntu-24.04-arm"], script: "echo $RUNNER_ARCH" });
      assert.equal((await bench.github.jobs.wait(job.id, 5000)).log, "ARM64\n");
    });

    it("run as many at once as allowed", async () => {
      const jobs = [1, 2, 3].map(() => enqueue({ durationMs: 150 }));
      const status = () => jobs.map(({ id }) => bench.github.jobs.get(id).status);
      assert.deepEqual(status(), ["in_progress", "in_progress", "queued"]);
      for (const { id } of jobs)
        assert.equal((await bench.github.jobs.wait(id, 5000)).conclusion, "success");
    });

    it("stop when they take too long, or are cancelled, with all they started", async () => {
      const slow = enqueue({ script: "sleep 60 & sleep 60", timeoutSeconds: 0.2 });
      const cancelled = enqueue({ script: "sleep 60" });
      await sleep(50);
      bench.github.jobs.cancel(cancelled.id);
      const done = await bench.github.jobs.wait(slow.id, 5000);
      assert.equal(done.conclusion, "cancelled");
      assert.match(done.log, /exceeded the maximum execution time of 0\.2s/);
      assert.equal((await bench.github.jobs.wait(cancelled.id, 5000)).conclusion, "cancelled");
    });

    it("end with the local cloud, and none begins after that", async () => {
      const other = await start({ hosted: { concurrency: 1 } });
      const [running, queued] = [1, 2].map(() =>
        other.github.jobs.enqueue({
          repository: "acme/webppt",
          name: "job",
          runsOn: "ubuntu-24.04",
          script: "sleep 60",
        }),
      );
      await sleep(50);
      await end(other);
      const after = other.github.jobs.list();
      assert.deepEqual(
        after.map(({ id, conclusion, startedAt }) => ({
          id,
          conclusion,
          began: startedAt !== null,
        })),
        [
          { id: running?.id, conclusion: "cancelled", began: true },
          { id: queued?.id, conclusion: "cancelled", began: false },
        ],
      );
    });

    it("get the secrets that reach the repository, masked in the log", async () => {
      const key = await bench.expect<{ key: string; key_id: string }>(
        200,
        "GET",
        "/orgs/acme/actions/secrets/public-key",
      );
      await bench.expect(201, "PUT", "/orgs/acme/actions/secrets/PASSWORD", {
        encrypted_value: await seal(key.key, "hunter2"),
        key_id: key.key_id,
        visibility: "selected",
        selected_repository_ids: [bench.github.repository("acme/webppt").id],
      });
      const script = 'echo "${#PASSWORD} $PASSWORD"';
      const has = enqueue({ script, secrets: ["PASSWORD"] });
      const hasNot = enqueue({ repository: "acme/hello", script, secrets: ["PASSWORD"] });
      assert.equal((await bench.github.jobs.wait(has.id, 5000)).log, "7 ***\n");
      assert.equal((await bench.github.jobs.wait(hasNot.id, 5000)).log, "0 \n");
    });

    it("are refused where they cannot be had", () => {
      const refused = (request: Parameters<typeof enqueue>[0], message: RegExp) =>
        assert.throws(() => enqueue(request), message);
      refused({ runsOn: "windows-latest" }, /no hosted runner "windows-latest"/);
      refused({ repository: "acme/none" }, /Repository "acme\/none" does not exist/);
      refused({ script: "x", durationMs: 1 }, /a script or a duration, not both/);
      refused({ runsOn: { grup: "x" } }, /runs-on must be a label/);
      assert.equal(bench.github.jobs.list().length, 0);
    });

    it("are refused where Actions is off", async () => {
      await bench.expect(204, "PUT", "/repos/acme/webppt/actions/permissions", { enabled: false });
      assert.throws(() => enqueue({}), /GitHub Actions is disabled for acme\/webppt/);
      await bench.expect(204, "PUT", "/orgs/acme/actions/permissions", {
        enabled_repositories: "none",
      });
      assert.throws(() => enqueue({ repository: "acme/hello" }), /disabled for acme\/hello/);
    });
  });

  describe("on self-hosted runners", () => {
    it("are told all they need, and leave log and result", async () => {
      const runner = await online(bench);
      const poll = runner.poll();
      const { id } = enqueue({
        runsOn: ["self-hosted", "linux", "arm64", "docker"],
        script: "echo hi",
        timeoutSeconds: 60,
      });
      const message = await poll;
      assert.ok(message);
      assert.equal(message.job_id, String(id));
      assert.equal(message.script, "echo hi");
      assert.equal(message.repository, "acme/webppt");
      assert.equal(message.timeout_seconds, 60);
      assert.equal(message.env["RUNNER_NAME"], "r1");
      assert.equal(message.env["GITHUB_REPOSITORY"], "acme/webppt");
      assert.deepEqual(message.masks, []);
      const path = `/orgs/acme/actions/runners/${runner.id}`;
      assert.equal((await bench.expect(200, "GET", path))["busy"], true);
      const busy = `Bad request - Runner "r1" is still running a job"`;
      await bench.refuses(422, busy, "DELETE", path);
      const token = await registrationToken(bench, "orgs/acme", "remove");
      const remove = { url: "https://github.com/acme", token, name: "r1" };
      const refused = await bench.call("POST", "/_runner/remove", remove, { token: "" });
      assert.deepEqual(
        [refused.status, (refused.body as { message: string }).message],
        [422, busy],
      );
      await runner.report(id, "log", "hi\n");
      assert.deepEqual(await runner.report(id, "heartbeat", undefined), { cancelled: false });
      await runner.report(id, "complete", { result: "failed", exit_code: 3 });
      const job = await bench.github.jobs.wait(id, 1000);
      assert.deepEqual(
        [job.conclusion, job.log, job.runner, job.runnerKind, job.runnerGroup?.name],
        ["failure", "hi\n", "r1", "self-hosted", "Default"],
      );
      assert.equal((await bench.expect(200, "GET", path))["busy"], false);
      await bench.expect(204, "DELETE", path);
    });

    it("wait for a runner, oldest first", async () => {
      const first = enqueue({ runsOn: "docker", name: "first" });
      const second = enqueue({ runsOn: "docker", name: "second" });
      const runner = await online(bench);
      assert.equal((await serve(runner)).job_id, String(first.id));
      assert.equal((await serve(runner)).job_id, String(second.id));
      assert.equal(await runner.poll(), null);
    });

    it("remove an ephemeral runner when they end", async () => {
      const runner = await online(bench, { ephemeral: true });
      enqueue({ runsOn: "docker" });
      await serve(runner);
      assert.deepEqual(bench.github.runners("acme"), []);
      await assert.rejects(runner.poll(), /410/);
    });

    it("show busy late if told to", async () => {
      const lagging = await start({ times: { pollMs: 60, busyLagMs: 5000 } });
      const runner = await online(lagging);
      lagging.github.jobs.enqueue({ repository: "acme/webppt", name: "j", runsOn: "docker" });
      const message = await runner.poll();
      const busy = async () =>
        (await lagging.expect(200, "GET", `/orgs/acme/actions/runners/${runner.id}`))["busy"];
      assert.equal(await busy(), false);
      assert.equal(lagging.github.runners("acme")[0]?.busy, true);
      lagging.clock.advance(6000);
      assert.equal(await busy(), true);
      await runner.report(message?.job_id ?? 0, "complete", { result: "succeeded", exit_code: 0 });
      assert.equal(await busy(), true);
      await end(lagging);
    });

    it("go to another runner when theirs is gone before it took them up, or fail if told to", async () => {
      for (const unacquired of ["requeue", "fail"] as const) {
        const own = await start({ times: { pollMs: 60 }, faults: { unacquired } });
        const first = await online(own, { name: "first" });
        const { id } = own.github.jobs.enqueue({
          repository: "acme/webppt",
          name: "j",
          runsOn: "docker",
        });
        assert.equal(Number((await first.poll())?.job_id), id);
        own.clock.advance(silence);
        if (unacquired === "fail") {
          const job = await own.github.jobs.wait(id, 3000);
          assert.equal(job.conclusion, "failure");
          assert.match(job.log, /was not acquired by Runner of type self-hosted/);
        } else {
          await until(() => own.github.jobs.get(id).status === "queued");
          const second = await online(own, { name: "second" });
          const message = await second.poll();
          assert.equal(Number(message?.job_id), id);
          // The first one wakes up with the message in hand.
          const late = await own.call(
            "POST",
            `/_runner/jobs/${id}/heartbeat`,
            {},
            {
              token: "",
              headers: { authorization: `Bearer ${first.credential}` },
            },
          );
          assert.equal(late.status, 403);
          await second.report(id, "complete", { result: "succeeded", exit_code: 0 });
          assert.equal(own.github.jobs.get(id).conclusion, "success");
        }
        await end(own);
      }
    });

    it("keep their runner from being deleted, though perhaps not while busy lags", async () => {
      for (const deleteDuringLag of [false, true]) {
        const own = await start({
          times: { pollMs: 60, busyLagMs: 5000 },
          faults: { deleteDuringLag },
        });
        const runner = await online(own);
        const path = `/orgs/acme/actions/runners/${runner.id}`;
        const { id } = own.github.jobs.enqueue({
          repository: "acme/webppt",
          name: "j",
          runsOn: "docker",
        });
        await runner.poll();
        await runner.report(id, "log", "begun\n");
        const refusal = 'Bad request - Runner "r1" is still running a job"';
        if (deleteDuringLag) {
          await own.expect(204, "DELETE", path);
          const job = own.github.jobs.get(id);
          assert.equal(job.conclusion, "failure");
          assert.match(job.log, /lost communication/);
        } else {
          await own.refuses(422, refusal, "DELETE", path);
          own.clock.advance(6000);
          await own.refuses(422, refusal, "DELETE", path);
          await runner.report(id, "complete", { result: "succeeded", exit_code: 0 });
          await own.expect(204, "DELETE", path);
        }
        await end(own);
      }
      const late = await start({
        times: { pollMs: 60, busyLagMs: 5000 },
        faults: { deleteDuringLag: true },
      });
      const runner = await online(late);
      late.github.jobs.enqueue({ repository: "acme/webppt", name: "j", runsOn: "docker" });
      const message = await runner.poll();
      await runner.report(message?.job_id ?? 0, "heartbeat", {});
      late.clock.advance(6000);
      await runner.report(message?.job_id ?? 0, "heartbeat", {});
      const answer = await late.call("DELETE", `/orgs/acme/actions/runners/${runner.id}`);
      assert.equal(answer.status, 422);
      await end(late);
    });

    it("fail when their runner dies", async () => {
      const runner = await online(bench);
      const { id } = enqueue({ runsOn: "docker" });
      await runner.poll();
      await runner.report(id, "log", "so far\n");
      bench.clock.advance(silence);
      const job = await bench.github.jobs.wait(id, 3000);
      assert.equal(job.conclusion, "failure");
      assert.match(job.log, /^so far\n##\[error\]The self-hosted runner lost communication/);
      assert.equal(bench.github.runners("acme")[0]?.status, "offline");
      const late = await bench.call("POST", `/_runner/jobs/${id}/heartbeat`);
      assert.equal(late.status, 410);
    });

    it("go back to the queue when their runner never began", async () => {
      const runner = await online(bench, { name: "dead" });
      const { id } = enqueue({ runsOn: "docker" });
      await runner.poll();
      assert.equal(bench.github.jobs.get(id).runner, "dead");
      bench.clock.advance(silence);
      await until(() => bench.github.jobs.get(id).status === "queued");
      const other = await online(bench, { name: "alive" });
      await serve(other);
      assert.equal(bench.github.jobs.get(id).runner, "alive");
    });

    it("are not given to a client that has hung up", async () => {
      const runner = await online(bench);
      const controller = new AbortController();
      const poll = runner.poll(controller.signal);
      await sleep(5);
      controller.abort();
      await poll.catch(() => undefined);
      const { id } = enqueue({ runsOn: "docker" });
      assert.equal(bench.github.jobs.get(id).status, "queued");
      await serve(runner);
    });

    it("are told to stop when cancelled or too long", async () => {
      const runner = await online(bench);
      const one = enqueue({ runsOn: "docker" });
      await runner.poll();
      bench.github.jobs.cancel(one.id);
      assert.deepEqual(await runner.report(one.id, "heartbeat", undefined), { cancelled: true });
      await runner.report(one.id, "complete", { result: "cancelled", exit_code: 130 });
      assert.equal(bench.github.jobs.get(one.id).conclusion, "cancelled");
      const two = enqueue({ runsOn: "docker", timeoutSeconds: 5 });
      await runner.poll();
      assert.deepEqual(await runner.report(two.id, "heartbeat", undefined), { cancelled: false });
      bench.clock.advance(6000);
      await until(() => bench.github.jobs.get(two.id).log !== "");
      assert.deepEqual(await runner.report(two.id, "heartbeat", undefined), { cancelled: true });
      await runner.report(two.id, "complete", { result: "cancelled", exit_code: 130 });
      assert.match(bench.github.jobs.get(two.id).log, /maximum execution time/);
    });

    it("fail after a day that nobody took them", async () => {
      const { id } = enqueue({ runsOn: ["self-hosted", "nobody"] });
      await assert.rejects(bench.github.jobs.wait(id, 20), /is still queued after 20 ms/);
      bench.clock.advance(day + 1000);
      assert.equal((await bench.github.jobs.wait(id, 1000)).conclusion, "failure");
    });

    it("belong to the runner that has them", async () => {
      const [a, b] = [await online(bench, { name: "a" }), await online(bench, { name: "b" })];
      const { id } = enqueue({ runsOn: "docker" });
      await a.poll();
      const stolen = await bench.call(
        "POST",
        `/_runner/jobs/${id}/complete`,
        { result: "succeeded", exit_code: 0 },
        { token: "", headers: { authorization: `Bearer ${b.credential}` } },
      );
      assert.equal(stolen.status, 403);
      await a.report(id, "complete", { result: "succeeded", exit_code: 0 });
      assert.equal((await bench.call("POST", "/_runner/jobs/1/heartbeat")).status, 404);
    });
  });

  describe("assignment", () => {
    const selected = (...names: string[]) => ({
      visibility: "selected",
      selected_repository_ids: names.map((name) => bench.github.repository(`acme/${name}`).id),
    });
    const workflowFile = "acme/webppt/.github/workflows/image.yml";
    const table: {
      title: string;
      taken: boolean;
      job: Record<string, unknown>;
      group?: () => Record<string, unknown>;
      runner?: Record<string, unknown> & { at?: string };
    }[] = [
      {
        title: "all labels, whatever their case",
        taken: true,
        job: { runsOn: ["SELF-HOSTED", "Docker"] },
      },
      { title: "a label is missing", taken: false, job: { runsOn: ["docker", "gpu"] } },
      { title: "another architecture", taken: false, job: { runsOn: ["self-hosted", "X64"] } },
      {
        title: "the default group takes no public repository",
        taken: false,
        job: { repository: "acme/site", runsOn: "docker" },
      },
      {
        title: "a repository of somebody else",
        taken: false,
        job: { repository: "octocat/playground", runsOn: "docker" },
      },
      {
        title: "a group by name",
        taken: true,
        group: () => ({}),
        job: { runsOn: { group: "ARM64" } },
      },
      {
        title: "a group by name and labels",
        taken: true,
        group: () => ({}),
        job: { runsOn: { group: "arm64", labels: "docker" } },
      },
      {
        title: "the right labels in another group",
        taken: false,
        group: () => ({}),
        job: { runsOn: { group: "Default", labels: ["docker"] } },
      },
      {
        title: "a group that has the repository",
        taken: true,
        group: () => selected("webppt"),
        job: { runsOn: "docker" },
      },
      {
        title: "a group that has other repositories",
        taken: false,
        group: () => selected("hello"),
        job: { runsOn: "docker" },
      },
      {
        title: "named, but for other repositories",
        taken: false,
        group: () => selected("hello"),
        job: { runsOn: { group: "arm64" } },
      },
      {
        title: "private repositories only",
        taken: true,
        group: () => ({ visibility: "private" }),
        job: { runsOn: "docker" },
      },
      {
        title: "a public repository in a group for private ones",
        taken: false,
        group: () => ({ visibility: "private", allows_public_repositories: true }),
        job: { repository: "acme/site", runsOn: "docker" },
      },
      {
        title: "a public repository where they are allowed",
        taken: true,
        group: () => ({ allows_public_repositories: true }),
        job: { repository: "acme/site", runsOn: "docker" },
      },
      {
        title: "a selected public repository where they are not allowed",
        taken: false,
        group: () => selected("site"),
        job: { repository: "acme/site", runsOn: "docker" },
      },
      {
        title: "a workflow that is among the selected ones",
        taken: true,
        group: () => ({
          restricted_to_workflows: true,
          selected_workflows: [`${workflowFile}@refs/heads/master`],
        }),
        job: { workflow: ".github/workflows/image.yml", job: "arm64" },
      },
      {
        title: "the same workflow of another branch",
        taken: false,
        group: () => ({
          restricted_to_workflows: true,
          selected_workflows: [`${workflowFile}@release`],
        }),
        job: { workflow: ".github/workflows/image.yml", job: "arm64" },
      },
      {
        title: "no workflow where they are restricted",
        taken: false,
        group: () => ({ restricted_to_workflows: true }),
        job: { runsOn: "docker" },
      },
      {
        title: "a runner of the repository",
        taken: true,
        runner: { at: "repos/acme/webppt", url: "https://github.com/acme/webppt" },
        job: { runsOn: "docker" },
      },
      {
        title: "a runner of another repository",
        taken: false,
        runner: { at: "repos/acme/hello", url: "https://github.com/acme/hello" },
        job: { runsOn: "docker" },
      },
    ];
    for (const { title, taken, job, group, runner } of table)
      it(`${taken ? "takes" : "leaves"}: ${title}`, async () => {
        bench.github
          .repository("acme/webppt")
          .edit(
            ".github/workflows/image.yml",
            "on: workflow_dispatch\njobs:\n  arm64:\n    runs-on: docker\n    steps: []\n",
          );
        if (group !== undefined)
          await bench.expect(201, "POST", groups, { name: "arm64", visibility: "all", ...group() });
        const one = await online(bench, {
          ...(group !== undefined && { runner_group: "arm64" }),
          ...runner,
        });
        const request = { repository: "acme/webppt", ...job };
        const { id } = bench.github.jobs.enqueue(
          ("workflow" in job ? request : { name: "job", ...request }) as unknown as JobRequest,
        );
        const message = await one.poll();
        assert.equal(message?.job_id, taken ? String(id) : undefined);
        assert.equal(bench.github.jobs.get(id).runner, taken ? "r1" : null);
        if (taken) await one.report(id, "complete", { result: "succeeded", exit_code: 0 });
      });

    it("takes a waiting job when its group is opened to the repository", async () => {
      const made = await bench.expect<{ id: number }>(201, "POST", groups, {
        name: "arm64",
        ...selected("hello"),
      });
      const runner = await online(bench, { runner_group: "arm64" });
      const { id } = enqueue({ runsOn: "docker" });
      assert.equal(await runner.poll(), null);
      await bench.expect(204, "PUT", `${groups}/${made.id}/repositories`, {
        selected_repository_ids: selected("webppt").selected_repository_ids,
      });
      assert.equal((await serve(runner)).job_id, String(id));
    });
  });

  describe("of a workflow file", () => {
    const file = [
      "name: Image",
      "on: workflow_dispatch",
      "jobs:",
      "  amd64:",
      "    runs-on: ubuntu-24.04",
      "    steps: []",
      "  arm64:",
      "    name: Build ${{ github.ref_name }}",
      "    runs-on: ${{ fromJSON(vars.ARM64_RUNS_ON || '\"ubuntu-24.04-arm\"') }}",
      "    steps: []",
      "",
    ].join("\n");
    const workflow = ".github/workflows/image.yml";
    const job = (key: string): Job =>
      bench.github.jobs.enqueue({ repository: "acme/webppt", workflow, job: key });

    it("run where the file and the variables say", async () => {
      bench.github.repository("acme/webppt").edit(workflow, file);
      const fallback = job("arm64");
      assert.deepEqual([fallback.name, fallback.labels], ["Build master", ["ubuntu-24.04-arm"]]);
      assert.equal((await bench.github.jobs.wait(fallback.id, 5000)).runnerKind, "hosted");
      await bench.expect(201, "POST", "/orgs/acme/actions/variables", {
        name: "ARM64_RUNS_ON",
        value: '{"group":"arm64","labels":["docker"]}',
        visibility: "selected",
        selected_repository_ids: [bench.github.repository("acme/webppt").id],
      });
      const routed = job("arm64");
      assert.deepEqual([routed.group, routed.labels], ["arm64", ["docker"]]);
      assert.equal(routed.status, "queued");
    });

    it("are refused when there is no such file, job or sense", async () => {
      assert.throws(
        () => job("arm64"),
        /"\.github\/workflows\/image\.yml" is not in acme\/webppt@master/,
      );
      bench.github.repository("acme/webppt").edit(workflow, file);
      assert.throws(() => job("none"), /The workflow has no job "none", only amd64, arm64/);
      await bench.expect(201, "POST", "/repos/acme/webppt/actions/variables", {
        name: "ARM64_RUNS_ON",
        value: "not json",
      });
      assert.throws(() => job("arm64"), /Error parsing JSON when evaluating fromJson/);
    });
  });

  describe("over REST", () => {
    it("are runs with one job, whose log is behind a link", async () => {
      const made = await bench.expect<Job>(201, "POST", "/_local/jobs", {
        repository: "acme/webppt",
        name: "remote",
        runsOn: ["ubuntu-24.04"],
        script: "echo hi",
      });
      await bench.github.jobs.wait(made.id, 5000);
      const root = "/repos/acme/webppt/actions";
      const runs = await bench.expect<{ total_count: number; workflow_runs: { id: number }[] }>(
        200,
        "GET",
        `${root}/runs?status=completed`,
      );
      assert.equal(runs.total_count, 1);
      const run = await bench.expect(200, "GET", `${root}/runs/${runs.workflow_runs[0]?.id}`);
      assert.deepEqual([run["conclusion"], run["head_branch"]], ["success", "master"]);
      const { jobs } = await bench.expect<{ jobs: Record<string, unknown>[] }>(
        200,
        "GET",
        `${root}/runs/${made.runId}/jobs`,
      );
      assert.deepEqual(jobs[0], await bench.expect(200, "GET", `${root}/jobs/${made.id}`));
      assert.equal(jobs[0]?.["runner_group_name"], "GitHub Actions");
      const link = await bench.call("GET", `${root}/jobs/${made.id}/logs`);
      assert.equal(link.status, 302);
      const { pathname } = new URL(link.headers.get("location") ?? "");
      assert.equal((await bench.call("GET", pathname, undefined, { token: "" })).body, "hi\n");
      bench.clock.advance(61_000);
      await bench.refuses(404, "Not Found", "GET", pathname);
      assert.equal((await bench.expect<Job>(200, "GET", `/_local/jobs/${made.id}`)).name, "remote");
      assert.equal((await bench.expect<Job[]>(200, "GET", "/_local/jobs")).length, 1);
      await bench.refuses(404, "Not Found", "GET", "/repos/acme/hello/actions/jobs/" + made.id);
    });

    it("are cancelled once", async () => {
      const { runId } = enqueue({ runsOn: "nobody" });
      const path = `/repos/acme/webppt/actions/runs/${runId}/cancel`;
      await bench.expect(202, "POST", path);
      await bench.refuses(409, "Cannot cancel a workflow run that is completed.", "POST", path);
    });

    it("are started by those who can write only", async () => {
      const body = { repository: "acme/webppt", name: "x", runsOn: "ubuntu-24.04" };
      await bench.refuses(404, "Not Found", "POST", "/_local/jobs", body, { token: "" });
      await bench.refuses(404, "Not Found", "POST", "/_local/jobs", body, {
        token: bench.github.tokens.stranger,
      });
      await bench.refuses(
        422,
        'The local cloud has no hosted runner "macos-15", only Linux ones.',
        "POST",
        "/_local/jobs",
        { ...body, runsOn: "macos-15" },
      );
    });
  });
});
