import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type ApiTarget, request } from "../../../components/host/request";

const TOKEN = "canary-token";

describe("request", () => {
  let server: Server;
  let api: ApiTarget;
  let asked: IncomingMessage[];
  /** What is answered, one after the other; the last one again and again. */
  let answers: ((response: ServerResponse) => void)[];

  beforeEach(async () => {
    asked = [];
    server = createServer((incoming, response) => {
      asked.push(incoming);
      (answers.length > 1 ? answers.shift() : answers[0])!(response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    api = { name: "GitHub", baseUrl: `http://127.0.0.1:${port}/api/v3`, token: TOKEN };
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const says = (status: number, body = "", headers: Record<string, string> = {}) => {
    return (response: ServerResponse) => void response.writeHead(status, headers).end(body);
  };

  it("asks with the token and gives the answer", async () => {
    answers = [says(201, '{"id":1}')];
    assert.deepEqual(await request(api, "POST", "/things", [200, 201]), {
      status: 201,
      body: { id: 1 },
    });
    const [first] = asked;
    assert.deepEqual([first?.method, first?.url], ["POST", "/api/v3/things"]);
    assert.equal(first?.headers.authorization, `Bearer ${TOKEN}`);
    assert.equal(first?.headers["user-agent"], "runner-fleet");
  });

  it("gives a body that is no JSON as nothing", async () => {
    answers = [says(204)];
    assert.deepEqual(await request(api, "DELETE", "/things/1", [204, 404]), {
      status: 204,
      body: undefined,
    });
  });

  for (const [what, answer] of [
    ["a server's error", says(502)],
    ["a limit", says(429, "", { "retry-after": "0" })],
    ["GitHub's other word for a limit", says(403, "", { "retry-after": "0" })],
    ["a limit that is used up", says(403, "", { "x-ratelimit-remaining": "0" })],
    ["a server that is at something else", says(423)],
    ["a connection that breaks off", (response: ServerResponse) => void response.destroy()],
  ] as const) {
    it(`asks again after ${what}`, async () => {
      answers = [answer, says(200, "{}")];
      assert.equal((await request(api, "GET", "/things", [200])).status, 200);
      assert.equal(asked.length, 2);
    });
  }

  it("does not ask again after a refusal", async () => {
    answers = [says(401)];
    await assert.rejects(request(api, "GET", "/things", [200]), {
      message: "GitHub answered 401 to GET /things.",
    });
    assert.equal(asked.length, 1);
  });

  it("gives up after some times", async () => {
    answers = [says(503, "", { "retry-after": "0" })];
    await assert.rejects(request(api, "GET", "/things", [200]), {
      message: "GitHub answered 503 to GET /things.",
    });
    assert.equal(asked.length, 5);
  });

  it("does not wait for longer than a minute", async () => {
    answers = [says(429, "", { "retry-after": "61" })];
    await assert.rejects(request(api, "GET", "/things", [200]), {
      message: "GitHub answered 429 to GET /things.",
    });
    assert.equal(asked.length, 1);
  });
});
