import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { advise, type Edit, type Finding } from "../components/dockerfileAdvice/advise";

const DOCKERFILES = ["Dockerfile", "Containerfile"];
/** What no advice depends on, and what there can be very much of. */
const SKIPPED = new Set([".git", "node_modules"]);
const MAXIMUM_FILES = 100_000;

const USAGE = "npm run advise -- PATH [--context FOLDER] [--json]";

/** Says what in a Dockerfile defeats fast builds. Ends with 0 for nothing, 2 for findings, 1 for wrong usage. */
function main(): void {
  const { values, positionals } = options();
  const [given, ...more] = positionals;
  if (given === undefined || more.length > 0) {
    throw new Error(`found ${positionals.length} paths, expected one: ${USAGE}.`);
  }
  const dockerfile = findDockerfile(given);
  const context = values.context ?? path.dirname(dockerfile);
  if (!existsSync(context) || !statSync(context).isDirectory()) {
    throw new Error(`--context: found ${context}, expected a folder.`);
  }
  const shared = path.join(context, ".dockerignore");
  // One for this Dockerfile alone comes before that of the context.
  const ignore = [`${dockerfile}.dockerignore`, shared].find((file) => existsSync(file));
  const instructions = readFileSync(dockerfile, "utf8");
  if (!/^\s*FROM\s/im.test(instructions)) {
    throw new Error(`found no FROM in ${dockerfile}, expected a Dockerfile.`);
  }
  const findings = advise({
    dockerfile: { path: dockerfile, text: instructions },
    ...(ignore && { dockerignore: { path: ignore, text: readFileSync(ignore, "utf8") } }),
    dockerignorePath: shared,
    files: filesOf(context),
  });
  process.stdout.write(
    values.json ? `${JSON.stringify({ findings }, null, 2)}\n` : text(dockerfile, findings),
  );
  process.exitCode = findings.length === 0 ? 0 : 2;
}

function options() {
  try {
    return parseArgs({
      options: { json: { type: "boolean", default: false }, context: { type: "string" } },
      allowPositionals: true,
    });
  } catch (error) {
    const [first] = (error as Error).message.split(". ", 1);
    throw new Error(`${first}, expected ${USAGE}.`, { cause: error });
  }
}

function findDockerfile(given: string): string {
  if (!existsSync(given))
    throw new Error(`found nothing at ${given}, expected a folder or a Dockerfile.`);
  if (!statSync(given).isDirectory()) return given;
  const found = DOCKERFILES.map((name) => path.join(given, name)).find((file) => existsSync(file));
  if (found === undefined) {
    throw new Error(`found no ${DOCKERFILES.join(" or ")} in ${given}, expected one.`);
  }
  return found;
}

function filesOf(context: string): string[] {
  const files: string[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of readdirSync(path.join(context, folder), { withFileTypes: true })) {
      const name = path.posix.join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) folders.push(name);
      } else if (files.push(name) > MAXIMUM_FILES) {
        throw new Error(
          `found more than ${MAXIMUM_FILES} files in ${context}, expected a build context.`,
        );
      }
    }
  }
  return files;
}

function text(dockerfile: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return `${dockerfile}: no findings.\n`;
  const parts = findings.map(({ file, line, rule, message, cost, edits }) =>
    [`${file}:${line}: ${message} [${rule}]`, `  ${cost}`, ...edits.flatMap(describe)].join("\n"),
  );
  return `${parts.join("\n\n")}\n\n${findings.length} ${findings.length === 1 ? "finding" : "findings"}.\n`;
}

function describe({ file, first, last, lines }: Edit): string[] {
  const place = last > first ? `lines ${first} to ${last}` : `line ${first}`;
  const head =
    last < first
      ? `  ${file}, before line ${first}:`
      : lines.length === 0
        ? `  ${file}, without ${place}.`
        : `  ${file}, instead of ${place}:`;
  return [head, ...lines.map((line) => `      ${line}`.trimEnd())];
}

try {
  main();
} catch (error) {
  process.stderr.write(`advise: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
