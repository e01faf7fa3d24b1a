import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { canaryPath } from "../components/canary/path";
import { renderCanary } from "../components/canary/workflow";
import { matrix } from "../test/components/imageWorkflow/matrix";
import { EXCEPTIONS } from "./lintWorkflows/exceptions";
import { type LintResult, lintWorkflows, type WorkflowSet } from "./lintWorkflows/lint";
import { prepareLintTools } from "./lintWorkflows/tools";
import { untilInterrupted } from "./untilInterrupted";

const ROOT = path.dirname(__dirname);
const WORKFLOWS = ".github/workflows";

/**
 * Checks workflow files: those named, or else this project's own, the canary's and every one of the test matrix. Ends with 1 when
 * there are findings that are not excepted, or exceptions without a finding.
 */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { json: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const named = positionals.length > 0;
  const sets = named ? positionals.map(namedFile) : [ownFiles(), canary(), ...matrix()];
  const result = await untilInterrupted(async () => {
    const tools = await prepareLintTools((line) => process.stderr.write(`${line}\n`));
    return lintWorkflows(sets, tools, EXCEPTIONS);
  });
  // Exceptions are for all files; among a few, most have nothing to match.
  const report = named ? { ...result, unused: [] } : result;
  process.stdout.write(
    values.json ? `${JSON.stringify(printable(report), null, 2)}\n` : readable(report),
  );
  process.exitCode = report.findings.length + report.unused.length === 0 ? 0 : 1;
}

function namedFile(file: string): WorkflowSet {
  return { name: path.dirname(file), files: { [path.basename(file)]: text(file) } };
}

function ownFiles(): WorkflowSet {
  const names = readdirSync(path.join(ROOT, WORKFLOWS)).filter((name) => /\.ya?ml$/.test(name));
  return {
    name: "this project",
    files: Object.fromEntries(
      names
        .map((name) => `${WORKFLOWS}/${name}`)
        .map((file) => [file, text(path.join(ROOT, file))]),
    ),
  };
}

function canary(): WorkflowSet {
  const stack = "dev";
  const content = renderCanary({ project: "runner-fleet", stack }, "arm64");
  return { name: "canary", files: { [canaryPath(stack)]: content } };
}

function text(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code}.`, {
      cause: error,
    });
  }
}

function printable({ unused, ...result }: LintResult) {
  const source = (pattern: RegExp | undefined) => pattern?.source;
  return {
    ...result,
    unused: unused.map(({ where, ...exception }) => ({
      ...exception,
      where: { file: source(where.file), line: source(where.line) },
    })),
  };
}

function readable({ findings, excepted, unused, files }: LintResult): string {
  return [
    ...findings.map(
      ({ file, line, column, linter, rule, message }) =>
        `${file}:${line}:${column}: ${message === rule ? message : `${message} [${rule}]`} (${linter})`,
    ),
    ...unused.map(
      ({ linter, rule, where }) =>
        `The exception for ${linter} ${rule} in ${where.file.source} matches no finding, expected one.`,
    ),
    `${files} files, ${findings.length} findings, ${excepted.length} excepted with a reason.`,
    "",
  ].join("\n");
}

main().catch((error: unknown) => {
  process.stderr.write(`lint: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
