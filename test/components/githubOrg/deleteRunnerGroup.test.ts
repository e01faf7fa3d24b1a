import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

const SCRIPT = join(__dirname, "../../../components/githubOrg/deleteRunnerGroup.mjs");
const TOKEN = "canary-token";

describe("deleteRunnerGroup.mjs", () => {
  let server: Server;
  let requests: IncomingMessage[];
  let status: number;

  beforeEach(async () => {
    requests = [];
    server = createServer((request, response) => {
      requests.push(request);
      response.writeHead(status).end(status === 204 ? undefined : `{"message":"${TOKEN}"}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach((done) => void server.close(done));

  function run(port = (server.address() as AddressInfo).port) {
    return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        [SCRIPT],
        {
          env: {
            GITHUB_API: `http://127.0.0.1:${port}/api/v3`,
            GITHUB_TOKEN: TOKEN,
            GITHUB_ORGANIZATION: "acme",
            RUNNER_GROUP_ID: "7",
          },
        },
        (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  for (const answer of [204, 404]) {
    it(`is content with ${answer}`, async () => {
      status = answer;
      assert.deepEqual(await run(), { code: 0, stdout: "", stderr: "" });
      const [request, ...others] = requests;
      assert.equal(others.length, 0);
      assert.equal(request?.method, "DELETE");
      assert.equal(request.url, "/api/v3/orgs/acme/actions/runner-groups/7");
      assert.equal(request.headers.authorization, `Bearer ${TOKEN}`);
      assert.equal(request.headers["user-agent"], "runner-fleet");
    });
  }

  for (const answer of [401, 403, 422, 500]) {
    it(`fails with one sentence for ${answer}`, async () => {
      status = answer;
      assert.deepEqual(await run(), {
        code: 1,
        stdout: "",
        stderr: `GitHub answered ${answer} to the deletion of runner group 7.\n`,
      });
    });
  }

  it("fails with one sentence when GitHub cannot be reached", async () => {
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const { code, stdout, stderr } = await run(port);
    server.listen(0, "127.0.0.1");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.equal(
      stderr,
      `GitHub could not be asked to delete runner group 7: connect ECONNREFUSED 127.0.0.1:${port}.\n`,
    );
  });
});
