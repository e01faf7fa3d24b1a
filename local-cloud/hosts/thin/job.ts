import { basename } from "node:path";
import type { JobMessage } from "../../github/jobs";
import { runLocalJob } from "../localJob";
import type { Pace } from "./pace";

export interface JobEnd {
  readonly result: "succeeded" | "failed" | "cancelled";
  readonly exit_code: number;
  readonly outputs: Readonly<Record<string, string>>;
  readonly steps: readonly unknown[];
}

const LOG_INTERVAL = 250;

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
  { heartbeat }: Pace,
  killed: AbortSignal,
): Promise<JobEnd> {
  // Sent at once, it also tells GitHub that the job has reached its runner.
  let pending = `Job ${job.name} is run by a thin model of a server, on the local cloud's machine.\n`;
  let sending = Promise.resolve();
  const send = (whole: boolean): void => {
    const end = whole ? pending.length : pending.lastIndexOf("\n") + 1;
    const text = mask(pending.slice(0, end), job.masks);
    pending = pending.slice(end);
    if (text !== "") sending = sending.then(() => report.log(text)).catch(() => undefined);
  };
  send(false);

  const controller = new AbortController();
  const cancel = (reason: string): void => {
    if (controller.signal.aborted) return;
    pending += `##[error]${reason}\n`;
    controller.abort();
  };
  const timers = [
    setInterval(() => send(false), LOG_INTERVAL),
    setInterval(() => {
      report.heartbeat().then(
        (wanted) => wanted && cancel("The operation was canceled."),
        () => undefined,
      );
    }, heartbeat),
    setTimeout(
      () => cancel(`The job has exceeded the maximum execution time of ${job.timeout_seconds}s.`),
      // Node's timers hold 31 bits of milliseconds.
      Math.min(job.timeout_seconds * 1000, 2 ** 31 - 1),
    ),
  ];
  try {
    const { result, exitCode, outputs, steps } = await runLocalJob({
      work:
        job.steps === undefined
          ? { script: job.script ?? "" }
          : {
              executorInput: (folders) =>
                JSON.stringify({
                  message: job,
                  runner: {
                    name: runnerName,
                    arch: "ARM64",
                    environment: "self-hosted",
                    ...folders,
                  },
                }),
            },
      workspaceName: basename(job.repository),
      env: job.env,
      onLog: (text) => (pending += text),
      cancel: controller.signal,
      kill: killed,
    });
    if (result === "failed" && job.steps === undefined)
      pending += `##[error]Process completed with exit code ${exitCode}.\n`;
    send(true);
    await sending;
    return { result, exit_code: exitCode, outputs, steps };
  } finally {
    timers.forEach(clearInterval);
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
