import { interruptible } from "../local-cloud/core/interruption";

/**
 * Runs the work of a command to its end, or until Ctrl-C or SIGTERM: then the programs that it has started end, and it
 * still removes what it has made.
 * @throws Error in one sentence when it was interrupted.
 */
export async function untilInterrupted<T>(work: () => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  process.once("SIGINT", abort).once("SIGTERM", abort);
  try {
    return await interruptible(controller.signal, work);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    // What was cut short says why it failed, which is no news.
    throw new Error("interrupted; all that it started has ended.", { cause: error });
  } finally {
    process.off("SIGINT", abort).off("SIGTERM", abort);
  }
}
