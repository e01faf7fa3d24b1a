import type { Readable, Writable } from "node:stream";
import { Client } from "ssh2";

export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA…`: any other key of the host is refused. */
  readonly hostKey: string;
}

/**
 * Why a command over SSH has not ended well. `unreachable`: nobody answered. `refused`: somebody did, and either side
 * refused the other's key. `lost`: the connection or the command broke off. `failed`: the command itself. `late`: it
 * has not ended in time. `left`: the caller has stopped waiting, and the command may go on.
 */
export type SshFailure = "unreachable" | "refused" | "lost" | "failed" | "late" | "left";

/** The message is the end of a sentence about the command. */
export class SshError extends Error {
  constructor(
    readonly failure: SshFailure,
    message: string,
  ) {
    super(message);
  }
}

/** What goes on with a command while it runs. */
export interface SshStreams {
  /** Hear what the command says as it says it; they are not ended. Default: nobody does. */
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  /** What the command reads; a text is followed by its end. Default: nothing comes, and no end either. */
  readonly stdin?: string | Readable;
  /** Ends the wait and the connection. The command sees the end of its input, and nothing else. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a command as root on a host and resolves with the last 4096 characters of its output. The connection has 15 s to
 * come up; the command itself may take `timeoutSeconds`, without a limit where that is infinite.
 * @throws SshError; the command's last words are in the message.
 */
export function runOverSsh(
  target: SshTarget,
  command: string,
  timeoutSeconds: number,
  { stdout, stderr, stdin, signal }: SshStreams = {},
): Promise<string> {
  const [, pinned] = target.hostKey.split(" ");
  const client = new Client();
  let output = "";
  let ready = false;
  let verified = true;
  let deadline: NodeJS.Timeout | undefined;
  let leave: (() => void) | undefined;
  return new Promise<string>((resolve, reject) => {
    const fail = (failure: SshFailure, message: string) => reject(new SshError(failure, message));
    leave = () => fail("left", "it is not waited for any more");
    if (signal?.aborted) return leave();
    signal?.addEventListener("abort", leave, { once: true });
    if (Number.isFinite(timeoutSeconds)) {
      deadline = setTimeout(
        () => fail("late", `no end after ${timeoutSeconds} s`),
        timeoutSeconds * 1000,
      );
    }
    client
      .on("ready", () => {
        ready = true;
        client.exec(command, (error, stream) => {
          if (error) return fail("lost", error.message);
          const keep = (heard?: Writable) => (chunk: Buffer) => {
            output = (output + chunk.toString()).slice(-4096);
            heard?.write(chunk);
          };
          stream.on("data", keep(stdout));
          stream.stderr.on("data", keep(stderr));
          if (typeof stdin === "string") stream.end(stdin);
          else stdin?.pipe(stream);
          stream.on("close", (code: number | null | undefined) => {
            const end = `it ended with ${code ?? "a signal"}: ${output.trim()}`;
            if (code === 0) resolve(output);
            else fail(typeof code === "number" ? "failed" : "lost", end);
          });
        });
      })
      .on("error", (error: Error & { level?: string }) => {
        const refused = !verified || error.level === "client-authentication";
        fail(ready ? "lost" : refused ? "refused" : "unreachable", error.message);
      })
      // Without a word, as of a host that goes down before it has greeted.
      .on("close", () => fail(ready ? "lost" : "unreachable", "the connection was closed"))
      .connect({
        host: target.host,
        port: target.port,
        username: "root",
        privateKey: target.privateKey,
        readyTimeout: 15_000,
        keepaliveInterval: 30_000,
        hostVerifier: (key: Buffer) => (verified = key.toString("base64") === pinned),
      })
      // Every step of SSH is a short message that the other side answers: none is to wait for the last one's receipt.
      .setNoDelay(true);
  }).finally(() => {
    clearTimeout(deadline);
    if (leave !== undefined) signal?.removeEventListener("abort", leave);
    client.end();
  });
}
