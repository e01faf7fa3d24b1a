import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { type Bench, end, start } from "./support";

interface Answer {
  readonly data?: Record<string, unknown>;
  readonly errors?: { readonly message: string; readonly type?: string; readonly path?: unknown }[];
}

describe("github: GraphQL", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));
  const ask = (query: string, variables?: unknown, token?: string): Promise<Answer> =>
    bench.expect<Answer>(
      200,
      "POST",
      "/graphql",
      { query, variables },
      { ...(token && { token }) },
    );
  /** The query must be refused with this message, and not unseen. */
  const refuses = async (query: string, message: RegExp): Promise<void> => {
    const { data, errors } = await ask(query);
    assert.equal(data, undefined);
    assert.match(errors?.[0]?.message ?? "", message);
    assert.equal(bench.traffic.surprises.length, 1);
    bench.traffic.reset();
  };

  it("says whose token it is, on both of GitHub's addresses", async () => {
    const query = "query UserCurrent{viewer{login}}";
    for (const path of ["/graphql", "/api/graphql"])
      assert.deepEqual(await bench.expect<Answer>(200, "POST", path, { query }), {
        data: { viewer: { login: "fleet-admin" } },
      });
    const { tokens } = bench.github;
    assert.deepEqual(await ask("{ viewer { login } }", {}, tokens.stranger), {
      data: { viewer: { login: "octocat" } },
    });
    await bench.refuses(
      401,
      "Requires authentication",
      "POST",
      "/graphql",
      { query },
      { token: "" },
    );
    await bench.refuses(401, "Bad credentials", "POST", "/graphql", { query }, { token: "wrong" });
  });

  it("maps names of repositories to the ids that the REST API has", async () => {
    const { data } = await ask(
      `query MapRepositoryNames {
        repo_000: repository(owner: "acme", name: "webppt") { databaseId }
        repo_001: repository(owner: "acme", name: "hello") { databaseId }
      }`,
    );
    const id = (name: string): number => bench.github.repository(`acme/${name}`).id;
    assert.deepEqual(data, {
      repo_000: { databaseId: id("webppt") },
      repo_001: { databaseId: id("hello") },
    });
  });

  it("takes variables, fragments of either kind, and comments", async () => {
    const { data } = await ask(
      `fragment repo on Repository { name owner { ... on User { id } ...on Organization { login } __typename } }
       query RepositoryInfo($owner: String!, $name: String = "x") { # a comment
         repository(owner: $owner, name: $name) {
           ...repo
           ... { visibility, isPrivate }
           parent { ...repo }
           defaultBranchRef { name }
           viewerPermission
         }
       }`,
      { owner: "acme", name: "hello" },
    );
    assert.deepEqual(data, {
      repository: {
        name: "hello",
        owner: { login: "acme", __typename: "Organization" },
        visibility: "PRIVATE",
        isPrivate: true,
        parent: null,
        defaultBranchRef: { name: "main" },
        viewerPermission: "ADMIN",
      },
    });
  });

  it("shows no repository that the token does not see", async () => {
    for (const [name, token] of [
      ["nowhere", bench.github.tokens.admin],
      ["webppt", bench.github.tokens.stranger],
    ] as const) {
      const answer = await ask(
        `{ viewer { login } one: repository(owner: "acme", name: "${name}") { id } }`,
        {},
        token,
      );
      assert.equal(answer.data?.["one"], null);
      assert.deepEqual(answer.errors, [
        {
          type: "NOT_FOUND",
          path: ["one"],
          message: `Could not resolve to a Repository with the name 'acme/${name}'.`,
        },
      ]);
    }
  });

  it("refuses by name what it does not know", async () => {
    const known = '{ repository(owner: "acme", name: "hello")';
    await refuses("{ viewer { bio } }", /^Field 'bio' doesn't exist on type 'User'/);
    await refuses('{ __type(name: "X") { name } }', /^Field '__type' doesn't exist/);
    await refuses(
      `${known} { pullRequests(first: 3, states: [OPEN], orderBy: {field: X, by: [{a: 1}]}) { id } } }`,
      /^Field 'pullRequests' doesn't exist on type 'Repository'/,
    );
    await refuses(`${known} { constructor } }`, /^Field 'constructor' doesn't exist/);
    await refuses(`${known} { name(short: true) } }`, /takes no arguments/);
    await refuses("mutation { x }", /queries only, not a mutation/);
    await refuses("{ viewer { login } } { viewer { id } }", /one query in a document/);
    await refuses("{ viewer { login @include(if: true) } }", /Parse error on "@"/);
  });

  it("refuses what is no query", async () => {
    await refuses("{ viewer }", /Field must have selections/);
    await refuses("{ viewer { login { id } } }", /Selections can't be made on scalars/);
    await refuses("{ viewer { login ", /Parse error at the end/);
    await refuses("{ viewer { ...nowhere } }", /fragment is used that is not defined/);
    await refuses("", /must be specified/);
    await refuses("{ viewer { login } } ?", /Parse error on "\?"/);
    await refuses("fragment a on User { ...a } { viewer { ...a } }", /nested too deeply/);
  });
});
