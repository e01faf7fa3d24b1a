import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { RunnerHost, type TokenSource } from "../../../components/runnerHost/runnerHost";
import { runnerHostScript } from "../../../components/runnerHost/stack";
import { only } from "../../helpers/mocks";
import {
  deployWithHooks,
  ENVIRONMENT,
  secretPlaces,
  SSH_KEY,
  summarize,
  TOKEN,
} from "../host/recorded";
import { COLOCATED, DEDICATED } from "./models";

const STACK = "command:remote:Command";

function deployHost(model: typeof DEDICATED, tokenService: TokenSource) {
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
        runnerGroup: { id: pulumi.output("7"), name: pulumi.output("arm64") },
        tokenService,
      }),
  );
}

describe("RunnerHost", () => {
  it("is one host with the runners' stack, drained before it is rescaled or goes", async () => {
    const { resources, beforeUpdate } = await deployHost(DEDICATED, {
      placement: "dedicated",
      url: pulumi.output("http://10.0.1.2:3000"),
    });
    assert.deepEqual(
      Object.entries(summarize(resources)).map(([key, { parent }]) => [key, parent]),
      [
        ["runner-fleet:index:RunnerHost arm64-1-1", undefined],
        ["runner-fleet:index:Host arm64-1-1", "arm64-1-1"],
        ["random:index/randomId:RandomId arm64-1-1-epoch", "arm64-1-1"],
        ["random:index/randomPassword:RandomPassword arm64-1-1-host-key", "arm64-1-1"],
        ["hcloud:index/server:Server arm64-1-1", "arm64-1-1"],
        ["hcloud:index/serverNetwork:ServerNetwork arm64-1-1-network", "arm64-1-1"],
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
    const stack = only(resources, STACK);
    assert.equal(stack.inputs.stdin, runnerHostScript(DEDICATED));
    assert.equal(stack.inputs.delete, "/opt/runner-fleet/bin/drain 3600");
    assert.deepEqual(beforeUpdate, { "arm64-1-1": ["arm64-1-1-drain-before-rescale"] });
    assert.deepEqual(secretPlaces(resources, SSH_KEY), ["arm64-1-1-stack connection.privateKey"]);
  });

  it("keeps a colocated credential secret, even when it is given in plain", async () => {
    assert.equal(COLOCATED.tokenService.placement, "colocated");
    const { resources } = await deployHost(COLOCATED, {
      placement: "colocated",
      image: "knatnetwork/github-runner-kms:latest",
      organization: "acme",
      token: TOKEN,
    });
    assert.equal(only(resources, STACK).inputs.stdin, runnerHostScript(COLOCATED));
    assert.deepEqual(secretPlaces(resources, TOKEN), ["arm64-1-1-stack stdin"]);
  });
});
