import { existsSync, mkdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Engine } from ".";
import { PLUGIN_NAMES, pluginFolder } from "./versions";

/** Encrypts the secrets of stacks on the local cloud, which hold nothing of worth. */
export const LOCAL_PASSPHRASE = "local-cloud";

/** What would make a run depend on the person who starts it. */
const PERSONAL = /^(GITHUB_|GH_|HCLOUD_|HETZNER_|PULUMI_|SSH_AUTH_SOCK$)/;

/**
 * The environment of a run of pulumi against the local cloud. Home, plugins and state are below
 * `stateDir`, which is made if need be; nothing personal is taken over from `base`.
 */
export function engineEnvironment(
  engine: Engine,
  stateDir: string,
  base: NodeJS.ProcessEnv = process.env,
): Record<string, string> {
  const home = path.resolve(stateDir, "home");
  const backend = path.resolve(stateDir, "backend");
  mkdirSync(backend, { recursive: true });
  for (const name of PLUGIN_NAMES) {
    const executable = `pulumi-resource-${name}`;
    const target = realpathSync(path.join(engine.bin, executable));
    const link = path.join(home, pluginFolder(name), executable);
    mkdirSync(path.dirname(link), { recursive: true });
    if (existsSync(link) && realpathSync(link) === target) continue;
    rmSync(link, { force: true });
    symlinkSync(target, link);
  }
  const inherited = Object.entries(base).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !PERSONAL.test(entry[0]),
  );
  return {
    ...Object.fromEntries(inherited),
    PATH: [engine.bin, base.PATH ?? ""].join(path.delimiter),
    PULUMI_HOME: home,
    PULUMI_BACKEND_URL: pathToFileURL(backend).href,
    PULUMI_CONFIG_PASSPHRASE: LOCAL_PASSPHRASE,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    // Those on PATH would be preferred to those in PULUMI_HOME, with a warning at every run.
    PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
    PULUMI_CREDENTIAL_STORE: "plaintext",
    PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS: "true",
  };
}
