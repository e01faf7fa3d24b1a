import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import type { TargetSettings } from "../../../components/config/schema";
import { ImageWorkflow } from "../../../components/imageWorkflow/imageWorkflow";
import { renderWorkflow } from "../../../components/imageWorkflow/workflow";
import { deploy, only, type RecordedResource, valueOf } from "../../helpers/mocks";
import { MODELS } from "./models";

const COMPONENT = "runner-fleet:index:ImageWorkflow";
const FILE = "github:index/repositoryFile:RepositoryFile";
const ROUTING = { variable: "ARM64_RUNS_ON", hostedFallback: "ubuntu-24.04-arm" };
const SETTINGS: TargetSettings = {
  image: "ghcr.io/acme/webppt",
  path: ".github/workflows/image.yml",
  context: ".",
  onDestroy: "keep",
};

describe("ImageWorkflow", () => {
  it("asks for exactly one file below itself", async () => {
    let workflow: ImageWorkflow | undefined;
    const resources = await deploy(() => {
      workflow = new ImageWorkflow("webppt", {
        target: "webppt",
        settings: SETTINGS,
        routing: ROUTING,
        branch: pulumi.output("master"),
      });
    });
    const content = renderWorkflow(MODELS["hybrid-ghcr"]!);
    const options: RecordedResource["options"] = {
      dependsOn: [],
      protect: false,
      retainOnDelete: false,
      deleteBeforeReplace: false,
      ignoreChanges: [],
      replaceOnChanges: [],
      additionalSecretOutputs: [],
      provider: undefined,
    };
    assert.deepEqual(resources, [
      {
        type: COMPONENT,
        name: "webppt",
        urn: `urn:pulumi:dev::runner-fleet::${COMPONENT}::webppt`,
        custom: false,
        inputs: {},
        secrets: [],
        parent: undefined,
        options,
      },
      {
        type: FILE,
        name: "webppt",
        urn: `urn:pulumi:dev::runner-fleet::${COMPONENT}$${FILE}::webppt`,
        custom: true,
        inputs: {
          repository: "webppt",
          branch: "master",
          file: ".github/workflows/image.yml",
          content,
          commitMessage:
            "ci: bring .github/workflows/image.yml in line with stack dev of runner-fleet",
          overwriteOnCreate: true,
        },
        secrets: [],
        parent: "webppt",
        options: { ...options, retainOnDelete: true },
      },
    ]);
    assert.ok(workflow);
    assert.equal(await valueOf(workflow.path), ".github/workflows/image.yml");
    assert.equal(await valueOf(workflow.content), content);
    assert.equal(await valueOf(workflow.branch), "master");
  });

  it("takes the repository, path and fate from the settings", async () => {
    const resources = await deploy(
      () =>
        new ImageWorkflow("api", {
          target: "api",
          settings: {
            ...SETTINGS,
            repository: "backend",
            path: ".github/workflows/api.yml",
            onDestroy: "remove",
          },
          routing: ROUTING,
          branch: "main",
        }),
    );
    const file = only(resources, FILE);
    assert.equal(file.inputs.repository, "backend");
    assert.equal(file.inputs.file, ".github/workflows/api.yml");
    assert.equal(file.options.retainOnDelete, false);
    assert.match(String(file.inputs.content), /stack dev, from its setting targets\.api\.\n/);
  });

  it("refuses settings that cannot publish, before any file", async () => {
    const recorded: string[] = [];
    await assert.rejects(
      deploy(
        () =>
          new ImageWorkflow("api", {
            target: "api",
            settings: { ...SETTINGS, image: "quay.io/acme/api" },
            routing: ROUTING,
            branch: "main",
          }),
        {
          outputs: ({ type }) => {
            recorded.push(type);
            return {};
          },
        },
      ),
      (error) =>
        pulumi.ResourceError.isInstance(error) && /^targets\.api\.registry: /.test(error.message),
    );
    assert.deepEqual(recorded, [COMPONENT]);
  });

  it("leaves the content unknown while the branch is, in a preview", async () => {
    const resources = await deploy(
      () =>
        new ImageWorkflow("webppt", {
          target: "webppt",
          settings: SETTINGS,
          routing: ROUTING,
          branch: pulumi.unknown as unknown as string,
        }),
      { preview: true },
    );
    assert.deepEqual(only(resources, FILE).inputs.content, pulumi.unknown);
  });
});
