import { chmod, cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { lastWords, run } from "../engine/run";
import {
  digestOf,
  imageConfig,
  IMAGE_SOURCES,
  packLayer,
  type BuiltImage,
  type BuiltLayer,
} from "../hosts/images";
import {
  CONFIG_TYPE,
  INDEX_TYPE,
  LAYER_TYPE,
  MANIFEST_TYPE,
  RegistryClient,
  sha256,
  type Descriptor,
  type Manifest,
} from "./client";

/** Architectures that seeds are there for, as images name them. */
export const ARCHITECTURES = ["amd64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

const NATIVE: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
const SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Release of BusyBox in Debian 13. */
const BUSYBOX_VERSION = "1.37";
const SCANNER_VERSION = "1.12.0";
const BUILD_TIMEOUT_MS = 10 * 60_000;

export interface SeedIngredients {
  /** Image of BuildKit's daemon, as hosts have it. */
  readonly buildkit: readonly BuiltImage[];
  /** Layer with the Debian base of images. */
  readonly base: string;
  /** BusyBox without libraries, for each architecture. */
  readonly busybox: Readonly<Record<Architecture, string>>;
}

/** A part of an image that is there for several platforms. */
interface PlatformImage {
  readonly architecture: Architecture;
  readonly config: Readonly<Record<string, unknown>>;
  readonly layers: readonly BuiltLayer[];
}

/**
 * Fills a registry that stands in for Docker Hub: BuildKit's daemon, the scanner that it runs for software bills of
 * materials, a small system, and this machine's Go as the image to compile in. All but the daemon are there for
 * amd64 and arm64.
 * @param folder for what is made on the way
 */
export async function seedDockerHub(
  registry: RegistryClient,
  folder: string,
  ingredients: SeedIngredients,
): Promise<void> {
  for (const image of ingredients.buildkit) {
    const [repository, tags] = splitNames(image.names);
    const manifest = await pushImage(registry, repository, image);
    await pushIndex(registry, repository, tags, [{ ...manifest, platform: platform(NATIVE) }]);
  }
  const busybox = await busyboxLayers(folder, ingredients.busybox);
  await pushPlatforms(
    registry,
    "library/busybox",
    [BUSYBOX_VERSION, "latest"],
    ARCHITECTURES.map((architecture) => ({
      architecture,
      config: { Env: [`PATH=${SEARCH_PATH}`], Cmd: ["sh"] },
      layers: [busybox[architecture]],
    })),
  );
  await pushPlatforms(
    registry,
    "docker/buildkit-syft-scanner",
    [SCANNER_VERSION, "stable-1"],
    await scannerImages(folder),
  );
  const base = { file: ingredients.base, digest: await digestOf(ingredients.base) };
  const go = await goVersion();
  await pushPlatforms(
    registry,
    "library/golang",
    [go, go.split(".").slice(0, 2).join("."), "latest"],
    await goImages(folder, (architecture) =>
      architecture === NATIVE ? base : busybox[architecture],
    ),
  );
}

function splitNames(names: readonly string[]): [string, string[]] {
  const repository = names[0]?.split(":")[0] ?? "";
  return [repository, names.map((name) => name.slice(repository.length + 1))];
}

const platform = (architecture: Architecture) => ({ os: "linux", architecture });

async function busyboxLayers(
  folder: string,
  programs: SeedIngredients["busybox"],
): Promise<Record<Architecture, BuiltLayer>> {
  // The applets of the one that runs here are those of the other, which may not run here.
  const listed = await run(programs[NATIVE], ["--list"]);
  if (listed.code !== 0) throw new Error(`busybox does not run: ${lastWords(listed)}`);
  const applets = listed.stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  const build = (architecture: Architecture): Promise<BuiltLayer> =>
    layer(folder, `busybox-${architecture}`, async (stage) => {
      await install(programs[architecture], join(stage, "bin/busybox"));
      for (const applet of applets) await symlink("busybox", join(stage, "bin", applet));
      for (const name of ["etc", "root", "usr/bin", "var"]) {
        await mkdir(join(stage, name), { recursive: true });
      }
      await mkdir(join(stage, "tmp"), { mode: 0o1777 });
      await writeFile(
        join(stage, "etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
      );
      await writeFile(join(stage, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
    });
  return { amd64: await build("amd64"), arm64: await build("arm64") };
}

async function scannerImages(folder: string): Promise<PlatformImage[]> {
  const images: PlatformImage[] = [];
  for (const architecture of ARCHITECTURES) {
    const built = await layer(folder, `scanner-${architecture}`, (stage) =>
      goBuild(join(IMAGE_SOURCES, "syft-scanner"), architecture, join(stage, "bin/syft-scanner"), [
        ".",
      ]),
    );
    images.push({ architecture, config: { Entrypoint: ["/bin/syft-scanner"] }, layers: [built] });
  }
  return images;
}

/** Programs that Go's own command runs. */
const GO_TOOLS = ["asm", "cgo", "compile", "link", "vet"];

/** Of Go's sources, what no program is compiled from: two thirds of the files, which take most of the time to unpack. */
const NOT_COMPILED = /^\/src\/cmd(\/|$)|\/testdata(\/|$)|_test\.go$/;

/** This machine's Go, and the same built for the other architecture; the parts without programs are one layer. */
async function goImages(
  folder: string,
  baseFor: (architecture: Architecture) => BuiltLayer,
): Promise<PlatformImage[]> {
  const root = (await go(["env", "GOROOT"], folder, NATIVE)).trim();
  const library = await layer(folder, "go-library", async (stage) => {
    const target = join(stage, "usr/local/go");
    await mkdir(join(target, "pkg"), { recursive: true });
    for (const name of ["src", "lib", "VERSION", "go.env", "pkg/include"]) {
      await cp(join(root, name), join(target, name), {
        recursive: true,
        dereference: true,
        filter: (file) => !NOT_COMPILED.test(file.slice(root.length)),
      });
    }
  });
  const images: PlatformImage[] = [];
  for (const architecture of ARCHITECTURES) {
    const programs = await layer(folder, `go-${architecture}`, async (stage) => {
      const target = join(stage, "usr/local/go");
      const [bin, tools] = [join(target, "bin"), join(target, `pkg/tool/linux_${architecture}`)];
      await mkdir(bin, { recursive: true });
      await mkdir(tools, { recursive: true });
      if (architecture === NATIVE) {
        await cp(join(root, "bin"), bin, { recursive: true, dereference: true });
        const from = (await go(["env", "GOTOOLDIR"], folder, NATIVE)).trim();
        for (const tool of GO_TOOLS) await cp(join(from, tool), join(tools, tool));
      } else {
        await goBuild(folder, architecture, `${bin}/`, ["cmd/go", "cmd/gofmt"]);
        await goBuild(
          folder,
          architecture,
          `${tools}/`,
          GO_TOOLS.map((tool) => `cmd/${tool}`),
        );
      }
      await mkdir(join(stage, "go/src"), { recursive: true });
    });
    images.push({
      architecture,
      config: {
        Env: [
          `PATH=/go/bin:/usr/local/go/bin:${SEARCH_PATH}`,
          "GOPATH=/go",
          "GOTOOLCHAIN=local",
          // There is no C compiler.
          "CGO_ENABLED=0",
        ],
        WorkingDir: "/go",
        Cmd: ["sh"],
      },
      layers: [baseFor(architecture), library, programs],
    });
  }
  return images;
}

/** Version of this machine's Go, such as 1.26.8. */
export async function goVersion(): Promise<string> {
  return (await go(["env", "GOVERSION"], IMAGE_SOURCES, NATIVE)).trim().replace(/^go/, "");
}

async function goBuild(
  module: string,
  architecture: Architecture,
  output: string,
  packages: readonly string[],
): Promise<void> {
  const flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
  await go(["build", ...flags, "-o", output, ...packages], module, architecture);
}

async function go(args: string[], cwd: string, architecture: Architecture): Promise<string> {
  const result = await run("go", args, {
    cwd,
    env: {
      ...process.env,
      CGO_ENABLED: "0",
      GOARCH: architecture,
      GOOS: "linux",
      GOFLAGS: "",
      GOTOOLCHAIN: "local",
      GOWORK: "off",
    },
    nice: true,
    timeout: BUILD_TIMEOUT_MS,
  });
  if (result.code !== 0) throw new Error(`go ${args[0]} failed: ${lastWords(result)}`);
  return result.stdout;
}

async function layer(
  folder: string,
  name: string,
  fill: (stage: string) => Promise<void>,
): Promise<BuiltLayer> {
  const [stage, file] = [join(folder, name), join(folder, `${name}.tar`)];
  await mkdir(stage, { recursive: true });
  await fill(stage);
  await packLayer(file, stage);
  await rm(stage, { recursive: true });
  return { file, digest: await digestOf(file) };
}

async function install(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to);
  await chmod(to, 0o755);
}

async function pushPlatforms(
  registry: RegistryClient,
  repository: string,
  tags: readonly string[],
  images: readonly PlatformImage[],
): Promise<void> {
  const manifests: Descriptor[] = [];
  for (const { architecture, config, layers } of images) {
    const image = { config: imageConfig(config, layers, architecture), layers };
    const manifest = await pushImage(registry, repository, image);
    manifests.push({ ...manifest, platform: platform(architecture) });
  }
  await pushIndex(registry, repository, tags, manifests);
}

/** Puts an image of one platform into a repository, under its digest. */
async function pushImage(
  registry: RegistryClient,
  repository: string,
  { config, layers }: Pick<BuiltImage, "config" | "layers">,
): Promise<Descriptor> {
  const described: Descriptor[] = [];
  for (const { file, digest } of layers) {
    const size = await registry.pushFile(repository, file, digest);
    described.push({ mediaType: LAYER_TYPE, digest, size });
  }
  await registry.pushBlob(repository, sha256(config), config);
  return pushManifest(registry, repository, [], {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: sha256(config), size: Buffer.byteLength(config) },
    layers: described,
  });
}

async function pushIndex(
  registry: RegistryClient,
  repository: string,
  tags: readonly string[],
  manifests: readonly Descriptor[],
): Promise<void> {
  const index = { schemaVersion: 2, mediaType: INDEX_TYPE, manifests };
  await pushManifest(registry, repository, tags, index);
}

async function pushManifest(
  registry: RegistryClient,
  repository: string,
  tags: readonly string[],
  manifest: Manifest & { readonly mediaType: string },
): Promise<Descriptor> {
  const content = JSON.stringify(manifest);
  const digest = sha256(content);
  for (const reference of tags.length > 0 ? tags : [digest]) {
    await registry.pushManifest(repository, reference, manifest);
  }
  return { mediaType: manifest.mediaType, digest, size: Buffer.byteLength(content) };
}
