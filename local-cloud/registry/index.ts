import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { uninterrupted } from "../core/interruption";
import type { RegistryAccess } from "../github";
import { cacheRoot } from "../hosts/cache";
import type { RegistryFiles } from "../hosts/prepare";
import type { GatewayServices } from "../hosts/types";
import { RegistryClient } from "./client";
import { Packages } from "./packages";
import { startRegistry, type RegistryProcess } from "./process";
import { namesOf, registryListener, type RegistrySite } from "./site";

/** The registries of the outside world, as the hosts of a local cloud see it: ghcr.io, and docker.io to read from. */
export interface Registries {
  /** What is in ghcr.io, without its access control. */
  readonly ghcr: RegistryClient;
  /** What is in docker.io. */
  readonly dockerHub: RegistryClient;
  /** For the gateway of hosts. */
  readonly sites: NonNullable<GatewayServices["sites"]>;
  /** Empties ghcr.io. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export interface RegistriesOptions {
  readonly files: RegistryFiles;
  /** What a token of GitHub's may do with packages; undefined when it is none, or one no longer. */
  readonly accessOf: (token: string) => RegistryAccess | undefined;
}

/** Starts both registries. Rejects when one does not start; nothing of it is left then. */
export async function openRegistries(options: RegistriesOptions): Promise<Registries> {
  const { program, dockerHub } = options.files;
  const folder = await storageFolder();
  const storage = join(folder, "storage");
  const running: RegistryProcess[] = [];
  const close = (): Promise<void> =>
    uninterrupted(async () => {
      await Promise.all(running.map((one) => one.close()));
      await rm(folder, { recursive: true, force: true });
    });
  const start = async (where: string, readOnly: boolean): Promise<string> => {
    const registry = await startRegistry({ program, storage: where, readOnly });
    running.push(registry);
    return registry.url;
  };
  try {
    await mkdir(storage);
    const ghcr = await start(storage, false);
    const hub = await start(dockerHub, true);
    const packages = new Packages(options.accessOf);
    const sites: RegistrySite[] = [
      {
        host: "ghcr.io",
        tokenPath: "/token",
        service: "ghcr.io",
        upstream: ghcr,
        login: (password) => packages.login(password),
      },
      {
        host: "registry-1.docker.io",
        tokenHost: "auth.docker.io",
        tokenPath: "/token",
        service: "registry.docker.io",
        aliases: ["docker.io", "index.docker.io"],
        upstream: hub,
        // There are no accounts: everyone may read, and no one may do more.
        login: (password) =>
          password === undefined ? { may: (action) => action === "pull" } : undefined,
      },
    ];
    return {
      ghcr: new RegistryClient(ghcr),
      dockerHub: new RegistryClient(hub),
      sites: sites.map((site) => ({ names: namesOf(site), listener: registryListener(site) })),
      reset: async () => {
        packages.reset();
        for (const name of await readdir(storage)) {
          await rm(join(storage, name), { recursive: true, force: true });
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A folder of this process; those of processes that are gone are removed. */
async function storageFolder(): Promise<string> {
  const parent = join(cacheRoot(), "registries");
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    if (!existsSync(`/proc/${Number.parseInt(name, 10)}`)) {
      await rm(join(parent, name), { recursive: true, force: true });
    }
  }
  return mkdtemp(join(parent, `${process.pid}-`));
}
