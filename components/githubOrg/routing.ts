import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";

export interface RoutingArgs {
  readonly level: "organization" | "repository";
  /** Name of the variable that the emitted workflows read. */
  readonly variable: string;
  /** JSON for `runs-on`. */
  readonly value: string;
  /** The repositories that are routed: ids by name. */
  readonly repositories: Readonly<Record<string, number>>;
}

/**
 * Points the workflows to the fleet. Made after the runners are online and deleted before the first host goes, so that
 * without a fleet every job falls back to GitHub's own runners instead of waiting for a day.
 */
export class Routing extends pulumi.ComponentResource {
  constructor(name: string, args: RoutingArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:Routing", name, {}, opts);
    const { variable: variableName, value } = args;
    switch (args.level) {
      case "organization":
        new github.ActionsOrganizationVariable(
          name,
          {
            variableName,
            value,
            visibility: "selected",
            selectedRepositoryIds: Object.values(args.repositories),
          },
          { parent: this, deleteBeforeReplace: true },
        );
        break;
      case "repository":
        for (const repository of Object.keys(args.repositories)) {
          new github.ActionsVariable(
            `${name}-${repository}`,
            { repository, variableName, value },
            { parent: this, deleteBeforeReplace: true },
          );
        }
        break;
    }
    this.registerOutputs({});
  }
}
