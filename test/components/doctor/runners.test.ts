import assert from "node:assert/strict";
import { ok, problem, warning } from "../../../components/doctor/check";
import type { ListedRunner } from "../../../components/doctor/githubOrganization";
import {
  hostOf,
  judgeRunners,
  notOfOthers,
  type RunnerFinding,
  type Sight,
} from "../../../components/doctor/runners";
import { GITHUB_URL } from "../../../components/config/schema";

const runner = (id: number, name: string, change: Partial<ListedRunner> = {}): ListedRunner => ({
  id,
  name,
  online: true,
  group: 4,
  labels: ["self-hosted"],
  ...change,
});

const SIGHT: Sight = {
  prefix: "dev",
  organization: "acme",
  pools: ["arm64"],
  group: 4,
  runners: [],
  servers: ["dev-arm64-1-1"],
  slots: ["dev-arm64-1-1-1", "dev-arm64-1-1-2"],
};

const BOTH = [runner(1, "dev-arm64-1-1-1-abc123"), runner(2, "dev-arm64-1-1-2-abc123")];
const gone = runner(9, "dev-arm64-1-7-1-abc123", { online: false });
const DELETE_9 = "gh api --method DELETE /orgs/acme/actions/runners/9";

describe("judgeRunners", () => {
  const cases: Record<string, [change: Partial<Sight>, ...findings: RunnerFinding[]]> = {
    "runners that are all online": [
      { runners: BOTH },
      ok("The runners of all 2 slots are online, and no others are in the way."),
    ],
    "a stack without hosts": [
      { slots: [], servers: [] },
      ok("No runner is there, and no server that should have one."),
    ],
    "servers that are gone, and their runners with them": [
      { servers: [] },
      ok("No runner is there, and no server that should have one."),
    ],
    "a slot without a runner": [
      { runners: [BOTH[0]!, runner(2, "dev-arm64-1-1-2-abc123", { online: false })] },
      warning(
        "No runner of dev-arm64-1-1-2 is online: its host is drained, busy with a start, or in trouble.",
        "npm run logs -- dev-arm64-1-1 2",
      ),
    ],
    "a ghost": [
      { runners: [...BOTH, gone] },
      {
        ...warning(
          "The runner dev-arm64-1-7-1-abc123 is offline for good, since there is no server dev-arm64-1-7.",
          DELETE_9,
        ),
        ghost: { runner: gone, host: "dev-arm64-1-7" },
      },
    ],
    "a ghost in another group, where GitHub moves those of a deleted one": [
      { runners: [...BOTH, { ...gone, group: 1 }], group: undefined },
      {
        ...warning(
          "The runner dev-arm64-1-7-1-abc123 is offline for good, since there is no server dev-arm64-1-7.",
          DELETE_9,
        ),
        ghost: { runner: { ...gone, group: 1 }, host: "dev-arm64-1-7" },
      },
    ],
    "a ghost outside the stack's group: perhaps that of another stack of this name": [
      { runners: [...BOTH, { ...gone, group: 1 }] },
      warning(
        "The runner dev-arm64-1-7-1-abc123 is offline for good, since there is no server dev-arm64-1-7.",
        DELETE_9,
      ),
    ],
    "a ghost of a pool that nobody knows: not ours to delete": [
      { runners: [...BOTH, { ...gone, name: "dev-old-1-7-1-abc123" }] },
      warning(
        "The runner dev-old-1-7-1-abc123 is offline for good, since there is no server dev-old-1-7.",
        DELETE_9,
      ),
    ],
    "a runner of ours that runs elsewhere": [
      { runners: [...BOTH, { ...gone, online: true }] },
      problem(
        "The runner dev-arm64-1-7-1-abc123 is online, but there is no server dev-arm64-1-7: somebody runs it elsewhere.",
        DELETE_9,
      ),
    ],
    "a runner that its slot has left over": [
      { runners: [...BOTH, runner(9, "dev-arm64-1-1-1-zzz999", { online: false })] },
      warning(
        "The runner dev-arm64-1-1-1-zzz999 is left over from an earlier start of its slot.",
        DELETE_9,
      ),
    ],
    "a stranger in the group": [
      { runners: [...BOTH, runner(9, "somebody")] },
      warning(
        "The runner somebody is in the stack's runner group, but none of its hosts is called so: it takes jobs that are meant for them.",
        "gh api --method DELETE /orgs/acme/actions/runner-groups/4/runners/9",
      ),
    ],
    "runners of other stacks and people": [
      {
        runners: [
          ...BOTH,
          runner(9, "somebody", { group: 1 }),
          runner(10, "prod-arm64-1-1-1-abc123", { group: 5, online: false }),
          runner(11, "dev-x-arm64-1-1-1-abc123", { group: 5, online: false }),
          runner(12, "dev-2-arm64-1-1-1-abc123", { group: 1, online: false }),
        ],
      },
      ok("The runners of all 2 slots are online, and no others are in the way."),
    ],
  };
  for (const [what, [change, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeRunners({ ...SIGHT, ...change }, GITHUB_URL), findings);
    });
  }

  it("names the server in commands where it is not github.com", () => {
    const [found] = judgeRunners(
      { ...SIGHT, runners: [...BOTH, gone] },
      "https://github.example.com",
    );
    assert.equal(
      found?.repair,
      "gh api --method DELETE --hostname github.example.com /orgs/acme/actions/runners/9",
    );
  });
});

describe("notOfOthers", () => {
  const groups = [1, 4, 5].map((id) => ({
    id,
    name: `group ${id}`,
    isDefault: id === 1,
    allowsPublicRepositories: false,
  }));
  const all = [1, 4, 5, 6, undefined].map((group, id) => runner(id, "any", { group }));
  const cases: [what: string, own: number | undefined, left: (number | undefined)[]][] = [
    ["its own, the default one and what nobody knows", 4, [1, 4, 6, undefined]],
    ["the default one and what nobody knows, without its own", undefined, [1, 6, undefined]],
  ];
  for (const [what, own, left] of cases) {
    it(`leaves runners of ${what}`, () => {
      assert.deepEqual(
        notOfOthers(all, groups, own).map(({ group }) => group),
        left,
      );
    });
  }
});

describe("hostOf", () => {
  const ours = (host: string) => ({ host, isOurs: true });
  const cases: [runner: string, expected: ReturnType<typeof hostOf>][] = [
    ["dev-arm64-1-1-1-abc123", ours("dev-arm64-1-1")],
    ["dev-arm64-2-10-16-abc123", ours("dev-arm64-2-10")],
    ["dev-big-2-1-1-1-abc123", ours("dev-big-2-1-1")],
    ["dev-2-arm64-1-1-1-abc123", undefined],
    ["dev-other-1-1-1-abc123", { host: "dev-other-1-1", isOurs: false }],
    ["dev-arm64-1-1-1", undefined],
    ["prod-arm64-1-1-1-abc123", undefined],
    ["dev-arm64-abc123", undefined],
  ];
  for (const [name, expected] of cases) {
    it(`knows the host of ${name}`, () => {
      assert.deepEqual(hostOf(name, { prefix: "dev", pools: ["arm64", "big-2"] }), expected);
    });
  }
});
