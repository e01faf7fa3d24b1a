import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { executorBundle } from "../../actions/bundle";
import type { JobMessage } from "../../github/jobs";
import { followReport, RESULT_VARIABLE } from "../runnerJob";

export interface JobEnd {
  readonly result: "succeeded" | "failed" | "cancelled";
  readonly exit_code: number;
  readonly outputs?: Readonly<Record<string, string>>;
  readonly steps?: readonly unknown[];
}

const LOG_INTERVAL = 250;
const HEARTBEAT_INTERVAL = 2000;
/** How long a cancelled step has to end by itself: after SIGINT, then after SIGTERM, as on GitHub's runner. */
const GRACE = { SIGINT: 7500, SIGTERM: 2500 };

/**
 * Runs a job's script, or its steps, on this machine, in an empty folder that goes with it, and reports log and heartbeat. When
 * `killed` fires, all of its processes end at once and nothing more is reported.
 */
export async function runJob(
  job: JobMessage,
  runnerName: string,
  report: {
    log(text: string): Promise<void>;
    /** Whether the job is to be cancelled. */
    heartbeat(): Promise<boolean>;
  },
  killed: AbortSignal,
): Promise<JobEnd> {
  const root = await mkdtemp(join(tmpdir(), "runner-fleet-job-"));
  const name = basename(job.repository);
  const [workspace, temp, home] = [join(root, name, name), join(root, "_temp"), join(root, "home")];
  const timers: NodeJS.Timeout[] = [];
  const result = join(root, "result.json");
  const followed = job.steps === undefined ? undefined : followReport(result);
  try {
    for (const folder of [workspace, temp, home]) await mkdir(folder, { recursive: true });
    const [script, executor] = [join(temp, "step.sh"), join(root, "executor.cjs")];
    if (job.steps === undefined) await writeFile(script, job.script ?? "", { mode: 0o600 });
    else await writeFile(executor, await executorBundle());
    killed.throwIfAborted();
    const [program, ...args] =
      job.steps === undefined
        ? ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
        : [process.execPath, executor];
    const child = spawn(program, args, {
      cwd: workspace,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      // Not this process's own environment, which may hold credentials of whoever runs the local cloud.
      env: {
        PATH: process.env.PATH,
        LANG: "C.UTF-8",
        HOME: home,
        RUNNER_TEMP: temp,
        RUNNER_WORKSPACE: join(root, name),
        GITHUB_WORKSPACE: workspace,
        [RESULT_VARIABLE]: result,
        ...job.env,
      },
    });
    // A script gets no input, and one that ends early closes the pipe.
    child.stdin.on("error", () => undefined);
    child.stdin.end(
      job.steps === undefined
        ? ""
        : JSON.stringify({
            message: job,
            runner: {
              name: runnerName,
              arch: "ARM64",
              environment: "self-hosted",
              workspace,
              temp,
              toolCache: join(root, "_tool"),
            },
          }),
    );
    const signal = (which: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, which);
      } catch {
        // The group is gone already.
      }
    };
    killed.addEventListener("abort", () => signal("SIGKILL"));

    // Sent at once, it also tells GitHub that the job has reached its runner.
    let pending = `Job ${job.name} is run by a thin model of a server, on the local cloud's machine.\n`;
    let sending = Promise.resolve();
    const send = (whole: boolean): void => {
      const end = whole ? pending.length : pending.lastIndexOf("\n") + 1;
      const text = mask(pending.slice(0, end), job.masks);
      pending = pending.slice(end);
      if (text !== "") sending = sending.then(() => report.log(text)).catch(() => undefined);
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => (pending += text));
    }
    send(false);

    let cancelled = false;
    const cancel = (reason: string): void => {
      if (cancelled) return;
      cancelled = true;
      pending += `##[error]${reason}\n`;
      signal("SIGINT");
      timers.push(setTimeout(() => signal("SIGTERM"), GRACE.SIGINT));
      timers.push(setTimeout(() => signal("SIGKILL"), GRACE.SIGINT + GRACE.SIGTERM));
    };
    timers.push(
      setInterval(() => send(false), LOG_INTERVAL),
      setInterval(() => {
        report.heartbeat().then(
          (wanted) => wanted && cancel("The operation was canceled."),
          () => undefined,
        );
      }, HEARTBEAT_INTERVAL),
      setTimeout(
        () => cancel(`The job has exceeded the maximum execution time of ${job.timeout_seconds}s.`),
        // Node's timers hold 31 bits of milliseconds.
        Math.min(job.timeout_seconds * 1000, 2 ** 31 - 1),
      ),
    );
    const code = await new Promise<number>((resolve, reject) => {
      let status = 1;
      child.once("error", reject);
      child.once("exit", (exit) => {
        status = exit ?? 1;
        signal("SIGKILL");
        // A process that left the group may hold the output open: not for ever.
        timers.push(
          setTimeout(() => [child.stdout, child.stderr].forEach((one) => one.destroy()), 2000),
        );
      });
      child.once("close", () => resolve(status));
    });
    killed.throwIfAborted();
    if (code !== 0 && !cancelled && followed === undefined)
      pending += `##[error]Process completed with exit code ${code}.\n`;
    send(true);
    await sending;
    if (followed !== undefined) {
      const { exitCode, ...end } = await followed.end(code, cancelled);
      return { ...end, exit_code: exitCode };
    }
    return {
      result: cancelled ? "cancelled" : code === 0 ? "succeeded" : "failed",
      exit_code: code,
    };
  } finally {
    followed?.stop();
    for (const timer of timers) clearTimeout(timer);
    await rm(root, { recursive: true, force: true });
  }
}

/** Each line of a secret counts as a secret of its own; longer ones go first, so that one inside another leaves no rest. */
function mask(text: string, secrets: readonly string[]): string {
  return secrets
    .flatMap((secret) => secret.split("\n").map((line) => line.trim()))
    .filter((line) => line !== "")
    .sort((a, b) => b.length - a.length)
    .reduce((masked, line) => masked.replaceAll(line, "***"), text);
}
