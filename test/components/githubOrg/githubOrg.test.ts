import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { GithubOrg, type GithubOrgArgs } from "../../../components/githubOrg/githubOrg";
import { deploy, only, type RecordedResource, valueOf } from "../../helpers/mocks";
import { secretPlaces, summarize } from "../host/recorded";

const API_TOKEN = "canary-token-of-the-provider";
const VALUE = "canary-value-of-a-secret";
const EPOCH = "random:index/randomId:RandomId";
const SECRET = "github:index/actionsOrganizationSecret:ActionsOrganizationSecret";
const GROUP = "github:index/actionsRunnerGroup:ActionsRunnerGroup";
const CLEANUP = "command:local:Command";
const ARGS = {
  organization: "acme",
  runnerGroup: { name: "arm64", exists: true, repositoryIds: [4, 30] },
  secrets: { REGISTRY_PASSWORD: { value: VALUE, repositoryIds: [30], rewritten: false } },
  api: { baseUrl: "https://api.github.com", token: API_TOKEN },
} satisfies GithubOrgArgs;

async function deployOrg(change: Partial<GithubOrgArgs> = {}) {
  let org: GithubOrg | undefined;
  const resources = await deploy(
    () => {
      org = new GithubOrg("organization", { ...ARGS, ...change });
    },
    {
      outputs: ({ type }) => (type === SECRET ? { updatedAt: "2026-10-01T12:00:00Z" } : undefined),
    },
  );
  return { org: org!, resources };
}

/** What is left as it was drawn, by what it belongs to. */
function ignored(resources: readonly RecordedResource[]) {
  return Object.fromEntries(
    resources
      .filter(({ type }) => type === EPOCH)
      .map(({ name, options }) => [
        name.replace(/^organization-(.*)-epoch$/, "$1"),
        options.ignoreChanges,
      ]),
  );
}

describe("GithubOrg", () => {
  it("asks for a group that outlives itself in state, its clean-up, and secrets", async () => {
    const before = Date.now();
    const { org, resources } = await deployOrg();
    const id = only(resources, CLEANUP).inputs.triggers as string[];
    const drawn = (name: string) => {
      const keepers = only(resources, EPOCH, name).inputs.keepers as { drawn: string };
      assert.ok(Number(keepers.drawn) >= before && Number(keepers.drawn) <= Date.now());
      return keepers;
    };
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:GithubOrg organization": { inputs: {} },
      [`${EPOCH} organization-runners-epoch`]: {
        parent: "organization",
        inputs: { byteLength: 4, keepers: drawn("organization-runners-epoch") },
        options: { ignoreChanges: ["keepers"] },
      },
      [`${GROUP} organization-runners`]: {
        parent: "organization",
        inputs: {
          name: "arm64",
          visibility: "selected",
          selectedRepositoryIds: [4, 30],
          allowsPublicRepositories: false,
          restrictedToWorkflows: false,
          selectedWorkflows: [],
        },
        options: { retainOnDelete: true },
      },
      [`${CLEANUP} organization-runners-cleanup`]: {
        parent: "organization",
        inputs: {
          create: "true",
          delete: "node components/githubOrg/deleteRunnerGroup.mjs",
          environment: {
            GITHUB_API: "https://api.github.com",
            GITHUB_TOKEN: API_TOKEN,
            GITHUB_ORGANIZATION: "acme",
            RUNNER_GROUP_ID: id[0],
          },
          triggers: id,
          logging: "none",
          addPreviousOutputInEnv: false,
        },
        secrets: ["environment"],
        options: {
          dependsOn: ["organization-runners"],
          additionalSecretOutputs: ["stdout", "stderr"],
          replaceOnChanges: ["triggers[*]"],
        },
      },
      [`${EPOCH} organization-secret-REGISTRY_PASSWORD-epoch`]: {
        parent: "organization",
        inputs: { byteLength: 4, keepers: drawn("organization-secret-REGISTRY_PASSWORD-epoch") },
        options: { ignoreChanges: ["keepers"] },
      },
      [`${SECRET} organization-secret-REGISTRY_PASSWORD`]: {
        parent: "organization",
        inputs: {
          secretName: "REGISTRY_PASSWORD",
          visibility: "selected",
          plaintextValue: VALUE,
        },
        secrets: ["plaintextValue"],
        options: {
          deleteBeforeReplace: true,
          additionalSecretOutputs: ["encryptedValue", "plaintextValue"],
        },
      },
      "github:index/actionsOrganizationSecretRepositories:ActionsOrganizationSecretRepositories organization-secret-REGISTRY_PASSWORD-repositories":
        {
          parent: "organization",
          inputs: { secretName: "REGISTRY_PASSWORD", selectedRepositoryIds: [30] },
          options: {
            dependsOn: ["organization-secret-REGISTRY_PASSWORD"],
            deleteBeforeReplace: true,
          },
        },
    });
    assert.ok(org.runnerGroup !== undefined);
    assert.equal(await valueOf(org.runnerGroup.id), id[0]);
    assert.equal(await valueOf(org.runnerGroup.name), "arm64");
    assert.deepEqual(await valueOf(org.secretsWrittenAt), {
      REGISTRY_PASSWORD: "2026-10-01T12:00:00Z",
    });
  });

  it("restricts the group to workflows where there are such", async () => {
    const workflows = ["acme/central/.github/workflows/image-hybrid.yml@refs/heads/main"];
    const { resources } = await deployOrg({ runnerGroup: { ...ARGS.runnerGroup, workflows } });
    const { restrictedToWorkflows, selectedWorkflows } = only(resources, GROUP).inputs;
    assert.deepEqual([restrictedToWorkflows, selectedWorkflows], [true, workflows]);
  });

  it("shows secrets nowhere but where the engine encrypts them", async () => {
    const { resources } = await deployOrg({
      api: { baseUrl: "https://api.github.com", token: pulumi.output(API_TOKEN) },
    });
    assert.deepEqual(secretPlaces(resources, API_TOKEN), [
      "organization-runners-cleanup environment.GITHUB_TOKEN",
    ]);
    assert.deepEqual(secretPlaces(resources, VALUE), [
      "organization-secret-REGISTRY_PASSWORD plaintextValue",
    ]);
  });

  it("has secrets only where no own host registers", async () => {
    const { org, resources } = await deployOrg({ runnerGroup: undefined });
    assert.equal(org.runnerGroup, undefined);
    const types = resources.map(({ type }) => type);
    assert.ok(types.includes(SECRET));
    assert.ok(!types.includes(GROUP) && !types.includes(CLEANUP));
  });

  it("draws the group anew when GitHub has none", async () => {
    const { resources } = await deployOrg({ runnerGroup: { ...ARGS.runnerGroup, exists: false } });
    assert.deepEqual(ignored(resources), { runners: [], "secret-REGISTRY_PASSWORD": ["keepers"] });
  });

  it("draws a secret anew when somebody else wrote it", async () => {
    const { resources } = await deployOrg({
      secrets: { REGISTRY_PASSWORD: { ...ARGS.secrets.REGISTRY_PASSWORD, rewritten: true } },
    });
    assert.deepEqual(ignored(resources), { runners: ["keepers"], "secret-REGISTRY_PASSWORD": [] });
  });

  it("leaves the token to the environment when it is not configured", async () => {
    const { resources } = await deployOrg({ api: { baseUrl: "https://api.github.com" } });
    const cleanup = only(resources, CLEANUP);
    assert.deepEqual(Object.keys(cleanup.inputs.environment as object).sort(), [
      "GITHUB_API",
      "GITHUB_ORGANIZATION",
      "RUNNER_GROUP_ID",
    ]);
    assert.deepEqual(cleanup.secrets, []);
  });
});
