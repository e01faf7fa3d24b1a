import { createSocket, type Socket } from "node:dgram";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { AUTHORITATIVE_ANSWER, decode, encode, type Packet } from "dns-packet";
import { requestedHost } from "../registry/site";
import { issueCertificate, type CertificateAuthority } from "./certificates";
import { redirectMetadata, type Instance } from "./instance";
import type { GatewayServices } from "./types";

/** DNS, HTTP, HTTPS and metadata at the gateway of an instance: all of the outside world that its hosts see. */
export interface Gateway {
  close(): Promise<void>;
}

const NXDOMAIN = 3;
const TTL_SECONDS = 60;

/**
 * Opens the services on the gateway's address.
 * @param hostOf finds a host by its public address
 */
export async function openGateway(
  instance: Instance,
  authority: CertificateAuthority,
  services: GatewayServices,
  hostOf: (address: string) => number | null,
): Promise<Gateway> {
  const address = instance.gateway;
  const sites = services.sites ?? [];
  const names = [...services.names, ...sites.flatMap((site) => site.names)];
  const certificate = await issueCertificate(authority, names, instance.folder);
  // A Web-standard Response does not need Node's own Response and Request replaced for the whole process.
  const answer = getRequestListener((request) => services.handler(request), {
    overrideGlobalObjects: false,
  });
  // It answers an error of the handler with 500 by itself.
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const site = sites.find((one) => one.names.includes(requestedHost(request)));
    if (site) site.listener(request, response);
    else void answer(request, response);
  };
  const servers: Server[] = [createServer(listener), createSecureServer(certificate, listener)];
  // A large layer may take longer than Node's five minutes for a request.
  for (const server of servers) server.requestTimeout = 0;
  const metadata = createServer((request, response) => {
    const { status, body } = services.metadata(
      hostOf(request.socket.remoteAddress ?? ""),
      request.url ?? "/",
    );
    response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(body);
  });
  const dns = createSocket("udp4");
  dns.on("message", (message, client) => {
    const answer = answerTo(message, names, address);
    if (answer) dns.send(answer, client.port, client.address);
  });
  const close = async (): Promise<void> => {
    await Promise.all([...servers, metadata].map(closeServer));
    await new Promise<void>((resolve) => dns.close(() => resolve()));
  };
  try {
    await bindDns(dns, address);
    for (const [index, port] of [80, 443].entries()) {
      const server = servers[index];
      if (server) await listen(server, port, address);
    }
    await listen(metadata, 0, address);
    await redirectMetadata(instance, (metadata.address() as AddressInfo).port);
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

/** Addresses for the names served here; every other name does not exist. */
function answerTo(message: Buffer, names: readonly string[], address: string): Buffer | undefined {
  let query: Packet;
  try {
    query = decode(message);
  } catch {
    // Not DNS: no one to answer.
    return undefined;
  }
  const question = query.questions?.[0];
  if (query.type !== "query" || question === undefined) return undefined;
  const known = names.includes(question.name.toLowerCase());
  return encode({
    type: "response",
    id: query.id,
    flags: AUTHORITATIVE_ANSWER | ((query.flags ?? 0) & 0x0100) | (known ? 0 : NXDOMAIN),
    questions: [question],
    answers:
      known && question.type === "A"
        ? [{ type: "A", name: question.name, ttl: TTL_SECONDS, data: address }]
        : [],
  });
}

function bindDns(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(53, address, () => {
      socket.off("error", reject);
      // A client that is gone again must not end the service.
      socket.on("error", () => undefined);
      resolve();
    });
  });
}

function listen(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
