import { connect } from "node:net";
import { Client } from "ssh2";
import type { HostBackend } from "../../../local-cloud/hosts/types";
import { newKeyPair } from "../../../local-cloud/hosts/keys";

/** Polls until `probe` gives something; an error says what was waited for. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 60_000,
): Promise<T> {
  for (const end = Date.now() + timeoutMs; Date.now() < end;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
}

/** What a TCP connection gets: the first bytes the server sends, or the reason why there is none. */
export function dial(host: string, port: number, timeoutMs = 1500): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (result: string): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => end("timeout"));
    socket.once("data", (data) => end(data.toString()));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.once("close", () => end("closed"));
  });
}

export function keyPair(): { private: string; public: string } {
  const pair = newKeyPair();
  return { private: pair.private, public: pair.public };
}

/** Runs a command over SSH as root, and accepts no host key but the pinned one. */
export function ssh(
  host: string,
  privateKey: string,
  pinnedHostKey: string,
  command: string,
): Promise<string> {
  const expected = Buffer.from(pinnedHostKey.split(" ")[1] ?? "", "base64");
  return new Promise((resolve, reject) => {
    const client = new Client();
    client.on("error", reject);
    client.on("ready", () => {
      client.exec(command, (error, channel) => {
        if (error) {
          reject(error);
          return;
        }
        let output = "";
        channel.on("data", (data: Buffer) => (output += data.toString()));
        channel.on("close", () => {
          client.end();
          resolve(output);
        });
      });
    });
    client.connect({
      host,
      username: "root",
      privateKey,
      readyTimeout: 10_000,
      hostVerifier: (key: Buffer) => key.equals(expected),
    });
  });
}

/** Runs a shell script in a host; an exit code other than 0 is an error. */
export async function shell(hosts: HostBackend, id: number, script: string): Promise<string> {
  const result = await hosts.exec(id, ["bash", "-c", script], { timeoutMs: 90_000 });
  if (result.code !== 0) {
    throw new Error(`exit code ${result.code} of ${script}: ${result.stdout}${result.stderr}`);
  }
  return result.stdout;
}

export async function booted(hosts: HostBackend, id: number): Promise<void> {
  await eventually(
    `host ${id} is configured`,
    async () => {
      const status = await hosts.exec(id, ["cloud-init", "status"]).catch(() => undefined);
      return status?.stdout.includes("status: done");
    },
    60_000,
  );
  await shell(hosts, id, "systemctl is-system-running --wait || true; docker version >/dev/null");
}
