import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { defaultSeed } from "../../../local-cloud/github";
import { attach, online, registration, registrationToken } from "./runnerSupport";
import { type Bench, end, start } from "./support";

const runners = "/orgs/acme/actions/runners";
const groups = "/orgs/acme/actions/runner-groups";
const hour = 3_600_000;
const day = 24 * hour;

describe("github: runners and runner groups", () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await start({ times: { pollMs: 50 } });
  });
  afterEach(() => end(bench));
  const id = (name: string) => bench.github.repository(`acme/${name}`).id;
  const register = (body: unknown) => bench.call("POST", "/_runner/register", body, { token: "" });
  const refusesRegistration = async (status: number, message: string, body: unknown) => {
    const answer = await register(body);
    assert.deepEqual(
      [answer.status, (answer.body as { message: string }).message],
      [status, message],
    );
  };
  const group = async (name: string, extra: Record<string, unknown> = {}) =>
    (await bench.expect<{ id: number }>(201, "POST", groups, { name, ...extra })).id;

  describe("tokens", () => {
    it("register for an hour, and only for what they were made for", async () => {
      const answer = await bench.expect<{ token: string; expires_at: string }>(
        201,
        "POST",
        `${runners}/registration-token`,
      );
      const left = Date.parse(answer.expires_at) - Date.now();
      assert.ok(left > hour - 10_000 && left <= hour, String(left));
      const { token } = answer;
      const repository = "https://github.com/acme/webppt";
      await refusesRegistration(404, "Not Found", registration(token, { url: repository }));
      await refusesRegistration(404, "Not Found", registration("AAAA"));
      const remove = await registrationToken(bench, "orgs/acme", "remove");
      await refusesRegistration(404, "Not Found", registration(remove));
      bench.clock.advance(hour + 1000);
      await refusesRegistration(404, "Not Found", registration(token));
    });

    it("are for administrators", async () => {
      const path = `${runners}/registration-token`;
      const { noOrganization, readOnly } = bench.github.tokens;
      await bench.refuses(403, "Must have admin rights to Repository.", "POST", path, undefined, {
        token: noOrganization,
      });
      await bench.refuses(
        403,
        "Resource not accessible by personal access token",
        "POST",
        path,
        undefined,
        { token: readOnly },
      );
      await bench.refuses(
        403,
        "Must have admin rights to Repository.",
        "POST",
        "/repos/acme/webppt/actions/runners/registration-token",
        undefined,
        { token: bench.github.tokens.member },
      );
      await bench.refuses(
        404,
        "Not Found",
        "POST",
        "/orgs/octocat/actions/runners/registration-token",
      );
    });
  });

  describe("registration", () => {
    it("adds the labels that every runner has, and shows the runner offline until it connects", async () => {
      const made = await register(registration(await registrationToken(bench)));
      assert.equal(made.status, 201);
      const { runner_id: runner, pool } = made.body as { runner_id: number; pool: string };
      assert.equal(pool, "Default");
      const shown = await bench.expect<{
        status: string;
        labels: { name: string; type: string }[];
      }>(200, "GET", `${runners}/${runner}`);
      assert.equal(shown.status, "offline");
      assert.deepEqual(
        shown.labels.map(({ name, type }) => `${name} ${type}`),
        ["self-hosted read-only", "Linux read-only", "ARM64 read-only", "docker custom"],
      );
    });

    it("refuses old, deprecated and malformed versions, unknown groups and places", async () => {
      const token = await registrationToken(bench);
      const refuses = (status: number, message: string, extra: Record<string, unknown>) =>
        refusesRegistration(status, message, registration(token, extra));
      await refuses(
        403,
        "Runner version v2.328.9 is too old to be registered: the minimum is v2.329.0.",
        { version: "2.328.9" },
      );
      bench.github.setRunnerDeprecation("2.330.0", {
        registrationDeprecatesAt: new Date(Date.now() - 1000),
      });
      await refuses(403, "Runner version v2.330.0 is deprecated and cannot be registered.", {
        version: "2.330.0",
      });
      await refuses(404, 'Could not find any self-hosted runner group named "gold".', {
        runner_group: "gold",
      });
      await refuses(404, "Not Found", { url: "https://github.com/nobody" });
      await refuses(404, "Not Found", { url: "https://github.com/octocat" });
      assert.deepEqual(bench.github.runners("acme"), []);
    });

    it("takes a name once, or replaces the runner that has it, in the group where it was", async () => {
      await group("arm64");
      const first = await online(bench, { runner_group: "arm64" });
      const token = await registrationToken(bench);
      await refusesRegistration(409, "A runner exists with the same name r1.", registration(token));
      const second = await register(registration(token, { replace: true, labels: ["new"] }));
      assert.equal(second.status, 201);
      const body = second.body as { runner_id: number; pool: string };
      assert.deepEqual([body.runner_id, body.pool], [first.id, "arm64"]);
      assert.deepEqual(
        bench.github.runners("acme").map(({ labels, status }) => ({ labels, status })),
        [{ labels: ["self-hosted", "Linux", "ARM64", "new"], status: "offline" }],
      );
      const gone = await bench.call("GET", `/_runner/messages?session=${first.session}`);
      assert.equal(gone.status, 410);
    });

    it("can be for one repository", async () => {
      const runner = await online(bench, {
        at: "repos/acme/webppt",
        url: "https://github.com/acme/webppt",
      });
      const list = await bench.expect<{ runners: { name: string }[] }>(
        200,
        "GET",
        "/repos/acme/webppt/actions/runners",
      );
      assert.equal(list.runners[0]?.name, runner.name);
      assert.equal((await bench.expect(200, "GET", runners))["total_count"], 0);
    });
  });

  describe("life", () => {
    it("is online while it polls, offline when it does not", async () => {
      const runner = await online(bench);
      const status = () => bench.github.runners("acme")[0]?.status;
      assert.equal(status(), "online");
      assert.equal(await runner.poll(), null);
      assert.equal(status(), "online");
      bench.clock.advance(11_000);
      assert.equal(status(), "offline");
      await runner.poll();
      assert.equal(status(), "online");
      await bench.expect(204, "DELETE", `/_runner/sessions/${runner.session}`);
      assert.equal(status(), "offline");
    });

    it("has one session at a time", async () => {
      const runner = await online(bench);
      await assert.rejects(runner.connect(), /A session for this runner already exists/);
      bench.clock.advance(11_000);
      await runner.connect();
    });

    it("gets no work when its version is deprecated", async () => {
      const runner = await online(bench);
      bench.github.setRunnerDeprecation("2.336.0", {
        runtimeDeprecatesAt: new Date(Date.now() - 1000),
      });
      const refused = await bench.call("GET", `/_runner/messages?session=${runner.session}`);
      assert.equal(refused.status, 403);
      assert.equal(
        (refused.body as { message: string }).message,
        "Runner version v2.336.0 is deprecated and cannot receive messages.",
      );
    });

    it("is forgotten after a day offline when ephemeral, else after fourteen", async () => {
      await online(bench, { name: "short", ephemeral: true });
      await online(bench, { name: "long" });
      const names = () => bench.github.runners("acme").map((one) => one.name);
      bench.clock.advance(day - 60_000);
      assert.deepEqual(names(), ["short", "long"]);
      bench.clock.advance(2 * 60_000);
      assert.deepEqual(names(), ["long"]);
      bench.clock.advance(13 * day);
      assert.deepEqual(names(), []);
    });

    it("ends by its own removal, or by the API", async () => {
      const runner = await online(bench);
      const body = { url: "https://github.com/acme", token: "wrong", name: "r1" };
      const remove = (extra: object) =>
        bench.call("POST", "/_runner/remove", { ...body, ...extra }, { token: "" });
      assert.equal((await remove({})).status, 404);
      const token = await registrationToken(bench, "orgs/acme", "remove");
      assert.equal((await remove({ token, name: "other" })).status, 404);
      assert.equal((await remove({ token })).status, 204);
      assert.deepEqual(bench.github.runners("acme"), []);
      const gone = await bench.call("GET", `/_runner/messages?session=${runner.session}`);
      assert.equal(gone.status, 410);
      const other = await online(bench);
      const held = other.poll();
      await bench.expect(204, "DELETE", `${runners}/${other.id}`);
      await assert.rejects(held, /410/);
      await bench.refuses(404, "Not Found", "DELETE", `${runners}/${other.id}`);
    });
  });

  it("lists by name, and knows the versions it was told of", async () => {
    await online(bench, { name: "a" });
    await online(bench, { name: "b" });
    const found = await bench.expect<{ runners: { name: string }[] }>(
      200,
      "GET",
      `${runners}?name=b`,
    );
    assert.deepEqual(
      found.runners.map((one) => one.name),
      ["b"],
    );
    await bench.refuses(404, "Not Found", "GET", `${runners}/deprecations/2.336.0`);
    bench.github.setRunnerDeprecation("2.336.0", {
      runtimeDeprecatesAt: new Date("2027-01-02T03:04:05Z"),
    });
    for (const at of ["/orgs/acme", "/repos/acme/webppt"])
      assert.deepEqual(
        await bench.expect(200, "GET", `${at}/actions/runners/deprecations/2.336.0`),
        {
          runner_version: "2.336.0",
          runtime_deprecates_at: "2027-01-02T03:04:05Z",
          registration_deprecates_at: null,
        },
      );
    const downloads = await bench.expect<{ architecture: string }[]>(
      200,
      "GET",
      `${runners}/downloads`,
    );
    assert.deepEqual(
      downloads.map((one) => one.architecture),
      ["x64", "arm64"],
    );
  });

  it("has labels of its own", async () => {
    const { id: runner } = await online(bench);
    const path = `${runners}/${runner}/labels`;
    const names = async (method: string, at = path, body?: unknown) =>
      (await bench.expect<{ labels: { name: string }[] }>(200, method, at, body)).labels.map(
        (one) => one.name,
      );
    const fixed = ["self-hosted", "Linux", "ARM64"];
    assert.deepEqual(await names("GET"), [...fixed, "docker"]);
    assert.deepEqual(await names("POST", path, { labels: ["gpu", "DOCKER"] }), [
      ...fixed,
      "docker",
      "gpu",
    ]);
    assert.deepEqual(await names("DELETE", `${path}/docker`), [...fixed, "gpu"]);
    await bench.refuses(404, "Not Found", "DELETE", `${path}/docker`);
    await bench.refuses(
      422,
      "The label ARM64 is read-only and cannot be removed.",
      "DELETE",
      `${path}/arm64`,
    );
    assert.deepEqual(await names("PUT", path, { labels: ["only"] }), [...fixed, "only"]);
    assert.deepEqual(await names("DELETE"), fixed);
  });

  it("is made just in time, with exactly the labels that were asked for", async () => {
    const path = `${runners}/generate-jitconfig`;
    const body = { name: "jit", runner_group_id: 1, labels: ["self-hosted", "arm64"] };
    const made = await bench.expect<{ runner: { id: number }; encoded_jit_config: string }>(
      201,
      "POST",
      path,
      body,
    );
    const config = JSON.parse(Buffer.from(made.encoded_jit_config, "base64").toString()) as {
      url: string;
      credential: string;
      runner_id: number;
      name: string;
    };
    assert.deepEqual(
      [config.url, config.runner_id, config.name],
      ["https://github.com/acme", made.runner.id, "jit"],
    );
    await attach(bench, config).connect();
    assert.deepEqual(
      bench.github
        .runners("acme")
        .map(({ labels, ephemeral, status }) => ({ labels, ephemeral, status })),
      [{ labels: ["self-hosted", "arm64"], ephemeral: true, status: "online" }],
    );
    await bench.refuses(
      409,
      "Already exists - A runner with the name jit already exists.",
      "POST",
      path,
      body,
    );
    await bench.refuses(404, "Could not find runner group with id 9.", "POST", path, {
      ...body,
      name: "x",
      runner_group_id: 9,
    });
    await bench.expect(422, "POST", path, { ...body, name: "x", labels: [] });
    await bench.refuses(403, "Must have admin rights to Repository.", "POST", path, body, {
      token: bench.github.tokens.noOrganization,
    });
  });

  describe("groups", () => {
    it("are created with their repositories, changed and deleted", async () => {
      const made = await bench.expect<Record<string, unknown>>(201, "POST", groups, {
        name: "arm64",
        visibility: "selected",
        selected_repository_ids: [id("webppt")],
        allows_public_repositories: false,
        restricted_to_workflows: true,
        selected_workflows: ["acme/webppt/.github/workflows/image.yml@refs/heads/master"],
      });
      const path = `${groups}/${String(made["id"])}`;
      assert.deepEqual(await bench.expect(200, "GET", path), made);
      assert.equal(made["default"], false);
      assert.deepEqual(bench.github.runnerGroups("acme")[1]?.repositories, ["webppt"]);
      await bench.expect(204, "PUT", `${path}/repositories`, {
        selected_repository_ids: [id("hello")],
      });
      await bench.expect(204, "PUT", `${path}/repositories/${id("webppt")}`);
      await bench.expect(204, "DELETE", `${path}/repositories/${id("hello")}`);
      const list = await bench.expect<{ repositories: { name: string }[] }>(
        200,
        "GET",
        `${path}/repositories?per_page=100`,
      );
      assert.deepEqual(
        list.repositories.map((one) => one.name),
        ["webppt"],
      );
      const changed = await bench.expect(200, "PATCH", path, {
        name: "arm",
        visibility: "all",
        restricted_to_workflows: false,
      });
      assert.deepEqual([changed["name"], changed["visibility"]], ["arm", "all"]);
      assert.deepEqual(await bench.expect(200, "GET", `${path}/repositories`), {
        total_count: 0,
        repositories: [],
      });
      await bench.expect(204, "PUT", `${path}/repositories`, { selected_repository_ids: [] });
      await bench.refuses(
        409,
        "The visibility of the runner group is not set to selected repositories",
        "PUT",
        `${path}/repositories`,
        { selected_repository_ids: [id("hello")] },
      );
      await bench.expect(204, "DELETE", path);
      await bench.refuses(404, "Not Found", "DELETE", path);
      await bench.refuses(404, "Not Found", "PATCH", path, { name: "x" });
    });

    it("have names of their own, and a default that stays", async () => {
      await group("arm64");
      await bench.refuses(
        409,
        "Already exists - A runner group with the name ARM64 already exists.",
        "POST",
        groups,
        { name: "ARM64" },
      );
      await bench.refuses(
        422,
        "The default runner group cannot be deleted.",
        "DELETE",
        `${groups}/1`,
      );
      await bench.refuses(
        422,
        "The default runner group cannot be renamed.",
        "PATCH",
        `${groups}/1`,
        {
          name: "x",
        },
      );
    });

    it("give their runners to Default when they go", async () => {
      const arm = await group("arm64");
      const runner = await online(bench, { runner_group: "ARM64" });
      assert.equal(runner.pool, "arm64");
      const members = async (of: number) =>
        (await bench.expect(200, "GET", `${groups}/${of}/runners`))["total_count"];
      assert.deepEqual([await members(arm), await members(1)], [1, 0]);
      await bench.expect(204, "DELETE", `${groups}/${arm}/runners/${runner.id}`);
      assert.deepEqual([await members(arm), await members(1)], [0, 1]);
      await bench.expect(204, "PUT", `${groups}/${arm}/runners/${runner.id}`);
      await bench.expect(204, "DELETE", `${groups}/${arm}`);
      assert.equal(bench.github.runners("acme")[0]?.group, "Default");
    });

    it("can be asked for by repository", async () => {
      await group("mine", { visibility: "selected", selected_repository_ids: [id("hello")] });
      const names = async (repository: string) =>
        (
          await bench.expect<{ runner_groups: { name: string }[] }>(
            200,
            "GET",
            `${groups}?visible_to_repository=${repository}`,
          )
        ).runner_groups.map((one) => one.name);
      assert.deepEqual(await names("hello"), ["Default", "mine"]);
      assert.deepEqual(await names("webppt"), ["Default"]);
      assert.deepEqual(await names("site"), []);
    });

    it("are not to be had on the Free plan", async () => {
      const [organization] = defaultSeed.organizations;
      assert.ok(organization);
      const free = await start({
        seed: { ...defaultSeed, organizations: [{ ...organization, plan: "free" }] },
      });
      await free.refuses(
        403,
        "Creating runner groups is available to organizations with GitHub Team or GitHub Enterprise.",
        "POST",
        groups,
        { name: "arm64" },
      );
      await end(free);
    });
  });

  it("counts what is left over", async () => {
    const clean = bench.github.leftovers("acme");
    assert.deepEqual(new Set(Object.values(clean)), new Set([0]));
    await group("arm64");
    await online(bench);
    await bench.expect(201, "POST", "/orgs/acme/actions/variables", {
      name: "A",
      value: "1",
      visibility: "all",
    });
    assert.deepEqual(bench.github.leftovers("acme"), {
      ...clean,
      runnerGroups: 1,
      runners: 1,
      organizationVariables: 1,
    });
  });
});
