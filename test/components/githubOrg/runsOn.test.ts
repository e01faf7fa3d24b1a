import assert from "node:assert/strict";
import { runsOnValue } from "../../../components/githubOrg/runsOn";

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
