/**
 * Everything from outside that hosts and emitted workflows run, at one exact version each. A tag can be moved by whoever
 * controls a repository; a commit or a digest cannot, so that is what runs, and the tag is for people and for update
 * tools such as Renovate and Dependabot.
 */

export interface ActionPin {
  /** Released version, as tagged in the action's repository. */
  readonly tag: string;
  /** Commit that the tag names: 40 hexadecimal digits. */
  readonly sha: string;
}

export const ACTIONS = {
  "actions/attest": { tag: "v4.2.2", sha: "1e69f48acb82d1966a394da916b4c1698aa569d6" },
  "actions/checkout": { tag: "v7.0.1", sha: "3d3c42e5aac5ba805825da76410c181273ba90b1" },
  "aquasecurity/trivy-action": { tag: "v0.36.0", sha: "ed142fd0673e97e23eac54620cfb913e5ce36c25" },
  "docker/build-push-action": { tag: "v7.4.0", sha: "c3c9e263c25d99ce0380d002d59b67737d91b0dc" },
  "docker/login-action": { tag: "v4.6.0", sha: "dbcb813823bdd20940b903addbd779551569679f" },
  "docker/metadata-action": { tag: "v6.2.0", sha: "dc802804100637a589fabce1cb79ff13a1411302" },
  "docker/setup-buildx-action": { tag: "v4.4.1", sha: "f87e5991a6d7451dcb8d9637bfbc97413f497069" },
  "docker/setup-qemu-action": { tag: "v4.2.0", sha: "96fe6ef7f33517b61c61be40b68a1882f3264fb8" },
  "sigstore/cosign-installer": { tag: "v4.1.2", sha: "6f9f17788090df1f26f669e9d70d6ae9567deba6" },
} as const satisfies Readonly<Record<string, ActionPin>>;

export type ActionName = keyof typeof ACTIONS;

/** What the workflows of this repository use besides; nothing that is emitted does. */
export const OWN_ACTIONS = {
  "actions/setup-go": { tag: "v7.0.0", sha: "b7ad1dad31e06c5925ef5d2fc7ad053ef454303e" },
  "actions/setup-node": { tag: "v7.0.0", sha: "820762786026740c76f36085b0efc47a31fe5020" },
} as const satisfies Readonly<Record<string, ActionPin>>;

/** Version of the BuildKit daemon that builds. */
export const BUILDKIT_VERSION = "v0.32.2";
export const BUILDKIT_IMAGE = `moby/buildkit:${BUILDKIT_VERSION}@sha256:28a898719c18a33f4e8000685287fa36fd0dd9560c6440227d3a732d79bb41d8`;

/** Release of GitHub's runner program that a pool runs unless it says otherwise. */
export const RUNNER_VERSION = "2.338.0";

/** Digests of published images by their tag. Other tags run as they are: their configuration should name a digest. */
const DIGESTS: Readonly<Record<string, string>> = {
  "ghcr.io/actions/actions-runner:2.338.0":
    "sha256:4ffadc0002b2581327e06101fc8c06cd189232baf79fe561fac9caeb76f5e807",
};

/** The published image of GitHub's runner program, or of the origin's around it. */
export function runnerImage(image: "actions-runner" | "knatnetwork", version: string): string {
  const tagged =
    image === "actions-runner"
      ? `ghcr.io/actions/actions-runner:${version}`
      : `knatnetwork/github-runner:noble-${version}`;
  const digest = DIGESTS[tagged];
  return digest === undefined ? tagged : `${tagged}@${digest}`;
}

/** What runs the built-in token service. */
export const NODE_IMAGE =
  "node:24.19.0-alpine3.24@sha256:d32cdf619f63fe0471182d08996dd516c6275bb5fd31ae06e55a570bd9e1ad43";

/** The origin's token service; its project publishes no other tag. */
export const KNATNETWORK_KMS_IMAGE = "knatnetwork/github-runner-kms:latest";

/** Scanner that writes the SBOM; without it BuildKit runs a moving tag of the same image. */
export const SBOM_SCANNER = "docker/buildkit-syft-scanner:1.12.0";

/** Emulators that `setup-qemu-action` installs; it runs them privileged, so the digest counts. */
export const BINFMT_IMAGE =
  "docker.io/tonistiigi/binfmt:qemu-v10.2.3@sha256:400a4873b838d1b89194d982c45e5fb3cda4593fbfd7e08a02e76b03b21166f0";

/** Scanner for known vulnerabilities. */
export const TRIVY_VERSION = "v0.70.0";

/** The release whose checksum the pinned installer carries. */
export const COSIGN_VERSION = "v3.0.6";
