import assert from "node:assert/strict";
import { readTasks, unseen } from "./console";

describe("the reader of the operations' commands", () => {
  it("takes the commands of each section in their order, with what is to be seen and what happens beside", () => {
    const text = [
      "# Title",
      "## One",
      "Words and `code`.",
      "<!-- meanwhile: it rains -->",
      "```console",
      "$ first --yes",
      " +  a line",
      "$ second",
      "```",
      "```sh",
      "$ not this",
      "```",
      "## Two",
      "### Part",
      "```console",
      "$ third",
      "```",
      "<!-- afterwards: it is dry -->",
    ];
    assert.deepEqual(readTasks(text.join("\n")), [
      {
        title: "One",
        steps: [
          { kind: "meanwhile", what: "it rains" },
          { kind: "command", command: "first --yes", seen: ["+  a line"] },
          { kind: "command", command: "second", seen: [] },
        ],
      },
      {
        title: "Two",
        steps: [
          { kind: "command", command: "third", seen: [] },
          { kind: "afterwards", what: "it is dry" },
        ],
      },
    ]);
  });

  for (const [wanted, output, missing] of [
    [["a", "c"], "a\nb\nc\n", undefined],
    [["c", "a"], "a\nb\nc\n", "a"],
    [["a"], "ab\n", "a"],
    [["a… c"], "a and b  c\n", undefined],
    [["…b…"], "abc", undefined],
    [["+ x (1.5s)"], "  +  x (1.5s)", undefined],
    [["+ x (1.5s)"], "  +  x (105s)", "+ x (1.5s)"],
    [["a", "a"], "a\n", "a"],
  ] as const) {
    it(`${JSON.stringify(wanted)} in ${JSON.stringify(output)} misses ${missing ?? "nothing"}`, () => {
      assert.equal(unseen(wanted, output), missing);
    });
  }
});
