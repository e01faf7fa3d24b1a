import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { cachedEngine, storeEngine } from "./cache";
import { lastWords, run } from "./run";
import { CLI_VERSION, PLUGIN_NAMES } from "./versions";

type Log = (line: string) => void;

const CLI = path.join(__dirname, "cli");
const PLUGINS = path.join(__dirname, "plugins");
const CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/** The toolchain must be the user's own: Go would otherwise download another one. */
const goEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env, GOTOOLCHAIN: "local" });

/** What an earlier run built from the same sources with the same Go. */
export async function cachedBuild(log: Log): Promise<string | undefined> {
  const go = await goVersion();
  if (!go) return undefined;
  const bin = await cachedEngine(buildKey(go));
  if (bin) log(`engine: using the build in ${bin}`);
  return bin;
}

/**
 * Builds the CLI, the language host and the plugins from Go modules.
 * @throws Error if Go is missing, too old, or a build fails.
 */
export async function builtEngine(log: Log): Promise<string> {
  const needed = neededGo();
  const go = await goVersion();
  if (!go || olderThan(go, needed)) {
    throw new Error(
      `Building the Pulumi engine needs Go ${needed} or newer on the PATH, found ${go ?? "none"}.`,
    );
  }
  return storeEngine(buildKey(go), async (folder) => {
    const bin = path.join(folder, "bin");
    const linked = `-s -w -X ${VERSION_VARIABLE}=v${CLI_VERSION}`;
    await goBuild(log, `pulumi ${CLI_VERSION}`, CLI, CLI_PACKAGE, path.join(bin, "pulumi"), linked);
    await goBuild(
      log,
      "the Node.js language host",
      CLI,
      "./pulumi-language-nodejs",
      path.join(bin, "pulumi-language-nodejs"),
    );
    await goBuild(log, "the provider plugins", PLUGINS, ".", path.join(bin, "plugins"));
    for (const name of PLUGIN_NAMES) {
      await symlink("plugins", path.join(bin, `pulumi-resource-${name}`));
    }
  });
}

async function goBuild(
  log: Log,
  what: string,
  module: string,
  target: string,
  output: string,
  ldflags = "-s -w",
): Promise<void> {
  log(`engine: building ${what} from Go modules (minutes the first time)`);
  const started = Date.now();
  const result = await run(
    "go",
    // No version control stamp: the checkout may not be one, or be someone else's.
    [
      ...["build", "-trimpath", "-mod=readonly", "-buildvcs=false"],
      ...["-ldflags", ldflags, "-o", output, target],
    ],
    { cwd: module, env: goEnvironment(), nice: true },
  );
  if (result.code !== 0) {
    throw new Error(`Building ${what} with go build failed: ${lastWords(result)}`);
  }
  log(`engine: built ${what} in ${Math.round((Date.now() - started) / 1000)} s`);
}

/** The version of the Go on PATH, such as "1.26.8", or undefined. */
async function goVersion(): Promise<string | undefined> {
  const { stdout } = await run("go", ["env", "GOVERSION"], { cwd: tmpdir(), env: goEnvironment() });
  return /^go(\d+\.\d+(?:\.\d+)?)/.exec(stdout.trim())?.[1];
}

/** The newest of what the modules ask for. */
function neededGo(): string {
  const asked = [CLI, PLUGINS].map((module) => {
    const text = readFileSync(path.join(module, "go.mod"), "utf8");
    const version = /^go (\S+)$/m.exec(text)?.[1];
    if (!version) throw new Error(`${module}/go.mod names no Go version.`);
    return version;
  });
  return asked.reduce((a, b) => (olderThan(a, b) ? b : a));
}

/** Compares versions such as "1.26" and "1.26.4". */
export function olderThan(version: string, other: string): boolean {
  const numbers = (text: string) => text.split(".").map(Number);
  const [a, b] = [numbers(version), numbers(other)];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The same for the same sources, toolchain and platform. */
function buildKey(go: string): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([go, process.platform, process.arch, CLI_VERSION]));
  for (const module of [CLI, PLUGINS]) {
    const files = readdirSync(module, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith("_test.go"))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort();
    for (const file of files) {
      const content = readFileSync(file);
      hash.update(`${path.relative(__dirname, file)}\0${content.length}\0`).update(content);
    }
  }
  return hash.digest("hex").slice(0, 16);
}
