import assert from "node:assert/strict";
import { parseCommand, parsePairs } from "../../../local-cloud/actions/commands";
import { Masks } from "../../../local-cloud/actions/masks";

describe("workflow commands", () => {
  for (const [line, expected] of [
    ["::error::It broke", { name: "error", properties: {}, data: "It broke" }],
    [
      "  ::warning file=a.ts,line=3,title=x%3Ay%2Cz::50%25 of%0Ait",
      {
        name: "warning",
        properties: { file: "a.ts", line: "3", title: "x:y,z" },
        data: "50% of\nit",
      },
    ],
    ["::endgroup::", { name: "endgroup", properties: {}, data: "" }],
    ["::debug::a::b", { name: "debug", properties: {}, data: "a::b" }],
    ["text ::error::no", undefined],
    ["a::b", undefined],
    ["::", undefined],
  ] as const)
    it(`reads ${line}`, () => assert.deepEqual(parseCommand(line), expected));

  for (const [text, expected] of [
    [
      "a=1\nb=x=y\n",
      [
        ["a", "1"],
        ["b", "x=y"],
      ],
    ],
    [
      "a<<EOF\n1\n\n2=3\nEOF\nb=<<x\n",
      [
        ["a", "1\n\n2=3"],
        ["b", "<<x"],
      ],
    ],
    ["a<<E\r\nx\r\nE\r\n", [["a", "x"]]],
    ["a<<E\nE", [["a", ""]]],
    ["a=", [["a", ""]]],
    ["", []],
  ] as const)
    it(`reads the pairs of ${JSON.stringify(text)}`, () =>
      assert.deepEqual(parsePairs(text), expected));

  for (const [text, message] of [
    ["nothing", /Invalid format 'nothing'/],
    ["a<<E\nx\n", /Matching delimiter not found 'E'/],
    ["<<E\nE\n", /Name must not be empty and delimiter must not be empty/],
    ["=x", /Name must not be empty/],
  ] as const)
    it(`refuses the pairs ${JSON.stringify(text)}`, () =>
      assert.throws(() => parsePairs(text), message));
});

describe("masks", () => {
  const masks = new Masks();
  for (const secret of ["abc", "abcdef", 'first line\nsecond "line"', "p@ss/word+long", " "])
    masks.add(secret);
  const bearer = Buffer.from("user:p@ss/word+long").toString("base64");

  for (const [line, expected] of [
    ["x abc y abcdef z", "x *** y *** z"],
    ["abcabc", "***"],
    ["ababcdef", "ab***"],
    ['a first line, second "line"', "a ***, ***"],
    ['{"x":"second \\"line\\""}', '{"x":"***"}'],
    ["?q=p%40ss%2Fword%2Blong", "?q=***"],
    ["nothing here", "nothing here"],
  ] as const)
    it(`hides in ${line}`, () => assert.equal(masks.apply(line), expected));

  it("hides most of a value inside Base64", () => {
    const masked = masks.apply(`Basic ${bearer}`);
    assert.match(masked, /\*\*\*/);
    assert.ok(masked.length < `Basic ${bearer}`.length - 12, masked);
  });
});
