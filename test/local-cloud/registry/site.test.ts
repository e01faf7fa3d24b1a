import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { RegistryAccess } from "../../../local-cloud/github";
import { Packages } from "../../../local-cloud/registry/packages";
import { namesOf, registryListener, type RegistrySite } from "../../../local-cloud/registry/site";

const TOKENS: Readonly<Record<string, RegistryAccess>> = {
  writer: { login: "bot", owner: "Acme", repositories: ["Web"], packages: "write" },
  reader: { login: "bot", owner: "Acme", repositories: ["Web"], packages: "read" },
  neighbour: { login: "bot", owner: "Acme", repositories: ["other"], packages: "write" },
  none: { login: "bot", owner: "Acme", repositories: ["Web"], packages: "none" },
  person: { login: "octocat", owner: undefined, repositories: undefined, packages: "write" },
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe("the site of a registry", () => {
  const servers: Server[] = [];
  const passed: { method: string; url: string; headers: IncomingHttpHeaders; body: string }[] = [];
  const revoked = new Set<string>();
  let site: RegistrySite;
  let port: number;

  async function open(listener: Parameters<typeof createServer>[1]): Promise<number> {
    const server = createServer(listener).listen(0, "127.0.0.1");
    servers.push(server);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  beforeEach(async () => {
    passed.length = 0;
    revoked.clear();
    const upstream = await open((incoming, outgoing) => {
      void buffer(incoming).then((body) => {
        const { method = "", url = "", headers } = incoming;
        passed.push({ method, url, headers, body: body.toString() });
        outgoing.writeHead(202, { location: `http://${headers.host}${url}next` }).end("kept");
      });
    });
    const packages = new Packages((token) => (revoked.has(token) ? undefined : TOKENS[token]));
    site = {
      host: "ghcr.io",
      tokenPath: "/token",
      service: "ghcr.io",
      aliases: ["alias.ghcr.io"],
      upstream: `http://127.0.0.1:${upstream}`,
      login: (password) => packages.login(password),
    };
    port = await open(registryListener(site));
  });

  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });

  async function ask(
    method: string,
    path: string,
    options: { authorization?: string; host?: string; body?: string } = {},
  ): Promise<Answer> {
    const { authorization, host = "ghcr.io", body = "" } = options;
    const sent = request({
      ...{ host: "127.0.0.1", port, method, path },
      headers: { host, ...(authorization === undefined ? {} : { authorization }) },
    });
    sent.end(body);
    const [answer] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      body: (await buffer(answer)).toString(),
    };
  }

  const basic = (password: string): string =>
    `Basic ${Buffer.from(`any:${password}`).toString("base64")}`;

  async function bearer(password: string, scope: string): Promise<string> {
    const answer = await ask("GET", `/token?service=ghcr.io&scope=${scope}`, {
      authorization: basic(password),
    });
    assert.equal(answer.status, 200, answer.body);
    return `Bearer ${(JSON.parse(answer.body) as { token: string }).token}`;
  }

  const push = async (password: string, name: string): Promise<Answer> =>
    ask("POST", `/v2/${name}/blobs/uploads/`, {
      authorization: await bearer(password, `repository:${name}:pull,push`),
    });
  const pull = async (password: string, name: string): Promise<Answer> =>
    ask("GET", `/v2/${name}/manifests/latest`, {
      authorization: await bearer(password, `repository:${name}:pull`),
    });

  it("tells where tokens are to be had", async () => {
    const root = await ask("GET", "/v2/");
    assert.equal(root.status, 401);
    assert.equal(
      root.headers["www-authenticate"],
      'Bearer realm="https://ghcr.io/token",service="ghcr.io"',
    );
    const blob = await ask("PUT", "/v2/acme/web/manifests/31");
    assert.equal(
      blob.headers["www-authenticate"],
      'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:acme/web:pull,push"',
    );
    const stale = await ask("GET", "/v2/", { authorization: "Bearer made-up" });
    assert.match(String(stale.headers["www-authenticate"]), /error="invalid_token"$/);
    assert.deepEqual(passed, []);
  });

  it("gives tokens to who logs in, and none for nothing", async () => {
    const wrong = await ask("GET", "/token", { authorization: basic("nonsense") });
    assert.equal(wrong.status, 401);
    assert.match(wrong.body, /incorrect login/);
    assert.equal((await ask("GET", "/token?scope=repository:acme/web:pull")).status, 401);
    assert.equal((await ask("POST", "/token", { authorization: basic("writer") })).status, 405);
    const authorization = await bearer("reader", "");
    assert.equal((await ask("GET", "/v2/", { authorization })).status, 200);
  });

  it("lets those write who may, and streams both ways", async () => {
    const authorization = await bearer("writer", "repository:acme/web:pull,push");
    const body = "x".repeat(300_000);
    const answer = await ask("POST", "/v2/acme/web/blobs/uploads/?a=b", { authorization, body });
    assert.equal(answer.status, 202);
    assert.equal(answer.headers.location, "http://ghcr.io/v2/acme/web/blobs/uploads/?a=bnext");
    assert.equal(answer.body, "kept");
    const [seen] = passed;
    assert.equal(seen?.url, "/v2/acme/web/blobs/uploads/?a=b");
    assert.equal(seen.body, body);
    assert.equal(seen.headers["x-forwarded-proto"], "https");
    assert.equal(seen.headers.authorization, undefined);
  });

  it("refuses what a token is not for", async () => {
    const reading = await bearer("writer", "repository:acme/web:pull");
    const other = await ask("POST", "/v2/acme/web/blobs/uploads/", { authorization: reading });
    assert.equal(other.status, 401);
    const denied = await push("reader", "acme/web");
    assert.equal(denied.status, 403);
    assert.match(denied.body, /"DENIED".*permission_denied: write_package/);
    assert.equal((await push("writer", "elsewhere/web")).status, 403);
    assert.equal((await pull("none", "acme/web")).status, 403);
    assert.deepEqual(passed, []);
  });

  it("keeps a package for the repository whose job made it", async () => {
    assert.equal((await push("writer", "acme/web")).status, 202);
    assert.equal((await pull("reader", "acme/web")).status, 202);
    assert.equal((await push("neighbour", "acme/web")).status, 403);
    assert.equal((await pull("neighbour", "acme/web")).status, 403);
    assert.equal((await push("person", "acme/web")).status, 202);
    assert.equal((await push("neighbour", "acme/own")).status, 202);
    assert.equal((await push("writer", "acme/own")).status, 403);
  });

  it("ends a token with the login that it was given for", async () => {
    const authorization = await bearer("writer", "repository:acme/web:pull,push");
    revoked.add("writer");
    const answer = await ask("POST", "/v2/acme/web/blobs/uploads/", { authorization });
    assert.equal(answer.status, 401);
    assert.deepEqual(passed, []);
  });

  it("takes a blob over from a package only for those who may read that one", async () => {
    await push("neighbour", "acme/own");
    passed.length = 0;
    const scopes = "repository:acme/web:pull,push&scope=repository:acme/own:pull";
    const mount = "/v2/acme/web/blobs/uploads/?mount=sha256:0&from=acme/own";
    await ask("POST", mount, { authorization: await bearer("writer", scopes) });
    await ask("POST", mount, { authorization: await bearer("person", scopes) });
    assert.deepEqual(
      passed.map(({ url }) => url),
      ["/v2/acme/web/blobs/uploads/", "/v2/acme/web/blobs/uploads/?mount=sha256:0&from=acme/own"],
    );
  });

  it("answers under its names and on its paths alone", async () => {
    assert.deepEqual(namesOf(site), ["ghcr.io", "alias.ghcr.io"]);
    assert.equal((await ask("GET", "/v2/", { host: "alias.ghcr.io:443" })).status, 401);
    for (const path of ["/", "/v1/", "/v2/_catalog", "/v2/acme/web/unknown/x", "/tokens"]) {
      const authorization = await bearer("person", "");
      assert.equal((await ask("GET", path, { authorization })).status, 404, path);
    }
  });
});
