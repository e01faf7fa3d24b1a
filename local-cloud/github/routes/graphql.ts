import { Hono } from "hono";
import { z } from "zod";
import { body, type Ctx, type GitHubEnv } from "../http";
import type { Account, Repository } from "../model";
import { nodeId, repositoryView } from "../views";
import type { World } from "../world";

/** An object of GraphQL's: its type's name, and its fields as values or as functions of arguments. */
interface Node {
  readonly type: string;
  readonly fields: Readonly<Record<string, Value | ((args: Arguments) => Value)>>;
}
type Value = string | number | boolean | null | Node;
type Arguments = Readonly<Record<string, unknown>>;

/** `on` is the type that a fragment is for. */
type Selection =
  | { readonly fragment: string }
  | { readonly on: string | undefined; readonly selections: readonly Selection[] }
  | {
      readonly field: string;
      readonly alias: string;
      readonly args: ReadonlyMap<string, Argument>;
      readonly selections: readonly Selection[] | undefined;
    };
type Argument = { readonly variable: string } | { readonly value: unknown };

/** An entry of `errors` in an answer. */
class GraphQLError extends Error {
  constructor(
    message: string,
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/**
 * Of GraphQL what gh needs to know whose token it has, and about a repository: queries of `viewer` and `repository`.
 * Everything else is refused by name, as a field that does not exist, and recorded as a surprise.
 */
export function graphqlRoutes(world: World): Hono<GitHubEnv> {
  const app = new Hono<GitHubEnv>();
  const request = z.strictObject({
    query: z.string(),
    variables: z.record(z.string(), z.unknown()).nullish(),
    operationName: z.string().nullish(),
  });

  const answer = async (c: Ctx): Promise<Response> => {
    c.var.access.token();
    const { query, variables } = await body(c, request);
    const errors: unknown[] = [];
    try {
      const data = execute(query, variables ?? {}, root(c, world), errors);
      return c.json({ data, ...(errors.length > 0 && { errors }) });
    } catch (error) {
      if (!(error instanceof GraphQLError)) throw error;
      c.var.surprise(`POST ${c.req.path}: ${error.message}`);
      return c.json({ errors: [{ message: error.message, ...error.details }] });
    }
  };
  // On api.github.com and on servers.
  app.post("/graphql", answer);
  app.post("/api/graphql", answer);
  return app;
}

function root(c: Ctx, world: World): Node {
  const account = (one: Account): Node => ({
    type: one.type,
    fields: {
      id: nodeId(one.type, one.id),
      databaseId: one.id,
      login: one.login,
      name: one.name,
      url: `https://github.com/${one.login}`,
    },
  });
  const repository = (one: Repository): Node => {
    const view = repositoryView(c.var.base, one, c.var.access);
    const role = c.var.access.role(one);
    return {
      type: "Repository",
      fields: {
        id: view.node_id,
        databaseId: view.id,
        name: view.name,
        nameWithOwner: view.full_name,
        owner: account(one.owner),
        description: view.description,
        url: view.html_url,
        sshUrl: view.ssh_url,
        createdAt: view.created_at,
        updatedAt: view.updated_at,
        pushedAt: view.pushed_at,
        isPrivate: view.private,
        isFork: view.fork,
        isArchived: view.archived,
        visibility: view.visibility.toUpperCase(),
        hasIssuesEnabled: view.has_issues,
        hasWikiEnabled: view.has_wiki,
        hasProjectsEnabled: view.has_projects,
        mergeCommitAllowed: true,
        rebaseMergeAllowed: true,
        squashMergeAllowed: true,
        viewerPermission: role === undefined ? null : role.toUpperCase(),
        parent: null,
        defaultBranchRef: { type: "Ref", fields: { name: one.defaultBranch } },
      },
    };
  };
  return {
    type: "Query",
    fields: {
      viewer: () => {
        const found = world.account(c.var.access.token().login);
        if (found === undefined) {
          throw new GraphQLError("Resource not accessible by integration", { type: "FORBIDDEN" });
        }
        return account(found);
      },
      repository: ({ owner, name }) => {
        const wanted = `${String(owner)}/${String(name)}`;
        const found = world.repository(wanted);
        if (found === undefined || !c.var.access.canSee(found)) {
          throw new GraphQLError(`Could not resolve to a Repository with the name '${wanted}'.`, {
            type: "NOT_FOUND",
          });
        }
        return repository(found);
      },
    },
  };
}

/** The data of an answer; what cannot be found becomes null and an entry in `errors`, what cannot be asked is thrown. */
function execute(
  query: string,
  variables: Arguments,
  node: Node,
  errors: unknown[],
): Record<string, unknown> {
  const { selections, fragments } = new Parser(query).document();
  const resolve = (
    of: Node,
    wanted: readonly Selection[],
    path: readonly string[],
    depth = 0,
  ): Record<string, unknown> => {
    if (depth > 50) throw new GraphQLError("Fragments or fields are nested too deeply");
    const found: Record<string, unknown> = {};
    for (const one of wanted) {
      if ("fragment" in one || "on" in one) {
        const part = "on" in one ? one : fragments.get(one.fragment);
        if (part === undefined) throw new GraphQLError("A fragment is used that is not defined");
        if (part.on === undefined || part.on === of.type)
          Object.assign(found, resolve(of, part.selections, path, depth + 1));
        continue;
      }
      if (one.field === "__typename") {
        found[one.alias] = of.type;
        continue;
      }
      const at = [...path, one.alias];
      const field = Object.hasOwn(of.fields, one.field) ? of.fields[one.field] : undefined;
      if (field === undefined)
        throw new GraphQLError(
          `Field '${one.field}' doesn't exist on type '${of.type}' of the local cloud, which answers few queries; its REST API knows more.`,
          { path: ["query", ...at], extensions: { code: "undefinedField" } },
        );
      const args = Object.fromEntries(
        [...one.args].map(([name, given]) => [
          name,
          "variable" in given ? variables[given.variable] : given.value,
        ]),
      );
      if (typeof field !== "function" && one.args.size > 0)
        throw new GraphQLError(`Field '${one.field}' of '${of.type}' takes no arguments here`);
      let value: Value;
      try {
        value = typeof field === "function" ? field(args) : field;
      } catch (error) {
        if (!(error instanceof GraphQLError) || error.details.type === undefined) throw error;
        errors.push({ ...error.details, path: at, message: error.message });
        value = null;
      }
      const isNode = typeof value === "object" && value !== null;
      if (isNode && one.selections === undefined)
        throw new GraphQLError(`Field must have selections (field '${one.field}')`);
      if (!isNode && value !== null && one.selections !== undefined)
        throw new GraphQLError(`Selections can't be made on scalars (field '${one.field}')`);
      found[one.alias] = isNode
        ? resolve(value as Node, one.selections ?? [], at, depth + 1)
        : value;
    }
    return found;
  };
  return resolve(node, selections, []);
}

const TOKEN =
  /[\s,\uFEFF]+|#[^\n]*|(\.\.\.|\$?[A-Za-z_]\w*|"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?|[{}()[\]:!=@|])/gy;

/** Reads documents with one query; directives and other operations are refused. */
class Parser {
  private readonly tokens: string[] = [];
  private position = 0;

  constructor(text: string) {
    let end = 0;
    for (const match of text.matchAll(TOKEN)) {
      end = match.index + match[0].length;
      if (match[1] !== undefined) this.tokens.push(match[1]);
    }
    if (end !== text.length)
      throw new GraphQLError(`Parse error on ${JSON.stringify(text.slice(end, end + 10))}`);
  }

  document(): {
    selections: readonly Selection[];
    fragments: ReadonlyMap<string, { on: string; selections: readonly Selection[] }>;
  } {
    let selections: readonly Selection[] | undefined;
    const fragments = new Map<string, { on: string; selections: readonly Selection[] }>();
    while (this.position < this.tokens.length) {
      if (this.take("fragment")) {
        const name = this.name();
        this.expect("on");
        fragments.set(name, { on: this.name(), selections: this.selections() });
        continue;
      }
      if (["mutation", "subscription"].includes(this.peek()))
        throw new GraphQLError(`The local cloud answers queries only, not a ${this.peek()}`);
      if (selections !== undefined)
        throw new GraphQLError("The local cloud answers one query in a document");
      if (this.take("query")) {
        if (/^\w/.test(this.peek())) this.name();
        if (this.take("(")) while (!this.take(")")) this.next();
      }
      selections = this.selections();
    }
    if (selections === undefined) throw new GraphQLError("A query attribute must be specified");
    return { selections, fragments };
  }

  private selections(): Selection[] {
    this.expect("{");
    const found: Selection[] = [];
    while (!this.take("}")) found.push(this.selection());
    return found;
  }

  private selection(): Selection {
    if (this.take("...")) {
      if (this.take("on")) return { on: this.name(), selections: this.selections() };
      if (this.peek() === "{") return { on: undefined, selections: this.selections() };
      return { fragment: this.name() };
    }
    const first = this.name();
    const field = this.take(":") ? this.name() : first;
    const args = new Map<string, Argument>();
    if (this.take("(")) {
      while (!this.take(")")) {
        const name = this.name();
        this.expect(":");
        args.set(name, this.argument());
      }
    }
    const selections = this.peek() === "{" ? this.selections() : undefined;
    return { field, alias: first, args, selections };
  }

  private argument(): Argument {
    const token = this.next();
    if (token.startsWith("$")) return { variable: token.slice(1) };
    try {
      return { value: JSON.parse(token) as unknown };
    } catch {
      // Neither a string nor a number nor true, false or null.
    }
    // Names of enumerations, lists and objects are only read over: no field here takes one.
    const closing = new Map([
      ["[", "]"],
      ["{", "}"],
    ]).get(token);
    if (closing !== undefined) {
      while (!this.take(closing)) {
        if (closing === "}") {
          this.name();
          this.expect(":");
        }
        this.argument();
      }
    } else if (!/^[A-Za-z_]/.test(token)) {
      throw new GraphQLError(`Parse error on ${JSON.stringify(token)}`);
    }
    return { value: undefined };
  }

  private peek(): string {
    return this.tokens[this.position] ?? "";
  }

  private next(): string {
    const token = this.tokens[this.position++];
    if (token === undefined) throw new GraphQLError("Parse error at the end of the query");
    return token;
  }

  private take(token: string): boolean {
    if (this.peek() !== token) return false;
    this.position += 1;
    return true;
  }

  private expect(token: string): void {
    const found = this.next();
    if (found !== token)
      throw new GraphQLError(`Parse error on ${JSON.stringify(found)}, expected "${token}"`);
  }

  private name(): string {
    const token = this.next();
    if (!/^[A-Za-z_]/.test(token))
      throw new GraphQLError(`Parse error on ${JSON.stringify(token)}`);
    return token;
  }
}
