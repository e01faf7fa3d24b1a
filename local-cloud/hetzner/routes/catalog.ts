import type { Hono } from "hono";
import { images, locations, renderImage, serverTypes } from "../catalog";
import { ApiError, notFound } from "../errors";
import { answerList, idParam, pick } from "../http";
import type { Project } from "../project";

interface Named {
  readonly id: number;
  readonly name: string;
}

const byName = (item: Named, values: readonly string[]) => values.includes(item.name);
const sort = { id: (item: Named) => item.id, name: (item: Named) => item.name };

/** Read-only lists: what there is to order, where, and for how much. */
export function registerCatalog(app: Hono, project: Project): void {
  app.get("/locations", (c) =>
    answerList(c, project, "locations", locations, {
      render: (entry) => entry,
      filters: { name: byName },
      sort,
    }),
  );
  app.get("/locations/:id{[0-9]+}", (c) => {
    const found = pick(locations, idParam(c));
    if (!found) throw notFound("location", idParam(c));
    return c.json({ location: found });
  });

  app.get("/server_types", (c) =>
    answerList(c, project, "server_types", serverTypes, {
      render: (type) => project.offers.serverType(type),
      filters: { name: byName },
      // Not in the reference, but accepted: Hetzner's own CLI asks for it.
      sort,
    }),
  );
  app.get("/server_types/:id{[0-9]+}", (c) => {
    const found = pick(serverTypes, idParam(c));
    if (!found) throw notFound("server_type", idParam(c));
    return c.json({ server_type: project.offers.serverType(found) });
  });

  app.get("/images", (c) =>
    answerList(c, project, "images", images, {
      render: renderImage,
      sort: { ...sort, created: (image) => image.created },
      filters: {
        name: byName,
        architecture: (image, values) => values.includes(image.architecture),
        type: (_image, values) => values.includes("system"),
        status: (_image, values) => values.includes("available"),
        // Nothing in the list is deprecated, bound to a server or labelled.
        include_deprecated: () => true,
        bound_to: () => false,
        label_selector: (_image, [selector = ""]) => selector === "" || selector.startsWith("!"),
      },
    }),
  );
  app.get("/images/:id{[0-9]+}", (c) => {
    const found = pick(images, idParam(c));
    if (!found) throw notFound("image", idParam(c));
    return c.json({ image: renderImage(found) });
  });

  app.get("/isos", (c) =>
    answerList(c, project, "isos", [] as Named[], {
      render: (iso) => iso,
      sort,
      filters: {
        name: byName,
        architecture: () => true,
        include_architecture_wildcard: () => true,
      },
    }),
  );
  app.get("/isos/:id{[0-9]+}", (c) => {
    throw notFound("iso", idParam(c));
  });

  app.get("/pricing", (c) => c.json({ pricing: project.offers.pricing() }));

  const removed = () => {
    throw new ApiError(410, "deprecated_api_endpoint", "API functionality was removed", {
      announcement:
        "https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-endpoint-is-deprecated",
    });
  };
  app.get("/datacenters", removed);
  app.get("/datacenters/:id{[0-9]+}", removed);
}
