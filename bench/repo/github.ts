import { z } from "zod";
import { Api, ApiError, type ApiOptions } from "../../components/preflight/api";

/** The part of GitHub's REST API that dispatches workflows of one repository and reads how they went. */

const API_HEADERS = {
  Accept: "application/vnd.github+json",
  "X-GitHub-Api-Version": "2022-11-28",
};
const TIMEOUT_MS = 30_000;

const workflowSchema = z.object({ id: z.number(), path: z.string(), state: z.string() });
const contentSchema = z.object({ encoding: z.literal("base64"), content: z.string() });

const runSchema = z.object({
  id: z.number(),
  status: z.string(),
  conclusion: z.string().nullable(),
  html_url: z.string(),
  created_at: z.string(),
});
export type WorkflowRun = z.output<typeof runSchema>;

const jobSchema = z.object({
  name: z.string(),
  status: z.string(),
  conclusion: z.string().nullable(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  completed_at: z.string().nullable(),
  runner_name: z.string().nullable(),
  runner_group_name: z.string().nullable(),
});
export type WorkflowJob = z.output<typeof jobSchema>;

const runsSchema = z.object({ workflow_runs: z.array(runSchema) });
const jobsSchema = z.object({ total_count: z.number(), jobs: z.array(jobSchema) });
const dispatchedSchema = z.object({ workflow_run_id: z.number() });

/** Jobs of a run on one page, which is GitHub's limit; the emitted workflows have six at most. */
const PAGE = 100;

export class RepositoryActions {
  readonly #api: Api;
  readonly #fetch: typeof fetch;
  readonly #base: string;
  readonly #token: string;
  readonly #path: string;

  /**
   * @param base URL of the REST API without a slash at its end
   * @param repository `OWNER/NAME`
   */
  constructor(base: string, token: string, repository: string, options: ApiOptions = {}) {
    this.#api = new Api("GitHub's API", base, token, API_HEADERS, options);
    this.#fetch = options.fetch ?? fetch;
    this.#base = base;
    this.#token = token;
    this.#path = `/repos/${repository.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** Name of the default branch; undefined when the token sees no such repository. */
  async defaultBranch(): Promise<string | undefined> {
    const schema = z.object({ default_branch: z.string() });
    return (await this.#api.get(this.#path, schema))?.default_branch;
  }

  async hasBranch(branch: string): Promise<boolean> {
    const path = `${this.#path}/branches/${encodeURIComponent(branch)}`;
    return (await this.#api.get(path, z.object({ name: z.string() }))) !== undefined;
  }

  /** State of the workflow of that file on the default branch, such as `active`; undefined when there is none. */
  async workflowState(file: string): Promise<string | undefined> {
    return (await this.#api.get(this.#workflow(file), workflowSchema))?.state;
  }

  /** Text of a workflow file on a branch; undefined when it is not there. */
  async workflowFile(file: string, branch: string): Promise<string | undefined> {
    const path = `${this.#path}/contents/.github/workflows/${encodeURIComponent(file)}?ref=${encodeURIComponent(branch)}`;
    const found = await this.#api.get(path, contentSchema);
    return found && Buffer.from(found.content, "base64").toString();
  }

  /**
   * Starts a workflow on a branch.
   * @returns the id of the run; undefined where GitHub does not tell, as GitHub Enterprise Server of before 2026
   * @throws ApiError when GitHub refuses
   */
  async dispatch(file: string, branch: string): Promise<number | undefined> {
    const asked = await this.#post(`${this.#workflow(file)}/dispatches`, {
      ref: branch,
      return_run_details: true,
    });
    // A server that does not know the option refuses it by name.
    const answer =
      [400, 422].includes(asked.status) && asked.text.includes("return_run_details")
        ? await this.#post(`${this.#workflow(file)}/dispatches`, { ref: branch })
        : asked;
    if (answer.status === 204) return undefined;
    if (answer.status === 200) {
      const told = dispatchedSchema.safeParse(parseJson(answer.text));
      if (told.success) return told.data.workflow_run_id;
      throw new ApiError("an answer without the id of the run", answer.status);
    }
    throw new ApiError(reasonOf(answer.text), answer.status);
  }

  /** Newest first, one page. */
  async dispatchedRuns(file: string, branch: string): Promise<WorkflowRun[]> {
    const query = `event=workflow_dispatch&branch=${encodeURIComponent(branch)}&per_page=${PAGE}`;
    const found = await this.#api.get(`${this.#workflow(file)}/runs?${query}`, runsSchema);
    return found?.workflow_runs ?? [];
  }

  async run(id: number): Promise<WorkflowRun | undefined> {
    return this.#api.get(`${this.#path}/actions/runs/${id}`, runSchema);
  }

  /** Jobs of the last attempt. */
  async jobs(run: number): Promise<WorkflowJob[]> {
    const path = `${this.#path}/actions/runs/${run}/jobs?per_page=${PAGE}`;
    return (await this.#api.get(path, jobsSchema))?.jobs ?? [];
  }

  #workflow(file: string): string {
    return `${this.#path}/actions/workflows/${encodeURIComponent(file)}`;
  }

  /** Not tried again: what did not answer may have started all the same. */
  async #post(path: string, body: unknown): Promise<{ status: number; text: string }> {
    try {
      const answer = await this.#fetch(this.#base + path, {
        method: "POST",
        headers: {
          "User-Agent": "runner-fleet",
          "Content-Type": "application/json",
          Authorization: `Bearer ${this.#token}`,
          ...API_HEADERS,
        },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      return { status: answer.status, text: await answer.text() };
    } catch (error) {
      const { message, cause } = error as Error & { cause?: { code?: unknown } };
      const code = typeof cause?.code === "string" ? cause.code : message;
      throw new ApiError(`no answer (${code})`);
    }
  }
}

function reasonOf(text: string): string {
  const { message } = (parseJson(text) ?? {}) as { message?: unknown };
  return typeof message === "string" ? message.replace(/\.+$/, "") : "no reason given";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
