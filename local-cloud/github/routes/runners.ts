import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, idParameter, notFound, paginate } from "../http";
import type { Jobs } from "../jobs";
import type { Runner, RunnerScope } from "../model";
import { labelView, runnerView } from "../views";
import type { World } from "../world";
import { repositoryAt } from "./shared";

const labelNames = z.strictObject({ labels: z.array(z.string().min(1)).max(100) });

/** Self-hosted runners of organizations and repositories, and the tokens that register and remove them. */
export function runnerRoutes(world: World, jobs: Jobs): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const view = (runner: Runner) =>
    runnerView(runner, { online: jobs.isOnline(runner), busy: jobs.isBusy(runner) });

  const routes = (
    root: string,
    scopeAt: (c: Ctx, level: "read" | "write") => RunnerScope,
  ): void => {
    const runnerAt = (c: Ctx, level: "read" | "write"): Runner => {
      const scope = scopeAt(c, level);
      const id = idParameter(c, "runner");
      const found = world.runnersAt(scope).find((one) => one.id === id);
      if (found === undefined) throw notFound();
      return found;
    };

    app.get(`${root}/runners`, (c) => {
      const scope = scopeAt(c, "read");
      const name = c.req.query("name");
      const all = world
        .runnersAt(scope)
        .filter((runner) => name === undefined || runner.name === name);
      return c.json({ total_count: all.length, runners: paginate(c, all).map(view) });
    });

    for (const kind of ["registration", "remove"] as const)
      app.post(`${root}/runners/${kind}-token`, async (c) => {
        const scope = scopeAt(c, "write");
        await body(c, z.strictObject({}));
        const token = world.newRunnerToken(kind, scope);
        // GitHub prints this one with milliseconds and an offset.
        const expires = new Date(token.expiresAt).toISOString().replace("Z", "+00:00");
        return c.json({ token: token.value, expires_at: expires }, 201);
      });

    app.get(`${root}/runners/downloads`, (c) => {
      scopeAt(c, "read");
      const version = "2.336.0";
      return c.json(
        ["x64", "arm64"].map((architecture) => {
          const filename = `actions-runner-linux-${architecture}-${version}.tar.gz`;
          return {
            os: "linux",
            architecture,
            download_url: `https://github.com/actions/runner/releases/download/v${version}/${filename}`,
            filename,
          };
        }),
      );
    });

    app.get(`${root}/runners/deprecations/:version`, (c) => {
      scopeAt(c, "read");
      const version = c.req.param("version");
      const found = world.deprecations.get(version);
      if (found === undefined) throw notFound();
      const date = (at: Date | undefined): string | null =>
        at === undefined ? null : at.toISOString().replace(/\.\d+Z$/, "Z");
      return c.json({
        runner_version: version,
        runtime_deprecates_at: date(found.runtimeDeprecatesAt),
        registration_deprecates_at: date(found.registrationDeprecatesAt),
      });
    });

    app.post(`${root}/runners/generate-jitconfig`, async (c) => {
      const scope = scopeAt(c, "write");
      const given = await body(
        c,
        z.strictObject({
          name: z.string().min(1).max(64),
          runner_group_id: z.int(),
          labels: z.array(z.string().min(1)).min(1).max(100),
          work_folder: z.string().optional(),
        }),
      );
      const groups = world.organization(scope.owner.login)?.groups;
      const known =
        scope.repository === undefined
          ? groups?.has(given.runner_group_id) === true
          : given.runner_group_id === 1;
      if (!known)
        throw new ApiError(404, `Could not find runner group with id ${given.runner_group_id}.`);
      if (world.runnersAt(scope).some((one) => one.name === given.name))
        throw new ApiError(
          409,
          `Already exists - A runner with the name ${given.name} already exists.`,
        );
      const runner = newRunner(world, scope, {
        name: given.name,
        groupId: given.runner_group_id,
        labels: given.labels,
        ephemeral: true,
      });
      const target = scope.repository === undefined ? "" : `/${scope.repository.name}`;
      const config = {
        url: `https://github.com/${scope.owner.login}${target}`,
        credential: runner.credential,
        runner_id: runner.id,
        name: runner.name,
      };
      return c.json(
        {
          runner: view(runner),
          encoded_jit_config: Buffer.from(JSON.stringify(config)).toString("base64"),
        },
        201,
      );
    });

    app.get(`${root}/runners/:runner`, (c) => c.json(view(runnerAt(c, "read"))));

    app.delete(`${root}/runners/:runner`, (c) => {
      const runner = runnerAt(c, "write");
      if (jobs.keepsRunner(runner))
        throw new ApiError(422, `Bad request - Runner "${runner.name}" is still running a job"`);
      world.runners.delete(runner.id);
      jobs.abandon(runner);
      return c.body(null, 204);
    });

    const answer = (c: Ctx, runner: Runner) =>
      c.json({ total_count: runner.labels.length, labels: runner.labels.map(labelView) });
    const custom = (label: string): boolean => labelView(label).type === "custom";

    app.get(`${root}/runners/:runner/labels`, (c) => answer(c, runnerAt(c, "read")));

    app.put(`${root}/runners/:runner/labels`, async (c) => {
      const runner = runnerAt(c, "write");
      const { labels } = await body(c, labelNames);
      runner.labels = unique([...runner.labels.filter((one) => !custom(one)), ...labels]);
      jobs.dispatch();
      return answer(c, runner);
    });

    app.post(`${root}/runners/:runner/labels`, async (c) => {
      const runner = runnerAt(c, "write");
      const { labels } = await body(c, labelNames);
      if (labels.length === 0)
        throw new ApiError(422, 'Invalid request.\n\n"labels" must hold at least 1 item.');
      runner.labels = unique([...runner.labels, ...labels]);
      jobs.dispatch();
      return answer(c, runner);
    });

    app.delete(`${root}/runners/:runner/labels`, (c) => {
      const runner = runnerAt(c, "write");
      runner.labels = runner.labels.filter((one) => !custom(one));
      return answer(c, runner);
    });

    app.delete(`${root}/runners/:runner/labels/:label`, (c) => {
      const runner = runnerAt(c, "write");
      const label = c.req.param("label").toLowerCase();
      const found = runner.labels.find((one) => one.toLowerCase() === label);
      if (found === undefined) throw notFound();
      if (!custom(found))
        throw new ApiError(422, `The label ${found} is read-only and cannot be removed.`);
      runner.labels = runner.labels.filter((one) => one !== found);
      return answer(c, runner);
    });
  };

  routes("/orgs/:org/actions", (c, level) => {
    const { account } = c.var.access.organization(c.req.param("org") ?? "", {
      permission: "organization_self_hosted_runners",
      level,
    });
    return { owner: account, repository: undefined };
  });
  routes("/repos/:owner/:repo/actions", (c, level) => {
    const repository = repositoryAt(c, { permission: "administration", level, role: "admin" });
    return { owner: repository.owner, repository };
  });
  return app;
}

/** Labels are compared without case; the first spelling stays. */
export function unique(labels: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const label of labels)
    if (!seen.has(label.toLowerCase())) seen.set(label.toLowerCase(), label);
  return [...seen.values()];
}

export function newRunner(
  world: World,
  scope: RunnerScope,
  settings: Pick<Runner, "name" | "groupId" | "labels" | "ephemeral"> &
    Partial<Pick<Runner, "os" | "architecture" | "version">>,
): Runner {
  const now = world.now();
  const runner: Runner = {
    id: world.id(),
    scope,
    os: "unknown",
    architecture: undefined,
    version: null,
    ...settings,
    labels: unique(settings.labels),
    credential: randomBytes(24).toString("base64url"),
    session: undefined,
    lastOnline: now,
    job: undefined,
    jobChangedAt: 0,
    wasBusy: false,
  };
  world.runners.set(runner.id, runner);
  return runner;
}
