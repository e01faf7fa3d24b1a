import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mmdebstrap } from "./mmdebstrap";
import { run } from "./run";

/**
 * What a host has from the start: Debian's cloud image, plus what is installed on servers that run Docker. Nothing more can be
 * installed inside a host, because it reaches no package archive; installing what is there already works.
 */
export const HOST_PACKAGES = [
  "systemd,systemd-sysv,dbus,libpam-systemd,kmod,cloud-init,openssh-server,sudo,procps,less,jq",
  "iptables,nftables,iproute2,iputils-ping,curl,wget,gnupg,ca-certificates,unattended-upgrades,apt-utils",
  "systemd-timesyncd,docker.io,docker-cli,docker-compose,docker-buildx",
]
  .join(",")
  .split(",");

/** What a machine of GitHub's has, as far as builds of images need it. Node and buildx come with what jobs are run by. */
const RUNNER_MACHINE_PACKAGES = [
  "systemd,systemd-sysv,dbus,libpam-systemd,kmod,sudo,procps,less,iptables,iproute2,iputils-ping",
  "curl,wget,gnupg,ca-certificates,git,jq,unzip,zip,xz-utils,python3-minimal,libstdc++6",
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
  await mmdebstrap(root, HOST_PACKAGES);
  await writeFile(join(root, "etc/cloud/cloud.cfg.d/90_local-cloud.cfg"), CLOUD_CONFIG);
  await makeBootable(root, caCertificate);
}

/** Root file system of the machines that stand in for GitHub's, with their user. */
export async function buildRunnerRoot(root: string, caCertificate: string): Promise<void> {
  await mmdebstrap(root, RUNNER_MACHINE_PACKAGES);
  await run("chroot", [
    ...[root, "useradd", "--uid", "1001", "--create-home", "--shell", "/bin/bash"],
    ...["--groups", "sudo,docker", "runner"],
  ]);
  await writeFile(join(root, "etc/sudoers.d/runner"), "runner ALL=(ALL:ALL) NOPASSWD: ALL\n", {
    mode: 0o440,
  });
  await makeBootable(root, caCertificate);
}

async function makeBootable(root: string, caCertificate: string): Promise<void> {
  await rm(join(root, "etc/apt/sources.list"), { force: true });
  await rm(join(root, "etc/apt/sources.list.d"), { recursive: true, force: true });
  await mkdir(join(root, "etc/apt/sources.list.d"));
  await run("find", [join(root, "etc"), "-path", "*/ssh/ssh_host_*", "-delete"]);
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
  await mmdebstrap(tar, IMAGE_PACKAGES, {
    arguments: ["--format=tar", ...commands.map((command) => `--customize-hook=${command}`)],
  });
}

async function trust(root: string, caCertificate: string): Promise<void> {
  const folder = join(root, "usr/local/share/ca-certificates");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "local-cloud.crt"), await readFile(caCertificate));
  await run("chroot", [root, "update-ca-certificates"]);
}
