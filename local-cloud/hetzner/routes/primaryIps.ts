import type { Hono } from "hono";
import { z } from "zod";
import { renderAction, type Action } from "../actions";
import { locations } from "../catalog";
import { ApiError, invalid, invalidField, isProtected } from "../errors";
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
import { checkStopped, checkUnlocked, type Project } from "../project";
import { renderPrimaryIp } from "../render";
import { ownsAddress, setDnsPtr } from "../reverseDns";
import type { PrimaryIp, Server } from "../state";

function checkAssignable(project: Project, server: Server, type: PrimaryIp["type"]): void {
  if (project.addressOf(server, type))
    throw new ApiError(422, `server_has_${type}`, `the server already has an ${type} address`);
  checkStopped(project, server);
  checkUnlocked("server", server);
}

function assign(project: Project, ip: PrimaryIp, server: Server): Action {
  const resources = [
    { id: server.id, type: "server" },
    { id: ip.id, type: "primary_ip" },
  ];
  return project.actions.start("assign_primary_ip", resources, {
    occupies: [server, ip],
    onSuccess: () => (ip.assignee = server.id),
  });
}

export function registerPrimaryIps(app: Hono, project: Project): void {
  app.get("/primary_ips", (c) =>
    answerList(c, project, "primary_ips", project.primaryIps.values(), {
      render: renderPrimaryIp,
      sort: resourceSort,
      filters: { ...resourceFilters, ip: (ip, values) => values.includes(ip.ip) },
    }),
  );
  app.post("/primary_ips", async (c) => {
    const schema = z.strictObject({
      name: nameField,
      type: z.enum(["ipv4", "ipv6"]),
      assignee_type: z.enum(["server"]).optional(),
      assignee_id: z.int().nullish(),
      location: idOrName.optional(),
      auto_delete: z.boolean().optional(),
      labels: labelsField,
    });
    const body = await readBody(c, project, schema);
    project.checkUniqueName("primary_ips", body.name);
    project.checkLimit("primary_ips");
    const server =
      body.assignee_id === null || body.assignee_id === undefined
        ? undefined
        : project.server(body.assignee_id);
    if (server && body.location !== undefined)
      throw invalidField("location", "must not be given together with an assignee");
    const wanted = server?.location ?? body.location;
    if (wanted === undefined) throw invalidField("location", "is required without an assignee");
    const location = pick(locations, wanted);
    if (!location) throw invalidField("location", `location '${wanted}' not found`);
    if (server) checkAssignable(project, server, body.type);
    const ip = project.addPrimaryIp(body.type, location.name, {
      name: body.name,
      labels: body.labels ?? {},
      autoDelete: body.auto_delete ?? false,
    });
    const action = server && assign(project, ip, server);
    return c.json(
      { primary_ip: renderPrimaryIp(ip), action: action ? renderAction(action) : null },
      201,
    );
  });
  app.get("/primary_ips/:id{[0-9]+}", (c) =>
    c.json({ primary_ip: renderPrimaryIp(project.primaryIp(idParam(c))) }),
  );
  app.put("/primary_ips/:id{[0-9]+}", async (c) => {
    const ip = project.primaryIp(idParam(c));
    const schema = z.strictObject({
      name: nameField.optional(),
      labels: labelsField,
      auto_delete: z.boolean().optional(),
    });
    const body = await readBody(c, project, schema);
    if (body.auto_delete && ip.protection.delete)
      throw invalidField("auto_delete", "must be false while deletion is protected");
    if (body.name !== undefined) {
      project.checkUniqueName("primary_ips", body.name, ip);
      ip.name = body.name;
    }
    ip.labels = body.labels ?? ip.labels;
    ip.autoDelete = body.auto_delete ?? ip.autoDelete;
    return c.json({ primary_ip: renderPrimaryIp(ip) });
  });
  app.delete("/primary_ips/:id{[0-9]+}", (c) => {
    const ip = project.primaryIp(idParam(c));
    if (ip.protection.delete) throw isProtected("primary_ip");
    checkUnlocked("primary_ip", ip);
    if (ip.assignee !== null)
      throw new ApiError(422, "must_be_unassigned", "primary IP is still assigned");
    project.removePrimaryIp(ip);
    return c.body(null, 204);
  });
  app.post("/primary_ips/:id{[0-9]+}/actions/assign", async (c) => {
    const ip = project.primaryIp(idParam(c));
    const schema = z.strictObject({ assignee_id: z.int(), assignee_type: z.enum(["server"]) });
    const body = await readBody(c, project, schema);
    const server = project.server(body.assignee_id);
    checkUnlocked("primary_ip", ip);
    if (ip.assignee !== null)
      throw new ApiError(422, "primary_ip_already_assigned", "primary IP is already assigned");
    if (ip.location !== server.location)
      throw invalidField("assignee_id", "server and primary IP must be in the same location");
    checkAssignable(project, server, ip.type);
    return c.json({ action: renderAction(assign(project, ip, server)) }, 201);
  });
  app.post("/primary_ips/:id{[0-9]+}/actions/unassign", async (c) => {
    const ip = project.primaryIp(idParam(c));
    await readBody(c, project, z.strictObject({}));
    checkUnlocked("primary_ip", ip);
    if (ip.assignee === null) throw invalid("primary IP is not assigned");
    const server = project.server(ip.assignee);
    checkStopped(project, server);
    checkUnlocked("server", server);
    const resources = [
      { id: server.id, type: "server" },
      { id: ip.id, type: "primary_ip" },
    ];
    const action = project.actions.start("unassign_primary_ip", resources, {
      occupies: [server, ip],
      onSuccess: () => (ip.assignee = null),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
  app.post("/primary_ips/:id{[0-9]+}/actions/change_protection", async (c) => {
    const ip = project.primaryIp(idParam(c));
    const body = await readBody(c, project, z.strictObject({ delete: z.boolean() }));
    if (body.delete && ip.autoDelete)
      throw invalidField("delete", "cannot be enabled while auto_delete is true");
    const resources = [{ id: ip.id, type: "primary_ip" }];
    const action = project.actions.start("change_protection", resources, {
      immediate: true,
      onSuccess: () => (ip.protection = { delete: body.delete }),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
  app.post("/primary_ips/:id{[0-9]+}/actions/change_dns_ptr", async (c) => {
    const ip = project.primaryIp(idParam(c));
    const schema = z.strictObject({ ip: z.string(), dns_ptr: z.string().nullable() });
    const body = await readBody(c, project, schema);
    if (!ownsAddress(ip, body.ip)) throw invalidField("ip", "is not part of the primary IP");
    const resources = [{ id: ip.id, type: "primary_ip" }];
    const action = project.actions.start("change_dns_ptr", resources, {
      immediate: true,
      onSuccess: () => setDnsPtr(ip, body.ip, body.dns_ptr),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
}
