import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  askAt,
  BASIC,
  configFor,
  loaded,
  parseMetrics,
  PASSWORD,
  PAT,
  type Program,
  runProgram,
  start,
  Upstream,
} from "./support";

const JIT = { name: "dev-arm64-1-1-abc123", runner_group_id: 3, labels: ["self-hosted"] };

describe("the program of the token service", () => {
  let folder: string;
  let upstream: Upstream;
  let program: Program | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "token-service-"));
    upstream = await Upstream.start();
  });
  beforeEach(() => upstream.told.splice(0));
  afterEach(async () => {
    program?.child.kill("SIGKILL");
    await program?.ended;
    program = undefined;
  });
  after(async () => {
    await upstream.close();
    await rm(folder, { recursive: true });
  });

  async function started(config: unknown = configFor(upstream.url)) {
    const path = join(folder, "token-service.json");
    await writeFile(path, JSON.stringify(config), { mode: 0o600 });
    program = runProgram(path);
    const { port } = await program.until("listening");
    return { program, port: Number(port) };
  }

  it("serves, writes lines of JSON without a secret, and ends with 0 on SIGTERM", async () => {
    const { program, port } = await started();
    upstream.answering = ({ path, authorization }) =>
      path.endsWith("/generate-jitconfig")
        ? { status: 201, body: { runner: {}, encoded_jit_config: "canary-jit" } }
        : path.endsWith("/remove-token")
          ? { status: 403, body: { message: `no: ${authorization}` } }
          : {
              status: 201,
              body: {
                token: "CANARYTOKEN",
                expires_at: new Date(Date.now() + 3.6e6).toISOString(),
              },
            };
    assert.equal((await askAt(port, "/acme/registration-token")).text, "CANARYTOKEN");
    const jit = await askAt(port, "/orgs/acme/jitconfigs", { method: "POST", body: JIT });
    assert.equal(jit.status, 201);
    assert.equal((await askAt(port, "/acme/remove-token")).status, 502);
    assert.equal((await askAt(port, `/acme/${PASSWORD}`)).status, 404);
    const wrong = Buffer.from("fleet:another-canary").toString("base64");
    assert.equal((await askAt(port, "/metrics", { authorization: `Basic ${wrong}` })).status, 401);
    assert.equal((await askAt(port, "/healthz")).status, 200);
    program.child.kill("SIGTERM");
    assert.deepEqual(await program.ended, { code: 0, signal: null });

    const text = program.lines.join("\n") + program.errors.join("");
    for (const secret of [
      PASSWORD,
      PAT,
      "CANARYTOKEN",
      "canary-jit",
      "another-canary",
      BASIC,
      wrong,
    ])
      assert.ok(!text.includes(secret), `the log shows ${secret}`);
    const entries = program.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const { time, level, event } of entries) {
      assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
      assert.match(String(level), /^(info|warn|error)$/);
      assert.equal(typeof event, "string");
    }
    const made = entries.find(({ runner }) => runner === JIT.name)!;
    const { method, route, scope, status, source } = made;
    assert.deepEqual(
      [method, route, scope, status, source],
      ["POST", "/orgs/:org/jitconfigs", "acme", 201, "127.0.0.1"],
    );
    // That it lives is asked too often to be told.
    assert.ok(!entries.some((entry) => entry.route === "/healthz"));
  });

  it("finishes what it has begun before it ends, and takes nothing new", async () => {
    const { program, port } = await started();
    let answer = () => {};
    upstream.answering = () =>
      new Promise((resolve) => {
        answer = () =>
          resolve({ status: 201, body: { runner: {}, encoded_jit_config: "canary-jit" } });
      });
    const jit = askAt(port, "/orgs/acme/jitconfigs", { method: "POST", body: JIT });
    while (upstream.told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    program.child.kill("SIGTERM");
    await program.until("stopping");
    await assert.rejects(askAt(port, "/healthz"), /ECONNREFUSED/);
    answer();
    const reply = await jit;
    assert.equal(reply.status, 201);
    assert.equal(reply.headers.connection, "close");
    assert.deepEqual(await program.ended, { code: 0, signal: null });
  });

  it("counts in Prometheus' format", async () => {
    const { port } = await started();
    upstream.answering = (_, count) =>
      count === 1
        ? { status: 503, body: {} }
        : {
            status: 201,
            body: { token: "T", expires_at: new Date(Date.now() + 3.6e6).toISOString() },
          };
    for (let times = 0; times < 3; times += 1) await askAt(port, "/acme/registration-token");
    await askAt(port, "/nowhere");
    const reply = await askAt(port, "/metrics");
    assert.equal(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    const metrics = parseMetrics(reply.text);
    const value = (key: string) => metrics.get(key);
    const of = 'operation="registration-token"';
    assert.equal(
      value('token_service_requests_total{route="/:org/registration-token",status="200"}'),
      3,
    );
    assert.equal(value('token_service_requests_total{route="none",status="404"}'), 1);
    assert.equal(value(`token_service_github_requests_total{${of},status="503"}`), 1);
    assert.equal(value(`token_service_github_requests_total{${of},status="201"}`), 1);
    assert.equal(value(`token_service_github_request_duration_seconds_count{${of}}`), 2);
    assert.equal(value('token_service_cache_requests_total{result="hit",token="registration"}'), 2);
    assert.equal(
      value('token_service_cache_requests_total{result="miss",token="registration"}'),
      1,
    );
    assert.equal(value("token_service_requests_in_flight"), 1);
    assert.equal(value("token_service_requests_waiting"), 0);
    assert.ok((value("process_resident_memory_bytes") ?? 0) > 10e6);
    assert.ok(Math.abs((value("process_start_time_seconds") ?? 0) - Date.now() / 1000) < 60);
  });

  it("closes a connection on which somebody asks much without waiting", async () => {
    const { port } = await started();
    upstream.answering = () => "hang";
    const { connect } = await import("node:net");
    const head = `Host: a\r\nAuthorization: ${BASIC}\r\n\r\n`;
    const ended = new Promise((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.on("close", resolve);
      socket.write(`GET /acme/registration-token HTTP/1.1\r\n${head}`.repeat(50));
    });
    await ended;
    assert.equal((await askAt(port, "/healthz")).status, 200);
  });

  describe("with a configuration that is wrong", () => {
    const CANARY = "canary-that-nobody-may-see";
    const config = () => structuredClone(configFor("https://api.github.com"));
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const pem = (key: typeof rsa) => key.export({ type: "pkcs8", format: "pem" }).toString();
    const app = (change: object) => ({
      ...config(),
      auth: { kind: "app", appId: 1, installationId: 2, privateKey: pem(rsa), ...change },
    });
    const allow = (change: object) => ({ ...config(), allow: { ...config().allow, ...change } });

    const cases: Record<string, [unknown, string]> = {
      "nothing in it": [null, "listen.address: found nothing, expected an IP address."],
      "a list": [[], "listen.address: found nothing, expected an IP address."],
      "a host name to listen on": [
        { ...config(), listen: { address: "localhost", port: 1 } },
        "listen.address: found another value, expected an IP address.",
      ],
      "a port out of range": [
        { ...config(), listen: { address: "127.0.0.1", port: 70_000 } },
        "listen.port: found another value, expected a port.",
      ],
      "an address of the API with a slash at its end": [
        { ...config(), github: { apiUrl: "https://ghes.example.com/api/v3/" } },
        "github.apiUrl: found another value, expected the base URL of GitHub's API without a slash at its end.",
      ],
      "a timeout that is none": [
        { ...config(), github: { apiUrl: "https://api.github.com", timeoutMs: 0 } },
        "github.timeoutMs: found another value, expected milliseconds from 100 to 60000.",
      ],
      "no credential": [
        { ...config(), auth: undefined },
        "auth.kind: found nothing, expected pat or app.",
      ],
      "another kind of credential": [
        { ...config(), auth: { kind: "constructor", token: CANARY } },
        "auth.kind: found another value, expected pat or app.",
      ],
      "a token with a line break": [
        { ...config(), auth: { kind: "pat", token: `${CANARY}\n` } },
        "auth.token: found another value, expected a token.",
      ],
      "an App without a number": [
        app({ appId: "1" }),
        "auth.appId: found another value, expected the number of the App.",
      ],
      "a key that is none": [
        app({ privateKey: CANARY }),
        "auth.privateKey: found another value, expected an RSA private key in PEM.",
      ],
      "a key of another kind": [
        app({ privateKey: pem(ec) }),
        "auth.privateKey: found another value, expected an RSA private key in PEM.",
      ],
      "a token beside an App": [app({ token: CANARY }), "auth.token is not a configuration key."],
      "a short password": [
        { ...config(), password: "short" },
        "password: found another value, expected at least 16 printable characters.",
      ],
      "a range that is none": [
        { ...config(), sources: ["10.0.0.0/33"] },
        "sources: found another value, expected a list of ranges such as 10.0.1.0/24.",
      ],
      "an organization that is none": [
        allow({ organizations: ["a/b"] }),
        "allow.organizations: found another value, expected a list of logins.",
      ],
      "a repository that climbs": [
        allow({ repositories: ["acme/.."] }),
        "allow.repositories: found another value, expected a list of owner/name.",
      ],
      "no prefix": [
        allow({ runnerNamePrefix: "" }),
        "allow.runnerNamePrefix: found another value, expected a text such as dev-.",
      ],
      "a group by name": [
        allow({ runnerGroupIds: ["arm64"] }),
        "allow.runnerGroupIds: found another value, expected a list of numbers of runner groups.",
      ],
      "a text for a choice": [
        allow({ registrationTokens: "no" }),
        "allow.registrationTokens: found another value, expected true or false.",
      ],
      "an unknown key": [
        { ...config(), listen: { address: "127.0.0.1", port: 1, host: "a" } },
        "listen.host is not a configuration key.",
      ],
      "an unknown block": [{ ...config(), tls: true }, "tls is not a configuration key."],
      "an unknown empty block": [{ ...config(), tls: {} }, "tls is not a configuration key."],
    };
    for (const [what, [given, sentence]] of Object.entries(cases))
      it(`says it in one sentence: ${what}`, async () => {
        const { createTokenService } = await loaded;
        assert.throws(
          () => createTokenService(given as Parameters<typeof createTokenService>[0]),
          (error: Error) => {
            assert.equal(error.message, sentence);
            return true;
          },
        );
      });

    async function fails(path: string): Promise<string> {
      program = runProgram(path);
      const { code } = await program.ended;
      assert.deepEqual([code, program.lines], [1, []]);
      // Node 20 says on its own that what is never compiled knows no WebAssembly.
      return program.errors.join("").replace(/^Warning: disabling flag --expose_wasm .*\n/, "");
    }

    it("ends with 1 and that sentence, without a stack and without what was in the file", async () => {
      const path = join(folder, "wrong.json");
      await writeFile(path, JSON.stringify({ ...config(), password: CANARY, sources: CANARY }));
      assert.equal(
        await fails(path),
        "sources: found another value, expected a list of ranges such as 10.0.1.0/24.\n",
      );
      await writeFile(path, `{"password": "${CANARY}",`);
      assert.equal(
        await fails(path),
        `${path}: found no JSON, expected the configuration as JSON.\n`,
      );
    });

    it("ends with 1 when there is no file", async () => {
      const path = join(folder, "missing.json");
      assert.equal(await fails(path), `${path}: cannot be read (ENOENT).\n`);
    });

    it("ends with 1 when its port is taken", async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      const path = join(folder, "taken.json");
      await writeFile(
        path,
        JSON.stringify({ ...config(), listen: { address: "127.0.0.1", port } }),
      );
      assert.equal(
        await fails(path),
        `The token service cannot listen on 127.0.0.1 port ${port} (EADDRINUSE).\n`,
      );
      server.close();
    });
  });

  it("is a module that others may use in their own process", async () => {
    const service = await start(configFor(upstream.url), {
      fetch: (url, { method }) => {
        assert.equal(
          `${method} ${url}`,
          `POST ${upstream.url}/orgs/acme/actions/runners/remove-token`,
        );
        const body = { token: "T", expires_at: new Date(Date.now() + 3.6e6).toISOString() };
        return Promise.resolve(Response.json(body, { status: 201 }));
      },
    });
    assert.equal((await service.ask("/acme/remove-token")).text, "T");
    assert.deepEqual(upstream.told, []);
    await service.close();
  });
});
