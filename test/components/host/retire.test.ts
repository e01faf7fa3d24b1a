import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import type { ServerChannel } from "ssh2";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { type Pace, type Retirement, retire, shutDown } from "../../../components/host/retire";
import { keyPair } from "../config/settings";
import { HostApis, ORGANIZATION } from "./apis";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "./sshServer";

const HOST = "dev-arm64-1-1";
const PACE: Pace = { deadAfter: 0.5, poll: 0.05, grace: 0.5, busy: 0.5 };
const DRAIN = { command: "/opt/runner-fleet/bin/drain 60", timeoutSeconds: 1 };

describe("retire", () => {
  let apis: HostApis;
  let ssh: SshServer;
  let serverId: string;
  let warnings: string[];
  /** What the host does with a command. */
  let execute: (channel: ServerChannel) => void;

  beforeEach(async () => {
    apis = await HostApis.open();
    execute = ends(0);
    ssh = await sshServer((channel) => execute(channel));
    serverId = (await apis.addServer(HOST)).id;
    warnings = [];
  });
  afterEach(async () => {
    await ssh.close();
    await apis.close();
  });

  function ends(code: number, words = "") {
    return (channel: ServerChannel) => {
      channel.stderr.write(words);
      channel.exit(code);
      channel.end();
    };
  }

  function job(change: Partial<Retirement> = {}): Retirement {
    return {
      host: HOST,
      serverId,
      hetzner: apis.hetzner,
      drain: DRAIN,
      ssh: {
        host: "127.0.0.1",
        port: ssh.port,
        privateKey: LOGIN.privateKey,
        hostKey: HOST_KEY.publicKey,
      },
      runners: { github: apis.github, organization: ORGANIZATION },
      ...change,
    };
  }

  const run = (change: Partial<Retirement> = {}) =>
    retire(job(change), (sentence) => warnings.push(sentence), PACE);

  async function unusedPort(): Promise<number> {
    return new Promise((resolve) => {
      const other = createServer().listen(0, "127.0.0.1", () => {
        const { port } = other.address() as AddressInfo;
        other.close(() => resolve(port));
      });
    });
  }

  describe("over SSH", () => {
    it("drains the host, and leaves it on", async () => {
      await run();
      assert.deepEqual(ssh.asked, [
        "test ! -x /opt/runner-fleet/bin/drain || exec /opt/runner-fleet/bin/drain 60",
      ]);
      assert.equal(apis.statusOf(serverId), "running");
      assert.deepEqual(warnings, []);
    });

    it("is harmless when repeated, also when the server is gone", async () => {
      await run();
      await run();
      await run({ serverId: "4711" });
      assert.equal(ssh.asked.length, 2);
      assert.deepEqual(warnings, [`${HOST} is absent, so it is not drained.`]);
    });

    it("gives up a server that is off, at once", async () => {
      await apis.power(serverId, "poweroff");
      await run();
      assert.deepEqual(ssh.asked, []);
      assert.deepEqual(warnings, [`${HOST} is off, so it is not drained.`]);
    });

    it("gives up a host that does not answer", async () => {
      await run({ ssh: { ...job().ssh!, port: await unusedPort() } });
      assert.equal(warnings.length, 1);
      assert.match(
        warnings[0]!,
        /^dev-arm64-1-1 has not answered for 0\.5 s \(.*ECONNREFUSED.*\), so it is not drained\.$/,
      );
    });

    it("shuts down a living host that SSH does not reach: its runners are online", async () => {
      await (await apis.addRunner(`${HOST}-1-abc123`)).online();
      await run({ ssh: { ...job().ssh!, port: await unusedPort() } });
      assert.equal(apis.statusOf(serverId), "off");
      assert.deepEqual(apis.runners(), []);
      assert.equal(warnings.length, 1);
      assert.match(
        warnings[0]!,
        /^dev-arm64-1-1 cannot be reached by SSH \(.*ECONNREFUSED.*\), but its runners are online, so it is shut down, which drains it\.$/,
      );
    });

    it("does not take another one for the host, nor a refused login for a death", async () => {
      const other = { ...job().ssh!, hostKey: hostKeyFromSecret("another host").publicKey };
      const stranger = { ...job().ssh!, privateKey: keyPair().privateKey };
      for (const wrong of [other, stranger]) {
        await assert.rejects(
          run({ ssh: wrong }),
          /^Error: dev-arm64-1-1 answers SSH but refuses this login or shows another host key \(.*\); power it off at Hetzner to have it deleted as it is\.$/,
        );
      }
      assert.deepEqual(ssh.asked, []);
    });

    it("says why a host cannot be drained", async () => {
      execute = ends(1, "slot 2: docker does not answer\n");
      await assert.rejects(run(), {
        message: `${HOST} cannot be drained, it ended with 1: slot 2: docker does not answer; power it off at Hetzner to have it deleted as it is.`,
      });
    });

    it("says when a drain has no end", async () => {
      execute = () => undefined;
      await assert.rejects(run(), {
        message: `${HOST} cannot be drained, no end after 1.5 s; power it off at Hetzner to have it deleted as it is.`,
      });
    });

    it("begins again when the connection breaks off", async () => {
      execute = (channel) => {
        if (ssh.asked.length < 3) channel.destroy();
        else ends(0)(channel);
      };
      await run();
      assert.equal(ssh.asked.length, 3);
      assert.deepEqual(warnings, []);
    });

    it("gives up a host that dies while it drains", async () => {
      execute = (channel) => {
        void apis.power(serverId, "poweroff").then(() => channel.destroy());
      };
      await run();
      assert.deepEqual(warnings, [`${HOST} is off, so it is not drained.`]);
    });
  });

  describe("by shutdown", () => {
    const alone = { ssh: undefined };

    it("presses the power button and waits", async () => {
      const release = apis.hosts.hold("shutdown");
      const done = run(alone);
      const pressed = () => apis.hosts.calls.some((call) => call.startsWith("shutdown"));
      for (let tries = 0; !pressed() && tries < 200; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.equal(apis.statusOf(serverId), "running");
      release();
      await done;
      assert.equal(apis.statusOf(serverId), "off");
      assert.deepEqual([ssh.asked, warnings], [[], []]);
    });

    it("is content with a server that is off or gone", async () => {
      await apis.power(serverId, "poweroff");
      await run(alone);
      await run({ ...alone, serverId: "4711" });
      assert.deepEqual(warnings, []);
      assert.equal(apis.hosts.calls.filter((call) => call.startsWith("shutdown")).length, 0);
    });

    it("gives up a dead host, of which no runner is online", async () => {
      apis.hosts.ignoresShutdown = true;
      await apis.addRunner(`${HOST}-1-abc123`);
      await run(alone);
      assert.deepEqual(warnings, [
        `${HOST} has had no runner online for 0.5 s and does not shut down, so it is not waited for any more.`,
      ]);
      assert.deepEqual(apis.runners(), []);
    });

    it("waits for a host with a runner online, up to the limit", async () => {
      apis.hosts.ignoresShutdown = true;
      await (await apis.addRunner(`${HOST}-1-abc123`)).online();
      const started = performance.now();
      await run(alone);
      assert.ok(performance.now() - started >= 1_400);
      assert.deepEqual(warnings, [
        `${HOST} is still running after 1.5 s, so it is not waited for any more.`,
      ]);
    });

    it("needs no runners", async () => {
      await shutDown(job({ ...alone, runners: undefined }), assert.fail, PACE);
      assert.equal(apis.statusOf(serverId), "off");
    });
  });

  describe("the runners that are left", () => {
    it("are deleted, and nobody else's", async () => {
      const others = [`${HOST}-1-1-abc123`, `${HOST}1-1-abc123`, "dev-arm64-1-2-1-abc123", "mine"];
      for (const name of [`${HOST}-1-abc123`, `${HOST}-2-000000`, `${HOST}-1`, ...others]) {
        await apis.addRunner(name);
      }
      await run();
      assert.deepEqual(apis.runners(), others.sort());
    });

    it("are found on every page", async () => {
      for (let count = 0; count < 100; count++) await apis.addRunner(`other-${count}`);
      await apis.addRunner(`${HOST}-2-abc123`);
      await run();
      assert.equal(apis.runners().length, 100);
    });

    it("are deleted as well when the host is dead", async () => {
      await apis.addRunner(`${HOST}-1-abc123`);
      await apis.power(serverId, "poweroff");
      await run();
      assert.deepEqual(apis.runners(), []);
    });

    it("are waited for while GitHub counts them as busy", async () => {
      await apis.addRunner(`${HOST}-1-abc123`);
      apis.refuseDeletions(3);
      await run();
      assert.deepEqual([apis.runners(), warnings], [[], []]);
    });

    it("are left to GitHub when it goes on doing so", async () => {
      await apis.addRunner(`${HOST}-1-abc123`);
      apis.refuseDeletions(1_000);
      await run();
      assert.deepEqual(warnings, [
        `${HOST}: GitHub counts ${HOST}-1-abc123 as busy and deletes it by itself when it has noticed the end of the job.`,
      ]);
    });

    it("need a token that may list them; it is in no message", async () => {
      const github = { ...apis.github, token: "ghp_wrong" };
      await assert.rejects(run({ runners: { github, organization: ORGANIZATION } }), {
        message: "GitHub answered 401 to GET /orgs/acme/actions/runners?per_page=100&page=1.",
      });
    });
  });
});
