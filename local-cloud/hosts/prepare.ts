import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { chmod, cp, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, delimiter, dirname, join } from "node:path";
import { RegistryClient } from "../registry/client";
import { startRegistry } from "../registry/process";
import { fetchPrograms, programsIn } from "../registry/programs";
import { goVersion, seedDockerHub } from "../registry/seeds";
import { buildTools, type Tools } from "../tools";
import { fetchEmulator } from "../tools/emulation";
import { cached, cacheRoot, keyOf, keyOfFolder } from "./cache";
import { authorityIn, createAuthority, type CertificateAuthority } from "./certificates";
import {
  buildBinaries,
  buildBuildkitImage,
  buildHostImages,
  executorIdentity,
  IMAGE_SOURCES,
  nameByDigest,
  nodeIdentity,
  PINNED_IMAGES,
  writeArchive,
  type Ingredients,
} from "./images";
import { cgroupRoot, claimInstance, releaseInstance } from "./instance";
import { Machine } from "./machine";
import { buildHostRoot, buildImageBase, buildRunnerRoot } from "./rootfs";
import { until } from "./run";

/** Debian packages that booted hosts need on this machine. */
export const DEBIAN_PACKAGES: readonly string[] = [
  "mmdebstrap",
  "systemd-container",
  "debian-archive-keyring",
  "iptables",
  "iproute2",
  "openssl",
  "procps",
  "util-linux",
  "tar",
  "ca-certificates",
];

/** Programs of hosted runners, and where they are; what is below /usr/local is found before what is Debian's. */
const RUNNER_TOOLS = [
  { program: "node", path: "usr/local/bin/node" },
  { program: "buildx", path: "usr/local/lib/docker/cli-plugins/docker-buildx" },
  { program: "runc", path: "usr/local/sbin/runc" },
] as const;

/** What of Docker's folder is images and their layers; the rest belongs to the one host that loaded them. */
const KEPT_OF_DOCKER: readonly string[] = ["image", "overlay2"];

/** What hosts are made from, all of it read-only from here on. */
export interface HostImages {
  /** Root file system of every host. */
  readonly root: string;
  /** /var/lib/docker with all images loaded. */
  readonly docker: string;
  /** Root file system of the machines that stand in for GitHub's, in overlayfs's form: layers, the topmost first. */
  readonly runnerRoot: string;
  readonly registry: RegistryFiles;
  /** What runs programs for arm64 on another machine. */
  readonly emulator: string;
  readonly authority: CertificateAuthority;
}

/** What registries run from. */
export interface RegistryFiles {
  /** The program. */
  readonly program: string;
  /** Storage of the one that stands in for Docker Hub. */
  readonly dockerHub: string;
}

/** Why systems cannot be booted in containers here, in one sentence; undefined when they can. */
export function missingCapability(): string | undefined {
  if (process.platform !== "linux") {
    return `hosts boot in containers of Linux, and this is ${process.platform}`;
  }
  if (process.getuid?.() !== 0) return "hosts boot in containers, which takes root";
  const missing = ["systemd-nspawn", "mmdebstrap", "iptables", "ip", "openssl", "setpriv"].filter(
    (program) => !isInstalled(program),
  );
  if (missing.length > 0) {
    return `hosts boot in containers, and ${missing.join(", ")} is not installed (Debian packages: ${DEBIAN_PACKAGES.join(" ")})`;
  }
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  const held = BigInt(`0x${capabilities?.[1] ?? "0"}`);
  // By number: CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_ADMIN, CAP_MKNOD.
  if ([12n, 18n, 21n, 27n].some((bit) => ((held >> bit) & 1n) === 0n)) {
    return "hosts boot in containers, and this process lacks a capability for that (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_MKNOD)";
  }
  const cgroups = cgroupRoot();
  if (cgroups === undefined || !isWritable(cgroups)) {
    return "hosts boot in containers, and there is no writable tree of v2 control groups";
  }
  if (
    !/\soverlay$/m.test(readFileSync("/proc/filesystems", "utf8")) &&
    !existsSync("/sys/module/overlay")
  ) {
    return "hosts boot in containers, and this kernel has no overlay file system";
  }
  return undefined;
}

function isInstalled(program: string): boolean {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)));
}

export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes what hosts are made from, or finds it in the cache: some minutes the first time, milliseconds later.
 * Fails with one sentence when a program is missing or a package cannot be fetched.
 */
export async function prepareHosts(options: { log: (line: string) => void }): Promise<HostImages> {
  const { log } = options;
  const step = async (
    what: string,
    kind: string,
    key: string,
    build: (folder: string) => Promise<void>,
  ): Promise<string> =>
    cached(kind, key, async (folder) => {
      log(`${what} …`);
      const start = Date.now();
      await build(folder);
      log(`${what}: ${((Date.now() - start) / 1000).toFixed(1)} s`);
    });

  const source = (name: string): Promise<string> => readFile(join(__dirname, name), "utf8");
  const caKey = keyOf(await source("certificates.ts"));
  const authority = authorityIn(
    await step("Certificate authority", "authority", caKey, createAuthority),
  );
  const trusted = await readFile(authority.certificate, "utf8");

  const rootKey = keyOf(await source("rootfs.ts"), trusted);
  const root = await step("Debian root file system of hosts", "root", rootKey, async (folder) => {
    await mkdir(join(folder, "root"));
    await buildHostRoot(join(folder, "root"), authority.certificate);
  });

  const base = await step("Debian base of images", "base", rootKey, (folder) =>
    buildImageBase(join(folder, "base.tar"), authority.certificate),
  );

  const tools = await buildTools(log);
  const toolsKey = basename(dirname(tools.buildkitd));
  const runnerRoot = await step(
    "Debian root file system of hosted runners",
    "runner",
    rootKey,
    async (folder) => {
      await mkdir(join(folder, "root"));
      await buildRunnerRoot(join(folder, "root"), authority.certificate);
    },
  );
  const runnerTools = await step(
    "Tools of hosted runners",
    "runner-tools",
    keyOf(JSON.stringify(RUNNER_TOOLS), toolsKey, await nodeIdentity()),
    (folder) => stageRunnerTools(join(folder, "layer"), tools),
  );

  const imagesKey = keyOf(
    rootKey,
    toolsKey,
    JSON.stringify([KEPT_OF_DOCKER, PINNED_IMAGES]),
    await source("images.ts"),
    await keyOfFolder(IMAGE_SOURCES),
    await nodeIdentity(),
    await executorIdentity(),
  );
  const ingredients = (binaries: string): Ingredients => ({
    binaries,
    tools,
    root: join(root, "root"),
  });
  const docker = await step("Container images, loaded", "docker", imagesKey, async (folder) => {
    const work = join(folder, "work");
    const binaries = join(work, "binaries");
    const archive = join(folder, "images.tar");
    await mkdir(binaries, { recursive: true });
    await buildBinaries(binaries);
    const images = await buildHostImages(work, join(base, "base.tar"), ingredients(binaries));
    await writeArchive(archive, work, images);
    await rm(work, { recursive: true });
    await loadImages(archive, join(root, "root"), join(folder, "docker"));
    await rm(archive);
  });

  const programsKey = keyOf(
    await source("mmdebstrap.ts"),
    await source("../registry/programs.ts"),
    process.arch,
  );
  const programs = programsIn(
    await step("Debian programs of registries", "programs", programsKey, fetchPrograms),
  );
  const seedsKey = keyOf(
    rootKey,
    toolsKey,
    programsKey,
    await source("images.ts"),
    await source("../registry/seeds.ts"),
    await source("../registry/client.ts"),
    await keyOfFolder(join(IMAGE_SOURCES, "syft-scanner")),
    await goVersion(),
  );
  const seeds = await step("Images of Docker Hub", "hub", seedsKey, async (folder) => {
    const work = join(folder, "work");
    await mkdir(work);
    const buildkit = await buildBuildkitImage(work, join(base, "base.tar"), ingredients(work));
    const registry = await startRegistry({
      program: programs.registry,
      storage: join(folder, "storage"),
    });
    try {
      await seedDockerHub(new RegistryClient(registry.url), work, {
        buildkit,
        base: join(base, "base.tar"),
        busybox: programs.busybox,
      });
    } finally {
      await registry.close();
    }
    await rm(work, { recursive: true });
  });
  return {
    root: join(root, "root"),
    docker: join(docker, "docker"),
    runnerRoot: [join(runnerTools, "layer"), join(runnerRoot, "root")].join(":"),
    emulator: await fetchEmulator(log),
    registry: { program: programs.registry, dockerHub: join(seeds, "storage") },
    authority,
  };
}

/** What a hosted runner has besides Debian's packages, as a layer over its root file system. */
async function stageRunnerTools(layer: string, tools: Tools): Promise<void> {
  const programs = { node: process.execPath, buildx: tools.buildx, runc: tools.runc };
  for (const { program, path } of RUNNER_TOOLS) {
    const target = join(layer, path);
    await mkdir(dirname(target), { recursive: true });
    await cp(programs[program], target);
    await chmod(target, 0o755);
  }
}

/** Lets the Docker of a host load the archive, and keeps what is worth keeping of its folder. */
async function loadImages(archive: string, root: string, target: string): Promise<void> {
  const instance = await claimInstance(instancesFolder());
  try {
    const machine = new Machine({
      instance,
      ordinal: 0,
      folder: join(instance.folder, "0"),
      lower: root,
    });
    await machine.mount();
    await machine.disableCloudInit();
    await machine.start();
    const ready = await until(
      async () => (await machine.exec(["docker", "version"], {})).code === 0,
      60_000,
      200,
    );
    if (!ready) {
      throw new Error(
        `Docker does not start in a host:\n${(await machine.console()).slice(-2000)}`,
      );
    }
    await machine.linkIntoDocker(archive, "images.tar");
    const load = ["docker", "load", "--input", "/var/lib/docker/images.tar"];
    const loaded = await machine.exec(load, {
      timeoutMs: 10 * 60_000,
    });
    if (loaded.code !== 0)
      throw new Error(`Docker cannot load the images: ${loaded.stderr.trim()}`);
    await machine.pressPowerButton();
    if (!(await machine.powersOff(60_000)))
      throw new Error("the host with the images does not stop");
    await rename(machine.docker, target);
  } finally {
    await releaseInstance(instance);
  }
  await nameByDigest(target);
  for (const name of await readdir(target)) {
    if (!KEPT_OF_DOCKER.includes(name)) {
      await rm(join(target, name), { recursive: true, force: true });
    }
  }
}

/** Where instances keep their disks: beside the cache, because layers of images are linked from there. */
export function instancesFolder(): string {
  return join(cacheRoot(), "instances");
}
