import assert from "node:assert/strict";
import { connect } from "node:net";
import {
  BASIC,
  configFor,
  PASSWORD,
  PAT,
  type Running,
  start,
  Upstream,
  exchange,
} from "./support";

const JIT = { name: "dev-arm64-1-1-abc123", runner_group_id: 3, labels: ["self-hosted", "x"] };
const ISSUED = {
  runner: { id: 7, name: JIT.name },
  encoded_jit_config: "canary-jit-configuration",
};

function inAnHour(): string {
  return new Date(Date.now() + 3_600_000).toISOString();
}

describe("what the token service answers", () => {
  let upstream: Upstream;
  let service: Running;

  before(async () => {
    upstream = await Upstream.start();
  });
  beforeEach(async () => {
    upstream.told.splice(0);
    service = await start(configFor(upstream.url));
  });
  afterEach(() => service.close());
  after(() => upstream.close());

  it("is the bare token as text, in each form of the protocol", async () => {
    upstream.answering = ({ path }) => ({
      status: 201,
      body: { token: `TOKEN-OF-${path}`, expires_at: inAnHour() },
    });
    for (const [path, asked] of [
      ["/acme/registration-token", "/orgs/acme/actions/runners/registration-token"],
      ["/acme/remove-token", "/orgs/acme/actions/runners/remove-token"],
      [
        "/repo/acme/webppt/registration-token",
        "/repos/acme/webppt/actions/runners/registration-token",
      ],
      ["/repo/acme/webppt/remove-token", "/repos/acme/webppt/actions/runners/remove-token"],
      // GitHub takes an organization in any spelling, and so does the service.
      ["/my-ORG/registration-token", "/orgs/My-Org/actions/runners/registration-token"],
    ] as const) {
      const { status, text, headers } = await service.ask(path);
      assert.deepEqual([status, text], [200, `TOKEN-OF-${asked}`]);
      assert.match(headers["content-type"] ?? "", /^text\/plain/);
      assert.equal(headers["cache-control"], "no-store");
      const told = upstream.told.splice(0);
      assert.deepEqual(told, [
        { method: "POST", path: asked, authorization: `Bearer ${PAT}`, body: undefined },
      ]);
    }
  });

  it("is GitHub's own answer to a request for a just-in-time configuration", async () => {
    upstream.answering = () => ({ status: 201, body: ISSUED });
    const body = { ...JIT, work_folder: "_work" };
    for (const [path, asked] of [
      ["/orgs/acme/jitconfigs", "/orgs/acme/actions/runners/generate-jitconfig"],
      ["/repos/acme/webppt/jitconfigs", "/repos/acme/webppt/actions/runners/generate-jitconfig"],
    ] as const) {
      const reply = await service.ask(path, { method: "POST", body });
      assert.deepEqual([reply.status, reply.json()], [201, ISSUED]);
      assert.deepEqual(upstream.told.splice(0), [
        { method: "POST", path: asked, authorization: `Bearer ${PAT}`, body },
      ]);
    }
  });

  const runners = (...names: string[]) => ({
    status: 200,
    body: { total_count: names.length, runners: names.map((name, at) => ({ id: at + 40, name })) },
  });

  it("is 204 when the runner of that name is deleted, and when there is none", async () => {
    upstream.answering = ({ method }) =>
      method === "DELETE" ? { status: 204 } : runners("dev-other", "dev-a-1");
    const found = "GET /orgs/acme/actions/runners?name=dev-a-1&per_page=100";
    assert.equal(
      (await service.ask("/orgs/acme/runners/dev-a-1", { method: "DELETE" })).status,
      204,
    );
    assert.deepEqual(upstream.calls(), [found, "DELETE /orgs/acme/actions/runners/41"]);
    // GitHub's filter is by name; one that also finds others deletes nothing of theirs.
    upstream.answering = () => runners("dev-a-10");
    assert.equal(
      (await service.ask("/orgs/acme/runners/dev-a-1", { method: "DELETE" })).status,
      204,
    );
    assert.deepEqual(upstream.calls(), [found]);
    // Gone meanwhile.
    upstream.answering = ({ method }) =>
      method === "DELETE" ? { status: 404, body: { message: "Not Found" } } : runners("dev-a-1");
    assert.equal(
      (await service.ask("/orgs/acme/runners/dev-a-1", { method: "DELETE" })).status,
      204,
    );
    upstream.calls();
    upstream.answering = ({ method }) =>
      method === "DELETE" ? { status: 204 } : runners("dev-a-1");
    const path = "/repos/acme/webppt/runners/dev-a-1";
    assert.equal((await service.ask(path, { method: "DELETE" })).status, 204);
    assert.deepEqual(upstream.calls(), [
      "GET /repos/acme/webppt/actions/runners?name=dev-a-1&per_page=100",
      "DELETE /repos/acme/webppt/actions/runners/40",
    ]);
  });

  it("is 409 in GitHub's words when the runner runs a job", async () => {
    const message = 'Bad request - Runner "dev-a-1" is still running a job"';
    upstream.answering = ({ method }) =>
      method === "DELETE" ? { status: 422, body: { message } } : runners("dev-a-1");
    const reply = await service.ask("/orgs/acme/runners/dev-a-1", { method: "DELETE" });
    assert.equal(reply.status, 409);
    assert.deepEqual(reply.json(), { message: `GitHub answered 422: ${message}`, github: 422 });
  });

  it("is 204 when a runner's labels are gone, and when there is no such runner", async () => {
    upstream.answering = ({ method }) =>
      method === "DELETE"
        ? { status: 200, body: { total_count: 0, labels: [] } }
        : runners("dev-a-1");
    const path = "/orgs/acme/runners/dev-a-1/labels";
    assert.equal((await service.ask(path, { method: "DELETE" })).status, 204);
    assert.deepEqual(upstream.calls().slice(1), ["DELETE /orgs/acme/actions/runners/40/labels"]);
    upstream.answering = () => runners();
    assert.equal((await service.ask(path, { method: "DELETE" })).status, 204);
  });

  it("tells anybody in its range that it lives, and counts for those with the password", async () => {
    const health = await service.ask("/healthz", { authorization: null });
    assert.deepEqual([health.status, health.json()], [200, { status: "ok" }]);
    assert.equal((await service.ask("/metrics", { authorization: null })).status, 401);
  });

  describe("without asking GitHub", () => {
    afterEach(() => assert.deepEqual(upstream.calls(), []));

    const refusals: Record<
      string,
      [path: string, options: Parameters<Running["ask"]>[1], status: number, message: RegExp]
    > = {
      "no password": ["/acme/registration-token", { authorization: null }, 401, /password/],
      "a wrong password": [
        "/acme/registration-token",
        { authorization: `Basic ${Buffer.from("fleet:wrong").toString("base64")}` },
        401,
        /password/,
      ],
      "the password as a user name": [
        "/acme/registration-token",
        { authorization: `Basic ${Buffer.from(`${PASSWORD}:`).toString("base64")}` },
        401,
        /password/,
      ],
      "another scheme": [
        "/acme/registration-token",
        { authorization: `Digest ${PASSWORD}` },
        401,
        /password/,
      ],
      "a scheme named after what objects have": [
        "/acme/registration-token",
        { authorization: `constructor ${PASSWORD}` },
        401,
        /password/,
      ],
      "an unknown route without a password": ["/nowhere", { authorization: null }, 401, /password/],
      "another organization": ["/evil/registration-token", {}, 403, /does not serve/],
      "another repository": ["/repo/acme/other/registration-token", {}, 403, /does not serve/],
      "a repository of an organization that is allowed": [
        "/repos/acme/other/jitconfigs",
        { method: "POST", body: JIT },
        403,
        /does not serve/,
      ],
      "a path that climbs": [
        "/orgs/..%2F..%2Fuser/jitconfigs",
        { method: "POST", body: JIT },
        403,
        /does not serve/,
      ],
      "a path that is none": ["/%E0%A4%A/registration-token", {}, 400, /path/],
      "an unknown route": ["/orgs/acme", {}, 404, /route/],
      "a runner of somebody else": [
        "/orgs/acme/runners/prod-a-1",
        { method: "DELETE" },
        403,
        /begins with dev-/,
      ],
      "labels of a runner of somebody else": [
        "/orgs/acme/runners/prod-a-1/labels",
        { method: "DELETE" },
        403,
        /begins with dev-/,
      ],
      "a name that is none": [
        "/orgs/acme/runners/dev-%2F..%2F",
        { method: "DELETE" },
        403,
        /begins with dev-/,
      ],
      "another name to register": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, name: "prod-1" } },
        403,
        /begins with dev-/,
      ],
      "another runner group": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, runner_group_id: 1 } },
        403,
        /group 1/,
      ],
      "no name": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, name: undefined } },
        400,
        /name/,
      ],
      "a name that is too long": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, name: `dev-${"a".repeat(61)}` } },
        400,
        /name/,
      ],
      "a group that is no number": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, runner_group_id: "3" } },
        400,
        /runner_group_id/,
      ],
      "no labels": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, labels: [] } },
        400,
        /labels/,
      ],
      "too many labels": [
        "/orgs/acme/jitconfigs",
        {
          method: "POST",
          body: { ...JIT, labels: Array.from({ length: 101 }, (_, at) => `l${at}`) },
        },
        400,
        /labels/,
      ],
      "a field that GitHub does not know": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: { ...JIT, admin: true } },
        400,
        /"admin"/,
      ],
      "a body that is no object": [
        "/orgs/acme/jitconfigs",
        { method: "POST", body: [JIT] },
        400,
        /object/,
      ],
      "a body that is no JSON": [
        "/orgs/acme/jitconfigs",
        { method: "POST", raw: "{" },
        400,
        /JSON/,
      ],
      "no body": ["/orgs/acme/jitconfigs", { method: "POST" }, 400, /JSON/],
      "a body that is too long": [
        "/orgs/acme/jitconfigs",
        { method: "POST", raw: " ".repeat(16 * 1024 + 1) },
        413,
        /16384 bytes/,
      ],
    };
    for (const [what, [path, options, status, message]] of Object.entries(refusals))
      it(`refuses ${what} with ${status}`, async () => {
        const reply = await service.ask(path, options);
        assert.equal(reply.status, status);
        assert.match(String(reply.json().message), message);
        assert.deepEqual(Object.keys(reply.json()), ["message"]);
        if (status === 401)
          assert.equal(reply.headers["www-authenticate"], 'Basic realm="token service"');
      });

    it("refuses a body of unknown length once it is too long", async () => {
      const reply = await service.ask("/orgs/acme/jitconfigs", {
        method: "POST",
        headers: { "transfer-encoding": "chunked" },
        raw: undefined,
        body: { ...JIT, work_folder: "x".repeat(40_000) },
      });
      assert.equal(reply.status, 413);
      assert.equal(reply.headers.connection, "close");
    });

    const methods: [method: string, path: string, allow: string][] = [
      ["POST", "/healthz", "GET"],
      ["DELETE", "/metrics", "GET"],
      ["POST", "/acme/registration-token", "GET"],
      ["PUT", "/repo/acme/webppt/remove-token", "GET"],
      ["GET", "/orgs/acme/jitconfigs", "POST"],
      ["GET", "/orgs/acme/runners/dev-a-1", "DELETE"],
      ["PATCH", "/orgs/acme/runners/dev-a-1/labels", "DELETE"],
    ];
    for (const [method, path, allow] of methods)
      it(`knows no ${method} ${path}`, async () => {
        const reply = await service.ask(path, { method });
        assert.deepEqual([reply.status, reply.headers.allow], [405, allow]);
      });

    it("hands out no registration tokens where every runner comes just in time", async () => {
      const { allow, ...rest } = configFor(upstream.url);
      const strict = await start({ ...rest, allow: { ...allow, registrationTokens: false } });
      try {
        const reply = await strict.ask("/acme/registration-token");
        assert.equal(reply.status, 403);
        assert.match(String(reply.json().message), /just-in-time/);
      } finally {
        await strict.close();
      }
    });

    it("answers nobody outside its ranges, not even that it lives", async () => {
      const far = await start(configFor(upstream.url, { sources: ["10.0.1.0/24", "fd00::/8"] }));
      try {
        for (const path of ["/healthz", "/metrics", "/acme/registration-token"]) {
          const reply = await far.ask(path);
          assert.equal(reply.status, 403);
          assert.match(String(reply.json().message), /this address/);
        }
      } finally {
        await far.close();
      }
    });
  });

  it("takes the password under any user name, and as a bearer token", async () => {
    for (const authorization of [
      BASIC,
      `basic ${Buffer.from(`:${PASSWORD}`).toString("base64")}`,
      `Bearer ${PASSWORD}`,
    ])
      assert.equal((await service.ask("/metrics", { authorization })).status, 200);
  });

  it("takes a password with a colon in it", async () => {
    const password = "with:colons:in:the:password";
    const other = await start(configFor(upstream.url, { password }));
    try {
      const authorization = `Basic ${Buffer.from(`fleet:${password}`).toString("base64")}`;
      assert.equal((await other.ask("/metrics", { authorization })).status, 200);
    } finally {
      await other.close();
    }
  });

  it("listens on IPv6 and knows ranges there", async () => {
    const other = await start(
      configFor(upstream.url, { listen: { address: "::", port: 0 }, sources: ["127.0.0.0/8"] }),
    );
    try {
      // A client by IPv4 is seen as ::ffff:127.0.0.1.
      assert.equal((await other.ask("/healthz")).status, 200);
    } finally {
      await other.close();
    }
  });

  it("answers pipelined requests in their order", async () => {
    const text = await exchange(
      service.port,
      ["/healthz", "/nowhere", "/metrics"]
        .map(
          (path, at) =>
            `GET ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: ${BASIC}\r\n${at === 2 ? "Connection: close\r\n" : ""}\r\n`,
        )
        .join(""),
    );
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status),
      ["200", "404", "200"],
    );
  });

  it("answers what is no HTTP with 400, a head that is too long with 431, and lives", async () => {
    assert.match(await exchange(service.port, "\x16\x03\x01\x02\r\n\r\n"), /^HTTP\/1\.1 400 /);
    const head = `GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: ${"a".repeat(10_000)}\r\n\r\n`;
    assert.match(await exchange(service.port, head), /^HTTP\/1\.1 431 /);
    assert.equal((await service.ask("/healthz")).status, 200);
  });

  it("goes on when clients hang up in the middle", async () => {
    upstream.answering = () => "hang";
    for (let at = 0; at < 20; at += 1) {
      const socket = connect(service.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(
        `POST /orgs/acme/jitconfigs HTTP/1.1\r\nHost: a\r\nAuthorization: ${BASIC}\r\nContent-Length: 500\r\n\r\n{`,
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
      socket.resetAndDestroy();
    }
    assert.equal((await service.ask("/healthz")).status, 200);
    const told = service.log.filter(({ route }) => route === "/orgs/:org/jitconfigs");
    assert.ok(told.length > 0);
    for (const { level, status } of told) assert.deepEqual([level, status], ["info", 400]);
  });

  it("writes into its log no name that is none of a runner", async () => {
    const name = `dev-%0a${"x".repeat(2_000)}`;
    const path = `/orgs/acme/runners/${name}`;
    assert.equal((await service.ask(path, { method: "DELETE" })).status, 403);
    const body = { ["y".repeat(5_000)]: 1 };
    const reply = await service.ask("/orgs/acme/jitconfigs", { method: "POST", body });
    assert.equal(reply.status, 400);
    assert.ok(service.log.length === 2 && JSON.stringify(service.log).length < 1_000);
  });
});
