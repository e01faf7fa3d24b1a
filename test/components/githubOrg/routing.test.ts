import assert from "node:assert/strict";
import { Routing } from "../../../components/githubOrg/routing";
import { deploy } from "../../helpers/mocks";
import { summarize } from "../host/recorded";

const ARGS = {
  variable: "ARM64_RUNS_ON",
  value: '{"group":"arm64"}',
  repositories: { webppt: 30, api: 4 },
};

describe("Routing", () => {
  it("is one variable of the organization that the routed repositories see", async () => {
    const resources = await deploy(
      () => new Routing("routing", { level: "organization", ...ARGS }),
    );
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:Routing routing": { inputs: {} },
      "github:index/actionsOrganizationVariable:ActionsOrganizationVariable routing": {
        parent: "routing",
        inputs: {
          variableName: "ARM64_RUNS_ON",
          value: '{"group":"arm64"}',
          visibility: "selected",
          selectedRepositoryIds: [30, 4],
        },
        options: { deleteBeforeReplace: true },
      },
    });
  });

  it("is one variable in each routed repository", async () => {
    const resources = await deploy(() => new Routing("routing", { level: "repository", ...ARGS }));
    const variable = (repository: string) => ({
      parent: "routing",
      inputs: { repository, variableName: "ARM64_RUNS_ON", value: '{"group":"arm64"}' },
      options: { deleteBeforeReplace: true },
    });
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:Routing routing": { inputs: {} },
      "github:index/actionsVariable:ActionsVariable routing-webppt": variable("webppt"),
      "github:index/actionsVariable:ActionsVariable routing-api": variable("api"),
    });
  });

  it("is nothing in repositories when none is routed", async () => {
    const resources = await deploy(
      () => new Routing("routing", { level: "repository", ...ARGS, repositories: {} }),
    );
    assert.deepEqual(Object.keys(summarize(resources)), ["runner-fleet:index:Routing routing"]);
  });
});
