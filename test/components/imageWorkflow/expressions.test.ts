import assert from "node:assert/strict";
import {
  all,
  any,
  choose,
  inputValue,
  joined,
  literalValue,
  not,
  plain,
  quoted,
} from "../../../components/imageWorkflow/expressions";
import { evaluate, interpolate } from "./parsed";

describe("texts in a workflow file", () => {
  const hostile = ["${{ github.token }}", "${{", "}}", "'", "''", "it's ${{ 'x' }}", "${${{{", ""];

  for (const text of hostile) {
    it(`are read as they are: ${JSON.stringify(text)}`, () => {
      assert.equal(interpolate(plain(text), {}) || "", text);
      assert.equal(evaluate(quoted(text), {}), text);
    });
  }

  it("are joined with inputs, with the same result in both places", () => {
    const value = joined("{0}${{ ", literalValue("it's"), " }}=", inputValue("name"), ";");
    const contexts = { inputs: { name: "{1}" } };
    assert.equal(interpolate(value.text, contexts), "{0}${{ it's }}={1};");
    assert.equal(evaluate(value.expression, contexts), "{0}${{ it's }}={1};");
  });

  it("are joined to a text when nothing is open", () => {
    assert.deepEqual(joined("a", literalValue("b"), "c"), literalValue("abc"));
  });
});

describe("conditions in a workflow file", () => {
  it("are settled as far as they can be when the file is written", () => {
    assert.equal(all(), true);
    assert.equal(all(true, "a.b"), "a.b");
    assert.equal(all("a.b", false), false);
    assert.equal(any(), false);
    assert.equal(any(false, "a.b"), "a.b");
    assert.equal(any("a.b", true), true);
    assert.equal(not(true), false);
    assert.equal(not("inputs.a-b"), "!inputs.a-b");
    assert.equal(not("a.b == 'c'"), "!(a.b == 'c')");
    assert.deepEqual(choose(true, literalValue("yes"), literalValue("no")), literalValue("yes"));
    assert.deepEqual(choose(false, literalValue("yes"), literalValue("no")), literalValue("no"));
  });

  it("keep their meaning when they are combined", () => {
    const values = [true, false];
    for (const a of values) {
      for (const b of values) {
        for (const c of values) {
          const contexts = { inputs: { a, b, c } };
          const is = (condition: string | boolean) => evaluate(String(condition), contexts);
          assert.equal(is(all(any("inputs.a", "inputs.b"), "inputs.c")), (a || b) && c);
          assert.equal(is(any(all("inputs.a", "inputs.b"), "inputs.c")), (a && b) || c);
          assert.equal(is(not(any("inputs.a", "inputs.b"))), !(a || b));
          assert.equal(is(all(not("inputs.a"), "inputs.b")), !a && b);
          const choice = choose(any("inputs.a", "inputs.b"), literalValue("y"), literalValue(""));
          assert.equal(evaluate(choice.expression, contexts), a || b ? "y" : "");
          assert.equal(interpolate(choice.text, contexts), a || b ? "y" : "");
        }
      }
    }
  });
});
