import * as command from "@pulumi/command";
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { epoch } from "../epoch/epoch";
import { renderCloudInit } from "./cloudInit";
import { hostKeyFromSecret } from "./hostKey";
import { runOverSsh } from "./ssh";

/** Debian 13: Docker, compose and their security updates come from the distribution. */
const IMAGE = "debian-13";

/** What every host of the fleet shares. */
export interface HostEnvironment {
  readonly networkId: pulumi.Input<number>;
  /** Subnet that hosts join; they wait for it. */
  readonly subnetId: pulumi.Input<string>;
  readonly firewallId: pulumi.Input<number>;
  readonly sshKeyId: pulumi.Input<string>;
  readonly sshPort: number;
  readonly sshPrivateKey: pulumi.Input<string>;
  /** Labels on every resource in the Hetzner project. */
  readonly labels: Readonly<Record<string, string>>;
  /** What there is before this run, by name of the host. */
  readonly servers: ReadonlyMap<string, ServerState>;
}

/** How a server was found. */
export interface ServerState {
  readonly off: boolean;
  /** In a private network, which a server joins once it has been made. */
  readonly attached: boolean;
}

export interface HostArgs {
  readonly environment: HostEnvironment;
  /** Name of the server, unique in the Hetzner project. */
  readonly serverName: string;
  /** Hetzner server type, e.g. cax21. A change powers the server off and on. */
  readonly serverType: string;
  /** Hetzner location. A living server stays where it is. */
  readonly location: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly placementGroupId?: pulumi.Input<number>;
  /** Address in the private network; default: the next free one. */
  readonly privateIp?: string;
  readonly packages?: readonly string[];
  readonly runcmd?: readonly string[];
  /** Script for `bash -s` that brings the host to what is wanted; run again, in place, whenever it changes. */
  readonly script: pulumi.Input<string>;
  /** Command that takes the host out of service: run before it is deleted and before it is powered off for a rescale. */
  readonly drain?: { readonly command: string; readonly timeoutSeconds: number };
}

/**
 * One server that boots by cloud-init and is managed over SSH with its host key pinned. A living server is never
 * replaced by a change of user_data, image, location or key: such changes reach the next server that is made.
 */
export class Host extends pulumi.ComponentResource {
  /** True once the host is what its script makes of it. */
  readonly ready: pulumi.Output<boolean>;
  readonly serverId: pulumi.Output<number>;
  readonly ipv4Address: pulumi.Output<string>;
  readonly privateIp: pulumi.Output<string>;
  readonly location: pulumi.Output<string>;
  readonly serverType: pulumi.Output<string>;

  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:Host", name, {}, opts);
    const { environment } = args;

    const seed = new random.RandomPassword(
      `${name}-host-key`,
      { length: 64, special: false },
      { parent: this },
    );
    const hostKey = pulumi.secret(seed.result).apply(hostKeyFromSecret);
    const userData = hostKey.apply((key) =>
      renderCloudInit({
        hostKey: key,
        sshPort: environment.sshPort,
        packages: args.packages ?? [],
        runcmd: args.runcmd ?? [],
      }),
    );
    const found = environment.servers.get(name);
    // Ordered, but never made: Hetzner has a record of it, which the provider takes for the server from then on.
    const stillborn = found !== undefined && found.off && !found.attached;
    // A public key is no secret, but it is derived from one.
    const pinned = pulumi.unsecret(hostKey.apply((key) => key.publicKey));

    const server = new hcloud.Server(
      name,
      {
        name: args.serverName,
        serverType: args.serverType,
        image: IMAGE,
        location: args.location,
        sshKeys: [environment.sshKeyId],
        userData: pulumi.secret(userData),
        firewallIds: [environment.firewallId],
        placementGroupId: args.placementGroupId,
        publicNets: [{ ipv4Enabled: true, ipv6Enabled: true }],
        // Lets a later change of type go down again as well.
        keepDisk: true,
        labels: { ...environment.labels, ...args.labels },
      },
      {
        parent: this,
        ignoreChanges: ["userData", "image", "location", "sshKeys"],
        replacementTrigger: epoch(`${name}-epoch`, stillborn, { parent: this }),
        // Server names are unique in a project, so the old one has to go first.
        deleteBeforeReplace: true,
        hooks:
          // What is off runs no job and hears no SSH, as after a rescale that failed half-way.
          args.drain === undefined || found?.off === true
            ? undefined
            : {
                beforeUpdate: [
                  new pulumi.ResourceHook(
                    `${name}-drain-before-rescale`,
                    drainBeforeRescale(args.drain, environment, pinned),
                  ),
                ],
              },
      },
    );
    const attachment = new hcloud.ServerNetwork(
      `${name}-network`,
      {
        serverId: server.id.apply(Number),
        subnetId: environment.subnetId,
        ip: args.privateIp,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    const stack = new command.remote.Command(
      `${name}-stack`,
      {
        connection: {
          host: server.ipv4Address,
          port: environment.sshPort,
          user: "root",
          privateKey: environment.sshPrivateKey,
          hostKey: pinned,
          // Some five minutes: the server boots and installs its packages meanwhile.
          dialErrorLimit: 60,
        },
        create: "bash -s",
        delete: args.drain?.command,
        stdin: pulumi.secret(args.script),
        // A new server under the same name starts from nothing.
        triggers: [server.id],
        logging: "none",
        addPreviousOutputInEnv: false,
      },
      {
        parent: this,
        dependsOn: [attachment],
        additionalSecretOutputs: ["stdout", "stderr"],
        deleteBeforeReplace: true,
      },
    );

    this.ready = stack.id.apply(() => true);
    this.serverId = server.id.apply(Number);
    this.ipv4Address = server.ipv4Address;
    this.privateIp = attachment.ip;
    this.location = server.location;
    this.serverType = server.serverType;
    this.registerOutputs({
      serverId: this.serverId,
      ipv4Address: this.ipv4Address,
      privateIp: this.privateIp,
    });
  }
}

/** The provider powers a server off to change its type, whatever runs there: drain it before. */
export function drainBeforeRescale(
  drain: { readonly command: string; readonly timeoutSeconds: number },
  environment: Pick<HostEnvironment, "sshPort" | "sshPrivateKey">,
  hostKey: pulumi.Input<string>,
): pulumi.ResourceHookFunction {
  const login = pulumi.all([environment.sshPrivateKey, hostKey]);
  return async (args) => {
    const before = args.oldOutputs as { ipv4Address: string; serverType: string };
    const wanted = args.newInputs as { serverType: string };
    if (before.serverType === wanted.serverType) return;
    const [privateKey, key] = await new Promise<[string, string]>((resolve) => {
      login.apply(([secret, pinned]) => resolve([secret, pinned]));
    });
    await runOverSsh(
      { host: before.ipv4Address, port: environment.sshPort, privateKey, hostKey: key },
      drain.command,
      drain.timeoutSeconds + 120,
    );
  };
}
