import { createHash } from "node:crypto";
import { copyFile, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cacheFolder, isExecutable, markUsed, storeFolder } from "../../local-cloud/engine/cache";
import { lastWords, run, type RunResult } from "../../local-cloud/engine/run";

/** Executables of the linters that are programs of their own. */
export interface LintTools {
  readonly actionlint: string;
  readonly zizmor: string;
}

const ACTIONLINT = path.join(__dirname, "actionlint");
const ACTIONLINT_PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint";
const REQUIREMENTS = path.join(__dirname, "requirements.txt");
/** Milliseconds for one build or installation, on a slow machine and network. */
const TIMEOUT = 600_000;

/**
 * actionlint, built from Go modules, and zizmor, from its wheel: made once for the same versions and kept in the cache
 * folder. shellcheck, which actionlint calls, has to be on the PATH.
 * @param log Takes one line for people when something is made, which takes up to a minute.
 * @throws Error in one sentence when a tool cannot be had, for example because Go is missing.
 */
export async function prepareLintTools(log: (line: string) => void): Promise<LintTools> {
  const shellcheck = await run("shellcheck", ["--version"]);
  if (shellcheck.code !== 0) {
    throw new Error(
      `shellcheck is needed on the PATH, found ${shellcheck.code === undefined ? "none" : "one that fails"}.`,
    );
  }
  const folder = path.join(cacheFolder(), `lint-${await key()}`);
  if (!((await markUsed(folder)) && (await isComplete(folder))))
    await storeFolder(folder, isComplete, (work) => fill(work, log));
  return tools(folder);
}

function tools(folder: string): LintTools {
  return { actionlint: path.join(folder, "actionlint"), zizmor: path.join(folder, "zizmor") };
}

async function isComplete(folder: string): Promise<boolean> {
  const { actionlint, zizmor } = tools(folder);
  return (await isExecutable(actionlint)) && (await isExecutable(zizmor));
}

/** The same for the same versions and platform. */
async function key(): Promise<string> {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}\n`);
  for (const file of ["go.mod", "go.sum"]) hash.update(await readFile(path.join(ACTIONLINT, file)));
  return hash
    .update(await readFile(REQUIREMENTS))
    .digest("hex")
    .slice(0, 16);
}

async function fill(work: string, log: (line: string) => void): Promise<void> {
  const made = tools(work);
  log("lint: building actionlint from Go modules");
  succeed(
    "Building actionlint with go build",
    await run(
      "go",
      [
        ...["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", "-s -w"],
        ...["-o", made.actionlint, ACTIONLINT_PACKAGE],
      ],
      // The toolchain must be the user's own: Go would otherwise download another one.
      {
        cwd: ACTIONLINT,
        env: { ...process.env, GOTOOLCHAIN: "local" },
        nice: true,
        timeout: TIMEOUT,
      },
    ),
  );
  log("lint: installing zizmor from its wheel");
  const environment = path.join(work, "python");
  succeed(
    "Making a Python environment for zizmor",
    await run("python3", ["-m", "venv", environment], { cwd: tmpdir(), timeout: TIMEOUT }),
  );
  succeed(
    "Installing zizmor with pip",
    await run(
      path.join(environment, "bin", "pip"),
      [
        ...["install", "--quiet", "--disable-pip-version-check", "--no-deps"],
        ...["--only-binary=:all:", "--require-hashes", "--requirement", REQUIREMENTS],
      ],
      { cwd: tmpdir(), timeout: TIMEOUT },
    ),
  );
  // It is a program without needs of its own, and an environment cannot be moved.
  await copyFile(path.join(environment, "bin", "zizmor"), made.zizmor);
  await rm(environment, { recursive: true });
}

function succeed(what: string, result: RunResult): void {
  if (result.code !== 0) throw new Error(`${what} failed: ${lastWords(result)}`);
}
