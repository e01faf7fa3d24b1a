import { createHash } from "node:crypto";
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import type { Access } from "./access";

/** What routes find in hono's context. */
export interface GitHubEnv {
  Variables: {
    /** Root of the API as the client addressed it, without a slash at the end. */
    base: string;
    access: Access;
    /** Records a request that the real API would not have understood. */
    surprise: (text: string) => void;
  };
}
export type Ctx = Context<GitHubEnv>;

/** An error answer in GitHub's form. */
export class ApiError extends Error {
  constructor(
    readonly status: ContentfulStatusCode,
    message: string,
    readonly options: {
      readonly errors?: readonly unknown[];
      readonly documentation?: string;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
  }
}

export const notFound = (): ApiError => new ApiError(404, "Not Found");

/** `errors` entries as GitHub builds them for a model that does not validate. */
export function validationFailed(
  ...errors: { resource: string; field?: string; code: string; message?: string; value?: unknown }[]
): ApiError {
  return new ApiError(422, "Validation Failed", { errors });
}

/** Page of GitHub's documentation for a route. */
export function documentation(path: string): string {
  const pages: [RegExp, string][] = [
    [/\/actions\/(organization-)?secrets/, "actions/secrets"],
    [/\/actions\/(organization-)?variables/, "actions/variables"],
    [/\/actions\/runner-groups/, "actions/self-hosted-runner-groups"],
    [/\/actions\/runners/, "actions/self-hosted-runners"],
    [/\/actions\/permissions/, "actions/permissions"],
    [/\/actions\/jobs|\/runs\/\d+\/jobs/, "actions/workflow-jobs"],
    [/\/actions\/workflows\/[^/]+\/runs/, "actions/workflow-runs"],
    [/\/actions\/workflows/, "actions/workflows"],
    [/\/actions\/runs/, "actions/workflow-runs"],
    [/\/contents(\/|$)/, "repos/contents"],
    [/\/branches\/[^/]+\/protection/, "branches/branch-protection"],
    [/\/branches(\/|$)/, "branches/branches"],
    [/\/git\/(refs?|matching-refs)/, "git/refs"],
    [/\/git\/trees/, "git/trees"],
    [/\/git\/blobs/, "git/blobs"],
    [/\/git\/commits/, "git/commits"],
    [/\/commits(\/|$)/, "commits/commits"],
    [/\/pulls(\/|$)/, "pulls/pulls"],
    [/^\/app|^\/installation/, "apps/apps"],
    [/^\/repos\//, "repos/repos"],
    [/^\/orgs\//, "orgs/orgs"],
    [/^\/users?(\/|$)/, "users/users"],
  ];
  const page = pages.find(([pattern]) => pattern.test(path))?.[1];
  return page === undefined
    ? "https://docs.github.com/rest"
    : `https://docs.github.com/rest/${page}`;
}

export function errorResponse(error: ApiError, path: string): Response {
  const { errors, headers } = error.options;
  return Response.json(
    {
      message: error.message,
      ...(errors !== undefined && { errors }),
      documentation_url: error.options.documentation ?? documentation(path),
      status: String(error.status),
    },
    { status: error.status, headers: headers ?? {} },
  );
}

/** The request's JSON body, checked; an unknown field is refused and recorded as a surprise. An absent body counts as `{}`. */
export async function body<T extends z.ZodType>(c: Ctx, schema: T): Promise<z.infer<T>> {
  const text = await c.req.text();
  let value: unknown;
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch {
    throw new ApiError(400, "Problems parsing JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ApiError(400, "Body should be a JSON object");
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.flatMap((issue) => {
    const where = issue.path.map(String).join("/properties/");
    switch (issue.code) {
      case "unrecognized_keys":
        return issue.keys.map((key) => {
          const field = [...issue.path.map(String), key].join(".");
          c.var.surprise(`${c.req.method} ${c.req.path}: unknown field "${field}" in the body`);
          return `"${key}" is not a permitted key.`;
        });
      case "invalid_type":
        return issue.input === undefined
          ? [`"${String(issue.path.at(-1))}" wasn't supplied.`]
          : [
              `For 'properties/${where}', ${JSON.stringify(issue.input)} is not ${article(issue.expected)}.`,
            ];
      case "invalid_value":
        return issue.input === undefined
          ? [`"${String(issue.path.at(-1))}" wasn't supplied.`]
          : [
              `For 'properties/${where}', ${JSON.stringify(issue.input)} is not a member of ${JSON.stringify(issue.values).replaceAll(",", ", ")}.`,
            ];
      default:
        return [`For 'properties/${where}', ${issue.message}.`];
    }
  });
  throw new ApiError(422, `Invalid request.\n\n${lines.join("\n")}`);
}

function article(type: string): string {
  const name = type === "int" ? "integer" : type;
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

/** One page of a list; sets the Link header. */
export function paginate<T>(c: Ctx, items: readonly T[], defaultSize = 30, maximum = 100): T[] {
  const size = Math.min(positive(c.req.query("per_page")) ?? defaultSize, maximum);
  const page = positive(c.req.query("page")) ?? 1;
  const last = Math.max(1, Math.ceil(items.length / size));
  const link = (number: number, relation: string): string => {
    const url = new URL(c.var.base + c.req.path);
    for (const [name, value] of new URL(c.req.url).searchParams) url.searchParams.set(name, value);
    url.searchParams.set("page", String(number));
    return `<${url.href}>; rel="${relation}"`;
  };
  const links = [
    ...(page > 1 ? [link(page - 1, "prev")] : []),
    ...(page < last ? [link(page + 1, "next"), link(last, "last")] : []),
    ...(page > 1 ? [link(1, "first")] : []),
  ];
  if (links.length > 0) c.header("link", links.join(", "));
  return items.slice((page - 1) * size, page * size);
}

function positive(text: string | undefined): number | undefined {
  const value = Number(text);
  return text !== undefined && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Adds the entity tag of a 200 answer to GET, or turns it into 304 when the client has it. */
export async function conditional(c: Ctx): Promise<void> {
  if (c.req.method !== "GET" || c.res.status !== 200) return;
  const content = Buffer.from(await c.res.clone().arrayBuffer());
  const tag = `W/"${createHash("sha256").update(content).digest("hex")}"`;
  const known = (c.req.header("if-none-match") ?? "")
    .split(",")
    .map((one) => one.trim().replace(/^W\//, ""));
  if (known.includes(tag.slice(2))) {
    const headers = new Headers(c.res.headers);
    headers.delete("content-type");
    // Hono merges the headers of an answer that is replaced into the new one.
    c.res = undefined;
    c.res = new Response(null, { status: 304, headers });
  }
  c.res.headers.set("etag", tag);
}

/** The route parameter, a positive integer; anything else is no resource of the API. */
export function idParameter(c: Ctx, name: string): number {
  const value = positive(c.req.param(name));
  if (value === undefined) throw notFound();
  return value;
}

/** Time as GitHub prints it. */
export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}
