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
import { type Job, type Jobs, jobTimes } from "../jobs";
import type { Repository } from "../model";
import { accountView, fullName, minimalRepository, nodeId, repositoryUrl } from "../views";
import { WorkflowError } from "../workflows/file";
import type { JobRequest, RunAttempt, WorkflowRun, WorkflowRuns } from "../workflows/runs";
import type { World } from "../world";
import { zip } from "../zip";
import { repositoryAt } from "./shared";
import { findWorkflow, workflowId } from "./workflows";

/** Workflow runs and their jobs. Below `/_local` lies what GitHub does not have: putting a job into the queue. */
export function runRoutes(world: World, jobs: Jobs, all: WorkflowRuns): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const root = "/repos/:owner/:repo/actions";
  /** Links to logs live a minute. */
  const links = new Map<string, { jobs: readonly number[]; archive: boolean; expiresAt: number }>();

  const at = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, {
      permission: "actions",
      level,
      role: level,
    });
  const findRun = (c: Ctx, repository: Repository): WorkflowRun => {
    const run = all.find(idParameter(c, "run"));
    if (run?.repository !== fullName(repository)) throw notFound();
    return run;
  };
  const findAttempt = (c: Ctx, run: WorkflowRun): RunAttempt => {
    const attempt = run.attempts[idParameter(c, "attempt") - 1];
    if (attempt === undefined) throw notFound();
    return attempt;
  };
  const findJob = (c: Ctx, repository: Repository): Job => {
    const job = jobs.find(idParameter(c, "job"));
    if (job?.repository !== fullName(repository)) throw notFound();
    return job;
  };
  const actor = (c: Ctx, repository: Repository, login: string) =>
    accountView(c.var.base, world.account(login) ?? { ...repository.owner, login, type: "User" });

  const runView = (c: Ctx, repository: Repository, run: WorkflowRun, attempt?: RunAttempt) => {
    const of = attempt ?? run;
    const number = attempt?.number ?? run.attempts.length;
    const url = `${repositoryUrl(c.var.base, repository)}/actions/runs/${run.id}`;
    const ended = of.jobs.map((job) => job.completedAt ?? job.startedAt ?? job.queuedAt);
    const workflow = workflowId(repository, run.path);
    const head = world.repository(run.headRepository) ?? repository;
    const commit = repository.git.commit(run.headSha);
    const pulls = run.pullRequests.flatMap(
      (one) => repository.pulls.find((pull) => pull.number === one) ?? [],
    );
    return {
      id: run.id,
      name: run.name,
      node_id: nodeId("WorkflowRun", run.id),
      head_branch: run.headBranch,
      head_sha: run.headSha,
      path: run.path,
      display_title: run.displayTitle,
      run_number: run.number,
      run_attempt: number,
      event: run.event,
      status: of.status,
      conclusion: of.conclusion,
      workflow_id: workflow,
      check_suite_id: run.id,
      url,
      html_url: `https://github.com/${fullName(repository)}/actions/runs/${run.id}`,
      pull_requests: pulls.map((pull) => ({
        id: pull.id,
        number: pull.number,
        url: `${repositoryUrl(c.var.base, repository)}/pulls/${pull.number}`,
        head: { ref: pull.headBranch, sha: pull.headSha, repo: reference(c, head) },
        base: {
          ref: pull.baseBranch,
          sha: repository.git.refs.get(`refs/heads/${pull.baseBranch}`) ?? "",
          repo: reference(c, repository),
        },
      })),
      created_at: iso(run.createdAt),
      updated_at: iso(of.completedAt ?? Math.max(of.startedAt, ...ended)),
      actor: actor(c, repository, run.actor),
      run_started_at: iso(of.startedAt),
      triggering_actor: actor(c, repository, of.triggeringActor),
      referenced_workflows: run.referencedWorkflows,
      jobs_url: `${url}/jobs`,
      logs_url: `${url}/logs`,
      check_suite_url: `${repositoryUrl(c.var.base, repository)}/check-suites/${run.id}`,
      artifacts_url: `${url}/artifacts`,
      cancel_url: `${url}/cancel`,
      rerun_url: `${url}/rerun`,
      previous_attempt_url: number > 1 ? `${url}/attempts/${number - 1}` : null,
      workflow_url: `${repositoryUrl(c.var.base, repository)}/actions/workflows/${workflow}`,
      head_commit:
        commit === undefined
          ? null
          : {
              id: commit.sha,
              tree_id: commit.tree,
              message: commit.message,
              timestamp: commit.committer.date,
              author: { name: commit.author.name, email: commit.author.email },
              committer: { name: commit.committer.name, email: commit.committer.email },
            },
      repository: minimalRepository(c.var.base, repository),
      head_repository: minimalRepository(c.var.base, head),
    };
  };

  const jobView = (c: Ctx, repository: Repository, job: Job) => {
    const url = repositoryUrl(c.var.base, repository);
    const times = jobTimes(job);
    // A job that is one script has one step.
    const script = {
      name: "Run",
      status: job.status,
      conclusion: job.conclusion,
      number: 1,
      started_at: times.started_at,
      completed_at: times.completed_at,
    };
    const began = job.startedAt !== null;
    const hosted = job.runnerKind === "hosted";
    return {
      id: job.id,
      run_id: job.runId,
      workflow_name: all.find(job.runId)?.name ?? job.name,
      head_branch: job.headBranch,
      run_url: `${url}/actions/runs/${job.runId}`,
      run_attempt: job.attempt,
      node_id: nodeId("CheckRun", job.id),
      head_sha: job.headSha,
      url: `${url}/actions/jobs/${job.id}`,
      html_url: `https://github.com/${fullName(repository)}/actions/runs/${job.runId}/job/${job.id}`,
      status: job.status,
      conclusion: job.conclusion,
      ...times,
      name: job.name,
      steps: job.steps.length > 0 || job.hasSteps ? job.steps : began ? [script] : [],
      check_run_url: `${url}/check-runs/${job.id}`,
      labels: job.labels,
      runner_id: hosted ? 0 : job.runnerId,
      runner_name: hosted ? `GitHub Actions ${job.id}` : job.runner,
      runner_group_id: hosted ? 0 : (job.runnerGroup?.id ?? null),
      runner_group_name: hosted ? "GitHub Actions" : (job.runnerGroup?.name ?? null),
    };
  };

  const list = (c: Ctx, repository: Repository, among: readonly WorkflowRun[]) => {
    const { status, branch, head_sha: sha, event, actor: login, created } = c.req.query();
    const found = among
      .filter(
        (run) => status === undefined || [run.status, run.conclusion].includes(status as never),
      )
      .filter((run) => branch === undefined || run.headBranch === branch)
      .filter((run) => sha === undefined || run.headSha === sha)
      .filter((run) => created === undefined || within(created, run.createdAt))
      .filter((run) => event === undefined || run.event === event)
      .filter((run) => login === undefined || run.actor.toLowerCase() === login.toLowerCase());
    return c.json({
      total_count: found.length,
      workflow_runs: paginate(c, found).map((run) => runView(c, repository, run)),
    });
  };

  app.get(`${root}/runs`, (c) => {
    const repository = at(c, "read");
    return list(c, repository, all.list(repository));
  });

  app.get(`${root}/workflows/:workflow/runs`, (c) => {
    const repository = at(c, "read");
    const { path } = findWorkflow(repository, all, c.req.param("workflow"));
    return list(
      c,
      repository,
      all.list(repository).filter((run) => run.path === path),
    );
  });

  app.get(`${root}/runs/:run`, (c) => {
    const repository = at(c, "read");
    return c.json(runView(c, repository, findRun(c, repository)));
  });

  app.get(`${root}/runs/:run/attempts/:attempt`, (c) => {
    const repository = at(c, "read");
    const run = findRun(c, repository);
    return c.json(runView(c, repository, run, findAttempt(c, run)));
  });

  const jobList = (c: Ctx, repository: Repository, of: readonly Job[]) =>
    c.json({
      total_count: of.length,
      jobs: paginate(c, of).map((one) => jobView(c, repository, one)),
    });

  app.get(`${root}/runs/:run/jobs`, (c) => {
    const repository = at(c, "read");
    const run = findRun(c, repository);
    const every = c.req.query("filter") === "all";
    return jobList(
      c,
      repository,
      every ? run.attempts.flatMap((attempt) => attempt.jobs) : run.jobs,
    );
  });

  app.get(`${root}/runs/:run/attempts/:attempt/jobs`, (c) => {
    const repository = at(c, "read");
    return jobList(c, repository, findAttempt(c, findRun(c, repository)).jobs);
  });

  app.get(`${root}/runs/:run/timing`, (c) => {
    const repository = at(c, "read");
    const run = findRun(c, repository);
    // Public repositories are not billed for GitHub's machines, and nobody is for their own.
    const billed = repository.private
      ? run.attempts
          .flatMap((attempt) => attempt.jobs.filter((job) => job.attempt === attempt.number))
          .filter((job) => job.runnerKind === "hosted" && job.completedAt !== null)
          .map((job) => ({
            job_id: job.id,
            duration_ms: (job.completedAt ?? 0) - (job.startedAt ?? 0),
          }))
      : [];
    const total = billed.reduce((sum, one) => sum + one.duration_ms, 0);
    return c.json({
      billable:
        billed.length === 0
          ? {}
          : { UBUNTU: { total_ms: total, jobs: billed.length, job_runs: billed } },
      ...(run.completedAt !== null && { run_duration_ms: run.completedAt - run.startedAt }),
    });
  });

  for (const [path, force] of [
    ["cancel", false],
    ["force-cancel", true],
  ] as const)
    app.post(`${root}/runs/:run/${path}`, (c) => {
      const run = findRun(c, at(c, "write"));
      if (run.status === "completed" && run.conclusion !== "action_required")
        throw new ApiError(409, "Cannot cancel a workflow run that is completed.");
      all.cancel(run.id, force);
      return c.json({}, 202);
    });

  const refused = (error: unknown): never => {
    if (error instanceof WorkflowError) throw new ApiError(403, error.message);
    throw error;
  };
  const debug = z.strictObject({ enable_debug_logging: z.boolean().optional() });
  const rerun = async (c: Ctx, id: number, what: Parameters<WorkflowRuns["rerun"]>[1]) => {
    const given = await body(c, debug);
    if (given.enable_debug_logging === true)
      throw new ApiError(422, "The local cloud does not model debug logging.");
    try {
      all.rerun(id, what, c.var.access.login);
    } catch (error) {
      refused(error);
    }
    return c.json({}, 201);
  };

  app.post(`${root}/runs/:run/rerun`, (c) => rerun(c, findRun(c, at(c, "write")).id, "all"));

  app.post(`${root}/runs/:run/rerun-failed-jobs`, (c) =>
    rerun(c, findRun(c, at(c, "write")).id, "failed"),
  );

  app.post(`${root}/jobs/:job/rerun`, (c) => {
    const job = findJob(c, at(c, "write"));
    return rerun(c, job.runId, { job: job.id });
  });

  app.post(`${root}/runs/:run/approve`, (c) => {
    const run = findRun(c, at(c, "write"));
    try {
      all.approve(run.id);
    } catch (error) {
      refused(error);
    }
    return c.json({}, 201);
  });

  app.post(`${root}/workflows/:workflow/dispatches`, async (c) => {
    const repository = at(c, "write");
    const { path } = findWorkflow(repository, all, c.req.param("workflow"));
    const given = await body(
      c,
      z.strictObject({
        ref: z.string(),
        inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
        return_run_details: z.boolean().optional(),
      }),
    );
    let run: WorkflowRun;
    try {
      const { pusher } = c.var.access;
      run = all.dispatch(repository, path, given.ref, given.inputs ?? {}, pusher);
    } catch (error) {
      if (error instanceof WorkflowError) throw new ApiError(422, error.message);
      throw error;
    }
    if (given.return_run_details !== true) return c.body(null, 204);
    return c.json({
      workflow_run_id: run.id,
      run_url: `${repositoryUrl(c.var.base, repository)}/actions/runs/${run.id}`,
      html_url: `https://github.com/${fullName(repository)}/actions/runs/${run.id}`,
    });
  });

  const redirectToLogs = (c: Ctx, of: readonly Job[], archive: boolean): Response => {
    const key = randomBytes(16).toString("hex");
    const ids = of.map(({ id }) => id);
    links.set(key, { jobs: ids, archive, expiresAt: world.now() + 60_000 });
    return c.redirect(`${c.var.base}/_local/logs/${key}`, 302);
  };

  app.get(`${root}/runs/:run/logs`, (c) => {
    const run = findRun(c, at(c, "read"));
    if (run.status !== "completed") throw notFound();
    return redirectToLogs(c, run.jobs, true);
  });

  app.get(`${root}/runs/:run/attempts/:attempt/logs`, (c) => {
    const attempt = findAttempt(c, findRun(c, at(c, "read")));
    if (attempt.status !== "completed") throw notFound();
    return redirectToLogs(c, attempt.jobs, true);
  });

  /** Jobs here have no service to upload artifacts to. */
  app.get(`${root}/runs/:run/artifacts`, (c) => {
    findRun(c, at(c, "read"));
    return c.json({ total_count: 0, artifacts: [] });
  });

  app.get("/repos/:owner/:repo/check-runs/:job/annotations", (c) => {
    const repository = repositoryAt(c, { permission: "checks", level: "read", role: "read" });
    const job = findJob(c, repository);
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
    return c.json(jobView(c, repository, findJob(c, repository)));
  });

  app.get(`${root}/jobs/:job/logs`, (c) => {
    const repository = at(c, "read");
    const job = findJob(c, repository);
    if (job.status === "queued") throw notFound();
    return redirectToLogs(c, [job], false);
  });

  app.get("/_local/logs/:key", (c) => {
    const link = links.get(c.req.param("key"));
    if (link === undefined || link.expiresAt < world.now()) throw notFound();
    const logs = link.jobs.map((id) => jobs.get(id));
    if (!link.archive) return c.text(logs[0]?.log ?? "");
    const files = new Map<string, string>();
    for (const [index, { name, log, steps, startedAt }] of logs.entries()) {
      if (startedAt === null) continue;
      const folder = name.replaceAll("/", "");
      files.set(`${index}_${folder}.txt`, log);
      // A job that is one script has one step; the log of several is not kept apart.
      if (steps.length === 0) files.set(`${folder}/1_Run.txt`, log);
    }
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
      job = all.enqueue(withoutUndefined(request));
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

/** Whether a time lies in a range as GitHub's search writes it: `>=A`, `>A`, `<=A`, `<A`, `A..B` or a day. */
function within(range: string, time: number): boolean {
  const [, sign = "", from = "", to] = /^(>=|<=|>|<)?([^.]+)(?:\.\.(.+))?$/.exec(range) ?? [];
  const start = Date.parse(from);
  // A day is meant to its end.
  const last = (text: string): number =>
    Date.parse(text) + (/^\d{4}-\d\d-\d\d$/.test(text) ? 86_399_999 : 999);
  if (Number.isNaN(start) || (to !== undefined && Number.isNaN(Date.parse(to))))
    throw new ApiError(422, `"${range}" is no range of times.`);
  switch (sign) {
    case ">=":
      return time >= start;
    case ">":
      return time > last(from);
    case "<":
      return time < start;
    case "<=":
      return time <= last(from);
    default:
      return time >= start && time <= last(to ?? from);
  }
}

/** The short form in which runs name the repositories of a pull request. */
function reference(c: Ctx, repository: Repository) {
  return { id: repository.id, url: repositoryUrl(c.var.base, repository), name: repository.name };
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
