import { serverTypes } from "./catalog";
import type { Project } from "./project";
import type { PrivateNet, Server } from "./state";

/** What servers do on the host backend. */

function sizeOf(server: Server): { cores: number; memoryGb: number } {
  const type = serverTypes.find((entry) => entry.name === server.serverType);
  if (!type) throw new Error(`no server type ${server.serverType}`);
  return { cores: type.cores, memoryGb: type.memory };
}

/** Lays out the host with its private interfaces; nothing runs yet. */
export async function layOut(project: Project, server: Server): Promise<void> {
  const address = project.addressOf(server, "ipv4")?.ip;
  if (address === undefined)
    throw new Error("the local cloud cannot run a server without a public IPv4 address");
  await project.hosts.create({
    id: server.id,
    name: server.name,
    ipv4: address,
    userData: server.userData,
    publicKeys: server.publicKeys,
    location: server.location,
    ...sizeOf(server),
  });
  server.hostAddress = address;
  for (const net of server.privateNets) {
    await plug(project, server, net);
    net.attached = true;
  }
}

export async function plug(project: Project, server: Server, net: PrivateNet): Promise<void> {
  await project.hosts.attachNetwork(server.id, {
    networkId: net.network,
    ipRange: project.network(net.network).ipRange,
    ip: net.ip,
    macAddress: net.macAddress,
  });
}

/** Harmless for a server whose host is gone or was never made. */
export async function unplug(project: Project, server: Server, network: number): Promise<void> {
  if (project.hosts.status(server.id) !== "absent")
    await project.hosts.detachNetwork(server.id, network);
}

/** Starts a host that is off. */
export async function boot(project: Project, server: Server): Promise<void> {
  if (server.rescueEnabled) throw new Error("the local cloud cannot boot the rescue system");
  const address = project.addressOf(server, "ipv4")?.ip ?? null;
  if (address !== server.hostAddress)
    throw new Error(
      `the local cloud cannot move a host from ${server.hostAddress ?? "no address"} to ${address ?? "no address"}`,
    );
  server.status = "starting";
  try {
    await project.hosts.powerOn(server.id);
    server.status = "running";
  } catch (error) {
    server.status = "off";
    throw error;
  }
}

export async function cutPower(project: Project, server: Server): Promise<void> {
  if (project.hosts.status(server.id) === "running") await project.hosts.powerOff(server.id);
  server.status = "off";
}

export async function resize(project: Project, server: Server): Promise<void> {
  await project.hosts.resize(server.id, sizeOf(server));
}
