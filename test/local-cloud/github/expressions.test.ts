import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  evaluate,
  evaluateIn,
  evaluateScalar,
  ExpressionError,
  loadExpressions,
  type Value,
} from "../../../local-cloud/github/expressions";
import { parseRunsOn } from "../../../local-cloud/github/runsOn";

const contexts: Record<string, Value> = {
  vars: { RUNS_ON: '["self-hosted","arm64"]', EMPTY: "", NUMBER: "3" },
  github: {
    event_name: "push",
    ref: "refs/heads/master",
    event: { labels: [{ name: "a" }, { name: "b" }] },
  },
};

describe("github: expressions", () => {
  before(loadExpressions);
  const table: [string, Value][] = [
    ["null", null],
    ["true", true],
    ["42", 42],
    ["-1.5", -1.5],
    ["0x1F", 31],
    ["'it''s'", "it's"],
    ["vars.RUNS_ON", '["self-hosted","arm64"]'],
    ["vars.runs_on", '["self-hosted","arm64"]'],
    ["vars['RUNS_ON']", '["self-hosted","arm64"]'],
    ["vars.MISSING", null],
    ["vars.MISSING.deeper", null],
    ["fromJSON(vars.RUNS_ON)", ["self-hosted", "arm64"]],
    ["fromJSON(vars.RUNS_ON)[1]", "arm64"],
    ["fromJSON(vars.MISSING || '\"ubuntu-24.04-arm\"')", "ubuntu-24.04-arm"],
    ['fromJSON(vars.EMPTY || \'{"group":"g"}\').group', "g"],
    ["vars.MISSING || vars.EMPTY || 'last'", "last"],
    ["'a' && 'b'", "b"],
    ["'' && 'b'", ""],
    ["false || true && false", false],
    ["(true || false) && !false", true],
    ["github.event_name == 'PUSH'", true],
    ["github.event_name != 'push'", false],
    ["vars.NUMBER == 3", true],
    ["null == 0", true],
    ["1 < 2", true],
    ["'b' >= 'A'", true],
    ["'x' > 1", false],
    ["github.event.labels.*.name", ["a", "b"]],
    ["contains(github.event.labels.*.name, 'B')", true],
    ["contains('Hello', 'ell')", true],
    ["startsWith(github.ref, 'refs/heads/')", true],
    ["endsWith(github.ref, 'main')", false],
    ["format('{0}-{1}-{{2}}', 'a', 1)", "a-1-{2}"],
    ["join(fromJSON('[1,2]'), '+')", "1+2"],
    ["join(fromJSON('[1,2]'))", "1,2"],
    ["toJSON(fromJSON('[1]'))", "[\n  1\n]"],
  ];
  for (const [source, value] of table)
    it(`evaluates ${source}`, () => assert.deepEqual(evaluate(source, contexts), value));

  const refused: [string, RegExp][] = [
    ["steps.x", /Unrecognized named-value: 'steps'/],
    ["frobnicate(1)", /Unrecognized function: 'frobnicate'/],
    ["success()", /Unrecognized function: 'success'/],
    ["contains('a')", /Too few parameters supplied: 'contains'/],
    ["fromJSON('{')", /Error parsing JSON when evaluating fromJson/],
    ["1 +2 x", /Unexpected symbol/],
    ["a b", /Unrecognized named-value: 'a'/],
    ["(1", /Unexpected end/],
    ["", /An expression was expected/],
    ['"double"', /Unexpected symbol/],
    ["format('{1}', 'a')", /references more arguments/],
  ];
  for (const [source, message] of refused)
    it(`refuses ${source === "" ? "nothing at all" : source}`, () =>
      assert.throws(
        () => evaluate(source, contexts),
        (error) => error instanceof ExpressionError && message.test(error.message),
      ));

  it("keeps the type of a whole expression, and makes text of a mixture", () => {
    assert.deepEqual(evaluateScalar("${{ fromJSON('[1]') }}", contexts), [1]);
    assert.equal(evaluateScalar("n-${{ 1 }}-${{ vars.MISSING }}", contexts), "n-1-");
    assert.equal(evaluateScalar("plain", contexts), "plain");
    assert.equal(evaluateScalar("${{ 'a' }}${{ 'b' }}", contexts), "ab");
    assert.equal(evaluateScalar("${{ 'a }} ''b' }}", contexts), "a }} 'b");
  });

  it("reads every form of runs-on", () => {
    assert.deepEqual(parseRunsOn("a"), { group: undefined, labels: ["a"] });
    assert.deepEqual(parseRunsOn(["a", "b"]), { group: undefined, labels: ["a", "b"] });
    assert.deepEqual(parseRunsOn({ group: "g" }), { group: "g", labels: [] });
    assert.deepEqual(parseRunsOn({ group: "g", labels: "a" }), { group: "g", labels: ["a"] });
    assert.deepEqual(parseRunsOn({ labels: ["a"] }), { group: undefined, labels: ["a"] });
    for (const bad of ["", [], {}, 1, null, { group: "g", label: "x" }])
      assert.throws(() => parseRunsOn(bad), ExpressionError, JSON.stringify(bad));
  });

  it("evaluates inside lists and objects", () => {
    const value = {
      group: "${{ vars.NUMBER }}",
      labels: ["self-hosted", "${{ github.event_name }}", 1, true, null],
    };
    assert.deepEqual(evaluateIn(value, contexts), {
      group: "3",
      labels: ["self-hosted", "push", 1, true, null],
    });
  });

  it("takes functions that tell how a run stands", () => {
    const functions = { failure: () => true };
    assert.equal(evaluate("failure() && 'x'", {}, functions), "x");
  });
});
