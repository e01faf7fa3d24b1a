import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { defaultSeed } from "../../../local-cloud/github";
import { type Bench, end, seal, start } from "./support";

const root = "/orgs/acme/actions/secrets";

interface Key {
  key_id: string;
  key: string;
}

describe("github: secrets", () => {
  let bench: Bench;
  let key: Key;
  beforeEach(async () => {
    bench = await start();
    key = await bench.expect<Key>(200, "GET", `${root}/public-key`);
  });
  afterEach(() => end(bench));

  const id = (name: string) => bench.github.repository(`acme/${name}`).id;
  const sealed = async (value: string, of = key) => ({
    encrypted_value: await seal(of.key, value),
    key_id: of.key_id,
  });
  const put = async (name: string, value: string, extra: Record<string, unknown>) =>
    bench.call("PUT", `${root}/${name}`, { ...(await sealed(value)), ...extra });

  it("opens the sealed box with the private key, and never shows the value", async () => {
    assert.equal(Buffer.from(key.key, "base64").length, 32);
    const created = await put("registry_password", "s3cret ✓", { visibility: "private" });
    assert.equal(created.status, 201);
    assert.equal(bench.github.secretValue("acme", "REGISTRY_PASSWORD"), "s3cret ✓");
    const shown = await bench.expect(200, "GET", `${root}/REGISTRY_PASSWORD`);
    assert.deepEqual(Object.keys(shown).sort(), ["created_at", "name", "updated_at", "visibility"]);
    const list = await bench.expect<{ total_count: number; secrets: { name: string }[] }>(
      200,
      "GET",
      root,
    );
    assert.equal(list.total_count, 1);
    assert.equal(list.secrets[0]?.name, "REGISTRY_PASSWORD");
  });

  it("changes updated_at with the value only", async () => {
    await put("A", "1", { visibility: "all" });
    const times = async () => {
      const { created_at, updated_at } = await bench.expect(200, "GET", `${root}/A`);
      return [created_at, updated_at];
    };
    const first = await times();
    assert.equal(first[0], first[1]);
    bench.clock.advance(5000);
    assert.deepEqual(await times(), first);
    assert.equal((await put("A", "2", { visibility: "all" })).status, 204);
    const second = await times();
    assert.equal(second[0], first[0]);
    assert.notEqual(second[1], first[1]);
  });

  it("refuses a value that was not sealed for this key", async () => {
    const other = await bench.expect<Key>(
      200,
      "GET",
      "/repos/acme/hello/actions/secrets/public-key",
    );
    const refuse = (body: Record<string, unknown>, message: string) =>
      bench.refuses(422, message, "PUT", `${root}/A`, { visibility: "all", ...body });
    const notOpened = "Bad request - could not decrypt the encrypted_value";
    await refuse({ encrypted_value: "cGxhaW4=", key_id: key.key_id }, notOpened);
    await refuse({ ...(await sealed("x", other)), key_id: key.key_id }, notOpened);
    await refuse(
      await sealed("x", other),
      "Validation Failed: the provided key_id does not match the public key",
    );
    await refuse({}, 'Invalid request.\n\n"encrypted_value" wasn\'t supplied.');
    assert.equal(bench.github.secretValue("acme", "A"), undefined);
  });

  it("refuses names as GitHub does", async () => {
    const body = { ...(await sealed("x")), visibility: "all" };
    for (const name of ["a-b", "1A", "a%20b"])
      await bench.refuses(
        422,
        "Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_).",
        "PUT",
        `${root}/${name}`,
        body,
      );
    await bench.refuses(
      422,
      "Secret names must not start with GITHUB_.",
      "PUT",
      `${root}/github_x`,
      body,
    );
  });

  it("is limited to selected repositories, and keeps the selection when it is left out", async () => {
    await put("A", "1", { visibility: "selected", selected_repository_ids: [id("webppt")] });
    assert.deepEqual(bench.github.secretRepositories("acme", "A"), ["webppt"]);
    assert.equal((await put("A", "2", { visibility: "selected" })).status, 204);
    assert.deepEqual(bench.github.secretRepositories("acme", "A"), ["webppt"]);
    const list = `${root}/A/repositories`;
    await bench.expect(204, "PUT", list, { selected_repository_ids: [id("hello")] });
    await bench.expect(204, "PUT", `${list}/${id("webp-server")}`);
    const shown = await bench.expect<{ total_count: number; repositories: { name: string }[] }>(
      200,
      "GET",
      list,
    );
    assert.deepEqual(
      shown.repositories.map((one) => one.name),
      ["hello", "webp-server"],
    );
    await bench.expect(204, "DELETE", `${list}/${id("hello")}`);
    await bench.refuses(404, "Not Found", "DELETE", `${list}/${id("hello")}`);
    assert.deepEqual(bench.github.secretRepositories("acme", "A"), ["webp-server"]);
    await bench.expect(204, "PUT", list, { selected_repository_ids: [] });
    assert.deepEqual(bench.github.secretRepositories("acme", "A"), []);
  });

  it("does not mix a selection with another visibility", async () => {
    const refused = await put("A", "1", {
      visibility: "all",
      selected_repository_ids: [id("hello")],
    });
    assert.equal(refused.status, 422);
    await put("A", "1", { visibility: "all" });
    const list = `${root}/A/repositories`;
    const message = "The visibility of the secret is not set to selected repositories";
    await bench.refuses(409, message, "PUT", `${list}/${id("hello")}`);
    await bench.refuses(409, message, "DELETE", `${list}/${id("hello")}`);
    await bench.refuses(409, message, "PUT", list, { selected_repository_ids: [id("hello")] });
    await bench.refuses(
      404,
      `Repository ${bench.github.repository("octocat/playground").id} is not part of acme`,
      "PUT",
      `${root}/B`,
      {
        ...(await sealed("x")),
        visibility: "selected",
        selected_repository_ids: [bench.github.repository("octocat/playground").id],
      },
    );
  });

  it("reaches private repositories, all, or the selected ones", async () => {
    await put("ALL", "1", { visibility: "all" });
    await put("PRIVATE", "1", { visibility: "private" });
    const names = async (repository: string) =>
      (
        await bench.expect<{ secrets: { name: string }[] }>(
          200,
          "GET",
          `/repos/acme/${repository}/actions/organization-secrets`,
        )
      ).secrets.map((one) => one.name);
    assert.deepEqual(await names("hello"), ["ALL", "PRIVATE"]);
    assert.deepEqual(await names("site"), ["ALL"]);
  });

  it("does not reach private repositories on the Free plan", async () => {
    const [organization] = defaultSeed.organizations;
    assert.ok(organization);
    const free = await start({
      seed: { ...defaultSeed, organizations: [{ ...organization, plan: "free" }] },
    });
    const publicKey = await free.expect<Key>(200, "GET", `${root}/public-key`);
    await free.expect(201, "PUT", `${root}/A`, {
      ...(await sealed("1", publicKey)),
      visibility: "all",
    });
    assert.deepEqual(free.github.secretRepositories("acme", "A"), ["site"]);
    await end(free);
  });

  it("is deleted once", async () => {
    await put("A", "1", { visibility: "all" });
    await bench.expect(204, "DELETE", `${root}/A`);
    await bench.refuses(404, "Not Found", "DELETE", `${root}/A`);
    await bench.refuses(404, "Not Found", "GET", `${root}/A`);
  });

  it("belongs to a repository, too", async () => {
    const own = "/repos/acme/hello/actions/secrets";
    const repositoryKey = await bench.expect<Key>(200, "GET", `${own}/public-key`);
    const body = await sealed("mine", repositoryKey);
    await bench.expect(201, "PUT", `${own}/TOKEN`, body);
    await bench.expect(204, "PUT", `${own}/TOKEN`, body);
    assert.equal(bench.github.repository("acme/hello").secretValue("TOKEN"), "mine");
    const shown = await bench.expect(200, "GET", `${own}/TOKEN`);
    assert.deepEqual(Object.keys(shown).sort(), ["created_at", "name", "updated_at"]);
    await bench.expect(204, "DELETE", `${own}/TOKEN`);
    await bench.refuses(404, "Not Found", "GET", `${own}/TOKEN`);
  });

  it("is for owners with admin:org", async () => {
    const { noOrganization, noScope, member, stranger, readOnly } = bench.github.tokens;
    const admin = "Must have admin rights to Repository.";
    for (const token of [noOrganization, noScope])
      await bench.refuses(403, admin, "GET", root, undefined, { token });
    await bench.refuses(
      403,
      "You must be an org admin or have the secrets fine-grained permission.",
      "GET",
      root,
      undefined,
      { token: member },
    );
    await bench.refuses(404, "Not Found", "GET", root, undefined, { token: stranger });
    await bench.refuses(401, "Requires authentication", "GET", root, undefined, { token: "" });
    await bench.expect(200, "GET", root, undefined, { token: readOnly });
    const refused = await bench.call("DELETE", `${root}/A`, undefined, { token: readOnly });
    assert.equal(refused.status, 403);
    assert.equal(
      refused.headers.get("x-accepted-github-permissions"),
      "organization_secrets=write",
    );
  });
});
