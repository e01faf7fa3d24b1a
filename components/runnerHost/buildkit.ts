import { createHash } from "node:crypto";
import type { HostFile } from "../host/applyScript";
import { type ComposeService, STACK_DIRECTORY } from "../host/compose";
import { BUILDKIT_IMAGE } from "../pins/pins";
import { BUILDKIT_SLICE } from "./slices";

/** Folder with the daemon's socket, on the host and in every runner; emitted workflows look for it. */
export const BUILDKIT_DIRECTORY = "/run/buildkit";
export const BUILDKIT_VOLUME = "buildkit";

const SOCKET = `unix://${BUILDKIT_DIRECTORY}/buildkitd.sock`;
const CONFIG = `${STACK_DIRECTORY}/buildkitd.toml`;
/** Group `docker` of GitHub's runner image, whose user is not root. */
const RUNNER_GROUP_ID = "123";

export interface BuildkitModel {
  /** Part of the disk that the build cache may fill, in percent. */
  readonly buildCachePercent: number;
  /** Registries to ask before the one in the key. */
  readonly registryMirrors: Readonly<Record<string, readonly string[]>>;
}

/**
 * The daemon that the jobs of all runners of a host share, so that what one job has built the next one need not.
 * Jobs reach it through a socket and no further: it grants no entitlement, and is no way to the host's Docker.
 */
export function buildkitService(model: BuildkitModel): ComposeService {
  return {
    image: BUILDKIT_IMAGE,
    // Told so, it would move the processes of the host's root group, which is systemd's affair.
    environment: { BUILDKIT_SETUP_CGROUPV2_ROOT: "0" },
    command: [
      "--config",
      "/etc/buildkit/buildkitd.toml",
      "--addr",
      SOCKET,
      "--group",
      RUNNER_GROUP_ID,
    ],
    volumes: [
      `${BUILDKIT_VOLUME}:/var/lib/buildkit`,
      `${BUILDKIT_DIRECTORY}:${BUILDKIT_DIRECTORY}`,
      `${CONFIG}:/etc/buildkit/buildkitd.toml:ro`,
      "/sys/fs/cgroup:/sys/fs/cgroup:rw",
    ],
    // What mounting and isolating the steps of a build takes, which is less than a privileged container has.
    cap_add: ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
    security_opt: ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"],
    cgroup: "host",
    cgroup_parent: BUILDKIT_SLICE,
    // A network of Compose's own has a resolver at a loopback address, which steps of a build do not reach.
    network_mode: "bridge",
    // Compose does not see what a mounted file says: by this a new configuration is a new container.
    labels: { "runner-fleet.config": hash(buildkitConfig(model)) },
    healthcheck: {
      test: ["CMD", "buildctl", "--addr", SOCKET, "debug", "workers"],
      interval: "30s",
      timeout: "10s",
      retries: 3,
      start_period: "60s",
      start_interval: "1s",
    },
    restart: "unless-stopped",
  };
}

export function buildkitFile(model: BuildkitModel): HostFile {
  return { path: CONFIG, mode: "0644", content: buildkitConfig(model) };
}

/**
 * `buildkitd.toml`. Without rules of its own BuildKit drops cache mounts, such as those of package managers, when they
 * are two days old or larger than 512 MB together, which a host that lives for months has no need of.
 */
export function buildkitConfig({ buildCachePercent, registryMirrors }: BuildkitModel): string {
  return `# Written by the Pulumi program runner-fleet.
[worker.oci]
  gc = true
  # Steps of builds are bounded with the daemon.
  defaultCgroupParent = "/fleet.slice/${BUILDKIT_SLICE}"

  # Sources of builds: cheap to send again.
  [[worker.oci.gcpolicy]]
    filters = ["type==source.local", "type==source.git.checkout"]
    keepDuration = "168h"
    maxUsedSpace = "5GB"

  # Cache mounts: a month after their last use.
  [[worker.oci.gcpolicy]]
    filters = ["type==exec.cachemount"]
    keepDuration = "720h"
    maxUsedSpace = "${Math.ceil(buildCachePercent / 3)}%"

  # Everything together; what was used longest ago goes first.
  [[worker.oci.gcpolicy]]
    all = true
    reservedSpace = "5GB"
    maxUsedSpace = "${buildCachePercent}%"
    minFreeSpace = "20%"

[worker.containerd]
  enabled = false
${Object.entries(registryMirrors).map(mirrors).join("")}`;
}

function mirrors([registry, hosts]: readonly [string, readonly string[]]): string {
  return `
[registry.${JSON.stringify(registry)}]
  mirrors = [${hosts.map((host) => JSON.stringify(host)).join(", ")}]
`;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
