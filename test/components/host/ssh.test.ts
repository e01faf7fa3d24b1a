import assert from "node:assert/strict";
import { createServer, Socket, type AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { ServerChannel } from "ssh2";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { runOverSsh, type SshError, type SshTarget } from "../../../components/host/ssh";
import { keyPair } from "../config/settings";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "./sshServer";

describe("runOverSsh", () => {
  let server: SshServer;
  let target: SshTarget;
  /** What the host does with a command. */
  let execute: (channel: ServerChannel) => void;

  beforeEach(async () => {
    server = await sshServer((channel) => execute(channel));
    target = {
      host: "127.0.0.1",
      port: server.port,
      privateKey: LOGIN.privateKey,
      hostKey: HOST_KEY.publicKey,
    };
  });

  // A connection that was left open would run into Mocha's time limit here.
  afterEach(() => server.close());

  it("resolves with what the command says on both streams", async () => {
    execute = (channel) => {
      channel.write("one\n");
      channel.stderr.write("two\n");
      channel.exit(0);
      channel.end();
    };
    const output = await runOverSsh(target, "say it", 10);
    assert.deepEqual(output.split("\n").sort(), ["", "one", "two"]);
    assert.deepEqual(server.asked, ["say it"]);
  });

  it("sends every message at once, not after the receipt of the one before", async () => {
    execute = (channel) => {
      channel.exit(0);
      channel.end();
    };
    const original = Object.getOwnPropertyDescriptor(Socket.prototype, "setNoDelay")!;
    const setNoDelay = original.value as Socket["setNoDelay"];
    const asked: (number | undefined)[] = [];
    Socket.prototype.setNoDelay = function (noDelay) {
      if (noDelay === true) this.once("connect", () => asked.push(this.remotePort));
      return setNoDelay.call(this, noDelay);
    };
    try {
      await runOverSsh(target, "true", 10);
    } finally {
      Object.defineProperty(Socket.prototype, "setNoDelay", original);
    }
    assert.ok(asked.includes(server.port));
  });

  it("hands on what the command says as it says it, each stream by itself", async () => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    execute = (channel) => {
      channel.write("one\n");
      // Only who has heard the first word says the second.
      stdout.once("data", () => {
        channel.stderr.write("two\n");
        channel.exit(0);
        channel.end();
      });
    };
    const output = await runOverSsh(target, "say it", 10, { stdout, stderr });
    assert.equal(output, "one\ntwo\n");
    assert.equal(String(stderr.read()), "two\n");
    assert.ok(!stdout.writableEnded && !stderr.writableEnded, "they are the caller's to end");
  });

  for (const [title, stdin] of [
    ["a text", "three\nlines\nof it"],
    ["a stream", new PassThrough().end("three\nlines\nof it")],
  ] as const) {
    it(`gives the command ${title} to read, and its end`, async () => {
      execute = (channel) => {
        let read = "";
        channel.on("data", (chunk: Buffer) => (read += chunk.toString()));
        channel.on("end", () => {
          channel.write(read);
          channel.exit(0);
          channel.end();
        });
      };
      assert.equal(await runOverSsh(target, "cat", 10, { stdin }), "three\nlines\nof it");
    });
  }

  it("stops waiting when it is told to, and the command sees the end of its input", async () => {
    const controller = new AbortController();
    const heard = new Promise<void>((resolve) => {
      execute = (channel) => {
        channel.on("close", resolve);
        channel.resume();
        controller.abort();
      };
    });
    await assert.rejects(
      runOverSsh(target, "follow", Infinity, { signal: controller.signal }),
      (error: SshError) => error.failure === "left",
    );
    await heard;
    // One that is told before it begins asks nobody.
    await assert.rejects(runOverSsh(target, "follow", 10, { signal: controller.signal }));
    await sleep(50);
    assert.deepEqual(server.asked, ["follow"]);
  });

  it("refuses a host that shows another key, and sends it nothing", async () => {
    const other = { ...target, hostKey: hostKeyFromSecret("another host").publicKey };
    await assert.rejects(runOverSsh(other, "say it", 10), /host/i);
    assert.deepEqual(server.asked, []);
  });

  it("fails when the host does not know the login", async () => {
    await assert.rejects(
      runOverSsh({ ...target, privateKey: keyPair().privateKey }, "say it", 10),
      /authentication/i,
    );
    assert.deepEqual(server.asked, []);
  });

  it("fails when nobody listens", async () => {
    const port = await new Promise<number>((resolve) => {
      const other = createServer().listen(0, "127.0.0.1", () => {
        const { port: free } = other.address() as AddressInfo;
        other.close(() => resolve(free));
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
    await assert.rejects(
      runOverSsh(target, "drain", 10),
      /^Error: it ended with a signal: half way$/,
    );
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
