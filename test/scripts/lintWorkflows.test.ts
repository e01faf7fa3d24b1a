import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { LintException } from "../../scripts/lintWorkflows/exceptions";
import { lintWorkflows, type LintResult } from "../../scripts/lintWorkflows/lint";
import { type LintTools, prepareLintTools } from "../../scripts/lintWorkflows/tools";

/** Nothing to find, at the strictness of this project. */
const GOOD = `name: Good
on:
  push:
    branches:
      - main
permissions: {}
concurrency:
  group: \${{ github.workflow }}-\${{ github.ref }}
  cancel-in-progress: false
jobs:
  build:
    name: Build
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - name: Say
        run: echo "$GITHUB_SHA"
`;

const CALLED = `name: Called
on:
  workflow_call:
    inputs:
      image:
        type: string
        required: true
permissions: {}
jobs:
  build:
    name: Build
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - name: Say
        env:
          IMAGE: \${{ inputs.image }}
        run: echo "$IMAGE"
`;

const caller = (input: string) => `name: Caller
on:
  push:
    branches:
      - main
permissions: {}
concurrency:
  group: \${{ github.workflow }}-\${{ github.ref }}
  cancel-in-progress: false
jobs:
  build:
    name: Build
    uses: ./.github/workflows/called.yml
    with:
      ${input}: acme/api
`;

describe("linting workflow files", function () {
  // The linters are made once and then kept.
  this.timeout(600_000);
  let tools: LintTools;
  before(async () => {
    tools = await prepareLintTools(() => undefined);
  });

  const lint = (
    files: Readonly<Record<string, string>>,
    exceptions: readonly LintException[] = [],
  ): Promise<LintResult> => lintWorkflows([{ name: "set", files }], tools, exceptions);

  const found = async (content: string) =>
    (await lint({ ".github/workflows/a.yml": content })).findings.map(
      ({ linter, rule, line }) => `${linter} ${rule} ${line}`,
    );

  it("finds nothing in a file that is right", async () => {
    assert.deepEqual(await found(GOOD), []);
  });

  const CASES: readonly {
    readonly what: string;
    readonly from: string;
    readonly to: string;
    readonly finds: readonly string[];
  }[] = [
    {
      what: "an action by tag",
      from: 'run: echo "$GITHUB_SHA"',
      to: "uses: actions/cache@v4\n        with: { path: x, key: y }",
      finds: ["zizmor unpinned-uses 17"],
    },
    {
      what: "an unquoted variable in a script",
      from: 'echo "$GITHUB_SHA"',
      to: "rm $GITHUB_SHA",
      finds: ["shellcheck SC2086 17"],
    },
    {
      what: "an expression in a script",
      from: '"$GITHUB_SHA"',
      to: '"${{ github.sha }}"',
      finds: ["zizmor template-injection 17"],
    },
    {
      what: "no permissions block",
      from: "permissions: {}\n",
      to: "",
      finds: ["zizmor excessive-permissions 1", "zizmor excessive-permissions 10"],
    },
    {
      what: "a runner label that nobody knows",
      from: "runs-on: ubuntu-24.04",
      to: "runs-on: ubuntu-24.40",
      finds: ["actionlint runner-label 13"],
    },
    {
      what: "a key that GitHub does not know",
      from: "        run: echo",
      to: "        runs: x\n        run: echo",
      finds: ["languageservice Unexpected value 'runs' 17", "actionlint syntax-check 17"],
    },
    {
      what: "text that is not YAML",
      from: "jobs:\n",
      to: "jobs: [\n",
      finds: ["actionlint syntax-check", "languageservice", "zizmor unreadable"],
    },
  ];
  for (const { what, from, to, finds } of CASES) {
    it(`finds ${what}`, async () => {
      assert.ok(GOOD.includes(from));
      const actual = await found(GOOD.replace(from, to));
      for (const expected of finds) {
        assert.ok(
          actual.some((one) => one.startsWith(expected)),
          `expected ${expected} among ${actual.join(", ")}`,
        );
      }
    });
  }

  it("does not heed what a file says about findings in it", async () => {
    const silenced = GOOD.replace(
      'run: echo "$GITHUB_SHA"',
      'run: echo "${{ github.sha }}" # zizmor: ignore[template-injection]',
    );
    assert.deepEqual(await found(silenced), ["zizmor template-injection 17"]);
  });

  it("reads a called workflow of the same set", async () => {
    const files = (input: string) => ({
      ".github/workflows/caller.yml": caller(input),
      ".github/workflows/called.yml": CALLED,
    });
    const linters = async (input: string) => {
      const { findings } = await lint(files(input));
      // zizmor prefers a form of the call that the others do not know yet.
      const others = findings.filter(({ rule }) => rule !== "self-repository");
      return [...new Set(others.map(({ linter }) => linter))].sort();
    };
    assert.deepEqual(await linters("image"), []);
    assert.deepEqual(await linters("picture"), ["actionlint", "languageservice"]);
  });

  const bad = GOOD.replace('echo "$GITHUB_SHA"', "rm $GITHUB_SHA");
  const EXCEPTION: LintException = {
    linter: "shellcheck",
    rule: "SC2086",
    where: { file: /^set\/.*a\.yml$/, line: /^run: rm/ },
    reason: "A commit has no spaces.",
  };

  it("sets findings apart that have an exception", async () => {
    const { findings, excepted, unused } = await lint({ ".github/workflows/a.yml": bad }, [
      EXCEPTION,
    ]);
    assert.deepEqual(findings, []);
    assert.deepEqual(
      excepted.map(({ rule, text }) => [rule, text]),
      [["SC2086", "run: rm $GITHUB_SHA"]],
    );
    assert.deepEqual(unused, []);
  });

  for (const [what, exception] of Object.entries({
    rule: { ...EXCEPTION, rule: "SC2087" },
    linter: { ...EXCEPTION, linter: "actionlint" as const },
    file: { ...EXCEPTION, where: { file: /b\.yml$/ } },
    line: { ...EXCEPTION, where: { file: /a\.yml$/, line: /mv/ } },
  })) {
    it(`does not except by another ${what}, and names the exception without a finding`, async () => {
      const { findings, excepted, unused } = await lint({ ".github/workflows/a.yml": bad }, [
        exception,
      ]);
      assert.equal(findings.length, 1);
      assert.deepEqual(excepted, []);
      assert.deepEqual(unused, [exception]);
    });
  }

  it("refuses to check nothing", async () => {
    await assert.rejects(lintWorkflows([], tools, []), /Found no workflow file/);
  });

  it("names each of several files that cannot be read and still checks the others", async () => {
    const { findings } = await lint({
      ".github/workflows/a.yml": "just text\n",
      ".github/workflows/b.yml": "",
      ".github/workflows/c.yml": GOOD.replace("permissions: {}\n", ""),
    });
    const zizmor = findings.filter(({ linter }) => linter === "zizmor");
    assert.deepEqual(
      [...new Set(zizmor.map(({ file, rule }) => `${file} ${rule}`))],
      [
        "set/.github/workflows/a.yml unreadable",
        "set/.github/workflows/b.yml unreadable",
        "set/.github/workflows/c.yml excessive-permissions",
      ],
    );
  });

  it("pins zizmor by hash for every platform", () => {
    const requirements = readFileSync(
      join(__dirname, "../../scripts/lintWorkflows/requirements.txt"),
      "utf8",
    );
    assert.match(requirements, /^zizmor==\d+\.\d+\.\d+ \\$/m);
    assert.equal(requirements.match(/--hash=sha256:[0-9a-f]{64}/g)?.length, 6);
  });
});
