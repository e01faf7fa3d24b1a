import { createSocket } from "node:dgram";
import { containsCidr, parseCidr } from "../config/cidr";
import type { FleetSettings } from "../config/schema";
import { runOverSsh, SshError, type SshFailure } from "../host/ssh";
import { noWayIn } from "../operate/reach";
import type { RecordedHost } from "../stack/recordedHosts";
import { type Finding, orOk, problem, skipped, warning } from "./check";
import type { Context } from "./context";

/** For the connection and the answer, in seconds. */
const TIMEOUT = 10;

/** How a host has answered. */
export interface Answer {
  readonly host: Pick<RecordedHost, "name" | "address" | "sshPort">;
  /** Undefined: SSH let this machine in. */
  readonly failure: { readonly kind: SshFailure; readonly message: string } | undefined;
  /** The address that the host saw; undefined where it did not say. */
  readonly seenAs: string | undefined;
}

/** @param own this machine's address as far as it knows it without asking anybody */
export function judgeReach(
  { allowedCidrs }: Pick<FleetSettings["ssh"], "allowedCidrs">,
  answers: readonly Answer[],
  own: string | undefined,
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { host, failure } of answers) {
    if (failure === undefined) continue;
    const at = `${host.name} at ${host.address}, port ${host.sshPort}`;
    if (failure.kind === "refused") {
      findings.push(
        problem(
          `SSH to ${at} is refused (${failure.message}): its host key is not the one in the stack's state, or it does not know ssh.privateKey.`,
        ),
      );
    } else {
      findings.push(
        problem(
          `SSH does not reach ${at} (${failure.message}): the server is off or hung, or ssh.allowedCidrs does not have this machine's address.`,
          `hcloud server describe ${host.name}`,
        ),
      );
    }
  }
  const seen = answers.flatMap(({ seenAs }) => seenAs ?? []);
  for (const address of new Set([...seen, ...(own === undefined ? [] : [own])])) {
    if (isIn(address, allowedCidrs)) continue;
    findings.push(
      warning(
        `This machine's address ${address} is in none of ssh.allowedCidrs (${allowedCidrs.join(", ")}): the next run would shut it out.`,
      ),
    );
  }
  const reached =
    answers.length === 0
      ? "There is no host yet"
      : `SSH reaches ${answers.map(({ host }) => host.name).join(", ")}`;
  const from =
    seen.length > 0 || own !== undefined
      ? "this machine's address is in ssh.allowedCidrs"
      : "whether this machine's address is in ssh.allowedCidrs cannot be told from here";
  return orOk(findings, `${reached}; ${from}.`);
}

function isIn(address: string, ranges: readonly string[]): boolean {
  const single = parseCidr(`${address}/${address.includes(":") ? 128 : 32}`);
  return (
    single !== undefined &&
    ranges.some((range) => {
      const outer = parseCidr(range);
      return outer !== undefined && containsCidr(outer, single);
    })
  );
}

/** Ranges that lead nowhere, or not here, from outside (RFC 6890). */
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
];

/** An address that others see as well, else undefined: behind one that is private there is another. */
export function publicAddress(address: string): string | undefined {
  return isIn(address, PRIVATE) ? undefined : address;
}

/** From where this machine sends to an address; nothing is sent. */
function sourceAddress(towards: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const end = (address: string | undefined) => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => end(undefined));
    socket.connect(9, towards, () => end(socket.address().address));
  });
}

/** An address of documentation: the way to it is the way to anybody. */
const ANYBODY = "192.0.2.1";

export async function checkSsh(context: Context): Promise<readonly Finding[]> {
  const { settings } = await context.stack();
  if (Object.keys(settings.pools).length === 0) return [skipped("There is no pool of own hosts.")];
  if (settings.management === "none") {
    return [skipped("Nothing reaches into the hosts, since management is none.")];
  }
  const [{ hosts: recorded }, { ssh }, servers] = await Promise.all([
    context.recorded(),
    context.settings(),
    context.servers().catch(() => undefined),
  ]);
  // Of a server that is gone another check tells.
  const hosts = recorded.filter(({ name }) => servers?.some((one) => one.name === name) ?? true);
  const closed = hosts.flatMap((host) => noWayIn(host, settings.management, "ssh") ?? []);
  const [answers, source] = await Promise.all([
    Promise.all(
      hosts
        .filter(({ hostKey }) => hostKey !== undefined)
        .map((host) => knock(host, ssh.privateKey ?? "")),
    ),
    sourceAddress(hosts[0]?.address ?? ANYBODY),
  ]);
  const own = source === undefined ? undefined : publicAddress(source);
  return [...closed.map((sentence) => warning(sentence)), ...judgeReach(ssh, answers, own)];
}

async function knock(host: RecordedHost, privateKey: string): Promise<Answer> {
  const target = {
    host: host.address,
    port: host.sshPort,
    privateKey,
    hostKey: host.hostKey ?? "",
  };
  try {
    const output = await runOverSsh(target, 'echo "$SSH_CONNECTION"', TIMEOUT);
    const [seenAs] = output.trim().split(" ");
    return { host, failure: undefined, seenAs: seenAs === "" ? undefined : seenAs };
  } catch (error) {
    if (!(error instanceof SshError)) throw error;
    // The command failed, so somebody was let in to run it.
    if (error.failure === "failed") return { host, failure: undefined, seenAs: undefined };
    const { failure: kind, message } = error;
    return { host, failure: { kind, message }, seenAs: undefined };
  }
}
