import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type CanaryEnvironment, readCanary, RUN_CANARY } from "../../../components/canary/command";
import { canaryFile, canaryPath } from "../../../components/canary/path";
import { type CanaryPace, runCanary } from "../../../components/canary/runCanary";
import { renderCanary } from "../../../components/canary/workflow";
import { HostApis } from "../host/apis";

const HOST = "dev-arm64-2-1";
const REPOSITORY = "acme/webppt";
const PACE: CanaryPace = { poll: 0.05, appears: 1 };
const CONSEQUENCE = "no host goes, and the next run tries again";
const CANARY_FILE = canaryFile("dev");
const CANARY_PATH = canaryPath("dev");
const CONTENT = renderCanary({ project: "runner-fleet", stack: "dev" }, "Default");

describe("runCanary", () => {
  let apis: HostApis;
  beforeEach(async () => {
    apis = await HostApis.open();
  });
  afterEach(() => apis.close());

  const webppt = () => apis.githubSide.repository(REPOSITORY);
  const commit = (content = CONTENT) =>
    webppt().push({ [CANARY_PATH]: content }, { message: "canary [skip ci]" });
  const run = (seconds = 20, change: Partial<Parameters<typeof runCanary>[0]> = {}) =>
    runCanary(
      {
        host: HOST,
        github: apis.github,
        repository: REPOSITORY,
        workflow: CANARY_FILE,
        branch: "master",
        ...change,
      },
      seconds,
      PACE,
    );
  const runs = () => apis.githubSide.runs.list(REPOSITORY);
  const started = async () => {
    for (let tries = 0; runs().length === 0 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return runs()[0]!;
  };
  /** The runner of the host that takes the job; it ends it as told. */
  const host = async (result: "succeeded" | "failed") => {
    const runner = await apis.addRunner(`${HOST}-1-abc123`, ["self-hosted", HOST]);
    return runner.workOnce(result);
  };

  it("starts the workflow with the host's name, and ends with the address of its run", async () => {
    commit();
    const worked = host("succeeded");
    const address = await run();
    await worked;
    const [only, ...others] = runs();
    assert.deepEqual(others, []);
    assert.equal(address, `https://github.com/${REPOSITORY}/actions/runs/${only!.id}`);
    assert.match(only!.displayTitle, /^Canary of dev-arm64-2-1 \([0-9a-f-]{36}\)$/);
    assert.deepEqual(only!.jobs[0]!.labels, ["self-hosted", HOST]);
    assert.equal(only!.event, "workflow_dispatch");
  });

  it("has the job done by its own stack's host, where two stacks have hosts of one name", async () => {
    const stacks = await Promise.all(
      ["dev", "prod"].map(async (stack) => {
        const group = await apis.addRunnerGroup(`arm64-${stack}`);
        const name = `${HOST}-1-${stack}`;
        const runner = await apis.addRunner(name, ["self-hosted", HOST], group);
        const content = renderCanary({ project: "runner-fleet", stack }, `arm64-${stack}`);
        return { file: canaryFile(stack), path: canaryPath(stack), name, runner, content };
      }),
    );
    const files = Object.fromEntries(stacks.map(({ path, content }) => [path, content]));
    webppt().push(files, { message: "canaries [skip ci]" });
    const running = stacks.map(({ file }) => run(20, { workflow: file }));
    for (let tries = 0; runs().length < 2 && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Both wait, and neither has cancelled the other; the one whose runner comes first leaves the other's job alone.
    const worked = [...stacks].reverse().map(({ runner }) => runner.workOnce("succeeded"));
    await Promise.all([...running, ...worked]);
    assert.deepEqual(
      runs()
        .map(({ path, conclusion, jobs }) => [path, conclusion, jobs[0]!.runner])
        .sort(),
      stacks.map(({ path, name }) => [path, "success", name]),
    );
  });

  it("tells where to look when the job fails", async () => {
    commit();
    const worked = host("failed");
    await assert.rejects(run(), (error: Error) => {
      const { id } = runs()[0]!;
      assert.equal(
        error.message,
        `${HOST}: its canary ended with failure, expected success; ${CONSEQUENCE}: https://github.com/${REPOSITORY}/actions/runs/${id}`,
      );
      return true;
    });
    await worked;
  });

  it("gives up a job that nobody takes, and takes it out of the queue", async () => {
    commit();
    await assert.rejects(run(0.5), (error: Error) => {
      const { id } = runs()[0]!;
      assert.equal(
        error.message,
        `${HOST}: its canary is still queued after 0.5 s, expected one that succeeds; ${CONSEQUENCE}: https://github.com/${REPOSITORY}/actions/runs/${id}`,
      );
      return true;
    });
    const { status, conclusion } = runs()[0]!;
    assert.deepEqual([status, conclusion], ["completed", "cancelled"]);
  });

  it("waits until GitHub knows a file that has just been committed", async () => {
    const running = run();
    await new Promise((resolve) => setTimeout(resolve, 200));
    commit();
    await started();
    const worked = host("succeeded");
    await Promise.all([running, worked]);
  });

  for (const [claim, content, reason] of [
    ["a file that is not there", undefined, "Not Found"],
    [
      "a file that cannot be started by hand",
      "name: Other\non: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: 'true'\n",
      "Workflow does not have 'workflow_dispatch' trigger",
    ],
  ] as const) {
    it(`tells of ${claim}`, async () => {
      if (content !== undefined) commit(content);
      await assert.rejects(run(), {
        message: `GitHub does not start ${CANARY_FILE} in ${REPOSITORY} for ${HOST}: ${reason}.`,
      });
      assert.deepEqual(runs(), []);
    });
  }

  it("starts one run although GitHub fails once", async () => {
    commit();
    apis.traffic.addFault({
      side: "github",
      method: "POST",
      path: /\/dispatches$/,
      effect: { kind: "respond", status: 502, body: {} },
    });
    const worked = host("succeeded");
    await run();
    await worked;
    assert.equal(runs().length, 1);
  });

  it("fails with the sentence and the exit code of a command, and shows no token", async () => {
    const environment: CanaryEnvironment = {
      HOST,
      GITHUB_API: apis.github.baseUrl,
      GITHUB_TOKEN: "canary-token",
      CANARY_REPOSITORY: REPOSITORY,
      CANARY_WORKFLOW: CANARY_FILE,
      CANARY_BRANCH: "master",
      TIMEOUT_SECONDS: "5",
    };
    assert.deepEqual(readCanary(environment).timeoutSeconds, 5);
    const [program, ...args] = RUN_CANARY.split(" ");
    const { code, output } = await new Promise<{ code: number | null; output: string }>(
      (resolve) => {
        const child = spawn(program!, args, { env: { PATH: process.env.PATH, ...environment } });
        let output = "";
        for (const stream of [child.stdout, child.stderr]) {
          stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
        }
        child.once("close", (code) => resolve({ code, output }));
      },
    );
    assert.equal(
      output,
      `GitHub answered 401 to POST /repos/${REPOSITORY}/actions/workflows/${CANARY_FILE}/dispatches.\n`,
    );
    assert.equal(code, 1);
  });

  it("says which variable is missing", () => {
    assert.throws(() => readCanary({ HOST }), {
      message: "GITHUB_API: found nothing in the environment.",
    });
  });
});
