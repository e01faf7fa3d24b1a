import assert from "node:assert/strict";
import { renderCloudInit } from "../../../components/host/cloudInit";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { tokenServiceScript } from "../../../components/tokenService/stack";
import { TokenService } from "../../../components/tokenService/tokenService";
import { only, valueOf } from "../../helpers/mocks";
import {
  deployWithHooks,
  ENVIRONMENT,
  hostKeySecret,
  secretPlaces,
  SSH_KEY,
  summarize,
  TOKEN,
} from "../host/recorded";

const MODEL = {
  image: "knatnetwork/github-runner-kms:latest",
  organization: "acme",
  token: TOKEN,
  serverType: "cax11",
};

describe("TokenService", () => {
  it("is one host with a fixed private address and the service's stack", async () => {
    let service: TokenService | undefined;
    const { resources, beforeUpdate } = await deployWithHooks(() => {
      service = new TokenService("token-service", {
        environment: ENVIRONMENT,
        serverName: "dev-token-service",
        location: "fsn1",
        privateIp: "10.0.1.2",
        ...MODEL,
      });
    });
    const summary = summarize(resources);
    assert.deepEqual(
      Object.entries(summary).map(([key, { parent }]) => [key, parent]),
      [
        ["runner-fleet:index:TokenService token-service", undefined],
        ["runner-fleet:index:Host token-service", "token-service"],
        ["random:index/randomId:RandomId token-service-epoch", "token-service"],
        ["random:index/randomPassword:RandomPassword token-service-host-key", "token-service"],
        ["hcloud:index/server:Server token-service", "token-service"],
        ["hcloud:index/serverNetwork:ServerNetwork token-service-network", "token-service"],
        ["command:remote:Command token-service-stack", "token-service"],
      ],
    );
    const hostKey = hostKeyFromSecret(hostKeySecret("token-service"));
    const server = only(resources, "hcloud:index/server:Server").inputs;
    assert.deepEqual(
      [server.name, server.serverType, server.location, server.placementGroupId, server.labels],
      [
        "dev-token-service",
        "cax11",
        "fsn1",
        undefined,
        { ...ENVIRONMENT.labels, role: "token-service" },
      ],
    );
    assert.equal(
      server.userData,
      renderCloudInit({ hostKey, sshPort: 22, packages: [], runcmd: [] }),
    );
    assert.equal(only(resources, "hcloud:index/serverNetwork:ServerNetwork").inputs.ip, "10.0.1.2");
    const stack = only(resources, "command:remote:Command").inputs;
    assert.equal(stack.stdin, tokenServiceScript(MODEL, "10.0.1.2"));
    // It runs no job, so there is nothing to wait for.
    assert.equal(stack.delete, undefined);
    assert.deepEqual(beforeUpdate, {});
    assert.deepEqual(secretPlaces(resources, TOKEN), ["token-service-stack stdin"]);
    assert.deepEqual(secretPlaces(resources, SSH_KEY), [
      "token-service-stack connection.privateKey",
    ]);
    assert.equal(await valueOf(service!.url), "http://10.0.1.2:3000");
  });
});
