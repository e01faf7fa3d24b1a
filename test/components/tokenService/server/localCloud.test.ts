import assert from "node:assert/strict";
import { type Listening, listen } from "../../../../local-cloud/core/serve";
import { Traffic } from "../../../../local-cloud/core/traffic";
import { createGitHub, type GitHub } from "../../../../local-cloud/github";
import { configFor, type Running, start, type TokenServiceConfig } from "./support";

/** GitHub as the local cloud simulates it, at the address that a GitHub server of one's own has. */
describe("the token service against the local cloud's GitHub", () => {
  let traffic: Traffic;
  let github: GitHub;
  let served: Listening;
  let service: Running | undefined;
  let clock = 0;

  before(async () => {
    traffic = new Traffic();
    github = await createGitHub({ traffic, now: () => Date.now() + clock });
    served = await listen((request) => github.fetch(request));
  });
  afterEach(async () => {
    await service?.close();
    service = undefined;
    clock = 0;
    assert.deepEqual(traffic.takeSurprises(), [], "GitHub understood every request");
    traffic.reset();
    await github.reset();
  });
  after(async () => {
    await served.close();
    await github.close();
  });

  async function serviceAs(auth: TokenServiceConfig["auth"], now?: () => number): Promise<Running> {
    const config = configFor(`${served.url}/api/v3`, {
      github: { apiUrl: `${served.url}/api/v3`, timeoutMs: 5_000 },
      auth,
    });
    const allow = { ...config.allow, runnerGroupIds: [1, 99] };
    service = await start({ ...config, allow }, now === undefined ? {} : { now });
    return service;
  }

  /** What GitHub's runner program says to register with a token. */
  async function register(token: string, name: string, url = "https://github.com/acme") {
    const response = await fetch(`${served.url}/_runner/register`, {
      method: "POST",
      headers: { authorization: `RemoteAuth ${token}`, "content-type": "application/json" },
      body: JSON.stringify({
        url,
        token,
        name,
        labels: ["self-hosted", "Linux", "ARM64", "docker"],
        ephemeral: true,
        replace: false,
        disable_update: true,
        version: "2.338.0",
        os: "linux",
        architecture: "arm64",
      }),
    });
    return { status: response.status, text: await response.text() };
  }

  const jit = (name: string, group = 1) => ({
    method: "POST",
    body: { name, runner_group_id: group, labels: ["self-hosted", "Linux", "ARM64", "docker"] },
  });

  const credentials: Record<string, () => TokenServiceConfig["auth"]> = {
    "a classic token": () => ({ kind: "pat", token: github.tokens.admin }),
    "a fine-grained token": () => ({ kind: "pat", token: github.tokens.fineGrained }),
    "a GitHub App": () => ({
      kind: "app",
      appId: github.app.id,
      installationId: github.app.installationId,
      privateKey: github.app.privateKey,
    }),
  };

  for (const [what, credential] of Object.entries(credentials))
    describe(`with ${what}`, () => {
      it("registers a runner by a token in the protocol of knatnetwork's service", async () => {
        const { ask } = await serviceAs(credential());
        const { status, text } = await ask("/acme/registration-token");
        assert.equal(status, 200);
        assert.match(text, /^\S+$/);
        const registered = await register(text, "dev-a-1");
        assert.equal(registered.status, 201, registered.text);
        assert.deepEqual(
          github.runners("acme").map(({ name }) => name),
          ["dev-a-1"],
        );
        assert.equal((await ask("/acme/remove-token")).status, 200);
      });

      it("makes a runner just in time, takes it out of service and deletes it", async () => {
        const { ask } = await serviceAs(credential());
        const made = await ask("/orgs/acme/jitconfigs", jit("dev-a-1-abc123"));
        assert.equal(made.status, 201, made.text);
        assert.equal(typeof made.json().encoded_jit_config, "string");
        assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-1-abc123"))).status, 409);
        const [before] = github.runners("acme");
        assert.deepEqual(before?.labels, ["self-hosted", "Linux", "ARM64", "docker"]);

        const path = "/orgs/acme/runners/dev-a-1-abc123";
        assert.equal((await ask(`${path}/labels`, { method: "DELETE" })).status, 204);
        const [cordoned] = github.runners("acme");
        assert.deepEqual(cordoned?.labels, ["self-hosted", "Linux", "ARM64"]);

        for (let times = 0; times < 2; times += 1)
          assert.equal((await ask(path, { method: "DELETE" })).status, 204);
        assert.deepEqual(github.runners("acme"), []);
        assert.equal((await ask(`${path}/labels`, { method: "DELETE" })).status, 204);
      });

      it("passes on that a runner group is not known", async () => {
        const { ask } = await serviceAs(credential());
        const reply = await ask("/orgs/acme/jitconfigs", jit("dev-a-1", 99));
        assert.deepEqual([reply.status, reply.json().github], [502, 404]);
        assert.match(String(reply.json().message), /runner group with id 99/);
      });
    });

  it("serves a repository's runners", async () => {
    const { ask } = await serviceAs({ kind: "pat", token: github.tokens.admin });
    const { status, text } = await ask("/repo/acme/webppt/registration-token");
    assert.equal(status, 200);
    assert.equal((await register(text, "dev-a-1", "https://github.com/acme/webppt")).status, 201);
    assert.equal((await register(text, "dev-a-2", "https://github.com/acme/hello")).status, 404);
  });

  it("does not delete a runner that runs a job", async () => {
    const { ask } = await serviceAs({ kind: "pat", token: github.tokens.admin });
    const made = await ask("/orgs/acme/jitconfigs", jit("dev-a-1"));
    const encoded = String(made.json().encoded_jit_config);
    const { credential } = JSON.parse(Buffer.from(encoded, "base64").toString()) as {
      credential: string;
    };
    const authorization = `Bearer ${credential}`;
    const online = await fetch(`${served.url}/_runner/sessions`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ version: "2.338.0", os: "linux", architecture: "arm64" }),
    });
    assert.equal(online.status, 201, await online.clone().text());
    const { session_id: session } = (await online.json()) as { session_id: string };
    github.jobs.enqueue({ repository: "acme/webppt", name: "j", runsOn: ["docker"] });
    const message = await fetch(`${served.url}/_runner/messages?session=${session}`, {
      headers: { authorization },
    });
    assert.equal(message.status, 200);
    const reply = await ask("/orgs/acme/runners/dev-a-1", { method: "DELETE" });
    assert.equal(reply.status, 409, reply.text);
    assert.match(String(reply.json().message), /still running a job/);
    assert.equal(github.runners("acme").length, 1);
  });

  const refused: Record<string, [token: keyof GitHub["tokens"], status: number]> = {
    "an expired token": ["expired", 401],
    "a token without a scope": ["noScope", 403],
    "a token of a member": ["member", 403],
    "a token of somebody else": ["stranger", 404],
    "a token that may only read": ["readOnly", 403],
  };
  for (const [what, [name, status]] of Object.entries(refused))
    it(`says that GitHub refuses ${what}`, async () => {
      const { ask } = await serviceAs({ kind: "pat", token: github.tokens[name] });
      for (const reply of [
        await ask("/acme/registration-token"),
        await ask("/orgs/acme/jitconfigs", jit("dev-a-1")),
      ])
        assert.deepEqual([reply.status, reply.json().github], [502, status], reply.text);
    });

  it("renews the App's token when its hour is over", async () => {
    const { ask } = await serviceAs(credentials["a GitHub App"]!(), () => Date.now() + clock);
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-1"))).status, 201);
    clock += 2 * 3_600_000;
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-2"))).status, 201);
    const tokens = traffic.requests.filter(({ path }) => path.endsWith("/access_tokens"));
    assert.deepEqual(
      tokens.map(({ status }) => status),
      [201, 201],
    );
  });

  it("renews the App's token when GitHub has dropped it before its time", async () => {
    const { ask } = await serviceAs(credentials["a GitHub App"]!());
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-1"))).status, 201);
    await github.reset();
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-2"))).status, 201);
  });

  it("gets over a lost answer to a just-in-time configuration", async () => {
    traffic.addFault({
      side: "github",
      path: /generate-jitconfig$/,
      effect: { kind: "respond", status: 502, body: {} },
    });
    const { ask } = await serviceAs({ kind: "pat", token: github.tokens.admin });
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-1"))).status, 201);
    assert.equal(github.runners("acme").length, 1);
  });

  it("gets over dropped connections, and tells a limit", async () => {
    traffic.addFault({ side: "github", path: /-token$/, times: 2, effect: { kind: "drop" } });
    const { ask } = await serviceAs({ kind: "pat", token: github.tokens.admin });
    assert.equal((await ask("/acme/registration-token")).status, 200);
    github.setRateLimit({ limit: 1 });
    assert.equal((await ask("/orgs/acme/jitconfigs", jit("dev-a-1"))).status, 201);
    const limited = await ask("/orgs/acme/jitconfigs", jit("dev-a-2"));
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers["retry-after"]) > 60);
  });
});
