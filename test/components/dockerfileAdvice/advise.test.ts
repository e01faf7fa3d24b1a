import assert from "node:assert/strict";
import {
  advise,
  applyEdits,
  type Finding,
  RULES,
} from "../../../components/dockerfileAdvice/advise";
import { BAD, GOOD } from "./files";

interface Given {
  readonly dockerfile: string;
  readonly files?: readonly string[];
  /** Default: what keeps out all that should be. */
  readonly dockerignore?: string | null;
}

const KEEPS_OUT = ".git\n**/node_modules\n**/target\n";

function ask({ dockerfile, files = [], dockerignore = KEEPS_OUT }: Given): Finding[] {
  return advise({
    dockerfile: { path: "Dockerfile", text: dockerfile },
    ...(dockerignore !== null && { dockerignore: { path: ".dockerignore", text: dockerignore } }),
    files,
  });
}

/** Both files with the edits of one finding made. */
function follow(given: Given, { edits }: Finding): Given {
  const of = (path: string) => edits.filter(({ file }) => file === path);
  const ignore = given.dockerignore === undefined ? KEEPS_OUT : given.dockerignore;
  return {
    ...given,
    dockerfile: applyEdits(given.dockerfile, of("Dockerfile")),
    dockerignore:
      of(".dockerignore").length === 0
        ? ignore
        : applyEdits((ignore ?? "").replace(/\n$/, ""), of(".dockerignore")),
  };
}

/** Follows the first advice until there is none. */
function followAll(given: Given): Given {
  let current = given;
  for (let round = 0; round < 20; round++) {
    const [first] = ask(current);
    if (first === undefined) return current;
    current = follow(current, first);
  }
  return assert.fail(
    `advice does not end: ${JSON.stringify(ask(current), null, 2)}\n${current.dockerfile}`,
  );
}

describe("advice on a Dockerfile", () => {
  describe("finds nothing in", () => {
    for (const [name, given] of Object.entries(GOOD)) {
      it(name, () => {
        assert.deepEqual(
          ask(given).map(({ rule, line, message }) => `${rule} ${line} ${message}`),
          [],
        );
      });
    }
  });

  for (const rule of RULES) {
    describe(rule, () => {
      const cases = Object.entries(BAD[rule]);
      for (const [name, { line, becomes, ...given }] of cases) {
        it(`finds ${name}`, () => {
          const found = ask(given).filter((finding) => finding.rule === rule);
          assert.deepEqual(
            found.map((finding) => finding.line),
            [line],
          );
          const [finding] = found;
          assert.ok(finding && finding.message.endsWith(".") && finding.cost.endsWith("."));
          if (becomes !== undefined) assert.equal(follow(given, finding).dockerfile, becomes);
        });
        it(`is done with ${name} when it is followed`, () => {
          const [finding] = ask(given).filter((one) => one.rule === rule);
          assert.ok(finding);
          const once = follow(given, finding);
          assert.notDeepEqual(once, given);
          assert.deepEqual(
            ask(once).filter((one) => one.rule === rule),
            [],
          );
          followAll(given);
        });
      }
    });
  }

  it("shows no value of a secret", () => {
    const token = `ghp_${"a".repeat(36)}`;
    const findings = ask({
      dockerfile: `FROM debian:12\nENV API_TOKEN=${token} A=1\nRUN curl -H "Authorization: ${token}" https://example.com\n`,
    });
    assert.deepEqual(
      findings.map(({ rule, line }) => [rule, line]),
      [
        ["build-secret", 2],
        ["build-secret", 3],
      ],
    );
    assert.ok(!JSON.stringify(findings).includes(token));
  });

  it("reads a file whose lines end as on Windows", () => {
    const findings = ask({ dockerfile: "FROM debian\r\nRUN apt-get update\r\n" });
    assert.deepEqual(
      findings.map(({ rule, line }) => [rule, line]),
      [
        ["moving-base-image", 1],
        ["apt-update-layer", 2],
      ],
    );
  });

  it("finds nothing in an empty file", () => {
    assert.deepEqual(ask({ dockerfile: "" }), []);
  });
});
