import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";
import type { FleetSettings, TargetSettings } from "../config/schema";
import { gitBlob } from "./gitBlob";
import { imageWorkflowModel, renderWorkflow } from "./workflow";

export interface ImageWorkflowArgs {
  /** Key of the target in the configuration; its settings say which repository, if not one of this name. */
  readonly target: string;
  /** Settings of the target, as configured. */
  readonly settings: TargetSettings;
  /** Where the emitted workflow finds the machines for arm64, and what it uses when there are none. */
  readonly routing: Pick<FleetSettings["routing"], "variable" | "hostedFallback">;
  /**
   * Branch that exists in the repository: the one in the settings, else the repository's default branch. The file is
   * committed to it, and pushes to it publish `latest`.
   */
  readonly branch: pulumi.Input<string>;
}

/**
 * The workflow in one repository that builds its image for amd64 and arm64 natively.
 *
 * An existing file at the path is overwritten: that is how a stack finds its file of an earlier life again. Whether
 * such a file is ours has to be checked before (`isOurs`).
 *
 * With `onDestroy: keep` the file also stays where it was when `path` or `branch` changes, and then has to be deleted
 * by hand: Pulumi cannot keep on destroy what it removes on replacement.
 */
export class ImageWorkflow extends pulumi.ComponentResource {
  /** Path of the workflow file in the repository. */
  public readonly path: pulumi.Output<string>;
  /** The file as committed. */
  public readonly content: pulumi.Output<string>;
  public readonly branch: pulumi.Output<string>;
  /** Git's name for the content, to compare with the `sha` that GitHub's contents API tells. */
  public readonly blob: pulumi.Output<string>;

  /** @throws pulumi.ResourceError when the settings do not make a workflow that can publish. */
  constructor(name: string, args: ImageWorkflowArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:ImageWorkflow", name, {}, opts);
    const { target, settings, routing } = args;
    const stack = pulumi.getStack();
    const modelFor = (branch: string) =>
      imageWorkflowModel(
        { project: pulumi.getProject(), stack, target },
        settings,
        routing,
        branch,
      );
    try {
      // The branch may be known only later; everything that can be wrong is known now.
      modelFor("");
    } catch (problem) {
      throw new pulumi.ResourceError((problem as Error).message, this);
    }

    const file = new github.RepositoryFile(
      name,
      {
        repository: settings.repository ?? target,
        branch: args.branch,
        file: settings.path,
        content: pulumi.output(args.branch).apply((branch) => renderWorkflow(modelFor(branch))),
        // One message for creation, change and deletion: the provider has no more.
        commitMessage: `ci: bring ${settings.path} in line with stack ${stack} of runner-fleet`,
        overwriteOnCreate: true,
      },
      { parent: this, retainOnDelete: settings.onDestroy === "keep" },
    );

    this.path = file.file;
    this.content = file.content;
    this.branch = file.branch;
    this.blob = file.content.apply(gitBlob);
    this.registerOutputs({ path: this.path, content: this.content, branch: this.branch });
  }
}
