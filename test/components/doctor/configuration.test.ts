import assert from "node:assert/strict";
import { type Finding, ok, skipped, warning } from "../../../components/doctor/check";
import { judgePlan, stockSentences } from "../../../components/doctor/configuration";
import type { GitHubFacts } from "../../../components/preflight/facts";
import { settingsWith } from "../config/settings";
import { hetznerFacts, serverType } from "../preflight/facts";

describe("judgePlan", () => {
  const organization = (plan?: string): GitHubFacts["organization"] => ({
    kind: "organization",
    plan,
  });
  type Case = [
    facts: Partial<Pick<GitHubFacts, "organization" | "runnerGroupExists">>,
    restricted: boolean,
    ...findings: Finding[],
  ];
  const cases: Record<string, Case> = {
    "a plan that has all": [
      { organization: organization("enterprise") },
      true,
      ok("acme has the plan enterprise, which has all that is configured."),
    ],
    "a plan that GitHub does not tell": [
      { organization: organization() },
      false,
      skipped("GitHub tells the plan to owners by a token with the scope admin:org alone."),
    ],
    "no organization": [
      { organization: { kind: "absent" } },
      false,
      skipped("There is no such organization."),
    ],
    "Free, before the runner group": [
      { organization: organization("free") },
      false,
      warning(
        "acme has GitHub's Free plan, of which GitHub's documentation says both that runner groups can be made and that they cannot; without one `pulumi up` ends at the first resource.",
      ),
    ],
    "Free, with the runner group": [
      { organization: organization("free"), runnerGroupExists: true },
      false,
      ok("acme has the plan free, which has all that is configured."),
    ],
    "Team, with a restriction": [
      { organization: organization("team") },
      true,
      warning(
        "runnerGroup.restrictToWorkflows is true, which GitHub documents for its plan Enterprise alone, and acme has the plan team: look whether the runner group shows the workflows.",
      ),
    ],
  };
  for (const [what, [facts, restrictToWorkflows, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      const settings = settingsWith((raw) => (raw.runnerGroup = { restrictToWorkflows }));
      assert.deepEqual(
        judgePlan(settings, {
          organization: organization("team"),
          runnerGroupExists: false,
          ...facts,
        }),
        findings,
      );
    });
  }
});

describe("stockSentences", () => {
  const offer = (available: boolean) => ({ available, unavailableAfter: undefined });
  const settings = settingsWith((raw) =>
    Object.assign(raw.pools.arm64 ?? {}, {
      serverTypes: ["cax21", "cax31"],
      locations: ["fsn1", "nbg1"],
    }),
  );
  const stock = (one: boolean, other: boolean) =>
    hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([
          ["fsn1", offer(one)],
          ["nbg1", offer(other)],
        ]),
      }),
    );

  it("lists what of each list can be ordered", () => {
    assert.deepEqual(stockSentences(settings, stock(false, true)), [
      "For pool arm64 cax21 (nbg1) can be ordered now.",
      "For the token service cax11 (fsn1, nbg1) can be ordered now.",
    ]);
  });

  it("says where nothing can", () => {
    assert.deepEqual(stockSentences(settings, stock(false, false)), [
      "Nothing of cax21 (fsn1, nbg1), cax31 (fsn1, nbg1) can be ordered for pool arm64 now.",
      "For the token service cax11 (fsn1, nbg1) can be ordered now.",
    ]);
  });
});
