import { z } from "zod";
import type { Api } from "../preflight/api";
import type { JobHistory, JobReading } from "./reading";

const PAGE = 100;
/** A run has 256 jobs at most in one matrix; more pages than that are of re-runs long past. */
const MAX_JOB_PAGES = 10;

const repositoryAnswer = z.object({ private: z.boolean() });
const runsPage = z.object({
  total_count: z.int(),
  workflow_runs: z.array(
    z.object({
      id: z.int(),
      status: z.string().nullable(),
      run_attempt: z.int().optional(),
      created_at: z.coerce.date(),
    }),
  ),
});
const moment = z.coerce
  .date()
  .nullish()
  .transform((date) => date ?? undefined);
const jobsPage = z.object({
  jobs: z.array(
    z.object({
      id: z.int(),
      name: z.string(),
      workflow_name: z.string().nullish(),
      status: z.string(),
      conclusion: z.string().nullish(),
      created_at: z.coerce.date(),
      started_at: moment,
      completed_at: moment,
      labels: z.array(z.string()),
      runner_name: z.string().nullish(),
      runner_group_id: z.int().nullish(),
    }),
  ),
});

type Run = z.output<typeof runsPage>["workflow_runs"][number] & {
  readonly repository: string;
  readonly private: boolean;
};

/** Jobs of runs that are done, which do not change: what one look has read, the next one need not. */
export type JobCache = Map<string, readonly JobReading[]>;

/**
 * Reads the jobs of the newest runs of repositories, all attempts of each.
 * @param repositories names in the organization; what is not there has no jobs
 * @param from nothing that was started before
 * @param maxRuns how many runs of all repositories together are looked at
 * @throws ApiError where GitHub cannot be asked.
 */
export async function readJobHistory(
  api: Api,
  organization: string,
  repositories: readonly string[],
  from: Date,
  maxRuns: number,
  cache: JobCache = new Map(),
): Promise<JobHistory> {
  const owner = encodeURIComponent(organization);
  const lists = await Promise.all(
    repositories.map((name) => readRuns(api, owner, name, from, maxRuns)),
  );
  const newest = lists
    .flatMap(({ runs }) => runs)
    .sort((one, other) => other.created_at.getTime() - one.created_at.getTime());
  const looked = newest.slice(0, maxRuns);
  const truncated = lists.reduce((sum, { total }) => sum + total, 0) > looked.length;
  const jobs = await Promise.all(
    looked.map(async (run) => {
      const key = `${run.repository}/${run.id}/${run.run_attempt ?? 1}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      const read = await readRunJobs(api, owner, run);
      if (run.status === "completed") cache.set(key, read);
      return read;
    }),
  );
  return {
    jobs: jobs.flat().sort((one, other) => other.createdAt.getTime() - one.createdAt.getTime()),
    from: truncated ? (looked.at(-1)?.created_at ?? from) : from,
    runs: looked.length,
    truncated,
  };
}

async function readRuns(
  api: Api,
  owner: string,
  name: string,
  from: Date,
  maxRuns: number,
): Promise<{ readonly runs: readonly Run[]; readonly total: number }> {
  const root = `/repos/${owner}/${encodeURIComponent(name)}`;
  // To the second, as GitHub's search takes it.
  const created = encodeURIComponent(`>=${from.toISOString().replace(/\.\d+Z$/, "Z")}`);
  const repository = api.get(root, repositoryAnswer);
  const runs: Run[] = [];
  let total = 0;
  for (let page = 1; runs.length < maxRuns; page++) {
    const path = `${root}/actions/runs?created=${created}&per_page=${PAGE}&page=${page}`;
    const answer = await api.get(path, runsPage);
    const found = answer?.workflow_runs ?? [];
    total = Math.max(total, answer?.total_count ?? 0);
    const isPrivate = (await repository)?.private ?? true;
    runs.push(...found.map((run) => ({ ...run, repository: name, private: isPrivate })));
    if (found.length < PAGE) break;
  }
  await repository;
  return { runs, total };
}

async function readRunJobs(api: Api, owner: string, run: Run): Promise<JobReading[]> {
  const root = `/repos/${owner}/${encodeURIComponent(run.repository)}/actions/runs/${run.id}/jobs`;
  const jobs: JobReading[] = [];
  for (let page = 1; page <= MAX_JOB_PAGES; page++) {
    const answer = await api.get(`${root}?filter=all&per_page=${PAGE}&page=${page}`, jobsPage);
    const found = answer?.jobs ?? [];
    jobs.push(
      ...found.map((job) => ({
        id: job.id,
        repository: run.repository,
        private: run.private,
        name: job.name,
        workflow: job.workflow_name ?? undefined,
        status: job.status,
        conclusion: job.conclusion ?? undefined,
        createdAt: job.created_at,
        startedAt: job.started_at,
        completedAt: job.completed_at,
        labels: job.labels,
        runner: job.runner_name || undefined,
        runnerGroup: job.runner_group_id ?? undefined,
      })),
    );
    if (found.length < PAGE) break;
  }
  return jobs;
}
