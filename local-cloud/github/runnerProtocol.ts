import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, notFound } from "./http";
import type { Jobs } from "./jobs";
import type { Runner, RunnerGroup, RunnerScope } from "./model";
import { newRunner, unique } from "./routes/runners";
import type { World } from "./world";

/** GitHub refuses to register runners older than this. */
export const versionFloor = "2.329.0";

const version = z.string().regex(/^\d+\.\d+\.\d+$/, "expected a version such as 2.336.0");

const steps = z.array(
  z.strictObject({
    number: z.int().positive(),
    name: z.string(),
    status: z.enum(["queued", "in_progress", "completed"]),
    conclusion: z.enum(["success", "failure", "cancelled", "skipped"]).nullable(),
    started_at: z.string().nullable(),
    completed_at: z.string().nullable(),
  }),
);

/**
 * What a runner program and the service say to each other. GitHub's own protocol is not public: this one is the local
 * cloud's, spoken by its stand-in runner images, and carries what matters outside.
 *
 * - `POST /_runner/register` with a registration token → 201 with the runner's credential and its group (`pool`);
 *   404 for a token that is not good here or an unknown group, 409 for a taken name, 403 for a version GitHub no longer takes.
 * - `POST /_runner/remove` with a remove token → 204; 422 while the runner has a job.
 * - `POST /_runner/sessions` with the credential → 201: the runner is online. 409 while an older session is alive.
 *   `DELETE /_runner/sessions/<id>` ends it.
 * - `GET /_runner/messages?session=<id>` is held until there is a job (200) or the time is up (204); 410 when the runner is
 *   no longer known.
 * - `POST /_runner/jobs/<id>/{log,heartbeat,complete}`: the log as text in chunks, a sign of life that answers whether to
 *   stop, the result with the job's outputs and steps; a sign of life may carry the steps too. 410 when the job is no longer the runner's.
 */
export function runnerProtocol(world: World, jobs: Jobs): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();

  const scopeOf = (url: string): RunnerScope => {
    const [, login = "", name] =
      /^https?:\/\/[^/]+\/([^/]+)(?:\/([^/]+?))?(?:\.git)?\/?$/.exec(url) ?? [];
    const owner = world.account(login);
    if (owner === undefined) throw notFound();
    if (name === undefined) {
      if (owner.type !== "Organization") throw notFound();
      return { owner, repository: undefined };
    }
    const repository = world.repository(`${login}/${name}`);
    if (repository === undefined) throw notFound();
    return { owner, repository };
  };

  /** A good token of this kind for this very place, or 404 as the runner program sees it. */
  const checkToken = (value: string, kind: "registration" | "remove", scope: RunnerScope): void => {
    const token = world.runnerTokens.get(value);
    const good =
      token?.kind === kind &&
      token.expiresAt > world.now() &&
      token.scope.owner.id === scope.owner.id &&
      token.scope.repository?.id === scope.repository?.id;
    if (!good) throw notFound();
  };

  const groupFor = (scope: RunnerScope, name: string | undefined): RunnerGroup => {
    const groups = [...(world.organization(scope.owner.login)?.groups.values() ?? [])];
    const found = groups.find((group) =>
      name === undefined || scope.repository !== undefined
        ? group.isDefault
        : group.name.toLowerCase() === name.toLowerCase(),
    );
    if (found === undefined)
      throw new ApiError(404, `Could not find any self-hosted runner group named "${name}".`);
    return found;
  };

  const refuseDeprecated = (of: string | null, what: "register" | "receive"): void => {
    if (of === null) return;
    const dates = world.deprecations.get(of);
    const past = (at: Date | undefined): boolean => at !== undefined && +at <= world.now();
    if (what === "receive" && past(dates?.runtimeDeprecatesAt))
      throw new ApiError(403, `Runner version v${of} is deprecated and cannot receive messages.`);
    if (what === "register") {
      if (olderThan(of, versionFloor))
        throw new ApiError(
          403,
          `Runner version v${of} is too old to be registered: the minimum is v${versionFloor}.`,
        );
      if (past(dates?.registrationDeprecatesAt) || past(dates?.runtimeDeprecatesAt))
        throw new ApiError(403, `Runner version v${of} is deprecated and cannot be registered.`);
    }
  };

  app.post("/_runner/register", async (c) => {
    const given = await body(
      c,
      z.strictObject({
        url: z.string(),
        token: z.string(),
        name: z.string().min(1).max(64),
        labels: z.array(z.string().min(1)).max(100),
        runner_group: z.string().min(1).optional(),
        ephemeral: z.boolean(),
        replace: z.boolean(),
        disable_update: z.boolean(),
        version,
        os: z.string(),
        architecture: z.string(),
      }),
    );
    const scope = scopeOf(given.url);
    checkToken(given.token, "registration", scope);
    refuseDeprecated(given.version, "register");
    const group = groupFor(scope, given.runner_group);
    const labels = unique(["self-hosted", given.os, given.architecture, ...given.labels]);
    const known = world.runnersAt(scope).find((one) => one.name === given.name);
    let runner: Runner;
    if (known === undefined) {
      runner = newRunner(world, scope, { ...given, labels, groupId: group.id });
    } else {
      if (!given.replace)
        throw new ApiError(409, `A runner exists with the same name ${given.name}.`);
      // A replaced runner keeps its id and, as on GitHub, its group, whatever group is asked for.
      jobs.abandon(known);
      known.credential = randomBytes(24).toString("base64url");
      Object.assign(known, {
        labels,
        os: given.os,
        architecture: given.architecture,
        version: given.version,
        ephemeral: given.ephemeral,
        lastOnline: world.now(),
      });
      world.runners.set(known.id, known);
      runner = known;
    }
    return c.json(
      {
        runner_id: runner.id,
        credential: runner.credential,
        name: runner.name,
        pool: world.groupOf(runner)?.name ?? "Default",
      },
      201,
    );
  });

  app.post("/_runner/remove", async (c) => {
    const given = await body(
      c,
      z.strictObject({ url: z.string(), token: z.string(), name: z.string() }),
    );
    const scope = scopeOf(given.url);
    checkToken(given.token, "remove", scope);
    const runner = world.runnersAt(scope).find((one) => one.name === given.name);
    if (runner === undefined) throw notFound();
    if (runner.job !== undefined)
      throw new ApiError(422, `Bad request - Runner "${runner.name}" is still running a job"`);
    world.runners.delete(runner.id);
    jobs.abandon(runner);
    return c.body(null, 204);
  });

  /** The runner whose credential the request carries. */
  const runnerOf = (c: Ctx): Runner => {
    const credential = /^Bearer (.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const found = [...world.runners.values()].find((one) => one.credential === credential);
    if (found === undefined)
      throw new ApiError(
        401,
        "The runner registration has been deleted from the server, please re-configure.",
      );
    return found;
  };

  app.post("/_runner/sessions", async (c) => {
    const runner = runnerOf(c);
    // A just-in-time runner tells here what the others told when they registered.
    const given = await body(
      c,
      z.strictObject({
        version: version.optional(),
        os: z.string().optional(),
        architecture: z.string().optional(),
      }),
    );
    runner.version = given.version ?? runner.version;
    runner.os = given.os ?? runner.os;
    runner.architecture = given.architecture ?? runner.architecture;
    refuseDeprecated(runner.version, "receive");
    if (runner.session !== undefined && jobs.isOnline(runner))
      throw new ApiError(409, `A session for this runner already exists.`);
    runner.session = {
      id: randomBytes(16).toString("hex"),
      lastSeen: world.now(),
      wake: undefined,
    };
    return c.json({ session_id: runner.session.id }, 201);
  });

  const bySession = (id: string | undefined): Runner | undefined =>
    [...world.runners.values()].find((one) => one.session !== undefined && one.session.id === id);
  const gone = (): ApiError => new ApiError(410, "The session is gone.");

  app.delete("/_runner/sessions/:session", (c) => {
    const runner = bySession(c.req.param("session"));
    if (runner === undefined) throw gone();
    runner.session?.wake?.();
    runner.session = undefined;
    runner.lastOnline = world.now();
    return c.body(null, 204);
  });

  app.get("/_runner/messages", async (c) => {
    const session = c.req.query("session");
    const runner = bySession(session);
    if (runner === undefined) throw gone();
    refuseDeprecated(runner.version, "receive");
    const message = await jobs.poll(runner, c.req.raw.signal);
    if (message !== undefined) return c.json(message);
    if (runner.session?.id !== session) throw gone();
    return c.body(null, 204);
  });

  /** The id of a job that is running; the credential, if the request carries one, must be that of its runner. */
  const jobId = (c: Ctx): number => {
    const id = Number(c.req.param("job"));
    const runner = jobs.runnerOf(id);
    if (runner === undefined) {
      if (jobs.find(id) === undefined) throw notFound();
      throw new ApiError(410, "The job is not running.");
    }
    if (c.req.header("authorization") !== undefined && runnerOf(c) !== runner)
      throw new ApiError(403, "The job belongs to another runner.");
    return id;
  };

  app.post("/_runner/jobs/:job/log", async (c) => {
    const id = jobId(c);
    jobs.log(id, await c.req.text());
    return c.body(null, 204);
  });

  app.post("/_runner/jobs/:job/heartbeat", async (c) => {
    const id = jobId(c);
    const given = await body(c, z.strictObject({ steps: steps.optional() }));
    if (given.steps !== undefined) jobs.progress(id, given.steps);
    return c.json({ cancelled: jobs.heartbeat(id) });
  });

  app.post("/_runner/jobs/:job/complete", async (c) => {
    const id = jobId(c);
    const given = await body(
      c,
      z.strictObject({
        result: z.enum(["succeeded", "failed", "cancelled"]),
        exit_code: z.int(),
        outputs: z.record(z.string(), z.string()).optional(),
        steps: steps.optional(),
      }),
    );
    jobs.finish(id, {
      result: given.result,
      exitCode: given.exit_code,
      outputs: given.outputs ?? {},
      steps: given.steps ?? [],
    });
    return c.body(null, 204);
  });

  return app;
}

function olderThan(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (const index of [0, 1, 2]) {
    const difference = (x[index] ?? 0) - (y[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
