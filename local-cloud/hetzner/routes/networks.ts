import type { Context, Hono } from "hono";
import { z } from "zod";
import { renderAction, type ActionPlan } from "../actions";
import {
  contains,
  formatRange,
  isPrivate,
  overlap,
  parseIpv4,
  parseRange,
  holds,
} from "../addresses";
import { networkZones } from "../catalog";
import { ApiError, invalidField, isProtected, limitExceeded } from "../errors";
import {
  answerList,
  idParam,
  labelsField,
  nameField,
  readBody,
  resourceFilters,
  resourceSort,
} from "../http";
import { subnetOf } from "../privateNet";
import { checkIdle, type Project } from "../project";
import { gatewayOf, renderNetwork } from "../render";
import { unplug } from "../serverHost";
import type { Network, Route, Subnet } from "../state";

const subnetBody = z.strictObject({
  type: z.enum(["cloud", "server", "vswitch"]),
  ip_range: z.string().optional(),
  network_zone: z.string(),
  vswitch_id: z.int().optional(),
  // Chosen by the API; some clients send what they were shown.
  gateway: z.string().optional(),
});
const routeBody = z.strictObject({ destination: z.string(), gateway: z.string() });
const mostSubnets = 50;
const mostRoutes = 100;

function privateRange(field: string, text: string, longestPrefix: number) {
  const range = parseRange(text);
  if (!range) throw invalidField(field, `'${text}' is not a valid IPv4 network in CIDR notation`);
  if (!isPrivate(range)) throw invalidField(field, "must be in a private range of RFC 1918");
  if (range.bits > longestPrefix)
    throw invalidField(field, `is too small, at least /${longestPrefix} is needed`);
  return range;
}

function checkSubnet(
  network: Pick<Network, "ipRange" | "subnets" | "routes">,
  body: z.infer<typeof subnetBody>,
): Subnet {
  if (!networkZones.includes(body.network_zone))
    throw invalidField("network_zone", `network zone '${body.network_zone}' not found`);
  if (body.type === "vswitch")
    throw invalidField("type", "there is no vSwitch that the subnet could use");
  if (network.subnets.length >= mostSubnets)
    throw limitExceeded("network has already 50 subnets", "subnets_per_network_limit");
  const whole = privateRange("ip_range", network.ipRange, 24);
  const others = [
    ...network.subnets.map((subnet) => subnet.ipRange),
    ...network.routes.map((route) => route.destination),
  ].flatMap((text) => parseRange(text) ?? []);
  let range = body.ip_range === undefined ? undefined : privateRange("ip_range", body.ip_range, 30);
  if (!range) {
    for (let first = whole.first; first < whole.last && !range; first += 256) {
      const candidate = { first, bits: 24, last: first + 255 };
      if (!others.some((other) => other.bits > 0 && overlap(other, candidate))) range = candidate;
    }
    if (!range) throw invalidField("ip_range", "no free /24 range is left in the network");
  }
  if (!contains(whole, range))
    throw invalidField("ip_range", "is not part of the network's ip_range");
  const clash = range;
  // A default route overlaps everything and is allowed.
  if (others.some((other) => other.bits > 0 && overlap(other, clash)))
    throw invalidField("ip_range", "overlaps with another subnet or route");
  return { type: body.type, ipRange: formatRange(range), networkZone: body.network_zone };
}

function checkRoute(
  network: Pick<Network, "ipRange" | "subnets" | "routes">,
  body: z.infer<typeof routeBody>,
): Route {
  const destination = parseRange(body.destination);
  if (!destination || (body.destination !== "0.0.0.0/0" && !isPrivate(destination)))
    throw invalidField("destination", "must be a private range of RFC 1918 or 0.0.0.0/0");
  const inUse = network.subnets.flatMap((subnet) => parseRange(subnet.ipRange) ?? []);
  if (destination.bits > 0 && inUse.some((subnet) => overlap(subnet, destination)))
    throw invalidField("destination", "overlaps with a subnet");
  if (network.routes.some((route) => route.destination === body.destination))
    throw invalidField("destination", "has a route already");
  if (network.routes.length >= mostRoutes)
    throw limitExceeded("network has already 100 routes", "routes_per_network_limit");
  const whole = parseRange(network.ipRange);
  const gateway = parseIpv4(body.gateway);
  if (gateway === undefined || !whole || !holds(whole, gateway))
    throw invalidField("gateway", "must be an IP of the network");
  if (body.gateway === gatewayOf(network) || body.gateway === "172.31.1.1")
    throw invalidField("gateway", "is reserved");
  return { destination: body.destination, gateway: body.gateway };
}

export function registerNetworks(app: Hono, project: Project): void {
  const answerAction = (c: Context, command: string, network: Network, plan: ActionPlan) => {
    const action = project.actions.start(command, [{ id: network.id, type: "network" }], {
      occupies: [network],
      ...plan,
    });
    return c.json({ action: renderAction(action) }, 201);
  };

  app.get("/networks", (c) =>
    answerList(c, project, "networks", project.networks.values(), {
      render: (network) => renderNetwork(project, network),
      sort: resourceSort,
      filters: resourceFilters,
    }),
  );
  app.post("/networks", async (c) => {
    const schema = z.strictObject({
      name: nameField,
      ip_range: z.string(),
      subnets: z.array(subnetBody).optional(),
      routes: z.array(routeBody).optional(),
      labels: labelsField,
      expose_routes_to_vswitch: z.boolean().optional(),
    });
    const body = await readBody(c, project, schema);
    project.checkUniqueName("networks", body.name);
    project.checkLimit("networks");
    privateRange("ip_range", body.ip_range, 24);
    const network: Network = {
      id: project.nextId(),
      name: body.name,
      created: new Date(),
      labels: body.labels ?? {},
      busy: 0,
      ipRange: body.ip_range,
      subnets: [],
      routes: [],
      protection: { delete: false },
      exposeRoutesToVswitch: body.expose_routes_to_vswitch ?? false,
    };
    for (const subnet of body.subnets ?? []) network.subnets.push(checkSubnet(network, subnet));
    for (const route of body.routes ?? []) network.routes.push(checkRoute(network, route));
    project.networks.set(network.id, network);
    return c.json({ network: renderNetwork(project, network) }, 201);
  });
  app.get("/networks/:id{[0-9]+}", (c) =>
    c.json({ network: renderNetwork(project, project.network(idParam(c))) }),
  );
  app.put("/networks/:id{[0-9]+}", async (c) => {
    const network = project.network(idParam(c));
    const schema = z.strictObject({
      name: nameField.optional(),
      labels: labelsField,
      expose_routes_to_vswitch: z.boolean().optional(),
    });
    const body = await readBody(c, project, schema);
    checkIdle("network", network);
    if (body.name !== undefined) {
      project.checkUniqueName("networks", body.name, network);
      network.name = body.name;
    }
    network.labels = body.labels ?? network.labels;
    network.exposeRoutesToVswitch = body.expose_routes_to_vswitch ?? network.exposeRoutesToVswitch;
    return c.json({ network: renderNetwork(project, network) });
  });
  app.delete("/networks/:id{[0-9]+}", async (c) => {
    const network = project.network(idParam(c));
    if (network.protection.delete) throw isProtected("network");
    checkIdle("network", network);
    project.networks.delete(network.id);
    for (const server of project.serversIn(network)) {
      server.privateNets = server.privateNets.filter((net) => net.network !== network.id);
      await unplug(project, server, network.id);
    }
    return c.body(null, 204);
  });
  app.post("/networks/:id{[0-9]+}/actions/add_subnet", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, subnetBody);
    checkIdle("network", network);
    const subnet = checkSubnet(network, body);
    return answerAction(c, "add_subnet", network, {
      onSuccess: () => network.subnets.push(subnet),
    });
  });
  app.post("/networks/:id{[0-9]+}/actions/delete_subnet", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, z.strictObject({ ip_range: z.string() }));
    checkIdle("network", network);
    if (!network.subnets.some((subnet) => subnet.ipRange === body.ip_range))
      throw invalidField("ip_range", "is no subnet of the network");
    const inUse = project
      .serversIn(network)
      .flatMap((server) => server.privateNets)
      .some((net) => net.network === network.id && subnetOf(network, net.ip) === body.ip_range);
    if (inUse)
      throw new ApiError(
        422,
        "service_error",
        "cannot remove subnet because servers are attached to it",
      );
    return answerAction(c, "delete_subnet", network, {
      onSuccess: () => {
        network.subnets = network.subnets.filter((subnet) => subnet.ipRange !== body.ip_range);
      },
    });
  });
  app.post("/networks/:id{[0-9]+}/actions/add_route", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, routeBody);
    checkIdle("network", network);
    const route = checkRoute(network, body);
    return answerAction(c, "add_route", network, { onSuccess: () => network.routes.push(route) });
  });
  app.post("/networks/:id{[0-9]+}/actions/delete_route", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, routeBody);
    checkIdle("network", network);
    const isMeant = (route: Route) =>
      route.destination === body.destination && route.gateway === body.gateway;
    if (!network.routes.some(isMeant)) throw invalidField("destination", "is no route");
    return answerAction(c, "delete_route", network, {
      onSuccess: () => (network.routes = network.routes.filter((route) => !isMeant(route))),
    });
  });
  app.post("/networks/:id{[0-9]+}/actions/change_ip_range", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, z.strictObject({ ip_range: z.string() }));
    checkIdle("network", network);
    const wanted = privateRange("ip_range", body.ip_range, 24);
    const current = privateRange("ip_range", network.ipRange, 24);
    if (wanted.first !== current.first || wanted.bits >= current.bits)
      throw invalidField("ip_range", "can only be extended at its end");
    return answerAction(c, "change_ip_range", network, {
      onSuccess: () => (network.ipRange = body.ip_range),
    });
  });
  app.post("/networks/:id{[0-9]+}/actions/change_protection", async (c) => {
    const network = project.network(idParam(c));
    const body = await readBody(c, project, z.strictObject({ delete: z.boolean().optional() }));
    checkIdle("network", network);
    return answerAction(c, "change_protection", network, {
      immediate: true,
      onSuccess: () => (network.protection = { delete: body.delete ?? network.protection.delete }),
    });
  });
}
