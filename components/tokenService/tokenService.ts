import * as pulumi from "@pulumi/pulumi";
import { Host, type HostArgs, type HostEnvironment } from "../host/host";
import {
  TOKEN_SERVICE_FIREWALL,
  tokenServiceCommands,
  tokenServiceFiles,
  type TokenServiceModel,
  tokenServiceUrl,
} from "./stack";

type ModelInputs = { readonly [K in keyof TokenServiceModel]: pulumi.Input<TokenServiceModel[K]> };

export interface TokenServiceArgs extends ModelInputs {
  readonly environment: HostEnvironment;
  /** Name of the server. */
  readonly serverName: string;
  readonly serverType: string;
  readonly location: string;
  /** Its address in the private network, fixed so that a new server is found where the old one was. */
  readonly privateIp: string;
  /** `never`, or a time of day in UTC such as 03:00-05:00. */
  readonly rebootWindow: string;
  readonly registryMirrors: HostArgs["registryMirrors"];
}

/** The token service on a small server of its own: the credential is then on no host that runs jobs. */
export class TokenService extends pulumi.ComponentResource {
  /** Base URL for runners in the private network. */
  readonly url: pulumi.Output<string>;
  readonly host: Host;

  constructor(name: string, args: TokenServiceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:TokenService", name, {}, opts);
    const { environment, serverName, serverType, location, privateIp } = args;
    const { rebootWindow, registryMirrors } = args;
    const model = pulumi.output({
      implementation: args.implementation,
      image: args.image,
      organization: args.organization,
      githubUrl: args.githubUrl,
      credential: args.credential,
      password: args.password,
      runnerNamePrefix: args.runnerNamePrefix,
      runnerGroupId: args.runnerGroupId,
      registrationTokens: args.registrationTokens,
      sources: args.sources,
    });

    this.host = new Host(
      name,
      {
        environment,
        serverName,
        serverType,
        location,
        labels: { role: "token-service" },
        privateIp,
        stack: pulumi.secret(model).apply((known) => ({
          files: tokenServiceFiles(known, privateIp),
          commands: tokenServiceCommands({ ...known, serverType }, privateIp),
        })),
        firewall: TOKEN_SERVICE_FIREWALL,
        rebootWindow,
        registryMirrors,
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
