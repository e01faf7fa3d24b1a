import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { SshTarget } from "../host/ssh";

/** The pinned key of a host as a line of known_hosts. */
export function knownHostsLine({ host, port, hostKey }: SshTarget): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${hostKey}\n`;
}

/**
 * Arguments of OpenSSH's client for a login as root with one key, at a host that shows one key. Nothing of the user's
 * own configuration, agent or known hosts counts.
 * @param command words of a command, joined by spaces for the host's shell; none: an interactive shell.
 */
export function sshArguments(
  { host, port }: Pick<SshTarget, "host" | "port">,
  files: { readonly key: string; readonly knownHosts: string },
  command: readonly string[],
): string[] {
  const options = {
    IdentitiesOnly: "yes",
    IdentityAgent: "none",
    ForwardAgent: "no",
    PreferredAuthentications: "publickey",
    StrictHostKeyChecking: "yes",
    UserKnownHostsFile: files.knownHosts,
    GlobalKnownHostsFile: "none",
    // Other keys that the host offers are not written down beside the pinned one.
    UpdateHostKeys: "no",
    ConnectTimeout: "15",
    ServerAliveInterval: "30",
  };
  return [
    ...["-F", "none", "-i", files.key, "-p", String(port)],
    ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    `root@${host}`,
    ...(command.length > 0 ? ["--", ...command] : []),
  ];
}

/**
 * Runs OpenSSH's client on this process's terminal, with the key in a folder that nobody else can enter and that is gone
 * afterwards. Resolves with its exit code, or 128 and the signal's number where one has ended it.
 * @param signal passed on to the client: it ends, and the files are removed.
 * @throws Error in one sentence when there is no such program.
 */
export async function runSshClient(
  target: SshTarget,
  command: readonly string[],
  signal?: AbortSignal,
): Promise<number> {
  // mkdtemp makes it 0700.
  const folder = await mkdtemp(join(tmpdir(), "runner-fleet-ssh-"));
  try {
    const files = { key: join(folder, "key"), knownHosts: join(folder, "known_hosts") };
    // OpenSSH reads no key whose last line has no end.
    await writeFile(files.key, `${target.privateKey.trimEnd()}\n`, { mode: 0o600 });
    await writeFile(files.knownHosts, knownHostsLine(target), { mode: 0o600 });
    return await runClient(sshArguments(target, files, command), signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runClient(args: readonly string[], signal: AbortSignal | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return resolve(128 + constants.signals.SIGTERM);
    const client = spawn("ssh", args, { stdio: "inherit" });
    const end = () => client.kill("SIGTERM");
    signal?.addEventListener("abort", end, { once: true });
    client.on("error", (error: NodeJS.ErrnoException) => {
      reject(
        new Error(
          `The program ssh cannot be run (${error.code ?? error.message}), expected OpenSSH's client on the PATH.`,
          { cause: error },
        ),
      );
    });
    client.on("exit", (code, ended) => {
      signal?.removeEventListener("abort", end);
      resolve(code ?? 128 + (ended === null ? 0 : constants.signals[ended]));
    });
  });
}
