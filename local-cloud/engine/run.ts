import { spawn } from "node:child_process";
import { setPriority } from "node:os";
import { endWhenInterrupted, ownGroup } from "../core/interruption";

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** What the program reads on standard input; default: nothing. */
  input?: string;
  /** Milliseconds until the program is ended; no limit if absent. */
  timeout?: number;
  /** Sends SIGINT when it fires, as Ctrl-C does. */
  interrupt?: AbortSignal;
  /** Leaves the processor to others, for long work. */
  nice?: boolean;
}

/** How a program ended. `code` is undefined if it could not be started or was ended by a signal. */
export interface RunResult {
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Below every interactive process, above idle work. */
const NICENESS = 5;

/** Runs a program to its end and collects what it prints. Rejects only when the work was interrupted. */
export function run(program: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      timeout: options.timeout,
      stdio: ["pipe", "pipe", "pipe"],
      detached: ownGroup(),
    });
    endWhenInterrupted(child);
    options.interrupt?.addEventListener("abort", () => child.kill("SIGINT"), { once: true });
    // A program that ends without reading its input is no error.
    child.stdin.on("error", () => undefined).end(options.input);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", (error) => resolve({ code: undefined, stdout, stderr: error.message }));
    child.on("close", (code) => resolve({ code: code ?? undefined, stdout, stderr }));
    if (options.nice && child.pid) {
      try {
        setPriority(child.pid, NICENESS);
      } catch {
        // It has ended already, which "close" tells.
      }
    }
  });
}

/** The last lines of a program's error output, as one line. */
export function lastWords({ stderr }: RunResult, lines = 3): string {
  return stderr.trim().split("\n").slice(-lines).join(" | ");
}
