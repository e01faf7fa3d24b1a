import type { WorkflowJob, WorkflowRun } from "./github";

/** How long a run took. GitHub tells times in whole seconds. */
export interface RunTiming {
  /** From the dispatch to the end of the last job. */
  readonly seconds: number;
  /** Part of it in which no job ran: waiting for runners, and GitHub between jobs. */
  readonly idle: number;
  readonly jobs: readonly JobTiming[];
}

export interface JobTiming {
  readonly name: string;
  readonly conclusion: string;
  /** Seconds from when the job was ready to run until a runner took it. */
  readonly queued: number;
  /** Seconds on the runner. */
  readonly seconds: number;
  readonly runner: string;
  /** Whether GitHub's own machine ran it. */
  readonly hosted: boolean;
}

/** Jobs that were skipped, which took no time, are left out. */
export function timingOf(run: WorkflowRun, jobs: readonly WorkflowJob[]): RunTiming {
  const began = Date.parse(run.created_at);
  const ran = jobs.flatMap((job) => {
    if (job.conclusion === "skipped" || job.started_at === null || job.completed_at === null) {
      return [];
    }
    const [from, to] = [Date.parse(job.started_at), Date.parse(job.completed_at)];
    return [{ job, from, to: Math.max(from, to) }];
  });
  const ended = Math.max(began, ...ran.map(({ to }) => to));
  return {
    seconds: (ended - began) / 1000,
    idle: (ended - began - covered(ran, began)) / 1000,
    jobs: ran.map(({ job, from, to }) => ({
      name: job.name,
      conclusion: job.conclusion ?? job.status,
      queued: Math.max(0, from - Date.parse(job.created_at)) / 1000,
      seconds: (to - from) / 1000,
      runner: job.runner_name ?? "",
      hosted: job.runner_group_name === "GitHub Actions",
    })),
  };
}

/** Length of the union of the spans after `start`, in their unit. */
function covered(spans: readonly { readonly from: number; readonly to: number }[], start: number) {
  let [sum, reached] = [0, start];
  for (const { from, to } of [...spans].sort((one, other) => one.from - other.from)) {
    if (to <= reached) continue;
    sum += to - Math.max(from, reached);
    reached = to;
  }
  return sum;
}
