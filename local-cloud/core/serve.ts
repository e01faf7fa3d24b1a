import { setTimeout as sleep } from "node:timers/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { Context, MiddlewareHandler } from "hono";
import type { Side, Traffic } from "./traffic";

/** Request log and fault script around every route of one side. `pathOf` gives the path below the API's root. */
export function observed(
  traffic: Traffic,
  side: Side,
  pathOf: (c: Context) => string,
): MiddlewareHandler {
  return async (c, next) => {
    const at = Date.now();
    const path = pathOf(c);
    const text = ["GET", "HEAD"].includes(c.req.method) ? "" : await c.req.raw.clone().text();
    const fault = traffic.takeFault(side, c.req.method, path);
    if (fault?.kind === "delay") await sleep(fault.ms);
    if (fault?.kind === "drop") {
      // The listener below destroys the socket of a request that is answered with this.
      c.res = new Response(null, { status: 599, headers: { "x-local-cloud-drop": "1" } });
    } else if (fault?.kind === "respond") {
      c.res = new Response(JSON.stringify(fault.body), {
        status: fault.status,
        headers: { "content-type": "application/json", ...fault.headers },
      });
    } else {
      await next();
    }
    traffic.record({
      side,
      method: c.req.method,
      path,
      query: new URL(c.req.url).search.slice(1),
      body: parseJson(text),
      status: c.res.status,
      at,
      duration: Date.now() - at,
    });
  };
}

function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export interface Listening {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface ListenOptions {
  /** Default 0: any free one. */
  readonly port?: number;
  /** Certificate and key, both PEM, of `localhost`: HTTPS instead of HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Serves a web-standard handler on the loopback address. Rejects in one sentence when the port cannot be had. */
export async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  { port = 0, tls }: ListenOptions = {},
): Promise<Listening> {
  const listener = getRequestListener(async (request) => fetch(request));
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const writeHead = outgoing.writeHead.bind(outgoing);
    outgoing.writeHead = (status: number, ...rest: []) => {
      if (status === 599) {
        incoming.socket.destroy();
        return outgoing;
      }
      return writeHead(status, ...rest);
    };
    void listener(incoming, outgoing);
  };
  const server: Server = tls ? createSecureServer(tls, handle) : createServer(handle);
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once("error", ({ message }) =>
      reject(new Error(`the local cloud cannot listen on 127.0.0.1: ${message}`)),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `${tls ? "https://localhost" : "http://127.0.0.1"}:${address.port}`,
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
