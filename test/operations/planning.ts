import assert from "node:assert/strict";
import { join } from "node:path";
import type { Report } from "../../components/plan/report";
import type { LocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import type { LocalStack } from "../../local-cloud/pulumi";

const PROJECT = join(__dirname, "..", "..");

/** Runs `npm run plan` as npm does. It may write nothing to either side, and say none of the secrets. */
export async function plan(
  cloud: LocalCloud,
  stack: LocalStack,
  args: readonly string[],
  secrets: readonly string[] = [],
): Promise<{ readonly code: number | undefined; readonly text: string }> {
  const from = cloud.traffic.requests.length;
  const { code, stdout, stderr } = await run(
    process.execPath,
    [
      ...["--import", "tsx", "scripts/plan.ts", "--stack", "dev"],
      ...["--config-file", stack.configFile, ...args],
    ],
    { cwd: PROJECT, env: stack.environment },
  );
  const said = stdout + stderr;
  const writes = cloud.traffic.requests
    .slice(from)
    // What runners ask of GitHub's queue meanwhile is no request of the plan.
    .filter(({ method, path }) => method !== "GET" && !path.startsWith("/_"))
    .map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(writes, []);
  for (const secret of [...secrets, cloud.hetzner.token, cloud.github.tokens.admin]) {
    assert.ok(!said.includes(secret), "a secret is printed");
  }
  assert.equal(stderr, "");
  return { code, text: stdout };
}

/** The plan as data, and what becomes of servers in a line each: the change, its name, and what and where it then is. */
export async function foresee(
  cloud: LocalCloud,
  stack: LocalStack,
  ...args: readonly string[]
): Promise<{
  readonly code: number | undefined;
  readonly report: Report;
  readonly changes: readonly string[];
}> {
  const { code, text } = await plan(cloud, stack, ["--json", ...args]);
  const report = JSON.parse(text) as Report;
  const changes = report.servers.map(({ change, before, after }) =>
    [change, before?.name ?? after?.name, after?.serverType, after?.location]
      .filter((part) => part !== undefined)
      .join(" "),
  );
  return { code, report, changes: changes.sort() };
}
