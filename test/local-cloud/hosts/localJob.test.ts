import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { followReport } from "../../../local-cloud/hosts/runnerJob";
import { allEnd, isRunning, start, steps } from "./localJobs";

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
