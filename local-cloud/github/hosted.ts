import { runLocalJob } from "../hosts/localJob";

/** How a script ended: its exit code, or the reason it was stopped for. */
export type Ending = { readonly exitCode: number } | { readonly stopped: "timeout" | "cancelled" };

export interface Running {
  readonly done: Promise<Ending>;
  stop(): void;
}

/** Labels of GitHub's Linux runners, each with its architecture. */
export const hostedLabels: ReadonlyMap<string, "X64" | "ARM64"> = new Map([
  ["ubuntu-latest", "X64"],
  ["ubuntu-slim", "X64"],
  ["ubuntu-22.04", "X64"],
  ["ubuntu-24.04", "X64"],
  ["ubuntu-22.04-arm", "ARM64"],
  ["ubuntu-24.04-arm", "ARM64"],
]);

/** Runs a script as a hosted runner would: in bash, in an empty folder of its own, which goes with it, as does every process it leaves behind. */
export function runHosted(options: {
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly onLog: (text: string) => void;
}): Running {
  const { script, env, timeoutMs, onLog } = options;
  const cancel = new AbortController();
  let stopped: "timeout" | "cancelled" | undefined;
  const stop = (reason: "timeout" | "cancelled"): void => {
    stopped ??= reason;
    cancel.abort();
  };
  const timer = setTimeout(() => stop("timeout"), timeoutMs);
  const done = runLocalJob({ work: { script }, env, onLog, cancel: cancel.signal })
    .then(({ exitCode }): Ending => (stopped === undefined ? { exitCode } : { stopped }))
    .finally(() => clearTimeout(timer));
  return { done, stop: () => stop("cancelled") };
}
