import type { FleetSettings } from "../config/schema";
import type { SshTarget } from "../host/ssh";
import type { RecordedHost } from "../stack/recordedHosts";
import type { Stack } from "../stack/stack";
import { findHost } from "./findHost";

/** What somebody wants of a host. */
export type Purpose = "drain" | "undrain" | "ssh" | "logs";

export interface ReachedHost {
  readonly host: RecordedHost;
  readonly target: SshTarget;
}

/**
 * How to log in on a host of the stack: with the configured key, at the address and with the host key that the state has.
 * @throws Error in one sentence when there is no such host, or no way into it.
 */
export async function reachHost(
  stack: Pick<Stack, "settings" | "hosts" | "secret">,
  wanted: string,
  purpose: Purpose,
): Promise<ReachedHost> {
  const host = findHost(await stack.hosts(), wanted);
  const obstacle = noWayIn(host, stack.settings.management, purpose);
  if (obstacle !== undefined) throw new Error(obstacle);
  return {
    host,
    target: {
      host: host.address,
      port: host.sshPort,
      privateKey: await stack.secret("ssh.privateKey"),
      hostKey: host.hostKey!,
    },
  };
}

/** Why nothing reaches into a host, and what to do instead, in one sentence; undefined where something does. */
export function noWayIn(
  host: RecordedHost,
  management: FleetSettings["management"],
  purpose: Purpose,
): string | undefined {
  const { name, pool } = host;
  const anew =
    pool === undefined
      ? "`pulumi up --replace URN` with the URN of its server makes it anew"
      : `raising pools.${pool}.generation replaces it`;
  if (management === "none") {
    const instead: Readonly<Record<Purpose, string>> = {
      drain: `\`hcloud server shutdown ${name}\` drains it and powers it off, and ${anew}`,
      undrain: `\`hcloud server poweron ${name}\` starts it, and its runners with it`,
      ssh: `\`hcloud server request-console ${name}\` opens its screen, where nobody can log in, and ${anew}`,
      logs: `GitHub has the logs of its jobs, \`hcloud server request-console ${name}\` opens its screen, and ${anew}`,
    };
    return `${name}: nothing reaches into it, since the stack has management none; ${instead[purpose]}.`;
  }
  if (host.hostKey === undefined) {
    return `${name}: found no SSH host key of it in the stack's state, which has one of every host that was made with management ssh: \`pulumi up\` records it, or, where the host was made with management none, ${anew}.`;
  }
  return undefined;
}
