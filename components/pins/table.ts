import {
  ACTIONS,
  type ActionPin,
  BINFMT_IMAGE,
  BUILDKIT_IMAGE,
  BUILDKIT_VERSION,
  COSIGN_VERSION,
  KNATNETWORK_KMS_IMAGE,
  NODE_IMAGE,
  OWN_ACTIONS,
  RUNNER_VERSION,
  runnerImage,
  SBOM_SCANNER,
  TRIVY_VERSION,
} from "./pins";

/** Where newer versions of something come from. */
export type Source =
  /**
   * Releases on GitHub. `pattern` matches their tags, with the parts of the version as groups. `bare`: the version is
   * written here without the tag's leading v.
   */
  | {
      readonly kind: "releases";
      readonly repository: string;
      readonly pattern: RegExp;
      readonly bare?: boolean;
    }
  /** Tags of an image in its registry, by the same kind of pattern. */
  | { readonly kind: "tags"; readonly pattern: RegExp }
  /** What another pin, an action, takes by itself for one of its inputs. */
  | { readonly kind: "input"; readonly action: string; readonly input: string }
  | { readonly kind: "npm" }
  /** Nothing can be proposed. */
  | { readonly kind: "none"; readonly reason: string };

/** Text of a file that holds a version; the same function writes what is there and what is to be there. */
export interface Place {
  readonly file: string;
  readonly text: (version: string, digest: string) => string;
  /** The former text stays below the new one. */
  readonly keeps?: boolean;
}

/** Something from outside, at one exact version. */
export interface Pin {
  /** What it is called in `bump --only` and in the table. */
  readonly name: string;
  readonly kind: "runner" | "image" | "action" | "tool" | "package";
  /** Version as its publisher writes it: a tag, or a package's version. */
  readonly current: string;
  /** Commit of an action, or digest of an image; undefined where nothing but the version is pinned. */
  readonly digest: string | undefined;
  readonly source: Source;
  /** Reference of the image that goes with a version, registry first; undefined where there is none. */
  readonly image?: (version: string) => string;
  readonly places: readonly Place[];
}

/** Versions that are not to be had, and why. */
export interface Exception {
  readonly name: string;
  /** The first version that is refused. */
  readonly below: string;
  readonly reason: string;
}

export const EXCEPTIONS: readonly Exception[] = [
  {
    name: "@pulumi/command",
    below: "1.3.0",
    reason:
      "4.5.0 is an erroneous publish of an old interface that asks for a plugin which was never released",
  },
  {
    name: "@pulumi/pulumi",
    below: "3.249.0",
    reason: "it asks for Node.js 22 from there on, and Node.js 20 is supported",
  },
  {
    name: "node",
    below: "25.0.0",
    reason: "people choose the major version, which has to be one with long-term support",
  },
];

const PINS = "components/pins/pins.ts";
const VERSION = /^v?(\d+)\.(\d+)\.(\d+)$/;

/** Tag and digest of a reference such as `docker.io/library/node:24@sha256:…`. */
function parts(reference: string): { readonly tag: string; readonly digest: string | undefined } {
  const [tagged = "", digest] = reference.split("@");
  return { tag: tagged.slice(tagged.lastIndexOf(":") + 1), digest };
}

/** An image whose constant holds its whole reference. */
function image(name: string, registry: string, reference: string, pattern: RegExp): Pin {
  const { tag, digest } = parts(reference);
  const repository = reference.slice(0, reference.indexOf(`:${tag}`));
  return {
    name,
    kind: "image",
    current: tag,
    digest,
    source: { kind: "tags", pattern },
    image: (version) => `${registry}:${version}`,
    places: [
      {
        file: PINS,
        text: (version, next) =>
          `"${repository}:${version}${digest === undefined ? "" : `@${next}`}"`,
      },
    ],
  };
}

function action([name, { tag, sha }]: readonly [string, ActionPin]): Pin {
  return {
    name,
    kind: "action",
    current: tag,
    digest: sha,
    source: { kind: "releases", repository: name, pattern: VERSION },
    places: [
      {
        file: PINS,
        text: (version, commit) => `"${name}": { tag: "${version}", sha: "${commit}" }`,
      },
    ],
  };
}

/** Images, actions, BuildKit and scanners. */
const OUTSIDE: readonly Pin[] = [
  {
    name: "actions/runner",
    kind: "runner",
    current: RUNNER_VERSION,
    digest: parts(runnerImage("actions-runner", RUNNER_VERSION)).digest,
    source: { kind: "releases", repository: "actions/runner", pattern: VERSION, bare: true },
    image: (version) => `ghcr.io/actions/actions-runner:${version}`,
    places: [
      { file: PINS, text: (version) => `RUNNER_VERSION = "${version}"` },
      {
        file: PINS,
        text: (version, digest) =>
          `  "ghcr.io/actions/actions-runner:${version}":\n    "${digest}",\n`,
        // Stacks may name it.
        keeps: true,
      },
      { file: "README.md", text: (version) => `| \`${version}\` ` },
    ],
  },
  {
    name: "moby/buildkit",
    kind: "image",
    current: BUILDKIT_VERSION,
    digest: parts(BUILDKIT_IMAGE).digest,
    source: { kind: "releases", repository: "moby/buildkit", pattern: VERSION },
    image: (version) => `docker.io/moby/buildkit:${version}`,
    places: [
      { file: PINS, text: (version) => `BUILDKIT_VERSION = "${version}"` },
      { file: PINS, text: (_, digest) => `moby/buildkit:\${BUILDKIT_VERSION}@${digest}` },
    ],
  },
  image("node", "docker.io/library/node", NODE_IMAGE, /^(\d+)\.(\d+)\.(\d+)-alpine(\d+)\.(\d+)$/),
  image(
    "tonistiigi/binfmt",
    "docker.io/tonistiigi/binfmt",
    BINFMT_IMAGE,
    /^qemu-v(\d+)\.(\d+)\.(\d+)$/,
  ),
  image(
    "docker/buildkit-syft-scanner",
    "docker.io/docker/buildkit-syft-scanner",
    SBOM_SCANNER,
    /^(\d+)\.(\d+)\.(\d+)$/,
  ),
  {
    name: "knatnetwork/github-runner-kms",
    kind: "image",
    current: parts(KNATNETWORK_KMS_IMAGE).tag,
    digest: undefined,
    source: { kind: "none", reason: "its project publishes no other tag" },
    places: [],
  },
  {
    name: "aquasecurity/trivy",
    kind: "tool",
    current: TRIVY_VERSION,
    digest: undefined,
    source: { kind: "releases", repository: "aquasecurity/trivy", pattern: VERSION },
    places: [{ file: PINS, text: (version) => `TRIVY_VERSION = "${version}"` }],
  },
  {
    name: "sigstore/cosign",
    kind: "tool",
    current: COSIGN_VERSION,
    digest: undefined,
    // The installer knows the checksum of this release alone.
    source: { kind: "input", action: "sigstore/cosign-installer", input: "cosign-release" },
    places: [{ file: PINS, text: (version) => `COSIGN_VERSION = "${version}"` }],
  },
  ...Object.entries({ ...ACTIONS, ...OWN_ACTIONS }).map(action),
];

/**
 * The table of pins: all that has an exact version here and comes from outside.
 * @param manifest content of package.json, whose Pulumi packages belong to it
 */
export function pinTable(manifest: {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}): readonly Pin[] {
  const packages = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([name]) => name.startsWith("@pulumi/"))
    .map(([name, current]): Pin => ({
      name,
      kind: "package",
      current,
      digest: undefined,
      source: { kind: "npm" },
      places: [{ file: "package.json", text: (version) => `"${name}": "${version}"` }],
    }));
  return [...OUTSIDE, ...packages];
}
