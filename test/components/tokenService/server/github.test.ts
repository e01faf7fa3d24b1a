import assert from "node:assert/strict";
import { createVerify, generateKeyPairSync } from "node:crypto";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { BASIC, configFor, PAT, type Running, type Said, start, Upstream } from "./support";

const JIT = { name: "dev-arm64-1-1-abc123", runner_group_id: 3, labels: ["self-hosted"] };
const ISSUED: Said = { status: 201, body: { runner: { id: 7 }, encoded_jit_config: "canary-jit" } };
const HOUR = 3_600_000;
const TOKEN_PATH = "/orgs/acme/actions/runners/registration-token";
const JIT_PATH = "/orgs/acme/actions/runners/generate-jitconfig";
const FIND_PATH = `/orgs/acme/actions/runners?name=${JIT.name}&per_page=100`;

function token(value: string, now = Date.now(), life = HOUR): Said {
  return { status: 201, body: { token: value, expires_at: new Date(now + life).toISOString() } };
}

describe("what the token service makes of GitHub", () => {
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

  const askToken = () => service.ask("/acme/registration-token");
  const askJit = (body: unknown = JIT) =>
    service.ask("/orgs/acme/jitconfigs", { method: "POST", body });

  describe("a refusal", () => {
    for (const status of [400, 401, 403, 404, 409, 422])
      it(`of ${status} to a token is 502 with GitHub's words`, async () => {
        upstream.answering = () => ({ status, body: { message: "Some words" } });
        const reply = await askToken();
        assert.equal(reply.status, 502);
        assert.deepEqual(reply.json(), {
          message: `GitHub answered ${status}: Some words`,
          github: status,
        });
        assert.equal(upstream.calls().length, 1, "it is not repeated");
      });

    it("of a name that is taken is 409, and no other runner is touched", async () => {
      const message = "Already exists - A runner with the name already exists.";
      upstream.answering = () => ({ status: 409, body: { message } });
      const reply = await askJit();
      assert.deepEqual(
        [reply.status, reply.json()],
        [409, { message: `GitHub answered 409: ${message}`, github: 409 }],
      );
      assert.deepEqual(upstream.calls(), [`POST ${JIT_PATH}`]);
    });

    for (const status of [403, 404, 422])
      it(`of ${status} to a just-in-time configuration is 502`, async () => {
        upstream.answering = () => ({ status, body: { message: "No" } });
        const reply = await askJit();
        assert.deepEqual([reply.status, reply.json().github], [502, status]);
        assert.deepEqual(upstream.calls(), [`POST ${JIT_PATH}`]);
      });

    it("is never passed on with the credential in it", async () => {
      upstream.answering = ({ authorization }) => ({
        status: 400,
        body: { message: `Bad header: ${authorization}` },
      });
      const reply = await askToken();
      assert.equal(reply.json().message, "GitHub answered 400: Bad header: Bearer ***");
      assert.ok(!JSON.stringify(service.log).includes(PAT));
    });

    it("is never followed elsewhere", async () => {
      upstream.answering = () => ({ status: 302, raw: "", headers: { location: "/elsewhere" } });
      const reply = await askToken();
      assert.deepEqual([reply.status, reply.json().github], [502, 302]);
      assert.deepEqual(upstream.calls(), [`POST ${TOKEN_PATH}`]);
    });
  });

  describe("an answer that is none", () => {
    const answers: Record<string, [Said, RegExp]> = {
      "no JSON": [{ status: 201, raw: "<html>" }, /no JSON/],
      "a JSON text": [{ status: 201, raw: '"token"' }, /no JSON/],
      nothing: [{ status: 201, raw: "" }, /no JSON/],
      "no token": [{ status: 201, body: { expires_at: new Date().toISOString() } }, /no token/],
      "a token with a line break": [token("a\nb"), /no token/],
      "no end of life": [{ status: 201, body: { token: "T", expires_at: "soon" } }, /no token/],
      "another kind of success": [{ ...token("T"), status: 200 }, /answered 200/],
      "too long an answer": [
        { status: 201, raw: "x".repeat(1024 * 1024 + 1) },
        /longer than 1048576/,
      ],
    };
    for (const [what, [said, message]] of Object.entries(answers))
      it(`is 502: ${what}`, async () => {
        upstream.answering = () => said;
        const reply = await askToken();
        assert.equal(reply.status, 502);
        assert.match(String(reply.json().message), message);
        // It lives, and asks anew.
        upstream.answering = () => token("GOOD");
        assert.equal((await askToken()).text, "GOOD");
      });

    it("is 502: no list of runners, a configuration that is not there", async () => {
      upstream.answering = () => ({ status: 200, body: { runners: "none" } });
      const path = `/orgs/acme/runners/${JIT.name}`;
      assert.equal((await service.ask(path, { method: "DELETE" })).status, 502);
      upstream.answering = () => ({ status: 201, body: { runner: { id: 1 } } });
      assert.equal((await askJit()).status, 502);
    });

    it("is 502: no HTTP at all", async () => {
      const server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.end("SSH-2.0-OpenSSH_9.2\r\n");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      const other = await start(configFor(`http://127.0.0.1:${port}`));
      try {
        const reply = await other.ask("/acme/registration-token");
        assert.equal(reply.status, 502);
        assert.match(String(reply.json().message), /could not be reached/);
      } finally {
        await other.close();
        server.close();
      }
    });
  });

  describe("a failure that may pass", () => {
    for (const [what, bad] of Object.entries({
      "500": { status: 500, raw: "oops" },
      "502": { status: 502, raw: "<html>" },
      "503": { status: 503, body: { message: "Service Unavailable" } },
      "504": { status: 504, raw: "" },
      "a connection that is reset": "reset" as const,
    }))
      it(`(${what}) is tried again`, async () => {
        upstream.answering = (_, count) => (count < 3 ? bad : token("T"));
        const reply = await askToken();
        assert.deepEqual([reply.status, reply.text], [200, "T"]);
        assert.equal(upstream.calls().length, 3);
      });

    it("is told when it does not pass, after three times", async () => {
      upstream.answering = () => ({ status: 503, body: { message: "Service Unavailable" } });
      const reply = await askToken();
      assert.deepEqual(
        [reply.status, reply.json()],
        [502, { message: "GitHub answered 503: Service Unavailable", github: 503 }],
      );
      assert.equal(upstream.calls().length, 3);
      upstream.answering = () => "reset";
      const reset = await askToken();
      assert.equal(reset.status, 502);
      assert.match(String(reset.json().message), /could not be reached \(ECONNRESET\)/);
    });

    it("is 504 when GitHub says nothing, within twice the timeout", async () => {
      upstream.answering = () => "hang";
      const began = Date.now();
      const reply = await askToken();
      assert.equal(reply.status, 504);
      assert.ok(Date.now() - began < 1_500, `after ${Date.now() - began} ms`);
      assert.ok(upstream.calls().length <= 3);
    });

    it("is 502 when nobody listens", async () => {
      const gone = await Upstream.start();
      await gone.close();
      const github = { apiUrl: gone.url, timeoutMs: 1_000 };
      const other = await start(configFor(gone.url, { github }));
      try {
        const reply = await other.ask("/orgs/acme/jitconfigs", { method: "POST", body: JIT });
        assert.equal(reply.status, 502);
        assert.match(String(reply.json().message), /ECONNREFUSED/);
        const counted = await other.metrics();
        const key =
          'token_service_github_requests_total{operation="generate-jitconfig",status="failed"}';
        assert.equal(counted.get(key), 3, "GitHub cannot have heard of it, so it is tried again");
      } finally {
        await other.close();
      }
    });
  });

  describe("a just-in-time configuration that may have been lost", () => {
    for (const bad of ["reset", { status: 502, raw: "" }] as const)
      it(`(${bad === "reset" ? bad : bad.status}) is asked for again, and what is left of the first is removed`, async () => {
        upstream.answering = ({ method, path }, count) =>
          count === 1
            ? bad
            : path === FIND_PATH
              ? {
                  status: 200,
                  body: { runners: [{ id: 7, name: JIT.name, status: "offline", busy: false }] },
                }
              : method === "DELETE"
                ? { status: 204 }
                : ISSUED;
        assert.equal((await askJit()).status, 201);
        assert.deepEqual(upstream.calls(), [
          `POST ${JIT_PATH}`,
          `GET ${FIND_PATH}`,
          "DELETE /orgs/acme/actions/runners/7",
          `POST ${JIT_PATH}`,
        ]);
      });

    it("leaves a runner alone that is online: it is another one", async () => {
      const online = { id: 7, name: JIT.name, status: "online", busy: false };
      upstream.answering = ({ path }, count) =>
        count === 1
          ? "reset"
          : path === FIND_PATH
            ? { status: 200, body: { runners: [online] } }
            : { status: 409, body: { message: "Already exists" } };
      assert.equal((await askJit()).status, 409);
      assert.deepEqual(upstream.calls(), [
        `POST ${JIT_PATH}`,
        `GET ${FIND_PATH}`,
        `POST ${JIT_PATH}`,
      ]);
    });

    it("is removed when the client has gone away meanwhile", async () => {
      let release = () => {};
      const released = new Promise<void>((resolve) => (release = resolve));
      const offline = { id: 7, name: JIT.name, status: "offline", busy: false };
      upstream.answering = async ({ method, path }) => {
        if (path === JIT_PATH) await released;
        if (method === "POST") return ISSUED;
        return method === "DELETE"
          ? { status: 204 }
          : { status: 200, body: { runners: [offline] } };
      };
      const text = JSON.stringify(JIT);
      const head = `POST /orgs/acme/jitconfigs HTTP/1.1\r\nHost: a\r\nAuthorization: ${BASIC}\r\nContent-Length: ${text.length}\r\n\r\n`;
      const socket = connect(service.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(head + text);
      const until = async (done: () => boolean) => {
        for (let at = 0; at < 200 && !done(); at += 1) await new Promise((r) => setTimeout(r, 5));
      };
      await until(() => upstream.told.length === 1);
      socket.resetAndDestroy();
      await new Promise((resolve) => setTimeout(resolve, 30));
      release();
      await until(() => upstream.told.length === 3);
      assert.deepEqual(upstream.calls(), [
        `POST ${JIT_PATH}`,
        `GET ${FIND_PATH}`,
        "DELETE /orgs/acme/actions/runners/7",
      ]);
    });

    it("is never asked for blindly a second time", async () => {
      upstream.answering = ({ method }) =>
        method === "POST" ? "reset" : { status: 404, body: {} };
      assert.equal((await askJit()).status, 502);
      assert.deepEqual(upstream.calls(), [`POST ${JIT_PATH}`, `GET ${FIND_PATH}`]);
    });
  });

  describe("a rate limit", () => {
    for (const [what, limit] of Object.entries({
      "429": { status: 429, headers: { "retry-after": "1" }, body: {} },
      "a secondary one": {
        status: 403,
        headers: { "retry-after": "1" },
        body: { message: "You have exceeded a secondary rate limit." },
      },
    }))
      it(`(${what}) that is over soon is waited for, also by a configuration`, async () => {
        upstream.answering = (_, count) => (count === 1 ? limit : ISSUED);
        const began = Date.now();
        // Longer than an exchange may take here, so with a longer timeout.
        const { port, ...rest } = await start(
          configFor(upstream.url, { github: { apiUrl: upstream.url, timeoutMs: 2_000 } }),
        );
        try {
          const reply = await rest.ask("/orgs/acme/jitconfigs", { method: "POST", body: JIT });
          assert.equal(reply.status, 201, String(port));
          assert.ok(Date.now() - began >= 990);
          assert.equal(upstream.calls().length, 2);
        } finally {
          await rest.close();
        }
      });

    /** Times are told by the clock of the moment. */
    const long = (): Record<string, [Said, number]> => ({
      "429 with a time": [{ status: 429, headers: { "retry-after": "120" }, body: {} }, 120],
      "429 without one": [{ status: 429, body: {} }, 60],
      "a secondary one without a time": [
        { status: 403, body: { message: "You have exceeded a secondary rate limit" } },
        60,
      ],
      "the hourly one": [
        {
          status: 403,
          headers: {
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": String(Math.ceil(Date.now() / 1000) + 300),
          },
          body: { message: "API rate limit exceeded" },
        },
        300,
      ],
      "a date": [
        {
          status: 429,
          headers: { "retry-after": new Date(Date.now() + 200_000).toUTCString() },
          body: {},
        },
        200,
      ],
      "a time that is none": [{ status: 429, headers: { "retry-after": "1.5" }, body: {} }, 60],
      "one beyond reason": [
        { status: 429, headers: { "retry-after": "99999999" }, body: {} },
        3600,
      ],
    });
    for (const what of Object.keys(long()))
      it(`(${what}) that lasts is told, and GitHub is left alone until then`, async () => {
        const [said, seconds] = long()[what]!;
        upstream.answering = () => said;
        for (const reply of [await askToken(), await askJit(), await askToken()]) {
          assert.equal(reply.status, 429);
          const after = Number(reply.headers["retry-after"]);
          assert.ok(after <= seconds + 1 && after >= seconds - 30, `${after} s`);
        }
        assert.equal(upstream.calls().length, 1);
      });

    it("is no plain 403", async () => {
      upstream.answering = () => ({
        status: 403,
        headers: { "x-ratelimit-remaining": "4999" },
        body: { message: "Resource not accessible" },
      });
      assert.equal((await askToken()).status, 502);
    });
  });

  describe("a registration token", () => {
    it("is asked for once for 500 clients at the same time", async () => {
      upstream.answering = () =>
        new Promise((resolve) => setTimeout(() => resolve(token("T")), 50));
      const replies = await Promise.all(Array.from({ length: 500 }, askToken));
      assert.ok(replies.every(({ status, text }) => status === 200 && text === "T"));
      assert.deepEqual(upstream.calls(), [`POST ${TOKEN_PATH}`]);
    });

    it("fails once for all of them, and is asked for anew after that", async () => {
      upstream.answering = () =>
        new Promise((resolve) =>
          setTimeout(() => resolve({ status: 404, body: { message: "Not Found" } }), 50),
        );
      const replies = await Promise.all(Array.from({ length: 50 }, askToken));
      assert.ok(replies.every(({ status }) => status === 502));
      assert.equal(upstream.calls().length, 1);
      upstream.answering = () => token("T");
      assert.equal((await askToken()).text, "T");
    });

    it("is handed out until a quarter of an hour before its end", async () => {
      let now = Date.parse("2026-01-01T00:00:00Z");
      const clocked = await start(configFor(upstream.url), { now: () => now });
      try {
        upstream.answering = (_, count) => ({
          ...token(`T${count}`, now),
          headers: { date: new Date(now).toUTCString() },
        });
        const ask = async () => (await clocked.ask("/acme/registration-token")).text;
        assert.equal(await ask(), "T1");
        now += 44 * 60_000;
        assert.equal(await ask(), "T1");
        now += 2 * 60_000;
        assert.equal(await ask(), "T2");
        // Another kind is another token.
        assert.equal((await clocked.ask("/acme/remove-token")).text, "T3");
      } finally {
        await clocked.close();
      }
    });

    it("ends by GitHub's clock when ours is wrong", async () => {
      // Ours is 50 minutes behind: by it, the token would live for nearly two hours.
      let ours = Date.parse("2026-01-01T00:00:00Z");
      const github = () => ours + 50 * 60_000;
      const clocked = await start(configFor(upstream.url), { now: () => ours });
      try {
        upstream.answering = (_, count) => ({
          ...token(`T${count}`, github()),
          headers: { date: new Date(github()).toUTCString() },
        });
        const ask = async () => (await clocked.ask("/acme/registration-token")).text;
        assert.equal(await ask(), "T1");
        ours += 46 * 60_000;
        assert.equal(await ask(), "T2");
      } finally {
        await clocked.close();
      }
    });

    it("that lives too short to be kept is not kept", async () => {
      upstream.answering = (_, count) => token(`T${count}`, Date.now(), 60_000);
      assert.deepEqual([(await askToken()).text, (await askToken()).text], ["T1", "T2"]);
    });

    it("of one account is not that of another", async () => {
      upstream.answering = ({ path }) => token(path.split("/")[2]!);
      assert.equal((await askToken()).text, "acme");
      assert.equal((await service.ask("/my-org/registration-token")).text, "My-Org");
    });
  });

  describe("more requests than may go to GitHub at once", () => {
    it("go side by side up to a limit, wait up to another, and are told to come again beyond", async () => {
      const patient = await start(
        configFor(upstream.url, { github: { apiUrl: upstream.url, timeoutMs: 5_000 } }),
      );
      let running = 0;
      let most = 0;
      let release = () => {};
      const released = new Promise<void>((resolve) => (release = resolve));
      upstream.answering = async () => {
        most = Math.max(most, ++running);
        await released;
        running -= 1;
        return ISSUED;
      };
      let refusals = 0;
      const replies = await Promise.all(
        Array.from({ length: 600 }, async (_, at) => {
          const body = { ...JIT, name: `dev-${at}` };
          const reply = await patient.ask("/orgs/acme/jitconfigs", { method: "POST", body });
          if (reply.status === 503 && ++refusals === 600 - 32 - 512) release();
          return reply;
        }),
      );
      await patient.close();
      const count = (status: number) => replies.filter((one) => one.status === status).length;
      assert.equal(most, 32);
      assert.deepEqual([count(201), count(503)], [32 + 512, 600 - 32 - 512]);
      const refused = replies.find(({ status }) => status === 503)!;
      assert.equal(refused.headers["retry-after"], "5");
      assert.match(String(refused.json().message), /Too many/);
    });

    it("wait no longer than an exchange may take", async () => {
      upstream.answering = () => "hang";
      const replies = await Promise.all(Array.from({ length: 80 }, () => askJit()));
      const statuses = new Set(replies.map(({ status }) => status));
      assert.deepEqual([...statuses].sort(), [503, 504]);
      assert.equal((await service.metrics()).get("token_service_requests_waiting"), 0);
    });
  });

  describe("as a GitHub App", () => {
    const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const privateKey = keys.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
    const auth = { kind: "app", appId: 11, installationId: 22, privateKey } as const;
    const INSTALLATION = "/app/installations/22/access_tokens";

    let now: number;
    let skew: number;
    let app: Running;
    /** Tokens that GitHub takes. */
    let good: Set<string>;
    let made: number;
    let failing: boolean;

    beforeEach(async () => {
      now = Date.parse("2026-01-01T00:00:00Z");
      [skew, made, failing] = [0, 0, false];
      good = new Set();
      const github = () => now + skew;
      upstream.answering = ({ path, authorization }) => {
        const said = (): Said => {
          if (path === INSTALLATION) {
            if (failing) return { status: 404, body: { message: "Integration not found" } };
            const problem = jwtProblem(authorization, github());
            if (problem !== undefined) return { status: 401, body: { message: problem } };
            good.add(`ghs_${++made}`);
            return token(`ghs_${made}`, github());
          }
          if (!good.has(authorization.replace("Bearer ", "")))
            return { status: 401, body: { message: "Bad credentials" } };
          return ISSUED;
        };
        return { ...said(), headers: { date: new Date(github()).toUTCString() } };
      };
      app = await start(configFor(upstream.url, { auth }), { now: () => now });
    });
    afterEach(() => app.close());

    function jwtProblem(authorization: string, at: number): string | undefined {
      const [head = "", payload = "", signature = ""] = authorization
        .replace("Bearer ", "")
        .split(".");
      const verified = createVerify("RSA-SHA256")
        .update(`${head}.${payload}`)
        .verify(keys.publicKey, Buffer.from(signature, "base64url"));
      if (!verified) return "A JSON web token could not be decoded";
      const decode = (part: string): unknown =>
        JSON.parse(Buffer.from(part, "base64url").toString());
      assert.deepEqual(decode(head), { alg: "RS256", typ: "JWT" });
      const { iss, iat, exp } = decode(payload) as { iss: number; iat: number; exp: number };
      if (iss !== 11) return "Issuer";
      if (iat > at / 1000 || exp <= at / 1000 || exp > at / 1000 + 600) return "Time";
      return undefined;
    }

    const ask = async () =>
      (await app.ask("/orgs/acme/jitconfigs", { method: "POST", body: JIT })).status;

    it("gets an installation token once for all", async () => {
      const statuses = await Promise.all(Array.from({ length: 50 }, ask));
      assert.deepEqual([...new Set(statuses)], [201]);
      const calls = upstream.calls();
      assert.equal(calls.filter((call) => call === `POST ${INSTALLATION}`).length, 1);
      assert.equal(calls.length, 51);
    });

    it("renews it some minutes before its end, without anybody waiting", async () => {
      await ask();
      now += 54 * 60_000;
      await ask();
      assert.equal(made, 1);
      now += 2 * 60_000;
      assert.equal(await ask(), 201);
      // Beside the request that saw it: soon, not at once.
      for (let at = 0; made === 1 && at < 100; at += 1) await new Promise((r) => setTimeout(r, 10));
      assert.equal(made, 2);
      good.delete("ghs_1");
      assert.equal(await ask(), 201);
      assert.equal(made, 2);
    });

    it("goes on with the old one while it cannot be renewed", async () => {
      await ask();
      now += 57 * 60_000;
      failing = true;
      assert.equal(await ask(), 201);
      now += 2.5 * 60_000;
      assert.equal(await ask(), 502);
      failing = false;
      assert.equal(await ask(), 201);
    });

    it("waits for a new one once the old one has ended", async () => {
      await ask();
      now += 2 * HOUR;
      good.clear();
      assert.equal(await ask(), 201);
      assert.equal(made, 2);
    });

    it("gets another one when GitHub no longer takes it, once for all", async () => {
      await ask();
      good.clear();
      const statuses = await Promise.all(Array.from({ length: 20 }, ask));
      assert.deepEqual([...new Set(statuses)], [201]);
      assert.equal(made, 2);
    });

    it("asks for no configuration when too little time is left for the answer", async () => {
      const real = upstream.answering;
      upstream.answering = (told, count) => {
        if (told.path !== INSTALLATION) return real(told, count);
        if (count === 1) return "hang";
        // After half a second of nothing and a pause: less than a quarter of a second is left.
        return new Promise((resolve) => setTimeout(() => resolve(real(told, count) as Said), 200));
      };
      const reply = await app.ask("/orgs/acme/jitconfigs", { method: "POST", body: JIT });
      assert.equal(reply.status, 504);
      assert.match(String(reply.json().message), /not asked/);
      assert.deepEqual(upstream.calls(), [`POST ${INSTALLATION}`, `POST ${INSTALLATION}`]);
    });

    it("asks for no third one", async () => {
      await ask();
      const real = upstream.answering;
      upstream.answering = (told, count) => {
        good.clear();
        return real(told, count);
      };
      upstream.calls();
      assert.equal(await ask(), 502);
      assert.deepEqual(upstream.calls(), [
        `POST ${JIT_PATH}`,
        `POST ${INSTALLATION}`,
        `POST ${JIT_PATH}`,
      ]);
    });

    for (const minutes of [-30, 30])
      it(`finds GitHub's time when its own clock is ${minutes} minutes off`, async () => {
        skew = minutes * 60_000;
        assert.equal(await ask(), 201);
        assert.equal(upstream.calls().filter((call) => call.endsWith(INSTALLATION)).length, 2);
      });

    it("says it when GitHub does not know the App", async () => {
      failing = true;
      const reply = await app.ask("/acme/registration-token");
      assert.deepEqual(reply.json(), {
        message: "GitHub answered 404: Integration not found",
        github: 404,
      });
    });

    it("shows neither JWT nor token nor key in its log", async () => {
      await ask();
      good.clear();
      await ask();
      failing = true;
      now += 2 * HOUR;
      await ask();
      const text = JSON.stringify(app.log);
      for (const secret of ["ghs_", "eyJ", "PRIVATE KEY", "canary-jit", "Bearer"])
        assert.ok(!text.includes(secret), secret);
      assert.ok(app.log.length >= 3);
    });
  });
});
