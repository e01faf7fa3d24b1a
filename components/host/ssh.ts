import { Client } from "ssh2";

export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA…`: any other key of the host is refused. */
  readonly hostKey: string;
}

/**
 * Runs a command as root on a host and resolves with its output. The connection has 15 s to come up; the command
 * itself may take `timeoutSeconds`.
 * @throws when the host cannot be reached, shows another key, or the command fails; the command's last words are in the message.
 */
export function runOverSsh(
  target: SshTarget,
  command: string,
  timeoutSeconds: number,
): Promise<string> {
  const [, pinned] = target.hostKey.split(" ");
  const client = new Client();
  let output = "";
  let deadline: NodeJS.Timeout | undefined;
  return new Promise<string>((resolve, reject) => {
    deadline = setTimeout(
      () => reject(new Error(`no end after ${timeoutSeconds} s`)),
      timeoutSeconds * 1000,
    );
    client
      .on("ready", () => {
        client.exec(command, (error, stream) => {
          if (error) return reject(error);
          const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4096));
          stream.on("data", keep);
          stream.stderr.on("data", keep);
          stream.on("close", (code: number | null) => {
            if (code === 0) resolve(output);
            else reject(new Error(`it ended with ${code ?? "a signal"}: ${output.trim()}`));
          });
        });
      })
      .on("error", reject)
      .connect({
        host: target.host,
        port: target.port,
        username: "root",
        privateKey: target.privateKey,
        readyTimeout: 15_000,
        keepaliveInterval: 30_000,
        hostVerifier: (key: Buffer) => key.toString("base64") === pinned,
      });
  }).finally(() => {
    clearTimeout(deadline);
    client.end();
  });
}
