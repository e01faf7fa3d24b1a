import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "./errors";

export interface ResourceRef {
  readonly id: number;
  readonly type: string;
}

export interface ActionError {
  readonly code: string;
  readonly message: string;
}

export interface Action {
  readonly id: number;
  readonly command: string;
  status: "running" | "success" | "error";
  readonly started: Date;
  finished: Date | null;
  /** How long it is expected to take, for its progress. */
  readonly expectedMs: number;
  error: ActionError | null;
  readonly resources: readonly ResourceRef[];
  /** Resolves when the action has ended: whether it succeeded. */
  readonly ended: Promise<boolean>;
}

/** Anything that an action keeps busy. */
export interface Busy {
  /** Number of actions that run on it. */
  busy: number;
}

export interface ActionPlan {
  /** What the action does. Without it, the action only takes time. A rejection ends it in status error. */
  readonly work?: () => Promise<void>;
  /** Resources that are busy from now until the action has ended. */
  readonly occupies?: readonly Busy[];
  /** Starts once this action has ended; fails when that failed. */
  readonly after?: Action;
  /** Ends before the answer is sent. `work` is not allowed then. */
  readonly immediate?: boolean;
  /** Takes effect when the action succeeds. */
  readonly onSuccess?: () => void;
  /** Undoes what was reserved when the action fails. */
  readonly onError?: () => void;
}

/** Typical time of actions that a host takes part in, for their progress only. */
const hostActionMs = 5000;

/** Runs actions and keeps their records, as the API shows them at /actions. */
export class Actions {
  readonly records = new Map<number, Action>();
  private readonly faults = new Map<string, ActionError[]>();
  private readonly delays = new Map<string, number[]>();
  private readonly pending = new Set<Promise<unknown>>();
  private stop = new AbortController();
  private lastId = 0;

  /** @param actionMs time that an action without a host takes, in milliseconds */
  constructor(private readonly actionMs: number) {}

  failNext(command: string, error: ActionError): void {
    this.faults.set(command, [...(this.faults.get(command) ?? []), error]);
  }

  slowNext(command: string, ms: number): void {
    this.delays.set(command, [...(this.delays.get(command) ?? []), ms]);
  }

  start(command: string, resources: readonly ResourceRef[], plan: ActionPlan = {}): Action {
    const id = ++this.lastId;
    const fault = this.faults.get(command)?.shift();
    const delay = this.delays.get(command)?.shift() ?? 0;
    const occupied = plan.occupies ?? [];
    for (const resource of occupied) resource.busy += 1;
    let action: Action | undefined = undefined;
    const settle = (error: ActionError | null): boolean => {
      for (const resource of occupied) resource.busy -= 1;
      if (error) plan.onError?.();
      else plan.onSuccess?.();
      if (action) finish(action, error);
      return error === null;
    };
    const expectedMs = delay + (plan.work ? hostActionMs : this.actionMs);
    const base = { id, command, started: new Date(), expectedMs, resources };
    if (plan.immediate && delay === 0) {
      const ok = settle(fault ?? null);
      const done: Action = {
        ...base,
        status: "running",
        finished: null,
        error: null,
        ended: Promise.resolve(ok),
      };
      finish(done, fault ?? null);
      this.records.set(id, done);
      return done;
    }
    const ended = this.run(plan, delay, fault).then(settle);
    action = { ...base, status: "running", finished: null, error: null, ended };
    this.records.set(id, action);
    this.track(ended);
    return action;
  }

  private async run(
    plan: ActionPlan,
    delay: number,
    fault: ActionError | undefined,
  ): Promise<ActionError | null> {
    const { signal } = this.stop;
    try {
      if (plan.after && !(await plan.after.ended))
        return { code: "action_failed", message: `${plan.after.command} failed before` };
      const wait = delay + (plan.work && !fault ? 0 : this.actionMs);
      if (wait > 0) await sleep(wait, undefined, { signal });
      if (fault) return fault;
      signal.throwIfAborted();
      await plan.work?.();
      return null;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { code: error instanceof ApiError ? error.code : "action_failed", message };
    }
  }

  /** Makes `reset` wait for work that goes on in the background. */
  track(work: Promise<unknown>): void {
    const quiet = work.catch(() => undefined).finally(() => this.pending.delete(quiet));
    this.pending.add(quiet);
  }

  /** Ends waiting actions, waits for those that work on a host, forgets all. */
  async reset(): Promise<void> {
    this.stop.abort();
    while (this.pending.size > 0) await Promise.all(this.pending);
    this.stop = new AbortController();
    this.records.clear();
    this.faults.clear();
    this.delays.clear();
  }
}

function finish(action: Action, error: ActionError | null): void {
  action.status = error ? "error" : "success";
  action.error = error;
  action.finished = new Date();
}

export function renderAction(action: Action) {
  const elapsed = Date.now() - action.started.getTime();
  const progress = Math.min(99, Math.floor((100 * elapsed) / Math.max(1, action.expectedMs)));
  return {
    id: action.id,
    command: action.command,
    status: action.status,
    progress: action.status === "running" ? progress : 100,
    started: renderTime(action.started),
    finished: action.finished && renderTime(action.finished),
    resources: action.resources,
    error: action.error,
  };
}

/** The API's time format: whole seconds with an explicit offset. */
export function renderTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "+00:00");
}
