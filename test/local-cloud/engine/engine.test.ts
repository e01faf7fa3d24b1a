import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Server } from "ssh2";
import {
  type Engine,
  engineEnvironment,
  firstEngine,
  prepareEngine,
} from "../../../local-cloud/engine";
import { olderThan } from "../../../local-cloud/engine/build";
import { newKeyPair } from "../../../local-cloud/hosts/keys";

const PASSWORD = "hidden-in-the-state";

describe("prepareEngine", () => {
  const source = (origin: Engine["origin"], bin: string | undefined, asked: string[]) => ({
    origin,
    find: () => {
      asked.push(origin);
      return Promise.resolve(bin);
    },
  });

  it("takes the first way that is open and asks no further", async () => {
    const asked: string[] = [];
    const engine = await firstEngine(
      [
        source("machine", undefined, asked),
        source("download", "/bin-d", asked),
        source("build", "/bin-b", asked),
      ],
      () => assert.fail("nothing to say about a published engine"),
    );
    assert.deepEqual(engine, { bin: "/bin-d", origin: "download" });
    assert.deepEqual(asked, ["machine", "download"]);
  });

  it("says that a build runs the stand-in for the command plugin", async () => {
    const lines: string[] = [];
    const engine = await firstEngine([source("build", "/b", [])], (line) => lines.push(line));
    assert.equal(engine.origin, "build");
    assert.match(lines.join("\n"), /^engine: @pulumi\/command runs on this project's stand-in/);
  });

  it("fails when no way is open", async () => {
    await assert.rejects(
      firstEngine([source("machine", undefined, [])], () => undefined),
      /No way to a Pulumi engine/,
    );
  });

  it("refuses a RUNNER_FLEET_ENGINE that it does not know", async () => {
    const before = process.env.RUNNER_FLEET_ENGINE;
    process.env.RUNNER_FLEET_ENGINE = "docker";
    try {
      await assert.rejects(prepareEngine(), /RUNNER_FLEET_ENGINE is "docker", expected "build"/);
    } finally {
      if (before === undefined) delete process.env.RUNNER_FLEET_ENGINE;
      else process.env.RUNNER_FLEET_ENGINE = before;
    }
  });

  it("compares Go versions by number", () => {
    assert.equal(olderThan("1.9.9", "1.26"), true);
    assert.equal(olderThan("1.26", "1.26.4"), true);
    assert.equal(olderThan("1.26.8", "1.26.4"), false);
    assert.equal(olderThan("2.0", "1.26.4"), false);
    assert.equal(olderThan("1.26.4", "1.26.4"), false);
  });
});

describe("the engine", function () {
  this.timeout(20 * 60_000);

  let folder: string;
  let environment: Record<string, string>;
  let sshd: Awaited<ReturnType<typeof startSshd>>;

  before(async () => {
    const engine = await prepareEngine();
    folder = mkdtempSync(path.join(tmpdir(), "engine-test-"));
    cpSync(path.join(__dirname, "program"), folder, { recursive: true });
    symlinkSync(
      path.resolve(__dirname, "../../../node_modules"),
      path.join(folder, "node_modules"),
    );
    environment = engineEnvironment(engine, path.join(folder, "state"), {
      ...process.env,
      GITHUB_TOKEN: "personal",
      SSH_AUTH_SOCK: "/nonexistent",
    });
    sshd = await startSshd();
    await pulumi("stack", "init", "dev");
    for (const [key, value] of Object.entries({ port: sshd.port, hostKey: sshd.hostKey })) {
      await pulumi("config", "set", key, "--", String(value));
    }
    await pulumi("config", "set", "--secret", "password", PASSWORD);
  });

  after(() => {
    sshd?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  /** Runs pulumi as a user types it; output is stdout and stderr together. */
  function attempt(...args: string[]): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn("pulumi", ["--non-interactive", ...args], {
        cwd: folder,
        env: environment,
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => (output += text));
      }
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, output }));
    });
  }

  async function pulumi(...args: string[]): Promise<string> {
    const { code, output } = await attempt(...args);
    assert.equal(code, 0, `pulumi ${args.join(" ")} ended with ${code}:\n${output}`);
    return output;
  }

  it("takes nothing personal into a run", () => {
    assert.equal(environment["GITHUB_TOKEN"], undefined);
    assert.equal(environment["SSH_AUTH_SOCK"], undefined);
    assert.match(environment["PULUMI_HOME"] ?? "", /^\/.*\/state\/home$/);
  });

  it("brings a program up, hook included, and warns of nothing", async () => {
    const output = await pulumi("up", "--yes", "--skip-preview");
    assert.match(output, /hook ran for pet/);
    assert.match(output, /from stdout/);
    assert.match(output, /from stderr/);
    assert.match(output, /\+ 5 created/);
    assert.doesNotMatch(output, /warning/i);
    assert.deepEqual(sshd.commands, ["cat"]);
  });

  it("shows no change in the next preview, and none after a refresh", async () => {
    assert.match(await pulumi("preview", "--expect-no-changes"), /5 unchanged/);
    await pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes");
  });

  it("keeps secrets encrypted in the state, and hands them out when asked", async () => {
    const state = readFileSync(
      path.join(folder, "state/backend/.pulumi/stacks/engine-test/dev.json"),
      "utf8",
    );
    assert.ok(state.includes("ciphertext"));
    assert.ok(!state.includes(PASSWORD));
    const outputs = JSON.parse(await pulumi("stack", "output", "--json", "--show-secrets")) as {
      echoed: string;
      said: string;
      generated: string;
    };
    assert.equal(outputs.echoed, PASSWORD);
    assert.match(outputs.said, /^pet is \w+-\w+$/);
    assert.equal(outputs.generated.length, 20);
    assert.ok(!state.includes(outputs.generated));
    const hidden = JSON.parse(await pulumi("stack", "output", "--json")) as Record<string, string>;
    assert.equal(hidden["echoed"], "[secret]");
    assert.equal(hidden["generated"], "[secret]");
  });

  it("runs an update for a changed input", async () => {
    await pulumi("config", "set", "greeting", "again");
    assert.match(await pulumi("up", "--yes", "--skip-preview"), /~ 1 updated/);
    await pulumi("config", "rm", "greeting");
  });

  it("reports a RunError in one line, without a stack trace", async () => {
    await pulumi("config", "set", "fail", "run");
    const { code, output } = await attempt("preview");
    await pulumi("config", "rm", "fail");
    assert.notEqual(code, 0);
    assert.match(output, /error: config key fail is "run", expected nothing/);
    assert.doesNotMatch(output, /^\s+at .*:\d+/m);
    assert.doesNotMatch(output, /non-zero exit code/);
  });

  it("refuses a config value of the wrong type by the key's name", async () => {
    await pulumi("config", "set", "port", "many");
    const { code, output } = await attempt("preview");
    await pulumi("config", "set", "port", String(sshd.port));
    assert.notEqual(code, 0);
    assert.match(output, /configuration key 'port' must be of type 'integer'/);
  });

  it("ends the program when the run is cancelled", async () => {
    await pulumi("config", "set", "fail", "hang");
    const child = spawn("pulumi", ["preview", "--non-interactive"], {
      cwd: folder,
      env: environment,
    });
    let output = "";
    const pid = await new Promise<number>((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const found = /program (\d+) hangs/.exec(output)?.[1];
        if (found) resolve(Number(found));
      });
      child.on("close", () => reject(new Error(`ended too early:\n${output}`)));
    });
    const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
    child.kill("SIGINT");
    await closed;
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" }, "the program outlived its run");
    await pulumi("config", "rm", "fail");
    await attempt("cancel", "--yes");
  });

  it("destroys without running the program, old connection and all", async () => {
    await pulumi("config", "set", "fail", "run");
    assert.match(await pulumi("destroy", "--yes", "--skip-preview"), /- 5 deleted/);
    assert.deepEqual(sshd.commands.slice(-1), ["echo gone"]);
  });
});

/** An SSH server that answers "cat" with its input and everything else with nothing. */
async function startSshd(): Promise<{
  port: number;
  hostKey: string;
  commands: string[];
  close(): void;
}> {
  const key = newKeyPair();
  const commands: string[] = [];
  const server = new Server({ hostKeys: [key.private] }, (client) => {
    client.on("error", () => client.end());
    client.on("authentication", (context) => {
      if (context.method === "password" && context.password === PASSWORD) context.accept();
      else context.reject(["password"]);
    });
    client.on("session", (accept) => {
      accept().on("exec", (acceptExec, _reject, { command }) => {
        commands.push(command);
        const stream = acceptExec();
        const finish = () => {
          stream.exit(0);
          stream.end();
        };
        // Reads its input to the end first: a client that cannot send it all reports that as a failure of the command.
        stream.on("end", finish);
        if (command === "cat") stream.pipe(stream, { end: false });
        else stream.resume();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    hostKey: key.public,
    commands,
    close: () => void server.close(),
  };
}
