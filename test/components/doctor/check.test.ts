import assert from "node:assert/strict";
import {
  type Check,
  exitCodeOf,
  type Finding,
  fixFindings,
  ok,
  problem,
  runChecks,
  skipped,
  statusOf,
  UnavailableError,
  warning,
} from "../../../components/doctor/check";
import type { Context } from "../../../components/doctor/context";
import { renderJson, renderReport } from "../../../components/doctor/report";

/** No check of this file looks at it. */
const CONTEXT = {} as Context;

const fails = (id: Check["id"], error: Error): Check => ({
  id,
  title: `The ${id}`,
  run: () => Promise.reject(error),
});

describe("runChecks", () => {
  it("hides no check behind one that fails", async () => {
    const results = await runChecks(
      [
        fails("routing", new Error("GitHub's API answered 500 to GET /one.\nAnd to GET /other.")),
        { id: "clock", title: "The clock", run: () => Promise.resolve([ok("It is right.")]) },
      ],
      CONTEXT,
    );
    assert.deepEqual(results, [
      {
        id: "routing",
        title: "The routing",
        findings: [
          problem("GitHub's API answered 500 to GET /one."),
          problem("And to GET /other."),
        ],
      },
      { id: "clock", title: "The clock", findings: [ok("It is right.")] },
    ]);
  });

  it("says once why something cannot be had, and elsewhere where that is said", async () => {
    const error = new UnavailableError("stack", "the stack", [problem("No stack.", "make one")]);
    const results = await runChecks([fails("stack", error), fails("routing", error)], CONTEXT);
    assert.deepEqual(
      results.map(({ findings }) => findings),
      [[problem("No stack.", "make one")], [skipped("This needs the stack: see The stack.")]],
    );
  });
});

describe("statusOf and exitCodeOf", () => {
  const cases: [findings: Finding[], status: string, code: number][] = [
    [[], "skipped", 0],
    [[skipped("")], "skipped", 0],
    [[skipped(""), ok("")], "ok", 0],
    [[ok(""), warning("")], "warning", 2],
    [[warning(""), problem(""), ok("")], "problem", 1],
  ];
  for (const [findings, status, code] of cases) {
    it(`is ${status} and ${code} for ${findings.map((one) => one.status).join(", ") || "nothing"}`, () => {
      assert.equal(statusOf(findings), status);
      assert.equal(exitCodeOf([{ id: "clock", title: "", findings }]), code);
    });
  }
});

describe("fixFindings", () => {
  it("repairs what it may, says what it did, and what it could not do", async () => {
    const [result] = await fixFindings([
      {
        id: "runners",
        title: "Runners",
        findings: [
          {
            ...warning("One is gone.", "delete one"),
            fix: () => Promise.resolve("It is deleted."),
          },
          {
            ...problem("Another is gone.", "delete another"),
            fix: () => Promise.reject(new Error("There is a server now.")),
          },
          warning("A third is not ours to delete."),
        ],
      },
    ]);
    assert.deepEqual(result?.findings, [
      ok("Repaired: It is deleted."),
      problem("Another is gone. It was not repaired: There is a server now.", "delete another"),
      warning("A third is not ours to delete."),
    ]);
  });
});

describe("the report", () => {
  const fix = () => Promise.resolve("");
  const results = [
    { id: "tools", title: "Tools", findings: [ok("All are there.")] },
    {
      id: "runner-group",
      title: "Runner group",
      findings: [{ ...warning("It is stale.", "gh api one"), fix }, problem("It is open.")],
    },
    { id: "ssh", title: "SSH", findings: [skipped("There is none.")] },
  ] as const;

  it("is a table with the commands below what they repair", () => {
    assert.equal(
      renderReport(results),
      [
        "✓ Tools         All are there.",
        "! Runner group  It is stale.",
        "                  gh api one",
        "✗               It is open.",
        "- SSH           There is none.",
        "",
        "1 problem and 1 warning. `npm run doctor -- --fix` repairs what is safe to repair.",
        "",
      ].join("\n"),
    );
  });

  it("says that nothing is wrong", () => {
    assert.equal(renderReport([results[0], results[2]]).split("\n").at(-2), "Nothing is wrong.");
  });

  it("is JSON for programs", () => {
    assert.deepEqual(JSON.parse(renderJson(results.slice(1))), {
      problems: 1,
      warnings: 1,
      checks: [
        {
          id: "runner-group",
          title: "Runner group",
          status: "problem",
          findings: [
            { status: "warning", sentence: "It is stale.", repair: "gh api one", fixable: true },
            { status: "problem", sentence: "It is open.", fixable: false },
          ],
        },
        {
          id: "ssh",
          title: "SSH",
          status: "skipped",
          findings: [{ status: "skipped", sentence: "There is none.", fixable: false }],
        },
      ],
    });
  });
});
