import { setTimeout as pause } from "node:timers/promises";
import { ActionFailure, type ActionRun } from "../action";

const ATTEMPTS = 3;
const PAUSE_MS = 1000;
const TIME_LIMIT_MS = 60_000;

/** Reads from GitHub's REST API, again where the connection or the server failed. @throws ActionFailure */
export async function get(run: ActionRun, path: string, token: string): Promise<Response> {
  const url = `${String(run.github["api_url"])}${path}`;
  for (let attempt = 1; ; attempt++) {
    let failure: string;
    try {
      const response = await fetch(url, {
        headers: {
          Accept: "application/vnd.github+json",
          "User-Agent": "local-cloud-actions",
          "X-GitHub-Api-Version": "2022-11-28",
          ...(token !== "" && { Authorization: `token ${token}` }),
        },
        signal: AbortSignal.any([run.signal, AbortSignal.timeout(TIME_LIMIT_MS)]),
      });
      if (response.ok) return response;
      const body = (await response.json().catch(() => undefined)) as
        { message?: unknown } | undefined;
      failure = `GitHub answered ${response.status} to GET ${path}: ${typeof body?.message === "string" ? body.message : response.statusText}`;
      if (response.status < 500) throw new ActionFailure(failure);
    } catch (error) {
      if (error instanceof ActionFailure || run.signal.aborted) throw error;
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      failure = `GET ${url} failed: ${cause instanceof Error ? cause.message : String(cause)}`;
    }
    if (attempt === ATTEMPTS) throw new ActionFailure(failure);
    run.info(`${failure}. Waiting ${PAUSE_MS / 1000} s before trying again`);
    await pause(PAUSE_MS, undefined, { signal: run.signal });
  }
}
