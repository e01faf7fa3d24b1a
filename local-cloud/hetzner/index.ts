import { timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import { observed } from "../core/serve";
import type { Traffic } from "../core/traffic";
import type { HostBackend } from "../hosts/types";
import type { ActionError } from "./actions";
import { ApiError } from "./errors";
import { answerMetadata, type MetadataAnswer } from "./metadata";
import { Project } from "./project";
import { registerActions } from "./routes/actions";
import { registerCatalog } from "./routes/catalog";
import { registerFirewalls } from "./routes/firewalls";
import { registerNetworks } from "./routes/networks";
import { registerPlacementGroups } from "./routes/placementGroups";
import { registerPrimaryIps } from "./routes/primaryIps";
import { registerServers } from "./routes/servers";
import { registerSshKeys } from "./routes/sshKeys";
import { registerVolumes } from "./routes/volumes";
import type { State } from "./state";

export type { State } from "./state";

export interface HetznerOptions {
  readonly traffic: Traffic;
  readonly hosts: HostBackend;
  /** 64 characters, which is what clients insist on. Default: a recognisable dummy. */
  readonly token?: string;
  /** A second token that may only read. Default: none. */
  readonly readOnlyToken?: string;
  /** Milliseconds that an action without a host takes. Default 20. */
  readonly actionMs?: number;
  /** Size of the rate limit's bucket. Default 3600, as the real one. */
  readonly requestsPerHour?: number;
}

/** The project's resources by kind, as the API calls the kinds. */
export type ResourceKind = keyof Project["kinds"];

export interface Hetzner {
  readonly token: string;
  /** One that may only read, if there is one. */
  readonly readOnlyToken: string | undefined;
  /** Serves the API below /v1/. */
  fetch(request: Request): Response | Promise<Response>;
  /** All resources gone, hosts deleted, stock, prices, limits and planned failures back to the start. */
  reset(): Promise<void>;
  /** The resources as they are, for tests to look at. */
  readonly state: State;
  /** Out of stock: create and change_type answer resource_unavailable, and the server type says so. Throws where the type is not offered. */
  setStock(serverType: string, location: string, available: boolean): void;
  /** Net EUR a month without IPv4. Throws where the type is not offered. */
  setPrice(serverType: string, location: string, monthlyNet: number): void;
  /** At most this many resources of a kind; more are refused with resource_limit_exceeded. */
  setLimit(kind: ResourceKind, most: number): void;
  /** Requests that are left before rate_limit_exceeded, until the bucket refills. */
  setRemainingRequests(remaining: number): void;
  /** The next action with this command (as in its record, e.g. `create_server`) ends in this error. */
  failNextAction(command: string, error: ActionError): void;
  /** The next action with this command takes this much longer. */
  slowNextAction(command: string, ms: number): void;
  /** The server's host stops answering while the API goes on calling it running. */
  killHost(serverName: string): Promise<void>;
  /** Resources that exist, counted by kind: all zero when nothing is left. */
  leftovers(): Record<ResourceKind, number>;
  /** Answers of the metadata service for a server, e.g. `/hetzner/v1/metadata/hostname`. */
  metadata(serverId: number | null, path: string): MetadataAnswer;
}

const defaultToken = "local-cloud-hetzner-token-".padEnd(64, "0");

/** The Hetzner Cloud API of the local cloud. */
export function createHetzner(options: HetznerOptions): Hetzner {
  const { traffic, hosts, token = defaultToken, readOnlyToken } = options;
  for (const each of [token, readOnlyToken])
    if (each !== undefined && each.length !== 64)
      throw new Error(`a Hetzner token has 64 characters, this one has ${each.length}`);
  const project = new Project(
    traffic,
    hosts,
    options.actionMs ?? 20,
    options.requestsPerHour ?? 3600,
  );
  const app = createApp(project, token, readOnlyToken);
  return {
    token,
    readOnlyToken,
    state: project,
    fetch: (request) => app.fetch(request),
    reset: () => project.reset(),
    setStock: (type, location, available) => project.offers.setStock(type, location, available),
    setPrice: (type, location, net) => project.offers.setPrice(type, location, net),
    setLimit: (kind, most) => project.setLimit(kind, most),
    setRemainingRequests: (remaining) => project.rateLimit.set(remaining),
    failNextAction: (command, error) => project.actions.failNext(command, error),
    slowNextAction: (command, ms) => project.actions.slowNext(command, ms),
    killHost: async (name) => {
      const server = [...project.servers.values()].find((entry) => entry.name === name);
      if (!server) throw new Error(`no server is named ${name}`);
      await hosts.kill(server.id);
    },
    leftovers: () =>
      Object.fromEntries(
        Object.entries(project.kinds).map(([kind, { all }]) => [kind, all.size]),
      ) as Record<ResourceKind, number>,
    metadata: (serverId, path) => answerMetadata(project, serverId, path),
  };
}

function createApp(project: Project, token: string, readOnlyToken: string | undefined): Hono {
  const root = new Hono();
  root.use(
    "*",
    observed(project.traffic, "hetzner", (c) => c.req.path.replace(/^\/v1(?=\/|$)/, "") || "/"),
  );
  root.use("*", async (c, next) => {
    const allowed = project.rateLimit.take();
    if (allowed) await next();
    else c.res = refusal(new ApiError(429, "rate_limit_exceeded", "rate limit exceeded"));
    for (const [name, value] of Object.entries(project.rateLimit.headers()))
      c.res.headers.set(name, value);
  });
  root.use("*", async (c, next) => {
    const given = /^Bearer (\S+)$/.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
    if (isSame(given, token)) return next();
    if (readOnlyToken === undefined || !isSame(given, readOnlyToken))
      throw new ApiError(401, "unauthorized", "unable to authenticate");
    if (c.req.method !== "GET")
      throw new ApiError(
        403,
        "token_readonly",
        "the token is only allowed to perform GET requests",
      );
    return next();
  });
  const app = root.basePath("/v1");
  registerActions(app, project);
  registerCatalog(app, project);
  registerServers(app, project);
  registerNetworks(app, project);
  registerFirewalls(app, project);
  registerPlacementGroups(app, project);
  registerSshKeys(app, project);
  registerPrimaryIps(app, project);
  registerVolumes(app, project);
  root.notFound((c) => {
    const route = `${c.req.method} ${c.req.path}`;
    project.traffic.surprise(`hetzner: ${route}: unknown route`);
    return refusal(
      new ApiError(501, "unknown_route", `${route} is not served by the local Hetzner API`),
    );
  });
  root.onError((error, c) => {
    if (error instanceof ApiError) return refusal(error);
    project.traffic.surprise(`hetzner: ${c.req.method} ${c.req.path}: ${error.message}`);
    const body = { error: { code: "server_error", message: error.message, details: null } };
    return Response.json(body, { status: 500 });
  });
  return root;
}

function refusal({ status, code, message, details }: ApiError): Response {
  return Response.json({ error: { code, message, details } }, { status });
}

function isSame(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
