import { createVerify, type KeyObject } from "node:crypto";
import { ApiError, notFound } from "./http";
import type { Level, Organization, Repository, RepositoryRole, Token } from "./model";
import type { Pusher, World } from "./world";

/** Who sends a request. */
export type Principal =
  | { readonly kind: "anonymous" }
  | { readonly kind: "token"; readonly token: Token }
  | { readonly kind: "app" };

const rank: Record<Level, number> = { read: 1, write: 2, admin: 3 };

/** Reads the Authorization header. Throws 401 for a credential that is not (or no longer) good. */
export function authenticate(
  world: World,
  header: string | undefined,
  appKey: () => KeyObject | undefined,
): Principal {
  if (header === undefined || header === "") return { kind: "anonymous" };
  const [scheme = "", rest = ""] = header.split(/\s+/, 2);
  let credential = rest;
  if (scheme.toLowerCase() === "basic") {
    const [user = "", password = ""] = Buffer.from(rest, "base64").toString().split(":", 2);
    credential = password === "" ? user : password;
  } else if (!["bearer", "token"].includes(scheme.toLowerCase())) {
    throw badCredentials();
  }
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(credential)) {
    verifyJwt(world, credential, appKey());
    return { kind: "app" };
  }
  const token = world.tokens.get(credential);
  if (token === undefined) throw badCredentials();
  if (token.expiresAt !== undefined && token.expiresAt <= world.now()) throw badCredentials();
  return { kind: "token", token };
}

function badCredentials(): ApiError {
  return new ApiError(401, "Bad credentials", { documentation: "https://docs.github.com/rest" });
}

/** An App proves itself by a JWT: RS256 with its private key, at most ten minutes long. */
function verifyJwt(world: World, jwt: string, key: KeyObject | undefined): void {
  const refuse = (message: string): ApiError => new ApiError(401, message);
  const [head = "", payload = "", signature = ""] = jwt.split(".");
  const decode = (part: string): Record<string, unknown> => {
    try {
      return JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
    } catch {
      throw refuse("A JSON web token could not be decoded");
    }
  };
  const { alg } = decode(head);
  const { iat, exp, iss } = decode(payload);
  const good =
    alg === "RS256" &&
    key !== undefined &&
    createVerify("RSA-SHA256")
      .update(`${head}.${payload}`)
      .verify(key, Buffer.from(signature, "base64url"));
  if (!good) throw refuse("A JSON web token could not be decoded");
  const issuer = typeof iss === "number" || typeof iss === "string" ? String(iss) : "";
  if (![String(world.app.id), world.app.clientId].includes(issuer))
    throw refuse(
      "'Issuer' claim ('iss') must be an Integer or a String, and must be the App's id or client id",
    );
  const now = world.now() / 1000;
  if (typeof exp !== "number")
    throw refuse(
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  if (exp <= now)
    throw refuse(
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
    );
  if (exp > now + 600) throw refuse("'Expiration time' claim ('exp') is too far in the future");
  if (typeof iat !== "number" || iat > now + 60)
    throw refuse(
      "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
    );
}

/** A right that a route asks for. `permission` is the name in fine-grained tokens and Apps. */
export interface Right {
  readonly permission: string;
  readonly level: "read" | "write";
}

/** What the sender of one request may do. Each question answers or throws GitHub's refusal. */
export class Access {
  /** Scopes of classic tokens that the route would have accepted: `X-Accepted-OAuth-Scopes`. */
  acceptedScopes: readonly string[] = [];

  constructor(
    private readonly world: World,
    readonly principal: Principal,
  ) {}

  /** Login that writes are attributed to. */
  get login(): string {
    return this.principal.kind === "token" ? this.principal.token.login : "";
  }

  /** Whom a push is put down to. */
  get pusher(): Pusher {
    const ofJob = this.principal.kind === "token" && this.principal.token.ofJob === true;
    return { login: this.login, startsWorkflows: !ofJob };
  }

  token(): Token {
    if (this.principal.kind === "token") return this.principal.token;
    throw new ApiError(401, "Requires authentication");
  }

  app(): void {
    if (this.principal.kind === "app") return;
    if (this.principal.kind === "anonymous") throw new ApiError(401, "Requires authentication");
    throw new ApiError(401, "A JSON web token could not be decoded");
  }

  /** Settings of an organization: owners with `admin:org`, or a token with the permission. */
  organization(login: string, right: Right): Organization {
    this.acceptedScopes = ["admin:org"];
    const organization = this.world.organization(login);
    const token = this.token();
    if (organization === undefined) throw notFound();
    const { account } = organization;
    if (token.kind !== "classic") {
      this.requirePermission(token, account.login, right);
      return organization;
    }
    const role = account.members.get(token.login.toLowerCase());
    if (role === undefined) throw notFound();
    if (!token.scopes.includes("admin:org"))
      throw new ApiError(403, "Must have admin rights to Repository.");
    if (role !== "admin")
      throw new ApiError(
        403,
        `You must be an org admin or have the ${right.permission.replace(/^organization_/, "").replaceAll("_", " ")} fine-grained permission.`,
      );
    return organization;
  }

  /** A repository that the sender can see, with the right asked for. */
  repository(fullName: string, right: Right & { readonly role: RepositoryRole }): Repository {
    const repository = this.world.repository(fullName);
    if (repository === undefined) throw notFound();
    this.acceptedScopes = repository.private || right.role !== "read" ? ["repo"] : [];
    const { principal } = this;
    if (principal.kind !== "token") {
      if (repository.private) throw notFound();
      if (right.role === "read" && right.level === "read") return repository;
      throw new ApiError(401, "Requires authentication");
    }
    const { token } = principal;
    if (token.kind !== "classic") {
      const sees =
        token.resourceOwner?.toLowerCase() === repository.owner.login.toLowerCase() &&
        (token.repositories === undefined || token.repositories.includes(repository.name));
      if (!sees) {
        if (repository.private) throw notFound();
        if (right.level === "read" && right.role === "read") return repository;
      }
      // Whatever its permissions, a job reads what everybody can.
      const open = !repository.private && right.level === "read" && right.role === "read";
      if (open && token.ofJob === true) return repository;
      this.requirePermission(token, sees ? repository.owner.login : undefined, right);
      return repository;
    }
    const role = this.roleIn(repository, token.login);
    const scoped =
      token.scopes.includes("repo") ||
      (!repository.private && token.scopes.includes("public_repo"));
    if (repository.private && (role === undefined || !scoped)) throw notFound();
    if (right.role === "read") return repository;
    const enough = role !== undefined && rank[role] >= rank[right.role];
    if (right.role === "admin" && (!scoped || !enough))
      throw new ApiError(403, "Must have admin rights to Repository.");
    if (!scoped || !enough) throw notFound();
    return repository;
  }

  /** Files below .github/workflows are changed only by tokens with that right; without it GitHub knows no such path. */
  workflows(repository: Repository): void {
    const token = this.token();
    this.acceptedScopes = ["repo", "workflow"];
    if (token.kind === "classic") {
      if (!token.scopes.includes("workflow")) throw notFound();
      return;
    }
    this.requirePermission(token, repository.owner.login, {
      permission: "workflows",
      level: "write",
    });
  }

  roleIn(repository: Repository, login: string): RepositoryRole | undefined {
    const name = login.toLowerCase();
    if (repository.owner.login.toLowerCase() === name) return "admin";
    const member = repository.owner.members.get(name);
    if (member === "admin") return "admin";
    return repository.collaborators.get(name) ?? (member === undefined ? undefined : "read");
  }

  /** Rights that the sender has in a repository it can see. */
  role(repository: Repository): RepositoryRole | undefined {
    if (this.principal.kind !== "token") return undefined;
    const { token } = this.principal;
    if (token.kind === "classic") return this.roleIn(repository, token.login);
    if (token.permissions["administration"] === "write") return "admin";
    return token.permissions["contents"] === "write" ? "write" : "read";
  }

  canSee(repository: Repository): boolean {
    try {
      this.repository(`${repository.owner.login}/${repository.name}`, {
        permission: "metadata",
        level: "read",
        role: "read",
      });
      return true;
    } catch {
      return false;
    }
  }

  private requirePermission(token: Token, owner: string | undefined, right: Right): void {
    const held = token.permissions[right.permission];
    const inside = token.resourceOwner?.toLowerCase() === owner?.toLowerCase();
    if (inside && held !== undefined && rank[held] >= rank[right.level]) return;
    throw new ApiError(
      403,
      `Resource not accessible by ${token.kind === "installation" ? "integration" : "personal access token"}`,
      {
        headers: { "x-accepted-github-permissions": `${right.permission}=${right.level}` },
      },
    );
  }
}
