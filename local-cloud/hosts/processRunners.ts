import { scriptRunners, type HostedRunners } from "../github/hostedRunners";
import { runLocalJob } from "./localJob";
import { executorInput } from "./runnerJob";

/**
 * GitHub's hosted runners as processes of this machine, each job in a folder of its own, which goes with it. What a job
 * finds is what this machine has.
 */
export function createProcessRunners(): HostedRunners {
  const scripts = scriptRunners();
  const running = new Set<Promise<unknown>>();
  const stops = new Set<() => void>();
  return {
    start: (job) => {
      if (job.message.steps === undefined) return scripts.start(job);
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      const done = runLocalJob({
        work: { executorInput: (folders) => executorInput(job, folders) },
        onLog: job.onLog,
        onSteps: job.onSteps,
        cancel: controller.signal,
      });
      const ended = done
        .catch(() => undefined)
        .finally(() => {
          running.delete(ended);
          stops.delete(stop);
        });
      running.add(ended);
      stops.add(stop);
      return { done, stop };
    },
    close: async () => {
      for (const stop of stops) stop();
      await Promise.all([...running, scripts.close()]);
    },
  };
}
