import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runLocalJob, type LocalJob } from "../../../local-cloud/hosts/localJob";
import { followReport, type JobFolders } from "../../../local-cloud/hosts/runnerJob";
import { until } from "../../../local-cloud/hosts/run";
import { eventually } from "./support";

/** What the executor reads, for steps of bash. */
function input(folders: JobFolders, steps: readonly object[], timeoutSeconds = 60): string {
  const nothing = { github: {}, vars: {}, secrets: {}, needs: {}, strategy: {}, matrix: {} };
  return JSON.stringify({
    message: {
      job_id: "1",
      name: "build",
      run_id: 1,
      repository: "acme/web",
      env: {},
      timeout_seconds: timeoutSeconds,
      masks: [],
      steps,
      job: { id: "build", env: [], outputs: {}, contexts: { ...nothing, inputs: {} } },
    },
    runner: { name: "one", arch: "ARM64", environment: "self-hosted", ...folders },
  });
}

const steps = (...list: object[]): LocalJob["work"] => ({
  executorInput: (folders) => input(folders, list),
});

function start(work: LocalJob["work"], env?: Record<string, string>) {
  let log = "";
  const [cancel, kill] = [new AbortController(), new AbortController()];
  const done = runLocalJob({
    work,
    env,
    onLog: (text) => (log += text),
    cancel: cancel.signal,
    kill: kill.signal,
  });
  done.catch(() => undefined);
  const pids = (count: number): Promise<number[]> =>
    eventually("processes", () => {
      const found = [...log.matchAll(/^pid=(\d+)$/gm)].map(([, pid]) => Number(pid));
      return found.length === count && found;
    });
  return { done, log: () => log, pids, cancel: () => cancel.abort(), kill: () => kill.abort() };
}

/** A process that has ended but was not collected by its new parent does not count. */
function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

const allEnd = (pids: readonly number[]): Promise<boolean> =>
  until(() => !pids.some(isRunning), 2000);

describe("jobs as processes of this machine", function () {
  this.timeout(30_000);

  before(function () {
    if (process.platform !== "linux") this.skip();
  });

  it("leave no process of a step behind when they are killed, whatever its group and environment", async () => {
    const job = start(
      steps({
        run: [
          "echo pid=$$",
          "setsid sleep 300 & echo pid=$!",
          "setsid env --ignore-environment sleep 300 & echo pid=$!",
          "wait",
        ].join("\n"),
      }),
    );
    const pids = await job.pids(3);
    assert.ok(pids.every(isRunning));
    job.kill();
    await assert.rejects(job.done, { name: "AbortError" });
    assert.ok(await allEnd(pids));
  });

  it("leave no process of a script behind when it ends", async () => {
    const job = start({ script: "setsid sleep 300 & echo pid=$!; sleep 0.5" });
    assert.equal((await job.done).result, "succeeded");
    assert.ok(await allEnd(await job.pids(1)));
  });

  it("let steps that run always end when they are cancelled, for longer than a step gets", async () => {
    const job = start(
      steps(
        { run: "echo pid=$$; trap '' INT TERM; sleep 300 & wait; wait" },
        { if: "always()", run: "sleep 1; echo tidied" },
      ),
    );
    const pids = await job.pids(1);
    job.cancel();
    assert.equal((await job.done).result, "cancelled");
    assert.match(job.log(), /^tidied$/m);
    assert.ok(await allEnd(pids));
  });

  it("end although what cannot be known as theirs holds their output open", async () => {
    const started = Date.now();
    const job = start({
      script: "setsid env --ignore-environment sleep 20 & echo pid=$!; sleep 0.5",
    });
    assert.equal((await job.done).result, "succeeded");
    assert.ok(Date.now() - started < 10_000);
    for (const pid of await job.pids(1)) process.kill(pid);
  });

  it("do not see the environment of this process, and see their own", async () => {
    process.env["LOCAL_JOB_SECRET"] = "hidden";
    try {
      const job = start(
        { script: 'echo "${LOCAL_JOB_SECRET-none} $GREETING"; ls' },
        { GREETING: "hi" },
      );
      assert.equal((await job.done).exitCode, 0);
      assert.equal(job.log(), "none hi\n");
    } finally {
      delete process.env["LOCAL_JOB_SECRET"];
    }
  });

  it("do not begin when they were cancelled before", async () => {
    const job = start({ script: "echo begun" });
    job.cancel();
    assert.equal((await job.done).result, "cancelled");
    assert.equal(job.log(), "");
  });
});

describe("the report of an executor", () => {
  for (const text of ["{", "null", "5"])
    it(`fails the job when it is ${text}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "report-"));
      try {
        const file = join(folder, "report.json");
        let log = "";
        const report = followReport(file, { onLog: (text) => (log += text) });
        await writeFile(file, text);
        // Looked at in between: nothing may be left unhandled.
        await new Promise((resolve) => setTimeout(resolve, 400));
        assert.equal(log, "");
        const result = await report.end(0, false);
        assert.equal(result.result, "failed");
        assert.match(log, /^##\[error\]The report of the job is unreadable/);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
});
