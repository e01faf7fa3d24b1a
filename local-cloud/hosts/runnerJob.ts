import { readFile } from "node:fs/promises";
import { executorBundle } from "../actions/bundle";
import type { HostedJob } from "../github/hostedRunners";
import type { JobResult, JobStep } from "../github/jobs";

/** Variable by which the executor is told where to report. */
export const RESULT_VARIABLE = "RUNNER_FLEET_RESULT";

/** How long a cancelled job has for its last steps, in milliseconds; then all of it is ended. As on GitHub. */
export const CANCEL_TIMEOUT_MS = 300_000;
const REPORT_INTERVAL_MS = 250;

let executor: Promise<string> | undefined;

/** The executor as the text of one file: made once, and again where that failed. */
export function executorText(): Promise<string> {
  executor ??= executorBundle().catch((error: unknown) => {
    executor = undefined;
    throw error;
  });
  return executor;
}

/** Folders of a job, as its steps see them. */
export interface JobFolders {
  readonly workspace: string;
  readonly temp: string;
  readonly toolCache: string;
}

/** What the executor reads from its standard input. */
export function executorInput({ message, arch }: HostedJob, folders: JobFolders): string {
  const name = message.env["RUNNER_NAME"] ?? "GitHub Actions";
  return JSON.stringify({
    message,
    runner: { name, arch, environment: "github-hosted", ...folders },
  });
}

interface Report {
  readonly result?: JobResult["result"];
  readonly outputs?: Readonly<Record<string, string>>;
  readonly steps?: readonly JobStep[];
}

/**
 * Follows the report of an executor and tells of new steps. `end` gives the result, and a report that cannot be read fails the job;
 * `stop` ends without one.
 */
export function followReport(
  file: string,
  job: Pick<HostedJob, "onLog" | "onSteps">,
): { end(exitCode: number, cancelled: boolean): Promise<JobResult>; stop(): void } {
  let told = 0;
  let last: Report = {};
  const look = async (): Promise<void> => {
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) return;
    const report = JSON.parse(text) as Report | null;
    if (report === null || typeof report !== "object") throw new Error("no JSON object");
    last = report;
    const { steps = [] } = last;
    if (steps.length > told) job.onSteps?.(steps);
    told = steps.length;
  };
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    // `end` looks again, and tells.
    looking = looking.then(look).catch(() => undefined);
  }, REPORT_INTERVAL_MS);
  return {
    stop: () => clearInterval(timer),
    end: async (exitCode, cancelled) => {
      clearInterval(timer);
      const {
        result,
        outputs = {},
        steps = [],
      } = await looking.then(look).then(
        () => last,
        (): Report => {
          job.onLog("##[error]The report of the job is unreadable, expected a JSON object.\n");
          return { ...last, result: cancelled ? "cancelled" : "failed" };
        },
      );
      return { result: result ?? resultOf(exitCode, cancelled), exitCode, outputs, steps };
    },
  };
}

/** The result of what only has an exit code. */
export function resultOf(exitCode: number, cancelled: boolean): JobResult["result"] {
  if (cancelled) return "cancelled";
  return exitCode === 0 ? "succeeded" : "failed";
}
