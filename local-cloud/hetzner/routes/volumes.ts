import type { Hono } from "hono";
import { z } from "zod";
import { renderAction, type Action } from "../actions";
import { locations } from "../catalog";
import { ApiError, invalid, invalidField, isProtected, limitExceeded } from "../errors";
import {
  answerList,
  idOrName,
  idParam,
  labelsField,
  pick,
  readBody,
  resourceFilters,
  resourceSort,
} from "../http";
import { checkUnlocked, type Project } from "../project";
import { renderVolume } from "../render";
import type { Server, Volume } from "../state";

const volumeName = z
  .string()
  .regex(/^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,62}[a-z0-9A-Z])?$/, "is not a valid volume name");
const volumeSize = z.int().min(10).max(10240);
const mostVolumes = 16;

/** Attaches in an action; the disk appears in the API only, not in the host. */
export function attachVolume(
  project: Project,
  volume: Volume,
  server: Server,
  after?: Action,
): Action {
  return project.actions.start(
    "attach_volume",
    [
      { id: server.id, type: "server" },
      { id: volume.id, type: "volume" },
    ],
    {
      occupies: [server, volume],
      onSuccess: () => (volume.server = server.id),
      ...(after ? { after } : {}),
    },
  );
}

function checkRoom(project: Project, server: Server): void {
  const attached = [...project.volumes.values()].filter((volume) => volume.server === server.id);
  if (attached.length >= mostVolumes)
    throw limitExceeded("server has already 16 volumes", "volumes_per_server_limit");
}

export function registerVolumes(app: Hono, project: Project): void {
  app.get("/volumes", (c) =>
    answerList(c, project, "volumes", project.volumes.values(), {
      render: renderVolume,
      sort: resourceSort,
      filters: {
        ...resourceFilters,
        status: (volume, values) => values.includes(volume.status),
      },
    }),
  );
  app.post("/volumes", async (c) => {
    const schema = z.strictObject({
      name: volumeName,
      size: volumeSize,
      location: idOrName.optional(),
      server: z.int().optional(),
      labels: labelsField,
      automount: z.boolean().optional(),
      format: z.enum(["xfs", "ext4"]).optional(),
    });
    const body = await readBody(c, project, schema);
    project.checkUniqueName("volumes", body.name);
    project.checkLimit("volumes");
    const server = body.server === undefined ? undefined : project.server(body.server);
    const wanted = body.location ?? server?.location;
    if (wanted === undefined) throw invalidField("location", "location or server is required");
    const location = pick(locations, wanted);
    if (!location) throw invalidField("location", `location '${wanted}' not found`);
    if (server && server.location !== location.name)
      throw invalidField("location", "must be the location of the server");
    if (body.automount && !server) throw invalidField("automount", "needs a server");
    if (server) {
      checkUnlocked("server", server);
      checkRoom(project, server);
    }
    const volume: Volume = {
      id: project.nextId(),
      name: body.name,
      created: new Date(),
      labels: body.labels ?? {},
      busy: 0,
      status: "creating",
      size: body.size,
      format: body.format ?? null,
      location: location.name,
      server: null,
      protection: { delete: false },
    };
    project.volumes.set(volume.id, volume);
    const action = project.actions.start("create_volume", [{ id: volume.id, type: "volume" }], {
      occupies: [volume],
      onSuccess: () => (volume.status = "available"),
    });
    const next = server ? [attachVolume(project, volume, server, action)] : [];
    return c.json(
      {
        volume: renderVolume(volume),
        action: renderAction(action),
        next_actions: next.map(renderAction),
      },
      201,
    );
  });
  app.get("/volumes/:id{[0-9]+}", (c) =>
    c.json({ volume: renderVolume(project.volume(idParam(c))) }),
  );
  app.put("/volumes/:id{[0-9]+}", async (c) => {
    const volume = project.volume(idParam(c));
    const schema = z.strictObject({ name: volumeName.optional(), labels: labelsField });
    const body = await readBody(c, project, schema);
    if (body.name !== undefined) {
      project.checkUniqueName("volumes", body.name, volume);
      volume.name = body.name;
    }
    volume.labels = body.labels ?? volume.labels;
    return c.json({ volume: renderVolume(volume) });
  });
  app.delete("/volumes/:id{[0-9]+}", (c) => {
    const volume = project.volume(idParam(c));
    if (volume.protection.delete) throw isProtected("volume");
    checkUnlocked("volume", volume);
    if (volume.server !== null)
      throw new ApiError(422, "resource_in_use", "volume is still attached to a server");
    project.volumes.delete(volume.id);
    return c.body(null, 204);
  });
  app.post("/volumes/:id{[0-9]+}/actions/attach", async (c) => {
    const volume = project.volume(idParam(c));
    const schema = z.strictObject({ server: z.int(), automount: z.boolean().optional() });
    const body = await readBody(c, project, schema);
    const server = project.server(body.server);
    checkUnlocked("volume", volume);
    checkUnlocked("server", server);
    if (volume.server !== null)
      throw new ApiError(422, "volume_already_attached", "volume is already attached to a server");
    if (volume.location !== server.location)
      throw invalidField("server", "volume and server must be in the same location");
    checkRoom(project, server);
    return c.json({ action: renderAction(attachVolume(project, volume, server)) }, 201);
  });
  app.post("/volumes/:id{[0-9]+}/actions/detach", async (c) => {
    const volume = project.volume(idParam(c));
    await readBody(c, project, z.strictObject({}));
    checkUnlocked("volume", volume);
    if (volume.server === null) throw invalid("volume is not attached to a server");
    const server = project.server(volume.server);
    checkUnlocked("server", server);
    const resources = [
      { id: server.id, type: "server" },
      { id: volume.id, type: "volume" },
    ];
    const action = project.actions.start("detach_volume", resources, {
      occupies: [server, volume],
      onSuccess: () => (volume.server = null),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
  app.post("/volumes/:id{[0-9]+}/actions/resize", async (c) => {
    const volume = project.volume(idParam(c));
    const body = await readBody(c, project, z.strictObject({ size: volumeSize }));
    checkUnlocked("volume", volume);
    if (body.size <= volume.size)
      throw invalidField("size", "must be greater than the current size");
    const action = project.actions.start("resize_volume", [{ id: volume.id, type: "volume" }], {
      occupies: [volume],
      onSuccess: () => (volume.size = body.size),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
  app.post("/volumes/:id{[0-9]+}/actions/change_protection", async (c) => {
    const volume = project.volume(idParam(c));
    const schema = z.strictObject({ delete: z.boolean().optional() });
    const body = await readBody(c, project, schema);
    const action = project.actions.start("change_protection", [{ id: volume.id, type: "volume" }], {
      immediate: true,
      onSuccess: () => (volume.protection = { delete: body.delete ?? volume.protection.delete }),
    });
    return c.json({ action: renderAction(action) }, 201);
  });
}
