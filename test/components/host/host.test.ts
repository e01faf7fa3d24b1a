import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { baseModel } from "../../../components/host/base";
import { configHash, hostScript, renderCloudInit } from "../../../components/host/cloudInit";
import {
  checkedUserData,
  drainBeforeRescale,
  Host,
  type HostArgs,
} from "../../../components/host/host";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { only, type RecordedResource, valueOf } from "../../helpers/mocks";
import { HostApis } from "./apis";
import { STACK } from "./models";
import {
  dependencies,
  deployWithHooks,
  ENVIRONMENT,
  GITHUB_TOKEN,
  HCLOUD_TOKEN,
  hostKeySecret,
  secretPlaces,
  SSH_KEY,
  summarize,
} from "./recorded";
import { HOST_KEY, LOGIN, type SshServer, sshServer } from "./sshServer";

const SERVER = "hcloud:index/server:Server";
const EPOCH = "random:index/randomId:RandomId";
const APPLY = "command:remote:Command";
const COMMAND = "command:local:Command";
const ARGS: HostArgs = {
  environment: ENVIRONMENT,
  serverName: "dev-arm64-1-1",
  serverType: "cax21",
  location: "fsn1",
  labels: { role: "runner", pool: "arm64" },
  stack: STACK,
  firewall: { privatePorts: [3000], containersMayReach: [] },
  rebootWindow: "03:00-05:00",
  registryMirrors: {},
};
const ALONE = { ...ENVIRONMENT, management: "none", allowedCidrs: [] } as const;
const DRAIN = { command: "/opt/runner-fleet/bin/drain 60", timeoutSeconds: 60 };
const RUNNERS = { organization: "acme", names: ["dev-arm64-1-1-1", "dev-arm64-1-1-2"] };
const BASE = baseModel(ENVIRONMENT, {
  firewall: { privatePorts: [3000], containersMayReach: [] },
  rebootWindow: "03:00-05:00",
  registryMirrors: {},
  drainSeconds: 0,
  packages: [],
  runcmd: [],
});
const hostKey = hostKeyFromSecret(hostKeySecret("one"));
const LABELS = { "managed-by": "runner-fleet", stack: "dev", role: "runner", pool: "arm64" };
const IGNORED = ["userData", "image", "location", "sshKeys", "labels.config"];

async function deployHost(change: Partial<HostArgs> = {}) {
  let host: Host | undefined;
  const warnings: string[] = [];
  const { warn } = pulumi.log;
  // The mocks' engine prints them.
  Object.assign(pulumi.log, {
    warn: (sentence: string) => {
      warnings.push(sentence);
      return Promise.resolve();
    },
  });
  try {
    const deployed = await deployWithHooks(() => {
      host = new Host("one", { ...ARGS, ...change });
    });
    return { host: host!, warnings, ...deployed };
  } finally {
    Object.assign(pulumi.log, { warn });
  }
}

function environmentOf(resources: readonly RecordedResource[], name: string) {
  return only(resources, COMMAND, name).inputs.environment as Record<string, string>;
}

describe("Host", () => {
  it("asks for a key, a server in the private network, and its stack", async () => {
    const { host, resources, beforeUpdate, onError } = await deployHost();
    assert.deepEqual(beforeUpdate, {});
    assert.deepEqual(onError, { one: ["one-refused-order"] });
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
          userData: renderCloudInit(hostKey, BASE, STACK),
          firewallIds: [12],
          publicNets: [{ ipv4Enabled: true, ipv6Enabled: true }],
          keepDisk: true,
          labels: LABELS,
        },
        secrets: ["userData"],
        options: {
          dependsOn: ["one-host-key"],
          deleteBeforeReplace: true,
          ignoreChanges: IGNORED,
        },
      },
      "hcloud:index/serverNetwork:ServerNetwork one-network": {
        parent: "one",
        inputs: { serverId: id, subnetId: "11-10.0.1.0/24" },
        options: { dependsOn: ["one"], deleteBeforeReplace: true },
      },
      [`${APPLY} one-stack`]: {
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
          stdin: hostScript(BASE, STACK),
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
    assert.deepEqual(secretPlaces(resources, "canary-secret"), ["one-stack stdin"]);
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
      // It may be made elsewhere then.
      assert.deepEqual(
        only(resources, "hcloud:index/server:Server").options.ignoreChanges,
        again ? IGNORED.filter((key) => key !== "location") : IGNORED,
      );
    }
  });

  it("is left as it is once another takes its place", async () => {
    for (const isOutgoing of [true, false]) {
      const { resources } = await deployHost({ isOutgoing });
      assert.deepEqual(
        only(resources, "command:remote:Command").options.ignoreChanges,
        isOutgoing ? ["stdin", "connection"] : [],
      );
    }
  });

  it("does not ask a server that is off to drain", async () => {
    const servers = new Map([["one", { off: true, attached: true }]]);
    const { beforeUpdate } = await deployHost({
      environment: { ...ENVIRONMENT, servers },
      drain: DRAIN,
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
      firewall: {
        privatePorts: [],
        containersMayReach: [{ address: pulumi.output("10.0.1.254"), port: 3000 }],
      },
      drain: DRAIN,
    });
    const base = {
      ...BASE,
      sshPort: 2222,
      packages: ["htop"],
      runcmd: ["touch /srv/ready"],
      privatePorts: [],
      containersMayReach: [{ address: "10.0.1.254", port: 3000 }],
      drainSeconds: 60,
    };
    const server = only(resources, SERVER);
    assert.equal(server.inputs.placementGroupId, 44);
    assert.equal(server.inputs.userData, renderCloudInit(hostKey, base, STACK));
    assert.equal(only(resources, "hcloud:index/serverNetwork:ServerNetwork").inputs.ip, "10.0.1.2");
    const stack = only(resources, APPLY);
    assert.deepEqual(beforeUpdate, { one: ["one-drain-before-rescale"] });
    assert.equal(stack.inputs.stdin, hostScript(base, STACK));
    assert.equal((stack.inputs.connection as { port: number }).port, 2222);
    assert.equal(await valueOf(host.privateIp), "10.0.1.2");
    assert.equal(await valueOf(host.location), "fsn1");
    assert.equal(await valueOf(host.serverType), "cax21");
  });

  it("is retired before its server goes, and before what its stack needs", async () => {
    const { resources, host } = await deployHost({ drain: DRAIN, runners: RUNNERS });
    const id = String(await valueOf(host.serverId));
    assert.deepEqual(summarize(resources)[`${COMMAND} one-retire`], {
      parent: "one",
      inputs: {
        create: "true",
        delete: "node --import tsx components/host/retire.main.ts",
        environment: {
          HOST: "dev-arm64-1-1",
          SERVER_ID: id,
          HCLOUD_API: "https://api.hetzner.cloud/v1",
          HCLOUD_TOKEN,
          SSH_HOST: await valueOf(host.ipv4Address),
          SSH_PORT: "22",
          SSH_HOST_KEY: hostKey.publicKey,
          SSH_PRIVATE_KEY: SSH_KEY,
          DRAIN_COMMAND: "/opt/runner-fleet/bin/drain 60",
          TIMEOUT_SECONDS: "60",
          GITHUB_API: "https://api.github.com",
          GITHUB_ORGANIZATION: "acme",
          GITHUB_TOKEN,
        },
        triggers: [id],
        logging: "stderr",
        addPreviousOutputInEnv: false,
      },
      secrets: ["environment"],
      options: {
        dependsOn: ["one", "one-host-key", "one-network"],
        deleteBeforeReplace: true,
        additionalSecretOutputs: ["stdout", "stderr"],
        replaceOnChanges: ["triggers[*]"],
      },
    });
    // There before the stack: a host that is configured in part is drained as well.
    assert.ok(dependencies(resources, "one-stack").has("one-retire"));
    assert.equal(only(resources, APPLY).inputs.delete, undefined);
  });

  it("takes tokens from the environment of the run where the stack has none", async () => {
    const { resources } = await deployHost({
      environment: {
        ...ENVIRONMENT,
        github: { api: "https://ghe.example/api/v3" },
        hetzner: { endpoint: "https://hetzner.example/v1/" },
      },
      drain: DRAIN,
      runners: RUNNERS,
    });
    const environment = environmentOf(resources, "one-retire");
    assert.equal(environment.HCLOUD_API, "https://hetzner.example/v1");
    assert.equal(environment.GITHUB_API, "https://ghe.example/api/v3");
    assert.equal("HCLOUD_TOKEN" in environment || "GITHUB_TOKEN" in environment, false);
  });

  it("waits with its retirement for what its stack comes from", async () => {
    const { resources } = await deployWithHooks(() => {
      const needed = new Host("needed", { ...ARGS, serverName: "dev-needed" });
      new Host("one", { ...ARGS, stack: needed.ready.apply(() => STACK), drain: DRAIN });
    });
    assert.ok(dependencies(resources, "one-retire").has("needed-stack"));
  });
});

describe("Host that nothing reaches into", () => {
  const base = { ...BASE, ssh: false, allowedCidrs: [] };
  const hash = configHash(base, STACK);

  it("gets everything at its first boot, and carries a label that names it", async () => {
    const { host, resources, warnings } = await deployHost({ environment: ALONE });
    const server = only(resources, SERVER);
    assert.equal(server.inputs.userData, renderCloudInit(hostKey, base, STACK));
    assert.deepEqual(server.inputs.labels, { ...LABELS, config: hash });
    assert.deepEqual(server.inputs.sshKeys, ["13"]);
    assert.deepEqual(server.secrets, ["userData"]);
    assert.deepEqual(server.options.ignoreChanges, IGNORED);
    assert.deepEqual(
      resources.filter(({ type }) => type.startsWith("command:")),
      [],
    );
    assert.equal(await valueOf(host.ready), true);
    assert.deepEqual(warnings, []);
  });

  it("is ready when GitHub lists its runners as online", async () => {
    const { host, resources } = await deployHost({
      environment: ALONE,
      runners: RUNNERS,
      drain: DRAIN,
    });
    const id = String(await valueOf(host.serverId));
    assert.deepEqual(summarize(resources)[`${COMMAND} one-online`], {
      parent: "one",
      inputs: {
        create: "node --import tsx components/host/waitOnline.main.ts",
        environment: {
          HOST: "dev-arm64-1-1",
          TIMEOUT_SECONDS: "900",
          GITHUB_API: "https://api.github.com",
          GITHUB_ORGANIZATION: "acme",
          RUNNER_NAMES: "dev-arm64-1-1-1 dev-arm64-1-1-2",
          GITHUB_TOKEN,
          SERVER_TYPE: "cax21",
        },
        triggers: [id],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      secrets: ["environment"],
      options: {
        dependsOn: ["one", "one-network", "one-retire"],
        deleteBeforeReplace: true,
        replaceOnChanges: ["triggers[*]"],
      },
    });
    const retirement = environmentOf(resources, "one-retire");
    assert.deepEqual(
      Object.keys(retirement).filter((key) => key.startsWith("SSH")),
      [],
    );
    assert.deepEqual(secretPlaces(resources, SSH_KEY), []);
  });

  for (const [title, configHash, pool, expected] of [
    ["says nothing of a host that is what it should be", hash, "arm64", undefined],
    [
      "says that another configuration reaches no living host, and what does",
      "0123456789abcdef",
      "arm64",
      "dev-arm64-1-1 is outdated: its configuration has changed since it was made, and nothing reaches into it; raising pools.arm64.generation replaces it.",
    ],
    [
      "says so of a host that was made with SSH",
      undefined,
      "arm64",
      "dev-arm64-1-1 is outdated: its configuration has changed since it was made, and nothing reaches into it; raising pools.arm64.generation replaces it.",
    ],
    [
      "says how a host without a pool is made anew",
      "0123456789abcdef",
      undefined,
      "dev-arm64-1-1 is outdated: its configuration has changed since it was made, and nothing reaches into it; `pulumi up --replace 'urn:pulumi:dev::runner-fleet::runner-fleet:index:Host$hcloud:index/server:Server::one'` makes it anew.",
    ],
  ] as const) {
    it(title, async () => {
      const servers = new Map([["one", { off: false, attached: true, configHash }]]);
      const { warnings } = await deployHost({
        environment: { ...ALONE, servers },
        labels: { role: "runner", ...(pool && { pool }) },
      });
      assert.deepEqual(warnings, expected === undefined ? [] : [expected]);
    });
  }

  it("is no host for SSH later", async () => {
    const servers = new Map([["one", { off: false, attached: true, configHash: hash }]]);
    const { warnings } = await deployHost({ environment: { ...ENVIRONMENT, servers } });
    assert.deepEqual(warnings, [
      "dev-arm64-1-1 was made with management none, so nothing reaches into it by SSH; raising pools.arm64.generation replaces it.",
    ]);
  });

  it("is not made with more user_data than Hetzner takes", () => {
    const content = Array.from({ length: 1000 }, (_, n) => hostKeyFromSecret(`${n}`).publicKey);
    const stack = {
      files: [{ path: "/x", mode: "0644", content: content.join("\n") }],
      commands: [],
    };
    assert.throws(
      () => checkedUserData("dev-arm64-1-1", hostKey, base, stack),
      /dev-arm64-1-1: found user_data of \d{5} bytes, expected at most 32768, which is Hetzner's limit\./,
    );
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
      DRAIN,
      { management: "ssh", sshPort: server.port, sshPrivateKey: LOGIN.privateKey, hetzner: {} },
      HOST_KEY.publicKey,
      assert.fail,
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

  it("shuts a host down that nothing reaches into", async () => {
    const apis = await HostApis.open();
    try {
      const { id } = await apis.addServer("dev-arm64-1-1");
      const hook = drainBeforeRescale(
        DRAIN,
        {
          management: "none",
          sshPort: 22,
          hetzner: { endpoint: apis.hetzner.baseUrl, token: pulumi.secret(apis.hetzner.token) },
        },
        HOST_KEY.publicKey,
        assert.fail,
      );
      await hook({
        id,
        oldOutputs: { name: "dev-arm64-1-1", ipv4Address: "127.0.0.1", serverType: "cax21" },
        newInputs: { serverType: "cax31" },
      } as unknown as pulumi.ResourceHookArgs);
      assert.equal(apis.statusOf(id), "off");
    } finally {
      await apis.close();
    }
  });
});
