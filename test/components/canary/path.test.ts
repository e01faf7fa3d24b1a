import assert from "node:assert/strict";
import { canaryFile, canaryPath, isCanaryPath } from "../../../components/canary/path";
import { stackNameProblem } from "../../../components/config/schema";

describe("the path of a canary", () => {
  const stacks = ["d", "dev", "dev-a", "dev-a-b", "dev1", "canary", "x".repeat(20)];

  for (const stack of stacks) {
    it(`carries the name of stack ${stack}`, () => {
      assert.equal(stackNameProblem(stack), undefined);
      assert.equal(canaryFile(stack), `runner-canary-${stack}.yml`);
      assert.equal(canaryPath(stack), `.github/workflows/runner-canary-${stack}.yml`);
      assert.equal(isCanaryPath(canaryPath(stack)), true);
    });
  }

  it("is no other stack's", () => {
    assert.equal(new Set(stacks.map(canaryPath)).size, stacks.length);
  });

  for (const path of [
    ".github/workflows/image.yml",
    ".github/workflows/runner-canary.yml",
    ".github/workflows/runner-canary-dev.yaml",
    "runner-canary-dev.yml",
  ]) {
    it(`is not ${path}`, () => assert.equal(isCanaryPath(path), false));
  }
});
