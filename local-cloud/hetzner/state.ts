import type { Busy } from "./actions";
import type { Labels } from "./labels";

/** What every resource of a project has. */
export interface Resource extends Busy {
  readonly id: number;
  name: string;
  readonly created: Date;
  labels: Labels;
}

export type ServerStatus =
  "initializing" | "starting" | "running" | "off" | "deleting" | "rebuilding" | "migrating";

export interface PrivateNet {
  readonly network: number;
  readonly ip: string;
  aliasIps: readonly string[];
  readonly macAddress: string;
  /** False while the attaching action runs: the address is taken, but not shown yet. */
  attached: boolean;
}

export interface Server extends Resource {
  status: ServerStatus;
  /** Name of the type. */
  serverType: string;
  readonly location: string;
  image: number;
  userData: string;
  /** authorized_keys lines for root, from the SSH keys at creation. */
  readonly publicKeys: readonly string[];
  protection: { delete: boolean; rebuild: boolean };
  primaryDiskSize: number;
  privateNets: PrivateNet[];
  backupWindow: string | null;
  rescueEnabled: boolean;
  placementGroup: number | null;
  /** IPv4 address that the host was laid out with. */
  hostAddress: string | null;
}

export interface Subnet {
  readonly type: "cloud" | "server";
  readonly ipRange: string;
  readonly networkZone: string;
}

export interface Route {
  readonly destination: string;
  readonly gateway: string;
}

export interface Network extends Resource {
  ipRange: string;
  subnets: Subnet[];
  routes: Route[];
  protection: { delete: boolean };
  exposeRoutesToVswitch: boolean;
}

export interface FirewallRule {
  readonly direction: "in" | "out";
  readonly protocol: "tcp" | "udp" | "icmp" | "esp" | "gre";
  readonly port: string | null;
  readonly source_ips: readonly string[];
  readonly destination_ips: readonly string[];
  readonly description: string | null;
}

export type FirewallTarget =
  | { readonly type: "server"; readonly server: number }
  | { readonly type: "label_selector"; readonly selector: string };

export interface Firewall extends Resource {
  rules: readonly FirewallRule[];
  targets: FirewallTarget[];
  /** Servers that an action is still applying it to. */
  readonly pending: Set<number>;
}

export interface PlacementGroup extends Resource {
  readonly type: "spread";
}

export interface SshKey extends Resource {
  readonly publicKey: string;
  readonly fingerprint: string;
}

export interface PrimaryIp extends Resource {
  readonly type: "ipv4" | "ipv6";
  /** Address, for IPv6 the /64 range. */
  readonly ip: string;
  readonly location: string;
  assignee: number | null;
  autoDelete: boolean;
  protection: { delete: boolean };
  /** Reverse DNS entries by address. */
  readonly dnsPtr: Map<string, string>;
}

export interface Volume extends Resource {
  status: "creating" | "available";
  size: number;
  readonly format: string | null;
  readonly location: string;
  server: number | null;
  protection: { delete: boolean };
}

/** The resources of the project by id. */
export interface State {
  readonly servers: ReadonlyMap<number, Server>;
  readonly networks: ReadonlyMap<number, Network>;
  readonly firewalls: ReadonlyMap<number, Firewall>;
  readonly placementGroups: ReadonlyMap<number, PlacementGroup>;
  readonly sshKeys: ReadonlyMap<number, SshKey>;
  readonly primaryIps: ReadonlyMap<number, PrimaryIp>;
  readonly volumes: ReadonlyMap<number, Volume>;
}
