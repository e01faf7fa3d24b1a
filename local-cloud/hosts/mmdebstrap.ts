import { readFile } from "node:fs/promises";
import { capture, run } from "./run";

const RELEASE = "trixie";

export interface DebootstrapOptions {
  /** Default "minbase": a system; "extract": the packages' files and those of what they depend on, nothing set up. */
  readonly variant?: "minbase" | "extract";
  /** As Debian calls it. Default: the machine's own. A foreign one can only be extracted. */
  readonly architecture?: string;
  /** More arguments of the program. */
  readonly arguments?: readonly string[];
}

/**
 * Lays out Debian packages, of the release that hosts run, in a folder or an archive, and nothing on this machine.
 * Rejects with mmdebstrap's last lines when a package cannot be had.
 */
export async function mmdebstrap(
  target: string,
  packages: readonly string[],
  options: DebootstrapOptions = {},
): Promise<void> {
  const sources = await packageSources();
  await run(
    "mmdebstrap",
    [
      "--quiet",
      "--mode=root",
      `--variant=${options.variant ?? "minbase"}`,
      ...(options.architecture === undefined ? [] : [`--architectures=${options.architecture}`]),
      `--include=${packages.join(",")}`,
      ...(await aptOptions()),
      ...(options.arguments ?? []),
      RELEASE,
      target,
      // From standard input, or else the default mirror of mmdebstrap.
      ...(sources === "" ? [] : ["-"]),
    ],
    { stdin: sources, timeoutMs: 15 * 60_000 },
  );
}

/** The mirrors that this machine's own apt uses, for the release that hosts run; empty when this machine is no Debian. */
async function packageSources(): Promise<string> {
  const system = await readFile("/etc/os-release", "utf8");
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(system)?.[1];
  if (!/^ID=debian$/m.test(system) || codename === undefined) return "";
  const format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
  const targets = await run("apt-get", [
    "indextargets",
    "--format",
    format,
    "Created-By: Packages",
  ]);
  const sources = new Set<string>();
  for (const line of targets.split("\n")) {
    const [uri, suite, component] = line.split(" ");
    const kind = ["", "-updates", "-security"].find((kind) => suite === `${codename}${kind}`);
    if (kind === undefined || component !== "main") continue;
    sources.add(`deb ${uri} ${RELEASE}${kind} main`);
  }
  // Security and updates alone make no system.
  const complete = [...sources].some((line) => line.endsWith(` ${RELEASE} main`));
  return complete ? [...sources].join("\n") + "\n" : "";
}

/** The machine's settings for fetching packages, which mmdebstrap does not read: proxies and checks of dates. */
async function aptOptions(): Promise<string[]> {
  const dump = await capture("apt-config", ["dump", "Acquire"]);
  return dump.stdout
    .split("\n")
    .filter((line) => /^Acquire::(?:https?::(?:.*::)?Proxy|Check-[\w-]+|Retries) "/.test(line))
    .map((line) => `--aptopt=${line}`);
}
