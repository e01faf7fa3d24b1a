import * as pulumi from "@pulumi/pulumi";
import { Host, type HostEnvironment } from "../host/host";
import { drainCommand, runnerHostScript, type RunnerStackModel } from "./stack";

/** Where runners get their registration tokens. */
export type TokenSource =
  | { readonly placement: "dedicated"; readonly url: pulumi.Input<string> }
  | {
      readonly placement: "colocated";
      readonly image: string;
      readonly organization: string;
      readonly token: pulumi.Input<string>;
    };

export interface RunnerHostArgs extends Omit<
  RunnerStackModel,
  "hostName" | "runnerGroup" | "tokenService"
> {
  readonly environment: HostEnvironment;
  /** Name of the server; runners are named after it. */
  readonly serverName: string;
  readonly location: string;
  readonly pool: string;
  readonly placementGroupId: pulumi.Input<number>;
  readonly packages: readonly string[];
  readonly runcmd: readonly string[];
  readonly runnerGroup: { readonly id: pulumi.Input<string>; readonly name: pulumi.Input<string> };
  readonly tokenService: TokenSource;
}

/** One ARM64 server with its runner slots. Done when every runner listens; drained before it goes. */
export class RunnerHost extends pulumi.ComponentResource {
  readonly host: Host;

  constructor(name: string, args: RunnerHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:RunnerHost", name, {}, opts);
    this.host = new Host(
      name,
      {
        environment: args.environment,
        serverName: args.serverName,
        serverType: args.serverType,
        location: args.location,
        labels: { role: "runner", pool: args.pool },
        placementGroupId: args.placementGroupId,
        packages: args.packages,
        runcmd: args.runcmd,
        script: pulumi
          .all([args.runnerGroup, args.tokenService])
          .apply(([runnerGroup, tokenService]) =>
            runnerHostScript({ ...args, hostName: args.serverName, runnerGroup, tokenService }),
          ),
        drain: {
          command: drainCommand(args.drainTimeoutSeconds),
          timeoutSeconds: args.drainTimeoutSeconds,
        },
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}
