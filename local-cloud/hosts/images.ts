import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, cp, link, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import {
  BUILDKIT_IMAGE as PINNED_BUILDKIT,
  NODE_IMAGE,
  runnerImage,
  RUNNER_VERSION,
} from "../../components/pins/pins";
import { bundleExecutor, executorBundle } from "../actions/bundle";
import { BUILDKIT_VERSION, type Tools } from "../tools";
import { run } from "./run";

/** Sources of the stand-in images. */
export const IMAGE_SOURCES = join(__dirname, "..", "images");

/** Releases of GitHub's runner program that there are images for, the latest first. */
const RUNNER_VERSIONS = [...new Set([RUNNER_VERSION, "2.338.0", "2.336.0"])];
/** Names of the image with BuildKit's daemon besides its version: what buildx runs when it is told nothing. */
const BUILDKIT_TAG = "buildx-stable-1";
/** References with a digest that the product runs: the images are there under these too, though the digest is not theirs. */
export const PINNED_IMAGES: readonly string[] = [
  PINNED_BUILDKIT,
  NODE_IMAGE,
  ...RUNNER_VERSIONS.flatMap((version) => [
    runnerImage("actions-runner", version),
    runnerImage("knatnetwork", version),
  ]),
].filter((reference) => reference.includes("@"));
const SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Files of a layer that belong to one user. */
interface Ownership {
  /** Path in the layer. */
  readonly path: string;
  readonly uid: number;
}

/** What goes into images besides their sources. */
export interface Ingredients {
  /** Folder of the programs that `buildBinaries` makes. */
  readonly binaries: string;
  readonly tools: Tools;
  /** Root file system of hosts, of the same release as the images' base. */
  readonly root: string;
}

interface LayerSource {
  readonly owned?: readonly Ownership[];
  /** Puts the layer's files below a folder. */
  readonly stage: (layer: string, ingredients: Ingredients) => Promise<void>;
}

/** An image is the common Debian base and some layers more. */
interface ImageSource {
  readonly names: readonly string[];
  readonly config: Readonly<Record<string, unknown>>;
  readonly layers: readonly LayerSource[];
}

const RUNNER_ENVIRONMENT = [
  SEARCH_PATH,
  "LANG=C.UTF-8",
  "DEBIAN_FRONTEND=noninteractive",
  // Everything here is the machine's own architecture standing in for the servers' one.
  "RUNNER_FLEET_LOCAL_ARCH=ARM64",
];

/** In all images for runners, and so there once. */
const BUILDX: LayerSource = {
  stage: (layer, { tools }) =>
    install(tools.buildx, join(layer, "usr/local/lib/docker/cli-plugins/docker-buildx")),
};

/** What the runner program runs the steps of jobs with: Node, and the executor as one file. */
const EXTERNALS: LayerSource = {
  stage: async (layer) => {
    const externals = join(layer, "home/runner/externals");
    await install(process.execPath, join(externals, "node20/bin/node"));
    await bundleExecutor(join(externals, "executor.cjs"));
  },
};

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
      layers: [
        BUILDX,
        EXTERNALS,
        {
          stage: async (layer, ingredients) => {
            await stageRunner(layer, ingredients);
            await install(
              join(IMAGE_SOURCES, "github-runner/entrypoint.sh"),
              join(layer, "entrypoint.sh"),
            );
          },
        },
      ],
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
      layers: [
        BUILDX,
        EXTERNALS,
        { owned: [{ path: "home/runner", uid: 1001 }], stage: stageRunner },
      ],
    },
  ];
}

/** BuildKit's daemon, started as by the image that the project publishes. */
const BUILDKIT_IMAGE: ImageSource = {
  names: [`moby/buildkit:${BUILDKIT_VERSION}`, `moby/buildkit:${BUILDKIT_TAG}`],
  config: {
    Env: [SEARCH_PATH, "BUILDKIT_SETUP_CGROUPV2_ROOT=1"],
    Entrypoint: ["buildkitd"],
    Volumes: { "/var/lib/buildkit": {} },
  },
  layers: [
    {
      stage: async (layer, { tools, root }) => {
        await install(tools.buildkitd, join(layer, "usr/bin/buildkitd"));
        await install(tools.buildctl, join(layer, "usr/bin/buildctl"));
        await install(join(root, "usr/sbin/runc"), join(layer, "usr/bin/buildkit-runc"));
        // Where it looks for descriptions of devices.
        for (const path of ["etc/cdi", "etc/buildkit/cdi"]) {
          await mkdir(join(layer, path), { recursive: true });
        }
      },
    },
  ],
};

/** Every image that is there in a host. */
const IMAGES: readonly ImageSource[] = [
  ...RUNNER_VERSIONS.flatMap((version, index) =>
    runnerImages(version, index === 0 ? "latest" : undefined),
  ),
  BUILDKIT_IMAGE,
  {
    names: ["knatnetwork/github-runner-kms:latest"],
    config: {
      Env: [SEARCH_PATH],
      Entrypoint: ["/github-runner-kms"],
      ExposedPorts: { "3000/tcp": {} },
    },
    layers: [
      {
        stage: (layer, { binaries }) =>
          install(join(binaries, "github-runner-kms"), join(layer, "github-runner-kms")),
      },
    ],
  },
  {
    names: [untilDigest(NODE_IMAGE), "node:lts-alpine", "node:24-alpine", "node:lts", "node:24"],
    config: {
      // Node trusts its own list of authorities, whatever the system trusts.
      Env: [SEARCH_PATH, "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"],
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["node"],
    },
    layers: [
      {
        stage: async (layer) => {
          await install(process.execPath, join(layer, "usr/local/bin/node"));
          await install(
            join(IMAGE_SOURCES, "node/docker-entrypoint.sh"),
            join(layer, "usr/local/bin/docker-entrypoint.sh"),
          );
        },
      },
    ],
  },
];

/** Every name under which an image is there in a host. */
export const IMAGE_NAMES: readonly string[] = IMAGES.flatMap((image) => image.names);

/** A reference without its digest. */
function untilDigest(reference: string): string {
  return reference.replace(/@.*/, "");
}

/**
 * Lets Docker find the images by the digests that the product pins, so that nothing is pulled. A digest is that of the
 * published manifest, which no other image can have: so it is written where Docker, stopped, keeps its names.
 * @param docker Docker's folder with the images in it
 */
export async function nameByDigest(docker: string): Promise<void> {
  const file = join(docker, "image/overlay2/repositories.json");
  const known = JSON.parse(await readFile(file, "utf8")) as {
    Repositories: Record<string, Record<string, string>>;
  };
  for (const reference of PINNED_IMAGES) {
    const [tagged = "", digest = ""] = reference.split("@");
    const repository = tagged.replace(/:[^:/]*$/, "");
    const names = known.Repositories[repository];
    const image = names?.[tagged];
    if (names === undefined || image === undefined) {
      throw new Error(`no image stands in for ${reference}: hosts have none called ${tagged}`);
    }
    names[`${repository}@${digest}`] = image;
  }
  await writeFile(file, JSON.stringify(known));
}

async function install(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
  await chmod(to, 0o755);
}

/** The runner program, in the folder where both runner images have it. */
async function stageRunner(layer: string, { binaries }: Ingredients): Promise<void> {
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

/** A layer as a file: an archive that is not compressed, so that its digest is the layer's identity too. */
export interface BuiltLayer {
  readonly file: string;
  readonly digest: string;
}

/** An image as its parts: what `docker load` and a registry take. */
export interface BuiltImage {
  readonly names: readonly string[];
  /** The configuration, whose digest is the image's identity. */
  readonly config: string;
  readonly layers: readonly BuiltLayer[];
}

/** Builds the images of hosts. The layers' files are made in `folder`, each one once. */
export function buildHostImages(
  folder: string,
  base: string,
  ingredients: Ingredients,
): Promise<BuiltImage[]> {
  return buildImages(IMAGES, folder, base, ingredients);
}

/** Builds the image of BuildKit's daemon alone, the same as in hosts. */
export function buildBuildkitImage(
  folder: string,
  base: string,
  ingredients: Ingredients,
): Promise<BuiltImage[]> {
  return buildImages([BUILDKIT_IMAGE], folder, base, ingredients);
}

async function buildImages(
  images: readonly ImageSource[],
  folder: string,
  base: string,
  ingredients: Ingredients,
): Promise<BuiltImage[]> {
  const baseLayer: BuiltLayer = { file: base, digest: await digestOf(base) };
  const layers = new Map<LayerSource, BuiltLayer>();
  const build = async (source: LayerSource): Promise<BuiltLayer> => {
    const built = layers.get(source);
    if (built !== undefined) return built;
    const stage = join(folder, `stage-${layers.size}`);
    await mkdir(stage, { recursive: true });
    await source.stage(stage, ingredients);
    const file = join(folder, `layer-${layers.size}.tar`);
    await packLayer(file, stage, source.owned ?? []);
    await rm(stage, { recursive: true });
    const layer = { file, digest: await digestOf(file) };
    layers.set(source, layer);
    return layer;
  };
  const result: BuiltImage[] = [];
  for (const image of images) {
    const own: BuiltLayer[] = [baseLayer];
    for (const source of image.layers) own.push(await build(source));
    result.push({
      names: image.names,
      config: imageConfig(image.config, own),
      layers: own,
    });
  }
  return result;
}

/** An image's configuration, the same for the same content. */
export function imageConfig(
  config: Readonly<Record<string, unknown>>,
  layers: readonly BuiltLayer[],
  architecture = process.arch === "arm64" ? "arm64" : "amd64",
): string {
  return JSON.stringify({
    architecture,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config,
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
}

/** Writes one archive for `docker load` with all images; a layer that several have is in it once. */
export async function writeArchive(
  archive: string,
  folder: string,
  images: readonly BuiltImage[],
): Promise<void> {
  const layout = join(folder, "archive");
  await mkdir(layout, { recursive: true });
  const nameOf = ({ digest }: BuiltLayer): string => `${digest.slice("sha256:".length)}.tar`;
  const linked = new Set<string>();
  for (const layer of images.flatMap((image) => image.layers)) {
    if (linked.has(layer.digest)) continue;
    linked.add(layer.digest);
    // Not a hard link: another that is made meanwhile, by another process, would be a change of the file to tar.
    await symlink(layer.file, join(layout, nameOf(layer)));
  }
  const manifest: unknown[] = [];
  for (const image of images) {
    const name = `${createHash("sha256").update(image.config).digest("hex")}.json`;
    await writeFile(join(layout, name), image.config);
    manifest.push({ Config: name, RepoTags: image.names, Layers: image.layers.map(nameOf) });
  }
  await writeFile(join(layout, "manifest.json"), JSON.stringify(manifest));
  await run("tar", ["-C", layout, "--dereference", "-cf", archive, "."], {
    timeoutMs: 5 * 60_000,
  });
  await rm(layout, { recursive: true });
}

/** Packs a folder as a layer, the same for the same files. */
export async function packLayer(
  tar: string,
  stage: string,
  owned: readonly Ownership[] = [],
): Promise<void> {
  const fixed = ["--sort=name", "--mtime=@0", "--numeric-owner", "-C", stage];
  const excluded = owned.map(({ path }) => `--exclude=./${path}`);
  await run("tar", ["-cf", tar, "--owner=0", "--group=0", ...fixed, ...excluded, "."]);
  for (const { path, uid } of owned) {
    await run("tar", ["-rf", tar, `--owner=${uid}`, `--group=${uid}`, ...fixed, `./${path}`]);
  }
}

/** sha256 of a file, as registries write it. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return `sha256:${hash.digest("hex")}`;
}

/** Node as it goes into images and machines, for keys. */
export async function nodeIdentity(): Promise<string> {
  return `${process.version} ${sha256(await readFile(process.execPath))}`;
}

/** The executor as it goes into images, for their key. */
export async function executorIdentity(): Promise<string> {
  return sha256(await executorBundle());
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
