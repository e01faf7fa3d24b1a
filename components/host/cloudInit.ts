import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { Scalar, stringify } from "yaml";
import { type HostFile, renderApplyScript } from "./applyScript";
import {
  BASE_COMMAND,
  BASE_PACKAGES,
  baseFiles,
  type BaseModel,
  dockerFile,
  FIREWALL_UNIT,
  firewallFiles,
  sshdFile,
} from "./base";
import { withoutComments } from "./comments";
import { type HostKey, hostKeyFromSecret } from "./hostKey";

/** What a host runs: files, then commands that are harmless when repeated. */
export interface HostStack {
  readonly files: readonly HostFile[];
  readonly commands: readonly string[];
}

/** Hetzner's limit of user_data. */
export const MAX_USER_DATA_BYTES = 32_768;

/** Base and stack of a host as one script. */
export function hostScript(base: BaseModel, stack: HostStack): string {
  const files = [...baseFiles(base), ...stack.files];
  return renderApplyScript(
    // Without SSH it has to fit into user_data.
    base.ssh ? files : files.map(withoutComments),
    [BASE_COMMAND, ...stack.commands],
  );
}

/**
 * The user_data of a host. With SSH it is what the first boot needs and nothing else, because jobs could read it at the
 * metadata address before that is closed, and because a living server never sees a change of it: everything that may
 * change later arrives over SSH. Without SSH it is everything.
 */
export function renderCloudInit(hostKey: HostKey, base: BaseModel, stack: HostStack): string {
  const mode = base.ssh ? overSsh(hostKey, base) : allAtOnce(base, stack);
  const document = {
    ssh_deletekeys: true,
    ...mode.keys,
    ssh_pwauth: false,
    package_update: true,
    packages: [...BASE_PACKAGES, ...base.packages.map(quoted)],
    write_files: mode.files,
    runcmd: [...mode.before, ...base.runcmd.map(quoted), ...mode.after],
  };
  // cloud-init reads YAML 1.1, where a bare `yes` or `22:22` is not a text.
  return `#cloud-config\n${stringify(document, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false })}`;
}

function overSsh(hostKey: HostKey, base: BaseModel) {
  return {
    keys: {
      ssh_keys: { ed25519_private: hostKey.privateKey, ed25519_public: hostKey.publicKey },
    },
    files: [sshdFile(base.sshPort), dockerFile(base.registryMirrors), ...firewallFiles(base)].map(
      plainFile,
    ),
    before: [
      ["systemctl", "enable", "--now", FIREWALL_UNIT],
      ["systemctl", "enable", "--now", "docker.service"],
      ...(base.sshPort === 22 ? [] : [["systemctl", "restart", "ssh.service"]]),
    ],
    after: [],
  };
}

const APPLY_FILE = "/var/lib/runner-fleet/apply";
const APPLY_UNIT = "runner-fleet-apply.service";

/** Tries again by itself, since nobody reaches the host; what it holds goes once it has succeeded. */
const APPLY_SERVICE = `[Unit]
Description=First configuration of the host
Wants=network-online.target
After=network-online.target cloud-final.service
ConditionPathExists=${APPLY_FILE}
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/bash ${APPLY_FILE}
ExecStartPost=/bin/rm ${APPLY_FILE}
Restart=on-failure
RestartSec=30

[Install]
WantedBy=cloud-init.target
`;

function allAtOnce(base: BaseModel, stack: HostStack) {
  return {
    keys: {},
    files: [
      // Docker takes some of it at its start alone, which is when it is installed.
      plainFile(dockerFile(base.registryMirrors)),
      { path: `/etc/systemd/system/${APPLY_UNIT}`, permissions: "0644", content: APPLY_SERVICE },
      {
        path: APPLY_FILE,
        permissions: "0600",
        encoding: "gz+b64",
        content: gzipSync(hostScript(base, stack), { level: 9 }).toString("base64"),
      },
    ],
    before: [],
    after: [
      ["systemctl", "daemon-reload"],
      ["systemctl", "enable", APPLY_UNIT],
      // It waits for the end of the first boot, which would wait for it.
      ["systemctl", "start", "--no-block", APPLY_UNIT],
    ],
  };
}

function plainFile({ path, mode, content }: HostFile) {
  return { path, permissions: mode, content };
}

/** In quotes: cloud-init's reader stumbles over bare texts that are legal YAML, such as `=` or a tab between words. */
function quoted(text: string): Scalar<string> {
  const scalar = new Scalar(text);
  scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}

/** Size of a host's user_data in bytes; the host key in it has the same length for every host. */
export function userDataBytes(base: BaseModel, stack: HostStack): number {
  const hostKey = hostKeyFromSecret("a key of the right length");
  return Buffer.byteLength(renderCloudInit(hostKey, base, stack));
}

/**
 * Names what a host is made of, for comparison: 16 hexadecimal digits. What only its owner may read stays out of it,
 * because the label that shows it is no secret.
 */
export function configHash(base: BaseModel, stack: HostStack): string {
  const files = [...baseFiles(base), ...stack.files].map(({ path, mode, owner, content }) => [
    path,
    mode,
    owner ?? "root",
    (Number.parseInt(mode, 8) & 0o004) === 0 ? "" : content,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([files, stack.commands]))
    .digest("hex")
    .slice(0, 16);
}
