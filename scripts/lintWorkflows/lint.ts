import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { TextDocument } from "vscode-languageserver-textdocument";
import { z } from "zod";
import { lastWords, run } from "../../local-cloud/engine/run";
import type { LintException } from "./exceptions";
import type { LintTools } from "./tools";

export type LinterName = "actionlint" | "shellcheck" | "zizmor" | "languageservice";

/** Workflow files that belong together as those of one repository do. */
export interface WorkflowSet {
  readonly name: string;
  /** Text by path, relative to the repository's root. */
  readonly files: Readonly<Record<string, string>>;
}

export interface LintFinding {
  readonly linter: LinterName;
  /** The linter's own name of its check; the language service has none for most, there it is the message. */
  readonly rule: string;
  /** Name of the set and path in it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  /** The line itself. */
  readonly text: string;
}

export interface LintResult {
  readonly findings: readonly LintFinding[];
  readonly excepted: readonly LintFinding[];
  /** Exceptions that no finding matched. */
  readonly unused: readonly LintException[];
  /** How many files were checked. */
  readonly files: number;
}

const CONFIG = path.join(__dirname, "actionlint.yaml");
/** Milliseconds for one linter over all files. */
const TIMEOUT = 600_000;

/** What a linter says, before the file gets its printed name. */
type Raw = Omit<LintFinding, "file" | "text"> & { readonly path: string };

/**
 * Checks all files with actionlint, its shellcheck, zizmor (offline, pedantic) and GitHub's own language service, each
 * started once.
 * @throws Error in one sentence when a linter itself fails.
 */
export async function lintWorkflows(
  sets: readonly WorkflowSet[],
  tools: LintTools,
  exceptions: readonly LintException[],
): Promise<LintResult> {
  const files = new Map<string, { readonly name: string; readonly content: string }>();
  for (const [index, set] of sets.entries()) {
    for (const [file, content] of Object.entries(set.files)) {
      files.set(path.join(String(index), file), { name: `${set.name}/${file}`, content });
    }
  }
  if (files.size === 0) throw new Error("Found no workflow file to check, expected at least one.");
  const folder = await mkdtemp(path.join(tmpdir(), "lint-workflows-"));
  try {
    for (const [file, { content }] of files) {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
      await writeFile(path.join(folder, file), content);
    }
    for (const index of sets.keys()) {
      // Only in a repository does actionlint look at the local workflows that a file calls.
      await mkdir(path.join(folder, String(index), ".git"), { recursive: true });
    }
    const paths = [...files.keys()];
    const programs = await Promise.all([
      actionlint(tools.actionlint, folder, paths),
      zizmor(tools.zizmor, folder, paths),
    ]);
    // Afterwards, since it is busy in this process and would not hear from the others.
    const raw = [...programs.flat(), ...(await languageService(folder, files))];
    return sift(raw.map(named(files)), exceptions, files.size);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function named(
  files: ReadonlyMap<string, { readonly name: string; readonly content: string }>,
): (raw: Raw) => LintFinding {
  return ({ path: file, ...finding }) => {
    const known = files.get(path.normalize(file));
    if (known === undefined) {
      throw new Error(`${finding.linter} names the file ${file}, which it was not given.`);
    }
    const text = known.content.split(/\r?\n/)[finding.line - 1]?.trim() ?? "";
    return { ...finding, file: known.name, text };
  };
}

function sift(
  all: readonly LintFinding[],
  exceptions: readonly LintException[],
  files: number,
): LintResult {
  const used = new Set<LintException>();
  const findings: LintFinding[] = [];
  const excepted: LintFinding[] = [];
  for (const finding of all) {
    const matching = exceptions.filter((exception) => matches(exception, finding));
    for (const exception of matching) used.add(exception);
    (matching.length > 0 ? excepted : findings).push(finding);
  }
  const order = (a: LintFinding, b: LintFinding) =>
    a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column;
  return {
    findings: findings.sort(order),
    excepted: excepted.sort(order),
    unused: exceptions.filter((exception) => !used.has(exception)),
    files,
  };
}

function matches({ linter, rule, where }: LintException, finding: LintFinding): boolean {
  return (
    linter === finding.linter &&
    rule === finding.rule &&
    where.file.test(finding.file) &&
    (where.line?.test(finding.text) ?? true)
  );
}

const actionlintOutput = z.array(
  z.object({
    message: z.string(),
    filepath: z.string(),
    line: z.number(),
    column: z.number(),
    kind: z.string(),
  }),
);

async function actionlint(program: string, folder: string, paths: string[]): Promise<Raw[]> {
  const result = await run(
    program,
    [
      ...["-no-color", "-format", "{{json .}}", "-config-file", CONFIG],
      ...["-shellcheck", "shellcheck", "-pyflakes", "", ...paths],
    ],
    // SHELLCHECK_OPTS of a person's shell could hide findings.
    { cwd: folder, env: { ...process.env, SHELLCHECK_OPTS: "" }, timeout: TIMEOUT },
  );
  // 1 says that there are findings.
  if (result.code !== 0 && result.code !== 1) {
    throw new Error(`actionlint failed: ${lastWords(result)}`);
  }
  return actionlintOutput.parse(JSON.parse(result.stdout)).map((found) => {
    const code = found.kind === "shellcheck" ? /\bSC\d+\b/.exec(found.message)?.[0] : undefined;
    return {
      linter: code === undefined ? "actionlint" : "shellcheck",
      rule: code ?? found.kind,
      path: found.filepath,
      // A file that cannot be read as YAML at all has its error at no line.
      line: Math.max(found.line, 1),
      column: Math.max(found.column, 1),
      message: found.message,
    };
  });
}

const zizmorOutput = z.array(
  z.object({
    ident: z.string(),
    desc: z.string(),
    locations: z.array(
      z.object({
        symbolic: z.object({
          key: z.object({ Local: z.object({ verbatim_path: z.string() }) }),
          annotation: z.string(),
          kind: z.string(),
        }),
        concrete: z.object({
          location: z.object({ start_point: z.object({ row: z.number(), column: z.number() }) }),
        }),
      }),
    ),
  }),
);

async function zizmor(program: string, folder: string, paths: string[]): Promise<Raw[]> {
  if (paths.length === 0) return [];
  const result = await run(
    program,
    [
      ...["--offline", "--no-config", "--no-progress", "--quiet", "--persona", "pedantic"],
      // Exceptions are listed in one place, with reasons, and a file that cannot be read is no clean file.
      ...["--no-ignores", "--strict-collection", "--format", "json-v1", "--no-exit-codes"],
      ...paths,
    ],
    { cwd: folder, env: { ...process.env, RUST_BACKTRACE: "0" }, timeout: TIMEOUT },
  );
  if (result.code !== 0) {
    const unreadable = /^failed to load file:\/\/(\S+) as \w+\n\nCaused by:\n([^]*)/m.exec(
      result.stderr,
    );
    const [, file = "", causes = ""] = unreadable ?? [];
    if (!paths.includes(file)) throw new Error(`zizmor failed: ${lastWords(result)}`);
    // It gives up at the first file of that kind, before it looks at any.
    const rest = await zizmor(
      program,
      folder,
      paths.filter((other) => other !== file),
    );
    const message = causes
      .replace(/^\s*\d+: /gm, "")
      .trim()
      .split(/\s*\n\s*/)
      .join("; ");
    return [
      { linter: "zizmor", rule: "unreadable", path: file, line: 1, column: 1, message },
      ...rest,
    ];
  }
  return zizmorOutput.parse(JSON.parse(result.stdout)).map(({ ident, desc, locations }) => {
    const primary = locations.find(({ symbolic }) => symbolic.kind === "Primary") ?? locations[0];
    if (primary === undefined) throw new Error(`zizmor gives no place for its finding ${ident}.`);
    const { row, column } = primary.concrete.location.start_point;
    return {
      linter: "zizmor",
      rule: ident,
      path: primary.symbolic.key.Local.verbatim_path,
      line: row + 1,
      column: column + 1,
      message: `${desc}: ${primary.symbolic.annotation}`,
    };
  });
}

async function languageService(
  folder: string,
  files: ReadonlyMap<string, { readonly content: string }>,
): Promise<Raw[]> {
  // An ECMAScript module, which CommonJS can import only so.
  const { validate } = await import("@actions/languageservice");
  const findings: Raw[] = [];
  for (const [file, { content }] of files) {
    const [set = ""] = file.split(path.sep);
    // It remembers a document by its address, so that two of the same address would be taken for one.
    const url = pathToFileURL(path.join(folder, file)).href;
    const document = TextDocument.create(url, "yaml", 1, content);
    const diagnostics = await validate(document, {
      fileProvider: {
        getFileContent: (reference) => {
          const called = files.get(path.join(set, reference.path));
          return called === undefined
            ? Promise.reject(new Error(`${reference.path} is not among the files of its set.`))
            : Promise.resolve({ name: reference.path, content: called.content });
        },
      },
    });
    for (const { code, message: content, range } of diagnostics) {
      const message = typeof content === "string" ? content : content.value;
      findings.push({
        linter: "languageservice",
        rule: code === undefined ? message : String(code),
        path: file,
        line: range.start.line + 1,
        column: range.start.character + 1,
        message,
      });
    }
  }
  return findings;
}
