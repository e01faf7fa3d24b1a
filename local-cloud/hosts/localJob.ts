import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { HostedJob } from "../github/hostedRunners";
import type { JobResult } from "../github/jobs";
import {
  CANCEL_TIMEOUT_MS,
  executorText,
  followReport,
  RESULT_VARIABLE,
  resultOf,
  type JobFolders,
} from "./runnerJob";

/** How long a cancelled script has to end by itself, in milliseconds: after SIGINT, then after SIGTERM, as on GitHub's runner. */
const INTERRUPT_GRACE_MS = 7500;
const TERMINATE_GRACE_MS = 2500;
/** What is left in the background may hold the output open: not for ever. */
const OUTPUT_GRACE_MS = 2000;
/** How often a job's processes are looked for, at most. */
const KILL_ROUNDS = 10;
/** Variable by which the processes of a job are known. */
const MARK = "RUNNER_FLEET_JOB";

export interface LocalJob {
  /** A script of bash, or what the executor reads from its standard input. */
  readonly work:
    { readonly script: string } | { readonly executorInput: (folders: JobFolders) => string };
  /** Name of the folder that the job begins in. Default: `work`. */
  readonly workspaceName?: string;
  /** Environment besides the folders'. It replaces this process's own, which may hold credentials. */
  readonly env?: Readonly<Record<string, string>>;
  /** The job's log as it comes. */
  readonly onLog: (text: string) => void;
  readonly onSteps?: HostedJob["onSteps"];
  /** Cancels: a script is told to end; steps have `CANCEL_TIMEOUT_MS` for what they do in the end. */
  readonly cancel: AbortSignal;
  /** Ends all of it at once, and the promise rejects. */
  readonly kill?: AbortSignal;
}

/**
 * Runs a job on this machine, in empty folders that go with it, as does every process that it leaves behind. Rejects when it cannot
 * be run, or is killed.
 */
export async function runLocalJob(job: LocalJob): Promise<JobResult> {
  const { work, workspaceName = "work", onLog, cancel, kill } = job;
  const root = await mkdtemp(join(tmpdir(), "local-cloud-job-"));
  const timers: NodeJS.Timeout[] = [];
  const listeners = new AbortController();
  const resultFile = join(root, "result.json");
  const report = "script" in work ? undefined : followReport(resultFile, job);
  try {
    const folders = {
      workspace: join(root, "_work", workspaceName, workspaceName),
      temp: join(root, "_work", "_temp"),
      toolCache: join(root, "_work", "_tool"),
    };
    const home = join(root, "home");
    for (const folder of [...Object.values(folders), home])
      await mkdir(folder, { recursive: true });
    const file = join(root, "script" in work ? "script.sh" : "executor.cjs");
    await writeFile(file, "script" in work ? work.script : await executorText(), { mode: 0o600 });
    kill?.throwIfAborted();
    if (cancel.aborted) return { result: "cancelled", exitCode: 130, outputs: {}, steps: [] };
    const [program, ...args] =
      "script" in work
        ? ["bash", "--noprofile", "--norc", "-eo", "pipefail", file]
        : [process.execPath, file];
    const child = spawn(program, args, {
      cwd: folders.workspace,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
        LANG: "C.UTF-8",
        HOME: home,
        RUNNER_TEMP: folders.temp,
        RUNNER_WORKSPACE: dirname(folders.workspace),
        GITHUB_WORKSPACE: folders.workspace,
        [MARK]: root,
        ...(report !== undefined && { [RESULT_VARIABLE]: resultFile }),
        ...job.env,
      },
    });
    const endAll = (): void => killJob(child.pid, `${MARK}=${root}`);
    const stop = (): void => {
      // Only the executor is told; it ends its steps in order.
      if ("executorInput" in work) {
        child.kill("SIGINT");
        timers.push(setTimeout(endAll, CANCEL_TIMEOUT_MS));
        return;
      }
      signalGroup(child.pid, "SIGINT");
      timers.push(
        setTimeout(() => signalGroup(child.pid, "SIGTERM"), INTERRUPT_GRACE_MS),
        setTimeout(endAll, INTERRUPT_GRACE_MS + TERMINATE_GRACE_MS),
      );
    };
    cancel.addEventListener("abort", stop, { signal: listeners.signal });
    kill?.addEventListener("abort", endAll, { signal: listeners.signal });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", onLog);
    }
    // One that ends without reading its input closes the pipe: its exit code tells enough.
    child.stdin.on("error", () => undefined);
    child.stdin.end("script" in work ? "" : work.executorInput(folders));
    const exitCode = await new Promise<number>((resolve, reject) => {
      let code = 1;
      child.once("error", reject);
      child.once("exit", (status) => {
        code = status ?? 1;
        endAll();
        timers.push(
          setTimeout(() => {
            child.stdout.destroy();
            child.stderr.destroy();
          }, OUTPUT_GRACE_MS),
        );
      });
      child.once("close", () => resolve(code));
    });
    kill?.throwIfAborted();
    if (report !== undefined) return await report.end(exitCode, cancel.aborted);
    return { result: resultOf(exitCode, cancel.aborted), exitCode, outputs: {}, steps: [] };
  } finally {
    report?.stop();
    listeners.abort();
    timers.forEach(clearTimeout);
    await rm(root, { recursive: true, force: true });
  }
}

/**
 * Kills a job's processes, whatever groups they have made: those that have its mark in their environment, what they have started,
 * and the group of the job's first process.
 */
function killJob(first: number | undefined, mark: string): void {
  // What starts while the others are counted is found the next time.
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const found = processesOf(mark);
    for (const pid of found) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended meanwhile.
      }
    }
    if (found.length === 0) break;
  }
  signalGroup(first, "SIGKILL");
}

/** None where there is no Linux to ask. */
function processesOf(mark: string): number[] {
  if (!existsSync("/proc/self/environ")) return [];
  const marked = Buffer.from(`${mark}\0`);
  const found = new Set<number>();
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const pid = Number(entry);
    try {
      // After the name, which may hold anything: state, parent.
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z") continue;
      children.set(Number(parent), [...(children.get(Number(parent)) ?? []), pid]);
      if (readFileSync(`/proc/${pid}/environ`).includes(marked)) found.add(pid);
    } catch {
      // It has ended meanwhile, or its environment is another user's.
    }
  }
  // A set gives what is added while it is walked through.
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

function signalGroup(leader: number | undefined, signal: NodeJS.Signals): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, signal);
  } catch {
    // All of it has ended already.
  }
}
