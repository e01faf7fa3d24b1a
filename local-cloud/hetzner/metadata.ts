import { availabilityZones, findLocation } from "./catalog";
import { subnetOf } from "./privateNet";
import type { Project } from "./project";
import { gatewayOf } from "./render";
import type { Server } from "./state";

export interface MetadataAnswer {
  readonly status: number;
  readonly body: string;
}

function privateNetworks(project: Project, server: Server): string {
  const nets = server.privateNets.filter((net) => net.attached);
  return nets
    .map((net, index) => {
      const network = project.network(net.network);
      const lines = [
        `ip: ${net.ip}`,
        `alias_ips: [${net.aliasIps.join(", ")}]`,
        `interface_num: ${index + 1}`,
        `mac_address: ${net.macAddress}`,
        `network_id: ${network.id}`,
        `network_name: ${network.name}`,
        `network: ${network.ipRange}`,
        `subnet: ${subnetOf(network, net.ip) ?? ""}`,
        `gateway: ${gatewayOf(network)}`,
      ];
      return `- ${lines.join("\n  ")}\n`;
    })
    .join("");
}

/** What the metadata service at 169.254.169.254 answers the server that asks. */
export function answerMetadata(
  project: Project,
  serverId: number | null,
  path: string,
): MetadataAnswer {
  const missing = { status: 404, body: "not found\n" };
  const server = serverId === null ? undefined : project.servers.get(serverId);
  if (!server) return missing;
  const values: Record<string, string> = {
    "availability-zone": availabilityZones[server.location] ?? "",
    hostname: server.name,
    "instance-id": String(server.id),
    "public-ipv4": project.addressOf(server, "ipv4")?.ip ?? "",
    region: findLocation(server.location).network_zone,
  };
  const root = "/hetzner/v1/";
  const asked = path.replace(/\/$/, "");
  if (!asked.startsWith(root)) return missing;
  const [section, key, ...rest] = asked.slice(root.length).split("/");
  if (section === "userdata" && key === undefined) return { status: 200, body: server.userData };
  if (section !== "metadata" || rest.length > 0) return missing;
  if (key === undefined) {
    const lines = Object.entries(values).map(([name, value]) => `${name}: ${value}\n`);
    return { status: 200, body: lines.join("") };
  }
  if (key === "private-networks") return { status: 200, body: privateNetworks(project, server) };
  return Object.hasOwn(values, key) ? { status: 200, body: values[key] ?? "" } : missing;
}
