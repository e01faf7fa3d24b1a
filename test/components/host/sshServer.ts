import { type AddressInfo, createServer } from "node:net";
import { Server, type ServerChannel, utils } from "ssh2";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { keyPair } from "../config/settings";

export const HOST_KEY = hostKeyFromSecret("the host");
export const LOGIN = keyPair();

export interface SshServer {
  readonly port: number;
  /** Commands that were sent, in order. */
  readonly asked: readonly string[];
  /** Ends when the last connection does. */
  close(): Promise<void>;
}

/** A host on 127.0.0.1 that shows HOST_KEY and lets root in with LOGIN; `execute` plays its shell. */
export async function sshServer(execute: (channel: ServerChannel) => void): Promise<SshServer> {
  const asked: string[] = [];
  const allowed = utils.parseKey(LOGIN.publicKey);
  if (allowed instanceof Error) throw allowed;
  const server = new Server({ hostKeys: [HOST_KEY.privateKey] }, (client) => {
    client.on("error", () => undefined);
    client.on("authentication", (context) => {
      const known =
        context.method === "publickey" &&
        context.username === "root" &&
        context.key.data.equals(allowed.getPublicSSH()) &&
        (context.signature === undefined ||
          (context.blob !== undefined &&
            allowed.verify(context.blob, context.signature, context.hashAlgo) === true));
      if (known) context.accept();
      else context.reject(["publickey"]);
    });
    client.on("session", (accept) => {
      accept().on("exec", (acceptExec, _reject, { command }) => {
        asked.push(command);
        execute(acceptExec());
      });
    });
  });
  // As sshd, it sends every message at once.
  const listener = createServer({ noDelay: true }, (socket) => server.injectSocket(socket));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    asked,
    close: () => new Promise<void>((resolve) => void listener.close(() => resolve())),
  };
}
