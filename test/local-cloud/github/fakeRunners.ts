import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { HostedJob, HostedRunners, JobResult } from "../../../local-cloud/github";

/** A hosted job that a test holds in its hand. */
export interface Held {
  readonly job: HostedJob;
  stopped: boolean;
  end(result?: Partial<JobResult>): void;
}

/** Hosted machines that run nothing: each job ends at once as the test has said, by its name, or is held. */
export class FakeRunners implements HostedRunners {
  readonly started: HostedJob[] = [];
  private readonly plans = new Map<string, Partial<JobResult> | "hold">();
  private readonly held = new Map<string, Held[]>();

  /** From now on jobs of this name end like this, or are held. */
  plan(name: string, result: Partial<JobResult> | "hold"): void {
    this.plans.set(name, result);
  }

  names(): string[] {
    return this.started.map(({ message }) => message.name);
  }

  /** The only job of this name so far. */
  one(name: string): HostedJob {
    const found = this.started.filter(({ message }) => message.name === name);
    assert.equal(found.length, 1, `${name} among ${this.names().join(", ")}`);
    return found[0] as HostedJob;
  }

  /** The last held job of a name, once there are as many of it as asked for. */
  async holds(name: string, count = 1): Promise<Held> {
    for (let tries = 0; (this.held.get(name)?.length ?? 0) < count; tries += 1) {
      assert.ok(tries < 150, `${name} did not start in 3 s, only ${this.names().join(", ")}`);
      await sleep(20);
    }
    return this.held.get(name)?.at(-1) as Held;
  }

  start(job: HostedJob): ReturnType<HostedRunners["start"]> {
    this.started.push(job);
    const plan = this.plans.get(job.message.name) ?? {};
    const full = (result: Partial<JobResult>): JobResult => ({
      result: "succeeded",
      exitCode: 0,
      outputs: {},
      steps: [],
      ...result,
    });
    if (plan !== "hold") return { done: Promise.resolve(full(plan)), stop: () => undefined };
    let end: (result: JobResult) => void = () => undefined;
    const done = new Promise<JobResult>((resolve) => (end = resolve));
    const held: Held = {
      job,
      stopped: false,
      end: (result = {}) => end(full(result)),
    };
    this.held.set(job.message.name, [...(this.held.get(job.message.name) ?? []), held]);
    return {
      done,
      stop: () => {
        held.stopped = true;
        held.end({ result: "cancelled", exitCode: 130 });
      },
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
