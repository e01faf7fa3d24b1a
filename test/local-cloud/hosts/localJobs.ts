import { existsSync, readFileSync } from "node:fs";
import { runLocalJob, type LocalJob } from "../../../local-cloud/hosts/localJob";
import { until } from "../../../local-cloud/hosts/run";
import type { JobFolders } from "../../../local-cloud/hosts/runnerJob";
import { eventually } from "./support";

/** What the executor reads, for steps of bash. */
function input(folders: JobFolders, steps: readonly object[], timeoutSeconds = 60): string {
  const nothing = { github: {}, vars: {}, secrets: {}, needs: {}, strategy: {}, matrix: {} };
  return JSON.stringify({
    message: {
      job_id: "1",
      name: "build",
      run_id: 1,
      repository: "acme/web",
      env: {},
      timeout_seconds: timeoutSeconds,
      masks: [],
      steps,
      job: { id: "build", env: [], outputs: {}, contexts: { ...nothing, inputs: {} } },
    },
    runner: { name: "one", arch: "ARM64", environment: "self-hosted", ...folders },
  });
}

export const steps = (...list: object[]): LocalJob["work"] => ({
  executorInput: (folders) => input(folders, list),
});

export function start(work: LocalJob["work"], env?: Record<string, string>) {
  let log = "";
  const [cancel, kill] = [new AbortController(), new AbortController()];
  const done = runLocalJob({
    work,
    env,
    onLog: (text) => (log += text),
    cancel: cancel.signal,
    kill: kill.signal,
  });
  done.catch(() => undefined);
  const pids = (count: number): Promise<number[]> =>
    eventually("processes", () => {
      const found = [...log.matchAll(/^pid=(\d+)$/gm)].map(([, pid]) => Number(pid));
      return found.length === count && found;
    });
  return { done, log: () => log, pids, cancel: () => cancel.abort(), kill: () => kill.abort() };
}

/** A process that has ended but was not collected by its new parent does not count. */
export function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

export const allEnd = (pids: readonly number[]): Promise<boolean> =>
  until(() => !pids.some(isRunning), 2000);
