import { utils } from "ssh2";
import { parse } from "yaml";
import { z } from "zod";
import { newKeyPair } from "../keys";

/** The part of a cloud-config that the thin model acts on. */
const cloudConfig = z.object({
  ssh_keys: z.object({ ed25519_private: z.string() }).optional(),
  write_files: z.array(z.object({ path: z.string(), content: z.string().optional() })).default([]),
});

export interface FirstBoot {
  /** OpenSSH private key. */
  readonly hostKey: string;
  readonly sshPort: number;
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
  const port = config.write_files
    .filter(({ path }) => /^\/etc\/ssh\/sshd_config(\.d\/[^/]+\.conf)?$/.test(path))
    .map(({ content = "" }) => /^\s*Port\s+(\d+)\s*$/im.exec(content)?.[1])
    .find((found) => found !== undefined);
  return {
    hostKey: hostKey ?? newKeyPair().private,
    sshPort: Number(port ?? 22),
    warning,
  };
}
