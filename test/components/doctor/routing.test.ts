import assert from "node:assert/strict";
import { type Finding, ok, problem, warning } from "../../../components/doctor/check";
import type { ListedRunner } from "../../../components/doctor/githubOrganization";
import {
  judgeRouting,
  judgeRunnerGroup,
  type Place,
  recordedVariables,
  type Routes,
  type RoutingFinding,
} from "../../../components/doctor/routing";
import { GITHUB_URL } from "../../../components/config/schema";

const PATH = "/orgs/acme/actions/variables/ARM64_RUNS_ON";
const WANTED = '{"group":"arm64","labels":["self-hosted","Linux","ARM64","docker"]}';
const DELETE = `gh api --method DELETE ${PATH}`;
const AGAIN = "pulumi up --refresh --stack dev";

const runner: ListedRunner = {
  id: 1,
  name: "dev-arm64-1-1-1-abc123",
  online: true,
  group: 4,
  labels: ["self-hosted", "linux", "arm64", "docker", "more"],
};

const ROUTES: Routes = {
  variable: "ARM64_RUNS_ON",
  hostedFallback: "ubuntu-24.04-arm",
  wanted: WANTED,
  external: false,
  runners: [runner],
  groups: [{ id: 4, name: "ARM64", isDefault: false, allowsPublicRepositories: false }],
  hasServers: true,
  options: ["--stack", "dev"],
  githubUrl: GITHUB_URL,
  recovery: undefined,
};

const PLACE: Place = { owner: "acme", path: PATH, value: WANTED, recorded: true };

const nowhere = (labels: string, group = "") =>
  problem(
    `The variable ARM64_RUNS_ON of acme sends jobs to runners with the labels ${labels}${group}, none of which is online: the jobs wait, for a day at most.`,
    DELETE,
  );
const OURS = nowhere("self-hosted, Linux, ARM64, docker", " in the group arm64");

describe("judgeRouting", () => {
  type Case = [place: Partial<Place>, routes: Partial<Routes>, ...findings: RoutingFinding[]];
  const cases: Record<string, Case> = {
    "a variable that leads to runners": [
      {},
      {},
      ok("The variable ARM64_RUNS_ON of acme leads to runners that are online."),
    ],
    "no variable": [
      { value: undefined, recorded: false },
      { runners: [] },
      ok("There is no variable ARM64_RUNS_ON: the jobs go to ubuntu-24.04-arm."),
    ],
    "one that only the state has": [
      { value: undefined },
      {},
      warning(
        "The stack's state has the variable ARM64_RUNS_ON of acme, which GitHub does not have any more: the jobs go to ubuntu-24.04-arm.",
        AGAIN,
      ),
    ],
    "one that the state does not have": [
      { recorded: false },
      {},
      problem(
        "The variable ARM64_RUNS_ON of acme exists, but the stack's state does not have it: `pulumi up` cannot make it.",
        DELETE,
      ),
    ],
    "one that a lost state had": [
      { recorded: false },
      { recovery: "import it" },
      problem(
        "The variable ARM64_RUNS_ON of acme exists, but the stack's state does not have it: `pulumi up` cannot make it.",
        "import it",
      ),
    ],
    "one that leads to runners that are offline, on servers that may come back": [
      {},
      { runners: [{ ...runner, online: false }] },
      OURS,
    ],
    "one that leads to runners that are gone with their servers": [
      {},
      { runners: [], hasServers: false },
      { ...OURS, stale: PLACE },
    ],
    "one of somebody else's making that leads nowhere: not ours to delete": [
      { value: '["self-hosted","gpu"]', recorded: false },
      { hasServers: false },
      nowhere("self-hosted, gpu"),
    ],
    "a group that does not exist": [{}, { groups: [] }, OURS],
    "runners of another group": [{}, { runners: [{ ...runner, group: 1 }] }, OURS],
    "other labels than configured, with runners": [
      { value: '"docker"' },
      {},
      warning(
        "The variable ARM64_RUNS_ON of acme holds something else than the configuration says.",
        AGAIN,
      ),
    ],
    "no JSON": [
      { value: "ubuntu-24.04-arm" },
      {},
      problem(
        "The variable ARM64_RUNS_ON of acme holds something that is no runs-on in JSON: every workflow that reads it fails.",
        DELETE,
      ),
    ],
    "JSON of another form": [
      { value: '{"labels":[7]}' },
      {},
      problem(
        "The variable ARM64_RUNS_ON of acme holds something that is no runs-on in JSON: every workflow that reads it fails.",
        DELETE,
      ),
    ],
    "runners of others, which come when there is a job": [
      { value: '"scale-set"' },
      { external: true, wanted: '"scale-set"', runners: [] },
      ok("The variable ARM64_RUNS_ON of acme leads to the runners of others."),
    ],
  };
  for (const [what, [place, routes, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeRouting([{ ...PLACE, ...place }], { ...ROUTES, ...routes }), findings);
    });
  }

  it("judges each place for itself", () => {
    const path = "/repos/acme/webppt/actions/variables/ARM64_RUNS_ON";
    assert.deepEqual(
      judgeRouting(
        [
          { ...PLACE, value: undefined, recorded: false },
          { owner: "acme/webppt", path, value: WANTED, recorded: false },
        ],
        ROUTES,
      ),
      [
        problem(
          "The variable ARM64_RUNS_ON of acme/webppt exists, but the stack's state does not have it: `pulumi up` cannot make it.",
          `gh api --method DELETE ${path}`,
        ),
      ],
    );
  });
});

describe("judgeRunnerGroup", () => {
  const group = { id: 4, name: "Arm64", isDefault: false, allowsPublicRepositories: false };
  type Case = [groups: (typeof group)[], recorded: string | undefined, finding: Finding];
  const cases: Record<string, Case> = {
    "none yet": [[], undefined, ok("There is no runner group arm64 yet.")],
    "the stack's own": [
      [group],
      "4",
      ok("The runner group arm64 is the stack's, and takes no job of a public repository."),
    ],
    "one that is gone": [
      [],
      "4",
      warning(
        "The runner group arm64 of the stack's state does not exist any more: the next run makes it again.",
        "pulumi up --stack dev",
      ),
    ],
    "one that the state does not have": [
      [group],
      undefined,
      problem(
        "The runner group arm64 (4) exists, but the stack's state does not have it: `pulumi up` cannot make it.",
        "gh api --method DELETE /orgs/acme/actions/runner-groups/4",
      ),
    ],
    "one that was opened to everybody": [
      [{ ...group, allowsPublicRepositories: true }],
      "4",
      problem(
        "The runner group arm64 takes jobs of public repositories, where anybody's pull request brings its own code to a host.",
        "pulumi up --refresh --stack dev",
      ),
    ],
  };
  for (const [what, [groups, recorded, finding]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeRunnerGroup("acme", "arm64", groups, recorded, ROUTES), [finding]);
    });
  }

  it("has no command that deletes what a lost state had, but the one that imports it", () => {
    const [finding] = judgeRunnerGroup("acme", "arm64", [group], undefined, {
      ...ROUTES,
      recovery: "import it",
    });
    assert.equal(finding?.repair, "import it");
  });
});

describe("recordedVariables", () => {
  it("finds the variable at both levels, whatever its case", () => {
    const urn = "urn:pulumi:dev::fleet::x::y";
    const repository = "github:index/actionsVariable:ActionsVariable";
    assert.deepEqual(
      recordedVariables(
        [
          {
            urn,
            type: "github:index/actionsOrganizationVariable:ActionsOrganizationVariable",
            outputs: { variableName: "arm64_runs_on" },
          },
          { urn, type: repository, outputs: { variableName: "ARM64_RUNS_ON", repository: "one" } },
          { urn, type: repository, outputs: { variableName: "OTHER", repository: "two" } },
        ],
        "ARM64_RUNS_ON",
      ),
      { organization: true, repositories: ["one"] },
    );
  });
});
