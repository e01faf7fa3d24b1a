import { renderTime } from "./actions";
import { images, renderImage, findLocation, serverTypes } from "./catalog";
import { formatIpv4, parseRange } from "./addresses";
import type { Project } from "./project";
import { dnsPtrOf } from "./reverseDns";
import type {
  Firewall,
  FirewallTarget,
  Network,
  PlacementGroup,
  PrimaryIp,
  Server,
  SshKey,
  Volume,
} from "./state";

/** The resources as the API shows them. */

export function renderServer(project: Project, server: Server) {
  const type = serverTypes.find((entry) => entry.name === server.serverType);
  const image = images.find((entry) => entry.id === server.image);
  if (!type || !image) throw new Error(`server ${server.name} has no known type or image`);
  const ipv4 = project.addressOf(server, "ipv4");
  const ipv6 = project.addressOf(server, "ipv6");
  const group =
    server.placementGroup === null ? undefined : project.placementGroup(server.placementGroup);
  return {
    id: server.id,
    name: server.name,
    status: project.statusOf(server),
    created: renderTime(server.created),
    public_net: {
      ipv4: ipv4
        ? { id: ipv4.id, ip: ipv4.ip, blocked: false, dns_ptr: dnsPtrOf(ipv4, ipv4.ip) }
        : null,
      ipv6: ipv6 ? { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: dnsEntries(ipv6) } : null,
      floating_ips: [],
      firewalls: project.firewallsOf(server).map((firewall) => ({
        id: firewall.id,
        status: firewall.pending.has(server.id) ? "pending" : "applied",
      })),
    },
    private_net: server.privateNets
      .filter((net) => net.attached)
      .map((net) => ({
        network: net.network,
        ip: net.ip,
        alias_ips: net.aliasIps,
        mac_address: net.macAddress,
      })),
    server_type: project.offers.serverType(type),
    location: findLocation(server.location),
    image: renderImage(image),
    iso: null,
    rescue_enabled: server.rescueEnabled,
    locked: server.busy > 0,
    backup_window: server.backupWindow,
    outgoing_traffic: 0,
    ingoing_traffic: 0,
    included_traffic: 20 * 2 ** 40,
    protection: server.protection,
    labels: server.labels,
    volumes: [...project.volumes.values()]
      .filter((volume) => volume.server === server.id)
      .map((volume) => volume.id),
    load_balancers: [],
    primary_disk_size: server.primaryDiskSize,
    placement_group: group ? renderPlacementGroup(project, group) : null,
  };
}

function dnsEntries(ip: PrimaryIp) {
  return [...ip.dnsPtr].map(([address, name]) => ({ ip: address, dns_ptr: name }));
}

export function renderPrimaryIp(ip: PrimaryIp) {
  return {
    id: ip.id,
    name: ip.name,
    ip: ip.ip,
    type: ip.type,
    location: findLocation(ip.location),
    assignee_id: ip.assignee,
    assignee_type: ip.assignee === null ? "unassigned" : "server",
    auto_delete: ip.autoDelete,
    blocked: false,
    protection: ip.protection,
    dns_ptr: ip.type === "ipv4" ? [{ ip: ip.ip, dns_ptr: dnsPtrOf(ip, ip.ip) }] : dnsEntries(ip),
    labels: ip.labels,
    created: renderTime(ip.created),
  };
}

/** The gateway of a network: its first address. */
export function gatewayOf(network: Pick<Network, "ipRange">): string {
  return formatIpv4((parseRange(network.ipRange)?.first ?? 0) + 1);
}

export function renderNetwork(project: Project, network: Network) {
  return {
    id: network.id,
    name: network.name,
    ip_range: network.ipRange,
    subnets: network.subnets.map((subnet) => ({
      type: subnet.type,
      ip_range: subnet.ipRange,
      network_zone: subnet.networkZone,
      gateway: gatewayOf(network),
    })),
    routes: network.routes,
    servers: project
      .serversIn(network)
      .filter((server) =>
        server.privateNets.some((net) => net.network === network.id && net.attached),
      )
      .map((server) => server.id),
    load_balancers: [],
    protection: network.protection,
    labels: network.labels,
    created: renderTime(network.created),
    expose_routes_to_vswitch: network.exposeRoutesToVswitch,
  };
}

function renderTarget(project: Project, target: FirewallTarget) {
  if (target.type === "server") return { type: "server", server: { id: target.server } };
  return {
    type: "label_selector",
    label_selector: { selector: target.selector },
    applied_to_resources: project
      .selected(target.selector)
      .map((server) => ({ type: "server", server: { id: server.id } })),
  };
}

export function renderFirewall(project: Project, firewall: Firewall) {
  return {
    id: firewall.id,
    name: firewall.name,
    labels: firewall.labels,
    created: renderTime(firewall.created),
    rules: firewall.rules,
    applied_to: firewall.targets.map((target) => renderTarget(project, target)),
  };
}

export function renderPlacementGroup(project: Project, group: PlacementGroup) {
  return {
    id: group.id,
    name: group.name,
    labels: group.labels,
    type: group.type,
    created: renderTime(group.created),
    servers: project.membersOf(group),
  };
}

export function renderSshKey(key: SshKey) {
  return {
    id: key.id,
    name: key.name,
    fingerprint: key.fingerprint,
    public_key: key.publicKey,
    labels: key.labels,
    created: renderTime(key.created),
  };
}

export function renderVolume(volume: Volume) {
  return {
    id: volume.id,
    name: volume.name,
    server: volume.server,
    status: volume.status,
    location: findLocation(volume.location),
    size: volume.size,
    format: volume.format,
    linux_device: `/dev/disk/by-id/scsi-0HC_Volume_${volume.id}`,
    protection: volume.protection,
    labels: volume.labels,
    created: renderTime(volume.created),
  };
}
