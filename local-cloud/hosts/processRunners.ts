import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executorBundle } from "../actions/bundle";
import { scriptRunners, type HostedJob, type HostedRunners } from "../github/hostedRunners";
import type { JobResult } from "../github/jobs";
import { CANCEL_TIMEOUT_MS, executorInput, followReport, RESULT_VARIABLE } from "./runnerJob";

/**
 * GitHub's hosted runners as processes of this machine, each job in a folder of its own, which goes with it. What a job
 * finds is what this machine has.
 */
export function createProcessRunners(): HostedRunners {
  const scripts = scriptRunners();
  const running = new Set<Promise<unknown>>();
  const stops = new Set<() => void>();
  let executor: Promise<string> | undefined;
  return {
    start: (job) => {
      if (job.message.steps === undefined) return scripts.start(job);
      executor ??= executorBundle();
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      const done = runSteps(job, executor, controller.signal);
      const ended = done
        .catch(() => undefined)
        .finally(() => {
          running.delete(ended);
          stops.delete(stop);
        });
      running.add(ended);
      stops.add(stop);
      return { done, stop };
    },
    close: async () => {
      for (const stop of stops) stop();
      await Promise.all([...running, scripts.close()]);
    },
  };
}

async function runSteps(
  job: HostedJob,
  executor: Promise<string>,
  cancel: AbortSignal,
): Promise<JobResult> {
  const root = await mkdtemp(join(tmpdir(), "local-cloud-job-"));
  try {
    const folders = {
      workspace: join(root, "work"),
      temp: join(root, "temp"),
      toolCache: join(root, "tools"),
    };
    const home = join(root, "home");
    for (const folder of [...Object.values(folders), home]) await mkdir(folder);
    const [file, result] = [join(root, "executor.cjs"), join(root, "result.json")];
    await writeFile(file, await executor);
    const report = followReport(result, job);
    const child = spawn(process.execPath, [file], {
      cwd: folders.workspace,
      // A group of its own, for all that it leaves behind.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
        LANG: "C.UTF-8",
        HOME: home,
        [RESULT_VARIABLE]: result,
      },
    });
    const timers: NodeJS.Timeout[] = [];
    const endAll = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // All of it has ended already.
      }
    };
    const stop = (): void => {
      child.kill("SIGINT");
      timers.push(setTimeout(endAll, CANCEL_TIMEOUT_MS));
    };
    if (cancel.aborted) stop();
    else cancel.addEventListener("abort", stop, { once: true });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => job.onLog(text));
    }
    // One that ends without reading its input closes the pipe: its exit code tells enough.
    child.stdin.on("error", () => undefined);
    child.stdin.end(executorInput(job, folders));
    const exitCode = await new Promise<number>((resolve, reject) => {
      let code = 1;
      child.once("error", reject);
      child.once("exit", (status) => {
        code = status ?? 1;
        endAll();
      });
      child.once("close", () => resolve(code));
    }).finally(() => timers.forEach(clearTimeout));
    return await report.end(exitCode, cancel.aborted);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
