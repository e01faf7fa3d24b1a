import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { renderCloudInit } from "../../../components/host/cloudInit";
import { Host, type HostArgs } from "../../../components/host/host";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { deploy, only, valueOf } from "../../helpers/mocks";
import { ENVIRONMENT, hostKeySecret, secretPlaces, SSH_KEY, summarize } from "./recorded";

const ARGS: HostArgs = {
  environment: ENVIRONMENT,
  serverName: "dev-arm64-1-1",
  serverType: "cax21",
  location: "fsn1",
  labels: { role: "runner", pool: "arm64" },
  script: "canary-script",
};
const hostKey = hostKeyFromSecret(hostKeySecret("one"));

async function host(change: Partial<HostArgs> = {}) {
  let made: Host | undefined;
  const resources = await deploy(() => {
    made = new Host("one", { ...ARGS, ...change });
  });
  return { host: made!, resources };
}

describe("Host", () => {
  it("asks for a key, a server in the private network, and its stack", async () => {
    const { resources } = await host();
    const id = Number(only(resources, "command:remote:Command").inputs.triggers?.[0]);
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:Host one": { inputs: {} },
      "random:index/randomPassword:RandomPassword one-host-key": {
        parent: "one",
        inputs: { length: 64, special: false },
      },
      "hcloud:index/server:Server one": {
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
      "command:remote:Command one-stack": {
        parent: "one",
        inputs: {
          connection: {
            host: "HOST",
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
        options: {},
      },
    });
  });
});
