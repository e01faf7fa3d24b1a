import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Scalar } from "../../../../local-cloud/actions/message";
import { type JobChanges, type Outcome, runSteps, SHA, uses, withServer } from "../support";

describe("actions/checkout", () => {
  let archive: Buffer;
  before(async () => {
    const folder = await mkdtemp(join(tmpdir(), "checkout-"));
    await mkdir(join(folder, "acme-webppt-0123456", "sub"), { recursive: true });
    await writeFile(join(folder, "acme-webppt-0123456", "sub", "run.sh"), "echo checked out\n", {
      mode: 0o755,
    });
    archive = execFileSync("tar", ["-czf", "-", "acme-webppt-0123456"], { cwd: folder });
    await rm(folder, { recursive: true });
  });

  async function checkOut(
    inputs: Record<string, Scalar>,
    changes: JobChanges & { fail?: number } = {},
  ): Promise<Outcome & { requests: string[] }> {
    const requests: string[] = [];
    let failures = changes.fail ?? 0;
    const outcome = await withServer(
      (request: IncomingMessage, response) => {
        requests.push(`${request.url} ${request.headers.authorization}`);
        if (failures-- > 0) response.writeHead(502).end("{}");
        else if (request.url?.includes("missing") === true)
          response.writeHead(404).end('{"message":"Not Found"}');
        else if (request.url?.includes("/tarball/") === true) response.end(archive);
        else response.end('{"default_branch":"trunk"}');
      },
      (url) =>
        runSteps(
          [
            { uses: uses("actions/checkout"), with: inputs },
            { run: "find . -type f | sort; bash ./sub/run.sh || bash ./here/sub/run.sh" },
          ],
          {
            github: { api_url: url, ...changes.github },
            prepare: (workspace) => writeFile(join(workspace, "stale"), ""),
          },
        ),
    );
    return { ...outcome, requests };
  }

  for (const [title, inputs, requests] of [
    [
      "the commit of the event",
      { "persist-credentials": false },
      [`/repos/acme/webppt/tarball/${SHA} token job-token`],
    ],
    [
      "a commit",
      { ref: "f".repeat(40), "fetch-depth": 0 },
      [`/repos/acme/webppt/tarball/${"f".repeat(40)} token job-token`],
    ],
    [
      "a branch",
      { ref: "refs/heads/a b" },
      ["/repos/acme/webppt/tarball/refs/heads/a%20b token job-token"],
    ],
    [
      "another repository, by its default branch and with a token",
      { repository: "acme/tools", token: "other", path: "here" },
      ["/repos/acme/tools token other", "/repos/acme/tools/tarball/refs/heads/trunk token other"],
    ],
  ] as const)
    it(`gets ${title}`, async () => {
      const { report, log, requests: made } = await checkOut(inputs);
      assert.equal(report.result, "succeeded", log);
      assert.deepEqual(made, requests);
      assert.match(log, /^checked out$/m);
      if (!("path" in inputs)) assert.match(log, /^\.\/sub\/run\.sh$/m);
      assert.equal(/^\.\/stale$/m.test(log), "path" in inputs);
    });

  it("tries again when the server fails", async () => {
    const { report, requests } = await checkOut({}, { fail: 1 });
    assert.equal(report.result, "succeeded");
    assert.equal(requests.length, 2);
  });

  for (const [inputs, message, changes] of [
    [
      { repository: "acme/missing" },
      /GitHub answered 404 to GET \/repos\/acme\/missing: Not Found/,
      {},
    ],
    [{ repository: "nonsense" }, /Invalid repository 'nonsense'/, {}],
    [{ path: "../out" }, /is not under/, {}],
    [{ submodules: true }, /does not model the input submodules/, {}],
    [{ "persist-credentials": "perhaps" }, /Core Schema/, {}],
    [
      {},
      /does not model a checkout for pull_request_target/,
      { github: { event_name: "pull_request_target" } },
    ],
  ] as const)
    it(`refuses ${JSON.stringify({ ...inputs, ...changes })}`, async () => {
      const { report, log } = await checkOut(inputs, changes);
      assert.equal(report.result, "failed");
      assert.match(log, message);
    });
});
