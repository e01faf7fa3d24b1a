import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { HostEnvironment } from "../host/host";
import { secretVariable } from "../secretVariable/secretVariable";
import { RUN_CANARY } from "./command";

/** How long the canary of a host may take once it has a runner, in seconds. */
export const CANARY_TIMEOUT = 900;

export interface CanarySettings {
  /** Repository with its owner. */
  readonly repository: string;
  /** Its default branch. */
  readonly branch: string;
  /** Name of the workflow's file. */
  readonly file: string;
  /** The workflow is in the repository once this is there. */
  readonly workflow: pulumi.Resource;
}

export interface HostCanaryArgs extends CanarySettings {
  /** Name of the server, which is a label of its runners. */
  readonly host: string;
  readonly serverId: pulumi.Input<number>;
  /** The host's runners are online once this is there. */
  readonly runnerHost: pulumi.Resource;
  readonly github: HostEnvironment["github"];
  /** How long jobs may run, in seconds: one that was queued before may have the host's runners first. */
  readonly drainTimeoutSeconds: number;
}

/**
 * The canary of one host: a job that has to succeed on it, once for each server that is made. The engine deletes what
 * was replaced only after everything else has succeeded, so that a host that fails it replaces nothing.
 */
export function hostCanary(
  name: string,
  args: HostCanaryArgs,
  parent: pulumi.Resource,
): command.local.Command {
  return new command.local.Command(
    name,
    {
      create: RUN_CANARY,
      // A changed token or repository is no reason to ask again.
      update: "true",
      environment: {
        HOST: args.host,
        GITHUB_API: args.github.api,
        ...secretVariable("GITHUB_TOKEN", args.github.token),
        CANARY_REPOSITORY: args.repository,
        CANARY_WORKFLOW: args.file,
        CANARY_BRANCH: args.branch,
        TIMEOUT_SECONDS: String(CANARY_TIMEOUT + args.drainTimeoutSeconds),
      },
      triggers: [args.serverId],
      logging: "none",
      addPreviousOutputInEnv: false,
    },
    { parent, dependsOn: [args.runnerHost, args.workflow], deleteBeforeReplace: true },
  );
}
