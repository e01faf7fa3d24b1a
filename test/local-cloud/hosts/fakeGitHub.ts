import assert from "node:assert/strict";
import { Hono } from "hono";

export interface FakeJob {
  readonly id: string;
  readonly script: string;
  readonly masks?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  log: string;
  runner?: string;
  result?: string;
  cancelled: boolean;
}

interface FakeRunner {
  readonly id: number;
  readonly name: string;
  readonly credential: string;
  readonly labels: readonly string[];
  readonly ephemeral: boolean;
  session?: string;
}

/** As much of GitHub as runners and the token service need: tokens, registration, one queue of jobs. */
export class FakeGitHub {
  readonly runners = new Map<string, FakeRunner>();
  readonly jobs = new Map<string, FakeJob>();
  readonly requests: string[] = [];
  private readonly queue: FakeJob[] = [];
  private nextId = 1;

  constructor(
    private readonly organization: string,
    private readonly pat: string,
  ) {}

  readonly handler = (request: Request): Response | Promise<Response> => {
    this.requests.push(`${request.method} ${request.url}`);
    return this.app.fetch(request);
  };

  enqueue(script: string, more: Partial<Pick<FakeJob, "masks" | "env">> = {}): FakeJob {
    const job: FakeJob = { id: String(this.nextId++), script, log: "", cancelled: false, ...more };
    this.jobs.set(job.id, job);
    this.queue.push(job);
    return job;
  }

  online(): string[] {
    return [...this.runners.values()].filter((r) => r.session !== undefined).map((r) => r.name);
  }

  /** A runner made by GitHub, and the configuration that starts it. */
  jitConfig(name: string): string {
    const runner = this.add(name, ["jit"], true);
    const { id, credential } = runner;
    const config = {
      url: `https://github.com/${this.organization}`,
      credential,
      runner_id: id,
      name,
    };
    return Buffer.from(JSON.stringify(config)).toString("base64");
  }

  private add(name: string, labels: readonly string[], ephemeral: boolean): FakeRunner {
    const id = this.nextId++;
    const runner = { id, name, labels, ephemeral, credential: `credential-${id}` };
    this.runners.set(name, runner);
    return runner;
  }

  private by(authorization: string | undefined): FakeRunner | undefined {
    return [...this.runners.values()].find((r) => authorization === `Bearer ${r.credential}`);
  }

  private readonly app = new Hono()
    .post("/orgs/:org/actions/runners/:kind", (c) => {
      if (c.req.header("authorization") !== `token ${this.pat}`) {
        return c.json({ message: "Bad credentials" }, 401);
      }
      if (c.req.param("org") !== this.organization) return c.json({ message: "Not Found" }, 404);
      return c.json({ token: c.req.param("kind").toUpperCase(), expires_at: "" }, 201);
    })
    .post("/_runner/register", async (c) => {
      const body = await c.req.json<Record<string, unknown>>();
      assert.deepEqual(
        { version: body.version, os: body.os, architecture: body.architecture, url: body.url },
        {
          version: "2.336.0",
          os: "Linux",
          architecture: "ARM64",
          url: `https://github.com/${this.organization}`,
        },
      );
      if (body.token !== "REGISTRATION-TOKEN") return c.json({ message: "Not Found" }, 404);
      const runner = this.add(
        body.name as string,
        body.labels as string[],
        body.ephemeral as boolean,
      );
      const { id, credential, name } = runner;
      return c.json({ runner_id: id, credential, name, pool: "Default" }, 201);
    })
    .post("/_runner/remove", async (c) => {
      const body = await c.req.json<Record<string, string>>();
      if (body.token !== "REMOVE-TOKEN") return c.json({ message: "Not Found" }, 404);
      this.runners.delete(body.name ?? "");
      return c.body(null, 204);
    })
    .post("/_runner/sessions", (c) => {
      const runner = this.by(c.req.header("authorization"));
      if (!runner) return c.json({ message: "Unauthorized" }, 401);
      runner.session = `session-${this.nextId++}`;
      return c.json({ session_id: runner.session }, 201);
    })
    .delete("/_runner/sessions/:id", (c) => {
      const runner = this.by(c.req.header("authorization"));
      if (runner) runner.session = undefined;
      return c.body(null, 204);
    })
    .get("/_runner/messages", async (c) => {
      const runner = this.by(c.req.header("authorization"));
      for (let waited = 0; waited < 2000; waited += 50) {
        if (!runner || !this.runners.has(runner.name)) return c.json({ message: "Gone" }, 410);
        const job = this.queue.shift();
        if (job) {
          job.runner = runner.name;
          return c.json({
            job_id: job.id,
            name: "build",
            run_id: 7,
            repository: `${this.organization}/webppt`,
            script: job.script,
            env: job.env ?? {},
            timeout_seconds: 120,
            masks: job.masks ?? [],
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return c.body(null, 204);
    })
    .post("/_runner/jobs/:id/:what", async (c) => {
      const job = this.jobs.get(c.req.param("id"));
      const runner = this.by(c.req.header("authorization"));
      if (!job || !runner) return c.json({ message: "Not Found" }, 404);
      const what = c.req.param("what");
      if (what === "log") job.log += await c.req.text();
      if (what === "complete") {
        job.result = (await c.req.json<{ result: string }>()).result;
        if (runner.ephemeral) this.runners.delete(runner.name);
      }
      return c.json({ cancelled: job.cancelled });
    });
}
