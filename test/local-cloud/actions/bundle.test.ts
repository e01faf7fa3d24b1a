import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleExecutor, executorBundle } from "../../../local-cloud/actions/bundle";
import type { JobReport, StepDefinition } from "../../../local-cloud/actions/message";
import { jobInput } from "./support";

describe("the executor as one file", function () {
  this.timeout(30_000);
  let folder: string;
  let file: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "executor-"));
    file = join(folder, "executor.cjs");
    await bundleExecutor(file);
  });
  after(() => rm(folder, { recursive: true }));

  async function run(
    steps: StepDefinition[],
    onLog: (log: string, kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
  ): Promise<{ code: number | null; log: string; report: JobReport }> {
    const result = join(folder, "result.json");
    const child = spawn(process.execPath, [file], {
      // Nothing of this project is to be found from there.
      cwd: folder,
      env: { PATH: process.env["PATH"], RUNNER_FLEET_RESULT: result },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let log = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      onLog(log, (signal) => child.kill(signal));
    });
    child.stdin.end(
      JSON.stringify(
        jobInput(folder, steps, {
          secrets: { TOKEN: "topsecret" },
          outputs: { digest: "${{ steps.one.outputs.digest }}" },
        }),
      ),
    );
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { code, log, report: JSON.parse(await readFile(result, "utf8")) as JobReport };
  }

  it("runs a job and reports it", async () => {
    const { code, log, report } = await run([
      { id: "one", run: "echo ${{ secrets.TOKEN }} done; echo digest=sha256:1 >>$GITHUB_OUTPUT" },
      { run: 'cat "$0" >/dev/null; echo "[$RUNNER_FLEET_RESULT]"' },
    ]);
    assert.equal(code, 0, log);
    assert.match(log, /^\*\*\* done$/m);
    assert.match(log, /^\[\]$/m);
    assert.equal(report.result, "succeeded");
    assert.deepEqual(report.outputs, { digest: "sha256:1" });
    assert.equal(report.steps.length, 4);
  });

  it("reports each step as it ends", async () => {
    const { code, report } = await run([
      { name: "first", run: "true" },
      {
        name: "second",
        run: `cp '${join(folder, "result.json")}' '${join(folder, "seen.json")}'; false`,
      },
    ]);
    const seen = JSON.parse(await readFile(join(folder, "seen.json"), "utf8")) as JobReport;
    assert.equal(seen.result, undefined);
    assert.deepEqual(
      seen.steps.map((step) => step.name),
      ["Set up job", "first"],
    );
    assert.equal(code, 1);
    assert.equal(report.result, "failed");
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const)
    it(`cancels the job on ${signal}`, async () => {
      let sent = false;
      const { code, log, report } = await run(
        [
          { name: "slow", run: "echo ready; sleep 60" },
          { name: "always", if: "always()", run: "echo ${{ job.status }}" },
        ],
        (text, kill) => {
          if (sent || !/^ready$/m.test(text)) return;
          sent = true;
          kill(signal);
        },
      );
      assert.equal(code, 1);
      assert.equal(report.result, "cancelled");
      assert.match(log, /^cancelled$/m);
      assert.deepEqual(
        report.steps.slice(1, 3).map((step) => step.conclusion),
        ["cancelled", "success"],
      );
    });

  for (const [input, message] of [
    ["nonsense", /something else than JSON/],
    ["{}", /cannot run this job: message/],
  ] as const)
    it(`refuses ${input} in one sentence`, () => {
      const { status, stderr } = spawnSync(process.execPath, [file], {
        input,
        env: { RUNNER_FLEET_RESULT: join(folder, "none.json") },
        encoding: "utf8",
      });
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.equal(stderr.trim().split("\n").length, 1);
    });

  it("refuses a step with a key that it does not know", () => {
    const input = jobInput(folder, [{ run: "true" }]);
    const { status, stderr } = spawnSync(process.execPath, [file], {
      input: JSON.stringify({
        ...input,
        message: { ...input.message, steps: [{ run: "true", container: "x" }] },
      }),
      env: { RUNNER_FLEET_RESULT: join(folder, "none.json") },
      encoding: "utf8",
    });
    assert.equal(status, 2);
    assert.match(stderr, /message\.steps\.0: .*container/);
  });

  it("is the same text each time", async () => {
    assert.equal(await executorBundle(), await readFile(file, "utf8"));
  });
});
