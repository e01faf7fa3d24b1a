import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import type { HostEnvironment, ServerState } from "../host/host";

export interface FleetNetworkArgs {
  /** Prefix of the names in the Hetzner project. */
  readonly prefix: string;
  /** CIDR of the private network, of the subnet in it, and the subnet's network zone. */
  readonly ipRange: string;
  readonly subnet: string;
  readonly zone: string;
  readonly sshPublicKey: string;
  /** Needed where management is `ssh`. */
  readonly sshPrivateKey?: pulumi.Input<string>;
  readonly sshPort: number;
  /** `none`: SSH is open to nobody. */
  readonly management: HostEnvironment["management"];
  /** Ranges that may reach SSH; everything else that is not an answer is dropped by the cloud's firewall. */
  readonly allowedCidrs: readonly string[];
  /** APIs that commands of hosts ask. */
  readonly github: HostEnvironment["github"];
  readonly hetzner: HostEnvironment["hetzner"];
  readonly labels: Readonly<Record<string, string>>;
  /** How the stack's servers were found, by name of the host. */
  readonly servers: ReadonlyMap<string, ServerState>;
}

/** What hosts share: a private network with one subnet, a firewall that opens SSH at most, and the SSH key. */
export class FleetNetwork extends pulumi.ComponentResource {
  readonly environment: HostEnvironment;

  constructor(name: string, args: FleetNetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:FleetNetwork", name, {}, opts);
    const { labels } = args;

    const network = new hcloud.Network(
      name,
      { name: args.prefix, ipRange: args.ipRange, labels },
      { parent: this },
    );
    const subnet = new hcloud.NetworkSubnet(
      `${name}-subnet`,
      {
        networkId: network.id.apply(Number),
        type: "cloud",
        networkZone: args.zone,
        ipRange: args.subnet,
      },
      { parent: this },
    );
    const firewall = new hcloud.Firewall(
      `${name}-firewall`,
      {
        name: args.prefix,
        labels,
        rules: [
          args.management === "ssh"
            ? {
                description: "SSH from the management ranges",
                direction: "in",
                protocol: "tcp",
                port: String(args.sshPort),
                sourceIps: [...args.allowedCidrs],
              }
            : // Not an empty list: the provider does not send one, and SSH would stay open where it was.
              {
                description: "Echo requests",
                direction: "in",
                protocol: "icmp",
                sourceIps: ["0.0.0.0/0", "::/0"],
              },
        ],
      },
      { parent: this },
    );
    const sshKey = new hcloud.SshKey(
      `${name}-ssh-key`,
      { name: args.prefix, publicKey: args.sshPublicKey, labels },
      // The name is taken as long as the old key is there.
      { parent: this, deleteBeforeReplace: true },
    );

    this.environment = {
      networkId: network.id.apply(Number),
      networkZone: args.zone,
      subnetId: subnet.id,
      ipRange: args.ipRange,
      firewallId: firewall.id.apply(Number),
      sshKeyId: sshKey.id,
      sshPort: args.sshPort,
      management: args.management,
      sshPrivateKey: args.sshPrivateKey,
      allowedCidrs: args.allowedCidrs,
      github: args.github,
      hetzner: args.hetzner,
      labels,
      servers: args.servers,
    };
    this.registerOutputs({});
  }
}
