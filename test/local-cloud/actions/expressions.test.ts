import assert from "node:assert/strict";
import { Expressions, type Scope } from "../../../local-cloud/actions/expressions";

describe("expressions of steps", () => {
  let expressions: Expressions;
  before(async () => {
    expressions = await Expressions.load();
  });

  const scope = (status: "success" | "failure" | "cancelled"): Scope => ({
    contexts: {
      github: { ref: "refs/tags/31", event_name: "push", event: { number: 5, list: ["a", "b"] } },
      env: { NAME: "it's" },
      steps: { build: { outputs: { digest: "sha256:1" }, outcome: "failure" } },
      matrix: {},
    },
    functions: {
      success: () => status === "success",
      failure: () => status === "failure",
      cancelled: () => status === "cancelled",
      always: () => true,
    },
  });

  for (const [condition, success, failure, cancelled] of [
    ["", true, false, false],
    ["true", true, false, false],
    ["false", false, false, false],
    ["always()", true, true, true],
    ["failure()", false, true, false],
    ["cancelled()", false, false, true],
    ["!cancelled()", true, true, false],
    ["failure() || cancelled()", false, true, true],
    ["success() && github.event_name == 'push'", true, false, false],
    ["github.event_name != 'pull_request'", true, false, false],
    ["github.event_name == 'PUSH'", true, false, false],
    ["startsWith(github.ref, 'refs/tags/')", true, false, false],
    ["${{ always() && steps.build.outcome == 'failure' }}", true, true, true],
    ["${{ github.event_name == 'pull_request' }}", false, false, false],
    ["contains(github.event.list, 'b')", true, false, false],
    ["github.event.missing", false, false, false],
    ["github.event.number > 4", true, false, false],
    // A mixture of text and expression is a string that is not empty.
    ["${{ false }} text", true, false, false],
    // The name of a function in a string asks for nothing.
    ["github.ref != 'always()'", true, false, false],
  ] as const)
    it(`if: ${condition || "(none)"}`, () => {
      assert.deepEqual(
        (["success", "failure", "cancelled"] as const).map((status) =>
          expressions.condition(condition, scope(status)),
        ),
        [success, failure, cancelled],
      );
    });

  for (const [template, expected] of [
    ["plain", "plain"],
    ["${{ github.ref }}", "refs/tags/31"],
    ["a ${{ env.NAME }} b ${{ github.event.number }}${{ true }}", "a it's b 5true"],
    ["${{ '}}' }}", "}}"],
    ["${{ 'it''s }}' }}", "it's }}"],
    ["${{ null }}", ""],
    ["${{ matrix.os || 'none' }}", "none"],
    ["${{ toJSON(github.event.list) }}", '[\n  "a",\n  "b"\n]'],
    ["${{ format('{0}-{1}', 'x', 2) }}", "x-2"],
    ["${{ github.event.list[1] }}", "b"],
    ["${{ steps.none.outputs.x }}", ""],
    ["${{ fromJSON('{\"a\": [1, 2]}').a[0] }}", "1"],
  ] as const)
    it(`text: ${template}`, () => {
      assert.equal(expressions.text(template, scope("success")), expected);
    });

  for (const [template, message] of [
    ["${{ secrets.X }}", /Unrecognized named-value: 'secrets'. Located at position 1 within/],
    ["${{ a && hashThis('x') }}", /Unrecognized named-value: 'a'/],
    ["${{ hashThis('x') }}", /Unrecognized function: 'hashThis'/],
    ["${{ github.ref", /The expression is not closed/],
    ["${{ contains('x') }}", /Too few parameters supplied: 'contains'/],
    ["${{ github. }}", /Unexpected symbol|Unexpected end/],
    ["${{ }}", /An expression was expected/],
  ] as const)
    it(`refuses ${template}`, () => {
      assert.throws(() => expressions.text(template, scope("success")), message);
    });

  it("takes booleans and numbers or expressions of them", () => {
    assert.equal(
      expressions.boolean("${{ github.ref == 'refs/tags/31' }}", scope("success")),
      true,
    );
    assert.equal(expressions.boolean(false, scope("success")), false);
    assert.throws(() => expressions.boolean("yes", scope("success")), /expected true or false/);
    assert.equal(expressions.number("${{ github.event.number }}", scope("success")), 5);
    assert.throws(() => expressions.number("soon", scope("success")), /expected a number/);
  });
});
