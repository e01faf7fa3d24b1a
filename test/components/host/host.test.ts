import assert from "node:assert/strict";
import type * as pulumi from "@pulumi/pulumi";
import { renderCloudInit } from "../../../components/host/cloudInit";
import { drainBeforeRescale, Host, type HostArgs } from "../../../components/host/host";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { only, valueOf } from "../../helpers/mocks";
import {
  deployWithHooks,
  ENVIRONMENT,
  hostKeySecret,
  secretPlaces,
  SSH_KEY,
  summarize,
} from "./recorded";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "./sshServer";

const SERVER = "hcloud:index/server:Server";
const EPOCH = "random:index/randomId:RandomId";
const STACK = "command:remote:Command";
const ARGS: HostArgs = {
  environment: ENVIRONMENT,
  serverName: "dev-arm64-1-1",
  serverType: "cax21",
  location: "fsn1",
  labels: { role: "runner", pool: "arm64" },
  script: "canary-script",
};
const hostKey = hostKeyFromSecret(hostKeySecret("one"));

async function deployHost(change: Partial<HostArgs> = {}) {
  let host: Host | undefined;
  const deployed = await deployWithHooks(() => {
    host = new Host("one", { ...ARGS, ...change });
  });
  return { host: host!, ...deployed };
}

describe("Host", () => {
  it("asks for a key, a server in the private network, and its stack", async () => {
    const { host, resources, beforeUpdate } = await deployHost();
    assert.deepEqual(beforeUpdate, {});
    const id = await valueOf(host.serverId);
    const address = await valueOf(host.ipv4Address);
    assert.match(address, /^203\.0\.113\./);
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:Host one": { inputs: {} },
      "random:index/randomPassword:RandomPassword one-host-key": {
        parent: "one",
        inputs: { length: 64, special: false },
        options: { additionalSecretOutputs: ["bcryptHash", "result"] },
      },
      "random:index/randomId:RandomId one-epoch": {
        parent: "one",
        inputs: { byteLength: 4, keepers: only(resources, EPOCH).inputs.keepers },
        options: { ignoreChanges: ["keepers"] },
      },
      [`${SERVER} one`]: {
        parent: "one",
        inputs: {
          name: "dev-arm64-1-1",
          serverType: "cax21",
          image: "debian-13",
          location: "fsn1",
          sshKeys: ["13"],
          userData: renderCloudInit({ hostKey, sshPort: 22, packages: [], runcmd: [] }),
          firewallIds: [12],
          publicNets: [{ ipv4Enabled: true, ipv6Enabled: true }],
          keepDisk: true,
          labels: { "managed-by": "runner-fleet", stack: "dev", role: "runner", pool: "arm64" },
        },
        secrets: ["userData"],
        options: {
          dependsOn: ["one-host-key"],
          deleteBeforeReplace: true,
          ignoreChanges: ["userData", "image", "location", "sshKeys"],
        },
      },
      "hcloud:index/serverNetwork:ServerNetwork one-network": {
        parent: "one",
        inputs: { serverId: id, subnetId: "11-10.0.1.0/24" },
        options: { dependsOn: ["one"], deleteBeforeReplace: true },
      },
      [`${STACK} one-stack`]: {
        parent: "one",
        inputs: {
          connection: {
            host: address,
            port: 22,
            user: "root",
            privateKey: SSH_KEY,
            hostKey: hostKey.publicKey,
            dialErrorLimit: 60,
            perDialTimeout: 15,
          },
          create: "bash -s",
          stdin: "canary-script",
          triggers: [String(id)],
          logging: "none",
          addPreviousOutputInEnv: false,
        },
        secrets: ["connection", "stdin"],
        options: {
          dependsOn: ["one", "one-host-key", "one-network"],
          deleteBeforeReplace: true,
          additionalSecretOutputs: ["stdout", "stderr", "connection"],
          replaceOnChanges: ["triggers[*]"],
        },
      },
    });
  });

  it("shows secrets nowhere but where the engine encrypts them", async () => {
    const { resources } = await deployHost();
    assert.deepEqual(secretPlaces(resources, SSH_KEY), ["one-stack connection.privateKey"]);
    assert.deepEqual(secretPlaces(resources, "canary-script"), ["one-stack stdin"]);
    assert.deepEqual(secretPlaces(resources, hostKey.privateKey.split("\n")[1]!), ["one userData"]);
    assert.deepEqual(secretPlaces(resources, hostKeySecret("one")), []);
  });

  it("makes a server again that was ordered and never made, and no other", async () => {
    for (const [off, attached, again] of [
      [true, false, true],
      [true, true, false],
      [false, false, false],
      [false, true, false],
    ] as const) {
      const servers = new Map([["one", { off, attached }]]);
      const { resources } = await deployHost({ environment: { ...ENVIRONMENT, servers } });
      const { ignoreChanges } = only(resources, EPOCH).options;
      assert.deepEqual(ignoreChanges, again ? [] : ["keepers"]);
    }
  });

  it("does not ask a server that is off to drain", async () => {
    const servers = new Map([["one", { off: true, attached: true }]]);
    const { beforeUpdate } = await deployHost({
      environment: { ...ENVIRONMENT, servers },
      drain: { command: "take it out", timeoutSeconds: 60 },
    });
    assert.deepEqual(beforeUpdate, {});
  });

  it("passes on what its owner chose", async () => {
    const { host, resources, beforeUpdate } = await deployHost({
      environment: { ...ENVIRONMENT, sshPort: 2222 },
      placementGroupId: 44,
      privateIp: "10.0.1.2",
      packages: ["htop"],
      runcmd: ["touch /srv/ready"],
      drain: { command: "take it out", timeoutSeconds: 60 },
    });
    const server = only(resources, SERVER);
    assert.equal(server.inputs.placementGroupId, 44);
    assert.equal(
      server.inputs.userData,
      renderCloudInit({
        hostKey,
        sshPort: 2222,
        packages: ["htop"],
        runcmd: ["touch /srv/ready"],
      }),
    );
    assert.equal(only(resources, "hcloud:index/serverNetwork:ServerNetwork").inputs.ip, "10.0.1.2");
    const stack = only(resources, STACK);
    assert.deepEqual(beforeUpdate, { one: ["one-drain-before-rescale"] });
    assert.equal(stack.inputs.delete, "take it out");
    assert.equal((stack.inputs.connection as { port: number }).port, 2222);
    assert.equal(await valueOf(host.privateIp), "10.0.1.2");
    assert.equal(await valueOf(host.location), "fsn1");
    assert.equal(await valueOf(host.serverType), "cax21");
  });
});

describe("drainBeforeRescale", () => {
  let server: SshServer;
  let exit: number;
  beforeEach(async () => {
    exit = 0;
    server = await sshServer((channel) => {
      channel.stderr.write("a slot is busy\n");
      channel.exit(exit);
      channel.end();
    });
  });
  afterEach(() => server.close());

  async function update(before: string, wanted: string): Promise<void> {
    const hook = drainBeforeRescale(
      { command: "/opt/runner-fleet/bin/drain 60", timeoutSeconds: 60 },
      { sshPort: server.port, sshPrivateKey: LOGIN.privateKey },
      HOST_KEY.publicKey,
    );
    await hook({
      oldOutputs: { ipv4Address: "127.0.0.1", serverType: before },
      newInputs: { serverType: wanted },
    } as unknown as pulumi.ResourceHookArgs);
  }

  it("drains the host before its type changes", async () => {
    await update("cax21", "cax31");
    assert.deepEqual(server.asked, ["/opt/runner-fleet/bin/drain 60"]);
  });

  it("leaves the host alone when something else changes", async () => {
    await update("cax21", "cax21");
    assert.deepEqual(server.asked, []);
  });

  it("stops the update when the host cannot be drained", async () => {
    exit = 1;
    await assert.rejects(update("cax21", "cax31"), {
      message: "it ended with 1: a slot is busy",
    });
  });
});
