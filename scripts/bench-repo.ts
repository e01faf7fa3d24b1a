import { access, constants, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import {
  benchRepository,
  type Strategy,
  STRATEGIES,
  type StrategyWorkflow,
} from "../bench/repo/benchRepository";
import { rowsOf, svgReport, textReport } from "../bench/repo/rows";
import { githubBase } from "../components/preflight/facts";

const HELP = `Usage: npm run bench:repo -- --repository OWNER/NAME --ref BRANCH [options]

Runs the workflow of each strategy on GitHub, one after the other, and compares their times with QEMU's.
Each strategy needs a workflow file of its own on the default branch: one target of the stack each, with the same
repository, and the path .github/workflows/image-<strategy>.yml.

  --ref BRANCH                the branch that is built; one whose builds move the tag latest is refused
  --allow-latest              do not refuse it
  --strategies A,B            some of ${STRATEGIES.join(", ")}; default: all
  --workflow STRATEGY=FILE    another workflow file for a strategy; may be given several times
  --runs N                    runs of each strategy, 1 to 20; default 1. Later ones find the caches of the first
  --timeout MINUTES           how long one run may take; default 120
  --poll SECONDS              how often to look; default 10
  --json                      print JSON
  --svg FILE                  write a chart as well

GITHUB_TOKEN: a token with the scope repo, or with write access to Actions and read access to contents.
GITHUB_BASE_URL: the API of another GitHub than https://api.github.com/.
`;

async function bench(): Promise<void> {
  const values = options();
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const token = process.env.GITHUB_TOKEN;
  if (token === undefined || token === "") {
    throw new Error(
      "GITHUB_TOKEN: found nothing, expected a token that may start workflows of the repository.",
    );
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Error("GITHUB_TOKEN: found characters that no token has, expected a token.");
  }
  const repository = required("--repository", values.repository, "OWNER/NAME");
  if (!/^[A-Za-z0-9-]+\/[A-Za-z0-9._-]+$/.test(repository)) {
    throw new Error(`--repository: found ${repository}, expected OWNER/NAME.`);
  }
  if (values.svg !== undefined) await checkWritable(values.svg);
  const measurements = await benchRepository({
    base: baseUrl(process.env.GITHUB_BASE_URL),
    token,
    repository,
    branch: required(
      "--ref",
      values.ref,
      "a branch to build, other than the one that publishes latest",
    ),
    allowLatest: values["allow-latest"],
    workflows: workflows(values.strategies, values.workflow),
    runs: number("--runs", values.runs, 1, 20),
    timeoutMs: number("--timeout", values.timeout, 1, 24 * 60, "minutes") * 60_000,
    pollMs: number("--poll", values.poll, 1, 600, "seconds") * 1000,
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const rows = rowsOf(measurements);
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ repository, branch: values.ref, rows }, null, 2)}\n`
      : textReport(rows),
  );
  if (values.svg !== undefined) await writeFile(values.svg, svgReport(repository, rows));
  if (rows.some(({ failed }) => failed !== undefined)) process.exitCode = 1;
}

function options() {
  try {
    return parseArgs({
      options: {
        repository: { type: "string" },
        ref: { type: "string" },
        "allow-latest": { type: "boolean", default: false },
        strategies: { type: "string", default: STRATEGIES.join(",") },
        workflow: { type: "string", multiple: true, default: [] },
        runs: { type: "string", default: "1" },
        timeout: { type: "string", default: "120" },
        poll: { type: "string", default: "10" },
        json: { type: "boolean", default: false },
        svg: { type: "string" },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    const [first] = (error as Error).message.split(". ", 1);
    throw new Error(`${first}, expected the options that --help lists.`, { cause: error });
  }
}

/** Before hours of runs rather than after them. */
async function checkWritable(file: string): Promise<void> {
  const folder = dirname(file);
  try {
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new Error(
      `--svg: found ${file}, expected a file in a folder that exists and can be written.`,
      { cause: error },
    );
  }
}

function required(option: string, value: string | undefined, expected: string): string {
  if (value === undefined || value === "") {
    throw new Error(`${option}: found nothing, expected ${expected}.`);
  }
  return value;
}

function number(option: string, value: string, min: number, max: number, unit?: string): number {
  const parsed = Number(value);
  if (!Number.isInteger(parsed) || parsed < min || parsed > max) {
    const what = unit === undefined ? "a whole number" : `whole ${unit}`;
    throw new Error(
      `${option}: found ${JSON.stringify(value)}, expected ${what} from ${min} to ${max}.`,
    );
  }
  return parsed;
}

/** Which file is run for which strategy, in the order of `STRATEGIES`. */
function workflows(strategies: string, given: readonly string[]): StrategyWorkflow[] {
  const wanted = new Set(strategies.split(",").map((one) => strategy("--strategies", one)));
  const files = new Map<Strategy, string>();
  for (const one of given) {
    const [name = "", file = ""] = one.split(/=(.*)/s);
    if (!/^[\w.-]+\.ya?ml$/.test(file)) {
      throw new Error(
        `--workflow: found ${JSON.stringify(one)}, expected STRATEGY=FILE with the name of a file in .github/workflows.`,
      );
    }
    files.set(strategy("--workflow", name), file);
  }
  return STRATEGIES.filter((one) => wanted.has(one)).map((one) => {
    const file = files.get(one);
    return { strategy: one, file: file ?? `image-${one}.yml`, given: file !== undefined };
  });
}

function strategy(option: string, name: string): Strategy {
  const found = STRATEGIES.find((one) => one === name);
  if (found === undefined) {
    throw new Error(
      `${option}: found ${JSON.stringify(name)}, expected one of ${STRATEGIES.join(", ")}.`,
    );
  }
  return found;
}

function baseUrl(endpoint: string | undefined): string {
  try {
    return githubBase(endpoint);
  } catch (error) {
    throw new Error(
      "GITHUB_BASE_URL: found something else than the address of a GitHub, expected one such as https://api.github.com/.",
      { cause: error },
    );
  }
}

bench().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
