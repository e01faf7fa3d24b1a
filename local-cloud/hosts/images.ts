import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, cp, link, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { run } from "./run";

/** Sources of the stand-in images. */
export const IMAGE_SOURCES = join(__dirname, "..", "images");

/** Releases of GitHub's runner program that there are images for, the latest first. */
const RUNNER_VERSIONS = ["2.338.0", "2.336.0"];
const SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Files of a layer that belong to one user. */
interface Ownership {
  /** Path in the layer. */
  readonly path: string;
  readonly uid: number;
}

/** An image is the common Debian base and one layer more. */
interface ImageSource {
  readonly names: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly owned: readonly Ownership[];
  /** Puts the layer's files below a folder. */
  readonly stage: (layer: string, binaries: string) => Promise<void>;
}

const RUNNER_ENVIRONMENT = [
  SEARCH_PATH,
  "LANG=C.UTF-8",
  "DEBIAN_FRONTEND=noninteractive",
  // Everything here is the machine's own architecture standing in for the servers' one.
  "RUNNER_FLEET_LOCAL_ARCH=ARM64",
];

/** The images that run GitHub's runner program, under the names for one of its releases. */
function runnerImages(version: string, more: string | undefined): ImageSource[] {
  const environment = [...RUNNER_ENVIRONMENT, `RUNNER_FLEET_LOCAL_VERSION=${version}`];
  return [
    {
      names: [
        `knatnetwork/github-runner:noble-${version}`,
        ...(more === undefined
          ? []
          : [`knatnetwork/github-runner:noble`, `knatnetwork/github-runner:${more}`]),
      ],
      config: {
        Env: [...environment, "RUNNER_ALLOW_RUNASROOT=1"],
        WorkingDir: "/home/runner",
        Entrypoint: ["/entrypoint.sh"],
      },
      owned: [],
      stage: async (layer, binaries) => {
        await stageRunner(layer, binaries);
        await install(
          join(IMAGE_SOURCES, "github-runner/entrypoint.sh"),
          join(layer, "entrypoint.sh"),
        );
      },
    },
    {
      names: [
        `ghcr.io/actions/actions-runner:${version}`,
        ...(more === undefined ? [] : [`ghcr.io/actions/actions-runner:${more}`]),
      ],
      config: {
        Env: [
          ...environment,
          "RUNNER_MANUALLY_TRAP_SIG=1",
          "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT=1",
          "HOME=/home/runner",
        ],
        User: "runner",
        WorkingDir: "/home/runner",
        Cmd: ["/bin/bash"],
      },
      owned: [{ path: "home/runner", uid: 1001 }],
      stage: stageRunner,
    },
  ];
}

const IMAGES: readonly ImageSource[] = [
  ...RUNNER_VERSIONS.flatMap((version, index) =>
    runnerImages(version, index === 0 ? "latest" : undefined),
  ),
  {
    names: ["knatnetwork/github-runner-kms:latest"],
    config: {
      Env: [SEARCH_PATH],
      Entrypoint: ["/github-runner-kms"],
      ExposedPorts: { "3000/tcp": {} },
    },
    owned: [],
    stage: async (layer, binaries) => {
      await install(join(binaries, "github-runner-kms"), join(layer, "github-runner-kms"));
    },
  },
  {
    names: ["node:lts-alpine", "node:24-alpine", "node:lts", "node:24"],
    config: {
      // Node trusts its own list of authorities, whatever the system trusts.
      Env: [SEARCH_PATH, "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"],
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["node"],
    },
    owned: [],
    stage: async (layer) => {
      await install(process.execPath, join(layer, "usr/local/bin/node"));
      await install(
        join(IMAGE_SOURCES, "node/docker-entrypoint.sh"),
        join(layer, "usr/local/bin/docker-entrypoint.sh"),
      );
    },
  },
];

/** Every name under which an image is there in a host. */
export const IMAGE_NAMES: readonly string[] = IMAGES.flatMap((image) => image.names);

async function install(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
  await chmod(to, 0o755);
}

/** The runner program, in the folder where both runner images have it. */
async function stageRunner(layer: string, binaries: string): Promise<void> {
  const home = join(layer, "home/runner");
  const scripts = join(IMAGE_SOURCES, "actions-runner");
  await install(join(scripts, "config.sh"), join(home, "config.sh"));
  await install(join(scripts, "run.sh"), join(home, "run.sh"));
  await install(join(scripts, "runsvc.sh"), join(home, "bin/runsvc.sh"));
  await install(join(binaries, "runner-agent"), join(home, "bin/Runner.Listener"));
  // One file under two names: a process is called as the file it was started from.
  await link(join(home, "bin/Runner.Listener"), join(home, "bin/Runner.Worker"));
}

/** Builds the programs of the images that are written in Go. */
export async function buildBinaries(folder: string): Promise<void> {
  for (const name of ["runner-agent", "github-runner-kms"]) {
    await run(
      "go",
      ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", join(folder, name), "."],
      {
        cwd: join(IMAGE_SOURCES, name),
        env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off" },
        timeoutMs: 10 * 60_000,
      },
    );
  }
}

/** Writes one archive for `docker load` with all images; the base is in it once. */
export async function buildArchive(
  archive: string,
  folder: string,
  base: string,
  binaries: string,
): Promise<void> {
  const layout = join(folder, "archive");
  await mkdir(layout, { recursive: true });
  // Not a hard link: another that is made meanwhile, by another process, would be a change of the file to tar.
  await symlink(base, join(layout, "base.tar"));
  const baseDigest = await digestOf(base);
  const manifest: unknown[] = [];
  for (const [index, image] of IMAGES.entries()) {
    const stage = join(folder, `stage-${index}`);
    await mkdir(stage, { recursive: true });
    await image.stage(stage, binaries);
    const layer = `layer-${index}.tar`;
    await packLayer(join(layout, layer), stage, image.owned);
    const digest = await digestOf(join(layout, layer));
    const config = JSON.stringify({
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config: image.config,
      rootfs: { type: "layers", diff_ids: [baseDigest, digest] },
    });
    const name = `${createHash("sha256").update(config).digest("hex")}.json`;
    await writeFile(join(layout, name), config);
    manifest.push({
      Config: name,
      RepoTags: image.names,
      Layers: ["base.tar", layer],
    });
    await rm(stage, { recursive: true });
  }
  await writeFile(join(layout, "manifest.json"), JSON.stringify(manifest));
  await run("tar", ["-C", layout, "--dereference", "-cf", archive, "."], {
    timeoutMs: 5 * 60_000,
  });
  await rm(layout, { recursive: true });
}

async function packLayer(tar: string, stage: string, owned: readonly Ownership[]): Promise<void> {
  const fixed = ["--sort=name", "--mtime=@0", "--numeric-owner", "-C", stage];
  const excluded = owned.map(({ path }) => `--exclude=./${path}`);
  await run("tar", ["-cf", tar, "--owner=0", "--group=0", ...fixed, ...excluded, "."]);
  for (const { path, uid } of owned) {
    await run("tar", ["-rf", tar, `--owner=${uid}`, `--group=${uid}`, ...fixed, `./${path}`]);
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest("hex")}`;
}

/** What the key of the images is made of, besides the sources. */
export async function nodeIdentity(): Promise<string> {
  return `${process.version} ${createHash("sha256")
    .update(await readFile(process.execPath))
    .digest("hex")}`;
}
