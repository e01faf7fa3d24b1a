import type { Traffic } from "../core/traffic";
import type { HostBackend } from "../hosts/types";
import { Actions, type Busy } from "./actions";
import { Offers } from "./catalog";
import { ApiError, limitExceeded, notFound, notUnique } from "./errors";
import { parseSelector } from "./labels";
import { RateLimit } from "./rateLimit";
import type {
  Firewall,
  Network,
  PlacementGroup,
  PrimaryIp,
  Resource,
  Server,
  ServerStatus,
  SshKey,
  State,
  Volume,
} from "./state";

/** A kind of resource: how errors name it and where it is kept. */
interface Kind<T> {
  readonly name: string;
  readonly all: Map<number, T>;
}

/** The project behind the token: its resources, what is on offer, and what its servers run on. */
export class Project implements State {
  readonly servers = new Map<number, Server>();
  readonly networks = new Map<number, Network>();
  readonly firewalls = new Map<number, Firewall>();
  readonly placementGroups = new Map<number, PlacementGroup>();
  readonly sshKeys = new Map<number, SshKey>();
  readonly primaryIps = new Map<number, PrimaryIp>();
  readonly volumes = new Map<number, Volume>();
  readonly offers = new Offers();
  readonly actions: Actions;
  readonly rateLimit: RateLimit;
  private readonly limits = new Map<string, number>();
  /** One sequence for all kinds, so that an id of the wrong kind is never found by accident. */
  private lastId = 1_000_000;

  constructor(
    readonly traffic: Traffic,
    readonly hosts: HostBackend,
    actionMs: number,
    readonly requestsPerHour: number,
  ) {
    this.actions = new Actions(actionMs);
    this.rateLimit = new RateLimit(requestsPerHour);
  }

  /** Kinds by the path segment that the API uses. */
  readonly kinds = {
    servers: { name: "server", all: this.servers },
    networks: { name: "network", all: this.networks },
    firewalls: { name: "firewall", all: this.firewalls },
    placement_groups: { name: "placement_group", all: this.placementGroups },
    ssh_keys: { name: "ssh_key", all: this.sshKeys },
    primary_ips: { name: "primary_ip", all: this.primaryIps },
    volumes: { name: "volume", all: this.volumes },
  } as const satisfies Record<string, Kind<Resource>>;

  nextId(): number {
    return ++this.lastId;
  }

  /** At most this many resources of a kind; more are refused as over the account's limit. */
  setLimit(kind: keyof Project["kinds"], most: number): void {
    this.limits.set(kind, most);
  }

  checkLimit(kind: keyof Project["kinds"]): void {
    const limit = this.limits.get(kind);
    const { name, all } = this.kinds[kind];
    if (limit !== undefined && all.size >= limit)
      throw limitExceeded(`${name} limit reached`, `${name}_limit`);
  }

  checkUniqueName(kind: keyof Project["kinds"], name: string, except?: Resource): void {
    const kept: Kind<Resource> = this.kinds[kind];
    for (const other of kept.all.values())
      if (other.name === name && other !== except)
        throw notUnique(`${kept.name} name is already used`, "name");
  }

  server(id: number): Server {
    return find(this.servers, "server", id);
  }

  network(id: number): Network {
    return find(this.networks, "network", id);
  }

  firewall(id: number): Firewall {
    return find(this.firewalls, "firewall", id);
  }

  placementGroup(id: number): PlacementGroup {
    return find(this.placementGroups, "placement_group", id);
  }

  sshKey(id: number): SshKey {
    return find(this.sshKeys, "ssh_key", id);
  }

  primaryIp(id: number): PrimaryIp {
    return find(this.primaryIps, "primary_ip", id);
  }

  volume(id: number): Volume {
    return find(this.volumes, "volume", id);
  }

  addressOf(server: Server, type: PrimaryIp["type"]): PrimaryIp | undefined {
    return [...this.primaryIps.values()].find(
      (ip) => ip.assignee === server.id && ip.type === type,
    );
  }

  isPublic(server: Server): boolean {
    return [...this.primaryIps.values()].some((ip) => ip.assignee === server.id);
  }

  /** The status now: a system may also have shut down by itself. */
  statusOf(server: Server): ServerStatus {
    const { status, busy } = server;
    if (status === "running" && busy === 0 && this.hosts.status(server.id) === "off")
      server.status = "off";
    return server.status;
  }

  membersOf(group: PlacementGroup): number[] {
    return [...this.servers.values()]
      .filter((server) => server.placementGroup === group.id)
      .map((server) => server.id);
  }

  serversIn(network: Network): Server[] {
    return [...this.servers.values()].filter((server) =>
      server.privateNets.some((net) => net.network === network.id),
    );
  }

  /** Servers that a label selector of a firewall means: those with a public interface. */
  selected(selector: string): Server[] {
    const matches = parseSelector(selector);
    return [...this.servers.values()].filter(
      (server) => matches(server.labels) && this.isPublic(server),
    );
  }

  firewallsOf(server: Server): Firewall[] {
    return [...this.firewalls.values()].filter((firewall) =>
      firewall.targets.some((target) =>
        target.type === "server"
          ? target.server === server.id
          : this.selected(target.selector).includes(server),
      ),
    );
  }

  /** A new primary IP; IPv4 addresses are reserved with the hosts, so that they can be dialed. */
  addPrimaryIp(
    type: PrimaryIp["type"],
    location: string,
    options: Partial<Pick<PrimaryIp, "name" | "labels" | "assignee" | "autoDelete">>,
  ): PrimaryIp {
    const id = this.nextId();
    const ip: PrimaryIp = {
      id,
      type,
      ip: type === "ipv4" ? this.reserveAddress() : ipv6Range(id),
      location,
      name: options.name ?? `primary_ip-${id}`,
      labels: options.labels ?? {},
      assignee: options.assignee ?? null,
      autoDelete: options.autoDelete ?? false,
      protection: { delete: false },
      dnsPtr: new Map(),
      created: new Date(),
      busy: 0,
    };
    this.primaryIps.set(id, ip);
    return ip;
  }

  private reserveAddress(): string {
    try {
      return this.hosts.reserveAddress();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new ApiError(412, "resource_unavailable", `no IPv4 address is available: ${reason}`);
    }
  }

  removePrimaryIp(ip: PrimaryIp): void {
    this.primaryIps.delete(ip.id);
    if (ip.type === "ipv4") this.hosts.releaseAddress(ip.ip);
  }

  /** Removes a server that is gone, and lets go of what was attached to it. */
  forgetServer(server: Server): void {
    this.servers.delete(server.id);
    for (const volume of this.volumes.values())
      if (volume.server === server.id) volume.server = null;
    for (const ip of this.primaryIps.values()) {
      if (ip.assignee !== server.id) continue;
      ip.assignee = null;
      if (ip.autoDelete) this.removePrimaryIp(ip);
    }
    for (const firewall of this.firewalls.values()) {
      firewall.pending.delete(server.id);
      firewall.targets = firewall.targets.filter(
        (target) => target.type !== "server" || target.server !== server.id,
      );
    }
  }

  /** Everything gone, hosts included; offers, limits and budget as at the start. */
  async reset(): Promise<void> {
    await this.actions.reset();
    await Promise.all([...this.servers.keys()].map((id) => this.hosts.delete(id)));
    for (const ip of [...this.primaryIps.values()]) this.removePrimaryIp(ip);
    for (const { all } of Object.values(this.kinds)) all.clear();
    this.offers.reset();
    this.limits.clear();
    this.rateLimit.set(this.requestsPerHour, this.requestsPerHour);
  }
}

function find<T>(all: ReadonlyMap<number, T>, kind: string, id: number): T {
  const found = all.get(id);
  if (!found) throw notFound(kind, id);
  return found;
}

/** Refuses work on something that an action keeps busy. */
export function checkUnlocked(kind: string, resource: Busy): void {
  if (resource.busy > 0) throw new ApiError(423, "locked", `${kind} is locked`);
}

/** Refuses a change while another one is under way. */
export function checkIdle(kind: string, resource: Busy): void {
  if (resource.busy > 0)
    throw new ApiError(409, "conflict", `another change of the ${kind} is under way, please retry`);
}

/** Refuses what only a stopped server can undergo. */
export function checkStopped(project: Project, server: Server): void {
  if (project.statusOf(server) !== "off")
    throw new ApiError(422, "server_not_stopped", "server must be stopped for this action");
}

function ipv6Range(id: number): string {
  return `2001:db8:${Math.floor(id / 65536).toString(16)}:${(id % 65536).toString(16)}::/64`;
}
