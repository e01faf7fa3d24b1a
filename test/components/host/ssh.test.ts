import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { Server, type ServerChannel, utils } from "ssh2";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { runOverSsh, type SshTarget } from "../../../components/host/ssh";
import { keyPair } from "../config/settings";

const HOST_KEY = hostKeyFromSecret("the host");
const LOGIN = keyPair();

describe("runOverSsh", () => {
  let server: Server;
  let target: SshTarget;
  let asked: string[];
  /** What the host does with a command; the tests replace it. */
  let execute: (channel: ServerChannel, command: string) => void;

  beforeEach(async () => {
    asked = [];
    const allowed = utils.parseKey(LOGIN.publicKey);
    if (allowed instanceof Error) throw allowed;
    server = new Server({ hostKeys: [HOST_KEY.privateKey] }, (client) => {
      client.on("error", () => undefined);
      client.on("authentication", (context) => {
        const known =
          context.method === "publickey" &&
          context.username === "root" &&
          context.key.data.equals(allowed.getPublicSSH()) &&
          (context.signature === undefined ||
            (context.blob !== undefined &&
              allowed.verify(context.blob, context.signature, context.hashAlgo) === true));
        if (known) context.accept();
        else context.reject(["publickey"]);
      });
      client.on("session", (accept) => {
        accept().on("exec", (acceptExec, _reject, { command }) => {
          asked.push(command);
          execute(acceptExec(), command);
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    target = {
      host: "127.0.0.1",
      port,
      privateKey: LOGIN.privateKey,
      hostKey: HOST_KEY.publicKey,
    };
  });

  // Ends when the last connection does: a test that left one open would run into Mocha's time limit here.
  afterEach((done) => void server.close(() => done()));

  it("resolves with what the command says on both streams", async () => {
    execute = (channel) => {
      channel.write("one\n");
      channel.stderr.write("two\n");
      channel.exit(0);
      channel.end();
    };
    const output = await runOverSsh(target, "say it", 10);
    assert.deepEqual(output.split("\n").sort(), ["", "one", "two"]);
    assert.deepEqual(asked, ["say it"]);
  });

  it("refuses a host that shows another key, and sends it nothing", async () => {
    const other = { ...target, hostKey: hostKeyFromSecret("another host").publicKey };
    await assert.rejects(runOverSsh(other, "say it", 10), /host/i);
    assert.deepEqual(asked, []);
  });

  it("fails when the host does not know the login", async () => {
    await assert.rejects(
      runOverSsh({ ...target, privateKey: keyPair().privateKey }, "say it", 10),
      /authentication/i,
    );
    assert.deepEqual(asked, []);
  });

  it("fails when nobody listens", async () => {
    const port = await new Promise<number>((resolve) => {
      const other = new Server({ hostKeys: [HOST_KEY.privateKey] }, () => undefined);
      other.listen(0, "127.0.0.1", () => {
        const { port } = other.address() as AddressInfo;
        other.close(() => resolve(port));
      });
    });
    await assert.rejects(runOverSsh({ ...target, port }, "say it", 10), /ECONNREFUSED/);
  });

  it("tells the last words of a command that fails", async () => {
    execute = (channel) => {
      channel.write(`${"x".repeat(10_000)}\n`);
      channel.stderr.write("slot 2: still busy\n");
      channel.exit(3);
      channel.end();
    };
    await assert.rejects(runOverSsh(target, "drain", 10), (error: Error) => {
      assert.match(error.message, /^it ended with 3: x/);
      assert.match(error.message, /slot 2: still busy$/);
      assert.ok(error.message.length <= 4096 + 20);
      return true;
    });
  });

  it("tells of a command that was killed", async () => {
    execute = (channel) => {
      channel.write("half way");
      channel.exit("KILL");
      channel.end();
    };
    await assert.rejects(runOverSsh(target, "drain", 10), {
      message: "it ended with a signal: half way",
    });
  });

  it("fails when the host goes away meanwhile", async () => {
    execute = (channel) => {
      channel.write("half way");
      channel.destroy();
    };
    await assert.rejects(runOverSsh(target, "drain", 10), /^Error: it ended with a signal: half way$/);
  });

  it("gives up after the time limit", async () => {
    execute = () => undefined;
    const started = Date.now();
    await assert.rejects(runOverSsh(target, "drain", 0.3), { message: "no end after 0.3 s" });
    assert.ok(Date.now() - started < 5_000);
  });

  it("keeps nothing waiting for the time limit once it is done", async () => {
    execute = (channel) => {
      channel.exit(0);
      channel.end();
    };
    const { setTimeout: start, clearTimeout: stop } = globalThis;
    const running = new Set<unknown>();
    globalThis.setTimeout = ((callback: () => void, delay?: number) => {
      const timer = start(callback, delay);
      if (delay === 3_600_000) running.add(timer);
      return timer;
    }) as typeof setTimeout;
    globalThis.clearTimeout = (timer) => {
      running.delete(timer);
      stop(timer);
    };
    try {
      await runOverSsh(target, "drain", 3_600);
      const other = { ...target, hostKey: hostKeyFromSecret("another host").publicKey };
      await assert.rejects(runOverSsh(other, "drain", 3_600));
    } finally {
      globalThis.setTimeout = start;
      globalThis.clearTimeout = stop;
    }
    assert.equal(running.size, 0);
  });
});
