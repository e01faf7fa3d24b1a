import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { sleep, until } from "../../local-cloud/hosts/run";

/** A program that keeps running beside the benchmark. */
export class Daemon {
  private ended = false;

  private constructor(
    private readonly name: string,
    private readonly child: ChildProcess,
  ) {
    child.once("exit", () => (this.ended = true));
    child.once("error", () => (this.ended = true));
  }

  /**
   * Starts a program and waits until it is ready.
   * @throws Error with the last lines of its log when it ends, or is not ready after 30 s.
   */
  static async start(
    program: string,
    args: readonly string[],
    options: {
      readonly name: string;
      readonly log: string;
      readonly env?: NodeJS.ProcessEnv;
      readonly ready: () => Promise<boolean>;
    },
  ): Promise<Daemon> {
    const log = openSync(options.log, "a");
    // In a process group of its own: Ctrl-C at a terminal must not end it before what uses it.
    const child = spawn(program, args, {
      detached: true,
      env: options.env,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const daemon = new Daemon(options.name, child);
    const ready = await until(async () => daemon.ended || (await options.ready()), 30_000, 50);
    if (!ready || daemon.ended) {
      await daemon.stop();
      const said = (await readFile(options.log, "utf8")).trim().split("\n").slice(-3).join("; ");
      throw new Error(`${options.name} did not start: ${said || "it wrote nothing"}`);
    }
    return daemon;
  }

  /** Asks the program to end, and ends it after 10 s. */
  async stop(): Promise<void> {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      if (this.ended || this.child.pid === undefined) return;
      this.child.kill(signal);
      for (let tick = 0; tick < 200 && !this.ended; tick++) await sleep(50);
    }
    if (!this.ended) throw new Error(`${this.name} (process ${this.child.pid}) did not end.`);
  }
}
