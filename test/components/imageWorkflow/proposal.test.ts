import assert from "node:assert/strict";
import fc from "fast-check";
import { judge, type Proposal, proposalBranch } from "../../../components/imageWorkflow/proposal";

const open = (number: number): Proposal => ({ number, state: "open", blob: undefined });
const merged = (number: number): Proposal => ({ number, state: "merged", blob: undefined });
const closed = (number: number, blob?: string): Proposal => ({ number, state: "closed", blob });

type Case = [
  present: string | undefined,
  proposals: Proposal[],
  state: string,
  current: number | undefined,
  follows: string,
];

/** The wanted content is always "a". */
const cases: Record<string, Case> = {
  "the first time": [undefined, [], "wanted", undefined, ""],
  "a file that is right already": ["a", [], "delivered", undefined, "delivered"],
  "an open pull request": [undefined, [open(3)], "open", 3, ""],
  "one that was merged": ["a", [merged(3)], "delivered", 3, ""],
  "one that was merged, changed since": ["b", [merged(3)], "wanted", undefined, "3"],
  "the one after that": ["b", [open(5), merged(3)], "open", 5, "3"],
  "the one after that, merged": ["a", [merged(5), merged(3)], "delivered", 5, "3"],
  "one that was closed": ["b", [closed(5, "a"), merged(3)], "declined", 5, "3"],
  "one that was closed with another content": ["b", [closed(5, "c")], "wanted", undefined, "5"],
  "one that was closed without the file": ["b", [closed(5)], "wanted", undefined, "5"],
  "one that was closed, then made by hand": ["a", [closed(5, "a")], "delivered", 5, ""],
  "an older one that was opened again": ["b", [closed(5, "a"), open(3)], "open", 3, ""],
  "an open one that is not needed any more": ["a", [open(5), merged(3)], "delivered", 5, "3"],
};

describe("judge", () => {
  for (const [what, [present, proposals, state, current, follows]] of Object.entries(cases)) {
    it(what, () => {
      for (const order of [proposals, [...proposals].reverse()]) {
        const judgement = judge("a", present, order);
        assert.deepEqual(
          [judgement.state, judgement.current?.number, judgement.follows],
          [state, current, follows],
        );
      }
    });
  }

  it("comes to rest after each run, whatever people do between them", () => {
    const deeds = ["merge", "close", "reopen", "edit", "change", "deleteBranch"] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...deeds), { maxLength: 12 }), (life) => {
        let wanted = "content 0";
        let present: string | undefined;
        let pulls: { number: number; state: Proposal["state"]; blob: string }[] = [];
        /** A run: what the command does, for which reason. */
        const run = (): void => {
          const { state, current } = judge(wanted, present, pulls);
          pulls = pulls.map((one) =>
            one.number !== current?.number || one.state !== "open"
              ? one
              : state === "delivered"
                ? { ...one, state: "closed" }
                : { ...one, blob: wanted },
          );
          if (state === "wanted") {
            pulls = [...pulls, { number: pulls.length + 1, state: "open", blob: wanted }];
          }
        };
        run();
        for (const [index, deed] of life.entries()) {
          const before = judge(wanted, present, pulls).follows;
          const [last, was] = [pulls.at(-1), wanted];
          if (deed === "change") wanted = `content ${index + 1}`;
          if (deed === "edit") present = `by hand ${index}`;
          if (last?.state === "open" && deed === "merge") {
            present = last.blob;
            last.state = "merged";
          }
          if (last?.state === "open" && (deed === "close" || deed === "deleteBranch")) {
            last.state = "closed";
          }
          if (last?.state === "closed" && deed === "reopen") last.state = "open";
          const judged = judge(wanted, present, pulls);
          // The engine runs the command only for a change of its inputs.
          const runs = was !== wanted || judged.follows !== before;
          assert.ok(judged.state !== "wanted" || runs, "a pull request that is wanted is made");
          if (runs) run();
          const after = judge(wanted, present, pulls);
          assert.notEqual(after.state, "wanted");
          assert.equal(after.follows, judged.follows, "there is no reason to run again");
          assert.ok(pulls.filter(({ state }) => state === "open").length <= 1);
        }
      }),
    );
  });
});

describe("proposalBranch", () => {
  for (const [path, branch] of [
    [".github/workflows/image.yml", "runner-fleet/dev/image.yml"],
    [".github/workflows/image.yaml", "runner-fleet/dev/image.yaml"],
    [".github/workflows/.hidden.yml", "runner-fleet/dev/_.hidden.yml"],
    [".github/workflows/a...b.yml", "runner-fleet/dev/a._._.b.yml"],
  ] as const) {
    it(`for ${path} is one that git takes`, () => {
      assert.equal(proposalBranch("dev", path), branch);
    });
  }
});
