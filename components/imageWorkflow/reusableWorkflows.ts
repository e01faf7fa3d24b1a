import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";

export interface ReusableWorkflowsArgs {
  /** Name of the central repository in the organization. */
  readonly repository: string;
  /** Branch of it that exists. */
  readonly branch: string;
  /** Only a private repository has to be opened to the others; a public one is open, and GitHub refuses the setting. */
  readonly isPrivate: boolean;
  /** Whole files by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Whether the files outlive the stack, as they have to where a workflow that calls them does. */
  readonly keep: boolean;
}

/** The workflows in one repository that thin workflows in others call, and the right to call them. */
export class ReusableWorkflows extends pulumi.ComponentResource {
  constructor(name: string, args: ReusableWorkflowsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:ReusableWorkflows", name, {}, opts);
    const { repository, branch } = args;
    // One after the other: GitHub refuses a commit that was begun before another one ended.
    let previous: pulumi.Resource[] = [];
    for (const [path, content] of Object.entries(args.files)) {
      const file = new github.RepositoryFile(
        `${name}-${path.slice(path.lastIndexOf("/") + 1)}`,
        {
          repository,
          branch,
          file: path,
          content,
          commitMessage: `ci: bring ${path} in line with stack ${pulumi.getStack()} of ${pulumi.getProject()}`,
          overwriteOnCreate: true,
        },
        {
          parent: this,
          retainOnDelete: args.keep,
          dependsOn: previous,
          // As for the files of targets.
          ignoreChanges: ["overwriteOnCreate"],
        },
      );
      previous = [file];
    }
    if (args.isPrivate) {
      new github.ActionsRepositoryAccessLevel(
        `${name}-access`,
        { repository, accessLevel: "organization" },
        // Deleted, it would shut out callers of everything else in the repository too.
        { parent: this, retainOnDelete: true },
      );
    }
    this.registerOutputs({});
  }
}
