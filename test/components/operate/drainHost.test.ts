import assert from "node:assert/strict";
import type { ServerChannel } from "ssh2";
import { drainHost, undrainHost } from "../../../components/operate/drainHost";
import type { ReachedHost } from "../../../components/operate/reach";
import { changedSlots, describeSlots } from "../../../components/operate/slots";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "../host/sshServer";
import { RUNNER_HOST, TOKEN_SERVICE } from "./hosts";

const BIN = "/opt/runner-fleet/bin";

function slot(number: number, state: string) {
  const runner = state === "drained" ? null : `dev-arm64-1-1-${number}-abc123`;
  return { slot: number, state, runner, failures: 0, since: null, drainedBy: null };
}

describe("what a host's slots do", () => {
  it("is said in a few words", () => {
    assert.equal(
      describeSlots([slot(1, "working"), slot(2, "drained")]),
      "slot 1 working, slot 2 drained",
    );
    assert.equal(describeSlots([]), "it has no slot");
  });

  it("is said again where it has changed", () => {
    const before = [slot(1, "working"), slot(2, "listening")];
    const now = [slot(1, "draining"), slot(2, "listening"), slot(3, "drained")];
    assert.deepEqual(changedSlots(before, now), [
      "slot 1: draining (dev-arm64-1-1-1-abc123)",
      "slot 3: drained",
    ]);
  });
});

describe("a drain that a person follows", () => {
  let server: SshServer;
  let reached: ReachedHost;
  let said: string[];
  let interruption: AbortController;
  /** States of the two slots. */
  let states: [string, string];
  /** Plays `bin/drain` and `bin/undrain`. */
  let work: (command: string, end: (code: number, words?: string) => void) => void;

  beforeEach(async () => {
    said = [];
    states = ["working", "listening"];
    interruption = new AbortController();
    const answer = (channel: ServerChannel) => (code: number, words?: string) => {
      if (words !== undefined) channel.stderr.write(`${words}\n`);
      channel.exit(code);
      channel.end();
    };
    server = await sshServer((channel) => {
      const command = server.asked.at(-1)!;
      if (command !== `${BIN}/status`) return work(command, answer(channel));
      const slots = states.map((state, index) => slot(index + 1, state));
      const disk = { sizeBytes: 2, freeBytes: 1, freePercent: 50 };
      channel.write(JSON.stringify({ host: "dev-arm64-1-1", disk, slots }));
      answer(channel)(0);
    });
    reached = {
      host: RUNNER_HOST,
      target: {
        host: "127.0.0.1",
        port: server.port,
        privateKey: LOGIN.privateKey,
        hostKey: HOST_KEY.publicKey,
      },
    };
  });
  afterEach(() => server.close());

  const watch = () => ({
    say: (line: string) => {
      said.push(line.replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/, "TIME"));
    },
    signal: interruption.signal,
    pollSeconds: 0.02,
  });
  const saying = (line: string) =>
    new Promise<void>((resolve) => {
      const look = setInterval(() => {
        if (!said.includes(line)) return;
        clearInterval(look);
        resolve();
      }, 5);
    });
  const commands = () => server.asked.filter((command) => command !== `${BIN}/status`);
  const BACK =
    "`npm run undrain -- dev-arm64-1-1` puts it back into service, as the host does by itself at TIME, at a reboot, or when `pulumi up` changes what runs on it";

  it("says what each slot does until all are drained", async () => {
    work = (_command, end) => {
      void (async () => {
        await saying("slot 1: working (dev-arm64-1-1-1-abc123)");
        states = ["draining", "drained"];
        await saying("slot 1: draining (dev-arm64-1-1-1-abc123)");
        states = ["drained", "drained"];
        await saying("slot 1: drained");
        end(0, "slot 1: its job still runs after 3600 s and is ended");
      })();
    };
    assert.equal(await drainHost(reached, undefined, watch()), 0);
    assert.deepEqual(commands(), [`${BIN}/drain 3600`]);
    assert.deepEqual(said, [
      "dev-arm64-1-1: drains, running jobs may go on for 3600 s",
      "slot 1: working (dev-arm64-1-1-1-abc123)",
      "slot 2: listening (dev-arm64-1-1-2-abc123)",
      "slot 1: draining (dev-arm64-1-1-1-abc123)",
      "slot 2: drained",
      "slot 1: drained",
      "slot 1: its job still runs after 3600 s and is ended",
      `dev-arm64-1-1 is drained; ${BACK}.`,
    ]);
  });

  it("takes another time for running jobs, and says when the host takes up work again", async () => {
    states = ["drained", "drained"];
    work = (_command, end) => end(0);
    const lines: string[] = [];
    const from = Date.now();
    await drainHost(reached, 60, { ...watch(), say: (line) => lines.push(line) });
    const till = Date.now();
    assert.deepEqual(commands(), [`${BIN}/drain 60`]);
    const [, time = ""] = /at (\S+ \S+) UTC/.exec(lines.at(-1) ?? "") ?? [];
    const at = Date.parse(`${time.replace(" ", "T")}Z`);
    const minute = 60_000;
    assert.ok(at > from + 16 * minute - minute && at <= till + 16 * minute, lines.at(-1));
  });

  it("goes on at the host when the wait for it is ended, and says how things stand there", async () => {
    work = () => {
      states = ["draining", "drained"];
      void saying("slot 2: drained").then(() => interruption.abort());
    };
    assert.equal(await drainHost(reached, undefined, watch()), 130);
    assert.equal(
      said.at(-1),
      `dev-arm64-1-1 goes on by itself: slot 1 draining, slot 2 drained; ${BACK}.`,
    );
  });

  it("is none when somebody has put a slot back meanwhile", async () => {
    work = (_command, end) => {
      states = ["drained", "listening"];
      end(0, "slot 2 is back in service");
    };
    assert.equal(await drainHost(reached, undefined, watch()), 1);
    assert.deepEqual(said.slice(-2), [
      "slot 2 is back in service",
      "dev-arm64-1-1 is not drained: slot 1 drained, slot 2 listening.",
    ]);
  });

  it("fails with the words of the host", async () => {
    work = (_command, end) => end(1, "slot 1: Docker does not answer");
    await assert.rejects(drainHost(reached, undefined, watch()), {
      message: "dev-arm64-1-1 is not drained, it ended with 1: slot 1: Docker does not answer.",
    });
  });

  it("fails when nobody answers", async () => {
    const target = { ...reached.target, port: 1 };
    await assert.rejects(
      drainHost({ ...reached, target }, undefined, watch()),
      /^Error: dev-arm64-1-1 is not drained, .*ECONNREFUSED.*\.$/,
    );
  });

  it("is for hosts that run jobs", async () => {
    const message = "HOST: found dev-token-service, expected a host that runs jobs.";
    const other = { ...reached, host: TOKEN_SERVICE };
    await assert.rejects(drainHost(other, undefined, watch()), { message });
    await assert.rejects(undrainHost(other, watch()), { message });
    assert.deepEqual(server.asked, []);
  });

  describe("and takes back", () => {
    it("waits until every slot listens or works", async () => {
      states = ["drained", "drained"];
      work = (_command, end) => {
        states = ["starting", "drained"];
        end(0);
        void saying("slot 1: starting (dev-arm64-1-1-1-abc123)").then(() => {
          states = ["listening", "working"];
        });
      };
      assert.equal(await undrainHost(reached, watch()), 0);
      assert.deepEqual(commands(), [`${BIN}/undrain`]);
      assert.deepEqual(said, [
        "slot 1: starting (dev-arm64-1-1-1-abc123)",
        "slot 2: drained",
        "slot 1: listening (dev-arm64-1-1-1-abc123)",
        "slot 2: working (dev-arm64-1-1-2-abc123)",
        "dev-arm64-1-1 is back in service: slot 1 listening, slot 2 working.",
      ]);
    });

    it("says what is not back yet when the wait is ended", async () => {
      states = ["backing-off", "listening"];
      work = (_command, end) => {
        end(0);
        void saying("slot 1: backing-off (dev-arm64-1-1-1-abc123)").then(() =>
          interruption.abort(),
        );
      };
      assert.equal(await undrainHost(reached, watch()), 130);
      assert.equal(
        said.at(-1),
        "dev-arm64-1-1 is not yet back in service: slot 1 backing-off, slot 2 listening.",
      );
    });
  });
});
