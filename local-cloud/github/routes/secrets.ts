import { Hono } from "hono";
import sodium from "libsodium-wrappers";
import { z } from "zod";
import { ApiError, body, type Ctx, type GitHubEnv, iso, notFound, paginate } from "../http";
import type { Organization, Repository, SealingKey, Secret } from "../model";
import type { World } from "../world";
import { checkName, ownedIds, repositoryAt, selectionRoutes } from "./shared";

const value = { encrypted_value: z.string(), key_id: z.string() };
const organizationSecret = z.strictObject({
  encrypted_value: z.string().optional(),
  key_id: z.string().optional(),
  visibility: z.enum(["all", "private", "selected"]),
  selected_repository_ids: z.array(z.union([z.int(), z.string()])).optional(),
});

/** Actions secrets of organizations and repositories. Values can be set, never read. */
export function secretRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const at = (c: Ctx, level: "read" | "write"): Organization =>
    c.var.access.organization(c.req.param("org") ?? "", {
      permission: "organization_secrets",
      level,
    });
  const found = (secrets: ReadonlyMap<string, Secret>, c: Ctx): Secret => {
    const secret = secrets.get((c.req.param("name") ?? "").toUpperCase());
    if (secret === undefined) throw notFound();
    return secret;
  };

  const view = (c: Ctx, organization: Organization, secret: Secret) => ({
    ...bare(secret),
    visibility: secret.visibility,
    ...(secret.visibility === "selected" && {
      selected_repositories_url: `${c.var.base}/orgs/${organization.account.login}/actions/secrets/${secret.name}/repositories`,
    }),
  });

  app.get("/orgs/:org/actions/secrets", (c) => {
    const organization = at(c, "read");
    const all = sorted(organization.secrets);
    return c.json({
      total_count: all.length,
      secrets: paginate(c, all).map((secret) => view(c, organization, secret)),
    });
  });

  app.get("/orgs/:org/actions/secrets/public-key", (c) => c.json(keyView(at(c, "read").keys)));

  app.get("/orgs/:org/actions/secrets/:name", (c) => {
    const organization = at(c, "read");
    return c.json(view(c, organization, found(organization.secrets, c)));
  });

  app.put("/orgs/:org/actions/secrets/:name", async (c) => {
    const organization = at(c, "write");
    const given = await body(c, organizationSecret);
    const name = checkName(c.req.param("name"), "Secret");
    const known = organization.secrets.get(name);
    const sealed = given.encrypted_value;
    if (sealed === undefined && known === undefined)
      throw new ApiError(422, 'Invalid request.\n\n"encrypted_value" wasn\'t supplied.');
    const opened =
      sealed === undefined ? known?.value : open(organization.keys, sealed, given.key_id);
    const ids = ownedIds(
      world,
      organization.account,
      given.selected_repository_ids?.map(Number),
      given.visibility,
    );
    put(world, organization.secrets, name, opened ?? "", (secret) => {
      // A selection that is left out stays as it is; it ends when the secret is no longer for selected repositories.
      if (ids !== undefined || given.visibility !== "selected") secret.repositories.clear();
      for (const id of ids ?? []) secret.repositories.add(id);
      secret.visibility = given.visibility;
    });
    return known === undefined ? c.json({}, 201) : c.body(null, 204);
  });

  app.delete("/orgs/:org/actions/secrets/:name", (c) => {
    const organization = at(c, "write");
    organization.secrets.delete(found(organization.secrets, c).name);
    return c.body(null, 204);
  });

  selectionRoutes(app, world, {
    path: "/orgs/:org/actions/secrets/:name/repositories",
    resource: "secret",
    emptyUnlessSelected: true,
    at: (c, level) => {
      const organization = at(c, level);
      return { organization, holder: found(organization.secrets, c) };
    },
  });

  const repository = (c: Ctx, level: "read" | "write"): Repository =>
    repositoryAt(c, { permission: "secrets", level, role: "write" });

  app.get("/repos/:owner/:repo/actions/secrets", (c) => {
    const all = sorted(repository(c, "read").secrets);
    return c.json({ total_count: all.length, secrets: paginate(c, all).map(bare) });
  });

  app.get("/repos/:owner/:repo/actions/organization-secrets", (c) => {
    const one = repository(c, "read");
    const inherited = world.organization(one.owner.login)?.secrets ?? new Map<string, Secret>();
    const all = sorted(world.shared(one, inherited));
    return c.json({ total_count: all.length, secrets: paginate(c, all).map(bare) });
  });

  app.get("/repos/:owner/:repo/actions/secrets/public-key", (c) =>
    c.json(keyView(repository(c, "read").keys)),
  );

  app.get("/repos/:owner/:repo/actions/secrets/:name", (c) =>
    c.json(bare(found(repository(c, "read").secrets, c))),
  );

  app.put("/repos/:owner/:repo/actions/secrets/:name", async (c) => {
    const { secrets, keys } = repository(c, "write");
    const given = await body(c, z.strictObject(value));
    const name = checkName(c.req.param("name"), "Secret");
    const known = secrets.has(name);
    put(world, secrets, name, open(keys, given.encrypted_value, given.key_id));
    return known ? c.body(null, 204) : c.json({}, 201);
  });

  app.delete("/repos/:owner/:repo/actions/secrets/:name", (c) => {
    const { secrets } = repository(c, "write");
    secrets.delete(found(secrets, c).name);
    return c.body(null, 204);
  });

  return app;
}

function bare(secret: Secret) {
  return {
    name: secret.name,
    created_at: iso(secret.createdAt),
    updated_at: iso(secret.updatedAt),
  };
}

function sorted(secrets: ReadonlyMap<string, Secret>): Secret[] {
  return [...secrets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function keyView(key: SealingKey) {
  return { key_id: key.id, key: Buffer.from(key.publicKey).toString("base64") };
}

function put(
  world: World,
  secrets: Map<string, Secret>,
  name: string,
  text: string,
  change: (secret: Secret) => void = () => undefined,
): void {
  const now = world.now();
  const secret: Secret = secrets.get(name) ?? {
    name,
    value: text,
    createdAt: now,
    updatedAt: now,
    visibility: "all",
    repositories: new Set(),
  };
  secret.value = text;
  secret.updatedAt = now;
  change(secret);
  secrets.set(name, secret);
}

/** Opens a sealed box. What was not sealed for this key is refused, so a client that encrypts wrongly is found out. */
function open(key: SealingKey, sealed: string, keyId: string | undefined): string {
  if (keyId !== key.id)
    throw new ApiError(422, "Validation Failed: the provided key_id does not match the public key");
  try {
    const plain = sodium.crypto_box_seal_open(
      Buffer.from(sealed, "base64"),
      key.publicKey,
      key.privateKey,
    );
    return Buffer.from(plain).toString("utf8");
  } catch {
    throw new ApiError(422, "Bad request - could not decrypt the encrypted_value");
  }
}
