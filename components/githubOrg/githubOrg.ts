import * as command from "@pulumi/command";
import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";
import { epoch } from "../epoch/epoch";
import { secretVariable } from "../secretVariable/secretVariable";

export interface GithubOrgArgs {
  /** None without own hosts, which alone register in it. */
  readonly runnerGroup?: {
    readonly name: string;
    /** Ids of the repositories whose jobs the group takes. */
    readonly repositoryIds: readonly number[];
    /** Workflows as `owner/repository/path@ref` whose jobs alone the group takes; default: those of any. */
    readonly workflows?: readonly string[];
    /** Whether GitHub knows a group of this name now; without it the group is made again. */
    readonly exists: boolean;
  };
  readonly organization: string;
  /** REST API that the group is deleted through, without a slash at the end. */
  readonly api: {
    readonly baseUrl: string;
    /** Default: GITHUB_TOKEN in the environment of the run that deletes. */
    readonly token?: pulumi.Input<string>;
  };
  /** Organization secrets by name. */
  readonly secrets: Readonly<
    Record<
      string,
      {
        readonly value: pulumi.Input<string>;
        readonly repositoryIds: readonly number[];
        /** Whether somebody else wrote it since the last run; it is then made again. */
        readonly rewritten: boolean;
      }
    >
  >;
}

/** The organization's side: a runner group that only selected repositories reach, and their secrets. */
export class GithubOrg extends pulumi.ComponentResource {
  readonly runnerGroup:
    { readonly id: pulumi.Output<string>; readonly name: pulumi.Output<string> } | undefined;

  /** When each secret was last written from here, by name. */
  readonly secretsWrittenAt: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: GithubOrgArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:GithubOrg", name, {}, opts);

    this.runnerGroup =
      args.runnerGroup === undefined ? undefined : this.#makeGroup(name, args, args.runnerGroup);

    const writtenAt: Record<string, pulumi.Output<string>> = {};
    for (const [secretName, secret] of Object.entries(args.secrets)) {
      const key = `${name}-secret-${secretName}`;
      const created = new github.ActionsOrganizationSecret(
        key,
        // No selectedRepositoryIds here: a change of them would replace, and so delete, the secret.
        { secretName, visibility: "selected", plaintextValue: pulumi.secret(secret.value) },
        {
          parent: this,
          deleteBeforeReplace: true,
          replacementTrigger: epoch(`${key}-epoch`, secret.rewritten, { parent: this }),
        },
      );
      writtenAt[secretName] = created.updatedAt;
      new github.ActionsOrganizationSecretRepositories(
        `${key}-repositories`,
        {
          secretName: created.secretName,
          selectedRepositoryIds: [...secret.repositoryIds],
        },
        { parent: this, deleteBeforeReplace: true },
      );
    }

    this.secretsWrittenAt = pulumi.output(writtenAt);
    this.registerOutputs({ runnerGroupId: this.runnerGroup?.id });
  }

  #makeGroup(
    name: string,
    args: GithubOrgArgs,
    runnerGroup: NonNullable<GithubOrgArgs["runnerGroup"]>,
  ): NonNullable<GithubOrg["runnerGroup"]> {
    // The provider's read passes over a group that was deleted by hand, so neither refresh nor a diff would ever notice.
    const runnersEpoch = epoch(`${name}-runners-epoch`, !runnerGroup.exists, { parent: this });
    const group = new github.ActionsRunnerGroup(
      `${name}-runners`,
      {
        name: runnerGroup.name,
        visibility: "selected",
        selectedRepositoryIds: [...runnerGroup.repositoryIds],
        // A fork's pull request can rewrite the workflow: this group is the boundary, not the file.
        allowsPublicRepositories: false,
        restrictedToWorkflows: runnerGroup.workflows !== undefined,
        selectedWorkflows: [...(runnerGroup.workflows ?? [])],
      },
      {
        parent: this,
        replacementTrigger: runnersEpoch,
        // The provider's delete fails for a group that is already gone; the command below does not.
        retainOnDelete: true,
      },
    );
    const cleanup = new command.local.Command(
      `${name}-runners-cleanup`,
      {
        create: "true",
        delete: "node components/githubOrg/deleteRunnerGroup.mjs",
        environment: {
          GITHUB_API: args.api.baseUrl,
          ...secretVariable("GITHUB_TOKEN", args.api.token),
          GITHUB_ORGANIZATION: args.organization,
          RUNNER_GROUP_ID: group.id,
        },
        triggers: [group.id],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      { parent: this, additionalSecretOutputs: ["stdout", "stderr"] },
    );

    // Through the clean-up, so that the group outlives the hosts that register in it.
    const id = pulumi.all([group.id, cleanup.id]).apply(([groupId]) => groupId);
    return { id, name: group.name };
  }
}
