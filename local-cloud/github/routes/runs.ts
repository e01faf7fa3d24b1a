import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import {
  ApiError,
  body,
  type Ctx,
  type GitHubEnv,
  idParameter,
  iso,
  notFound,
  paginate,
} from "../http";
import { type Job, type JobRequest, type Jobs, jobTimes } from "../jobs";
import type { Repository } from "../model";
import { fullName, minimalRepository, nodeId, repositoryUrl } from "../views";
import type { World } from "../world";
import { zip } from "../zip";
import { repositoryAt } from "./shared";
import { findWorkflow, workflowId, workflowPath } from "./workflows";

/** Workflow runs and jobs: every job of the queue is a run with one job. Below `/_local` lies what GitHub does not have: putting a job into the queue. */
export function runRoutes(world: World, jobs: Jobs): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/actions";
  /** Links to logs live a minute. */
  const links = new Map<string, { job: number; archive: boolean; expiresAt: number }>();

  const at = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, {
      permission: "actions",
      level,
      role: level,
    });
  const of = (repository: Repository): Job[] =>
    jobs.list().filter((job) => job.repository === fullName(repository));
  const find = (c: Ctx, repository: Repository, by: "id" | "runId", name: string): Job => {
    const id = idParameter(c, name);
    const job = of(repository).find((one) => one[by] === id);
    if (job === undefined) throw notFound();
    return job;
  };
  const runView = (c: Ctx, repository: Repository, job: Job) => {
    const url = `${repositoryUrl(c.var.base, repository)}/actions/runs/${job.runId}`;
    const number = of(repository).findIndex((one) => one.id === job.id) + 1;
    return {
      id: job.runId,
      name: job.name,
      node_id: nodeId("WorkflowRun", job.runId),
      head_branch: job.headBranch,
      head_sha: job.headSha,
      path: workflowPath(job),
      display_title: job.name,
      run_number: number,
      run_attempt: 1,
      event: "workflow_dispatch",
      status: job.status,
      conclusion: job.conclusion,
      workflow_id: workflowId(repository, workflowPath(job)),
      url,
      html_url: `https://github.com/${fullName(repository)}/actions/runs/${job.runId}`,
      pull_requests: [],
      created_at: iso(job.queuedAt),
      updated_at: iso(job.completedAt ?? job.startedAt ?? job.queuedAt),
      run_started_at: iso(job.queuedAt),
      jobs_url: `${url}/jobs`,
      logs_url: `${url}/logs`,
      cancel_url: `${url}/cancel`,
      rerun_url: `${url}/rerun`,
      workflow_url: `${repositoryUrl(c.var.base, repository)}/actions/workflows/${workflowId(repository, workflowPath(job))}`,
      repository: minimalRepository(c.var.base, repository),
      head_repository: minimalRepository(c.var.base, repository),
    };
  };

  const jobView = (c: Ctx, repository: Repository, job: Job) => {
    const url = repositoryUrl(c.var.base, repository);
    const times = jobTimes(job);
    const step = {
      name: "Run",
      status: job.status,
      conclusion: job.conclusion,
      number: 1,
      started_at: times.started_at,
      completed_at: times.completed_at,
    };
    return {
      id: job.id,
      run_id: job.runId,
      workflow_name: job.workflow ?? job.name,
      head_branch: job.headBranch,
      run_url: `${url}/actions/runs/${job.runId}`,
      run_attempt: 1,
      node_id: nodeId("CheckRun", job.id),
      head_sha: job.headSha,
      url: `${url}/actions/jobs/${job.id}`,
      html_url: `https://github.com/${fullName(repository)}/actions/runs/${job.runId}/job/${job.id}`,
      status: job.status,
      conclusion: job.conclusion,
      ...times,
      name: job.name,
      steps: job.status === "queued" ? [] : [step],
      check_run_url: `${url}/check-runs/${job.id}`,
      labels: job.labels,
      runner_id: job.runnerKind === "hosted" ? 0 : job.runnerId,
      runner_name: job.runnerKind === "hosted" ? `GitHub Actions ${job.id}` : job.runner,
      runner_group_id: job.runnerKind === "hosted" ? 0 : (job.runnerGroup?.id ?? null),
      runner_group_name:
        job.runnerKind === "hosted" ? "GitHub Actions" : (job.runnerGroup?.name ?? null),
    };
  };

  const runs = (c: Ctx, repository: Repository, among: readonly Job[]) => {
    const { status, branch, head_sha: sha, event } = c.req.query();
    const all = among
      .filter(
        (job) => status === undefined || [job.status, job.conclusion].includes(status as never),
      )
      .filter((job) => branch === undefined || job.headBranch === branch)
      .filter((job) => sha === undefined || job.headSha === sha)
      .filter(() => event === undefined || event === "workflow_dispatch")
      .reverse();
    return c.json({
      total_count: all.length,
      workflow_runs: paginate(c, all).map((job) => runView(c, repository, job)),
    });
  };

  app.get(`${root}/runs`, (c) => {
    const repository = at(c, "read");
    return runs(c, repository, of(repository));
  });

  app.get(`${root}/workflows/:workflow/runs`, (c) => {
    const repository = at(c, "read");
    const { path } = findWorkflow(repository, jobs, c.req.param("workflow"));
    const its = of(repository).filter((job) => workflowPath(job) === path);
    return runs(c, repository, its);
  });

  app.get(`${root}/runs/:run`, (c) => {
    const repository = at(c, "read");
    return c.json(runView(c, repository, find(c, repository, "runId", "run")));
  });

  app.get(`${root}/runs/:run/jobs`, (c) => {
    const repository = at(c, "read");
    const job = find(c, repository, "runId", "run");
    return c.json({
      total_count: 1,
      jobs: paginate(c, [job]).map((one) => jobView(c, repository, one)),
    });
  });

  app.post(`${root}/runs/:run/cancel`, (c) => {
    const repository = at(c, "write");
    const job = find(c, repository, "runId", "run");
    if (job.status === "completed")
      throw new ApiError(409, "Cannot cancel a workflow run that is completed.");
    jobs.cancel(job.id);
    return c.json({}, 202);
  });

  const redirectToLogs = (c: Ctx, job: Job, archive: boolean): Response => {
    const key = randomBytes(16).toString("hex");
    links.set(key, { job: job.id, archive, expiresAt: world.now() + 60_000 });
    return c.redirect(`${c.var.base}/_local/logs/${key}`, 302);
  };

  app.get(`${root}/runs/:run/logs`, (c) => {
    const repository = at(c, "read");
    const job = find(c, repository, "runId", "run");
    if (job.status !== "completed") throw notFound();
    return redirectToLogs(c, job, true);
  });

  /** Jobs here have no service to upload artifacts to. */
  app.get(`${root}/runs/:run/artifacts`, (c) => {
    find(c, at(c, "read"), "runId", "run");
    return c.json({ total_count: 0, artifacts: [] });
  });

  app.get("/repos/:owner/:repo/check-runs/:job/annotations", (c) => {
    const repository = repositoryAt(c, { permission: "checks", level: "read", role: "read" });
    const job = find(c, repository, "id", "job");
    const levels = { error: "failure", warning: "warning", notice: "notice" } as const;
    const all = job.log.split("\n").flatMap((line, index) => {
      const [, level, message] = /##\[(error|warning|notice)\](.*)$/.exec(line) ?? [];
      if (level === undefined) return [];
      return {
        path: ".github",
        blob_href: `https://github.com/${fullName(repository)}/blob/${job.headSha}/.github`,
        start_line: index + 1,
        start_column: null,
        end_line: index + 1,
        end_column: null,
        annotation_level: levels[level as keyof typeof levels],
        title: "",
        message,
        raw_details: "",
      };
    });
    return c.json(paginate(c, all));
  });

  app.get(`${root}/jobs/:job`, (c) => {
    const repository = at(c, "read");
    return c.json(jobView(c, repository, find(c, repository, "id", "job")));
  });

  app.get(`${root}/jobs/:job/logs`, (c) => {
    const repository = at(c, "read");
    const job = find(c, repository, "id", "job");
    if (job.status === "queued") throw notFound();
    return redirectToLogs(c, job, false);
  });

  app.get("/_local/logs/:key", (c) => {
    const link = links.get(c.req.param("key"));
    if (link === undefined || link.expiresAt < world.now()) throw notFound();
    const { name, log } = jobs.get(link.job);
    if (!link.archive) return c.text(log);
    const folder = name.replaceAll("/", "");
    const files = new Map([
      [`0_${folder}.txt`, log],
      // The one step, by its number and name.
      [`${folder}/1_Run.txt`, log],
    ]);
    return c.body(zip(files), 200, { "content-type": "application/zip" });
  });

  app.post("/_local/jobs", async (c) => {
    const request = await body(c, jobRequest);
    // A job is a program that runs on this machine: whoever may start one can write to the repository.
    c.var.access.repository(request.repository, {
      permission: "actions",
      level: "write",
      role: "write",
    });
    let job: Job;
    try {
      job = jobs.enqueue(withoutUndefined(request));
    } catch (error) {
      throw new ApiError(422, error instanceof Error ? error.message : String(error));
    }
    return c.json(job, 201);
  });

  const visible = (c: Ctx): Job[] =>
    jobs.list().filter((job) => {
      const repository = world.repository(job.repository);
      return repository !== undefined && c.var.access.canSee(repository);
    });

  app.get("/_local/jobs", (c) => {
    c.var.access.token();
    return c.json(visible(c));
  });

  app.get("/_local/jobs/:job", (c) => {
    c.var.access.token();
    const id = idParameter(c, "job");
    const job = visible(c).find((one) => one.id === id);
    if (job === undefined) throw notFound();
    return c.json(job);
  });

  return app;
}

const labels = z.union([z.string(), z.array(z.string())]);
const work = {
  repository: z.string(),
  script: z.string().optional(),
  durationMs: z.number().min(0).optional(),
  env: z.record(z.string(), z.string()).optional(),
  secrets: z.array(z.string()).optional(),
  timeoutSeconds: z.number().positive().optional(),
};
const jobRequest = z.union([
  z.strictObject({
    ...work,
    name: z.string(),
    runsOn: z.union([
      labels,
      z.strictObject({ group: z.string().optional(), labels: labels.optional() }),
    ]),
  }),
  z.strictObject({ ...work, workflow: z.string(), job: z.string() }),
]);

/** zod says "or undefined" where the interface says "may be absent". */
function withoutUndefined(request: z.infer<typeof jobRequest>): JobRequest {
  return JSON.parse(JSON.stringify(request)) as JobRequest;
}
