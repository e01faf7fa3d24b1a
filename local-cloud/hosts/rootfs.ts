import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { capture, run } from "./run";

const RELEASE = "trixie";

/**
 * What a host has from the start: Debian's cloud image, plus what is installed on servers that run Docker. Nothing more can be
 * installed inside a host, because it reaches no package archive; installing what is there already works.
 */
export const HOST_PACKAGES = [
  "systemd,systemd-sysv,dbus,libpam-systemd,kmod,cloud-init,openssh-server,sudo,procps,less,jq",
  "iptables,iproute2,iputils-ping,curl,wget,gnupg,ca-certificates,unattended-upgrades,apt-utils",
  "docker.io,docker-cli,docker-compose,docker-buildx",
]
  .join(",")
  .split(",");

/** What the stand-in images have in common. */
export const IMAGE_PACKAGES =
  "bash,coreutils,git,jq,curl,wget,ca-certificates,procps,docker-cli,docker-buildx,docker-compose,sudo,unzip,libstdc++6".split(
    ",",
  );

/** cloud-init as on a server at Hetzner: root by key, host name from the server's name, NoCloud in place of their data source. */
const CLOUD_CONFIG = `datasource_list: [NoCloud]
disable_root: false
ssh_pwauth: false
users: []
manage_etc_hosts: true
network: {config: disabled}
apt: {preserve_sources_list: true}
ssh_genkeytypes: [ed25519, ecdsa]
`;

/** They would wait for a network that a container has from the start, or mount what it may not. */
const MASKED_UNITS = [
  "systemd-networkd-wait-online.service",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
];

/** Debian's root file system as a folder, ready to boot. */
export async function buildHostRoot(root: string, caCertificate: string): Promise<void> {
  await mmdebstrap(root, HOST_PACKAGES, []);
  await rm(join(root, "etc/apt/sources.list"), { force: true });
  await run("find", [
    join(root, "etc/apt/sources.list.d"),
    join(root, "etc/ssh"),
    ...["(", "-name", "*.list", "-o", "-name", "*.sources", "-o", "-name", "ssh_host_*", ")"],
    "-delete",
  ]);
  await writeFile(join(root, "etc/cloud/cloud.cfg.d/90_local-cloud.cfg"), CLOUD_CONFIG);
  // Persistent, so that a host that is off can still be asked what happened.
  await mkdir(join(root, "var/log/journal"), { recursive: true });
  for (const unit of MASKED_UNITS) {
    const link = join(root, "etc/systemd/system", unit);
    await rm(link, { force: true });
    await symlink("/dev/null", link);
  }
  await trust(root, caCertificate);
  // Done here, so that not every host does at its first start what systemd does when /usr is newer than these marks.
  await run("chroot", [root, "ldconfig"]);
  await run("touch", [join(root, "etc/.updated"), join(root, "var/.updated")]);
}

/** Debian's root file system as a layer of images. */
export async function buildImageBase(tar: string, caCertificate: string): Promise<void> {
  const authority = "usr/local/share/ca-certificates/local-cloud.crt";
  const commands = [
    `upload ${caCertificate} /${authority}`,
    'chroot "$1" update-ca-certificates >/dev/null',
    'chroot "$1" groupadd --gid 123 docker',
    'chroot "$1" useradd --uid 1001 --create-home --shell /bin/bash --groups sudo,docker runner',
    'chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash node',
    'echo "%sudo ALL=(ALL:ALL) NOPASSWD: ALL" > "$1/etc/sudoers.d/sudo"',
    'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/etc/apt/sources.list*',
  ];
  await mmdebstrap(tar, IMAGE_PACKAGES, [
    "--format=tar",
    ...commands.map((command) => `--customize-hook=${command}`),
  ]);
}

async function trust(root: string, caCertificate: string): Promise<void> {
  const folder = join(root, "usr/local/share/ca-certificates");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "local-cloud.crt"), await readFile(caCertificate));
  await run("chroot", [root, "update-ca-certificates"]);
}

async function mmdebstrap(
  target: string,
  packages: readonly string[],
  options: readonly string[],
): Promise<void> {
  const sources = await packageSources();
  await run(
    "mmdebstrap",
    [
      "--quiet",
      "--mode=root",
      "--variant=minbase",
      `--include=${packages.join(",")}`,
      ...(await aptOptions()),
      ...options,
      RELEASE,
      target,
      // From standard input, or else the default mirror of mmdebstrap.
      ...(sources === "" ? [] : ["-"]),
    ],
    { stdin: sources, timeoutMs: 15 * 60_000 },
  );
}

/** The mirrors that this machine's own apt uses, for the release that hosts run; empty when this machine is no Debian. */
async function packageSources(): Promise<string> {
  const system = await readFile("/etc/os-release", "utf8");
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(system)?.[1];
  if (!/^ID=debian$/m.test(system) || codename === undefined) return "";
  const format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
  const targets = await run("apt-get", [
    "indextargets",
    "--format",
    format,
    "Created-By: Packages",
  ]);
  const sources = new Set<string>();
  for (const line of targets.split("\n")) {
    const [uri, suite, component] = line.split(" ");
    const kind = ["", "-updates", "-security"].find((kind) => suite === `${codename}${kind}`);
    if (kind === undefined || component !== "main") continue;
    sources.add(`deb ${uri} ${RELEASE}${kind} main`);
  }
  // Security and updates alone make no system.
  const complete = [...sources].some((line) => line.endsWith(` ${RELEASE} main`));
  return complete ? [...sources].join("\n") + "\n" : "";
}

/** The machine's settings for fetching packages, which mmdebstrap does not read: proxies and checks of dates. */
async function aptOptions(): Promise<string[]> {
  const dump = await capture("apt-config", ["dump", "Acquire"]);
  return dump.stdout
    .split("\n")
    .filter((line) => /^Acquire::(?:https?::(?:.*::)?Proxy|Check-[\w-]+|Retries) "/.test(line))
    .map((line) => `--aptopt=${line}`);
}
