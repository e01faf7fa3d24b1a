import { randomBytes } from "node:crypto";
import { request as forward, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";

export type PackageAction = "pull" | "push" | "delete";

/** A registry as the outside world sees it: names, login, and what it keeps. */
export interface RegistrySite {
  /** The registry's name, such as ghcr.io. */
  readonly host: string;
  /** Where clients get tokens: https://<tokenHost><tokenPath>; the registry's own host by default. */
  readonly tokenHost?: string;
  readonly tokenPath: string;
  /** What the registry calls itself to the token service. */
  readonly service: string;
  /** More names that lead to the registry or its token service. */
  readonly aliases?: readonly string[];
  /** The registry behind, without a slash at the end. */
  readonly upstream: string;
  /**
   * Who logs in with a password; undefined when it is none.
   * @param password undefined: no one logs in
   */
  readonly login: (password: string | undefined) => RegistryUser | undefined;
}

/** What someone may do at a registry; asked at each request, since rights may end while a token lasts. */
export interface RegistryUser {
  may(action: PackageAction, repository: string): boolean;
  /** Hears of each push that is let through. */
  pushes?(repository: string): void;
}

interface Grant {
  readonly password: string | undefined;
  /** Repository to actions. */
  readonly access: ReadonlyMap<string, ReadonlySet<PackageAction>>;
  readonly expires: number;
}

const TOKEN_SECONDS = 300;
const ACTIONS: readonly PackageAction[] = ["pull", "push", "delete"];

export type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** All names of a site. */
export function namesOf(site: RegistrySite): string[] {
  return [...new Set([site.host, site.tokenHost ?? site.host, ...(site.aliases ?? [])])];
}

/** Answers as the site: tokens for those who may have them, and what the registry behind it says to those who show one. */
export function registryListener(site: RegistrySite): Listener {
  const grants = new Map<string, Grant>();
  const tokenHost = site.tokenHost ?? site.host;

  const challenge = (response: ServerResponse, access?: string, wrong = false): void => {
    const parts = [
      `realm="https://${tokenHost}${site.tokenPath}"`,
      `service="${site.service}"`,
      ...(access === undefined ? [] : [`scope="${access}"`]),
      ...(wrong ? ['error="invalid_token"'] : []),
    ];
    refuse(response, 401, "UNAUTHORIZED", "authentication required", {
      "www-authenticate": `Bearer ${parts.join(",")}`,
    });
  };

  const giveToken = (request: IncomingMessage, response: ServerResponse, url: URL): void => {
    // Clients that try OAuth2's form first go on with this one.
    if (request.method !== "GET") return refuse(response, 405, "UNSUPPORTED", "only GET is served");
    const password = passwordOf(request);
    const user = site.login(password);
    if (user === undefined) return refuse(response, 401, "UNAUTHORIZED", "incorrect login");
    const access = new Map<string, ReadonlySet<PackageAction>>();
    for (const text of url.searchParams.getAll("scope").flatMap((scope) => scope.split(" "))) {
      const scope = parseScope(text);
      if (scope === undefined) continue;
      const { actions, repository } = scope;
      // Who has logged in gets a token for all that is asked for, and hears at the use of it what is not theirs.
      const granted =
        password === undefined ? actions.filter((action) => user.may(action, repository)) : actions;
      if (granted.length === 0) {
        return refuse(response, 401, "UNAUTHORIZED", "authentication required");
      }
      access.set(repository, new Set(granted));
    }
    const now = Date.now();
    for (const [token, { expires }] of grants) if (expires < now) grants.delete(token);
    const token = randomBytes(24).toString("base64url");
    grants.set(token, { password, access, expires: now + TOKEN_SECONDS * 1000 });
    send(response, 200, {
      token,
      access_token: token,
      expires_in: TOKEN_SECONDS,
      issued_at: new Date(now).toISOString(),
    });
  };

  const serve = (request: IncomingMessage, response: ServerResponse, url: URL): void => {
    const wanted = wantedAccess(request.method ?? "GET", url.pathname);
    if (wanted === undefined) return refuse(response, 404, "NAME_UNKNOWN", "no such path");
    const scope =
      wanted.repository === undefined
        ? undefined
        : `repository:${wanted.repository}:${wanted.action === "push" ? "pull,push" : wanted.action}`;
    const shown = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const grant = shown === undefined ? undefined : grants.get(shown);
    if (grant === undefined || grant.expires < Date.now()) {
      return challenge(response, scope, shown !== undefined);
    }
    const user = site.login(grant.password);
    if (user === undefined) return challenge(response, scope, true);
    if (wanted.repository === undefined) return send(response, 200, {});
    const { action, repository } = wanted;
    if (grant.access.get(repository)?.has(action) !== true) return challenge(response, scope, true);
    if (!user.may(action, repository)) {
      const what = action === "push" ? "write_package" : "read_package";
      return refuse(response, 403, "DENIED", `permission_denied: ${what}`);
    }
    if (action === "push") user.pushes?.(repository);
    const source = url.searchParams.get("from");
    const readable =
      source === null ||
      (grant.access.get(source)?.has("pull") === true && user.may("pull", source));
    if (!readable) {
      // Not taken over from there, then: the client uploads it instead.
      url.searchParams.delete("from");
      url.searchParams.delete("mount");
    }
    pass(request, response, `${site.upstream}${url.pathname}${url.search}`);
  };

  return (request, response) => {
    const url = new URL(request.url ?? "/", "http://registry");
    const host = requestedHost(request);
    if (url.pathname === site.tokenPath && host === tokenHost) giveToken(request, response, url);
    else if (/^\/v2(?:\/|$)/.test(url.pathname) && host !== site.tokenHost) {
      serve(request, response, url);
    } else refuse(response, 404, "NAME_UNKNOWN", "no such path");
  };
}

/** The name that a request is for, without a port. */
export function requestedHost(request: IncomingMessage): string {
  return (request.headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
}

/** Streams a request to the registry behind the site and its answer back; nothing of a body is kept. */
function pass(request: IncomingMessage, response: ServerResponse, target: string): void {
  // Who asks is settled; the registry makes its links from the host and the protocol.
  const headers = { ...request.headers, "x-forwarded-proto": "https" };
  delete headers.authorization;
  delete headers.connection;
  const outgoing = forward(target, { method: request.method, headers }, (answer) => {
    const headers = { ...answer.headers };
    delete headers.connection;
    response.writeHead(answer.statusCode ?? 502, headers);
    pipeline(answer, response, () => undefined);
  });
  outgoing.on("error", (error) => {
    if (response.headersSent) response.destroy();
    else refuse(response, 502, "UNKNOWN", `the registry cannot be reached: ${error.message}`);
  });
  pipeline(request, outgoing, () => undefined);
}

interface Wanted {
  /** undefined: the API's root, which asks for a token only. */
  readonly repository: string | undefined;
  readonly action: PackageAction;
}

function wantedAccess(method: string, path: string): Wanted | undefined {
  if (path === "/v2/" || path === "/v2") {
    return { repository: undefined, action: "pull" };
  }
  const repository = /^\/v2\/(.+?)\/(?:manifests|blobs|tags)\/[^/]*/.exec(path)?.[1];
  if (repository === undefined) return undefined;
  const action = ["GET", "HEAD"].includes(method)
    ? "pull"
    : method === "DELETE"
      ? "delete"
      : "push";
  return { repository, action };
}

function parseScope(
  text: string,
): { readonly repository: string; readonly actions: readonly PackageAction[] } | undefined {
  const match = /^repository(?:\([^)]*\))?:([^:]+(?::\d+\/[^:]+)?):(.+)$/.exec(text);
  const [repository, actions] = [match?.[1], match?.[2]];
  if (repository === undefined || actions === undefined) return undefined;
  const named = actions.split(",");
  return {
    repository,
    actions: ACTIONS.filter((action) => named.includes(action) || named.includes("*")),
  };
}

/** The password of HTTP's basic login. The user's name says nothing: it is the token that tells who someone is. */
function passwordOf(request: IncomingMessage): string | undefined {
  const encoded = /^Basic (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString();
  return text.slice(text.indexOf(":") + 1);
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(response, status, { errors: [{ code, message }] }, headers);
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response
    .writeHead(status, {
      "content-type": "application/json",
      "docker-distribution-api-version": "registry/2.0",
      ...headers,
    })
    .end(JSON.stringify(body));
}
