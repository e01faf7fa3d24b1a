import { AsyncLocalStorage } from "node:async_hooks";
import type { ChildProcess } from "node:child_process";

/** Undefined while tidying up: that is never cut short. */
const running = new AsyncLocalStorage<{ readonly signal: AbortSignal | undefined }>();

/**
 * Runs `task` so that programs which it starts end when `signal` is aborted, and no others start. Until then they are out of reach of
 * a terminal's Ctrl-C, which goes to all processes of the foreground and would end those that tidy up as well.
 */
export function interruptible<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
  return running.run({ signal }, task);
}

/** Runs `task`, which removes what the interrupted work has made, to its end. */
export function uninterrupted<T>(task: () => Promise<T>): Promise<T> {
  return running.getStore() === undefined ? task() : running.run({ signal: undefined }, task);
}

/** Aborted when the work that asks is interrupted; never aborted where nothing interrupts. */
export function interruption(): AbortSignal {
  return running.getStore()?.signal ?? new AbortController().signal;
}

/** Whether programs get a process group of their own. Throws when no more may start. */
export function ownGroup(): boolean {
  const store = running.getStore();
  if (store?.signal?.aborted) throw new Error("interrupted");
  return store !== undefined;
}

/** Ends a program that was started in a group of its own, with all it has started, when the work is interrupted. */
export function endWhenInterrupted(child: ChildProcess): void {
  const signal = running.getStore()?.signal;
  if (signal === undefined) return;
  const end = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, "SIGTERM");
    } catch {
      // It has just ended by itself.
    }
  };
  signal.addEventListener("abort", end, { once: true });
  child.once("exit", () => signal.removeEventListener("abort", end));
}
