import { builtEngine, cachedBuild } from "./build";
import { cachedDownload, downloadedEngine } from "./download";
import { machineEngine } from "./machine";

export { engineEnvironment, LOCAL_PASSPHRASE } from "./environment";

/** The Pulumi CLI, its Node.js language host and the resource plugins, ready to run. */
export interface Engine {
  /** Folder to put on PATH: pulumi, pulumi-language-nodejs, pulumi-resource-*. */
  readonly bin: string;
  readonly origin: "machine" | "download" | "build";
}

/** Takes one line for people, without a newline. */
export type Log = (line: string) => void;

/** One way to an engine. Answers its bin folder, or undefined if this way is not open here. */
export interface EngineSource {
  readonly origin: Engine["origin"];
  readonly find: (log: Log) => Promise<string | undefined>;
}

/** In order of preference. What an earlier run prepared comes before anything that takes time. */
const SOURCES: EngineSource[] = [
  { origin: "machine", find: machineEngine },
  { origin: "download", find: cachedDownload },
  { origin: "build", find: cachedBuild },
  { origin: "download", find: downloadedEngine },
  { origin: "build", find: builtEngine },
];

const STAND_IN =
  "engine: @pulumi/command runs on this project's stand-in for its plugin, which is not published as source";

/**
 * Finds or prepares the engine: already on the machine, published downloads, build from Go modules.
 * RUNNER_FLEET_ENGINE=build goes straight to the build. Progress goes to stderr unless `log` takes it.
 * @throws Error in one sentence if no way is open, for example because Go is missing.
 */
export async function prepareEngine(options: { log?: Log } = {}): Promise<Engine> {
  const log = options.log ?? ((line) => process.stderr.write(`${line}\n`));
  const wanted = process.env.RUNNER_FLEET_ENGINE;
  if (wanted && wanted !== "build") {
    throw new Error(`RUNNER_FLEET_ENGINE is "${wanted}", expected "build" or nothing.`);
  }
  return firstEngine(wanted ? SOURCES.filter((s) => s.origin === wanted) : SOURCES, log);
}

/** The first of `sources` that has an engine. */
export async function firstEngine(sources: EngineSource[], log: Log): Promise<Engine> {
  for (const { origin, find } of sources) {
    const bin = await find(log);
    if (bin === undefined) continue;
    if (origin === "build") log(STAND_IN);
    return { bin, origin };
  }
  throw new Error("No way to a Pulumi engine is open on this machine.");
}
