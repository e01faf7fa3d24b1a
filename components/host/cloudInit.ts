import { Scalar, stringify } from "yaml";
import type { FleetSettings } from "../config/schema";
import { type HostKey, hostKeyFromSecret } from "./hostKey";

export interface CloudInitModel {
  readonly hostKey: HostKey;
  readonly sshPort: number;
  /** Packages and commands beside our own, from configuration. */
  readonly packages: readonly string[];
  readonly runcmd: readonly string[];
}

/**
 * The user_data of a host: what the first boot needs and nothing else, because every job can read it at the metadata
 * address and because a living server never sees a change of it. Everything that may change later arrives over SSH.
 */
export function renderCloudInit(model: CloudInitModel): string {
  const document = {
    ssh_deletekeys: true,
    ssh_keys: {
      ed25519_private: model.hostKey.privateKey,
      ed25519_public: model.hostKey.publicKey,
    },
    ssh_pwauth: false,
    package_update: true,
    packages: [
      "docker.io",
      "docker-cli",
      "docker-compose",
      "curl",
      "unattended-upgrades",
      ...model.packages.map(quoted),
    ],
    write_files: [
      {
        path: "/etc/ssh/sshd_config.d/10-runner-fleet.conf",
        permissions: "0644",
        content: [
          `Port ${model.sshPort}`,
          "PermitRootLogin prohibit-password",
          "PasswordAuthentication no",
          "KbdInteractiveAuthentication no",
          "X11Forwarding no",
          // A drain says nothing for as long as a job runs; what forgets silent connections must not cut it.
          "ClientAliveInterval 30",
          "",
        ].join("\n"),
      },
      {
        path: "/etc/docker/daemon.json",
        permissions: "0644",
        content: `${JSON.stringify(
          {
            "live-restore": true,
            "log-driver": "json-file",
            "log-opts": { "max-file": "3", "max-size": "10m" },
          },
          null,
          2,
        )}\n`,
      },
    ],
    runcmd: [
      ["systemctl", "enable", "--now", "docker.service"],
      ...(model.sshPort === 22 ? [] : [["systemctl", "restart", "ssh.service"]]),
      ...model.runcmd.map(quoted),
    ],
  };
  // cloud-init reads YAML 1.1, where a bare `yes` or `22:22` is not a text.
  return `#cloud-config\n${stringify(document, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false })}`;
}

/** In quotes: cloud-init's reader stumbles over bare texts that are legal YAML, such as `=` or a tab between words. */
function quoted(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}

/** Size in bytes of the user_data of each pool's hosts; the host key in it has the same length for every host. */
export function userDataSizes(
  settings: Pick<FleetSettings, "pools" | "ssh">,
): Record<string, number> {
  const hostKey = hostKeyFromSecret("a key of the right length");
  return Object.fromEntries(
    Object.entries(settings.pools).map(([name, { cloudInit }]) => [
      name,
      Buffer.byteLength(renderCloudInit({ hostKey, sshPort: settings.ssh.port, ...cloudInit })),
    ]),
  );
}
