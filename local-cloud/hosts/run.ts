import { spawn } from "node:child_process";
import { endWhenInterrupted, ownGroup } from "../core/interruption";
import type { ExecResult } from "./types";

export interface RunOptions {
  readonly stdin?: string | Buffer;
  /** Milliseconds; default 60 s. The command is killed then. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program without a shell and captures its output, whatever its exit code; a program that is missing is an error. */
export function capture(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env,
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
      detached: ownGroup(),
    });
    endWhenInterrupted(child);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // A program that ends without reading its input closes the pipe: its exit code tells enough.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "ENOENT"
          ? new Error(`the program ${program} is not installed`)
          : new Error(`${program} cannot be run: ${error.message}`),
      );
    });
    child.on("close", (code, signal) => {
      if (signal !== null) {
        reject(new Error(`${program} ${args[0] ?? ""} was ended by ${signal}`));
        return;
      }
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** As `capture`, but an exit code other than 0 is an error that carries the last lines the program wrote. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const result = await capture(program, args, options);
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-3).join("; ");
    throw new Error(
      `${program} ${args.slice(0, 3).join(" ")} failed with code ${result.code}: ${said}`,
    );
  }
  return result.stdout;
}

/** Removes a folder, but never what another file system has mounted in it: a mount left there may be the machine's own /dev. */
export async function removeFolder(path: string): Promise<void> {
  await run("rm", ["-rf", "--one-file-system", "--", path], {
    timeoutMs: 5 * 60_000,
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls until `condition` holds; false when the time is up. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  intervalMs = 20,
): Promise<boolean> {
  for (const end = Date.now() + timeoutMs; Date.now() < end; await sleep(intervalMs)) {
    if (await condition()) return true;
  }
  return condition();
}

/** Lets at most `limit` tasks run at once; the others wait their turn. */
export function limiter(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
