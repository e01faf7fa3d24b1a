import { createHash } from "node:crypto";
import { symlink } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { cachedEngine, isExecutable, storeEngine } from "./cache";
import { run } from "./run";
import { CLI_VERSION, PLUGIN_NAMES, pluginFolder } from "./versions";

type Log = (line: string) => void;

const VERSION_TIMEOUT = 10_000;

/** Pulumi and all plugins as installed by their owner, gathered by links into one folder. */
export async function machineEngine(log: Log): Promise<string | undefined> {
  const pulumi = await machineCli(log);
  if (!pulumi) return undefined;
  const home = process.env.PULUMI_HOME || path.join(homedir(), ".pulumi");
  const files: Record<string, string> = {
    pulumi,
    "pulumi-language-nodejs": path.join(path.dirname(pulumi), "pulumi-language-nodejs"),
  };
  for (const name of PLUGIN_NAMES) {
    const executable = `pulumi-resource-${name}`;
    files[executable] = path.join(home, pluginFolder(name), executable);
  }
  for (const file of Object.values(files)) {
    if (!(await isExecutable(file))) return undefined;
  }
  log(`engine: using pulumi ${CLI_VERSION} and the plugins that are installed on this machine`);
  const key = `machine-${createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 16)}`;
  return (
    (await cachedEngine(key)) ??
    (await storeEngine(key, async (folder) => {
      for (const [name, file] of Object.entries(files)) {
        await symlink(file, path.join(folder, "bin", name));
      }
    }))
  );
}

/** The pulumi on PATH, if it is the version that this project needs. */
async function machineCli(log: Log): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(path.delimiter)) {
    const pulumi = path.join(folder, "pulumi");
    if (!folder || !(await isExecutable(pulumi))) continue;
    const { stdout } = await run(pulumi, ["version"], {
      env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
      timeout: VERSION_TIMEOUT,
    });
    const version = stdout.trim().replace(/^v/, "");
    if (version === CLI_VERSION) return pulumi;
    log(
      `engine: pulumi on this machine is ${version || "not runnable"}, not ${CLI_VERSION}: not used`,
    );
    return undefined;
  }
  return undefined;
}
