import assert from "node:assert/strict";
import type { JobMessage } from "../../../local-cloud/github/jobs";
import type { Bench } from "./support";

/** A runner that speaks the wire protocol. */
export interface TestRunner {
  readonly id: number;
  readonly name: string;
  readonly credential: string;
  readonly pool: string;
  session: string;
  /** Opens a session: the runner is online. */
  connect(): Promise<void>;
  /** One poll; null when there was nothing. */
  poll(signal?: AbortSignal): Promise<JobMessage | null>;
  report(
    job: number | string,
    what: "log" | "heartbeat" | "complete",
    body: unknown,
  ): Promise<unknown>;
}

export async function registrationToken(
  bench: Bench,
  at = "orgs/acme",
  kind: "registration" | "remove" = "registration",
): Promise<string> {
  const { token } = await bench.expect<{ token: string }>(
    201,
    "POST",
    `/${at}/actions/runners/${kind}-token`,
  );
  return token;
}

export function registration(token: string, extra: Record<string, unknown> = {}) {
  return {
    url: "https://github.com/acme",
    token,
    name: "r1",
    labels: ["docker"],
    ephemeral: false,
    replace: false,
    disable_update: true,
    version: "2.336.0",
    os: "Linux",
    architecture: "ARM64",
    ...extra,
  };
}

/** Registers a runner and connects it. */
export async function online(
  bench: Bench,
  extra: Record<string, unknown> & { at?: string } = {},
): Promise<TestRunner> {
  const { at = "orgs/acme", ...settings } = extra;
  const token = await registrationToken(bench, at);
  const made = await bench.expect<{
    runner_id: number;
    name: string;
    credential: string;
    pool: string;
  }>(201, "POST", "/_runner/register", registration(token, settings), { token: "" });
  const runner = attach(bench, made);
  await runner.connect();
  return runner;
}

export function attach(
  bench: Bench,
  made: { runner_id: number; name: string; credential: string; pool?: string },
): TestRunner {
  const options = {
    token: "",
    headers: { authorization: `Bearer ${made.credential}` },
  };
  const runner: TestRunner = {
    id: made.runner_id,
    name: made.name,
    credential: made.credential,
    pool: made.pool ?? "",
    session: "",
    connect: async () => {
      const { session_id: id } = await bench.expect<{ session_id: string }>(
        201,
        "POST",
        "/_runner/sessions",
        undefined,
        options,
      );
      runner.session = id;
    },
    poll: async (signal) => {
      const response = await bench.github.fetch(
        new Request(`http://127.0.0.1:8080/_runner/messages?session=${runner.session}`, {
          ...(signal !== undefined && { signal }),
        }),
      );
      if (response.status === 204) return null;
      assert.equal(response.status, 200);
      return (await response.json()) as JobMessage;
    },
    report: async (job, what, body) => {
      const answer = await bench.call("POST", `/_runner/jobs/${job}/${what}`, body, options);
      assert.ok([200, 204].includes(answer.status), JSON.stringify(answer.body));
      return answer.body;
    },
  };
  return runner;
}

/** Takes jobs until the poll's answer is nothing, and does what they say as a success. */
export async function serve(runner: TestRunner): Promise<JobMessage> {
  const job = await runner.poll();
  assert.ok(job !== null, `${runner.name} got no job`);
  await runner.report(job.job_id, "complete", { result: "succeeded", exit_code: 0 });
  return job;
}
