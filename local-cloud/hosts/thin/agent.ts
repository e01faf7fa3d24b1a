import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { JobMessage } from "../../github/jobs";
import type { GatewayServices } from "../types";
import { runJob } from "./job";
import type { Pace } from "./pace";

/** The runner release that the agent stands in for. */
const VERSION = "2.336.0";
const ABOUT = { version: VERSION, os: "Linux", architecture: "ARM64" };
/** How long a container gets to end after TERM, in milliseconds. */
const STOP_TIMEOUT = 60_000;

/** How a runner comes to be registered, and leaves again. */
export type Registration =
  /** The image `knatnetwork/github-runner`, by its environment: it asks the token service for both. */
  | { readonly by: "token"; readonly environment: Readonly<Record<string, string>> }
  /** The image `actions-runner` with a configuration made just in time; its host takes it out of GitHub's list. */
  | { readonly by: "jit"; readonly config: string; readonly remove: () => Promise<void> };

export interface AgentOptions {
  readonly registration: Registration;
  readonly services: GatewayServices;
  readonly pace: Pace;
  /** Where a URL as a container sees it is served on this machine, or undefined when nothing is there. */
  readonly resolve: (url: URL) => URL | undefined;
  readonly log: (line: string) => void;
}

/** An answer that GitHub gave on purpose, as against a server that failed. */
class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(`GitHub answered ${status}: ${message}`);
  }
}

interface Flags {
  readonly name: string;
  readonly runner_group: string | undefined;
  readonly ephemeral: boolean;
  readonly replace: boolean;
}

const jitConfig = z.object({ url: z.string(), credential: z.string(), name: z.string() });

/** One container of a runner's image: registers, listens, runs one job after another, or just one when ephemeral. It lives once. */
export class Agent {
  /** "working": runs a job. */
  state: "starting" | "listening" | "working" | "ended" = "starting";
  /** Resolves when the container has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** No further job; deregister when idle. */
  private readonly leaving = new AbortController();
  private readonly killed = new AbortController();
  private readonly death: Promise<never>;
  /** Told to end while a job runs, which is to be cancelled. */
  private cancelling = false;
  private runner: { readonly url: string; readonly name: string; credential: string } | undefined;

  constructor(private readonly options: AgentOptions) {
    this.death = new Promise((_resolve, reject) => {
      this.killed.signal.addEventListener("abort", () => reject(new Error("killed")));
    });
    this.death.catch(() => undefined);
    this.ended = this.run().catch((error: unknown) => {
      if (!this.killed.signal.aborted) options.log((error as Error).message);
    });
    this.ended = this.ended.finally(() => (this.state = "ended"));
  }

  /** Takes no further job and ends by itself: now, or when the running job is done. */
  leave(): void {
    this.leaving.abort();
  }

  /** TERM: the container ends. GitHub's own runner cancels its job first; the other one deregisters, whether a job runs or not. */
  async terminate(): Promise<void> {
    this.leave();
    if (this.state === "working" && this.options.registration.by === "jit") {
      this.cancelling = true;
    } else if (this.state === "working") {
      await this.deregister().catch((error: unknown) => this.options.log((error as Error).message));
      this.kill();
    }
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends at once; a running job is lost. */
  kill(): void {
    this.leaving.abort();
    this.killed.abort();
  }

  private async run(): Promise<void> {
    const { registration, log } = this.options;
    const ephemeral =
      registration.by === "jit"
        ? this.readConfig(registration.config)
        : await this.register(registration.environment);
    const session = await this.patiently(60_000, () =>
      this.send<{ session_id: string }>("POST", "/_runner/sessions", ABOUT),
    );
    log("Listening for Jobs");
    const messages = `/_runner/messages?session=${encodeURIComponent(session.session_id)}`;
    while (!this.leaving.signal.aborted) {
      this.state = "listening";
      const job = await this.poll(messages);
      if (job === undefined) continue;
      this.state = "working";
      await this.work(job);
      if (ephemeral) return;
    }
    this.state = "listening";
    await this.deregister();
  }

  /** As the runner program reads it. A runner made just in time is ephemeral. */
  private readConfig(encoded: string): true {
    this.runner = jitConfig.parse(JSON.parse(Buffer.from(encoded, "base64").toString()));
    return true;
  }

  /** As `config.sh`; answers whether the runner is ephemeral. */
  private async register(environment: Readonly<Record<string, string>>): Promise<boolean> {
    const { RUNNER_REGISTER_TO: registerTo, RUNNER_LABELS: labels = "" } = environment;
    if (!registerTo) throw new Error("RUNNER_REGISTER_TO is empty");
    const url = `https://github.com/${registerTo}`;
    const flags = parseFlags(environment.ADDITIONAL_FLAGS ?? "");
    const token = await this.token(environment, "registration-token", this.leaving.signal);
    if (token === "") throw new Error("--token is missing, expected a registration token");
    const registered = await this.patiently(30_000, () =>
      this.send<{ name: string; credential: string }>("POST", "/_runner/register", {
        url,
        token,
        ...flags,
        labels: labels
          .split(",")
          .map((label) => label.trim())
          .filter((label) => label !== ""),
        disable_update: true,
        ...ABOUT,
      }),
    );
    this.runner = { url, ...registered };
    return flags.ephemeral;
  }

  /**
   * Waits for a job. Told to leave, it gives the wait up but not a job that GitHub has already assigned: the answer
   * decides, so no job is lost between the two.
   */
  private async poll(path: string): Promise<JobMessage | undefined> {
    try {
      return await this.send<JobMessage>("GET", path, undefined, this.leaving.signal);
    } catch (error) {
      if (this.leaving.signal.aborted) return undefined;
      if (error instanceof Refused && error.status < 500) throw error;
      this.options.log(`Runner connect error: ${(error as Error).message}`);
      await sleep(1000);
      return undefined;
    }
  }

  private async work(job: JobMessage): Promise<void> {
    const { log, pace } = this.options;
    log(`Running job: ${job.name}`);
    const path = `/_runner/jobs/${job.job_id}`;
    const end = await runJob(
      job,
      this.runner?.name ?? "",
      {
        log: (text) => this.patiently(30_000, () => this.send("POST", `${path}/log`, text)),
        heartbeat: async () => {
          if (this.cancelling) return true;
          try {
            const answer = await this.send<{ cancelled: boolean }>("POST", `${path}/heartbeat`);
            return answer.cancelled;
          } catch (error) {
            return error instanceof Refused && error.status < 500;
          }
        },
      },
      pace,
      this.killed.signal,
    );
    await this.patiently(60_000, () => this.send("POST", `${path}/complete`, end));
    log(`Job ${job.name} completed with result: ${end.result}`);
  }

  private async deregister(): Promise<void> {
    const { registration } = this.options;
    if (this.runner === undefined) return;
    if (registration.by === "jit") await registration.remove();
    else {
      const { url, name } = this.runner;
      const late = AbortSignal.timeout(STOP_TIMEOUT);
      const token = await this.token(registration.environment, "remove-token", late);
      await this.send("POST", "/_runner/remove", { url, token, name });
    }
    this.options.log("Runner removed");
  }

  /** As the image's plain curl: no check of the status, and an empty text when nothing answers. */
  private async token(
    {
      KMS_SERVER_ADDR: base = "",
      RUNNER_REGISTER_TO: registerTo = "",
    }: Readonly<Record<string, string>>,
    kind: "registration-token" | "remove-token",
    signal: AbortSignal,
  ): Promise<string> {
    const place = registerTo.includes("/") ? `repo/${registerTo}` : registerTo;
    const address = `${base}/${place}/${kind}`;
    const url = URL.canParse(address) ? this.options.resolve(new URL(address)) : undefined;
    if (url === undefined) {
      this.options.log(`nothing answers at KMS_SERVER_ADDR, expected a token service`);
      return "";
    }
    const either = AbortSignal.any([signal, this.killed.signal]);
    return (await fetch(url, { signal: either })).text();
  }

  /** One request to GitHub's runner service; a body that is a text goes as it is. */
  private async send<T = undefined>(
    method: "GET" | "POST",
    path: string,
    body?: object | string,
    signal?: AbortSignal,
  ): Promise<T> {
    const text = typeof body === "object" ? JSON.stringify(body) : body;
    const headers = new Headers({
      host: "github.com",
      "user-agent": `GitHubActionsRunner-linux-arm64/${VERSION}`,
    });
    if (this.runner !== undefined) headers.set("authorization", `Bearer ${this.runner.credential}`);
    if (text !== undefined)
      headers.set("content-type", typeof body === "string" ? "text/plain" : "application/json");
    const signals = signal === undefined ? [] : [signal];
    const request = new Request(`https://github.com${path}`, {
      method,
      headers,
      body: text,
      signal: AbortSignal.any([...signals, this.killed.signal]),
    });
    const answer = Promise.resolve(this.options.services.handler(request));
    const response = await Promise.race([answer, this.death]);
    const content = await response.text();
    if (response.ok) return (content === "" ? undefined : JSON.parse(content)) as T;
    const error = z.object({ message: z.string() }).safeParse(parseJson(content));
    const message = error.success ? error.data.message : response.statusText;
    throw new Refused(response.status, message);
  }

  /** Repeats what a failing server did not answer until the time is up; what GitHub refuses is final. */
  private async patiently<T>(limit: number, attempt: () => Promise<T>): Promise<T> {
    const end = Date.now() + limit;
    for (let pause = 200; ; pause = Math.min(2 * pause, 5000)) {
      try {
        return await attempt();
      } catch (error) {
        const final = error instanceof Refused && error.status < 500;
        if (final || this.killed.signal.aborted || Date.now() + pause > end) throw error;
      }
      await sleep(pause);
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The flags of `config.sh` that ADDITIONAL_FLAGS may hold. */
function parseFlags(text: string): Flags {
  const takesValue: Readonly<Record<string, boolean>> = {
    "--name": true,
    "--runnergroup": true,
    "--work": true,
    "--ephemeral": false,
    "--replace": false,
    "--disableupdate": false,
  };
  const flags = new Map<string, string>();
  const words = text.split(/\s+/).filter((word) => word !== "");
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const flag = word.toLowerCase();
    const valued = takesValue[flag];
    if (valued === undefined)
      throw new Error(`Unrecognized command-line input arguments: '${word}'`);
    const value = valued ? words.shift() : "";
    if (value === undefined || value.startsWith("--")) throw new Error(`${flag} has no value`);
    flags.set(flag, value);
  }
  return {
    // Without a name a runner is called after its container.
    name: flags.get("--name") ?? randomBytes(6).toString("hex"),
    runner_group: flags.get("--runnergroup"),
    ephemeral: flags.has("--ephemeral"),
    replace: flags.has("--replace"),
  };
}
