import { randomBytes } from "node:crypto";
import type { Context, Hono } from "hono";
import { z } from "zod";
import { renderAction, type Action, type ActionPlan } from "../actions";
import { images, locations, serverTypes } from "../catalog";
import { ApiError, invalid, invalidField, isProtected, notFound } from "../errors";
import { isHostName } from "../hostName";
import {
  answerList,
  idOrName,
  idParam,
  labelsField,
  nameField,
  pick,
  readBody,
  resourceFilters,
  resourceSort,
} from "../http";
import { checkAliases, planPrivateNet } from "../privateNet";
import { checkStopped, checkUnlocked, type Project } from "../project";
import { renderServer } from "../render";
import { ownsAddress, setDnsPtr } from "../reverseDns";
import { boot, cutPower, layOut, plug, resize, unplug } from "../serverHost";
import type { Firewall, PlacementGroup, PrimaryIp, Server, Volume } from "../state";
import { mostFirewalls } from "./firewalls";
import { attachVolume } from "./volumes";

const mostUserData = 32 * 1024;
const mostGroupMembers = 10;
const empty = z.strictObject({});

const createBody = z.strictObject({
  name: z.string(),
  server_type: idOrName,
  image: idOrName,
  location: idOrName.optional(),
  ssh_keys: z.array(idOrName).optional(),
  user_data: z.string().optional(),
  start_after_create: z.boolean().optional(),
  labels: labelsField,
  automount: z.boolean().optional(),
  volumes: z.array(z.int()).optional(),
  networks: z.array(z.int()).optional(),
  firewalls: z.array(z.strictObject({ firewall: z.int() })).optional(),
  placement_group: z.int().optional(),
  public_net: z
    .strictObject({
      enable_ipv4: z.boolean().optional(),
      enable_ipv6: z.boolean().optional(),
      ipv4: z.int().nullish(),
      ipv6: z.int().nullish(),
    })
    .optional(),
});

function password(): string {
  return randomBytes(15).toString("base64url");
}

function checkName(name: string): void {
  if (!isHostName(name)) throw invalidField("name", "is not a valid hostname");
}

function checkUserData(userData: string): void {
  if (Buffer.byteLength(userData) > mostUserData)
    throw invalidField("user_data", `is too long, at most ${mostUserData} bytes are allowed`);
}

function outOfStock(): ApiError {
  return new ApiError(412, "resource_unavailable", "error during placement");
}

function pickImage(wanted: number | string, architecture: string) {
  // A name stands for one image per architecture.
  const named = images.filter((image) => image.name === wanted);
  const image = named.find((entry) => entry.architecture === architecture) ?? named[0];
  const found = image ?? pick(images, wanted);
  if (!found) throw invalidField("image", `image '${wanted}' not found`);
  if (found.architecture !== architecture) throw invalid("image has incompatible architecture");
  return found;
}

function pickType(wanted: number | string) {
  const type = pick(serverTypes, wanted);
  if (!type) throw invalidField("server_type", `server type '${wanted}' not found`);
  return type;
}

function pickLocation(project: Project, type: string, wanted: number | string | undefined): string {
  const offered = locations.filter(
    (entry) => project.offers.monthly(type, entry.name) !== undefined,
  );
  if (wanted === undefined) {
    const free = offered.find((entry) => project.offers.isAvailable(type, entry.name));
    if (!free) throw outOfStock();
    return free.name;
  }
  const found = pick(locations, wanted);
  if (!found) throw invalidField("location", `location '${wanted}' not found`);
  if (!offered.includes(found)) throw invalid("unsupported location for server type");
  if (!project.offers.isAvailable(type, found.name)) throw outOfStock();
  return found.name;
}

function checkGroupHasRoom(project: Project, group: PlacementGroup): void {
  if (project.membersOf(group).length >= mostGroupMembers)
    throw new ApiError(
      422,
      "placement_group_member_limit_reached",
      `placement group with ID ${group.id} contains already ${mostGroupMembers} servers`,
    );
}

function pickPrimaryIp(
  project: Project,
  type: PrimaryIp["type"],
  location: string,
  wanted: number | null | undefined,
): PrimaryIp | undefined {
  if (wanted === null || wanted === undefined) return undefined;
  const ip = project.primaryIp(wanted);
  if (ip.type !== type)
    throw new ApiError(412, "primary_ip_version_mismatch", `primary IP ${ip.id} is not ${type}`);
  if (ip.assignee !== null)
    throw new ApiError(422, "primary_ip_assigned", `primary IP ${ip.id} is already assigned`);
  if (ip.location !== location)
    throw new ApiError(
      422,
      "primary_ip_datacenter_mismatch",
      `primary IP ${ip.id} is in ${ip.location}, not in ${location}`,
    );
  return ip;
}

/** Everything that can be refused is refused before anything is made. */
function createServer(project: Project, body: z.infer<typeof createBody>) {
  checkName(body.name);
  project.checkUniqueName("servers", body.name);
  const userData = body.user_data ?? "";
  checkUserData(userData);
  const type = pickType(body.server_type);
  const image = pickImage(body.image, type.architecture);
  const keys = (body.ssh_keys ?? []).map((wanted) => {
    const key = pick(project.sshKeys.values(), wanted);
    if (!key) throw notFound("ssh_key", wanted);
    return key;
  });
  const location = pickLocation(project, type.name, body.location);
  project.checkLimit("servers");
  const group =
    body.placement_group === undefined ? null : project.placementGroup(body.placement_group);
  if (group) checkGroupHasRoom(project, group);

  const net = body.public_net ?? {};
  const withIpv4 = net.enable_ipv4 ?? true;
  const withIpv6 = net.enable_ipv6 ?? true;
  const ipv4 = pickPrimaryIp(project, "ipv4", location, withIpv4 ? net.ipv4 : undefined);
  const ipv6 = pickPrimaryIp(project, "ipv6", location, withIpv6 ? net.ipv6 : undefined);
  const starts = body.start_after_create ?? true;
  const networks = body.networks ?? [];
  if (!withIpv4 && !withIpv6 && networks.length === 0 && starts)
    throw invalidField("public_net", "a server without a network interface cannot be started");

  const firewalls = (body.firewalls ?? []).map((entry) => project.firewall(entry.firewall));
  checkFirewalls(firewalls, withIpv4 || withIpv6);
  const volumes = (body.volumes ?? []).map((id) => project.volume(id));
  for (const volume of volumes) checkAttachable(volume, location);

  const privateNets: Server["privateNets"] = [];
  for (const id of networks)
    privateNets.push(planPrivateNet(project, project.network(id), { location, privateNets }));

  const server: Server = {
    id: project.nextId(),
    name: body.name,
    created: new Date(),
    labels: body.labels ?? {},
    busy: 0,
    status: "initializing",
    serverType: type.name,
    location,
    image: image.id,
    userData,
    publicKeys: keys.map((key) => key.publicKey),
    protection: { delete: false, rebuild: false },
    primaryDiskSize: type.disk,
    privateNets,
    backupWindow: null,
    rescueEnabled: false,
    placementGroup: group?.id ?? null,
    hostAddress: null,
  };
  const owned = { assignee: server.id, autoDelete: true };
  if (ipv4) ipv4.assignee = server.id;
  else if (withIpv4) project.addPrimaryIp("ipv4", location, owned);
  if (ipv6) ipv6.assignee = server.id;
  else if (withIpv6) project.addPrimaryIp("ipv6", location, owned);
  project.servers.set(server.id, server);
  for (const firewall of firewalls) firewall.targets.push({ type: "server", server: server.id });

  const action = startOn(project, server, "create_server", {
    work: async () => {
      await layOut(project, server);
      server.status = "off";
    },
    onError: () => (server.status = "off"),
  });
  const next: Action[] = volumes.map((volume) => attachVolume(project, volume, server, action));
  if (starts)
    next.push(
      startOn(project, server, "start_server", {
        after: action,
        work: () => boot(project, server),
      }),
    );
  return {
    server: renderServer(project, server),
    action: renderAction(action),
    next_actions: next.map(renderAction),
    root_password: keys.length > 0 ? null : password(),
  };
}

function checkFirewalls(firewalls: readonly Firewall[], isPublic: boolean): void {
  if (firewalls.length > 0 && !isPublic)
    throw new ApiError(422, "private_net_only_server", "the server has no public interface");
  if (new Set(firewalls).size < firewalls.length)
    throw new ApiError(422, "server_already_added", "a firewall is given more than once");
  if (firewalls.length > mostFirewalls)
    throw invalidField("firewalls", `at most ${mostFirewalls} firewalls are allowed`);
}

function checkAttachable(volume: Volume, location: string): void {
  if (volume.server !== null)
    throw new ApiError(422, "volume_already_attached", "volume is already attached to a server");
  if (volume.location !== location)
    throw invalidField("volumes", `volume ${volume.id} is in ${volume.location}, not ${location}`);
}

function startOn(
  project: Project,
  server: Server,
  command: string,
  plan: ActionPlan & { also?: { id: number; type: string } } = {},
): Action {
  const resources = [{ id: server.id, type: "server" }, ...(plan.also ? [plan.also] : [])];
  return project.actions.start(command, resources, { ...plan, occupies: [server] });
}

/** An action that finishes in its answer. */
function instantly(
  project: Project,
  server: Server,
  command: string,
  onSuccess: () => void,
): Action {
  return startOn(project, server, command, { immediate: true, onSuccess });
}

/** What an action answers besides the action itself. */
interface ActionAnswer {
  readonly action: Action;
  readonly root_password?: string | null;
}

function changeType(
  project: Project,
  server: Server,
  body: { server_type: number | string; upgrade_disk: boolean },
): Action {
  const type = pickType(body.server_type);
  const current = pickType(server.serverType);
  const refuse = (message: string) => new ApiError(422, "invalid_server_type", message);
  checkStopped(project, server);
  if (type === current) throw refuse(`server is already of type ${type.name}`);
  if (type.architecture !== current.architecture)
    throw refuse("server type has a different architecture");
  if (project.offers.monthly(type.name, server.location) === undefined)
    throw refuse(`server type ${type.name} is not offered in ${server.location}`);
  if (type.disk < server.primaryDiskSize)
    throw refuse(`the disk of ${type.name} is smaller than the server's`);
  if (!project.offers.isAvailable(type.name, server.location)) throw outOfStock();
  return startOn(project, server, "change_server_type", {
    work: async () => {
      server.status = "migrating";
      server.serverType = type.name;
      try {
        await resize(project, server);
        if (body.upgrade_disk) server.primaryDiskSize = type.disk;
        await boot(project, server);
      } catch (error) {
        server.status = "off";
        throw error;
      }
    },
  });
}

function rebuild(
  project: Project,
  server: Server,
  body: { image: number | string; user_data?: string | undefined },
): ActionAnswer {
  if (server.protection.rebuild)
    throw new ApiError(423, "protected", "server rebuild is protected");
  const image = pickImage(body.image, pickType(server.serverType).architecture);
  const userData = body.user_data ?? server.userData;
  checkUserData(userData);
  const action = startOn(project, server, "rebuild_server", {
    work: async () => {
      await cutPower(project, server);
      server.status = "rebuilding";
      try {
        if (userData === server.userData) {
          await project.hosts.rebuild(server.id);
        } else {
          server.userData = userData;
          await project.hosts.delete(server.id);
          await layOut(project, server);
        }
        server.image = image.id;
        await boot(project, server);
      } catch (error) {
        server.status = "off";
        throw error;
      }
    },
  });
  return { action, root_password: server.publicKeys.length > 0 ? null : password() };
}

function shutdown(project: Project, server: Server): Action {
  return startOn(project, server, "shutdown_server", {
    // The action tells only that the button was pressed. The system stops by itself, when its services have, or not.
    onSuccess: () => {
      if (project.statusOf(server) !== "running") return;
      project.hosts.shutdown(server.id).catch(() => undefined);
    },
  });
}

function attachToNetwork(
  project: Project,
  server: Server,
  body: z.infer<typeof attachBody>,
): Action {
  const network = project.network(body.network);
  const net = planPrivateNet(project, network, server, {
    ip: body.ip,
    ipRange: body.ip_range,
    aliasIps: body.alias_ips,
  });
  server.privateNets.push(net);
  return startOn(project, server, "attach_to_network", {
    also: { id: network.id, type: "network" },
    work: () => plug(project, server, net),
    onSuccess: () => (net.attached = true),
    onError: () => (server.privateNets = server.privateNets.filter((other) => other !== net)),
  });
}

function privateNetOf(server: Server, network: number) {
  const net = server.privateNets.find((entry) => entry.network === network);
  if (!net) throw invalidField("network", "server is not attached to the network");
  return net;
}

const attachBody = z.strictObject({
  network: z.int(),
  ip: z.string().optional(),
  ip_range: z.string().optional(),
  alias_ips: z.array(z.string()).optional(),
});

/** The actions by their path segment. Each reads its own body. */
const actions: Readonly<
  Record<
    string,
    (project: Project, server: Server, c: Context) => Promise<ActionAnswer> | ActionAnswer
  >
> = {
  poweron: async (project, server, c) => {
    await readBody(c, project, empty);
    const work = async () => {
      if (project.hosts.status(server.id) !== "running") await boot(project, server);
    };
    return { action: startOn(project, server, "start_server", { work }) };
  },
  poweroff: async (project, server, c) => {
    await readBody(c, project, empty);
    const work = () => cutPower(project, server);
    return { action: startOn(project, server, "stop_server", { work }) };
  },
  shutdown: async (project, server, c) => {
    await readBody(c, project, empty);
    return { action: shutdown(project, server) };
  },
  reboot: async (project, server, c) => {
    await readBody(c, project, empty);
    const work = async () => {
      if (project.hosts.status(server.id) !== "running") throw new Error("server is not running");
      if (server.rescueEnabled) throw new Error("the local cloud cannot boot the rescue system");
      await project.hosts.reboot(server.id);
    };
    return { action: startOn(project, server, "reboot_server", { work }) };
  },
  reset: async (project, server, c) => {
    await readBody(c, project, empty);
    const work = async () => {
      await cutPower(project, server);
      await boot(project, server);
    };
    return { action: startOn(project, server, "reset_server", { work }) };
  },
  change_type: async (project, server, c) => {
    const schema = z.strictObject({ server_type: idOrName, upgrade_disk: z.boolean() });
    return { action: changeType(project, server, await readBody(c, project, schema)) };
  },
  rebuild: async (project, server, c) => {
    const schema = z.strictObject({ image: idOrName, user_data: z.string().optional() });
    return rebuild(project, server, await readBody(c, project, schema));
  },
  enable_backup: async (project, server, c) => {
    await readBody(c, project, empty);
    const action = instantly(
      project,
      server,
      "enable_backup",
      () => (server.backupWindow = "22-02"),
    );
    return { action };
  },
  disable_backup: async (project, server, c) => {
    await readBody(c, project, empty);
    const action = instantly(project, server, "disable_backup", () => (server.backupWindow = null));
    return { action };
  },
  enable_rescue: async (project, server, c) => {
    const schema = z.strictObject({
      type: z.enum(["linux64"]).optional(),
      ssh_keys: z.array(z.int()).optional(),
    });
    const body = await readBody(c, project, schema);
    for (const id of body.ssh_keys ?? []) project.sshKey(id);
    const action = instantly(project, server, "enable_rescue", () => (server.rescueEnabled = true));
    return { action, root_password: password() };
  },
  disable_rescue: async (project, server, c) => {
    await readBody(c, project, empty);
    const action = instantly(
      project,
      server,
      "disable_rescue",
      () => (server.rescueEnabled = false),
    );
    return { action };
  },
  attach_iso: async (project, _server, c) => {
    const body = await readBody(c, project, z.strictObject({ iso: idOrName }));
    throw notFound("iso", body.iso);
  },
  detach_iso: async (project, server, c) => {
    await readBody(c, project, empty);
    return { action: instantly(project, server, "detach_iso", () => undefined) };
  },
  change_protection: async (project, server, c) => {
    const flag = z.boolean().optional();
    const body = await readBody(c, project, z.strictObject({ delete: flag, rebuild: flag }));
    const wanted = {
      delete: body.delete ?? server.protection.delete,
      rebuild: body.rebuild ?? server.protection.rebuild,
    };
    if (wanted.delete !== wanted.rebuild)
      throw invalidField("rebuild", "delete and rebuild protection must have the same value");
    const action = instantly(
      project,
      server,
      "change_protection",
      () => (server.protection = wanted),
    );
    return { action };
  },
  change_dns_ptr: async (project, server, c) => {
    const schema = z.strictObject({ ip: z.string(), dns_ptr: z.string().nullable() });
    const body = await readBody(c, project, schema);
    const ips = [project.addressOf(server, "ipv4"), project.addressOf(server, "ipv6")];
    const ip = ips.find((entry) => entry && ownsAddress(entry, body.ip));
    if (!ip) throw invalidField("ip", "is not an address of the server");
    return {
      action: instantly(project, server, "change_dns_ptr", () =>
        setDnsPtr(ip, body.ip, body.dns_ptr),
      ),
    };
  },
  attach_to_network: async (project, server, c) => ({
    action: attachToNetwork(project, server, await readBody(c, project, attachBody)),
  }),
  detach_from_network: async (project, server, c) => {
    const body = await readBody(c, project, z.strictObject({ network: z.int() }));
    const network = project.network(body.network);
    const net = privateNetOf(server, network.id);
    const action = startOn(project, server, "detach_from_network", {
      also: { id: network.id, type: "network" },
      work: () => unplug(project, server, network.id),
      onSuccess: () => (server.privateNets = server.privateNets.filter((other) => other !== net)),
    });
    return { action };
  },
  change_alias_ips: async (project, server, c) => {
    const schema = z.strictObject({ network: z.int(), alias_ips: z.array(z.string()) });
    const body = await readBody(c, project, schema);
    const network = project.network(body.network);
    const net = privateNetOf(server, network.id);
    checkAliases(project, network, net.ip, body.alias_ips, server);
    const action = startOn(project, server, "change_alias_ips", {
      also: { id: network.id, type: "network" },
      onSuccess: () => (net.aliasIps = body.alias_ips),
    });
    return { action };
  },
  add_to_placement_group: async (project, server, c) => {
    const body = await readBody(c, project, z.strictObject({ placement_group: z.int() }));
    const group = project.placementGroup(body.placement_group);
    checkStopped(project, server);
    if (server.placementGroup !== null)
      throw new ApiError(422, "server_already_added", "server is already in a placement group");
    checkGroupHasRoom(project, group);
    const action = startOn(project, server, "add_to_placement_group", {
      also: { id: group.id, type: "placement_group" },
      onSuccess: () => (server.placementGroup = group.id),
    });
    return { action };
  },
  remove_from_placement_group: async (project, server, c) => {
    await readBody(c, project, empty);
    if (server.placementGroup === null) throw invalid("server is in no placement group");
    const action = startOn(project, server, "remove_from_placement_group", {
      also: { id: server.placementGroup, type: "placement_group" },
      onSuccess: () => (server.placementGroup = null),
    });
    return { action };
  },
};

export function registerServers(app: Hono, project: Project): void {
  app.get("/servers", (c) =>
    answerList(c, project, "servers", project.servers.values(), {
      render: (server) => renderServer(project, server),
      sort: resourceSort,
      filters: {
        ...resourceFilters,
        status: (server, values) => values.includes(project.statusOf(server)),
      },
    }),
  );
  app.post("/servers", async (c) =>
    c.json(createServer(project, await readBody(c, project, createBody)), 201),
  );
  app.get("/servers/:id{[0-9]+}", (c) =>
    c.json({ server: renderServer(project, project.server(idParam(c))) }),
  );
  app.put("/servers/:id{[0-9]+}", async (c) => {
    const server = project.server(idParam(c));
    const schema = z.strictObject({ name: nameField.optional(), labels: labelsField });
    const body = await readBody(c, project, schema);
    if (body.name !== undefined) {
      checkName(body.name);
      project.checkUniqueName("servers", body.name, server);
      server.name = body.name;
    }
    server.labels = body.labels ?? server.labels;
    return c.json({ server: renderServer(project, server) });
  });
  app.delete("/servers/:id{[0-9]+}", (c) => {
    const server = project.server(idParam(c));
    if (server.protection.delete) throw isProtected("server");
    checkUnlocked("server", server);
    const before = project.statusOf(server);
    server.status = "deleting";
    const action = startOn(project, server, "delete_server", {
      work: () => project.hosts.delete(server.id),
      onSuccess: () => project.forgetServer(server),
      onError: () => (server.status = before),
    });
    return c.json({ action: renderAction(action) });
  });
  for (const [segment, act] of Object.entries(actions))
    app.post(`/servers/:id{[0-9]+}/actions/${segment}`, async (c) => {
      const server = project.server(idParam(c));
      checkUnlocked("server", server);
      const answer = await act(project, server, c);
      return c.json({ ...answer, action: renderAction(answer.action) }, 201);
    });
}
