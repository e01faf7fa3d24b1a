import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { canaryFile, canaryPath } from "../../../components/canary/path";
import { renderCanary } from "../../../components/canary/workflow";
import { selectedWorkflows } from "../../../components/githubOrg/selectedWorkflows";
import { isOurs } from "../../../components/imageWorkflow/workflow";
import { settingsWith } from "../config/settings";
import { assertGolden } from "../host/golden";

interface Parsed {
  readonly name: string;
  readonly on: Record<string, { inputs: Record<string, { required: boolean }> }>;
  readonly permissions: unknown;
  readonly concurrency: { group: string };
  readonly jobs: Record<string, { "runs-on": unknown; permissions: unknown }>;
}

describe("renderCanary", () => {
  const text = renderCanary({ project: "runner-fleet", stack: "dev" }, "arm64");

  it("is the golden file, byte for byte", () => {
    assertGolden(text, join(__dirname, "golden", canaryFile("dev")));
  });

  it("is known as ours again", () => {
    assert.equal(isOurs(text), true);
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
      [[{ group: "arm64", labels: ["self-hosted", "${{ inputs.host }}"] }, {}]],
    );
  });
});

describe("the canaries of two stacks in one repository", () => {
  const one = { stack: "dev", group: "arm64" };
  const other = { stack: "dev-a", group: "arm64-a" };
  const workflow = ({ stack, group }: typeof one) =>
    parse(renderCanary({ project: "runner-fleet", stack }, group)) as Parsed;
  const shown = (of: typeof one) => {
    const settings = settingsWith((raw) => {
      raw.canary = { repository: "proof" };
      raw.reusableWorkflows = { repository: "central" };
      raw.targets.webppt!.emit = "reusable";
      raw.runnerGroup = { name: of.group, restrictToWorkflows: true };
    });
    return selectedWorkflows(settings, "main", { path: canaryPath(of.stack), branch: "main" });
  };

  // Two projects at Hetzner may both have a host dev-a-b-1-1: of dev's pool a-b, and of dev-a's pool b.
  const cases: readonly [claim: string, of: (of: typeof one) => unknown, expected: unknown][] = [
    [
      "lie at two paths",
      ({ stack }) => canaryPath(stack),
      [".github/workflows/runner-canary-dev.yml", ".github/workflows/runner-canary-dev-a.yml"],
    ],
    [
      "are two workflows of one name each, which cancel only their own runs",
      (of) => {
        const { name, concurrency } = workflow(of);
        const values: Record<string, string> = {
          "github.workflow": name,
          "inputs.host": "dev-a-b-1-1",
        };
        return concurrency.group.replace(
          /\$\{\{ (\S+) \}\}/g,
          (_, expression: string) => values[expression]!,
        );
      },
      ["Runner canary of dev-dev-a-b-1-1", "Runner canary of dev-a-dev-a-b-1-1"],
    ],
    [
      "ask for runners of two groups",
      (of) => workflow(of).jobs.canary!["runs-on"],
      ["arm64", "arm64-a"].map((group) => ({
        group,
        labels: ["self-hosted", "${{ inputs.host }}"],
      })),
    ],
    [
      "are each let in by their own group alone",
      (of) => shown(of)?.filter((ref) => ref.startsWith("acme/proof/")),
      [
        ["acme/proof/.github/workflows/runner-canary-dev.yml@refs/heads/main"],
        ["acme/proof/.github/workflows/runner-canary-dev-a.yml@refs/heads/main"],
      ],
    ],
  ];
  for (const [claim, of, expected] of cases) {
    it(claim, () => assert.deepEqual([of(one), of(other)], expected));
  }
});
