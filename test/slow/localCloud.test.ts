import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);
const PROJECT = dirname(dirname(__dirname));
/** What would lead a client elsewhere than the printed lines do. */
const FOREIGN = /^(GITHUB_|GH_|HCLOUD_|PULUMI_|LOCAL_CLOUD_|SSH_AUTH_SOCK$)/;

interface Service {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly errors: () => string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  /** Resolves when the line was written to standard error; rejects when the service ends before. */
  says(text: string): Promise<void>;
}

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** `npm run local-cloud` without npm. Its temporary folders are in `folder`. */
function start(folder: string, ...args: string[]): Service {
  const environment = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name));
  const child = spawn(process.execPath, ["--import", "tsx", "local-cloud/main.ts", ...args], {
    cwd: PROJECT,
    env: { ...Object.fromEntries(environment), TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  const ended = once(child, "close").then(([code]) => code as number | null);
  const says = async (text: string): Promise<void> => {
    while (!errors.includes(text)) {
      const more = once(child.stderr, "data").then(() => true);
      const going = await Promise.race([more, ended.then(() => false)]);
      assert.ok(going || errors.includes(text), `it ended before it said "${text}": ${errors}`);
    }
  };
  return { child, out: () => out, errors: () => errors, ended, says };
}

const SERVING = "serving until Ctrl-C";

describe("npm run local-cloud", function () {
  this.timeout("2m");
  let folder: string;
  let service: Service | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-e2e-"));
  });
  afterEach(async () => {
    service?.child.kill("SIGINT");
    await service?.ended;
    service = undefined;
    await rm(folder, { recursive: true, force: true });
  });

  describe("serving", () => {
    /** Of a second shell into which the lines were pasted, and in which nothing else leads anywhere. */
    let environment: Record<string, string>;

    const run = async (program: string, ...args: string[]): Promise<Finished> => {
      try {
        const options = { cwd: PROJECT, env: environment, timeout: 90_000 };
        return { code: 0, ...(await execute(program, args, options)) };
      } catch (error) {
        const failed = error as { code?: unknown; stdout?: string; stderr?: string };
        if (typeof failed.code !== "number") throw error;
        return { code: failed.code, stdout: failed.stdout ?? "", stderr: failed.stderr ?? "" };
      }
    };
    const succeeds = async (program: string, ...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await run(program, ...args);
      assert.equal(code, 0, `${program} ${args.join(" ")}: ${stdout}${stderr}`);
      return stdout;
    };
    /** Skips the test, and says so, where a client is not installed. */
    const requireClient = (context: Mocha.Context, program: string): void => {
      const folders = (process.env.PATH ?? "").split(delimiter);
      if (folders.some((one) => existsSync(join(one, program)))) return;
      console.log(`      ${program} is not on the PATH: not tried`);
      context.skip();
    };

    beforeEach(async () => {
      service = start(folder, "--hosts", "thin");
      await service.says(SERVING);
      const lines = service.out();
      assert.match(lines, /^(export [A-Z_]+='[^']*'(:"\$PATH")?\n)+$/);
      const home = await mkdtemp(join(folder, "home-"));
      const { stdout } = await execute("/bin/sh", ["-euc", `${lines}env -0`], {
        env: { PATH: process.env.PATH, HOME: home },
      });
      environment = Object.fromEntries(
        stdout
          .split("\0")
          .filter((line) => line !== "")
          .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
      );
    });

    it("is all that plain pulumi needs in the project's folder", async () => {
      const preview = await succeeds("pulumi", "preview", "--non-interactive");
      assert.match(preview, /\+ \d+ to create/);
      assert.match(preview, /hcloud:index:Server/);
      const outputs = await succeeds("pulumi", "stack", "output", "--json", "--non-interactive");
      assert.deepEqual(JSON.parse(outputs), {});
      assert.match(await succeeds("pulumi", "stack", "ls"), /^dev\*/m);
    });

    it("is all that gh needs", async function () {
      requireClient(this, "gh");
      assert.equal(await succeeds("gh", "api", "user", "--jq", ".login"), "fleet-admin\n");
      const groups = "orgs/acme/actions/runner-groups";
      assert.equal(
        await succeeds("gh", "api", groups, "--jq", ".runner_groups[].name"),
        "Default\n",
      );
      const secret = ["secret", "set", "TOKEN", "--org", "acme"];
      await succeeds("gh", ...secret, "--visibility", "all", "--body", "first");
      assert.match(await succeeds("gh", "secret", "list", "--org", "acme"), /^TOKEN\t\S+\tALL$/m);
      await succeeds("gh", ...secret, "--repos", "webppt,hello", "--body", "second");
      const chosen = "orgs/acme/actions/secrets/TOKEN/repositories";
      assert.equal(
        await succeeds("gh", "api", chosen, "--jq", '[.repositories[].name] | sort | join(",")'),
        "hello,webppt\n",
      );
      await succeeds("gh", "secret", "delete", "TOKEN", "--org", "acme");
      assert.equal(await succeeds("gh", "secret", "list", "--org", "acme"), "");

      const workflow = "name: Build\non: push\njobs: {}\n";
      await succeeds(
        ...(["gh", "api", "-X", "PUT"] as const),
        "repos/acme/webppt/contents/.github/workflows/build.yml",
        ...["-f", "message=Add", "-f", `content=${Buffer.from(workflow).toString("base64")}`],
      );
      assert.match(await succeeds("gh", "workflow", "list", "-R", "acme/webppt"), /^Build\tactive/);
      assert.equal(await succeeds("gh", "run", "list", "-R", "acme/webppt"), "");
      assert.match(await succeeds("gh", "repo", "view", "acme/webppt"), /^name:\tacme\/webppt$/m);
      const status = await succeeds("gh", "auth", "status", "-h", environment.GH_HOST ?? "");
      // Older ones print it to standard error.
      if (status !== "") assert.match(status, /fleet-admin/);
      const refused = await run("gh", "repo", "list", "acme");
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr, /of the local cloud, which answers few queries/);
    });

    it("is all that hcloud needs", async function () {
      requireClient(this, "hcloud");
      const created = ["--name", "one", "--type", "cx23", "--image", "debian-13"];
      await succeeds("hcloud", "network", "create", "--name", "net", "--ip-range", "10.9.0.0/16");
      const subnet = ["--type", "cloud", "--network-zone", "eu-central"];
      await succeeds(
        ...(["hcloud", "network", "add-subnet", "net", ...subnet] as const),
        ...["--ip-range", "10.9.1.0/24"],
      );
      await succeeds("hcloud", "server", "create", ...created, "--network", "net");
      const list = ["server", "list", "-o", "noheader", "-o", "columns=name,status"];
      assert.match(await succeeds("hcloud", ...list), /^one +running/);
      await succeeds("hcloud", "server", "poweroff", "one");
      await succeeds("hcloud", "server", "change-type", "one", "cx33", "--keep-disk");
      const described = await succeeds("hcloud", "server", "describe", "one", "-o", "json");
      const { status, server_type: type } = JSON.parse(described) as {
        status: string;
        server_type: { name: string };
      };
      // Hetzner starts a server again when its type has changed.
      assert.deepEqual([status, type.name], ["running", "cx33"]);
      await succeeds("hcloud", "server", "delete", "one");
      assert.equal(await succeeds("hcloud", ...list), "");
      const unknown = await run("hcloud", "floating-ip", "list");
      assert.notEqual(unknown.code, 0);
      assert.match(unknown.stderr + unknown.stdout, /not served by the local Hetzner API/);
    });

    it("ends with the first Ctrl-C, heeds no second one, and leaves nothing", async () => {
      assert.ok(service);
      service.child.kill("SIGINT");
      service.child.kill("SIGINT");
      assert.equal(await service.ended, 0, service.errors());
      assert.deepEqual(await leftIn(folder), []);
    });
  });

  it("goes on when no one reads its output any more", async () => {
    service = start(folder, "--hosts", "thin");
    service.child.stdout?.destroy();
    await service.says(SERVING);
    assert.equal(service.child.exitCode, null);
    service.child.kill("SIGTERM");
    assert.equal(await service.ended, 0, service.errors());
  });

  it("ends with a Ctrl-C while it starts, and leaves nothing", async () => {
    for (const text of ["engine:", "tsx"]) {
      service = start(folder, "--hosts", "thin");
      // Before anything is said, Node itself may still be the one that starts.
      if (text === "engine:") await service.says(text);
      service.child.kill("SIGINT");
      const code = await service.ended;
      assert.ok(code === 130 || code === null, `code ${code}: ${service.errors()}`);
      assert.equal(service.out(), "");
      assert.deepEqual(await leftIn(folder), []);
    }
  });

  it("refuses arguments that it does not know, in one sentence", async () => {
    for (const [args, says] of [
      [["--hosts", "fat"], '--hosts: found "fat", expected booted or thin.'],
      [["--port"], "Unknown option '--port'"],
    ] as const) {
      service = start(folder, ...args);
      assert.equal(await service.ended, 1);
      assert.equal(service.errors().trim(), says);
      assert.equal(service.out(), "");
    }
  });
});

/** Folders of the service's, other than what the test or Node's tools put there, and processes that run in it. */
async function leftIn(folder: string): Promise<string[]> {
  const folders = (await readdir(folder)).filter((name) => name.startsWith("runner-fleet-"));
  const processes: string[] = [];
  for (const pid of existsSync("/proc/self") ? await readdir("/proc") : []) {
    if (!/^\d+$/.test(pid)) continue;
    const environment = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    if (environment.split("\0").includes(`TMPDIR=${folder}`)) processes.push(`process ${pid}`);
  }
  return [...folders, ...processes];
}
