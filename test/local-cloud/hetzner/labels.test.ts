import assert from "node:assert/strict";
import fc from "fast-check";
import { checkLabels, parseSelector } from "../../../local-cloud/hetzner/labels";

const word = fc.stringMatching(/^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,20}[a-z0-9A-Z])?$/);
const prefix = fc
  .array(fc.stringMatching(/^[a-z]([a-z0-9-]{0,8}[a-z0-9])?$/), { minLength: 1, maxLength: 3 })
  .map((parts) => `${parts.join(".")}/`);
const key = fc
  .tuple(fc.option(prefix, { nil: "" }), word)
  .map((parts) => parts.join(""))
  .filter((text) => !text.startsWith("hetzner.cloud/"));
const value = fc.oneof(word, fc.constant(""));
// A small vocabulary, so that terms and labels often meet.
const fewKeys = fc.constantFrom("env", "role", "example.com/my", "a-b.c");
const fewValues = fc.constantFrom("prod", "test", "x.y", "");
const labels = fc.dictionary(fewKeys, fewValues);

/** A term with its text and, told independently, what it means. */
const term = fc.oneof(
  fewKeys.map((k) => ({ text: k, holds: (l: Record<string, string>) => k in l })),
  fewKeys.map((k) => ({ text: `!${k}`, holds: (l: Record<string, string>) => !(k in l) })),
  fc.tuple(fewKeys, fc.constantFrom("=", "=="), fewValues).map(([k, operator, v]) => ({
    text: k + operator + v,
    holds: (l: Record<string, string>) => l[k] === v,
  })),
  fc.tuple(fewKeys, fewValues).map(([k, v]) => ({
    text: `${k}!=${v}`,
    holds: (l: Record<string, string>) => l[k] !== v,
  })),
  fc
    .tuple(fewKeys, fc.array(fewValues, { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([k, vs, negated]) => ({
      text: `${k} ${negated ? "notin" : "in"} (${vs.join(",")})`,
      holds: (l: Record<string, string>) => {
        const found = l[k];
        return (found !== undefined && vs.some((v) => v === found)) !== negated;
      },
    })),
);

describe("hetzner labels", () => {
  it("selects what every term means (property)", () => {
    fc.assert(
      fc.property(
        fc.array(term, { minLength: 1, maxLength: 4 }),
        labels,
        fc.constantFrom(",", ", "),
        (terms, given, comma) => {
          const matches = parseSelector(terms.map(({ text }) => text).join(comma));
          assert.equal(
            matches(given),
            terms.every(({ holds }) => holds(given)),
          );
        },
      ),
    );
  });

  it("accepts every valid label and selects it (property)", () => {
    fc.assert(
      fc.property(key, value, (k, v) => {
        checkLabels({ [k]: v });
        for (const selector of [k, `${k}=${v}`, `${k} in (${v})`, `!other,${k}==${v}`])
          assert.equal(parseSelector(selector)({ [k]: v }), k !== "other", selector);
      }),
    );
  });

  it("never fails but with invalid_input (property)", () => {
    fc.assert(
      fc.property(fc.string(), labels, (text, given) => {
        try {
          parseSelector(text)(given);
        } catch (error) {
          assert.equal((error as { code?: string }).code, "invalid_input");
        }
      }),
    );
  });

  it("gives the documented examples their meaning", () => {
    const production = parseSelector("env=production,type!=database");
    assert.equal(production({ env: "production" }), true);
    assert.equal(production({ env: "production", type: "database" }), false);
    assert.equal(parseSelector("env in (testing,staging)")({ env: "staging" }), true);
    assert.equal(parseSelector("!type")({ type: "" }), false);
    assert.equal(parseSelector("")({ any: "thing" }), true);
    assert.equal(parseSelector("constructor")({}), false);
  });

  for (const selector of [
    ",",
    "a,",
    "a=b=c",
    "a in b",
    "a in (b",
    "in (a)",
    "a b",
    "!",
    "=a",
    "a!b",
  ])
    it(`refuses the selector '${selector}'`, () => {
      assert.throws(() => parseSelector(selector), { code: "invalid_input" });
    });

  for (const [what, wrong] of [
    ["an empty key", { "": "v" }],
    ["a key that starts with a dash", { "-a": "v" }],
    ["a key of 64 characters", { ["a".repeat(64)]: "v" }],
    ["two slashes", { "a/b/c": "v" }],
    ["an empty name", { "a/": "v" }],
    ["a prefix that is no DNS name", { "a_b/c": "v" }],
    ["the reserved prefix", { "hetzner.cloud/a": "v" }],
    ["a value of 64 characters", { a: "v".repeat(64) }],
    ["a value with a space", { a: "b c" }],
    ["a value that ends in a dot", { a: "b." }],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => checkLabels(wrong), { code: "invalid_input", status: 422 });
    });
});
