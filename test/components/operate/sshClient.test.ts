import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import type { SshTarget } from "../../../components/host/ssh";
import { splitCommand } from "../../../components/operate/splitCommand";
import { knownHostsLine, runSshClient, sshArguments } from "../../../components/operate/sshClient";
import { needs } from "../host/onPath";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "../host/sshServer";

describe("OpenSSH's client", () => {
  it("is told one key, one host key, and nothing of the user's own", () => {
    const files = { key: "/tmp/x/key", knownHosts: "/tmp/x/known_hosts" };
    assert.equal(
      sshArguments({ host: "192.0.2.1", port: 2222 }, files, ["df", "-h"]).join(" "),
      "-F none -i /tmp/x/key -p 2222 -o IdentitiesOnly=yes -o IdentityAgent=none -o ForwardAgent=no -o PreferredAuthentications=publickey -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/tmp/x/known_hosts -o GlobalKnownHostsFile=none -o UpdateHostKeys=no -o ConnectTimeout=15 -o ServerAliveInterval=30 root@192.0.2.1 -- df -h",
    );
    assert.equal(sshArguments({ host: "192.0.2.1", port: 22 }, files, []).at(-1), "root@192.0.2.1");
  });

  it("is told the pinned key as known_hosts has it", () => {
    const target = { host: "192.0.2.1", privateKey: "", hostKey: "ssh-ed25519 AAAA" };
    assert.equal(knownHostsLine({ ...target, port: 22 }), "192.0.2.1 ssh-ed25519 AAAA\n");
    assert.equal(knownHostsLine({ ...target, port: 2222 }), "[192.0.2.1]:2222 ssh-ed25519 AAAA\n");
  });

  describe("run for real", () => {
    let server: SshServer;
    let target: SshTarget;
    /** Where temporary files go, in the place of the system's folder. */
    let folder: string;
    let before: string | undefined;
    /** Modes of the folder and the files in it, while the client runs. */
    let seen: Record<string, string>;

    beforeEach(async function () {
      needs(this, "ssh", "-V");
      folder = await mkdtemp(join(tmpdir(), "runner-fleet-test-"));
      before = process.env.TMPDIR;
      process.env.TMPDIR = folder;
      seen = {};
      server = await sshServer((channel) => {
        void look().then(() => {
          channel.exit(7);
          channel.end();
        });
      });
      target = {
        host: "127.0.0.1",
        port: server.port,
        privateKey: LOGIN.privateKey.trimEnd(),
        hostKey: HOST_KEY.publicKey,
      };
    });
    afterEach(async () => {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      await server?.close();
      if (folder !== undefined) await rm(folder, { recursive: true });
    });

    async function look(): Promise<void> {
      for (const path of await readdir(folder, { recursive: true })) {
        const { mode } = await stat(join(folder, path));
        seen[path.replace(/ssh-\w+/, "ssh")] = (mode & 0o777).toString(8);
      }
    }

    it("logs in, passes the command on and gives its exit code back; its files are private and gone afterwards", async () => {
      assert.equal(await runSshClient(target, ["say", "it twice"]), 7);
      assert.deepEqual(server.asked, ["say it twice"]);
      assert.deepEqual(seen, {
        "runner-fleet-ssh": "700",
        "runner-fleet-ssh/key": "600",
        "runner-fleet-ssh/known_hosts": "600",
      });
      assert.deepEqual(await readdir(folder), []);
    });

    it("refuses a host that shows another key, and sends it nothing", async () => {
      const other = { ...target, hostKey: hostKeyFromSecret("another host").publicKey };
      assert.equal(await runSshClient(other, ["say"]), 255);
      assert.deepEqual(server.asked, []);
      assert.deepEqual(await readdir(folder), []);
    });

    it("leaves no file behind when it is ended", async () => {
      const interruption = new AbortController();
      const waiting = await sshServer(() => interruption.abort());
      try {
        const there = { ...target, port: waiting.port };
        assert.equal(await runSshClient(there, ["wait"], interruption.signal), 255);
        assert.deepEqual(await readdir(folder), []);
      } finally {
        await waiting.close();
      }
    });

    it("says in one sentence that there is no such program", async () => {
      const path = process.env.PATH;
      process.env.PATH = folder;
      try {
        await assert.rejects(runSshClient(target, []), {
          message: "The program ssh cannot be run (ENOENT), expected OpenSSH's client on the PATH.",
        });
      } finally {
        process.env.PATH = path;
      }
      assert.deepEqual(await readdir(folder), []);
    });

    it("shows the key on no command line", async () => {
      await writeFile(join(folder, "ssh"), '#!/bin/sh\nprintf "%s\\n" "$@" >"$0.arguments"\n', {
        mode: 0o755,
      });
      const path = process.env.PATH;
      process.env.PATH = `${folder}:${path}`;
      try {
        assert.equal(await runSshClient(target, ["say"]), 0);
      } finally {
        process.env.PATH = path;
      }
      const said = spawnSync("cat", [join(folder, "ssh.arguments")]).stdout.toString();
      assert.match(said, /^-F\nnone\n-i\n/);
      for (const line of LOGIN.privateKey.split("\n").slice(1, -2)) {
        assert.ok(!said.includes(line));
      }
    });
  });
});

describe("a command line that ends in a command of a host's", () => {
  for (const [line, own, host, command] of [
    ["arm64-1-1", "", "arm64-1-1", ""],
    ["arm64-1-1 df -h", "", "arm64-1-1", "df -h"],
    ["--stack prod arm64-1-1 df --stack", "--stack prod", "arm64-1-1", "df --stack"],
    ["--stack=prod arm64-1-1 -- df -h", "--stack=prod", "arm64-1-1", "df -h"],
    ["--config-file x.yaml --stack prod", "--config-file x.yaml --stack prod", undefined, ""],
    ["--stak prod arm64-1-1", "--stak", "prod", "arm64-1-1"],
    ["", "", undefined, ""],
  ] as const) {
    it(`"${line}" is for ${host ?? "no host"}`, () => {
      const parts = splitCommand(line.split(" ").filter((word) => word !== ""));
      assert.deepEqual(
        [parts.own.join(" "), parts.host, parts.command.join(" ")],
        [own, host, command],
      );
    });
  }
});
