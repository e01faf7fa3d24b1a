import * as pulumi from "@pulumi/pulumi";
import { Host, type HostEnvironment } from "../host/host";
import { tokenServiceScript, tokenServiceUrl } from "./stack";

export interface TokenServiceArgs {
  readonly environment: HostEnvironment;
  /** Name of the server. */
  readonly serverName: string;
  readonly serverType: string;
  readonly location: string;
  /** Its address in the private network, fixed so that a new server is found where the old one was. */
  readonly privateIp: string;
  readonly image: string;
  readonly organization: string;
  /** Personal access token that it trades for registration tokens. */
  readonly token: pulumi.Input<string>;
}

/** The token service on a small server of its own: the credential is then on no host that runs jobs. */
export class TokenService extends pulumi.ComponentResource {
  /** Base URL for runners in the private network. */
  readonly url: pulumi.Output<string>;
  readonly host: Host;

  constructor(name: string, args: TokenServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:TokenService", name, {}, opts);
    const { image, organization, privateIp, serverType } = args;

    this.host = new Host(
      name,
      {
        environment: args.environment,
        serverName: args.serverName,
        serverType: args.serverType,
        location: args.location,
        labels: { role: "token-service" },
        privateIp,
        script: pulumi
          .output(args.token)
          .apply((token) =>
            tokenServiceScript({ image, organization, token, serverType }, privateIp),
          ),
      },
      { parent: this },
    );
    // Known when the service answers: whoever uses it waits for that.
    this.url = pulumi
      .all([this.host.privateIp, this.host.ready])
      .apply(([address]) => tokenServiceUrl(address));
    this.registerOutputs({ url: this.url });
  }
}
