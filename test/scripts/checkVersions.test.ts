import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseDocument } from "yaml";
import { RUNNER_VERSION } from "../../components/pins/pins";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";

const ROOT = join(__dirname, "../..");
const DAY_MS = 86_400_000;
/** Half a day more than whole days, so that the time that a test takes does not count. */
const inDays = (days: number) => new Date(Date.now() + (days - 0.5) * DAY_MS);
const day = (date: Date) => date.toISOString().slice(0, 10);

describe("npm run check:versions, against the local cloud", function () {
  this.timeout("3m");
  let cloud: LocalCloud;
  let folder: string;
  let configFile: string;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
  });
  after(() => cloud?.close());
  beforeEach(async () => {
    await cloud.reset();
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-versions-"));
    configFile = join(folder, "Pulumi.dev.yaml");
    await configure({});
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
    assert.deepEqual(cloud.traffic.takeSurprises(), []);
  });

  /** The dev stack with these values, by path. */
  async function configure(values: Readonly<Record<string, unknown>>): Promise<void> {
    const config = parseDocument(await readFile(join(ROOT, "Pulumi.dev.yaml"), "utf8"));
    for (const [path, value] of Object.entries(values)) {
      const [first = "", ...rest] = path.split(".");
      config.setIn(["config", `runner-fleet:${first}`, ...rest], config.createNode(value));
    }
    await writeFile(configFile, config.toString());
  }

  function check(
    args: readonly string[] = [],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [
          `--import=${pathToFileURL(require.resolve("tsx")).href}`,
          join(ROOT, "scripts/check-versions.ts"),
          ...["--stack=dev", `--config-file=${configFile}`, ...args],
        ],
        // No engine on the path: nothing of this needs it.
        { cwd: ROOT, env: { PATH: "", ...cloud.environment, ...environment }, timeout: 90_000 },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
          resolve({ code, stdout, stderr });
        },
      );
    });
  }

  it("is content with a version whose end is far away, and changes nothing", async () => {
    const end = inDays(60);
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, { runtimeDeprecatesAt: end });
    const { code, stdout, stderr } = await check();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(
      stdout,
      `POOL   VERSION  ENDS        DAYS LEFT  STATE\narm64  ${RUNNER_VERSION}  ${day(end)}  60         served\n`,
    );
    assert.deepEqual(
      cloud.traffic.requests.map(({ method, path }) => `${method} ${path}`),
      [`GET /orgs/acme/actions/runners/deprecations/${RUNNER_VERSION}`],
    );
  });

  it("is content with a version without an end", async () => {
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, {});
    const { code, stdout, stderr } = await check();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /-  +-  +served\n$/);
  });

  it("exits with 2 for one that ends within the configured days", async () => {
    const end = inDays(60);
    await configure({ "runnerLife.warnDays": 60 });
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, { registrationDeprecatesAt: end });
    const { code, stderr } = await check();
    assert.deepEqual(
      [code, stderr],
      [
        2,
        `runner-fleet:pools.arm64.runner.version: GitHub does not serve ${RUNNER_VERSION} after ${day(end)}, 60 days from now; \`npm run bump\` proposes a newer release.\n`,
      ],
    );
  });

  it("exits with 3 for one that has ended, and tells machines of each pool", async () => {
    const end = new Date("2026-04-30T21:52:20Z");
    const soon = new Date(Math.ceil(inDays(10).getTime() / 1000) * 1000);
    await configure({
      "routing.pool": "arm64",
      "pools.old": {
        ...{ serverTypes: ["cax11"], locations: ["fsn1"], count: 1, labels: ["docker"] },
        runner: { version: "2.331.0" },
      },
    });
    cloud.github.setRunnerDeprecation("2.331.0", { runtimeDeprecatesAt: end });
    cloud.github.setRunnerDeprecation(RUNNER_VERSION, { runtimeDeprecatesAt: soon });
    const { code, stdout } = await check(["--json"]);
    assert.equal(code, 3);
    assert.deepEqual(JSON.parse(stdout), {
      stack: "dev",
      warnDays: 30,
      pools: [
        {
          pool: "arm64",
          version: RUNNER_VERSION,
          endsAt: soon.toISOString(),
          daysLeft: 10,
          state: "ending",
        },
        {
          pool: "old",
          version: "2.331.0",
          endsAt: end.toISOString(),
          daysLeft: 0,
          state: "ended",
        },
      ],
    });
  });

  it("exits with 1 where GitHub does not say", async () => {
    const { code, stderr } = await check();
    assert.deepEqual(
      [code, stderr],
      [
        1,
        `runner-fleet:pools.arm64.runner.version: GitHub does not say until when it serves ${RUNNER_VERSION}; it knows no such release, or the token may not see the organization's runners.\n`,
      ],
    );
  });

  it("exits with 1 and one sentence without a token that may ask", async () => {
    const refused = await check([], { GITHUB_TOKEN: "ghp_nobody" });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^github:token \(or GITHUB_TOKEN\): found .*\n$/);
    const missing = await check([], { GITHUB_TOKEN: "" });
    assert.deepEqual(
      [missing.code, missing.stdout, missing.stderr],
      [
        1,
        "",
        "github:token (or GITHUB_TOKEN): found nothing, expected an access token of GitHub.\n",
      ],
    );
  });
});
