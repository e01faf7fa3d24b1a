import type { Level, Permissions } from "../model";
import type { JobFile, WorkflowFile } from "./file";

/** Scopes of a job's token as workflow files spell them, to their level; what is absent is "none". */
export type JobPermissions = Readonly<Record<string, "read" | "write">>;

const scopes = [
  "actions",
  "artifact-metadata",
  "attestations",
  "checks",
  "contents",
  "deployments",
  "discussions",
  "issues",
  "models",
  "packages",
  "pages",
  "pull-requests",
  "repository-projects",
  "security-events",
  "statuses",
];
const readOnly = new Set(["models"]);

/** What a job gets whose workflow asks for nothing. */
export function defaultPermissions(setting: "read" | "write"): JobPermissions {
  return setting === "read" ? { contents: "read", packages: "read" } : all("write");
}

function all(level: "read" | "write"): JobPermissions {
  return Object.fromEntries(scopes.map((scope) => [scope, readOnly.has(scope) ? "read" : level]));
}

/** What a job asks for by itself or by its file; undefined when neither says anything. */
export function askedPermissions(job: JobFile, file: WorkflowFile): JobPermissions | undefined {
  return readPermissions(job.raw["permissions"]) ?? readPermissions(file.raw["permissions"]);
}

function readPermissions(value: unknown): JobPermissions | undefined {
  if (value === undefined) return undefined;
  if (value === "read-all") return all("read");
  if (value === "write-all") return { ...all("write"), "id-token": "write" };
  const given = Object.entries((value ?? {}) as Record<string, string>);
  return Object.fromEntries(
    given.filter(([, level]) => level === "read" || level === "write"),
  ) as JobPermissions;
}

/** What of `asked` is more than `allowed`, in GitHub's words. */
export function excess(asked: JobPermissions, allowed: JobPermissions): string[] {
  return Object.entries(asked)
    .filter(([scope, level]) => allowed[scope] !== "write" && allowed[scope] !== level)
    .map(
      ([scope, level]) =>
        `requesting '${scope}: ${level}', but is only allowed '${scope}: ${allowed[scope] ?? "none"}'`,
    );
}

/** What is left of a token for a pull request from a fork. */
export function readOnlyOf(permissions: JobPermissions): JobPermissions {
  return Object.fromEntries(
    Object.keys(permissions)
      .filter((scope) => scope !== "id-token")
      .map((scope) => [scope, "read"]),
  );
}

/** The same as the API names them. */
export function tokenPermissions(permissions: JobPermissions): Permissions {
  const named = Object.entries(permissions).map(([scope, level]): [string, Level] => [
    scope.replaceAll("-", "_"),
    level,
  ]);
  return { metadata: "read", ...Object.fromEntries(named) };
}
