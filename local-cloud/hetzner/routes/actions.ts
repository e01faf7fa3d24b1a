import type { Hono } from "hono";
import { renderAction, type Action } from "../actions";
import { ApiError, notFound } from "../errors";
import { answerList, idParam } from "../http";
import type { Project } from "../project";

const filters = {
  id: (action: Action, values: readonly string[]) => values.includes(String(action.id)),
  status: (action: Action, values: readonly string[]) => values.includes(action.status),
};
const sort = {
  id: (action: Action) => action.id,
  command: (action: Action) => action.command,
  status: (action: Action) => action.status,
  started: (action: Action) => action.started.getTime(),
  finished: (action: Action) => action.finished?.getTime() ?? Infinity,
};
const options = { render: renderAction, filters, sort };

/** Actions of the whole project, of one kind of resource, and of one resource. */
export function registerActions(app: Hono, project: Project): void {
  const all = () => [...project.actions.records.values()];
  const one = (id: number, among: readonly Action[]) => {
    const found = among.find((action) => action.id === id);
    if (!found) throw notFound("action", id);
    return { action: renderAction(found) };
  };

  app.get("/actions", (c) => {
    if (c.req.query("id") === undefined)
      throw new ApiError(410, "deprecated_api_endpoint", "listing all actions was removed", {
        announcement:
          "https://docs.hetzner.cloud/changelog#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed",
      });
    return answerList(c, project, "actions", all(), options);
  });
  app.get("/actions/:id{[0-9]+}", (c) => c.json(one(idParam(c), all())));

  for (const [segment, { name, all: resources }] of Object.entries(project.kinds)) {
    if (segment === "ssh_keys" || segment === "placement_groups") continue;
    const ofKind = (id?: number) =>
      all().filter((action) =>
        action.resources.some((ref) => ref.type === name && (id === undefined || ref.id === id)),
      );
    const ofResource = (id: number) => {
      const found = ofKind(id);
      // Actions outlive their resource.
      if (found.length === 0 && !resources.has(id)) throw notFound(name, id);
      return found;
    };
    app.get(`/${segment}/actions`, (c) => answerList(c, project, "actions", ofKind(), options));
    app.get(`/${segment}/actions/:id{[0-9]+}`, (c) => c.json(one(idParam(c), ofKind())));
    app.get(`/${segment}/:id{[0-9]+}/actions`, (c) =>
      answerList(c, project, "actions", ofResource(idParam(c)), options),
    );
    app.get(`/${segment}/:id{[0-9]+}/actions/:action_id{[0-9]+}`, (c) =>
      c.json(one(idParam(c, "action_id"), ofResource(idParam(c)))),
    );
  }
}
