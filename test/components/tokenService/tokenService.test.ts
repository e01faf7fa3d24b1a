import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { baseModel } from "../../../components/host/base";
import { hostScript } from "../../../components/host/cloudInit";
import { tokenServiceCommands, tokenServiceFiles } from "../../../components/tokenService/stack";
import { TokenService } from "../../../components/tokenService/tokenService";
import { only, valueOf } from "../../helpers/mocks";
import {
  deployWithHooks,
  ENVIRONMENT,
  secretPlaces,
  summarize,
  TOKEN,
  PASSWORD,
} from "../host/recorded";
import { BUILTIN, KNATNETWORK } from "./models";

const PLACE = {
  environment: ENVIRONMENT,
  serverName: "dev-token-service",
  serverType: "cax11",
  location: "fsn1",
  privateIp: "10.0.1.2",
  rebootWindow: "03:00-05:00",
  registryMirrors: { "docker.io": ["mirror.example.com"] },
};

describe("TokenService", () => {
  for (const model of [BUILTIN, KNATNETWORK])
    it(`(${model.implementation}) is one host with a fixed private address and the service's stack`, async () => {
      let service: TokenService | undefined;
      const { resources, beforeUpdate } = await deployWithHooks(() => {
        service = new TokenService("token-service", {
          ...PLACE,
          ...model,
          // As they come: not known before they are made.
          password: pulumi.secret(model.password),
          credential: pulumi.secret(model.credential),
          runnerGroupId: pulumi.output(model.runnerGroupId),
        });
      });
      const parents = Object.entries(summarize(resources)).map(([key, { parent }]) => [
        key,
        parent,
      ]);
      assert.deepEqual(parents.slice(0, 2), [
        ["runner-fleet:index:TokenService token-service", undefined],
        ["runner-fleet:index:Host token-service", "token-service"],
      ]);
      assert.ok(parents.slice(1).every(([, parent]) => parent === "token-service"));
      assert.equal(
        resources.filter(({ type }) => type === "hcloud:index/server:Server").length,
        1,
        "one server",
      );

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
        only(resources, "hcloud:index/serverNetwork:ServerNetwork").inputs.ip,
        "10.0.1.2",
      );

      // Hosts of the private network may come to its port, and no container of its own goes anywhere in there.
      const base = baseModel(ENVIRONMENT, {
        ...PLACE,
        firewall: { privatePorts: [3000], containersMayReach: [] },
        drainSeconds: 0,
        packages: [],
        runcmd: [],
      });
      const stack = only(resources, "command:remote:Command").inputs;
      assert.equal(
        stack.stdin,
        hostScript(base, {
          files: tokenServiceFiles(model, "10.0.1.2"),
          commands: tokenServiceCommands({ ...model, serverType: "cax11" }, "10.0.1.2"),
        }),
      );
      // It runs no job, so there is nothing to wait for.
      assert.equal(stack.delete, undefined);
      assert.deepEqual(beforeUpdate, {});
      assert.deepEqual(secretPlaces(resources, TOKEN), ["token-service-stack stdin"]);
      assert.deepEqual(
        secretPlaces(resources, PASSWORD),
        model === BUILTIN ? ["token-service-stack stdin"] : [],
      );
      assert.equal(await valueOf(service!.url), "http://10.0.1.2:3000");
    });
});
