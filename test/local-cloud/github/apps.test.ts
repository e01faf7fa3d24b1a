import assert from "node:assert/strict";
import { createSign, generateKeyPairSync } from "node:crypto";
import { describe, it } from "mocha";
import { type Bench, end, start } from "./support";

describe("github: the App", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));

  const jwt = (claims: Record<string, unknown> = {}, key?: string, alg = "RS256"): string => {
    const now = Math.floor(Date.now() / 1000);
    const { app } = bench.github;
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const payload = { iat: now - 60, exp: now + 540, iss: app.id, ...claims };
    const signed = `${part({ alg, typ: "JWT" })}.${part(payload)}`;
    const signature = createSign("RSA-SHA256")
      .update(signed)
      .sign(key ?? app.privateKey);
    return `${signed}.${signature.toString("base64url")}`;
  };
  const installation = () => `/app/installations/${bench.github.app.installationId}/access_tokens`;
  const tokenFor = async (body: Record<string, unknown> = {}): Promise<string> =>
    (await bench.expect<{ token: string }>(201, "POST", installation(), body, { token: jwt() }))
      .token;

  it("proves itself by a signed token of at most ten minutes", async () => {
    const now = Math.floor(Date.now() / 1000);
    assert.equal(
      (await bench.expect(200, "GET", "/app", undefined, { token: jwt() }))["id"],
      bench.github.app.id,
    );
    const byClient = jwt({ iss: bench.github.app.clientId });
    await bench.expect(200, "GET", "/app", undefined, { token: byClient });
    const undecodable = "A JSON web token could not be decoded";
    const expiry =
      "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires";
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs1", format: "pem" })
      .toString();
    const refused: [string, string][] = [
      [jwt({}, other), undecodable],
      [jwt({}, undefined, "none"), undecodable],
      [jwt({ exp: now - 1 }), expiry],
      [jwt({ exp: undefined }), expiry],
      [jwt({ exp: now + 700 }), "'Expiration time' claim ('exp') is too far in the future"],
      [
        jwt({ iat: now + 300 }),
        "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
      ],
      [
        jwt({ iss: 7 }),
        "'Issuer' claim ('iss') must be an Integer or a String, and must be the App's id or client id",
      ],
    ];
    for (const [token, message] of refused)
      await bench.refuses(401, message, "GET", "/app", undefined, { token });
    await bench.refuses(401, undecodable, "GET", "/app");
    await bench.refuses(401, "Requires authentication", "GET", "/app", undefined, { token: "" });
  });

  it("registers runners just in time with the permission for that alone", async () => {
    const path = "/orgs/acme/actions/runners/generate-jitconfig";
    const body = {
      name: "jit",
      runner_group_id: 1,
      labels: ["self-hosted", "Linux", "ARM64", "x"],
    };
    const token = await tokenFor({ permissions: { organization_self_hosted_runners: "write" } });
    const made = await bench.expect<{
      runner: { id: number; labels: { name: string; type: string }[] };
    }>(201, "POST", path, body, { token });
    assert.deepEqual(
      made.runner.labels.map(({ name, type }) => `${name} ${type}`),
      ["self-hosted read-only", "Linux read-only", "ARM64 read-only", "x custom"],
    );
    const runner = `/orgs/acme/actions/runners/${made.runner.id}`;
    await bench.expect(200, "DELETE", `${runner}/labels`, undefined, { token });
    await bench.expect(204, "DELETE", runner, undefined, { token });
    const other = await tokenFor({ permissions: { organization_secrets: "write" } });
    await bench.refuses(403, "Resource not accessible by integration", "POST", path, body, {
      token: other,
    });
  });

  it("finds its installation", async () => {
    const options = { token: jwt() };
    for (const path of ["/orgs/acme/installation", "/repos/acme/webppt/installation"])
      assert.equal(
        (await bench.expect(200, "GET", path, undefined, options))["id"],
        bench.github.app.installationId,
      );
    await bench.refuses(404, "Not Found", "GET", "/orgs/octocat/installation", undefined, options);
    await bench.refuses(404, "Not Found", "GET", "/users/acme/installation", undefined, options);
    const list = await bench.expect<unknown[]>(
      200,
      "GET",
      "/app/installations",
      undefined,
      options,
    );
    assert.equal(list.length, 1);
  });

  it("gets tokens for an hour, with the rights of the installation", async () => {
    const token = await tokenFor();
    assert.match(token, /^ghs_[A-Za-z0-9]{36}$/);
    await bench.expect(200, "GET", "/orgs/acme/actions/runners", undefined, { token });
    await bench.expect(201, "POST", "/orgs/acme/actions/runners/registration-token", undefined, {
      token,
    });
    await bench.refuses(404, "Not Found", "GET", "/user", undefined, { token });
    const list = await bench.expect(200, "GET", "/installation/repositories", undefined, { token });
    assert.equal(list["total_count"], 4);
    bench.clock.advance(3_601_000);
    await bench.refuses(401, "Bad credentials", "GET", "/orgs/acme", undefined, { token });
  });

  it("gets tokens with fewer rights and repositories, never more", async () => {
    const token = await tokenFor({
      repositories: ["webppt"],
      permissions: { organization_self_hosted_runners: "read", contents: "read" },
    });
    const options = { token };
    await bench.expect(200, "GET", "/orgs/acme/actions/runners", undefined, options);
    const refused = "Resource not accessible by integration";
    await bench.refuses(
      403,
      refused,
      "POST",
      "/orgs/acme/actions/runners/registration-token",
      undefined,
      options,
    );
    await bench.refuses(403, refused, "GET", "/orgs/acme/actions/secrets", undefined, options);
    await bench.expect(200, "GET", "/repos/acme/webppt", undefined, options);
    await bench.refuses(404, "Not Found", "GET", "/repos/acme/hello", undefined, options);
    const list = await bench.expect<{ repositories: { name: string }[] }>(
      200,
      "GET",
      "/installation/repositories",
      undefined,
      options,
    );
    assert.deepEqual(
      list.repositories.map((one) => one.name),
      ["webppt"],
    );
    const ask = (body: unknown, message: string) =>
      bench.refuses(422, message, "POST", installation(), body, { token: jwt() });
    await ask(
      { permissions: { organization_projects: "write" } },
      "The permissions requested are not granted to this installation.",
    );
    await ask(
      { repositories: ["playground"] },
      "There is at least one repository that does not exist or is not accessible to the parent installation.",
    );
    await bench.refuses(
      404,
      "Not Found",
      "POST",
      "/app/installations/1/access_tokens",
      {},
      { token: jwt() },
    );
  });

  it("gives tokens back", async () => {
    const token = await tokenFor();
    await bench.expect(204, "DELETE", "/installation/token", undefined, { token });
    await bench.refuses(401, "Bad credentials", "GET", "/orgs/acme", undefined, { token });
  });
});
