import * as command from "@pulumi/command";
import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";
import { secretVariable } from "../secretVariable/secretVariable";
import type { TargetSettings } from "../config/schema";
import { gitBlob } from "./gitBlob";
import { judge, type Proposal, proposalBranch } from "./proposal";

export interface ImageWorkflowArgs {
  /** Key of the target in the configuration; its settings say which repository, if not one of this name. */
  readonly target: string;
  readonly organization: string;
  /** Settings of the target, as configured. */
  readonly settings: Pick<TargetSettings, "repository" | "path" | "delivery" | "onDestroy">;
  /** The whole file. */
  readonly content: string;
  /**
   * Branch that exists in the repository: the one in the settings, else the repository's default branch. The file is
   * delivered to it, and pushes to it publish `latest`.
   */
  readonly branch: string;
  /** What GitHub has now. */
  readonly present: {
    /** Git's name of the content of the file on the branch; undefined without a file. */
    readonly blob: string | undefined;
    /** Pull requests that this stack has made for the file. */
    readonly proposals: readonly Proposal[];
  };
  /** REST API that pull requests are made through, without a slash at the end. */
  readonly api: {
    readonly baseUrl: string;
    /** Default: GITHUB_TOKEN in the environment of the run that makes or withdraws one. */
    readonly token?: pulumi.Input<string>;
  };
}

/**
 * The workflow in one repository that builds its image for amd64 and arm64.
 *
 * An existing file at the path is overwritten: that is how a stack finds its file of an earlier life again. Whether
 * such a file is ours has to be checked before (`isOurs`).
 *
 * Committed with `onDestroy: keep`, the file also stays where it was when `path` or `branch` changes, and then has to be
 * deleted by hand: Pulumi cannot keep on destroy what it removes on replacement.
 *
 * A pull request is made by a command of ours and not by the provider's resources for branch, file and pull request:
 * those three fail at the next change once people have merged or closed it and GitHub has deleted its branch.
 */
export class ImageWorkflow extends pulumi.ComponentResource {
  /** Path of the workflow file in the repository. */
  public readonly path: pulumi.Output<string>;
  /** The file as delivered. */
  public readonly content: pulumi.Output<string>;
  public readonly branch: pulumi.Output<string>;
  /** Git's name for the content, to compare with the `sha` that GitHub's contents API tells. */
  public readonly blob: pulumi.Output<string>;
  /** Address of the last pull request; undefined with delivery by commit, empty where none was needed. */
  public readonly pullRequest: pulumi.Output<string> | undefined;

  constructor(name: string, args: ImageWorkflowArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:ImageWorkflow", name, {}, opts);
    const { settings, content, branch } = args;
    const message = `ci: bring ${settings.path} in line with stack ${pulumi.getStack()} of ${pulumi.getProject()}`;
    switch (settings.delivery) {
      case "commit": {
        const file = new github.RepositoryFile(
          name,
          {
            repository: settings.repository ?? args.target,
            branch,
            file: settings.path,
            content,
            // One message for creation, change and deletion: the provider has no more.
            commitMessage: message,
            overwriteOnCreate: true,
          },
          {
            parent: this,
            retainOnDelete: settings.onDestroy === "keep",
            // An imported file has another value: no reason to commit it again.
            ignoreChanges: ["overwriteOnCreate"],
          },
        );
        [this.path, this.content, this.branch] = [file.file, file.content, file.branch];
        break;
      }
      case "pullRequest": {
        const proposal = this.#propose(name, args, message);
        const after = <T>(value: T) => proposal.id.apply(() => value);
        this.path = after(settings.path);
        [this.content, this.branch] = [after(content), after(branch)];
        // Not secret, though it comes from a command that is given a token.
        this.pullRequest = pulumi.unsecret(proposal.stdout);
        break;
      }
    }
    this.blob = this.content.apply(gitBlob);
    this.registerOutputs({ path: this.path, content: this.content, branch: this.branch });
  }

  #propose(name: string, args: ImageWorkflowArgs, message: string): command.local.Command {
    const { settings, content, branch, api, present } = args;
    const repository = `${args.organization}/${settings.repository ?? args.target}`;
    const head = proposalBranch(pulumi.getStack(), settings.path);
    const { state, current, follows } = judge(gitBlob(content), present.blob, present.proposals);
    if (state === "declined" && current !== undefined) {
      void pulumi.log.warn(
        `${repository}: pull request ${current.number} was closed without being merged, so ${settings.path} stays as it is until the configuration changes what it should be or somebody opens the pull request again.`,
        this,
      );
    }
    const run = "node --import tsx components/imageWorkflow/proposeFile.main.ts";
    return new command.local.Command(
      name,
      {
        create: `${run} propose`,
        delete: `${run} withdraw`,
        stdin: content,
        environment: {
          GITHUB_API: api.baseUrl,
          ...secretVariable("GITHUB_TOKEN", api.token),
          PROPOSAL_REPOSITORY: repository,
          PROPOSAL_BASE: branch,
          PROPOSAL_HEAD: head,
          PROPOSAL_PATH: settings.path,
          PROPOSAL_TITLE: message,
          PROPOSAL_BODY: [
            `The Pulumi program ${pulumi.getProject()}, stack ${pulumi.getStack()}, proposes this file from its setting \`targets.${args.target}\` and keeps this pull request up to date with it.`,
            "Merge it to use the workflow. Closed, it stays closed until the setting asks for another content.",
          ].join("\n\n"),
          PROPOSAL_MESSAGE: message,
          // Nobody reads it: it is the reason to run again when GitHub no longer has what the last run left.
          PROPOSAL_FOLLOWS: follows,
        },
        // Elsewhere it is another pull request, and this one is withdrawn.
        triggers: [repository, branch, head],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      { parent: this, deleteBeforeReplace: true },
    );
  }
}
