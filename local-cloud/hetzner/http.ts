import type { Context } from "hono";
import { z } from "zod";
import { ApiError, invalidField, invalidFields } from "./errors";
import { checkLabels, parseSelector, type Labels } from "./labels";
import type { Project } from "./project";
import type { Resource } from "./state";

/** An id, also as digits in a string, or a name. */
export const idOrName = z.union([z.int(), z.string().min(1)]);
export const labelsField = z.record(z.string(), z.string()).optional();
export const nameField = z.string().min(1);

/** Finds by id (number or digits) or by name. */
export function pick<T extends { readonly id: number; readonly name: string }>(
  all: Iterable<T>,
  wanted: number | string,
): T | undefined {
  const id = /^\d+$/.test(String(wanted)) ? Number(wanted) : undefined;
  return [...all].find((entry) => (id === undefined ? entry.name === wanted : entry.id === id));
}

/**
 * The request's body as the schema describes it; no body counts as `{}`.
 * An unknown field is a surprise as well as a refusal: the client thinks of an API that does not exist.
 */
export async function readBody<T>(c: Context, project: Project, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text();
  let value: unknown = {};
  try {
    if (text !== "") value = JSON.parse(text);
  } catch {
    throw new ApiError(400, "json_error", "the request body is not valid JSON");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    const { labels } = parsed.data as { labels?: Labels };
    if (labels) checkLabels(labels);
    return parsed.data;
  }
  const fields = parsed.error.issues.flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code !== "unrecognized_keys")
      return [{ name: path === "" ? "body" : path, messages: [issue.message] }];
    return issue.keys.map((key) => {
      const name = path === "" ? key : `${path}.${key}`;
      project.traffic.surprise(`hetzner: ${c.req.method} ${c.req.path}: unknown field '${name}'`);
      return { name, messages: ["unknown field"] };
    });
  });
  throw invalidFields(fields);
}

export function idParam(c: Context, name = "id"): number {
  return Number(c.req.param(name));
}

type Filter<T> = (item: T, values: readonly string[]) => boolean;

export interface ListOptions<T> {
  readonly render: (item: T) => unknown;
  /** Filters by query parameter; each gets all values of its parameter. */
  readonly filters?: Readonly<Record<string, Filter<T>>>;
  /** What can be sorted by. */
  readonly sort?: Readonly<Record<string, (item: T) => string | number>>;
}

const defaultPerPage = 25;
const mostPerPage = 50;

/** Answers a collection: filters, sorts, cuts a page, adds `meta.pagination` and the Link header. */
export function answerList<T>(
  c: Context,
  project: Project,
  key: string,
  items: Iterable<T>,
  { render, filters = {}, sort = {} }: ListOptions<T>,
): Response {
  const url = new URL(c.req.url);
  const query = new Map<string, string[]>();
  for (const name of url.searchParams.keys()) query.set(name, url.searchParams.getAll(name));
  let found = [...items];
  for (const [name, values] of query) {
    if (["page", "per_page", "sort"].includes(name)) continue;
    const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
    if (filter) found = found.filter((item) => filter(item, values));
    else project.traffic.surprise(`hetzner: GET ${c.req.path}: unknown parameter '${name}'`);
  }
  found.sort(comparison(query.get("sort") ?? [], sort));

  const page = pageNumber(query, "page", 1);
  const perPage = Math.min(mostPerPage, pageNumber(query, "per_page", defaultPerPage));
  const lastPage = Math.max(1, Math.ceil(found.length / perPage));
  const previous = page > 1 ? page - 1 : null;
  const next = page < lastPage ? page + 1 : null;
  const links = Object.entries({ prev: previous, next, last: lastPage, first: 1 }).flatMap(
    ([relation, target]) => {
      if (target === null) return [];
      url.searchParams.set("page", String(target));
      return [`<${url.href}>; rel="${relation}"`];
    },
  );
  c.header("Link", links.join(", "));
  return c.json({
    [key]: found.slice((page - 1) * perPage, page * perPage).map(render),
    meta: {
      pagination: {
        page,
        per_page: perPage,
        previous_page: previous,
        next_page: next,
        last_page: lastPage,
        total_entries: found.length,
      },
    },
  });
}

function pageNumber(query: Map<string, string[]>, name: string, fallback: number): number {
  const text = query.get(name)?.[0];
  if (text === undefined) return fallback;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw invalidField(name, "must be a positive integer");
  return Number(text);
}

function comparison<T>(
  wanted: readonly string[],
  sort: Readonly<Record<string, (item: T) => string | number>>,
): (a: T, b: T) => number {
  const steps = wanted.map((term) => {
    const [, name = "", direction] = /^([a-z_]+)(?::(asc|desc))?$/.exec(term) ?? [];
    const value = Object.hasOwn(sort, name) ? sort[name] : undefined;
    if (!value) throw invalidField("sort", `cannot sort by '${term}'`);
    return { value, sign: direction === "desc" ? -1 : 1 };
  });
  return (a, b) => {
    for (const { value, sign } of steps) {
      const [left, right] = [value(a), value(b)];
      if (left !== right) return left < right ? -sign : sign;
    }
    return 0;
  };
}

/** Filters and orders that all kinds of resources share. */
export const resourceFilters = {
  name: (item: Resource, [name]: readonly string[]) => item.name === name,
  label_selector: (item: Resource, [selector = ""]: readonly string[]) =>
    parseSelector(selector)(item.labels),
};

export const resourceSort = {
  id: (item: Resource) => item.id,
  name: (item: Resource) => item.name,
  created: (item: Resource) => item.created.getTime(),
};
