import { setTimeout as sleep } from "node:timers/promises";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import {
  type AuthContext,
  type Connection,
  type ParsedKey,
  Server,
  type ServerChannel,
  utils,
} from "ssh2";
import type { ExecResult } from "../types";

/** How long a client may take to send the rest of its input, in milliseconds. */
const INPUT_TIMEOUT = 200;

/** Runs a command; `stdin` reads all of the client's input. */
export type CommandRunner = (command: string, stdin: () => Promise<string>) => Promise<ExecResult>;

/** An SSH server that lets root in by key and runs single commands: no shell, no terminal, no file transfer. */
export class SshServer {
  private readonly sockets = new Set<Socket>();
  private readonly listener: NetServer;

  /** @param publicKeys lines that count when somebody logs in; what is no key lets nobody in */
  constructor(
    hostKey: string,
    private readonly publicKeys: () => readonly string[],
    run: CommandRunner,
  ) {
    const server = new Server({ hostKeys: [hostKey] }, (client) => this.serve(client, run));
    // As sshd does.
    this.listener = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      server.injectSocket(socket);
    });
  }

  /** @throws with what is needed when the address or port cannot be had. */
  async listen(address: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.listener.once("error", (error: NodeJS.ErrnoException) => {
        const reasons: Record<string, string> = {
          EACCES: "ports below 1024 need root on this machine",
          EADDRINUSE: "it is taken by another program, perhaps this machine's own SSH server",
          EADDRNOTAVAIL: "this machine does not have the address",
        };
        const reason = reasons[error.code ?? ""] ?? error.message;
        reject(
          new Error(
            `SSH cannot listen on ${address} port ${port}: ${reason}; expected a free port, such as ssh.port: 2222 in the stack's configuration`,
          ),
        );
      });
      this.listener.listen(port, address, resolve);
    });
  }

  /** Cuts every connection. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.listener.close(() => resolve());
      for (const socket of this.sockets) socket.destroy();
    });
  }

  private serve(client: Connection, run: CommandRunner): void {
    // A client that hangs up, or that is not pleased with the host key, is no event here.
    client.on("error", () => undefined);
    client.on("authentication", (attempt) => {
      if (this.admits(attempt)) attempt.accept();
      else attempt.reject(["publickey"]);
    });
    client.on("session", (accept) => {
      const session = accept();
      session.on("env", (acceptEnv: (() => void) | undefined) => acceptEnv?.());
      session.on("exec", (acceptExec, _reject, { command }) => {
        const stream = acceptExec();
        stream.on("error", () => undefined);
        // Read even if the command does not: as with a real system, a client that still sends the input of a command
        // that has ended must not find its channel closed.
        const input = readAll(stream);
        run(command, () => input).then(
          async (result) => {
            await Promise.race([input, sleep(INPUT_TIMEOUT)]);
            finish(stream, result);
          },
          // The host went off meanwhile, and the connection with it.
          () => stream.destroy(),
        );
      });
      session.on("shell", (acceptShell) => {
        const stderr = "the thin model of a server has no shell\n";
        finish(acceptShell(), { code: 127, stdout: "", stderr });
      });
    });
  }

  private admits(attempt: AuthContext): boolean {
    if (attempt.method !== "publickey" || attempt.username !== "root") return false;
    const { algo, data } = attempt.key;
    const key = this.publicKeys()
      .map((line) => utils.parseKey(line))
      .filter((one): one is ParsedKey => !(one instanceof Error))
      .find((one) => one.type === algo && data.equals(one.getPublicSSH()));
    if (key === undefined) return false;
    // Without a signature the client only asks whether the key would do.
    if (attempt.signature === undefined || attempt.blob === undefined) return true;
    return key.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true;
  }
}

/** By events: an iterator would close the channel, which the answer still needs. */
function readAll(stream: ServerChannel): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    for (const end of ["end", "close"])
      stream.once(end, () => resolve(Buffer.concat(chunks).toString()));
  });
}

function finish(stream: ServerChannel, result: ExecResult): void {
  if (!stream.writable) return;
  stream.stderr.write(result.stderr);
  stream.write(result.stdout);
  stream.exit(result.code);
  stream.end();
}
