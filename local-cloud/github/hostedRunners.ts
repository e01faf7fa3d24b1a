import { runHosted } from "./hosted";
import type { JobMessage, JobResult, JobStep } from "./jobs";

/** One job for a machine of GitHub's. */
export interface HostedJob {
  readonly arch: "X64" | "ARM64";
  readonly message: JobMessage;
  /** The label that asked for the machine, such as `ubuntu-24.04`. */
  readonly label: string;
  /** The job's log as it comes. */
  readonly onLog: (text: string) => void;
  /** The steps as far as they have come. */
  readonly onSteps?: (steps: readonly JobStep[]) => void;
}

/** What runs the jobs of GitHub-hosted runners: a machine for each, thrown away after it. */
export interface HostedRunners {
  /** `done` rejects only when the machine itself failed. `stop` cancels, as GitHub does. */
  start(job: HostedJob): { readonly done: Promise<JobResult>; stop(): void };
  /** Throws away what is left. */
  close(): Promise<void>;
}

/** Room for the queue to end the job first when its time is up, and to say so. */
const graceMs = 60_000;

/** Runs jobs that are one script as processes of this machine. It has no program for steps: such jobs fail. */
export function scriptRunners(): HostedRunners {
  return {
    start: ({ message, onLog }) => {
      const { script } = message;
      if (script === undefined) {
        onLog("##[error]This hosted runner runs scripts only, no steps.\n");
        const done = Promise.resolve({
          result: "failed",
          exitCode: 1,
          outputs: {},
          steps: [],
        } as const);
        return { done, stop: () => undefined };
      }
      const running = runHosted({
        script,
        env: message.env,
        timeoutMs: message.timeout_seconds * 1000 + graceMs,
        onLog,
      });
      const done = running.done.then((ending): JobResult => {
        const nothing = { outputs: {}, steps: [] };
        if ("stopped" in ending) return { result: "cancelled", exitCode: 130, ...nothing };
        const { exitCode } = ending;
        return { result: exitCode === 0 ? "succeeded" : "failed", exitCode, ...nothing };
      });
      return { done, stop: () => running.stop() };
    },
    close: () => Promise.resolve(),
  };
}
