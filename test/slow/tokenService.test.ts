import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  askAt,
  configFor,
  exchange,
  type Program,
  runProgram,
  Upstream,
} from "../components/tokenService/server/support";

const JIT = { name: "dev-arm64-1-1-abc123", runner_group_id: 3, labels: ["self-hosted"] };

describe("the patience of the token service", function () {
  this.timeout(30_000);
  let folder: string;
  let upstream: Upstream;
  let program: Program;
  let port: number;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "token-service-"));
    upstream = await Upstream.start();
    const path = join(folder, "token-service.json");
    const config = configFor(upstream.url, {
      github: { apiUrl: upstream.url, timeoutMs: 30_000 },
    });
    await writeFile(path, JSON.stringify(config), { mode: 0o600 });
    program = runProgram(path);
    port = Number((await program.until("listening")).port);
  });
  afterEach(async () => {
    program.child.kill("SIGKILL");
    await program.ended;
    await upstream.close();
    await rm(folder, { recursive: true });
  });

  it("ends in time though GitHub hangs", async () => {
    upstream.answering = () => "hang";
    const jit = askAt(port, "/orgs/acme/jitconfigs", { method: "POST", body: JIT });
    const broken = assert.rejects(jit, /hang up|ECONNRESET/);
    while (upstream.told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const began = Date.now();
    program.child.kill("SIGTERM");
    assert.deepEqual(await program.ended, { code: 0, signal: null });
    await broken;
    // Docker kills after ten seconds.
    assert.ok(Date.now() - began < 9_500);
  });

  it("gives up a client that does not finish its head", async () => {
    const began = Date.now();
    const text = await exchange(port, "GET /healthz HTTP/1.1\r\nHost: a\r\n");
    assert.match(text, /^HTTP\/1\.1 408 /);
    assert.ok(Date.now() - began < 9_000);
    assert.equal((await askAt(port, "/healthz")).status, 200);
  });
});
