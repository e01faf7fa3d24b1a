import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { lastWords, run } from "../engine/run";
import { cached, keyOf } from "../hosts/cache";

/** Programs that build images and run them, as files of this machine's architecture that need no library. */
export interface Tools {
  readonly buildkitd: string;
  readonly buildctl: string;
  /** Plugin of the Docker CLI. */
  readonly buildx: string;
  /** Stands in front of runc where capabilities are missing; see its source. */
  readonly runc: string;
}

/** The version that go.mod pins a module to. */
function pinned(module: string): string {
  const version = readFileSync(join(__dirname, "go.mod"), "utf8")
    .split("\n")
    .map((line) => /^\s*(?:require )?(\S+) (v\S+)/.exec(line))
    .find((match) => match?.[1] === module)?.[2];
  if (version === undefined) throw new Error(`local-cloud/tools/go.mod does not pin ${module}`);
  return version;
}

/** Versions of BuildKit and buildx, each with its "v". */
export const BUILDKIT_VERSION = pinned("github.com/moby/buildkit");
export const BUILDX_VERSION = pinned("github.com/docker/buildx");

interface Source {
  /** Package to build, in a module of go.mod or in this folder. */
  readonly package: string;
  /** Linked into the program, for those that tell it. */
  readonly version?: { readonly module: string; readonly value: string };
}

const BUILDKIT = { module: "github.com/moby/buildkit", value: BUILDKIT_VERSION };
const SOURCES: Readonly<Record<keyof Tools, Source>> = {
  buildkitd: { package: "github.com/moby/buildkit/cmd/buildkitd", version: BUILDKIT },
  buildctl: { package: "github.com/moby/buildkit/cmd/buildctl", version: BUILDKIT },
  buildx: {
    package: "github.com/docker/buildx/cmd/buildx",
    version: { module: "github.com/docker/buildx", value: BUILDX_VERSION },
  },
  runc: { package: "./runc" },
};

/** The toolchain must be the user's own: Go would otherwise download another one. */
const goEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  CGO_ENABLED: "0",
  GOFLAGS: "",
  GOTOOLCHAIN: "local",
  GOWORK: "off",
});

/**
 * Builds the programs from the Go modules that go.mod pins, or finds them in the cache.
 * Rejects with Go's last lines when a module cannot be had or Go is missing or too old.
 */
export async function buildTools(log: (line: string) => void): Promise<Tools> {
  const go = await run("go", ["env", "GOVERSION"], { cwd: __dirname, env: goEnvironment() });
  if (go.code !== 0) throw new Error(`building tools needs Go on the PATH: ${lastWords(go)}`);
  const sources = ["go.mod", "go.sum", "runc/main.go", "index.ts"];
  const key = keyOf(
    go.stdout.trim(),
    process.arch,
    ...(await Promise.all(sources.map((name) => readFile(join(__dirname, name), "utf8")))),
  );
  const folder = await cached("tools", key, async (target) => {
    for (const [name, source] of Object.entries(SOURCES)) await build(name, source, target, log);
  });
  return {
    buildkitd: join(folder, "buildkitd"),
    buildctl: join(folder, "buildctl"),
    buildx: join(folder, "buildx"),
    runc: join(folder, "runc"),
  };
}

async function build(
  name: string,
  { package: target, version }: Source,
  folder: string,
  log: (line: string) => void,
): Promise<void> {
  const what = version === undefined ? name : `${name} ${version.value}`;
  log(`${what}, from Go modules …`);
  const start = Date.now();
  const told =
    version === undefined ? "" : ` -X ${version.module}/version.Version=${version.value}`;
  const result = await run(
    "go",
    [
      ...["build", "-trimpath", "-mod=readonly", "-buildvcs=false"],
      ...["-ldflags", `-s -w${told}`, "-o", join(folder, name), target],
    ],
    { cwd: __dirname, env: goEnvironment(), nice: true, timeout: 20 * 60_000 },
  );
  if (result.code !== 0) throw new Error(`building ${what} failed: ${lastWords(result)}`);
  log(`${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
}
