import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { addToChangelog, type Raised } from "../components/bump/changelog";
import { applyEdits, editsOf } from "../components/bump/edits";
import { isChange, type Proposal, propose, selectPins } from "../components/bump/propose";
import { openSources, type Sources } from "../components/bump/sources";
import { proposeForStack } from "../components/bump/stackProposal";
import { setStackVersions } from "../components/bump/stackVersions";
import { EXCEPTIONS, pinTable } from "../components/pins/table";
import { readStackFile } from "../components/render/stackFile";
import { stackNameProblem } from "../components/config/schema";
import { textTable } from "../components/text/table";
import { codeOf, readText } from "../components/text/files";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const OPTIONS = {
  ...STACK_OPTIONS,
  only: { type: "string", multiple: true },
  write: { type: "boolean" },
  json: { type: "boolean" },
  "github-url": { type: "string" },
  "npm-url": { type: "string" },
  "ghcr-url": { type: "string" },
  "docker-hub-url": { type: "string" },
} as const;

const CHANGELOG = "CHANGELOG.md";
const WORKFLOWS = ".github/workflows";

/**
 * Proposes the next version of what is pinned: of the table of pins or, with --stack, of the runner versions that a
 * stack's file sets. Run it in the folder with Pulumi.yaml. Nothing is changed without --write.
 */
async function bump(): Promise<number> {
  const { values } = readArguments(
    { options: OPTIONS },
    "expected --only NAME (repeatable) or --stack NAME, --write and --json, if wanted",
  );
  if (values.stack === undefined && values["config-file"] !== undefined) {
    throw new Error(
      "--config-file: found no --stack beside it, expected the stack's name as well.",
    );
  }
  if (values.stack !== undefined && values.only !== undefined) {
    throw new Error("--only: found --stack beside it, expected one of them.");
  }
  const sources = openSources({
    github: baseUrl("github-url", values["github-url"]),
    // As for the program gh: never the token of another server.
    githubToken: process.env.GH_TOKEN,
    npm: baseUrl("npm-url", values["npm-url"] ?? process.env.npm_config_registry),
    registries: {
      "ghcr.io": baseUrl("ghcr-url", values["ghcr-url"]),
      "docker.io": baseUrl("docker-hub-url", values["docker-hub-url"]),
    },
  });
  const found =
    values.stack === undefined
      ? await bumpTable(sources, values.only ?? [])
      : await bumpStack(sources, values.stack, values["config-file"]);

  if (values.json === true) {
    const pins = found.rows.map(({ name, current, next, digest, changes, notes }) => ({
      ...{ name, current, next, digest, changes, notes },
    }));
    process.stdout.write(`${JSON.stringify({ written: values.write === true, pins }, null, 2)}\n`);
  } else {
    process.stdout.write(
      textTable([
        ["NAME", "CURRENT", "NEXT", "NOTE"],
        ...found.rows.map((row) => [
          row.name,
          row.current,
          row.changes ? (row.next === row.current ? `${row.next}, another digest` : row.next) : "-",
          row.notes.join("; "),
        ]),
      ]),
    );
  }
  if (values.write === true) {
    for (const [file, text] of found.files) await write(file, text);
    for (const file of found.files.keys()) process.stderr.write(`${file} is written.\n`);
    for (const sentence of found.afterwards) process.stderr.write(`${sentence}\n`);
  }
  return 0;
}

interface Row {
  readonly name: string;
  readonly current: string;
  readonly next: string;
  readonly digest: string | undefined;
  readonly changes: boolean;
  readonly notes: readonly string[];
}

interface Found {
  readonly rows: readonly Row[];
  /** What --write writes, by path. */
  readonly files: ReadonlyMap<string, string>;
  /** What people have to do then. */
  readonly afterwards: readonly string[];
}

async function bumpTable(sources: Sources, only: readonly string[]): Promise<Found> {
  const manifest = await readText("package.json", "the project's file in the current folder");
  const table = pinTable(JSON.parse(manifest) as Parameters<typeof pinTable>[0]);
  const proposals = await propose(table, selectPins(table, only), EXCEPTIONS, sources);
  const changes = proposals.filter(isChange);
  const files = changes.length === 0 ? new Map<string, string>() : await edited(changes, manifest);
  return {
    rows: proposals.map((one) => ({
      name: one.pin.name,
      current: one.pin.current,
      next: one.version,
      digest: one.digest,
      changes: isChange(one),
      notes: one.notes,
    })),
    files,
    afterwards: [
      ...(files.has("package.json")
        ? ["Then `npm install --package-lock-only --ignore-scripts` writes the lockfile."]
        : []),
      ...(files.has("components/pins/pins.ts")
        ? [
            "Then `UPDATE_GOLDEN=1 npm run test:unit` writes the golden files, and `npm run verify` tells what else has to follow.",
          ]
        : []),
    ],
  };
}

async function edited(
  changes: readonly Proposal[],
  manifest: string,
): Promise<ReadonlyMap<string, string>> {
  const places = new Set(changes.flatMap(({ pin }) => pin.places.map(({ file }) => file)));
  const files = new Map([["package.json", manifest]]);
  for (const file of places) {
    if (!files.has(file))
      files.set(file, await readText(file, "a file that the table of pins names"));
  }
  const workflows = await readWorkflows();
  const edits = changes.flatMap((one) => editsOf(one, workflows));
  const texts = applyEdits(new Map([...files, ...workflows]), edits);
  const raised = changes.map(({ pin, version }) => ({
    ...{ name: pin.name, from: pin.current, to: version },
  }));
  return new Map([...texts, [CHANGELOG, addToChangelog(await readOptional(CHANGELOG), raised)]]);
}

async function readWorkflows(): Promise<ReadonlyMap<string, string>> {
  const names = await readdir(WORKFLOWS).catch(() => []);
  const files = names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(WORKFLOWS, name));
  return new Map(
    await Promise.all(
      files.map(async (file) => [file, await readText(file, "a workflow file")] as const),
    ),
  );
}

async function bumpStack(
  sources: Sources,
  stack: string,
  configFile = `Pulumi.${stack}.yaml`,
): Promise<Found> {
  const problem = stackNameProblem(stack);
  if (problem !== undefined) throw new Error(problem);
  const [projectText, text] = await Promise.all([
    readText("Pulumi.yaml", "the project's file in the current folder"),
    readText(configFile, `the file of a stack named ${stack}`),
  ]);
  const read = readStackFile(stack, projectText, text);
  if (!read.ok) throw new Error(read.problems.join("\n"));

  const proposals = await proposeForStack(text, read, sources);
  const changes = proposals.filter(({ range, current, next }) => range && current !== next);
  const files = new Map<string, string>();
  if (changes.length > 0) {
    const raised: Raised[] = changes.map(({ key, current, next }) => ({
      name: `${key} of stack ${stack}`,
      from: current,
      to: next,
    }));
    files.set(
      configFile,
      setStackVersions(
        text,
        changes.flatMap(({ range, next }) => (range === undefined ? [] : [{ range, to: next }])),
      ),
    );
    files.set(CHANGELOG, addToChangelog(await readOptional(CHANGELOG), raised));
  }
  return {
    rows: proposals.map((one) => ({
      name: one.key,
      current: one.current,
      next: one.next,
      digest: undefined,
      changes: one.range !== undefined && one.current !== one.next,
      notes: one.notes,
    })),
    files,
    afterwards:
      changes.length === 0 ? [] : [`Then \`npm run plan -- --stack ${stack}\` tells what it does.`],
  };
}

/** Without slashes at its end. */
function baseUrl(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) {
    return text.replace(/\/+$/, "");
  }
  throw new Error(`--${option}: found no URL, expected an absolute http or https URL.`);
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new Error(`${path} cannot be read (${codeOf(error)}).`, { cause: error });
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw new Error(`${path} cannot be written (${codeOf(error)}).`, { cause: error });
  }
}

runScript(bump);
