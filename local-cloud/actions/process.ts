import { spawn } from "node:child_process";
import { accessSync, constants, readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import { StringDecoder } from "node:string_decoder";

/** How long a cancelled program has to end by itself: after SIGINT, then after SIGTERM, as on GitHub's runner. */
const INTERRUPT_GRACE_MS = 7500;
const TERMINATE_GRACE_MS = 2500;
/** What a program leaves in the background may hold its output open: not for ever. */
const OUTPUT_GRACE_MS = 2000;

export interface ExecOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Given on stdin, which is empty otherwise. */
  readonly input?: string;
  readonly onLine: (line: string) => void;
  /** Ends the program and all of its process group. */
  readonly signal: AbortSignal;
}

export interface ExecResult {
  /** 128 and the signal's number where a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Rejects where it cannot be started. */
export function exec(
  file: string,
  args: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    // A program that reads no stdin closes it early; its exit code tells whether that was right.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);

    const timers: NodeJS.Timeout[] = [];
    const kill = (signal: NodeJS.Signals): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, signal);
      } catch {
        // The group is gone already.
      }
    };
    const stop = (): void => {
      kill("SIGINT");
      timers.push(
        setTimeout(() => kill("SIGTERM"), INTERRUPT_GRACE_MS),
        setTimeout(() => kill("SIGKILL"), INTERRUPT_GRACE_MS + TERMINATE_GRACE_MS),
      );
    };
    if (options.signal.aborted) stop();
    else options.signal.addEventListener("abort", stop, { once: true });

    const stdout = collect(child.stdout, options.onLine);
    const stderr = collect(child.stderr, options.onLine);
    const settle = (): void => {
      timers.forEach(clearTimeout);
      options.signal.removeEventListener("abort", stop);
    };
    child.once("error", (error) => {
      settle();
      reject(error);
    });
    child.once("exit", (_code, signal) => {
      if (signal !== null || options.signal.aborted) kill("SIGKILL");
      timers.push(
        setTimeout(() => {
          child.stdout?.destroy();
          child.stderr?.destroy();
        }, OUTPUT_GRACE_MS),
      );
    });
    child.once("close", (code, signal) => {
      settle();
      resolve({
        code: code ?? 128 + (signal === "SIGINT" ? 2 : signal === "SIGTERM" ? 15 : 9),
        stdout: stdout(),
        stderr: stderr(),
      });
    });
  });
}

/** Hands lines on as they are complete; the result gives all of the text, after the last line without an end. */
function collect(
  stream: NodeJS.ReadableStream | null,
  onLine: (line: string) => void,
): () => string {
  const decoder = new StringDecoder("utf8");
  let text = "";
  let handed = 0;
  const handOn = (): void => {
    for (let end = text.indexOf("\n", handed); end >= 0; end = text.indexOf("\n", handed)) {
      onLine(text.slice(handed, end).replace(/\r$/, ""));
      handed = end + 1;
    }
  };
  stream?.on("data", (chunk: Buffer) => {
    text += decoder.write(chunk);
    handOn();
  });
  return () => {
    text += decoder.end();
    handOn();
    if (handed < text.length) onLine(text.slice(handed));
    handed = text.length;
    return text;
  };
}

/** Path of a program by the search path. */
export function which(name: string, searchPath: string): string | undefined {
  const candidates = name.includes("/")
    ? [name]
    : searchPath.split(delimiter).map((folder) => join(folder, name));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return isAbsolute(file) && statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** Ends what the steps of a job left running. They are known by a value in their environment, as GitHub's runner knows them. */
export function killOrphans(variable: string, value: string): { pid: number; name: string }[] {
  const marked = Buffer.from(`${variable}=${value}\0`);
  const orphans: { pid: number; name: string }[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (!readFileSync(`/proc/${entry}/environ`).includes(marked)) continue;
      const name = readFileSync(`/proc/${entry}/comm`, "utf8").trim();
      process.kill(Number(entry), "SIGKILL");
      orphans.push({ pid: Number(entry), name });
    } catch {
      // It has ended meanwhile, or is another user's.
    }
  }
  return orphans;
}
