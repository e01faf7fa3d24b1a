import assert from "node:assert/strict";
import { join } from "node:path";
import { run } from "../../local-cloud/engine/run";

const PROJECT = join(__dirname, "..", "..");
const USAGE =
  "expected, as wanted, --stack NAME, --config-file FILE, --refresh, --json or --markdown, and --allow with stock, budget or runner-version.";

describe("npm run plan", function () {
  this.timeout("1m");
  const CASES: readonly (readonly [what: string, args: readonly string[], says: string])[] = [
    ["an unknown option", ["--yes"], `Unknown option '--yes', ${USAGE}`],
    ["both forms at once", ["--json", "--markdown"], `Found both --json and --markdown, ${USAGE}`],
    [
      "an unknown reason",
      ["--allow", "stock,luck"],
      '--allow: found "luck", expected stock, budget or runner-version.',
    ],
    [
      "a stack without a file",
      ["--stack", "nowhere"],
      `${join(PROJECT, "Pulumi.nowhere.yaml")} cannot be read (ENOENT), expected the file of a stack named nowhere.`,
    ],
  ];
  for (const [what, args, says] of CASES) {
    it(`says in one sentence what is wrong with ${what}`, async () => {
      const { code, stdout, stderr } = await run(
        process.execPath,
        ["--import", "tsx", "scripts/plan.ts", ...args],
        { cwd: PROJECT, env: process.env },
      );
      assert.deepEqual({ code, stdout, stderr }, { code: 1, stdout: "", stderr: `${says}\n` });
    });
  }
});
