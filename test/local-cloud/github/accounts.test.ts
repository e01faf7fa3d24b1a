import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { type Bench, end, start } from "./support";

describe("github: accounts, tokens, errors", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));

  it("answers the same below / and below /api/v3, with URLs of the root that was asked", async () => {
    const plain = await bench.expect(200, "GET", "/orgs/acme");
    const prefixed = await bench.expect(200, "GET", "/api/v3/orgs/acme");
    assert.equal(plain["url"], "http://127.0.0.1:8080/orgs/acme");
    assert.equal(prefixed["url"], "http://127.0.0.1:8080/api/v3/orgs/acme");
    assert.equal(prefixed["id"], plain["id"]);
  });

  it("knows an organization from a user", async () => {
    await bench.refuses(404, "Not Found", "GET", "/orgs/octocat");
    await bench.refuses(404, "Not Found", "GET", "/orgs/nobody");
    assert.equal((await bench.expect(200, "GET", "/users/octocat"))["type"], "User");
    assert.equal((await bench.expect(200, "GET", "/users/acme"))["type"], "Organization");
    assert.equal((await bench.expect(200, "GET", "/user"))["login"], "fleet-admin");
  });

  it("shows the plan to owners with admin:org only", async () => {
    const { noOrganization, member } = bench.github.tokens;
    const plan = async (token?: string) =>
      (
        await bench.expect<{ plan?: { name: string } }>(200, "GET", "/orgs/acme", undefined, {
          ...(token !== undefined && { token }),
        })
      ).plan?.name;
    assert.equal(await plan(), "team");
    assert.equal(await plan(noOrganization), undefined);
    assert.equal(await plan(member), undefined);
  });

  it("hides private repositories from those who may not see them", async () => {
    const { noScope, stranger, readOnly, member } = bench.github.tokens;
    for (const token of [noScope, stranger, ""])
      await bench.refuses(404, "Not Found", "GET", "/repos/acme/webppt", undefined, { token });
    for (const token of [readOnly, member])
      await bench.expect(200, "GET", "/repos/acme/webppt", undefined, { token });
    await bench.expect(200, "GET", "/repos/acme/site", undefined, { token: "" });
    await bench.refuses(404, "Not Found", "GET", "/repos/acme/nothing");
    const names = async (token: string) =>
      (
        await bench.expect<{ name: string }[]>(200, "GET", "/orgs/acme/repos", undefined, { token })
      ).map((one) => one.name);
    assert.deepEqual(await names(stranger), ["site"]);
    assert.deepEqual(await names(member), ["webppt", "webp-server", "hello", "site"]);
  });

  it("refuses credentials that are not good", async () => {
    for (const token of ["ghp_unknown", bench.github.tokens.expired])
      await bench.refuses(401, "Bad credentials", "GET", "/user", undefined, { token });
    await bench.refuses(401, "Requires authentication", "GET", "/user", undefined, { token: "" });
  });

  it("takes a token in every form that clients send", async () => {
    const { admin } = bench.github.tokens;
    const basic = Buffer.from(`x-access-token:${admin}`).toString("base64");
    for (const authorization of [`token ${admin}`, `Bearer ${admin}`, `Basic ${basic}`])
      await bench.expect(200, "GET", "/user", undefined, { token: "", headers: { authorization } });
  });

  it("says which scopes a classic token has and which the route accepts", async () => {
    const { headers } = await bench.call("GET", "/orgs/acme/actions/runners");
    assert.equal(headers.get("x-oauth-scopes"), "repo, workflow, admin:org");
    assert.equal(headers.get("x-accepted-oauth-scopes"), "admin:org");
    assert.match(headers.get("x-github-request-id") ?? "", /^[0-9A-F]+$/);
  });

  it("answers 304 to a known entity tag, and does not count it", async () => {
    const first = await bench.call("GET", "/orgs/acme");
    const etag = first.headers.get("etag") ?? "";
    const second = await bench.call("GET", "/orgs/acme", undefined, {
      headers: { "if-none-match": etag },
    });
    assert.equal(second.status, 304);
    assert.equal(second.body, "");
    assert.equal(
      second.headers.get("x-ratelimit-remaining"),
      first.headers.get("x-ratelimit-remaining"),
    );
    bench.github.repository("acme/webppt").edit("a.txt", "a");
    const ref = await bench.call("GET", "/repos/acme/webppt/git/ref/heads/master");
    bench.github.repository("acme/webppt").edit("a.txt", "b");
    const changed = await bench.call("GET", "/repos/acme/webppt/git/ref/heads/master", undefined, {
      headers: { "if-none-match": ref.headers.get("etag") ?? "" },
    });
    assert.equal(changed.status, 200);
  });

  it("pages lists and links the other pages", async () => {
    const { headers, body } = await bench.call("GET", "/orgs/acme/repos?per_page=2&page=1");
    assert.deepEqual(
      (body as { name: string }[]).map((one) => one.name),
      ["webppt", "webp-server"],
    );
    assert.equal(
      headers.get("link"),
      '<http://127.0.0.1:8080/orgs/acme/repos?per_page=2&page=2>; rel="next", <http://127.0.0.1:8080/orgs/acme/repos?per_page=2&page=2>; rel="last"',
    );
    const last = await bench.call("GET", "/orgs/acme/repos?per_page=2&page=2");
    assert.match(last.headers.get("link") ?? "", /rel="prev", .*rel="first"$/);
    assert.equal(
      (await bench.call("GET", "/orgs/acme/repos?per_page=100")).headers.get("link"),
      null,
    );
  });

  it("is loud about what it does not know", async () => {
    await bench.refuses(
      404,
      "The local cloud does not know the route GET /orgs/acme/teams.",
      "GET",
      "/orgs/acme/teams",
    );
    await bench.refuses(
      422,
      'Invalid request.\n\n"colour" is not a permitted key.',
      "POST",
      "/orgs/acme/actions/runner-groups",
      { name: "x", colour: "red" },
    );
    assert.deepEqual(bench.traffic.takeSurprises(), [
      "github: unknown route GET /orgs/acme/teams",
      'github: POST /orgs/acme/actions/runner-groups: unknown field "colour" in the body',
    ]);
    await bench.refuses(
      404,
      "The local cloud does not know the route POST /markdown.",
      "POST",
      "/markdown",
      { text: "*x*" },
    );
    assert.equal(bench.traffic.takeSurprises().length, 1);
  });

  it("refuses bodies as GitHub does", async () => {
    const path = "/orgs/acme/actions/variables";
    await bench.refuses(400, "Problems parsing JSON", "POST", path, "{");
    await bench.refuses(400, "Body should be a JSON object", "POST", path, "[]");
    await bench.refuses(422, 'Invalid request.\n\n"value" wasn\'t supplied.', "POST", path, {
      name: "A",
      visibility: "all",
    });
    await bench.refuses(
      422,
      "Invalid request.\n\nFor 'properties/value', 1 is not a string.",
      "POST",
      path,
      { name: "A", value: 1, visibility: "all" },
    );
    await bench.refuses(
      422,
      `Invalid request.\n\nFor 'properties/visibility', "some" is not a member of ["all", "private", "selected"].`,
      "POST",
      path,
      { name: "A", value: "1", visibility: "some" },
    );
  });

  it("limits requests per hour, and tells when it is over", async () => {
    bench.github.setRateLimit({ limit: 2, windowSeconds: 60 });
    await bench.expect(200, "GET", "/user");
    const second = await bench.call("GET", "/user");
    assert.equal(second.headers.get("x-ratelimit-remaining"), "0");
    await bench.refuses(403, "API rate limit exceeded for user fleet-admin.", "GET", "/user");
    const limit = await bench.expect<{ rate: { limit: number; remaining: number } }>(
      200,
      "GET",
      "/rate_limit",
    );
    assert.deepEqual([limit.rate.limit, limit.rate.remaining], [2, 0]);
    await bench.expect(200, "GET", "/user", undefined, { token: bench.github.tokens.stranger });
    bench.clock.advance(61_000);
    await bench.expect(200, "GET", "/user");
  });

  it("limits writes per minute if told to, with the wait in the answer", async () => {
    bench.github.setRateLimit({ writesPerMinute: 1 });
    const write = (name: string) =>
      bench.call("POST", "/repos/acme/webppt/actions/variables", { name, value: "1" });
    assert.equal((await write("A")).status, 201);
    const refused = await write("B");
    assert.equal(refused.status, 403);
    assert.match(
      (refused.body as { documentation_url: string }).documentation_url,
      /secondary-rate-limits$/,
    );
    const wait = Number(refused.headers.get("retry-after"));
    assert.ok(wait > 50 && wait <= 60, `retry-after ${wait}`);
    bench.clock.advance(wait * 1000);
    assert.equal((await write("B")).status, 201);
  });

  it("logs every request and takes faults from a script", async () => {
    bench.traffic.addFault({
      side: "github",
      method: "GET",
      path: /^\/orgs\/acme$/,
      effect: { kind: "respond", status: 502, body: { message: "Server Error" } },
    });
    assert.equal((await bench.call("GET", "/api/v3/orgs/acme")).status, 502);
    assert.equal((await bench.call("GET", "/api/v3/orgs/acme")).status, 200);
    assert.deepEqual(
      bench.traffic.requests.map(({ method, path, status }) => ({ method, path, status })),
      [
        { method: "GET", path: "/orgs/acme", status: 502 },
        { method: "GET", path: "/orgs/acme", status: 200 },
      ],
    );
  });

  it("puts the seed back on reset", async () => {
    bench.github.repository("acme/webppt").edit("README.md", "changed");
    await bench.expect(201, "POST", "/orgs/acme/actions/variables", {
      name: "A",
      value: "1",
      visibility: "all",
    });
    await bench.github.reset();
    assert.equal(bench.github.repository("acme/webppt").file("README.md"), "# webppt\n");
    assert.deepEqual(bench.github.variables("acme"), {});
  });
});
