import { formatIpv4, holds, overlap, parseIpv4, parseRange, type Range } from "./addresses";
import { findLocation } from "./catalog";
import { ApiError } from "./errors";
import type { Project } from "./project";
import { gatewayOf } from "./render";
import type { Network, PrivateNet, Server } from "./state";

/** Default gateway of the public interface: never given out in a network. */
const publicGateway = "172.31.1.1";

function range(text: string): Range {
  const parsed = parseRange(text);
  if (!parsed) throw new Error(`not an IPv4 range: ${text}`);
  return parsed;
}

function unavailable(address: string): ApiError {
  return new ApiError(422, "ip_not_available", `IP ${address} is not available`);
}

/** Addresses of a network that servers hold, optionally leaving out one server. */
function taken(project: Project, network: Network, except?: Server): Set<string> {
  const nets = project
    .serversIn(network)
    .filter((server) => server !== except)
    .flatMap((server) => server.privateNets.filter((net) => net.network === network.id));
  return new Set(nets.flatMap((net) => [net.ip, ...net.aliasIps]));
}

/** Network address, broadcast address and the network's gateway are nobody's. */
function isUsable(network: Network, subnet: Range, address: number): boolean {
  const text = formatIpv4(address);
  return (
    holds(subnet, address) &&
    address !== subnet.first &&
    address !== subnet.last &&
    text !== gatewayOf(network) &&
    text !== publicGateway
  );
}

export interface AttachWish {
  readonly ip?: string | undefined;
  readonly ipRange?: string | undefined;
  readonly aliasIps?: readonly string[] | undefined;
}

/** Decides the address of a server in a network, or refuses as the API does. Reserves nothing. */
export function planPrivateNet(
  project: Project,
  network: Network,
  server: Pick<Server, "location" | "privateNets">,
  wish: AttachWish = {},
): PrivateNet {
  if (server.privateNets.some((net) => net.network === network.id))
    throw new ApiError(422, "server_already_attached", "server is already attached to the network");
  for (const net of server.privateNets)
    if (overlap(range(project.network(net.network).ipRange), range(network.ipRange)))
      throw new ApiError(
        422,
        "networks_overlap",
        "the network IP range overlaps with one of the server networks",
      );
  const zone = findLocation(server.location).network_zone;
  const subnets = network.subnets
    .filter((subnet) => subnet.networkZone === zone)
    .filter((subnet) => wish.ipRange === undefined || subnet.ipRange === wish.ipRange)
    .map((subnet) => range(subnet.ipRange));
  const used = taken(project, network);
  const noSubnet = new ApiError(
    422,
    "no_subnet_available",
    `no subnet or IP of the network is available in network zone ${zone}`,
  );
  if (subnets.length === 0) throw noSubnet;
  const ip = wish.ip === undefined ? firstFree(network, subnets, used) : wish.ip;
  if (ip === undefined) throw noSubnet;
  const address = parseIpv4(ip);
  if (address === undefined || used.has(ip)) throw unavailable(ip);
  if (!subnets.some((subnet) => isUsable(network, subnet, address))) throw unavailable(ip);
  const aliasIps = wish.aliasIps ?? [];
  checkAliases(project, network, ip, aliasIps);
  // Of the address: a neighbour that knew the last server at it finds the next one at once.
  const macAddress = [0x86, 0, address >>> 24, address >>> 16, address >>> 8, address]
    .map((byte) => (byte & 255).toString(16).padStart(2, "0"))
    .join(":");
  return { network: network.id, ip, aliasIps, macAddress, attached: false };
}

/** Refuses alias addresses that lie outside the subnets, are double or taken by others. */
export function checkAliases(
  project: Project,
  network: Network,
  ip: string,
  aliases: readonly string[],
  server?: Server,
): void {
  const used = taken(project, network, server).add(ip);
  const subnets = network.subnets.map((subnet) => range(subnet.ipRange));
  for (const alias of aliases) {
    const address = parseIpv4(alias);
    const usable =
      address !== undefined && subnets.some((subnet) => isUsable(network, subnet, address));
    if (!usable || used.has(alias)) throw unavailable(alias);
    used.add(alias);
  }
}

function firstFree(
  network: Network,
  subnets: readonly Range[],
  used: ReadonlySet<string>,
): string | undefined {
  for (const subnet of subnets)
    for (let address = subnet.first + 1; address < subnet.last; address++)
      if (isUsable(network, subnet, address) && !used.has(formatIpv4(address)))
        return formatIpv4(address);
  return undefined;
}

/** The subnet of a network that an address lies in. */
export function subnetOf(network: Network, ip: string): string | undefined {
  const address = parseIpv4(ip);
  return network.subnets.find(
    (subnet) => address !== undefined && holds(range(subnet.ipRange), address),
  )?.ipRange;
}
