import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";

export interface CanaryWorkflowArgs {
  /** Name of the repository in the organization. */
  readonly repository: string;
  /** Its default branch: elsewhere GitHub starts no workflow by hand. */
  readonly branch: string;
  /** Where it lies in the repository. */
  readonly path: string;
  /** The whole file. */
  readonly content: string;
}

/** The workflow that proves hosts, in the repository where it runs. It can be started once this is there. */
export class CanaryWorkflow extends pulumi.ComponentResource {
  constructor(name: string, args: CanaryWorkflowArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:CanaryWorkflow", name, {}, opts);
    const { repository, branch, path, content } = args;
    new github.RepositoryFile(
      name,
      {
        repository,
        branch,
        file: path,
        content,
        commitMessage: `ci: bring ${path} in line with stack ${pulumi.getStack()} of ${pulumi.getProject()}`,
        overwriteOnCreate: true,
      },
      // Nothing runs it by itself, and a repository that takes no commit must not keep a fleet from being destroyed.
      { parent: this, retainOnDelete: true },
    );
    this.registerOutputs({});
  }
}
