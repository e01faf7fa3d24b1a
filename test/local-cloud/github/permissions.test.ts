import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { type Bench, end, start } from "./support";

const organization = "/orgs/acme/actions/permissions";
const repository = "/repos/acme/webppt/actions/permissions";

describe("github: Actions permissions", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start();
  });
  afterEach(() => end(bench));

  it("of an organization: repositories and actions, all or selected", async () => {
    assert.deepEqual(await bench.expect(200, "GET", organization), {
      enabled_repositories: "all",
      allowed_actions: "all",
      sha_pinning_required: false,
    });
    const conflict = "The organization's policy for enabled repositories is not set to selected";
    await bench.refuses(409, conflict, "GET", `${organization}/repositories`);
    const actions = "The policy for allowed actions is not set to selected";
    await bench.refuses(409, actions, "PUT", `${organization}/selected-actions`, {});
    await bench.expect(204, "PUT", organization, {
      enabled_repositories: "selected",
      allowed_actions: "selected",
      sha_pinning_required: true,
    });
    const { id } = bench.github.repository("acme/webppt");
    await bench.expect(204, "PUT", `${organization}/repositories`, {
      selected_repository_ids: [id],
    });
    const list = await bench.expect(200, "GET", `${organization}/repositories`);
    assert.equal(list["total_count"], 1);
    await bench.expect(204, "DELETE", `${organization}/repositories/${id}`);
    await bench.expect(204, "PUT", `${organization}/repositories/${id}`);
    await bench.expect(204, "PUT", `${organization}/selected-actions`, {
      verified_allowed: true,
      patterns_allowed: ["docker/*"],
    });
    assert.deepEqual(await bench.expect(200, "GET", `${organization}/selected-actions`), {
      github_owned_allowed: true,
      verified_allowed: true,
      patterns_allowed: ["docker/*"],
    });
    const shown = await bench.expect(200, "GET", organization);
    assert.equal(shown["sha_pinning_required"], true);
    assert.match(String(shown["selected_actions_url"]), /permissions\/selected-actions$/);
  });

  it("of a repository: whether, what, who from outside", async () => {
    await bench.expect(204, "PUT", repository, { enabled: true, allowed_actions: "local_only" });
    assert.equal((await bench.expect(200, "GET", repository))["allowed_actions"], "local_only");
    assert.deepEqual(await bench.expect(200, "GET", `${repository}/access`), {
      access_level: "none",
    });
    await bench.expect(204, "PUT", `${repository}/access`, { access_level: "organization" });
    assert.equal(bench.github.repository("acme/webppt").accessLevel, "organization");
    await bench.refuses(
      422,
      'The access level "user" does not apply to this repository.',
      "PUT",
      `${repository}/access`,
      { access_level: "user" },
    );
    await bench.refuses(
      422,
      "Access policy only applies to internal and private repositories.",
      "GET",
      "/repos/acme/site/actions/permissions/access",
    );
  });

  it("of workflow tokens", async () => {
    for (const root of [organization, repository]) {
      await bench.expect(204, "PUT", `${root}/workflow`, { default_workflow_permissions: "write" });
      assert.deepEqual(await bench.expect(200, "GET", `${root}/workflow`), {
        default_workflow_permissions: "write",
        can_approve_pull_request_reviews: false,
      });
    }
  });

  it("are for administrators", async () => {
    const { noOrganization, member } = bench.github.tokens;
    const message = "Must have admin rights to Repository.";
    await bench.refuses(403, message, "GET", organization, undefined, { token: noOrganization });
    await bench.refuses(403, message, "GET", repository, undefined, { token: member });
    await bench.expect(200, "GET", repository, undefined, { token: noOrganization });
  });
});
