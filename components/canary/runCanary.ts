import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { type ApiTarget, HostError, request } from "../host/request";

/** One start of the workflow that proves a host. */
export interface CanaryJob {
  /** Name of the server, which is a label of its runners. */
  readonly host: string;
  readonly github: ApiTarget;
  /** Repository with its owner. */
  readonly repository: string;
  /** Name of the workflow's file. */
  readonly workflow: string;
  readonly branch: string;
}

/** In seconds. */
export interface CanaryPace {
  readonly poll: number;
  /** How long GitHub may not know a workflow whose file has just been committed. */
  readonly appears: number;
}

export const CANARY_PACE: CanaryPace = { poll: 5, appears: 120 };

const runView = z.object({
  id: z.int(),
  display_title: z.string(),
  status: z.string().nullable(),
  conclusion: z.string().nullable(),
  html_url: z.string(),
});
type RunView = z.output<typeof runView>;
const runsPage = z.object({ workflow_runs: z.array(runView) });

/**
 * Starts the workflow for one host and waits for its end.
 * @returns address of the run
 * @throws HostError with one sentence when it does not succeed within `timeoutSeconds`. Then it is cancelled: queued, it
 * would wait for a day.
 */
export async function runCanary(
  job: CanaryJob,
  timeoutSeconds: number,
  pace: CanaryPace = CANARY_PACE,
): Promise<string> {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const wait = () => pause(1000 * pace.poll * Math.min(6, 1 + elapsed() / 60));
  const id = randomUUID();
  await start(job, id, Math.min(pace.appears, timeoutSeconds), pace);

  const { host, github, repository } = job;
  let run: RunView | undefined;
  for (;;) {
    run = run === undefined ? await find(job, id) : await look(job, run.id);
    if (run?.status === "completed") break;
    if (elapsed() >= timeoutSeconds) {
      if (run !== undefined) {
        const path = `/repos/${repository}/actions/runs/${run.id}/cancel`;
        // 409: it has ended meanwhile.
        await request(github, "POST", path, [202, 409]);
      }
      const state = run === undefined ? "has no run" : `is still ${run.status ?? "not started"}`;
      throw new HostError(
        `${host}: its canary ${state} after ${timeoutSeconds} s, expected one that succeeds; ${CONSEQUENCE}${run === undefined ? "." : `: ${run.html_url}`}`,
      );
    }
    await wait();
  }
  if (run.conclusion === "success") return run.html_url;
  throw new HostError(
    `${host}: its canary ended with ${run.conclusion ?? "nothing"}, expected success; ${CONSEQUENCE}: ${run.html_url}`,
  );
}

const CONSEQUENCE = "no host goes, and the next run tries again";

const refusal = z.object({ message: z.string() });

async function start(
  { host, github, repository, workflow, branch }: CanaryJob,
  id: string,
  limitSeconds: number,
  pace: CanaryPace,
): Promise<void> {
  const path = `/repos/${repository}/actions/workflows/${workflow}/dispatches`;
  const body = { ref: branch, inputs: { host, id } };
  for (const end = performance.now() + limitSeconds * 1000; ;) {
    // 404 and 422 also while GitHub does not know the file yet, or only the one before it.
    const answer = await request(github, "POST", path, [200, 204, 404, 422], body);
    if (answer.status < 300) return;
    if (performance.now() >= end) {
      const { success, data } = refusal.safeParse(answer.body);
      throw new HostError(
        `GitHub does not start ${workflow} in ${repository} for ${host}: ${success ? data.message.replace(/\.+$/, "") : answer.status}.`,
      );
    }
    await pause(pace.poll * 1000);
  }
}

/** GitHub names no run when it starts one; the id is in the name that the workflow gives it. */
async function find(
  { github, repository, workflow }: CanaryJob,
  id: string,
): Promise<RunView | undefined> {
  const path = `/repos/${repository}/actions/workflows/${workflow}/runs?event=workflow_dispatch&per_page=100`;
  const { body } = await request(github, "GET", path, [200]);
  const { workflow_runs: runs } = parsed(runsPage, body, path);
  return runs.find((run) => run.display_title.includes(id));
}

async function look({ github, repository }: CanaryJob, run: number): Promise<RunView> {
  const path = `/repos/${repository}/actions/runs/${run}`;
  const { body } = await request(github, "GET", path, [200]);
  return parsed(runView, body, path);
}

function parsed<T>(schema: z.ZodType<T>, body: unknown, path: string): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw new HostError(`GitHub answered GET ${path} with something else than documented.`);
}
