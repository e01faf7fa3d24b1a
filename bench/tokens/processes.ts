import { type ChildProcess, fork, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { randomBytes } from "node:crypto";
import { NODE_OPTIONS } from "../../components/tokenService/stack";
import type { Load, LoadResult } from "./load.main";
import type { Behaviour } from "./upstream.main";

/** Memory of a process in bytes. */
export interface Memory {
  readonly rss: number;
  /** Without pages of files, such as Node's own program, which all its processes share. */
  readonly anonymous: number;
}

export interface Bench {
  behave(behaviour: Behaviour): Promise<void>;
  load(load: Omit<Load, "port" | "password">): Promise<LoadResult>;
  /** Throws when the service is not there any more. */
  memory(): Promise<Memory>;
  /** Whether the service answers `/healthz`. */
  healthy(): Promise<boolean>;
  close(): Promise<void>;
}

/** The service, a GitHub and clients, each in a process of its own. @param timeoutMs as in the service's configuration. */
export async function startBench(timeoutMs: number): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), "bench-tokens-"));
  const upstream = fork(join(__dirname, "upstream.main.ts"), { execArgv: ["--import", "tsx"] });
  const clients = fork(join(__dirname, "load.main.ts"), { execArgv: ["--import", "tsx"] });
  const children: ChildProcess[] = [upstream, clients];
  const close = async () => {
    for (const child of children) await stop(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { port: upstreamPort } = await message<{ port: number }>(upstream);
    const password = randomBytes(24).toString("base64url");
    const path = join(folder, "token-service.json");
    await writeFile(
      path,
      JSON.stringify({
        listen: { address: "127.0.0.1", port: 0 },
        github: { apiUrl: `http://127.0.0.1:${upstreamPort}`, timeoutMs },
        auth: { kind: "pat", token: "token-of-the-bench" },
        password,
        sources: ["127.0.0.0/8"],
        allow: {
          organizations: ["acme"],
          repositories: [],
          runnerNamePrefix: "bench-",
          runnerGroupIds: [1],
          registrationTokens: true,
        },
      }),
      { mode: 0o600 },
    );
    const module = join(__dirname, "../../components/tokenService/server/tokenService.mjs");
    const service = spawn(process.execPath, [...NODE_OPTIONS, module, path], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {},
    });
    children.unshift(service);
    const port = await listening(service);
    return {
      behave: async (behaviour) => {
        const taken = message(upstream);
        upstream.send(behaviour);
        await taken;
      },
      load: async (load) => {
        const result = message<LoadResult>(clients);
        clients.send({ ...load, port, password } satisfies Load);
        return result;
      },
      memory: () => memoryOf(service),
      healthy: () => answersHealth(port),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The next message of a child; rejects when it ends instead. */
function message<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error("A process of the benchmark ended before its time."));
    child.once("exit", ended);
    child.once("message", (value) => {
      child.off("exit", ended);
      resolve(value as T);
    });
  });
}

/** The port that the service says it listens on. Its log is read to the end, and not kept. */
function listening(service: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    service.once("exit", (code) => reject(new Error(`The token service ended with ${code}.`)));
    const lines = createInterface({ input: service.stdout! });
    lines.once("line", (line) => {
      lines.close();
      service.stdout!.resume();
      resolve((JSON.parse(line) as { port: number }).port);
    });
  });
}

async function memoryOf({ pid, exitCode, signalCode }: ChildProcess): Promise<Memory> {
  if (exitCode !== null || signalCode !== null) {
    throw new Error(`The token service ended with ${exitCode ?? signalCode}.`);
  }
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN) * 1024;
  return { rss: bytes("VmRSS"), anonymous: bytes("RssAnon") };
}

async function answersHealth(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`, {
    signal: AbortSignal.timeout(5_000),
  });
  return response.status === 200;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.removeAllListeners("message");
  child.kill("SIGTERM");
  await ended;
}
