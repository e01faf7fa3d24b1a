import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "mocha";
import type { HostedJob, WorkflowRun } from "../../../../local-cloud/github";
import { FakeRunners } from "../fakeRunners";
import { online } from "../runnerSupport";
import { type Bench, end, seal, start } from "../support";

const path = ".github/workflows/ci.yml";
const root = "/repos/acme/webppt/actions";

/** A workflow file: `on`, then jobs as YAML below `jobs`. */
function workflow(on: string, jobs: string, top = ""): string {
  const lines = jobs.trim().split("\n");
  return `name: CI\non: ${on}\n${top}jobs:\n${lines.map((line) => `  ${line}`).join("\n")}\n`;
}

/** A job with one step; more keys as YAML lines. */
function job(key: string, ...more: string[]): string {
  return [
    `${key}:`,
    "  runs-on: ubuntu-24.04",
    "  steps: [{ run: 'true' }]",
    ...more.map((line) => `  ${line}`),
  ].join("\n");
}

function tokenOf({ message }: HostedJob): string {
  const token = message.job?.contexts.github["token"];
  assert.ok(typeof token === "string");
  return token;
}

describe("github: workflow runs", () => {
  let bench: Bench;
  let hosted: FakeRunners;
  beforeEach(async () => {
    hosted = new FakeRunners();
    bench = await start({ hosted: { concurrency: 10, runners: hosted }, times: { pollMs: 60 } });
  });
  afterEach(() => end(bench));
  const repository = (name = "acme/webppt") => bench.github.repository(name);
  const runs = (name = "acme/webppt"): WorkflowRun[] => bench.github.runs.list(name);
  const first = (name?: string): WorkflowRun => {
    const [run] = runs(name);
    assert.ok(run, "there is a run");
    return run;
  };
  const done = async (id = first().id): Promise<WorkflowRun> => bench.github.runs.wait(id, 5000);
  /** Pushes the file to the default branch and waits for its run. */
  const ran = async (text: string, name?: string): Promise<WorkflowRun> => {
    repository(name).push({ [path]: text });
    return done(first(name).id);
  };
  const summary = (run: Pick<WorkflowRun, "jobs">): Record<string, string | null> =>
    Object.fromEntries(run.jobs.map(({ name, conclusion }) => [name, conclusion]));

  describe("events", () => {
    it("a push starts the files of its commit, with what GitHub tells them", async () => {
      const sha = repository().push({ [path]: workflow("push", job("a")) }, { message: "Add it" });
      const run = await done();
      assert.deepEqual(
        [
          run.event,
          run.ref,
          run.sha,
          run.headSha,
          run.headBranch,
          run.displayTitle,
          run.conclusion,
        ],
        ["push", "refs/heads/master", sha, sha, "master", "Add it", "success"],
      );
      const { message, arch, label } = hosted.one("a");
      assert.deepEqual([arch, label], ["X64", "ubuntu-24.04"]);
      const github = message.job?.contexts.github as Record<string, unknown>;
      const event = github["event"] as {
        head_commit: { id: string; added: string[] };
        repository: { default_branch: string; full_name: string };
      };
      assert.deepEqual(
        [event.head_commit.id, event.head_commit.added, event.repository.default_branch],
        [sha, [path], "master"],
      );
      assert.deepEqual(
        ["ref_name", "ref_type", "workflow_ref", "event_name", "actor", "job", "run_number"].map(
          (key) => github[key],
        ),
        ["master", "branch", `acme/webppt/${path}@refs/heads/master`, "push", "octocat", "a", "1"],
      );
      assert.equal(message.env["GITHUB_SHA"], sha);
      assert.deepEqual(message.steps, [{ run: "true" }]);
      assert.equal(message.script, undefined);
      repository().push({ "x.txt": "1" });
      assert.equal(first().number, 2);
    });

    it("a tag starts those that take it, once", async () => {
      const file = workflow("{ push: { tags: ['*'] } }", job("a"));
      repository().push({ [path]: file });
      assert.deepEqual(runs(), []);
      const sha = repository().tag("31");
      const run = await done();
      assert.deepEqual([run.ref, run.headBranch, run.sha], ["refs/tags/31", "31", sha]);
      repository().tag("31");
      assert.equal(runs().length, 1);
      await bench.expect(201, "POST", "/repos/acme/webppt/git/refs", {
        ref: "refs/tags/32",
        sha,
      });
      assert.deepEqual([first().headBranch, first().actor], ["32", "fleet-admin"]);
    });

    it("every way to write content is a push", async () => {
      repository().push({ [path]: workflow("push", job("a")) });
      repository().edit("a.txt", "1");
      await bench.expect(201, "PUT", "/repos/acme/webppt/contents/b.txt", {
        message: "b",
        content: "",
      });
      await bench.expect(201, "POST", "/repos/acme/webppt/git/refs", {
        ref: "refs/heads/new",
        sha: first().sha,
      });
      repository().push({ "c.txt": "1" }, { branch: "new" });
      await bench.expect(201, "POST", "/repos/acme/webppt/pulls", {
        title: "t",
        head: "new",
        base: "master",
      });
      await bench.expect(200, "PUT", "/repos/acme/webppt/pulls/1/merge", {});
      assert.deepEqual(
        runs().map(({ headBranch }) => headBranch),
        ["master", "new", "new", "master", "master", "master"],
      );
    });

    it("asking for no runs gets none", () => {
      repository().push({ [path]: workflow("push", job("a")) }, { message: "x [skip ci]" });
      assert.deepEqual(runs(), []);
    });

    it("Actions that are off start nothing", async () => {
      await bench.expect(204, "PUT", `${root}/permissions`, { enabled: false });
      repository().push({ [path]: workflow("push", job("a")) });
      assert.deepEqual(runs(), []);
    });

    it("a pull request runs the file of its merge commit", async () => {
      repository().push({ [path]: workflow("pull_request", job("old")) });
      const head = repository().push(
        { [path]: workflow("pull_request", job("new")) },
        { branch: "work" },
      );
      repository().push({ "meanwhile.txt": "1" });
      const number = repository().openPull("work");
      const run = await done();
      assert.deepEqual(summary(run), { new: "success" });
      assert.deepEqual(
        [run.ref, run.headSha, run.headBranch, run.pullRequests],
        [`refs/pull/${number}/merge`, head, "work", [number]],
      );
      assert.notEqual(run.sha, head);
      const github = hosted.one("new").message.job?.contexts.github;
      assert.deepEqual(
        [github?.["head_ref"], github?.["base_ref"], github?.["sha"]],
        ["work", "master", run.sha],
      );
      const ref = await bench.expect<{ object: { sha: string } }>(
        200,
        "GET",
        `/repos/acme/webppt/git/ref/pull/${number}/merge`,
      );
      assert.equal(ref.object.sha, run.sha);
      const merge = await bench.expect<{ parents: unknown[]; commit: { message: string } }>(
        200,
        "GET",
        `/repos/acme/webppt/commits/${run.sha}`,
      );
      assert.equal(merge.parents.length, 2);
      repository().push({ "more.txt": "1" }, { branch: "work" });
      const again = first();
      assert.deepEqual([again.event, again.headBranch], ["pull_request", "work"]);
      assert.notEqual(again.headSha, run.headSha);
      assert.equal(runs().length, 2);
    });

    it("a pull request that conflicts runs nothing", () => {
      repository().push({ [path]: workflow("pull_request", job("a")), "same.txt": "0" });
      repository().push({ "same.txt": "1" }, { branch: "work" });
      repository().push({ "same.txt": "2" });
      repository().openPull("work");
      assert.deepEqual(runs(), []);
    });

    it("what a job's own token does starts nothing", async () => {
      hosted.plan("a", "hold");
      repository().push({
        [path]: workflow("push", job("a", "permissions: { contents: write }")),
      });
      const held = await hosted.holds("a");
      const token = tokenOf(held.job);
      await bench.expect(
        201,
        "PUT",
        "/repos/acme/webppt/contents/b.txt",
        { message: "b", content: "" },
        { token },
      );
      assert.equal(runs().length, 1);
      held.end();
      await done();
    });

    it("a file that GitHub would not take is a run that failed to start, and says why", async () => {
      const table: [string, RegExp][] = [
        [workflow("push", "a:\n  runs-on: x"), /has no steps/],
        [workflow("push", job("a", "needs: a")), /at least one job with no dependencies/],
        [
          workflow("push", [job("a"), job("b", "needs: c")].join("\n")),
          /depends on unknown job 'c'/,
        ],
        [workflow("push", job("a", "if: secrets.X")), /Unrecognized named-value: 'secrets'/],
        [
          workflow("push", job("a", "name: ${{ nonsense() }}")),
          /Unrecognized function: 'nonsense'/,
        ],
        [workflow("push", job("a", "unknown: 1")), /Unexpected value 'unknown'/],
        [": [", /ci\.yml/],
        [
          workflow("[push, pull_request_target]", job("a")),
          /does not model the event "pull_request_target"/,
        ],
        [workflow("push", job("a", "container: x")), /does not model "container"/],
      ];
      for (const [text, message] of table) {
        repository().push({ [path]: text });
        const run = first();
        assert.equal(run.conclusion, "startup_failure", text);
        assert.match(run.error ?? "", message);
        assert.deepEqual(run.jobs, []);
      }
      const shown = await bench.expect(200, "GET", `${root}/runs/${first().id}`);
      assert.deepEqual([shown["status"], shown["conclusion"]], ["completed", "startup_failure"]);
    });
  });

  describe("dispatch", () => {
    const inputs = [
      "{ workflow_dispatch: { inputs: {",
      "version: { required: true, type: string },",
      "debug: { type: boolean, default: false },",
      "level: { type: choice, options: [low, high], default: low } } } }",
    ].join(" ");
    const at = `${root}/workflows/ci.yml/dispatches`;

    it("starts a run with its inputs", async () => {
      repository().push({ [path]: workflow(inputs, job("a", "if: inputs.debug")) });
      await bench.expect(204, "POST", at, {
        ref: "master",
        inputs: { version: "1", debug: "true" },
      });
      const run = await done();
      assert.deepEqual(
        [run.event, run.actor, run.conclusion],
        ["workflow_dispatch", "fleet-admin", "success"],
      );
      const contexts = hosted.one("a").message.job?.contexts;
      assert.deepEqual(contexts?.inputs, { version: "1", debug: true, level: "low" });
      assert.deepEqual((contexts?.github["event"] as { inputs: unknown }).inputs, {
        version: "1",
        debug: "true",
        level: "low",
      });
      const details = await bench.expect(200, "POST", at, {
        ref: "master",
        inputs: { version: "2" },
        return_run_details: true,
      });
      assert.equal(details["workflow_run_id"], first().id);
      assert.equal((await done()).conclusion, "skipped");
    });

    it("is refused when it does not fit", async () => {
      repository().push({ [path]: workflow(inputs, job("a")) });
      repository().push({ ".github/workflows/push.yml": workflow("push", job("b")) });
      const before = runs().length;
      const table: [Record<string, unknown>, string, string?][] = [
        [{ ref: "none", inputs: { version: "1" } }, "No ref found for: none"],
        [{ ref: "master" }, "Required input 'version' not provided"],
        [
          { ref: "master", inputs: { version: "1", foo: "x" } },
          'Unexpected inputs provided: ["foo"]',
        ],
        [
          { ref: "master", inputs: { version: "1", level: "x" } },
          "Provided value 'x' for input 'level' not in the list of allowed values",
        ],
        [
          { ref: "master" },
          "Workflow does not have 'workflow_dispatch' trigger",
          `${root}/workflows/push.yml/dispatches`,
        ],
      ];
      for (const [body, message, where = at] of table)
        await bench.refuses(422, message, "POST", where, body);
      await bench.refuses(404, "Not Found", "POST", `${root}/workflows/x.yml/dispatches`, {
        ref: "master",
      });
      assert.equal(runs().length, before);
    });
  });

  describe("jobs", () => {
    const graphs: {
      title: string;
      jobs: string[];
      failing?: string[];
      result: Record<string, string>;
      conclusion: string;
    }[] = [
      {
        title: "run after those that they need",
        jobs: [job("a"), job("b", "needs: a"), job("c", "needs: [a, b]")],
        result: { a: "success", b: "success", c: "success" },
        conclusion: "success",
      },
      {
        title: "are skipped after a failure, however far",
        jobs: [job("a"), job("b", "needs: a"), job("c", "needs: b")],
        failing: ["a"],
        result: { a: "failure", b: "skipped", c: "skipped" },
        conclusion: "failure",
      },
      {
        title: "run after a failure when they say so",
        jobs: [
          job("a"),
          job("b", "needs: a", "if: failure()"),
          job("c", "needs: a", "if: always()"),
          job("d", "needs: a", "if: ${{ !cancelled() }}"),
          job("e", "needs: c"),
          job("f", "needs: a", "if: success() || needs.a.result == 'failure'"),
        ],
        failing: ["a"],
        result: {
          a: "failure",
          b: "success",
          c: "success",
          d: "success",
          e: "skipped",
          f: "success",
        },
        conclusion: "failure",
      },
      {
        title: "with an if are skipped with what needs them",
        jobs: [
          job("a", "if: github.ref == 'refs/heads/other'"),
          job("b", "needs: a"),
          job("c", "needs: a", "if: always()"),
          job(
            "d",
            "if: ${{ github.event_name == 'push' && startsWith(github.ref, 'refs/heads/') }}",
          ),
        ],
        result: { a: "skipped", b: "skipped", c: "success", d: "success" },
        conclusion: "success",
      },
      {
        title: "that are all skipped make a skipped run",
        jobs: [job("a", "if: false")],
        result: { a: "skipped" },
        conclusion: "skipped",
      },
      {
        title: "that may fail do not fail the run",
        jobs: [job("a", "continue-on-error: true"), job("b", "needs: a")],
        failing: ["a"],
        result: { a: "failure", b: "success" },
        conclusion: "success",
      },
      {
        title: "whose values cannot be evaluated fail",
        jobs: [
          job("a", "if: fromJSON('{') == 1"),
          "b:\n  runs-on: ${{ fromJSON(vars.NONE || '[]') }}\n  steps: [{ run: x }]",
        ],
        result: { a: "failure", b: "failure" },
        conclusion: "failure",
      },
      {
        title: "are named by their expressions",
        jobs: [job("a", "name: Build ${{ github.ref_name }}"), job("b", "name: ''")],
        result: { "Build master": "success", b: "success" },
        conclusion: "success",
      },
      {
        title: "of a matrix are several",
        jobs: [
          job("a", "strategy: { matrix: { x: [1, 2] } }"),
          job("b", "needs: a", "name: B ${{ matrix.y }}", "strategy: { matrix: { y: [3] } }"),
        ],
        result: { "a (1)": "success", "a (2)": "success", "B 3": "success" },
        conclusion: "success",
      },
    ];
    for (const { title, jobs, failing = [], result, conclusion } of graphs)
      it(title, async () => {
        for (const name of failing) hosted.plan(name, { result: "failed", exitCode: 1 });
        const run = await ran(workflow("push", jobs.join("\n")));
        assert.deepEqual(summary(run), result);
        assert.equal(run.conclusion, conclusion);
      });

    it("hand on their outputs", async () => {
      hosted.plan("a", { outputs: { digest: "sha256:1" } });
      await ran(
        workflow(
          "push",
          [
            job("a", "outputs: { digest: '${{ steps.x.outputs.digest }}' }"),
            job(
              "b",
              "needs: a",
              "if: needs.a.outputs.digest == 'sha256:1'",
              "env: { N: 1, T: '${{ github.ref }}' }",
            ),
          ].join("\n"),
          "env: { TOP: x }\n",
        ),
      );
      assert.deepEqual(hosted.one("a").message.job?.outputs, {
        digest: "${{ steps.x.outputs.digest }}",
      });
      const { job: b } = hosted.one("b").message;
      assert.deepEqual(b?.contexts.needs, {
        a: { result: "success", outputs: { digest: "sha256:1" } },
      });
      assert.deepEqual(b?.env, [{ TOP: "x" }, { N: "1", T: "${{ github.ref }}" }]);
    });

    it("of a matrix stop with the first failure, unless told otherwise, and in as many at once as told", async () => {
      for (const name of ["a (1)", "a (2)", "b (1)", "b (2)"]) hosted.plan(name, "hold");
      repository().push({
        [path]: workflow(
          "push",
          [
            job("a", "strategy: { matrix: { x: [1, 2] } }"),
            job("b", "strategy: { fail-fast: false, max-parallel: 1, matrix: { x: [1, 2] } }"),
          ].join("\n"),
        ),
      });
      (await hosted.holds("a (1)")).end({ result: "failed" });
      const b = await hosted.holds("b (1)");
      assert.ok(!hosted.names().includes("b (2)"));
      b.end({ result: "failed" });
      (await hosted.holds("b (2)")).end();
      assert.deepEqual(summary(await done()), {
        "a (1)": "failure",
        "a (2)": "cancelled",
        "b (1)": "failure",
        "b (2)": "success",
      });
      assert.equal((await hosted.holds("a (2)")).stopped, true);
    });

    it("run on the runners of groups that take their workflow", async () => {
      const group = { name: "arm64", visibility: "all", restricted_to_workflows: true };
      await bench.expect(201, "POST", "/orgs/acme/actions/runner-groups", {
        ...group,
        selected_workflows: [`acme/webppt/${path}@refs/heads/master`],
      });
      const runner = await online(bench, { runner_group: "arm64" });
      const text = workflow(
        "push",
        "a:\n  runs-on: { group: arm64 }\n  outputs: { x: '1' }\n  steps: [{ run: x }]",
      );
      repository().push({ [path]: text }, { branch: "other" });
      assert.equal(await runner.poll(), null);
      bench.github.runs.cancel(first().id);
      repository().push({ [path]: text });
      const message = await runner.poll();
      assert.ok(message);
      assert.deepEqual(message.steps, [{ run: "x" }]);
      const step = {
        number: 1,
        name: "Run x",
        status: "in_progress",
        conclusion: null,
        started_at: "2026-01-01T00:00:00Z",
        completed_at: null,
      };
      await runner.report(message.job_id, "heartbeat", { steps: [step] });
      const jobPath = `${root}/jobs/${message.job_id}`;
      assert.deepEqual((await bench.expect(200, "GET", jobPath))["steps"], [step]);
      const ended = {
        ...step,
        status: "completed",
        conclusion: "success",
        completed_at: "2026-01-01T00:00:09Z",
      };
      await runner.report(message.job_id, "complete", {
        result: "succeeded",
        exit_code: 0,
        outputs: { x: "1" },
        steps: [ended],
      });
      const run = await done();
      assert.deepEqual(run.jobs[0]?.outputs, { x: "1" });
      const shown = await bench.expect(200, "GET", jobPath);
      assert.deepEqual(
        [shown["steps"], shown["runner_name"], shown["runner_group_name"], shown["conclusion"]],
        [[ended], "r1", "arm64", "success"],
      );
    });

    it("take no longer than they may", async () => {
      hosted.plan("a", "hold");
      repository().push({ [path]: workflow("push", job("a", "timeout-minutes: 5")) });
      const held = await hosted.holds("a");
      assert.equal(held.job.message.timeout_seconds, 300);
      bench.clock.advance(301_000);
      const run = await done();
      assert.deepEqual([run.conclusion, held.stopped], ["cancelled", true]);
      assert.match(run.jobs[0]?.log ?? "", /maximum execution time of 300s/);
    });
  });

  describe("concurrency", () => {
    const file = (more: string) =>
      workflow("push", job("a"), `concurrency: { group: "g-\${{ github.ref }}"${more} }\n`);

    it("lets the newest wait, and cancels those that waited before", async () => {
      hosted.plan("a", "hold");
      repository().push({ [path]: file("") });
      const held = await hosted.holds("a");
      repository().edit("x", "1");
      repository().edit("x", "2");
      const [third, second, one] = runs();
      assert.deepEqual(
        [third?.status, second?.conclusion, one?.status],
        ["pending", "cancelled", "in_progress"],
      );
      held.end();
      (await hosted.holds("a", 2)).end();
      assert.equal((await done(third?.id)).conclusion, "success");
      assert.equal((await done(one?.id)).conclusion, "success");
    });

    it("keeps all that wait in line when asked to", async () => {
      hosted.plan("a", "hold");
      repository().push({ [path]: file(", queue: max") });
      for (const text of ["1", "2"]) repository().edit("x", text);
      for (const count of [1, 2, 3]) (await hosted.holds("a", count)).end();
      for (const { id } of runs()) assert.equal((await done(id)).conclusion, "success");
    });

    it("cancels what runs when asked to, and only in its own group", async () => {
      hosted.plan("a", "hold");
      repository().push({ [path]: file(", cancel-in-progress: true") });
      const before = await hosted.holds("a");
      repository().push({ x: "1" }, { branch: "other" });
      assert.equal(before.stopped, false);
      repository().edit("x", "1");
      assert.equal(before.stopped, true);
      (await hosted.holds("a", 3)).end();
      const [newest, , oldest] = runs();
      assert.equal((await done(newest?.id)).conclusion, "success");
      assert.equal((await done(oldest?.id)).conclusion, "cancelled");
    });

    it("of a job holds back that job only", async () => {
      for (const name of ["a", "b"]) hosted.plan(name, "hold");
      repository().push({
        [path]: workflow(
          "push",
          [job("a", "concurrency: same"), job("b", "concurrency: SAME")].join("\n"),
        ),
      });
      const a = await hosted.holds("a");
      assert.deepEqual(hosted.names(), ["a"]);
      a.end();
      (await hosted.holds("b")).end();
      assert.equal((await done()).conclusion, "success");
    });

    it("sees a job that waits for its own run", async () => {
      const run = await ran(workflow("push", job("a", "concurrency: same"), "concurrency: same\n"));
      assert.equal(run.conclusion, "cancelled");
      assert.match(run.error ?? "", /deadlock for concurrency group 'same'/);
    });
  });

  describe("cancelling", () => {
    it("stops what runs, skips what waits, and leaves what always runs", async () => {
      for (const name of ["a", "b"]) hosted.plan(name, "hold");
      repository().push({
        [path]: workflow(
          "push",
          [
            job("a"),
            job("b", "if: always()"),
            job("c", "needs: a"),
            job("d", "needs: a", "if: cancelled()"),
            "e:\n  runs-on: nobody\n  steps: [{ run: x }]",
          ].join("\n"),
        ),
      });
      const a = await hosted.holds("a");
      const b = await hosted.holds("b");
      await bench.expect(202, "POST", `${root}/runs/${first().id}/cancel`);
      assert.deepEqual([a.stopped, b.stopped], [true, false]);
      b.end();
      const run = await done();
      assert.deepEqual(summary(run), {
        a: "cancelled",
        b: "success",
        e: "cancelled",
        c: "skipped",
        d: "success",
      });
      assert.equal(run.conclusion, "cancelled");
    });

    it("by force stops everything", async () => {
      hosted.plan("a", "hold");
      repository().push({
        [path]: workflow(
          "push",
          [job("a", "if: always()"), job("b", "needs: a", "if: always()")].join("\n"),
        ),
      });
      await hosted.holds("a");
      await bench.expect(202, "POST", `${root}/runs/${first().id}/force-cancel`);
      const run = await done();
      assert.deepEqual([summary(run), run.conclusion], [{ a: "cancelled" }, "cancelled"]);
    });
  });

  describe("the token of a job", () => {
    const table: {
      title: string;
      top?: string;
      job?: string;
      repo?: string;
      packages: string;
      contents: string;
    }[] = [
      { title: "reads by default", packages: "read", contents: "read" },
      {
        title: "has what the workflow says",
        top: "permissions: { packages: write }\n",
        packages: "write",
        contents: "none",
      },
      {
        title: "has what the job says instead",
        top: "permissions: write-all\n",
        job: "permissions: {}",
        packages: "none",
        contents: "none",
      },
      { title: "reads all", job: "permissions: read-all", packages: "read", contents: "read" },
    ];
    for (const { title, top = "", job: own, packages, contents } of table)
      it(`${title}, and ends with the job`, async () => {
        hosted.plan("a", "hold");
        repository().push({
          [path]: workflow("push", job("a", ...(own === undefined ? [] : [own])), top),
        });
        const held = await hosted.holds("a");
        const { job: definition, masks } = held.job.message;
        const token = tokenOf(held.job);
        assert.equal(definition?.contexts.secrets["GITHUB_TOKEN"], token);
        assert.ok(masks.includes(token));
        assert.deepEqual(bench.github.registryAccess(token), {
          login: "github-actions[bot]",
          owner: "acme",
          repositories: ["webppt"],
          packages,
        });
        const read = await bench.call("GET", "/repos/acme/webppt/contents/README.md", undefined, {
          token,
        });
        assert.equal(read.status, contents === "none" ? 403 : 200);
        assert.equal(
          (await bench.call("GET", "/repos/acme/hello", undefined, { token })).status,
          404,
        );
        held.end();
        await done();
        assert.equal(bench.github.registryAccess(token), undefined);
        assert.equal(
          (await bench.call("GET", "/repos/acme/webppt", undefined, { token })).status,
          401,
        );
      });

    it("writes where the repository's default is to write", async () => {
      await bench.expect(204, "PUT", `${root}/permissions/workflow`, {
        default_workflow_permissions: "write",
      });
      hosted.plan("a", "hold");
      repository().push({ [path]: workflow("push", job("a")) });
      const held = await hosted.holds("a");
      const token = tokenOf(held.job);
      assert.equal(bench.github.registryAccess(token)?.packages, "write");
      held.end();
    });

    it("is unlike those of people: classic ones go by scope, fine-grained ones reach no packages", () => {
      const { admin, fineGrained, expired } = bench.github.tokens;
      assert.deepEqual(bench.github.registryAccess(admin), {
        login: "fleet-admin",
        owner: undefined,
        repositories: undefined,
        packages: "none",
      });
      assert.equal(bench.github.registryAccess(fineGrained)?.packages, "none");
      assert.equal(bench.github.registryAccess(expired), undefined);
      assert.equal(bench.github.registryAccess("nonsense"), undefined);
    });
  });

  const secret = async (name: string, value: string, at = "repos/acme/site"): Promise<void> => {
    const key = await bench.expect<{ key: string; key_id: string }>(
      200,
      "GET",
      `/${at}/actions/secrets/public-key`,
    );
    await bench.expect(201, "PUT", `/${at}/actions/secrets/${name}`, {
      encrypted_value: await seal(key.key, value),
      key_id: key.key_id,
    });
  };

  describe("from forks", () => {
    const site = "/repos/acme/site/actions";
    const file = workflow(
      "pull_request",
      [
        "a:",
        "  runs-on: ${{ fromJSON(vars.ARM64_RUNS_ON || '\"ubuntu-24.04-arm\"') }}",
        "  permissions: { packages: write, id-token: write }",
        "  steps: [{ run: x }]",
      ].join("\n"),
    );
    beforeEach(async () => {
      await secret("PASSWORD", "hunter2");
      await bench.expect(201, "POST", "/repos/acme/site/actions/variables", {
        name: "ARM64_RUNS_ON",
        value: '"nobody"',
      });
      repository("acme/site").push({ [path]: file });
    });

    it("wait for approval, then get no secrets, no variables and a token that only reads", async () => {
      hosted.plan("a", "hold");
      bench.github.forkPullRequest("acme/site", { "x.txt": "1" });
      const run = first("acme/site");
      assert.deepEqual(
        [run.status, run.conclusion, run.headRepository],
        ["completed", "action_required", "octocat/site"],
      );
      assert.deepEqual(run.pullRequests, []);
      await bench.expect(201, "POST", `${site}/runs/${run.id}/approve`);
      await bench.refuses(
        403,
        "This workflow run does not need to be approved",
        "POST",
        `${site}/runs/${run.id}/approve`,
      );
      const held = await hosted.holds("a");
      assert.equal(held.job.arch, "ARM64");
      const contexts = held.job.message.job?.contexts;
      const token = tokenOf(held.job);
      assert.deepEqual([contexts?.vars, contexts?.secrets], [{}, { GITHUB_TOKEN: token }]);
      assert.deepEqual(held.job.message.masks, [token]);
      assert.equal(bench.github.registryAccess(token)?.packages, "read");
      const event = contexts?.github["event"] as {
        pull_request: { head: { repo: { fork: boolean } } };
      };
      assert.equal(event.pull_request.head.repo.fork, true);
      held.end();
      await done(run.id);
    });

    it("run at once when the policy lets them, and always from a branch of the repository itself", async () => {
      await bench.expect(204, "PUT", `${site}/permissions/fork-pr-contributor-approval`, {
        approval_policy: "first_time_contributors_new_to_github",
      });
      const number = bench.github.forkPullRequest("acme/site", { "x.txt": "1" });
      assert.equal((await done(first("acme/site").id)).conclusion, "success");
      assert.equal(bench.github.forkPullRequest("acme/site", { "x.txt": "2" }), number);
      assert.equal(runs("acme/site").length, 2);
      assert.equal(bench.github.repository("octocat/site").file("x.txt", "change"), "2");
      repository("acme/site").push({ "y.txt": "1" }, { branch: "own" });
      repository("acme/site").openPull("own");
      const [run] = runs("acme/site");
      assert.deepEqual(run?.jobs[0]?.labels, ["nobody"]);
    });

    it("run nothing in a private repository, unless its settings say so", async () => {
      const at = `${root}/permissions/fork-pr-workflows-private-repos`;
      repository().push({ [path]: workflow("pull_request", job("a")) });
      bench.github.forkPullRequest("acme/webppt", { "x.txt": "1" });
      assert.deepEqual(runs(), []);
      await bench.expect(204, "PUT", at, {
        run_workflows_from_fork_pull_requests: true,
        send_secrets_and_variables: true,
      });
      assert.equal((await bench.expect(200, "GET", at))["send_secrets_and_variables"], true);
      await secret("PASSWORD", "hunter2", "repos/acme/webppt");
      bench.github.forkPullRequest("acme/webppt", { "x.txt": "2" });
      await done();
      assert.equal(hosted.one("a").message.job?.contexts.secrets["PASSWORD"], "hunter2");
    });

    it("are made over REST by whoever can read", async () => {
      const { stranger } = bench.github.tokens;
      const fork = await bench.expect(
        202,
        "POST",
        "/repos/acme/site/forks",
        {},
        { token: stranger },
      );
      assert.deepEqual([fork["full_name"], fork["fork"]], ["octocat/site", true]);
      await bench.expect(
        201,
        "PUT",
        "/repos/octocat/site/contents/z.txt",
        { message: "z", content: "" },
        { token: stranger },
      );
      const body = { title: "t", head: "octocat:main", base: "main" };
      const pull = await bench.expect<{ number: number; head: { label: string } }>(
        201,
        "POST",
        "/repos/acme/site/pulls",
        body,
        { token: stranger },
      );
      assert.equal(pull.head.label, "octocat:main");
      assert.equal(first("acme/site").event, "pull_request");
      const forks = await bench.expect<unknown[]>(200, "GET", "/repos/acme/site/forks");
      assert.equal(forks.length, 1);
      await bench.refuses(
        404,
        "Not Found",
        "POST",
        "/repos/acme/webppt/forks",
        {},
        { token: stranger },
      );
      await bench.expect(200, "PUT", `/repos/acme/site/pulls/${pull.number}/merge`, {});
      assert.equal(repository("acme/site").file("z.txt"), "");
    });
  });

  describe("of called workflows", () => {
    const central = "acme/hello";
    const shared = ".github/workflows/shared.yml";
    const called = [
      "name: Shared",
      "on:",
      "  workflow_call:",
      "    inputs:",
      "      image: { type: string, required: true }",
      "      push: { type: boolean, default: false }",
      "    secrets: { PASSWORD: { required: false } }",
      "    outputs: { digest: { value: '${{ jobs.build.outputs.digest }}-${{ inputs.image }}' } }",
      "env: { FROM: shared }",
      "jobs:",
      "  build:",
      "    name: Build ${{ inputs.image }}",
      "    runs-on: ubuntu-24.04",
      "    permissions: { packages: write }",
      "    outputs: { digest: '${{ steps.x.outputs.d }}' }",
      "    steps: [{ run: x }]",
      "  combine:",
      "    needs: build",
      "    if: inputs.push",
      "    runs-on: ubuntu-24.04",
      "    permissions: {}",
      "    steps: [{ run: x }]",
      "",
    ].join("\n");
    const caller = (...more: string[]) =>
      workflow(
        "push",
        [
          "image:",
          `  uses: ${central}/${shared}@main`,
          "  permissions: { packages: write }",
          "  with: { image: '${{ github.ref_name }}', push: true }",
          ...more.map((line) => `  ${line}`),
          job("after", "needs: image", "if: needs.image.outputs.digest == '1-master'"),
        ].join("\n"),
        "env: { TOP: caller }\n",
      );
    const open = (level = "organization") =>
      bench.expect(204, "PUT", `/repos/${central}/actions/permissions/access`, {
        access_level: level,
      });

    it("run as their caller's, with inputs, outputs and the secrets that they are given", async () => {
      await secret("PASSWORD", "hunter2", "repos/acme/webppt");
      await open();
      repository(central).push({ [shared]: called });
      hosted.plan("image / Build master", { outputs: { digest: "1" } });
      const run = await ran(caller("secrets: { PASSWORD: '${{ secrets.PASSWORD }}' }"));
      assert.deepEqual(summary(run), {
        "image / Build master": "success",
        "image / combine": "success",
        after: "success",
      });
      const { job: build, repository: of } = hosted.one("image / Build master").message;
      const contexts = build?.contexts;
      assert.equal(of, "acme/webppt");
      assert.deepEqual(contexts?.inputs, { image: "master", push: true });
      assert.equal(contexts?.secrets["PASSWORD"], "hunter2");
      assert.equal(contexts?.github["workflow"], "CI");
      assert.deepEqual(build?.env, [{ FROM: "shared" }, {}]);
      assert.deepEqual(
        run.referencedWorkflows.map((one) => one.path),
        [`${central}/${shared}@main`],
      );
      const shown = await bench.expect<{ referenced_workflows: unknown[] }>(
        200,
        "GET",
        `${root}/runs/${run.id}`,
      );
      assert.deepEqual(shown.referenced_workflows, run.referencedWorkflows);
    });

    for (const [secrets, value] of [
      [["secrets: inherit"], "hunter2"],
      [[], undefined],
    ] as const)
      it(`get ${value === undefined ? "no secrets" : "all secrets"} by ${JSON.stringify(secrets)}`, async () => {
        await secret("PASSWORD", "hunter2", "repos/acme/webppt");
        await open();
        repository(central).push({ [shared]: called });
        await ran(caller(...secrets));
        const { job: build } = hosted.one("image / Build master").message;
        assert.equal(build?.contexts.secrets["PASSWORD"], value);
      });

    it("may select the workflow file that is called for a runner group", async () => {
      await open();
      const text = called.replaceAll("ubuntu-24.04", "{ group: arm64 }");
      repository(central).push({ [shared]: text });
      await bench.expect(201, "POST", "/orgs/acme/actions/runner-groups", {
        name: "arm64",
        visibility: "all",
        restricted_to_workflows: true,
        selected_workflows: [`${central}/${shared}@refs/heads/main`],
      });
      const runner = await online(bench, { runner_group: "arm64" });
      repository().push({ [path]: caller() });
      assert.equal((await runner.poll())?.name, "image / Build master");
    });

    const refused: [string, () => Promise<unknown>, string, RegExp][] = [
      [
        "a private repository that is not open",
        () => Promise.resolve(),
        caller(),
        /workflow was not found/,
      ],
      [
        "a ref that is not there",
        () => open(),
        caller().replace("@main", "@v1"),
        /workflow was not found/,
      ],
      [
        "an input that is not there",
        () => open(),
        caller().replace("push: true", "pull: true"),
        /Invalid input, pull is not defined/,
      ],
      [
        "a required input that is missing",
        () => open(),
        caller().replace("image: '${{ github.ref_name }}', ", ""),
        /Input image is required/,
      ],
      [
        "more rights than the caller has",
        () => open(),
        caller().replace("packages: write", "packages: read"),
        /nested job 'build' is requesting 'packages: write', but is only allowed 'packages: read'/,
      ],
    ];
    for (const [title, prepare, text, message] of refused)
      it(`do not start with ${title}`, async () => {
        await prepare();
        repository(central).push({ [shared]: called });
        const run = await ran(text);
        assert.equal(run.conclusion, "startup_failure");
        assert.match(run.error ?? "", message);
        assert.deepEqual(hosted.started, []);
      });

    it("are found in the same repository at the same commit, and nested", async () => {
      const inner =
        "on: { workflow_call: {} }\njobs:\n  x:\n    runs-on: ubuntu-24.04\n    steps: [{ run: x }]\n";
      const middle = "on: workflow_call\njobs:\n  m:\n    uses: ./.github/workflows/inner.yml\n";
      repository().push({
        ".github/workflows/inner.yml": inner,
        ".github/workflows/middle.yml": middle,
        [path]: workflow("push", ["a:", "  uses: ./.github/workflows/middle.yml"].join("\n")),
      });
      assert.deepEqual(summary(await done()), { "a / m / x": "success" });
      const loop = workflow("[push, workflow_call]", `a:\n  uses: ./${path}`);
      assert.match((await ran(loop)).error ?? "", /at most 10 levels/);
    });

    it("that fail, fail the job that calls them; what is skipped there is skipped here", async () => {
      await open();
      repository(central).push({ [shared]: called });
      hosted.plan("image / Build master", { result: "failed" });
      const run = await ran(caller());
      assert.deepEqual(summary(run), {
        "image / Build master": "failure",
        "image / combine": "skipped",
        after: "skipped",
      });
      assert.equal(run.conclusion, "failure");
      const none = await ran(
        workflow(
          "push",
          [
            "image:",
            `  uses: ${central}/${shared}@main`,
            "  if: false",
            "  permissions: { packages: write }",
            "  with: { image: x }",
          ].join("\n"),
        ),
      );
      assert.deepEqual(summary(none), { image: "skipped" });
    });

    it("run one of their jobs again with what follows", async () => {
      await open();
      repository(central).push({ [shared]: called });
      hosted.plan("image / Build master", { outputs: { digest: "1" } });
      hosted.plan("image / combine", { result: "failed" });
      const run = await ran(caller());
      assert.equal(summary(run)["after"], "skipped");
      hosted.plan("image / combine", {});
      bench.github.runs.rerunFailed(run.id);
      const again = await done(run.id);
      assert.deepEqual(
        [summary(again), again.conclusion],
        [
          { "image / Build master": "success", "image / combine": "success", after: "success" },
          "success",
        ],
      );
      assert.equal(hosted.names().filter((name) => name === "image / Build master").length, 1);
    });
  });

  describe("run again", () => {
    const file = workflow(
      "push",
      [
        job("a", "outputs: { x: '1' }"),
        job("b", "needs: a"),
        job("c", "needs: [a, b]"),
        job("d"),
      ].join("\n"),
    );
    const counts = () =>
      Object.fromEntries(
        ["a", "b", "c", "d"].map((name) => [
          name,
          hosted.names().filter((one) => one === name).length,
        ]),
      );

    for (const [title, where, expected] of [
      ["all", "rerun", { a: 2, b: 2, c: 1, d: 2 }],
      ["what failed, with what depends on it", "rerun-failed-jobs", { a: 1, b: 2, c: 1, d: 1 }],
    ] as const)
      it(title, async () => {
        hosted.plan("a", { outputs: { x: "from a" } });
        hosted.plan("b", { result: "failed" });
        const run = await ran(file);
        assert.deepEqual([run.conclusion, counts()], ["failure", { a: 1, b: 1, c: 0, d: 1 }]);
        hosted.plan("b", {});
        await bench.expect(201, "POST", `${root}/runs/${run.id}/${where}`);
        const again = await done(run.id);
        assert.deepEqual(again.conclusion, "success");
        assert.deepEqual(counts(), expected);
        assert.deepEqual(summary(again), {
          a: "success",
          b: "success",
          c: "success",
          d: "success",
        });
        assert.equal(again.attempts.length, 2);
        const last = hosted.started.filter(({ message }) => message.name === "b").at(-1);
        assert.deepEqual(last?.message.job?.contexts.needs, {
          a: { result: "success", outputs: { x: "from a" } },
        });
        assert.equal(last.message.env["GITHUB_RUN_ATTEMPT"], "2");
      });

    it("one job, the rest as it was", async () => {
      const run = await ran(file);
      const b = run.jobs.find(({ name }) => name === "b");
      const d = run.jobs.find(({ name }) => name === "d");
      bench.clock.advance(60_000);
      await bench.expect(201, "POST", `${root}/jobs/${b?.id}/rerun`);
      const again = await done(run.id);
      assert.deepEqual(counts(), { a: 1, b: 2, c: 2, d: 1 });
      const kept = again.jobs.find(({ name }) => name === "d");
      assert.deepEqual([kept?.startedAt, kept?.attempt], [d?.startedAt, 2]);
      assert.notEqual(kept?.id, d?.id);
      const shown = await bench.expect<{
        run_attempt: number;
        previous_attempt_url: string;
        run_started_at: string;
        created_at: string;
      }>(200, "GET", `${root}/runs/${run.id}`);
      assert.equal(shown.run_attempt, 2);
      assert.ok(shown.run_started_at > shown.created_at);
      const { pathname } = new URL(shown.previous_attempt_url);
      assert.equal((await bench.expect(200, "GET", pathname))["run_attempt"], 1);
      const jobsOf = async (where: string) =>
        (await bench.expect<{ total_count: number }>(200, "GET", `${root}/runs/${run.id}${where}`))
          .total_count;
      assert.deepEqual(
        [await jobsOf("/jobs"), await jobsOf("/jobs?filter=all"), await jobsOf("/attempts/1/jobs")],
        [4, 8, 4],
      );
    });

    it("is refused while it runs, without a failure, and after a month", async () => {
      hosted.plan("d", "hold");
      repository().push({ [path]: file });
      const { id } = first();
      const held = await hosted.holds("d");
      const at = `${root}/runs/${id}`;
      await bench.refuses(403, "This workflow is already running", "POST", `${at}/rerun`);
      await bench.refuses(
        403,
        "The workflow run containing this job is already running",
        "POST",
        `${root}/jobs/${first().jobs[0]?.id}/rerun`,
      );
      held.end();
      await done(id);
      await bench.refuses(
        403,
        "This workflow run has no failed jobs to re-run",
        "POST",
        `${at}/rerun-failed-jobs`,
      );
      bench.clock.advance(31 * 86_400_000);
      await bench.refuses(
        403,
        "Unable to re-run this workflow run because it was created over a month ago",
        "POST",
        `${at}/rerun`,
      );
    });

    it("keeps its commit, and its first actor", async () => {
      const run = await ran(file);
      repository().edit("x", "1");
      await bench.expect(201, "POST", `${root}/runs/${run.id}/rerun`);
      const again = await done(run.id);
      assert.deepEqual(
        [again.sha, again.actor, again.triggeringActor],
        [run.sha, "octocat", "fleet-admin"],
      );
    });
  });

  describe("with a policy of allowed actions", () => {
    const sha = "a".repeat(40);
    const selected = (...patterns: string[]) => ({
      github_owned_allowed: true,
      verified_allowed: false,
      patterns_allowed: patterns,
    });
    const table: {
      title: string;
      policy: Record<string, unknown>;
      selected?: Record<string, unknown>;
      uses: string;
      refused?: RegExp;
    }[] = [
      { title: "all", policy: { allowed_actions: "all" }, uses: "x/y@v1" },
      {
        title: "those of the owner only",
        policy: { allowed_actions: "local_only" },
        uses: "actions/checkout@v7",
        refused: /must be from a repository owned by acme/,
      },
      {
        title: "those of the owner only, which it is",
        policy: { allowed_actions: "local_only" },
        uses: "acme/tool@v1",
      },
      {
        title: "GitHub's own",
        policy: { allowed_actions: "selected" },
        selected: selected(),
        uses: "actions/checkout@v7",
      },
      {
        title: "others than this",
        policy: { allowed_actions: "selected" },
        selected: selected("docker/login-action@*"),
        uses: "docker/bake-action@v7",
        refused: /is not allowed in acme\/webppt/,
      },
      {
        title: "those of a pattern",
        policy: { allowed_actions: "selected" },
        selected: selected("docker/*"),
        uses: "docker/bake-action@v7",
      },
      {
        title: "those of a pattern but this",
        policy: { allowed_actions: "selected" },
        selected: selected("docker/*", "!docker/bake-action"),
        uses: "docker/bake-action@v7",
        refused: /docker\/bake-action@v7 is not allowed/,
      },
      {
        title: "those by commit",
        policy: { allowed_actions: "all", sha_pinning_required: true },
        uses: "actions/checkout@v7",
        refused: /pinned to a full-length commit SHA/,
      },
      {
        title: "those by commit, which it is",
        policy: { allowed_actions: "all", sha_pinning_required: true },
        uses: `actions/checkout@${sha}`,
      },
      {
        title: "the repository's own",
        policy: { allowed_actions: "local_only" },
        uses: "./action",
      },
    ];
    for (const { title, policy, selected: chosen, uses, refused } of table)
      it(`${refused === undefined ? "start" : "do not start"}: ${title}`, async () => {
        await bench.expect(204, "PUT", `${root}/permissions`, { enabled: true, ...policy });
        if (chosen !== undefined)
          await bench.expect(204, "PUT", `${root}/permissions/selected-actions`, chosen);
        const run = await ran(
          workflow("push", `a:\n  runs-on: ubuntu-24.04\n  steps: [{ uses: "${uses}" }]`),
        );
        assert.equal(run.conclusion, refused === undefined ? "success" : "startup_failure");
        assert.match(run.error ?? "", refused ?? /^$/);
      });
  });

  describe("over REST", () => {
    it("are listed with filters, their jobs with times, and what they cost", async () => {
      hosted.plan("b", { result: "failed" });
      const sha = repository().push({ [path]: workflow("push", [job("a"), job("b")].join("\n")) });
      await done();
      repository().push({ x: "1" }, { branch: "other" });
      await done();
      const count = async (query: string) =>
        (await bench.expect<{ total_count: number }>(200, "GET", `${root}/runs?${query}`))
          .total_count;
      const table: [string, number][] = [
        ["", 2],
        ["event=push", 2],
        ["event=pull_request", 0],
        ["branch=other", 1],
        [`head_sha=${sha}`, 1],
        ["status=failure", 2],
        ["status=completed", 2],
        ["status=success", 0],
        ["actor=octocat", 2],
        ["actor=nobody", 0],
        ["created=%3E%3D2020-01-01", 2],
        ["created=%3C2020-01-01", 0],
        ["created=2020-01-01..2020-12-31", 0],
      ];
      for (const [query, expected] of table) assert.equal(await count(query), expected, query);
      const { jobs } = await bench.expect<{ jobs: Record<string, unknown>[] }>(
        200,
        "GET",
        `${root}/runs/${first().id}/jobs`,
      );
      for (const one of jobs) {
        const times = ["created_at", "started_at", "completed_at"].map((key) => String(one[key]));
        assert.deepEqual(times, [...times].sort());
        assert.deepEqual(
          [one["workflow_name"], one["runner_group_name"], one["labels"], one["head_branch"]],
          ["CI", "GitHub Actions", ["ubuntu-24.04"], "other"],
        );
      }
      const timing = await bench.expect<{
        billable: { UBUNTU: { jobs: number } };
        run_duration_ms: number;
      }>(200, "GET", `${root}/runs/${first().id}/timing`);
      assert.equal(timing.billable.UBUNTU.jobs, 2);
      assert.ok(timing.run_duration_ms >= 0);
    });

    it("give a repository at a ref as an archive that tar reads", async () => {
      const long = `${"d".repeat(90)}/${"f".repeat(90)}.txt`;
      const sha = repository().push({ [long]: "long\n", "a/b.txt": "b\n" });
      const answer = await bench.call("GET", "/repos/acme/webppt/tarball/master");
      assert.equal(answer.status, 302);
      const link = answer.headers.get("location") ?? "nowhere:";
      const archive = await bench.github.fetch(new Request(link));
      const content = Buffer.from(await archive.arrayBuffer());
      const folder = `acme-webppt-${sha.slice(0, 7)}`;
      const list = execFileSync("tar", ["-tzf", "-"], { input: content })
        .toString()
        .trim()
        .split("\n");
      assert.deepEqual(
        list.sort(),
        [
          `${folder}/`,
          `${folder}/Dockerfile`,
          `${folder}/README.md`,
          `${folder}/a/b.txt`,
          `${folder}/${long}`,
        ].sort(),
      );
      const text = execFileSync("tar", ["-xzOf", "-", `${folder}/${long}`], {
        input: content,
      }).toString();
      assert.equal(text, "long\n");
      bench.clock.advance(301_000);
      assert.equal((await bench.github.fetch(new Request(link))).status, 404);
      await bench.refuses(404, "Not Found", "GET", "/repos/acme/webppt/tarball/none");
    });

    it("tells how far a run got when it takes too long", async () => {
      repository().push({
        [path]: workflow("push", "a:\n  runs-on: nobody\n  steps: [{ run: x }]"),
      });
      await assert.rejects(
        bench.github.runs.wait(first().id, 20),
        /still queued after 20 ms: "a" queued on nobody/,
      );
    });
  });
});
