import assert from "node:assert/strict";
import { chooseVersion, compareParts, isMajor, STABLE } from "../../../components/bump/versions";
import type { Exception } from "../../../components/pins/table";

interface Case {
  readonly current: string;
  readonly published: readonly string[];
  readonly pattern?: RegExp;
  readonly below?: string;
  readonly next: string;
  readonly held?: string;
}

const NODE = /^(\d+)\.(\d+)\.(\d+)-alpine(\d+)\.(\d+)$/;

const CASES: Readonly<Record<string, Case>> = {
  "nothing at all": { current: "1.2.3", published: [], next: "1.2.3" },
  "older ones alone": { current: "1.2.3", published: ["1.2.2", "1.1.9", "0.9.9"], next: "1.2.3" },
  "numbers, not text": { current: "2.9.0", published: ["2.10.0", "2.9.10"], next: "2.10.0" },
  "any order": { current: "v7.0.0", published: ["v7.0.1", "v8.0.0", "v7.9.9"], next: "v8.0.0" },
  "a patch of an older line that came last": {
    current: "0.31.0",
    published: ["0.31.1", "0.32.0"],
    next: "0.32.0",
  },
  "pre-releases": {
    current: "1.2.3",
    published: ["1.3.0-rc1", "1.3.0-alpha.1", "2.0.0-beta", "1.2.4", "v1.2.5+build"],
    next: "1.2.4",
  },
  "tags of something else": {
    current: "v0.32.2",
    published: ["dockerfile/1.99.0", "latest", "v1", "v0.33"],
    next: "v0.32.2",
  },
  "an exception": {
    current: "1.2.1",
    published: ["1.2.1", "4.5.0", "1.2.2"],
    below: "1.3.0",
    next: "1.2.2",
    held: "4.5.0",
  },
  "the first refused version": {
    current: "3.248.0",
    published: ["3.249.0", "3.248.1"],
    below: "3.249.0",
    next: "3.248.1",
    held: "3.249.0",
  },
  "an exception and nothing that it refuses": {
    current: "1.2.1",
    published: ["1.2.2"],
    below: "1.3.0",
    next: "1.2.2",
  },
  "a version of two parts": {
    current: "24.19.0-alpine3.24",
    published: [
      ...["24.19.0-alpine3.25", "24.19.1-alpine3.23", "24.20.0-bookworm", "24-alpine"],
      "26.1.0-alpine3.25",
    ],
    pattern: NODE,
    below: "25.0.0",
    next: "24.19.1-alpine3.23",
    held: "26.1.0-alpine3.25",
  },
  "the same version on a newer base": {
    current: "24.19.0-alpine3.9",
    published: ["24.19.0-alpine3.10"],
    pattern: NODE,
    next: "24.19.0-alpine3.10",
  },
};

describe("the choice of a version", () => {
  for (const [what, { current, published, pattern = STABLE, below, next, held }] of Object.entries(
    CASES,
  )) {
    it(`among ${what}`, () => {
      const exception: Exception | undefined =
        below === undefined ? undefined : { name: "one", below, reason: "a reason" };
      const expected = { next, held };
      assert.deepEqual(chooseVersion(current, published, pattern, exception), expected);
      const reversed = [...published].reverse();
      assert.deepEqual(chooseVersion(current, reversed, pattern, exception), expected);
    });
  }

  it("takes what a version does not name for 0", () => {
    assert.equal(compareParts([1, 2], [1, 2, 0]), 0);
    assert.ok(compareParts([1, 2], [1, 2, 1]) < 0);
    assert.ok(compareParts([1, 3], [1, 2, 9]) > 0);
  });

  it("tells a major version from others", () => {
    assert.equal(isMajor("v7.9.9", "v8.0.0", STABLE), true);
    assert.equal(isMajor("v7.0.0", "v7.9.9", STABLE), false);
  });
});
