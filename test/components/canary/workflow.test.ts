import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { CANARY_FILE, CANARY_PATH } from "../../../components/canary/path";
import { renderCanary } from "../../../components/canary/workflow";
import { isOurs } from "../../../components/imageWorkflow/workflow";
import { assertGolden } from "../host/golden";

interface Parsed {
  readonly on: Record<string, { inputs: Record<string, { required: boolean }> }>;
  readonly permissions: unknown;
  readonly jobs: Record<string, { "runs-on": unknown; permissions: unknown }>;
}

describe("renderCanary", () => {
  const text = renderCanary({ project: "runner-fleet", stack: "dev" });

  it("is the golden file, byte for byte", () => {
    assertGolden(text, join(__dirname, "golden", CANARY_FILE));
  });

  it("is known as ours again", () => {
    assert.equal(isOurs(text), true);
    assert.equal(CANARY_PATH, ".github/workflows/runner-canary.yml");
  });

  it("is started by hand alone, asks for one host, and has no right at all", () => {
    const { on, permissions, jobs } = parse(text) as Parsed;
    assert.deepEqual(Object.keys(on), ["workflow_dispatch"]);
    const { inputs } = on.workflow_dispatch!;
    assert.deepEqual(
      Object.entries(inputs).map(([name, { required }]) => [name, required]),
      [
        ["host", true],
        ["id", true],
      ],
    );
    assert.deepEqual(permissions, {});
    assert.deepEqual(
      Object.values(jobs).map((job) => [job["runs-on"], job.permissions]),
      [[["self-hosted", "${{ inputs.host }}"], {}]],
    );
  });
});
