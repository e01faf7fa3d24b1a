import assert from "node:assert/strict";
import {
  externalRunsOnValue,
  routedPool,
  routedRunsOn,
  runsOnValue,
} from "../../../components/githubOrg/runsOn";
import { settingsWith } from "../config/settings";

describe("runsOnValue", () => {
  for (const [group, labels, expected] of [
    ["arm64", ["docker"], ["self-hosted", "Linux", "ARM64", "docker"]],
    ["arm64", [], ["self-hosted", "Linux", "ARM64"]],
    ['a "big" group', ["b", "a"], ["self-hosted", "Linux", "ARM64", "b", "a"]],
  ] as const) {
    it(`is JSON for the group ${group} with ${labels.length} labels`, () => {
      assert.deepEqual(JSON.parse(runsOnValue(group, labels)), { group, labels: expected });
    });
  }

  it("is one line in one spelling, since a changed byte is a change of the variable", () => {
    assert.equal(
      runsOnValue("arm64", ["docker"]),
      '{"group":"arm64","labels":["self-hosted","Linux","ARM64","docker"]}',
    );
  });
});

describe("externalRunsOnValue", () => {
  const cases: [string, Parameters<typeof externalRunsOnValue>[0], string][] = [
    ["a scale set", { scaleSet: "arc-arm64" }, '"arc-arm64"'],
    ["labels", { labels: ["arm64", "big"] }, '["arm64","big"]'],
    [
      "labels in a group",
      { labels: ["arm64"], group: "k8s" },
      '{"group":"k8s","labels":["arm64"]}',
    ],
  ];
  for (const [what, pool, expected] of cases) {
    it(`is what runs-on takes for ${what}`, () => {
      assert.equal(externalRunsOnValue(pool), expected);
    });
  }
});

describe("routedRunsOn", () => {
  const both = (pool: string) =>
    settingsWith((raw) => {
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
      raw.routing = { pool };
    });

  it("is that of the only pool", () => {
    const settings = settingsWith();
    assert.deepEqual(routedPool(settings), { name: "arm64", external: false });
    assert.equal(routedRunsOn(settings), runsOnValue("arm64", ["docker"]));
  });

  it("is that of the only external pool", () => {
    const settings = settingsWith((raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { labels: ["arm64"] } };
    });
    assert.deepEqual(routedPool(settings), { name: "kubernetes", external: true });
    assert.equal(routedRunsOn(settings), '["arm64"]');
  });

  it("is that of the pool that is named", () => {
    assert.equal(routedRunsOn(both("kubernetes")), '"arc"');
    assert.equal(routedRunsOn(both("arm64")), runsOnValue("arm64", ["docker"]));
  });
});
