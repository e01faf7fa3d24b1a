import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { ActionDefinition } from "../../../local-cloud/actions/action";
import { runSteps, SHA, uses } from "./support";

/** An action that does nothing but say so, in its main part and after the job. */
const witness: ActionDefinition = {
  inputs: { text: { default: "${{ github.ref_name }}" }, old: { unmodelled: true } },
  main: (run) => {
    run.state.set("text", run.input("text"));
    run.info(`main ${run.input("text")} ${run.env["STEP"] ?? "-"}`);
    run.setOutput("said", run.input("text"));
    run.exportVariable("WITNESS", run.input("text"));
    return run.input("text") === "fail"
      ? Promise.reject(new Error("It failed."))
      : Promise.resolve();
  },
  post: (run) => {
    run.info(`post ${run.state.get("text") ?? ""}`);
    return Promise.resolve();
  },
};
const standIns = { "test/witness": witness };

describe("steps of a job", () => {
  it("run in order, with environment, outputs and search path of the steps before", async () => {
    const { report, log } = await runSteps(
      [
        {
          id: "first",
          run: [
            'echo "digest=sha256:1" >>"$GITHUB_OUTPUT"',
            'printf "LATER<<E\\ntwo\\nlines\\nE\\n" >>"$GITHUB_ENV"',
            'mkdir bin; printf "#!/bin/sh\\necho tool ran" >bin/tool; chmod +x bin/tool',
            'echo "$PWD/bin" >>"$GITHUB_PATH"',
            'echo "$WORKFLOW $JOB $STEP $PWD"',
          ].join("\n"),
          env: { STEP: "${{ env.JOB }}-step" },
        },
        {
          run: 'tool; echo "$LATER ${{ steps.first.outputs.digest }} ${{ steps.first.conclusion }}"',
        },
        { run: "pwd; echo shell $0 $-", "working-directory": "bin" },
      ],
      {
        env: [{ WORKFLOW: "w", JOB: "from workflow" }, { JOB: "j ${{ github.ref_name }}" }],
        outputs: {
          digest: "${{ steps.first.outputs.digest }}",
          empty: "${{ steps.first.outputs.x }}",
        },
      },
    );
    assert.equal(report.result, "succeeded", log);
    assert.deepEqual(report.outputs, { digest: "sha256:1" });
    assert.match(log, /^w j master j master-step .*\/work\/webppt\/webppt$/m);
    assert.match(log, /^tool ran\ntwo\nlines sha256:1 success$/m);
    assert.match(log, /webppt\/bin\n/);
    assert.deepEqual(
      report.steps.map(({ number, name, conclusion }) => [number, name, conclusion]),
      [
        [1, "Set up job", "success"],
        [2, `Run echo "digest=sha256:1" >>"$GITHUB_OUTPUT"`, "success"],
        [3, `Run tool; echo "$LATER sha256:1 success"`, "success"],
        [4, "Run pwd; echo shell $0 $-", "success"],
        [5, "Complete job", "success"],
      ],
    );
  });

  it("have the default environment, which nothing overwrites", async () => {
    const { log } = await runSteps(
      [
        {
          run: 'echo "$CI $GITHUB_ACTIONS $GITHUB_SHA $GITHUB_REPOSITORY $GITHUB_RUN_ATTEMPT $RUNNER_ARCH $RUNNER_OS $RUNNER_ENVIRONMENT $RUNNER_NAME [$GITHUB_TOKEN]"; cat "$GITHUB_EVENT_PATH"',
          env: { GITHUB_SHA: "other", RUNNER_ARCH: "X64" },
        },
      ],
      { processEnv: { RUNNER_FLEET_RESULT: "/nowhere" } },
    );
    assert.match(
      log,
      new RegExp(`^true true ${SHA} acme/webppt 2 ARM64 Linux self-hosted builder \\[\\]$`, "m"),
    );
    assert.match(log, /"default_branch": "master"/);
    assert.doesNotMatch(log, /nowhere/);
  });

  for (const [shell, script, result] of [
    [undefined, "false | true", "succeeded"],
    ["bash", "false | true", "failed"],
    ["bash {0}", "false\ntrue", "succeeded"],
    ["sh", "false\ntrue", "failed"],
    ["nonsense", "true", "failed"],
    ["bash -c true", "true", "failed"],
  ] as const)
    it(`run ${JSON.stringify(script)} in ${shell ?? "the default shell"}: ${result}`, async () => {
      const { report } = await runSteps([{ run: script, ...(shell && { shell }) }]);
      assert.equal(report.result, result);
    });

  it("use the job's defaults", async () => {
    const { report, log } = await runSteps([{ run: "false | true; echo no" }], {
      defaults: { run: { shell: "bash" } },
    });
    assert.equal(report.result, "failed");
    assert.match(log, /shell: \S*bash --noprofile --norc -e -o pipefail \{0\}/);
    assert.match(log, /##\[error\]Process completed with exit code 1\./);
  });

  it("are skipped after a failure, unless they ask", async () => {
    const { report, log, step } = await runSteps([
      { name: "breaks", id: "breaks", run: "exit 3" },
      { name: "skipped", run: "echo no" },
      {
        name: "cleans",
        if: "failure() && steps.breaks.outcome == 'failure'",
        run: "echo ${{ job.status }}",
      },
      { name: "always", if: "${{ always() }}", run: "echo end" },
    ]);
    assert.equal(report.result, "failed");
    assert.deepEqual(
      ["breaks", "skipped", "cleans", "always"].map((name) => step(name).conclusion),
      ["failure", "skipped", "success", "success"],
    );
    assert.match(log, /exit code 3\./);
    assert.match(log, /^failure$/m);
  });

  it("may fail where they say so", async () => {
    const { report, log, step } = await runSteps([
      {
        name: "breaks",
        id: "breaks",
        run: "exit 1",
        "continue-on-error": "${{ github.event_name == 'push' }}",
      },
      { run: "echo ${{ steps.breaks.outcome }} ${{ steps.breaks.conclusion }}" },
    ]);
    assert.equal(report.result, "succeeded");
    assert.equal(step("breaks").conclusion, "success");
    assert.match(log, /^failure success$/m);
  });

  it("fail on what GitHub does not know", async () => {
    for (const [steps, message] of [
      [[{ run: "echo ${{ unknown.x }}" }], /##\[error\]Unrecognized named-value: 'unknown'/],
      [
        [{ if: "secrets.TOKEN != ''", run: "true" }],
        /##\[error\]Unrecognized named-value: 'secrets'/,
      ],
      [[{ if: "nosuch()", run: "true" }], /##\[error\]Unrecognized function: 'nosuch'/],
      [
        [{ run: "echo broken >>$GITHUB_OUTPUT" }],
        /##\[error\]Unable to process file command 'output'/,
      ],
    ] as const) {
      const { report, log } = await runSteps([...steps]);
      assert.equal(report.result, "failed");
      assert.match(log, message);
    }
  });

  it("end when their time is over", async () => {
    const { report, log, step } = await runSteps([
      { name: "slow", run: "sleep 60", "timeout-minutes": 0.005 },
      { name: "after", if: "failure()", run: "echo went on" },
    ]);
    assert.equal(report.result, "failed");
    assert.equal(step("slow").conclusion, "failure");
    assert.match(log, /The action 'slow' has timed out after 0\.005 minutes\./);
    assert.match(log, /^went on$/m);
  });

  it("end with the job's time", async () => {
    const { report, log } = await runSteps([{ run: "sleep 60" }], { timeoutSeconds: 0.3 });
    assert.equal(report.result, "cancelled");
    assert.match(log, /##\[error\]The job has exceeded the maximum execution time of 0\.3 s\./);
  });

  it("are cancelled, except those that run in a cancelled job too", async () => {
    const cancel = new AbortController();
    const started = Date.now();
    const { report, log, step } = await runSteps(
      [
        { name: "protected", if: "always()", run: "echo ready; sleep 1; echo kept" },
        { name: "interrupted", run: "trap 'echo told; exit 1' INT; sleep 60 & wait" },
        { name: "skipped", run: "echo no" },
        { name: "cleans", if: "cancelled()", run: "echo cleaned ${{ job.status }}" },
        { name: "witness", if: "always()", uses: uses("test/witness") },
      ],
      {
        standIns,
        signal: cancel.signal,
        onLine: (line) => {
          if (line === "ready") cancel.abort(new Error("The operation was canceled."));
        },
      },
    );
    assert.equal(report.result, "cancelled");
    assert.ok(Date.now() - started < 10_000);
    assert.deepEqual(
      ["protected", "interrupted", "skipped", "cleans", "Post witness"].map(
        (name) => step(name).conclusion,
      ),
      ["success", "skipped", "skipped", "success", "success"],
    );
    assert.match(log, /^kept$/m);
    assert.match(log, /^cleaned cancelled$/m);
    assert.match(log, /^post master$/m);
  });

  it("are interrupted when the job is cancelled while they run", async () => {
    const cancel = new AbortController();
    const { report, log, step } = await runSteps(
      [{ name: "interrupted", run: "trap 'echo told; exit 1' INT; echo ready; sleep 60 & wait" }],
      {
        signal: cancel.signal,
        onLine: (line) => {
          if (line === "ready") cancel.abort(new Error("The operation was canceled."));
        },
      },
    );
    assert.equal(report.result, "cancelled");
    assert.equal(step("interrupted").conclusion, "cancelled");
    assert.match(log, /^told$/m);
    assert.match(log, /##\[error\]The operation was canceled\./);
  });

  it("leave no process behind", async () => {
    const { log } = await runSteps([{ run: "sleep 61 & echo pid=$!" }, { run: "echo next" }]);
    const pid = Number(/^pid=(\d+)$/m.exec(log)?.[1]);
    assert.match(log, new RegExp(`Terminate orphan process: pid \\(${pid}\\) \\(sleep\\)`));
    for (let tries = 0; tries < 20 && alive(pid); tries++) await pause(50);
    assert.ok(!alive(pid));
  });
});

/** A process that has ended may wait for its parent to take notice: it is a zombie then. */
function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe("output of steps", () => {
  it("is masked: secrets, the token, and what steps add", async () => {
    const { report, log } = await runSteps(
      [
        { run: `echo "::add-mask::h"'%25'"ush"; echo "h"'%'"ush"; echo added` },
        { run: "echo $A s3cret topsecret job-token h%ush", env: { A: "${{ secrets.T }}" } },
        { id: "out", run: "echo value=x-h%ush >>$GITHUB_OUTPUT" },
      ],
      {
        secrets: { T: "topsecret" },
        masks: ["s3cret"],
        outputs: {
          safe: "yes",
          shown: "${{ steps.out.outputs.value }}",
          token: "${{ github.token }}",
        },
      },
    );
    assert.match(log, /^\*\*\* \*\*\* \*\*\* \*\*\* \*\*\*$/m);
    assert.doesNotMatch(log, /s3cret|topsecret|job-token|h%ush/);
    assert.deepEqual(report.outputs, { safe: "yes" });
    assert.match(log, /##\[warning\]Skip output 'shown' since it may contain secret\./);
  });

  it("holds workflow commands", async () => {
    const { report, log } = await runSteps([
      {
        id: "step",
        run: [
          "echo ::group::Title; echo inside; echo ::endgroup::",
          "echo ::error title=x::Bad; echo ::warning::Odd; echo ::notice::Note; echo ::debug::hidden",
          "echo ::stop-commands::token; echo ::error::as it is; echo ::token::",
          "echo ::set-env name=X::y; echo ::set-output name=old::value",
        ].join("\n"),
      },
      { run: "echo [${{ steps.step.outputs.old }}] [$X]" },
    ]);
    assert.equal(report.result, "succeeded");
    for (const expected of [
      /^##\[group\]Title\ninside\n##\[endgroup\]$/m,
      /^##\[error\]Bad\n##\[warning\]Odd\n##\[notice\]Note\n::error::as it is$/m,
      /^##\[error\]The `set-env` command is disabled/m,
      /^##\[warning\]The `set-output` command is deprecated/m,
      /^\[value\] \[\]$/m,
    ])
      assert.match(log, expected);
    assert.doesNotMatch(log, /^##\[debug\]/m);
  });
});

describe("actions of a job", () => {
  it("run with inputs and their defaults; what they leave to do comes last, in reverse order", async () => {
    const { report, log, step } = await runSteps(
      [
        {
          id: "one",
          uses: uses("test/witness"),
          with: { Text: "${{ github.sha }}", nonsense: 1 },
          env: { STEP: "s" },
        },
        { name: "Two", uses: uses("test/witness") },
        { run: "echo ${{ steps.one.outputs.said }} $WITNESS" },
        { name: "three", if: "false", uses: uses("test/witness") },
        { name: "four", uses: uses("test/witness"), with: { text: "fail" } },
      ],
      { standIns },
    );
    assert.equal(report.result, "failed");
    assert.match(log, new RegExp(`^main ${SHA} s$`, "m"));
    assert.match(log, new RegExp(`^${SHA} master$`, "m"));
    assert.match(
      log,
      /##\[warning\]Unexpected input\(s\) 'nonsense', valid inputs are \['text', 'old'\]/,
    );
    assert.match(log, /##\[error\]It failed\./);
    assert.deepEqual(
      report.steps.slice(-4).map(({ name }) => name),
      ["Post four", "Post Two", `Post Run ${uses("test/witness")}`, "Complete job"],
    );
    assert.equal(step("three").conclusion, "skipped");
    assert.match(log, new RegExp(`post fail\\s+[^]*post master\\s+[^]*post ${SHA}`));
  });

  it("fail on an input that is not modelled", async () => {
    const { report, log } = await runSteps([{ uses: uses("test/witness"), with: { old: "x" } }], {
      standIns,
    });
    assert.equal(report.result, "failed");
    assert.match(log, /stand-in for test\/witness does not model the input old/);
  });

  for (const [name, message] of [
    [
      "actions/checkout@v4",
      /Unable to resolve action `actions\/checkout@v4`, unable to find version `v4`/,
    ],
    [`actions/checkout@${"0".repeat(40)}`, /unable to find version `0000/],
    ["some/where@v1", /Unable to resolve action `some\/where@v1`, repository not found/],
    ["./local", /Unable to resolve action `\.\/local`, repository not found/],
  ] as const)
    it(`do not resolve from ${name}, and no step runs`, async () => {
      const { report, log } = await runSteps([{ run: "echo ran" }, { uses: name }]);
      assert.equal(report.result, "failed");
      assert.match(log, message);
      assert.deepEqual(
        report.steps.map((step) => [step.name, step.conclusion]),
        [
          ["Set up job", "failure"],
          ["Complete job", "success"],
        ],
      );
    });

  for (const name of ["actions/attest", "sigstore/cosign-installer"])
    it(`say that ${name} cannot run here`, async () => {
      const { report, log } = await runSteps([{ uses: uses(name) }]);
      assert.equal(report.result, "failed");
      assert.match(log, /##\[error\]Not executable on the local cloud: .*which are not here/);
    });
});
