import { gunzipSync } from "node:zlib";
import { utils } from "ssh2";
import { parse } from "yaml";
import { z } from "zod";
import { newKeyPair } from "../keys";

/** The part of a cloud-config that the thin model acts on. */
const cloudConfig = z.object({
  ssh_keys: z.object({ ed25519_private: z.string() }).optional(),
  write_files: z
    .array(
      z.object({
        path: z.string(),
        content: z.string().optional(),
        encoding: z.string().optional(),
      }),
    )
    .default([]),
});

/** Where the script lies that configures a host which nobody reaches. */
const APPLY_FILE = "/var/lib/runner-fleet/apply";

export interface FirstBoot {
  /** OpenSSH private key. */
  readonly hostKey: string;
  readonly sshPort: number;
  /** Script that the host runs until it succeeds; without one it is configured over SSH, and with one it answers none. */
  readonly apply: string | undefined;
  /** What cloud-init would have complained about. */
  readonly warning: string | undefined;
}

/** What a first boot makes of user_data: as with cloud-init, one that cannot be used leaves the defaults, with a warning. */
export function firstBoot(userData: string): FirstBoot {
  let config = cloudConfig.parse({});
  let warning: string | undefined;
  if (/^#cloud-config\s*$/m.test(userData.split("\n", 1)[0] ?? "")) {
    try {
      config = cloudConfig.parse(parse(userData, { version: "1.1" }) ?? {});
    } catch (error) {
      // The reason may quote what the file holds, which includes a private key.
      const kind = error instanceof z.ZodError ? "has an unexpected form" : "is not valid YAML";
      warning = `the user_data ${kind}: it is ignored`;
    }
  } else if (userData !== "") {
    warning = "the user_data is not a #cloud-config: the thin model ignores it";
  }
  let hostKey = config.ssh_keys?.ed25519_private;
  if (hostKey !== undefined && utils.parseKey(hostKey) instanceof Error) {
    warning = "ssh_keys.ed25519_private is not a private key: the host makes one";
    hostKey = undefined;
  }
  const packed = config.write_files.find(({ path }) => path === APPLY_FILE);
  let apply: string | undefined;
  try {
    if (packed?.encoding === "gz+b64")
      apply = gunzipSync(Buffer.from(packed.content ?? "", "base64")).toString();
    else if (packed !== undefined) warning = `${APPLY_FILE} is not packed as gz+b64: it is ignored`;
  } catch {
    warning = `${APPLY_FILE} cannot be unpacked: it is ignored`;
  }
  const port = config.write_files
    .filter(({ path }) => /^\/etc\/ssh\/sshd_config(\.d\/[^/]+\.conf)?$/.test(path))
    .map(({ content = "" }) => /^\s*Port\s+(\d+)\s*$/im.exec(content)?.[1])
    .find((found) => found !== undefined);
  return {
    hostKey: hostKey ?? newKeyPair().private,
    sshPort: Number(port ?? 22),
    apply,
    warning,
  };
}
