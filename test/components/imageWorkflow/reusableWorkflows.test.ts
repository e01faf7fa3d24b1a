import assert from "node:assert/strict";
import {
  ReusableWorkflows,
  type ReusableWorkflowsArgs,
} from "../../../components/imageWorkflow/reusableWorkflows";
import { deploy } from "../../helpers/mocks";
import { summarize } from "../host/recorded";

const FILE = "github:index/repositoryFile:RepositoryFile";
const ACCESS = "github:index/actionsRepositoryAccessLevel:ActionsRepositoryAccessLevel";
const ARGS: ReusableWorkflowsArgs = {
  repository: ".github",
  branch: "main",
  isPrivate: true,
  files: {
    ".github/workflows/image-hybrid.yml": "hybrid",
    ".github/workflows/image-qemu.yml": "qemu",
  },
  keep: true,
};

const deployed = async (change: Partial<ReusableWorkflowsArgs> = {}) =>
  summarize(await deploy(() => new ReusableWorkflows("reusable", { ...ARGS, ...change })));

describe("ReusableWorkflows", () => {
  it("are files, one after the other, in a repository that is open to the organization", async () => {
    const file = (name: string, content: string) => ({
      repository: ".github",
      branch: "main",
      file: `.github/workflows/${name}`,
      content,
      commitMessage: `ci: bring .github/workflows/${name} in line with stack dev of runner-fleet`,
      overwriteOnCreate: true,
    });
    assert.deepEqual(await deployed(), {
      "runner-fleet:index:ReusableWorkflows reusable": { inputs: {} },
      [`${FILE} reusable-image-hybrid.yml`]: {
        parent: "reusable",
        inputs: file("image-hybrid.yml", "hybrid"),
        options: { retainOnDelete: true, ignoreChanges: ["overwriteOnCreate"] },
      },
      [`${FILE} reusable-image-qemu.yml`]: {
        parent: "reusable",
        inputs: file("image-qemu.yml", "qemu"),
        options: {
          retainOnDelete: true,
          dependsOn: ["reusable-image-hybrid.yml"],
          ignoreChanges: ["overwriteOnCreate"],
        },
      },
      [`${ACCESS} reusable-access`]: {
        parent: "reusable",
        inputs: { repository: ".github", accessLevel: "organization" },
        options: { retainOnDelete: true },
      },
    });
  });

  it("need no opening where the repository is public", async () => {
    const names = Object.keys(await deployed({ isPrivate: false }));
    assert.equal(names.length, 3);
    assert.ok(names.every((name) => !name.startsWith(ACCESS)));
  });

  it("go with the stack where no caller stays", async () => {
    const resources = await deployed({ keep: false });
    assert.deepEqual(resources[`${FILE} reusable-image-hybrid.yml`]?.options, {
      ignoreChanges: ["overwriteOnCreate"],
    });
    assert.deepEqual(resources[`${ACCESS} reusable-access`]?.options, { retainOnDelete: true });
  });
});
