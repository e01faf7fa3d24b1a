import assert from "node:assert/strict";
import { join } from "node:path";
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
