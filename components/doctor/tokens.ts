import { z } from "zod";
import type { FleetSettings } from "../config/schema";
import { type ApiTarget, request } from "../host/request";
import type { AppFacts } from "../preflight/app";
import type { TokenFacts } from "../preflight/facts";
import { type Finding, ok, orOk, problem, skipped, warning } from "./check";
import type { Connection, Context } from "./context";
import { findingsAbout } from "./verdict";

const NO_HOSTS = "There is no pool of own hosts.";

const refusal = z.object({ error: z.object({ code: z.string() }) });

/**
 * Whether a token of Hetzner's may write, which the API does not tell: what no token can delete is refused to one that
 * may only read for that, and to any other because it is not there.
 */
export async function writesAtHetzner(target: ApiTarget): Promise<boolean> {
  const { status, body } = await request(target, "DELETE", "/ssh_keys/0", [403, 404, 422]);
  return status !== 403 || refusal.safeParse(body).data?.error.code !== "token_readonly";
}

/** The same at GitHub, for what a path leads to. */
async function writesAtGitHub(target: ApiTarget, path: string): Promise<boolean> {
  return (await request(target, "DELETE", path, [403, 404, 422])).status !== 403;
}

export async function checkHetznerToken(context: Context): Promise<readonly Finding[]> {
  const { settings, project } = await context.stack();
  if (Object.keys(settings.pools).length === 0) return [skipped(NO_HOSTS)];
  const { target } = await context.hetzner();
  if (!(await writesAtHetzner(target))) {
    return [
      problem(
        "hcloud:token (or HCLOUD_TOKEN): found a token that may only read, expected one with read and write access.",
      ),
    ];
  }
  // Where preflight cannot judge, another check tells why.
  const verdict = await context.verdict().catch(() => undefined);
  const told = verdict === undefined ? [] : findingsAbout("hetzner-token", verdict, project);
  return orOk(told, "The token reads and writes in its project.");
}

/** What GitHub says of whose token it is. */
export interface Owner {
  /** Undefined where GitHub does not say, as of an App's token. */
  readonly login: string | undefined;
  /** Such as admin or member; undefined where GitHub does not say. */
  readonly role: string | undefined;
}

/** Something in the organization that a token has to write. */
export interface Right {
  /** As GitHub calls the permission. */
  readonly permission: string;
  readonly granted: boolean;
}

const PROVIDER_TOKEN = "github:token (or GITHUB_TOKEN)";

/** @param rights asked for where GitHub names no scopes; empty otherwise */
export function judgeGitHubToken(
  organization: string,
  { scopes }: TokenFacts,
  owner: Owner,
  rights: readonly Right[],
): readonly Finding[] {
  const lacks = rights.filter(({ granted }) => !granted).map(({ permission }) => permission);
  const findings: Finding[] = lacks.map((permission) =>
    problem(
      `${PROVIDER_TOKEN}: found a token without the permission "${permission}: write", expected one with it.`,
    ),
  );
  if (owner.role !== undefined && owner.role !== "admin") {
    findings.push(
      warning(
        `${PROVIDER_TOKEN}: found a token of ${owner.login ?? "somebody"}, who is no owner of ${organization} but ${owner.role}: GitHub may refuse it the organization's secrets and variables.`,
      ),
    );
  }
  const whose =
    owner.login === undefined
      ? ""
      : owner.role === "admin"
        ? ` of ${owner.login}, an owner of ${organization},`
        : ` of ${owner.login}`;
  const granted = rights.map(({ permission }) => `"${permission}: write"`).join(", ");
  return orOk(
    findings,
    scopes === undefined
      ? `A token of a finer grain${whose} has ${granted}; whether it may write workflow files, GitHub does not tell before.`
      : `A token${whose} has the scopes ${scopes.join(", ")}.`,
  );
}

export async function checkGitHubToken(context: Context): Promise<readonly Finding[]> {
  const { settings, project } = await context.stack();
  const connection = await context.github();
  const [{ token, organization }, verdict] = await Promise.all([
    context.githubFacts(),
    context.verdict(),
  ]);
  const told = findingsAbout("github-token", verdict, project);
  if (told.length > 0 || organization.kind !== "organization") {
    return orOk(told, `GitHub takes the token, and has no organization ${settings.organization}.`);
  }
  const [owner, rights] = await Promise.all([
    readOwner(connection, settings.organization),
    token.scopes === undefined ? readRights(connection, settings) : [],
  ]);
  return judgeGitHubToken(settings.organization, token, owner, rights);
}

const membership = z.object({ role: z.string(), user: z.object({ login: z.string() }).nullable() });

async function readOwner({ api }: Connection, organization: string): Promise<Owner> {
  const path = `/user/memberships/orgs/${organization}`;
  // It is no page for the token of an App, nor for every token of a finer grain.
  const answer = await api.ask(path, [200, 403, 404]);
  if (answer.status !== 200) return { login: undefined, role: undefined };
  const { role, user } = api.parse(path, answer, membership);
  return { login: user?.login, role };
}

async function readRights(
  { target }: Connection,
  settings: FleetSettings,
): Promise<readonly Right[]> {
  const root = `/orgs/${settings.organization}/actions`;
  // Names with a hyphen, and the number 0, are none that GitHub gives: nothing can be deleted.
  const paths: Readonly<Record<string, string>> = {
    ...(Object.keys(settings.pools).length > 0 && { "Self-hosted runners": `${root}/runners/0` }),
    ...(settings.routing.level === "organization" && {
      Variables: `${root}/variables/none-of-this-name`,
    }),
    ...(Object.keys(settings.secrets).length > 0 && {
      Secrets: `${root}/secrets/none-of-this-name`,
    }),
  };
  return Promise.all(
    Object.entries(paths).map(async ([permission, path]) => ({
      permission,
      granted: await writesAtGitHub(target, path),
    })),
  );
}

export async function checkCredential(context: Context): Promise<readonly Finding[]> {
  const { project } = await context.stack();
  const settings = await context.settings();
  if (Object.keys(settings.pools).length === 0) return [skipped(NO_HOSTS)];
  const [facts, verdict] = await Promise.all([context.githubFacts(), context.verdict()]);
  const told = findingsAbout("credential", verdict, project);
  const { githubAuth, organization } = settings;
  if (told.length > 0 || facts.organization.kind !== "organization") {
    return orOk(told, "GitHub takes it, and has no such organization.");
  }
  if (githubAuth.kind === "app") return [ok(appSentence(githubAuth.appId, facts.app))];
  const service = facts.serviceToken;
  if (service !== undefined && !("obstacle" in service) && service.scopes === undefined) {
    const { target } = await context.github();
    const own = { ...target, token: githubAuth.token };
    if (!(await writesAtGitHub(own, `/orgs/${organization}/actions/runners/0`))) {
      return [
        problem(
          `${project}:githubAuth.token: found a token without the permission "Self-hosted runners: write", expected one with it.`,
        ),
      ];
    }
  }
  return [ok(`The token service's token manages the runners of ${organization}.`)];
}

function appSentence(appId: number, app: AppFacts | undefined): string {
  const where = app?.state === "installed" ? ` in ${app.account}` : "";
  return `The App ${appId} is installed${where} with "Self-hosted runners: write".`;
}
