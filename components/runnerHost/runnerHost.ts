import * as pulumi from "@pulumi/pulumi";
import { Host, type HostEnvironment } from "../host/host";
import type { TokenServiceModel } from "../tokenService/stack";
import {
  drainCommand,
  runnerFirewall,
  runnerHostCommands,
  runnerHostFiles,
  runnerNames,
  type RunnerStackModel,
} from "./stack";

/** What runners get registered by. */
export type TokenSource =
  | {
      readonly placement: "dedicated";
      readonly implementation: TokenServiceModel["implementation"];
      readonly url: pulumi.Input<string>;
      /** Its address in the private network. */
      readonly address: pulumi.Input<string>;
      readonly password: pulumi.Input<string>;
    }
  | { readonly placement: "colocated"; readonly service: pulumi.Input<TokenServiceModel> };

export interface RunnerHostArgs extends Omit<
  RunnerStackModel,
  "hostName" | "runnerGroup" | "tokenService"
> {
  readonly environment: HostEnvironment;
  /** Name of the server; runners are named after it. */
  readonly serverName: string;
  readonly location: string;
  readonly pool: string;
  /** A later run replaces it. */
  readonly isOutgoing?: boolean;
  readonly placementGroupId: pulumi.Input<number>;
  readonly packages: readonly string[];
  readonly runcmd: readonly string[];
  /** Time of day, in UTC, for reboots that updates ask for; or `never`. */
  readonly rebootWindow: string;
  readonly runnerGroup: { readonly id: pulumi.Input<string>; readonly name: pulumi.Input<string> };
  readonly tokenService: TokenSource;
}

/** One ARM64 server with its runner slots. Done when every runner listens; drained before it goes. */
export class RunnerHost extends pulumi.ComponentResource {
  readonly host: Host;

  constructor(name: string, args: RunnerHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:RunnerHost", name, {}, opts);
    const { tokenService } = args;
    this.host = new Host(
      name,
      {
        environment: args.environment,
        serverName: args.serverName,
        serverType: args.serverType,
        location: args.location,
        labels: { role: "runner", pool: args.pool },
        isOutgoing: args.isOutgoing,
        placementGroupId: args.placementGroupId,
        packages: args.packages,
        runcmd: args.runcmd,
        stack: pulumi.all([args.runnerGroup, tokenService]).apply(([runnerGroup, source]) => {
          const model = { ...args, hostName: args.serverName, runnerGroup, tokenService: source };
          return { files: runnerHostFiles(model), commands: runnerHostCommands(model) };
        }),
        firewall: runnerFirewall(args.runnerImage, tokenService),
        rebootWindow: args.rebootWindow,
        registryMirrors: args.registryMirrors,
        drain: {
          command: drainCommand(args.drainTimeoutSeconds),
          timeoutSeconds: args.drainTimeoutSeconds,
        },
        runners: {
          organization: args.organization,
          names: runnerNames(args.serverName, args.runners),
        },
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
