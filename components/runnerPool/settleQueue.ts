import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type ApiTarget, list } from "../host/request";
import { hasLabels, organizationRunners } from "../host/runners";

/** Jobs that a pool's runners could take. */
export interface PoolQueue {
  readonly github: ApiTarget;
  readonly organization: string;
  /** Labels that such a job asks for; case does not count. */
  readonly labels: readonly string[];
  /** Names of the repositories whose jobs the pool takes. */
  readonly repositories: readonly string[];
}

const run = z.object({ id: z.int(), html_url: z.string() });
const job = z.object({ status: z.string(), labels: z.array(z.string()) });

/**
 * In seconds: how long no runner has to be online until none is left. Between two jobs a slot has no runner at all, and
 * slots whose jobs end together start together.
 */
const GONE_AFTER = 60;

/** GitHub allows 5,000 requests an hour, for everything that we do: a look that takes more is followed by a longer pause. */
const REQUESTS_A_PAUSE = 4;

/**
 * Waits until no job is queued for the runners of a pool that is about to go: nothing routes to it any more, but a job
 * that was queued before keeps its labels, and would wait for a day. Ends early when no runner is left to take them: none has
 * been online for a minute.
 * @param warn hears one sentence about what goes on waiting.
 * @throws HostError when GitHub does not answer.
 */
export async function settleQueue(
  queue: PoolQueue,
  timeoutSeconds: number,
  warn: (sentence: string) => void,
  pollSeconds = 5,
  goneAfterSeconds = GONE_AFTER,
): Promise<void> {
  const end = performance.now() + timeoutSeconds * 1000;
  let { repositories } = queue;
  let seenOnline = performance.now();
  for (;;) {
    const found = await Promise.all(repositories.map((one) => queuedJobs(queue, one)));
    const runs = found.flatMap((one) => one.runs);
    // Nothing is queued any more where nothing is now.
    repositories = repositories.filter((_, index) => found[index]!.runs.length > 0);
    if (runs.length === 0) return;
    if ((await runnersOnline(queue)) > 0) seenOnline = performance.now();
    const noneLeft = performance.now() - seenOnline >= goneAfterSeconds * 1000;
    if (noneLeft || performance.now() > end) {
      const [count, jobs, its, these] =
        runs.length === 1
          ? [1, "job is", "its", "run is"]
          : [runs.length, "jobs are", "their", "runs are"];
      const since = noneLeft ? "No runner is online any more and" : `After ${timeoutSeconds} s`;
      const where = [...new Set(runs)].slice(0, 10).join(", ");
      warn(
        `${since} ${count} ${jobs} still queued for these runners and will wait for a day unless ${its} ${these} cancelled and started again: ${where}`,
      );
      return;
    }
    const requests = found.reduce((sum, one) => sum + one.requests, 1);
    await pause(pollSeconds * Math.max(1, requests / REQUESTS_A_PAUSE) * 1000);
  }
}

/** Addresses of the runs with a queued job that these runners could take: one for each such job. */
async function queuedJobs(
  { github, organization, labels }: PoolQueue,
  repository: string,
): Promise<{ readonly runs: readonly string[]; readonly requests: number }> {
  const root = `/repos/${organization}/${repository}/actions/runs`;
  const found: string[] = [];
  let requests = 0;
  for (const status of ["queued", "in_progress"]) {
    const runs = await list(github, `${root}?status=${status}`, "workflow_runs", run);
    requests += 1 + runs.length;
    for (const { id, html_url } of runs) {
      const jobs = await list(github, `${root}/${id}/jobs?filter=latest`, "jobs", job);
      const ours = jobs.filter((one) => one.status === "queued" && hasLabels(one.labels, labels));
      found.push(...ours.map(() => html_url));
    }
  }
  return { runs: found, requests };
}

async function runnersOnline({ github, organization, labels }: PoolQueue): Promise<number> {
  const runners = await organizationRunners(github, organization);
  return runners.filter((one) => one.online && hasLabels(one.labels, labels)).length;
}
