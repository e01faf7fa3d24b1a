import type { Hono } from "hono";
import { z } from "zod";
import { notUnique } from "../errors";
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
import { renderSshKey } from "../render";
import { fingerprint } from "../sshKey";
import type { SshKey } from "../state";

export function registerSshKeys(app: Hono, project: Project): void {
  app.get("/ssh_keys", (c) =>
    answerList(c, project, "ssh_keys", project.sshKeys.values(), {
      render: renderSshKey,
      sort: { id: resourceSort.id, name: resourceSort.name },
      filters: {
        ...resourceFilters,
        fingerprint: (key, values) => values.includes(key.fingerprint),
      },
    }),
  );
  app.post("/ssh_keys", async (c) => {
    const schema = z.strictObject({ name: nameField, public_key: z.string(), labels: labelsField });
    const body = await readBody(c, project, schema);
    const print = fingerprint(body.public_key);
    if ([...project.sshKeys.values()].some((key) => key.fingerprint === print))
      throw notUnique("SSH key with the same fingerprint already exists", "public_key");
    project.checkUniqueName("ssh_keys", body.name);
    project.checkLimit("ssh_keys");
    const key: SshKey = {
      id: project.nextId(),
      name: body.name,
      publicKey: body.public_key.trim(),
      fingerprint: print,
      labels: body.labels ?? {},
      created: new Date(),
      busy: 0,
    };
    project.sshKeys.set(key.id, key);
    return c.json({ ssh_key: renderSshKey(key) }, 201);
  });
  app.get("/ssh_keys/:id{[0-9]+}", (c) =>
    c.json({ ssh_key: renderSshKey(project.sshKey(idParam(c))) }),
  );
  app.put("/ssh_keys/:id{[0-9]+}", async (c) => {
    const key = project.sshKey(idParam(c));
    const schema = z.strictObject({ name: nameField.optional(), labels: labelsField });
    const body = await readBody(c, project, schema);
    if (body.name !== undefined) {
      project.checkUniqueName("ssh_keys", body.name, key);
      key.name = body.name;
    }
    key.labels = body.labels ?? key.labels;
    return c.json({ ssh_key: renderSshKey(key) });
  });
  app.delete("/ssh_keys/:id{[0-9]+}", (c) => {
    project.sshKeys.delete(project.sshKey(idParam(c)).id);
    return c.body(null, 204);
  });
}
