import type { Hono } from "hono";
import { z } from "zod";
import {
  answerList,
  idParam,
  labelsField,
  nameField,
  readBody,
  resourceFilters,
  resourceSort,
} from "../http";
import type { Project } from "../project";
import { renderPlacementGroup } from "../render";
import type { PlacementGroup } from "../state";

export function registerPlacementGroups(app: Hono, project: Project): void {
  app.get("/placement_groups", (c) =>
    answerList(c, project, "placement_groups", project.placementGroups.values(), {
      render: (group) => renderPlacementGroup(project, group),
      sort: resourceSort,
      filters: { ...resourceFilters, type: (group, values) => values.includes(group.type) },
    }),
  );
  app.post("/placement_groups", async (c) => {
    const schema = z.strictObject({
      name: nameField,
      type: z.enum(["spread"]),
      labels: labelsField,
    });
    const body = await readBody(c, project, schema);
    project.checkUniqueName("placement_groups", body.name);
    project.checkLimit("placement_groups");
    const group: PlacementGroup = {
      id: project.nextId(),
      name: body.name,
      type: body.type,
      labels: body.labels ?? {},
      created: new Date(),
      busy: 0,
    };
    project.placementGroups.set(group.id, group);
    return c.json({ placement_group: renderPlacementGroup(project, group), action: null }, 201);
  });
  app.get("/placement_groups/:id{[0-9]+}", (c) =>
    c.json({ placement_group: renderPlacementGroup(project, project.placementGroup(idParam(c))) }),
  );
  app.put("/placement_groups/:id{[0-9]+}", async (c) => {
    const group = project.placementGroup(idParam(c));
    const schema = z.strictObject({ name: nameField.optional(), labels: labelsField });
    const body = await readBody(c, project, schema);
    if (body.name !== undefined) {
      project.checkUniqueName("placement_groups", body.name, group);
      group.name = body.name;
    }
    group.labels = body.labels ?? group.labels;
    return c.json({ placement_group: renderPlacementGroup(project, group) });
  });
  app.delete("/placement_groups/:id{[0-9]+}", (c) => {
    const group = project.placementGroup(idParam(c));
    // Its servers stay where they are, without a group.
    for (const id of project.membersOf(group)) project.server(id).placementGroup = null;
    project.placementGroups.delete(group.id);
    return c.body(null, 204);
  });
}
