import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type HostFile, quote } from "./applyScript";
import { STACK_DIRECTORY } from "./compose";
import { type Endpoint, type FirewallModel, renderFirewall } from "./firewall";

/** What every host of the fleet is made of below its stack. */
export interface BaseModel extends FirewallModel {
  /** Whether the host is managed over SSH; otherwise its SSH server is off. */
  readonly ssh: boolean;
  /** `never`, or a time of day in UTC such as 03:00-05:00 in which it reboots when an update asks for it. */
  readonly rebootWindow: string;
  /** How long running jobs may go on before such a reboot, in seconds. */
  readonly drainSeconds: number;
  /** Registries to ask before the one in the key; Docker takes those of docker.io. */
  readonly registryMirrors: Readonly<Record<string, readonly string[]>>;
  /** Packages and commands of the first boot beside our own, from configuration. */
  readonly packages: readonly string[];
  readonly runcmd: readonly string[];
}

/** What of a host's firewall its stack decides on. */
export interface HostFirewall {
  /** TCP ports that hosts in the private network may open here. */
  readonly privatePorts: readonly number[];
  /** Exceptions from "containers reach nothing in the private network". */
  readonly containersMayReach: readonly Endpoint[];
  /** TCP ports on the loopback interface that root alone connects to. Default: none. */
  readonly rootPorts?: readonly number[];
}

/** The base of a host from what the whole fleet has in common and what it has of its own. */
export function baseModel(
  fleet: {
    readonly management: "ssh" | "none";
    readonly sshPort: number;
    readonly allowedCidrs: readonly string[];
    readonly ipRange: string;
  },
  host: Pick<
    BaseModel,
    "rebootWindow" | "drainSeconds" | "registryMirrors" | "packages" | "runcmd"
  > & {
    readonly firewall: HostFirewall;
  },
): BaseModel {
  const { firewall, ...rest } = host;
  const ssh = fleet.management === "ssh";
  return {
    ...rest,
    ssh,
    sshPort: fleet.sshPort,
    allowedCidrs: ssh ? fleet.allowedCidrs : [],
    privateRange: fleet.ipRange,
    privatePorts: firewall.privatePorts,
    rootPorts: firewall.rootPorts ?? [],
    containersMayReach: firewall.containersMayReach,
  };
}

/** Everything of Debian's that a host needs, whatever its stack is. */
export const BASE_PACKAGES = [
  "docker.io",
  "docker-cli",
  "docker-compose",
  "curl",
  "nftables",
  "unattended-upgrades",
  "systemd-timesyncd",
] as const;

/** Brings the host to what the base's files say; harmless when repeated. */
export const BASE_COMMAND = `${STACK_DIRECTORY}/bin/base`;

export const FIREWALL_UNIT = "runner-fleet-firewall.service";
const FIREWALL_FILE = "/etc/runner-fleet/firewall.nft";

export function baseFiles(model: BaseModel): HostFile[] {
  return [
    ...firewallFiles(model),
    ...(model.ssh ? [sshdFile(model.sshPort)] : []),
    dockerFile(model.registryMirrors),
    file("/etc/apt/apt.conf.d/52runner-fleet", UPGRADES),
    file("/etc/systemd/journald.conf.d/10-runner-fleet.conf", JOURNAL),
    file("/etc/sysctl.d/60-runner-fleet-base.conf", SYSCTL),
    ...rebootFiles(model.rebootWindow, model.drainSeconds),
    file(
      "/etc/runner-fleet/base.env",
      [
        `PACKAGES=${quote(BASE_PACKAGES.join(" "))}`,
        `SSH=${model.ssh ? "yes" : "no"}`,
        `REBOOT_WINDOW=${model.rebootWindow}`,
        "",
      ].join("\n"),
    ),
    script("base"),
    script("reboot-if-required"),
    { path: `${STACK_DIRECTORY}/bin/first-boot`, mode: "0755", content: firstBoot(model) },
  ];
}

/** Loads the rules before there is a network, and before Docker. */
export function firewallFiles(model: FirewallModel): HostFile[] {
  const load = `/usr/sbin/nft --file ${FIREWALL_FILE}`;
  return [
    file(FIREWALL_FILE, renderFirewall(model)),
    file(
      `/etc/systemd/system/${FIREWALL_UNIT}`,
      unit({
        Unit: [
          "Description=Firewall of the runner fleet",
          "DefaultDependencies=no",
          "Wants=network-pre.target",
          "Before=network-pre.target docker.service shutdown.target",
          "Conflicts=shutdown.target",
        ],
        Service: ["Type=oneshot", "RemainAfterExit=yes", `ExecStart=${load}`, `ExecReload=${load}`],
        // Without the rules a job could read the metadata service: then no container starts.
        Install: ["WantedBy=sysinit.target", "RequiredBy=docker.service"],
      }),
    ),
    // Debian's own unit flushes all tables, also ours, whenever it starts, reloads or stops.
    file(
      "/etc/systemd/system/nftables.service.d/runner-fleet.conf",
      unit({
        Service: [`ExecStartPost=${load}`, `ExecReload=${load}`, `ExecStopPost=${load}`],
      }),
    ),
  ];
}

export function sshdFile(port: number): HostFile {
  return file(
    "/etc/ssh/sshd_config.d/10-runner-fleet.conf",
    [
      `Port ${port}`,
      "PermitRootLogin prohibit-password",
      "AuthenticationMethods publickey",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "AllowAgentForwarding no",
      "AllowStreamLocalForwarding no",
      "AllowTcpForwarding no",
      "PermitTunnel no",
      "PermitUserRC no",
      "X11Forwarding no",
      "LoginGraceTime 30",
      // A drain says nothing for as long as a job runs; what forgets silent connections must not cut it.
      "ClientAliveInterval 30",
      "",
    ].join("\n"),
  );
}

export function dockerFile(registryMirrors: BaseModel["registryMirrors"]): HostFile {
  const mirrors = registryMirrors["docker.io"];
  const daemon = {
    "live-restore": true,
    "log-driver": "json-file",
    "log-opts": { "max-file": "3", "max-size": "10m" },
    ...(mirrors && { "registry-mirrors": mirrors.map((host) => `https://${host}`) }),
  };
  return file("/etc/docker/daemon.json", `${JSON.stringify(daemon, null, 2)}\n`);
}

/** Security updates alone, by Debian's timers; a reboot is our own timer's. */
const UPGRADES = `APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
#clear Unattended-Upgrade::Origins-Pattern;
Unattended-Upgrade::Origins-Pattern {
  "origin=Debian,codename=\${distro_codename},label=Debian-Security";
  "origin=Debian,codename=\${distro_codename}-security,label=Debian-Security";
};
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
Unattended-Upgrade::SyslogEnable "true";
`;

const JOURNAL = `[Journal]
Storage=persistent
SystemMaxUse=500M
SystemKeepFree=1G
RuntimeMaxUse=64M
MaxRetentionSec=1month
`;

/** No host takes another route because somebody says so. */
const SYSCTL = `net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.conf.all.accept_source_route = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv6.conf.default.accept_redirects = 0
net.ipv4.tcp_syncookies = 1
`;

function rebootFiles(window: string, drainSeconds: number): HostFile[] {
  const service = file(
    "/etc/systemd/system/runner-fleet-reboot.service",
    unit({
      Unit: ["Description=Reboot for updates, after running jobs"],
      Service: [
        "Type=oneshot",
        `ExecStart=${STACK_DIRECTORY}/bin/reboot-if-required ${drainSeconds}`,
      ],
    }),
  );
  if (window === "never") return [service];
  const { start, seconds } = readWindow(window);
  return [
    service,
    file(
      "/etc/systemd/system/runner-fleet-reboot.timer",
      unit({
        Unit: ["Description=Time of day for reboots"],
        Timer: [
          `OnCalendar=*-*-* ${start}:00 UTC`,
          // Each host has its own moment in the window, and keeps it.
          `RandomizedDelaySec=${Math.max(0, seconds - 60)}`,
          "FixedRandomDelay=true",
        ],
        Install: ["WantedBy=timers.target"],
      }),
    ),
  ];
}

/** `HH:MM-HH:MM`; an end before the start is on the next day. */
function readWindow(window: string): { readonly start: string; readonly seconds: number } {
  const [start = "", end = ""] = window.split("-");
  const minutes = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
  return { start, seconds: ((minutes(end) - minutes(start) + 1440) % 1440) * 60 };
}

/** What the configuration adds to the first boot, to be done again where cloud-init failed at it. */
function firstBoot({ packages, runcmd }: Pick<BaseModel, "packages" | "runcmd">): string {
  const install = "apt-get --quiet --yes -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 install";
  return [
    "#!/bin/bash",
    "set -euo pipefail",
    "export DEBIAN_FRONTEND=noninteractive",
    ...(packages.length > 0 ? [`${install} ${packages.map(quote).join(" ")}`] : []),
    ...runcmd.map((command) => `sh -c ${quote(command)}`),
    "",
  ].join("\n");
}

function unit(sections: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(sections)
    .map(([name, lines]) => [`[${name}]`, ...lines, ""].join("\n"))
    .join("\n");
}

function file(path: string, content: string): HostFile {
  return { path, mode: "0644", content };
}

function script(name: string): HostFile {
  return {
    path: `${STACK_DIRECTORY}/bin/${name}`,
    mode: "0755",
    content: readFileSync(join(__dirname, "files", `${name}.sh`), "utf8"),
  };
}
