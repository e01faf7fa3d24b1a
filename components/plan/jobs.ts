import { z } from "zod";
import { isRunnerOf } from "../host/runnerNames";
import { hasLabels } from "../host/runners";
import { type Api, orWhereAbsent } from "../preflight/api";

/** What GitHub says of jobs at the moment; it may lag behind by a minute. */
export interface Jobs {
  /** Names of the runners that have a job. */
  readonly busy: readonly string[];
  /** Labels of each job that waits for a runner of its own. */
  readonly queued: readonly (readonly string[])[];
  /** Whether all that GitHub lists was looked at; else there may be more in the queue. */
  readonly complete: boolean;
}

const PAGE = 100;
const runner = z.object({ name: z.string(), busy: z.boolean() });
const runsPage = z.object({
  total_count: z.int(),
  workflow_runs: z.array(z.object({ id: z.int() })),
});
const jobsPage = z.object({
  total_count: z.int(),
  jobs: z.array(z.object({ status: z.string(), labels: z.array(z.string()) })),
});

/**
 * Reads which runners are busy, and what waits in the queues of repositories: the newest hundred runs of each that are
 * not done.
 * @param repositories names in the organization; what is not there has no jobs
 * @throws ApiError where GitHub cannot be asked.
 */
export async function readJobs(
  api: Api,
  organization: string,
  repositories: readonly string[],
): Promise<Jobs> {
  const owner = encodeURIComponent(organization);
  const [runners, queues] = await Promise.all([
    orWhereAbsent(api.list(`/orgs/${owner}/actions/runners`, "runners", runner), []),
    Promise.all(
      repositories.flatMap((name) =>
        ["queued", "in_progress"].map((status) =>
          queuedJobs(api, `/repos/${owner}/${encodeURIComponent(name)}/actions/runs`, status),
        ),
      ),
    ),
  ]);
  return {
    busy: runners.filter(({ busy }) => busy).map(({ name }) => name),
    queued: queues.flatMap(({ jobs }) => jobs),
    complete: queues.every(({ complete }) => complete),
  };
}

/** How many of the runners of a host have a job. */
export function runningOn(server: string, { busy }: Pick<Jobs, "busy">): number {
  return busy.filter((runner) => isRunnerOf(server, runner)).length;
}

/** How many jobs wait that runners with these labels could take. */
export function queuedFor(labels: readonly string[], { queued }: Pick<Jobs, "queued">): number {
  return queued.filter((job) => hasLabels(job, labels)).length;
}

async function queuedJobs(
  api: Api,
  root: string,
  status: string,
): Promise<{ readonly jobs: readonly (readonly string[])[]; readonly complete: boolean }> {
  const runs = await api.get(`${root}?status=${status}&per_page=${PAGE}`, runsPage);
  if (runs === undefined) return { jobs: [], complete: true };
  const lists = await Promise.all(
    runs.workflow_runs.map(({ id }) =>
      api.get(`${root}/${id}/jobs?filter=latest&per_page=${PAGE}`, jobsPage),
    ),
  );
  const found = lists.filter((list) => list !== undefined);
  return {
    jobs: found.flatMap(({ jobs }) =>
      jobs.filter((job) => job.status === "queued").map(({ labels }) => labels),
    ),
    complete:
      runs.total_count <= PAGE &&
      found.every(({ total_count, jobs }) => total_count <= jobs.length),
  };
}
