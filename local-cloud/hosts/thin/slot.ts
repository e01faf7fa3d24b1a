import { setTimeout as sleep } from "node:timers/promises";
import type { Agent } from "./agent";
import type { Pace } from "./pace";

interface Launched {
  readonly agent: Agent;
  readonly hash: string;
}

/** The unit `runner-slot@N`: starts a fresh runner whenever one has ended. */
export class Slot {
  /** Of the definition that the present runner was started from. */
  hash: string | undefined;
  private agent: Agent | undefined;
  private readonly stopping = new AbortController();
  /** The host's power is off. */
  private lost = false;
  private readonly done: Promise<void>;

  constructor(launch: () => Promise<Launched>, pace: Pace, log: (line: string) => void) {
    this.done = this.run(launch, pace, log);
  }

  private async run(
    launch: () => Promise<Launched>,
    pace: Pace,
    log: (line: string) => void,
  ): Promise<void> {
    while (!this.stopping.signal.aborted) {
      try {
        const { agent, hash } = await launch();
        this.agent = agent;
        this.hash = hash;
        // Told to stop while it was being made.
        if (this.lost) agent.kill();
        else if (this.stopping.signal.aborted) agent.leave();
        await agent.ended;
      } catch (error) {
        log((error as Error).message);
      }
      await sleep(pace.restart, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    }
  }

  get working(): boolean {
    return this.agent?.state === "working";
  }

  /** Whether it can be given jobs, or has one. */
  get online(): boolean {
    return this.working || this.agent?.state === "listening";
  }

  get state(): "starting" | "listening" | "working" | "draining" {
    if (this.stopping.signal.aborted) return "draining";
    const state = this.agent?.state;
    return state === "working" || state === "listening" ? state : "starting";
  }

  /** No further job; a running one may end within the time. False when it had to be ended. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.stopping.abort();
    this.agent?.leave();
    const timer = new AbortController();
    const late = sleep(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([this.done, late]);
    timer.abort();
    const inTime = !this.working;
    await this.stop();
    return inTime;
  }

  /** Ends the runner, whatever it does. */
  private async stop(): Promise<void> {
    this.stopping.abort();
    await this.agent?.terminate();
    await this.done;
  }

  async kill(): Promise<void> {
    this.lost = true;
    this.stopping.abort();
    this.agent?.kill();
    await this.done;
  }
}
