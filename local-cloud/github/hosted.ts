import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

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
  let stop: (reason: "timeout" | "cancelled") => void = () => undefined;
  let stopped: "timeout" | "cancelled" | undefined;
  const request = (reason: "timeout" | "cancelled"): void => {
    stopped ??= reason;
    stop(stopped);
  };
  const run = async (): Promise<Ending> => {
    const root = await mkdtemp(join(tmpdir(), "local-cloud-job-"));
    try {
      const [workspace, temp, home] = ["work", "temp", "home"].map((name) => join(root, name)) as [
        string,
        string,
        string,
      ];
      for (const folder of [workspace, temp, home]) await mkdir(folder);
      const file = join(temp, "script.sh");
      await writeFile(file, options.script);
      if (stopped !== undefined) return { stopped };
      const child = spawn("bash", ["--noprofile", "--norc", "-eo", "pipefail", file], {
        cwd: workspace,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
          LANG: "C.UTF-8",
          HOME: home,
          RUNNER_TEMP: temp,
          GITHUB_WORKSPACE: workspace,
          ...options.env,
        },
      });
      const signal = (name: NodeJS.Signals): void => {
        if (child.pid === undefined) return;
        try {
          process.kill(-child.pid, name);
        } catch {
          // The group is gone already.
        }
      };
      const timers: NodeJS.Timeout[] = [];
      stop = () => {
        signal("SIGTERM");
        timers.push(setTimeout(() => signal("SIGKILL"), 2000));
      };
      timers.push(setTimeout(() => request("timeout"), options.timeoutMs));
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8");
        stream.on("data", options.onLog);
      }
      const exitCode = await new Promise<number>((resolve, reject) => {
        let code = 1;
        child.once("error", reject);
        child.once("exit", (status) => {
          code = status ?? 1;
          signal("SIGKILL");
        });
        child.once("close", () => resolve(code));
      }).finally(() => timers.forEach(clearTimeout));
      return stopped === undefined ? { exitCode } : { stopped };
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  };
  return { done: run(), stop: () => request("cancelled") };
}
