import assert from "node:assert/strict";
import { describe, it } from "mocha";
import type { Value } from "../../../../local-cloud/github/expressions";
import { expandMatrix } from "../../../../local-cloud/github/workflows/matrix";

describe("github: matrix", () => {
  const table: [string, Value, string[]][] = [
    ["none", {}, [""]],
    ["one axis", { a: [1, 2] }, [" (1)", " (2)"]],
    ["two axes", { a: [1, 2], b: ["x", "y"] }, [" (1, x)", " (1, y)", " (2, x)", " (2, y)"]],
    ["exclude", { a: [1, 2], b: [1, 2], exclude: [{ a: 1, b: 2 }, { a: 2 }] }, [" (1, 1)"]],
    [
      // GitHub's own example.
      "include",
      {
        fruit: ["apple", "pear"],
        animal: ["cat", "dog"],
        include: [
          { color: "green" },
          { color: "pink", animal: "cat" },
          { fruit: "apple", shape: "circle" },
          { fruit: "banana" },
          { fruit: "banana", animal: "cat" },
        ],
      },
      [
        " (apple, cat, pink, circle)",
        " (apple, dog, green, circle)",
        " (pear, cat, pink)",
        " (pear, dog, green)",
        " (banana)",
        " (banana, cat)",
      ],
    ],
    ["only include", { include: [{ a: 1 }, { a: 2, b: 3 }] }, [" (1)", " (2, 3)"]],
    ["objects", { node: [{ version: 20, env: "x" }] }, [" (20, x)"]],
    ["an empty axis", { a: [] }, []],
  ];
  for (const [title, matrix, names] of table)
    it(`gives the jobs of ${title}`, () =>
      assert.deepEqual(
        expandMatrix(title === "none" ? {} : { matrix }).map(({ suffix }) => suffix),
        names,
      ));

  it("tells each job where it stands", () => {
    const strategy = { matrix: { a: [1, 2] }, "fail-fast": false, "max-parallel": 1 };
    const jobs = expandMatrix(strategy);
    assert.deepEqual(jobs[1]?.strategy, {
      "fail-fast": false,
      "job-index": 1,
      "job-total": 2,
      "max-parallel": 1,
    });
    assert.deepEqual(
      jobs.map(({ failFast, maxParallel, values }) => [failFast, maxParallel, values]),
      [
        [false, 1, { a: 1 }],
        [false, 1, { a: 2 }],
      ],
    );
    assert.equal(expandMatrix({})[0]?.failFast, true);
  });

  it("refuses what is no list or mapping", () => {
    assert.throws(() => expandMatrix({ matrix: { a: "x" } }), /matrix\.a must be a list, got "x"/);
    assert.throws(
      () => expandMatrix({ matrix: { include: [1] } }),
      /matrix\.include must be a map/,
    );
  });
});
