import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { crc32, inflateRawSync } from "node:zlib";
import { describe, it } from "mocha";
import { zip } from "../../../local-cloud/github/zip";
import { type Bench, end, start } from "./support";

const execute = promisify(execFile);
const repo = "/repos/acme/webppt";
const file = ".github/workflows/build.yml";

interface Workflow {
  readonly id: number;
  readonly name: string;
  readonly path: string;
  readonly created_at: string;
  readonly updated_at: string;
}
interface Workflows {
  readonly total_count: number;
  readonly workflows: Workflow[];
}
interface Runs {
  readonly total_count: number;
  readonly workflow_runs: { readonly id: number; readonly workflow_id: number }[];
}

/** Texts of an archive by path, read by its central directory. */
function unzip(archive: Buffer): Map<string, string> {
  const end = archive.length - 22;
  assert.equal(archive.readUInt32LE(end), 0x06054b50);
  const found = new Map<string, string>();
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left -= 1) {
    assert.equal(archive.readUInt32LE(at), 0x02014b50);
    const [method, checksum] = [archive.readUInt16LE(at + 10), archive.readUInt32LE(at + 16)];
    const [packed, nameLength] = [archive.readUInt32LE(at + 20), archive.readUInt16LE(at + 28)];
    const name = archive.subarray(at + 46, at + 46 + nameLength).toString();
    const local = archive.readUInt32LE(at + 42);
    assert.equal(archive.readUInt32LE(local), 0x04034b50);
    const from = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const data = archive.subarray(from, from + packed);
    const plain = method === 0 ? data : inflateRawSync(data);
    assert.equal(crc32(plain), checksum, name);
    found.set(name, plain.toString());
    at += 46 + nameLength;
  }
  return found;
}

describe("github: workflows and what their runs leave", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));
  const write = (content: string, path = file) =>
    bench.github.repository("acme/webppt").edit(path, content);
  const list = () => bench.expect<Workflows>(200, "GET", `${repo}/actions/workflows`);

  it("are the files of the default branch, by the name that they give themselves", async () => {
    assert.deepEqual(await list(), { total_count: 0, workflows: [] });
    write("name: Build\non: push\n");
    write("on: push\n", ".github/workflows/unnamed.yaml");
    write(": [", ".github/workflows/broken.yml");
    write("name: None\n", ".github/workflows/readme.md");
    write("name: None\n", ".github/workflows/below/deep.yml");
    const { total_count: count, workflows } = await list();
    assert.equal(count, 3);
    assert.deepEqual(
      workflows.map(({ name, path }) => [name, path]),
      [
        [".github/workflows/broken.yml", ".github/workflows/broken.yml"],
        ["Build", file],
        [".github/workflows/unnamed.yaml", ".github/workflows/unnamed.yaml"],
      ],
    );
    assert.equal(new Set(workflows.map(({ id }) => id)).size, 3);
  });

  it("are found by id and by file name, and by nothing else", async () => {
    write("name: Build\non: push\n");
    const { workflows } = await list();
    const at = `${repo}/actions/workflows`;
    for (const name of [String(workflows[0]?.id), "build.yml"])
      assert.deepEqual(await bench.expect<Workflow>(200, "GET", `${at}/${name}`), workflows[0]);
    await bench.refuses(404, "Not Found", "GET", `${at}/other.yml`);
    await bench.refuses(404, "Not Found", "GET", at, undefined, {
      token: bench.github.tokens.stranger,
    });
  });

  it("keep their id and the time of their first commit when they change", async () => {
    write("name: Build\non: push\n");
    const [first] = (await list()).workflows;
    bench.clock.advance(60_000);
    write("name: Build it\non: push\n");
    bench.clock.advance(60_000);
    write("# another file\n", "README.md");
    const [later] = (await list()).workflows;
    assert.ok(first && later);
    assert.equal(later.id, first.id);
    assert.equal(later.name, "Build it");
    assert.equal(later.created_at, first.created_at);
    const passed = Date.parse(later.updated_at) - Date.parse(first.updated_at);
    assert.ok(passed >= 59_000 && passed <= 61_000, `${passed} ms`);
  });

  it("have the runs of their own jobs; jobs of no file are of one workflow that is listed too", async () => {
    write(
      "name: Build\non: workflow_dispatch\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps: []\n",
    );
    const { jobs } = bench.github;
    const own = jobs.enqueue({ repository: "acme/webppt", workflow: file, job: "a" });
    const other = jobs.enqueue({ repository: "acme/webppt", name: "x", runsOn: "ubuntu-24.04" });
    await Promise.all([own, other].map(({ id }) => jobs.wait(id, 5000)));
    const { workflows } = await list();
    assert.deepEqual(
      workflows.map(({ name }) => name),
      ["Build", "local-cloud"],
    );
    for (const [index, job] of [own, other].entries()) {
      const id = workflows[index]?.id;
      const runs = await bench.expect<Runs>(200, "GET", `${repo}/actions/workflows/${id}/runs`);
      assert.deepEqual(
        runs.workflow_runs.map((run) => [run.id, run.workflow_id]),
        [[job.runId, id]],
      );
    }
  });

  it("give the logs of a run as an archive once it is done, annotations of its errors, and no artifacts", async () => {
    const { jobs } = bench.github;
    const { id, runId } = jobs.enqueue({
      repository: "acme/webppt",
      name: "Build linux/arm64",
      runsOn: "ubuntu-24.04",
      script: "sleep 0.3; echo '##[error]It broke.'; echo done",
    });
    const logs = `${repo}/actions/runs/${runId}/logs`;
    await bench.refuses(404, "Not Found", "GET", logs);
    await jobs.wait(id, 5000);
    const { status, headers } = await bench.call("GET", logs);
    assert.equal(status, 302);
    const archive = await bench.github.fetch(new Request(headers.get("location") ?? "nowhere:"));
    assert.equal(archive.headers.get("content-type"), "application/zip");
    const log = jobs.get(id).log;
    assert.match(log, /done/);
    assert.deepEqual(
      unzip(Buffer.from(await archive.arrayBuffer())),
      new Map([
        ["0_Build linuxarm64.txt", log],
        ["Build linuxarm64/1_Run.txt", log],
      ]),
    );
    const notes = await bench.expect<Record<string, unknown>[]>(
      200,
      "GET",
      `${repo}/check-runs/${id}/annotations`,
    );
    assert.deepEqual(
      notes.map((note) => [note["annotation_level"], note["message"]]),
      [["failure", "It broke."]],
    );
    assert.deepEqual(await bench.expect(200, "GET", `${repo}/actions/runs/${runId}/artifacts`), {
      total_count: 0,
      artifacts: [],
    });
  });

  it("archive texts so that other programs read them", async function () {
    const folder = await mkdtemp(join(tmpdir(), "runner-fleet-zip-"));
    try {
      const archive = join(folder, "a.zip");
      await writeFile(archive, zip(new Map([["ä/b.txt", "text\n".repeat(1000)]])));
      const { stdout } = await execute("unzip", ["-p", archive]).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        console.log("      unzip is not on the PATH: not tried");
        return this.skip();
      });
      assert.equal(stdout, "text\n".repeat(1000));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("have a README beside them, wherever GitHub looks for one", async () => {
    const name = async (): Promise<unknown> =>
      (await bench.expect(200, "GET", `${repo}/readme`))["path"];
    assert.equal(await name(), "README.md");
    write("x", "docs/readme.txt");
    assert.equal(await name(), "README.md");
    write("x", ".github/README");
    assert.equal(await name(), ".github/README");
    await bench.refuses(404, "Not Found", "GET", "/repos/acme/nowhere/readme");
  });
});
