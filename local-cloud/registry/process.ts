import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A registry for images that runs: Debian's docker-registry, open to this machine on a port of the loopback address. */
export interface RegistryProcess {
  /** Such as http://127.0.0.1:12345, without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

export interface RegistryOptions {
  /** Path of the program docker-registry. */
  readonly program: string;
  /** Folder that it keeps everything in; made if need be. */
  readonly storage: string;
  /** Refuses every change. Default: false. */
  readonly readOnly?: boolean;
}

const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5_000;

/** Starts a registry. Rejects, with what it said last, when it does not listen within 15 s. */
export async function startRegistry(options: RegistryOptions): Promise<RegistryProcess> {
  const folder = await mkdtemp(join(tmpdir(), "registry-"));
  const file = join(folder, "config.json");
  const configuration = {
    version: "0.1",
    log: { level: "info", formatter: "json", accesslog: { disabled: true } },
    storage: {
      // Without a cache of descriptors, so that what is removed from the folder is gone at once.
      filesystem: { rootdirectory: options.storage },
      delete: { enabled: true },
      maintenance: {
        uploadpurging: { enabled: false },
        readonly: { enabled: options.readOnly ?? false },
      },
    },
    http: { addr: "127.0.0.1:0" },
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(configuration));
  // The parent's death signal keeps a registry from outliving a local cloud that was killed.
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", options.program, "serve", file],
    // A group of its own, which Ctrl-C at a terminal does not reach: it is needed until all is tidied up.
    {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
      env: { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: "none" },
    },
  );
  let ended = false;
  let said = "";
  const exit = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", (error) => {
      said = error.message;
      resolve();
    });
  }).then(() => (ended = true));
  const close = async (): Promise<void> => {
    if (!ended) child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await exit;
    clearTimeout(timer);
    await rm(folder, { recursive: true, force: true });
  };
  const address = new Promise<string>((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      said = line;
      const found = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), START_TIMEOUT_MS);
  });
  const found = await Promise.race([address, late, exit.then(() => undefined)]);
  clearTimeout(timer);
  if (found === undefined) {
    await close();
    throw new Error(`the registry does not start: ${said || "it said nothing"}`);
  }
  return { url: `http://${found}`, close };
}
