import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { interruption } from "../core/interruption";
import { cachedEngine, storeEngine } from "./cache";
import { lastWords, run } from "./run";
import { CLI_VERSION, PLUGIN_NAMES, PLUGIN_VERSIONS, pluginFolder } from "./versions";

type Log = (line: string) => void;

const RELEASES = "https://get.pulumi.com/releases/sdk";
/** Milliseconds until the server must have answered. Where there is no network, this is what it costs. */
const ANSWER_TIMEOUT = 3_000;
/** Milliseconds for one file: 120 MB at 0.5 MB/s. */
const TRANSFER_TIMEOUT = 240_000;

const KEY = `download-${createHash("sha256")
  .update(JSON.stringify([CLI_VERSION, PLUGIN_VERSIONS, process.platform, process.arch]))
  .digest("hex")
  .slice(0, 16)}`;

/** What an earlier run downloaded. */
export async function cachedDownload(log: Log): Promise<string | undefined> {
  const bin = await cachedEngine(KEY);
  if (bin) log(`engine: using the published downloads in ${bin}`);
  return bin;
}

/** The published CLI and plugins. Says in one line why not, if they cannot be had. */
export async function downloadedEngine(log: Log): Promise<string | undefined> {
  try {
    return await storeEngine(KEY, async (folder) => {
      await downloadCli(folder, log);
      for (const name of PLUGIN_NAMES) await downloadPlugin(folder, name, log);
      await rm(path.join(folder, "home"), { recursive: true, force: true });
    });
  } catch (error) {
    log(`engine: the published downloads cannot be had here (${reason(error)})`);
    return undefined;
  }
}

async function downloadCli(folder: string, log: Log): Promise<void> {
  const archive = `pulumi-v${CLI_VERSION}-${process.platform}-${process.arch}.tar.gz`;
  const url = `${RELEASES}/${archive}`;
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new Error(`no answer in ${ANSWER_TIMEOUT / 1000} s`)),
    ANSWER_TIMEOUT,
  );
  const response = await fetch(url, {
    signal: AbortSignal.any([
      controller.signal,
      interruption(),
      AbortSignal.timeout(TRANSFER_TIMEOUT),
    ]),
  }).finally(() => clearTimeout(timer));
  if (!response.ok || !response.body) {
    throw new Error(`${url} answered ${response.status}`);
  }
  log(`engine: downloading pulumi ${CLI_VERSION}`);
  const file = path.join(folder, archive);
  await pipeline(
    Readable.fromWeb(response.body as ReadableStream<Uint8Array>),
    createWriteStream(file),
  );
  const unpacked = path.join(folder, "unpacked");
  await mkdir(unpacked);
  const tar = await run("tar", ["-xzf", file, "-C", unpacked, "--strip-components=1"]);
  if (tar.code !== 0) throw new Error(`${archive} cannot be unpacked: ${lastWords(tar)}`);
  for (const name of ["pulumi", "pulumi-language-nodejs"]) {
    await rename(path.join(unpacked, name), path.join(folder, "bin", name));
  }
  await rm(unpacked, { recursive: true });
  await rm(file);
}

async function downloadPlugin(
  folder: string,
  name: (typeof PLUGIN_NAMES)[number],
  log: Log,
): Promise<void> {
  const version = PLUGIN_VERSIONS[name];
  log(`engine: downloading the ${name} plugin ${version}`);
  const home = path.join(folder, "home");
  const install = await run(
    path.join(folder, "bin", "pulumi"),
    ["plugin", "install", "resource", name, version],
    {
      env: { ...process.env, PULUMI_HOME: home, PULUMI_SKIP_UPDATE_CHECK: "true" },
      timeout: TRANSFER_TIMEOUT,
    },
  );
  if (install.code !== 0) throw new Error(`${name} ${version}: ${lastWords(install)}`);
  const executable = `pulumi-resource-${name}`;
  await rename(
    path.join(home, pluginFolder(name), executable),
    path.join(folder, "bin", executable),
  );
}

/** fetch hides what happened in the cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
