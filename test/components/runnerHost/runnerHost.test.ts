import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { baseModel } from "../../../components/host/base";
import { hostScript } from "../../../components/host/cloudInit";
import { RunnerHost, type TokenSource } from "../../../components/runnerHost/runnerHost";
import {
  runnerHostCommands,
  runnerHostFiles,
  type RunnerStackModel,
} from "../../../components/runnerHost/stack";
import { only } from "../../helpers/mocks";
import {
  deployWithHooks,
  ENVIRONMENT,
  secretPlaces,
  SSH_KEY,
  summarize,
  TOKEN,
  PASSWORD,
} from "../host/recorded";
import { COLOCATED, DEDICATED, SERVICE } from "./models";

const STACK = "command:remote:Command";
const RETIRE = "command:local:Command";

function deployHost(model: RunnerStackModel, tokenService: TokenSource) {
  return deployWithHooks(
    () =>
      new RunnerHost("arm64-1-1", {
        ...model,
        environment: ENVIRONMENT,
        serverName: model.hostName,
        location: "fsn1",
        pool: "arm64",
        placementGroupId: 44,
        packages: ["htop"],
        runcmd: ["touch /srv/ready"],
        rebootWindow: "03:00-05:00",
        runnerGroup: { id: pulumi.output("7"), name: pulumi.output("arm64") },
        tokenService,
      }),
  );
}

const dedicated: TokenSource = {
  placement: "dedicated",
  implementation: "builtin",
  url: pulumi.output("http://10.0.1.254:3000"),
  address: "10.0.1.254",
  password: PASSWORD,
};

/** What goes to the host, with the firewall's exceptions as given. */
function script(
  model: RunnerStackModel,
  firewall: { containersMayReach?: { address: string; port: number }[]; rootPorts?: number[] },
): string {
  const base = baseModel(ENVIRONMENT, {
    firewall: { privatePorts: [], containersMayReach: [], rootPorts: [], ...firewall },
    rebootWindow: "03:00-05:00",
    registryMirrors: {},
    drainSeconds: 3600,
    packages: ["htop"],
    runcmd: ["touch /srv/ready"],
  });
  return hostScript(base, { files: runnerHostFiles(model), commands: runnerHostCommands(model) });
}

describe("RunnerHost", () => {
  it("is one host with the runners' stack, drained before it is rescaled or goes", async () => {
    const { resources, beforeUpdate } = await deployHost(DEDICATED, dedicated);
    assert.deepEqual(
      Object.entries(summarize(resources)).map(([key, { parent }]) => [key, parent]),
      [
        ["runner-fleet:index:RunnerHost arm64-1-1", undefined],
        ["runner-fleet:index:Host arm64-1-1", "arm64-1-1"],
        ["random:index/randomId:RandomId arm64-1-1-epoch", "arm64-1-1"],
        ["random:index/randomPassword:RandomPassword arm64-1-1-host-key", "arm64-1-1"],
        ["hcloud:index/server:Server arm64-1-1", "arm64-1-1"],
        ["hcloud:index/serverNetwork:ServerNetwork arm64-1-1-network", "arm64-1-1"],
        [`${RETIRE} arm64-1-1-retire`, "arm64-1-1"],
        [`${STACK} arm64-1-1-stack`, "arm64-1-1"],
      ],
    );
    const server = only(resources, "hcloud:index/server:Server").inputs;
    assert.deepEqual(
      [server.name, server.serverType, server.location, server.placementGroupId, server.labels],
      [
        "dev-arm64-1-1",
        "cax21",
        "fsn1",
        44,
        { ...ENVIRONMENT.labels, role: "runner", pool: "arm64" },
      ],
    );
    assert.match(String(server.userData), /^ {2}- "htop"$/m);
    assert.match(String(server.userData), /^ {2}- "touch \/srv\/ready"$/m);
    assert.equal(only(resources, STACK).inputs.stdin, script(DEDICATED, {}));
    const { environment } = only(resources, RETIRE).inputs as {
      environment: Record<string, string>;
    };
    assert.equal(environment.DRAIN_COMMAND, "/opt/runner-fleet/bin/drain 3600");
    assert.equal(environment.HOST, "dev-arm64-1-1");
    assert.deepEqual(beforeUpdate, { "arm64-1-1": ["arm64-1-1-drain-before-rescale"] });
    assert.deepEqual(secretPlaces(resources, SSH_KEY), [
      "arm64-1-1-retire environment.SSH_PRIVATE_KEY",
      "arm64-1-1-stack connection.privateKey",
    ]);
    assert.deepEqual(secretPlaces(resources, PASSWORD), ["arm64-1-1-stack stdin"]);
  });

  it("lets containers of the origin's image alone reach the token service", async () => {
    const model: RunnerStackModel = { ...DEDICATED, runnerImage: "knatnetwork" };
    const { resources } = await deployHost(model, dedicated);
    const containersMayReach = [{ address: "10.0.1.254", port: 3000 }];
    assert.equal(only(resources, STACK).inputs.stdin, script(model, { containersMayReach }));
    assert.notEqual(script(model, { containersMayReach }), script(model, {}));
  });

  it("keeps a colocated credential secret, even when it is given in plain", async () => {
    const { resources } = await deployHost(COLOCATED, { placement: "colocated", service: SERVICE });
    assert.equal(only(resources, STACK).inputs.stdin, script(COLOCATED, { rootPorts: [3000] }));
    assert.deepEqual(secretPlaces(resources, TOKEN), ["arm64-1-1-stack stdin"]);
  });
});
