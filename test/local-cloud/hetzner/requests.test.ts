import assert from "node:assert/strict";
import { listen } from "../../../local-cloud/core/serve";
import { Cloud } from "./client";

const readOnlyToken = "read-only-".padEnd(64, "r");

describe("hetzner requests", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud({ readOnlyToken });
  });

  it("wants a bearer token", async () => {
    for (const token of ["", "wrong", cloud.hetzner.token.slice(1)])
      await cloud.refused(cloud.request("GET", "/servers", { token }), 401, "unauthorized");
    assert.equal(cloud.hetzner.token.length, 64);
    assert.throws(() => new Cloud({ token: "short" }), /64 characters/);
  });

  it("lets the read-only token only read", async () => {
    const token = readOnlyToken;
    assert.equal((await cloud.request("GET", "/servers", { token })).status, 200);
    for (const method of ["POST", "PUT", "DELETE"])
      await cloud.refused(cloud.request(method, "/networks", { token }), 403, "token_readonly");
  });

  it("answers rate limit headers and refuses when the bucket is empty", async () => {
    const { headers } = await cloud.get("/servers");
    assert.equal(headers.get("ratelimit-limit"), "3600");
    assert.equal(headers.get("ratelimit-remaining"), "3599");
    const reset = Number(headers.get("ratelimit-reset")) - Date.now() / 1000;
    assert.ok(reset > 0 && reset < 5, `resets in ${reset} s`);
    cloud.hetzner.setRemainingRequests(1);
    assert.equal((await cloud.get("/servers")).headers.get("ratelimit-remaining"), "0");
    await cloud.refused(cloud.get("/servers"), 429, "rate_limit_exceeded");
    await cloud.hetzner.reset();
    assert.equal((await cloud.get("/servers")).status, 200);
  });

  it("refills the bucket evenly over the hour", async () => {
    const fast = new Cloud({ requestsPerHour: 3_600_000 });
    fast.hetzner.setRemainingRequests(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { status, headers } = await fast.get("/servers");
    assert.equal(status, 200);
    assert.ok(Number(headers.get("ratelimit-remaining")) < 3_600_000);
  });

  it("notes unknown routes, fields and parameters as surprises", async () => {
    await cloud.refused(cloud.get("/floating_ips"), 501, "unknown_route");
    await cloud.refused(cloud.post("/servers/1/actions/request_console"), 501, "unknown_route");
    const error = await cloud.refused(
      cloud.post("/networks", { name: "n", ip_range: "10.0.0.0/16", zone: "eu-central" }),
      422,
      "invalid_input",
    );
    assert.deepEqual(error.details, {
      fields: [{ name: "zone", messages: ["unknown field"] }],
    });
    await cloud.refused(
      cloud.post("/servers", { name: "n", server_type: 1, image: 1, public_net: { ipv5: true } }),
      422,
      "invalid_input",
    );
    assert.equal((await cloud.get("/servers?colour=red")).status, 200);
    assert.deepEqual(cloud.traffic.takeSurprises(), [
      "hetzner: GET /v1/floating_ips: unknown route",
      "hetzner: POST /v1/servers/1/actions/request_console: unknown route",
      "hetzner: POST /v1/networks: unknown field 'zone'",
      "hetzner: POST /v1/servers: unknown field 'public_net.ipv5'",
      "hetzner: GET /v1/servers: unknown parameter 'colour'",
    ]);
  });

  it("names the fields that are wrong", async () => {
    const error = await cloud.refused(
      cloud.post("/networks", { ip_range: 7 }),
      422,
      "invalid_input",
    );
    const { fields } = error.details as { fields: { name: string; messages: string[] }[] };
    assert.deepEqual(fields.map((field) => field.name).sort(), ["ip_range", "name"]);
    assert.ok(fields.every((field) => field.messages.length === 1));
    assert.deepEqual(cloud.traffic.surprises, []);
  });

  it("refuses a body that is not JSON", async () => {
    await cloud.refused(cloud.request("POST", "/networks", { body: "{" }), 400, "json_error");
    await cloud.refused(cloud.request("POST", "/networks", { body: "[]" }), 422, "invalid_input");
  });

  it("logs requests below the root, with body and status", async () => {
    await cloud.post("/placement_groups", { name: "g", type: "spread" });
    const [request] = cloud.traffic.requests;
    assert.equal(request?.path, "/placement_groups");
    assert.deepEqual(request?.body, { name: "g", type: "spread" });
    assert.equal(request?.status, 201);
  });

  it("takes faults from the script", async () => {
    cloud.traffic.addFault({
      side: "hetzner",
      method: "POST",
      path: /^\/placement_groups$/,
      effect: {
        kind: "respond",
        status: 409,
        body: { error: { code: "conflict", message: "please retry" } },
      },
    });
    const make = () => cloud.post("/placement_groups", { name: "g", type: "spread" });
    await cloud.refused(make(), 409, "conflict");
    assert.equal((await make()).status, 201);
  });

  it("pages, with meta and Link", async () => {
    for (let index = 0; index < 5; index++)
      await cloud.post("/placement_groups", { name: `g${index}`, type: "spread" });
    const { headers, body } = await cloud.get("/placement_groups?page=2&per_page=2");
    assert.deepEqual(
      body.placement_groups.map((group) => group.name),
      ["g2", "g3"],
    );
    assert.deepEqual(body.meta.pagination, {
      page: 2,
      per_page: 2,
      previous_page: 1,
      next_page: 3,
      last_page: 3,
      total_entries: 5,
    });
    const links = headers.get("link") ?? "";
    assert.match(
      links,
      /<http:\/\/localhost\/v1\/placement_groups\?page=1&per_page=2>; rel="prev"/,
    );
    assert.match(links, /page=3&per_page=2>; rel="next"/);
    assert.match(links, /page=3&per_page=2>; rel="last"/);
    assert.equal((await cloud.get("/placement_groups")).body.meta.pagination.per_page, 25);
    const most = await cloud.get("/placement_groups?per_page=100");
    assert.equal(most.body.meta.pagination.per_page, 50);
    const beyond = await cloud.get("/placement_groups?page=9");
    assert.deepEqual(
      [beyond.body.placement_groups, beyond.body.meta.pagination.next_page],
      [[], null],
    );
    for (const query of ["page=0", "page=x", "per_page=-1"])
      await cloud.refused(cloud.get(`/placement_groups?${query}`), 422, "invalid_input");
  });

  it("sorts, filters by name and by label selector", async () => {
    const make = (name: string, labels: Record<string, string>) =>
      cloud.post("/placement_groups", { name, type: "spread", labels });
    await make("b", { env: "prod" });
    await make("c", { env: "test" });
    await make("a", {});
    const names = async (query: string) =>
      (await cloud.get(`/placement_groups?${query}`)).body.placement_groups.map(({ name }) => name);
    assert.deepEqual(await names("sort=name"), ["a", "b", "c"]);
    assert.deepEqual(await names("sort=name:desc"), ["c", "b", "a"]);
    assert.deepEqual(
      await names("sort=created&sort=id:desc&per_page=1"),
      await names("sort=created:asc&sort=id:desc&per_page=1"),
    );
    assert.deepEqual(await names("name=c"), ["c"]);
    assert.deepEqual(await names("type=spread&label_selector=env"), ["b", "c"]);
    assert.deepEqual(await names(`label_selector=${encodeURIComponent("env notin (prod)")}`), [
      "c",
      "a",
    ]);
    await cloud.refused(cloud.get("/placement_groups?sort=colour"), 422, "invalid_input");
    await cloud.refused(
      cloud.get(`/placement_groups?label_selector=${encodeURIComponent("a==b==c")}`),
      422,
      "invalid_input",
    );
  });

  it("resets to nothing, hosts included, whatever is under way", async () => {
    cloud.hetzner.setStock("cax11", "nbg1", false);
    await cloud.server({ location: "fsn1" });
    cloud.hetzner.slowNextAction("start_server", 60_000);
    await cloud.post("/servers", { name: "slow", server_type: "cax11", image: "debian-13" });
    await cloud.network();
    await cloud.hetzner.reset();
    assert.deepEqual(cloud.hetzner.leftovers(), {
      servers: 0,
      networks: 0,
      firewalls: 0,
      placement_groups: 0,
      ssh_keys: 0,
      primary_ips: 0,
      volumes: 0,
    });
    assert.equal(cloud.hosts.hosts.size, 0);
    assert.equal(cloud.hosts.addresses.size, 0);
    await cloud.server();
  });

  it("serves over HTTP, and drops the connection when told to", async () => {
    const listening = await listen((request) => cloud.hetzner.fetch(request));
    try {
      const headers = { authorization: `Bearer ${cloud.hetzner.token}` };
      const url = `${listening.url}/v1/locations`;
      const response = await fetch(url, { headers });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("ratelimit-limit"), "3600");
      await response.text();
      cloud.traffic.addFault({ side: "hetzner", effect: { kind: "drop" } });
      await assert.rejects(fetch(url, { headers }));
    } finally {
      await listening.close();
    }
  });
});
