import assert from "node:assert/strict";
import { Cloud } from "./client";

describe("hetzner networks", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud();
  });
  afterEach(async () => {
    await cloud.hetzner.reset();
    assert.deepEqual(cloud.traffic.surprises, []);
  });
  const act = (id: number, action: string, body: unknown) =>
    cloud.post(`/networks/${id}/actions/${action}`, body);
  const subnet = (ip_range?: string, fields: Record<string, unknown> = {}) => ({
    type: "cloud",
    network_zone: "eu-central",
    ...(ip_range === undefined ? {} : { ip_range }),
    ...fields,
  });

  it("creates, shows, updates and deletes", async () => {
    const { body, status } = await cloud.post("/networks", {
      name: "n",
      ip_range: "10.0.0.0/16",
      labels: { a: "b" },
      subnets: [subnet("10.0.1.0/24")],
      routes: [{ destination: "10.100.1.0/24", gateway: "10.0.1.2" }],
    });
    assert.equal(status, 201);
    const { id } = body.network;
    assert.deepEqual(body.network.subnets, [
      {
        type: "cloud",
        ip_range: "10.0.1.0/24",
        network_zone: "eu-central",
        gateway: "10.0.0.1",
      },
    ]);
    const updated = await cloud.put(`/networks/${id}`, {
      name: "m",
      labels: {},
      expose_routes_to_vswitch: true,
    });
    assert.deepEqual([updated.body.network.name, updated.body.network.labels], ["m", {}]);
    assert.deepEqual((await cloud.get("/networks?name=m")).body.networks.length, 1);
    assert.equal((await cloud.delete(`/networks/${id}`)).status, 204);
    await cloud.refused(cloud.get(`/networks/${id}`), 404, "not_found");
  });

  for (const [what, fields] of [
    ["no CIDR", { ip_range: "10.0.0.0" }],
    ["host bits", { ip_range: "10.0.0.1/16" }],
    ["a public range", { ip_range: "192.0.2.0/24" }],
    ["a range smaller than /24", { ip_range: "10.0.0.0/25" }],
    ["a subnet outside", { subnets: [subnet("10.1.0.0/24")] }],
    ["overlapping subnets", { subnets: [subnet("10.0.1.0/24"), subnet("10.0.1.128/25")] }],
    ["a subnet smaller than /30", { subnets: [subnet("10.0.1.0/31")] }],
    ["an unknown zone", { subnets: [subnet("10.0.1.0/24", { network_zone: "mars" })] }],
    ["a vSwitch", { subnets: [subnet("10.0.1.0/24", { type: "vswitch", vswitch_id: 1 })] }],
    ["a bad label", { labels: { "-": "" } }],
    ["an empty name", { name: "" }],
  ] as const)
    it(`refuses ${what}`, async () => {
      await cloud.refused(
        cloud.post("/networks", Object.assign({ name: "n", ip_range: "10.0.0.0/16" }, fields)),
        422,
        "invalid_input",
      );
    });

  it("refuses a taken name", async () => {
    await cloud.post("/networks", { name: "n", ip_range: "10.0.0.0/16" });
    await cloud.refused(
      cloud.post("/networks", { name: "n", ip_range: "10.1.0.0/16" }),
      409,
      "uniqueness_error",
    );
  });

  it("adds subnets, the first free /24 by default, and deletes unused ones", async () => {
    const id = await cloud.network("10.0.0.0/24");
    await cloud.done(act(id, "add_subnet", subnet()));
    await cloud.done(act(id, "add_subnet", subnet("10.0.8.0/21")));
    const read = async () =>
      (await cloud.get(`/networks/${id}`)).body.network.subnets.map((entry) => entry.ip_range);
    assert.deepEqual(await read(), ["10.0.0.0/24", "10.0.1.0/24", "10.0.8.0/21"]);
    await cloud.refused(act(id, "add_subnet", subnet("10.0.9.0/24")), 422, "invalid_input");

    const server = await cloud.server({ networks: [id] });
    const remove = (ip_range: string) => act(id, "delete_subnet", { ip_range });
    const error = await cloud.refused(remove("10.0.0.0/24"), 422, "service_error");
    assert.match(error.message, /servers are attached/);
    await cloud.refused(remove("10.0.7.0/24"), 422, "invalid_input");
    await cloud.done(remove("10.0.1.0/24"));
    await cloud.done(cloud.delete(`/servers/${server.id}`), 200);
    await cloud.done(remove("10.0.0.0/24"));
    assert.deepEqual(await read(), ["10.0.8.0/21"]);
  });

  it("answers conflict while another change is under way", async () => {
    const id = await cloud.network();
    cloud.hetzner.slowNextAction("add_subnet", 60_000);
    await act(id, "add_subnet", subnet("10.0.2.0/24"));
    const change = () => act(id, "add_subnet", subnet("10.0.3.0/24"));
    await cloud.refused(change(), 409, "conflict");
    await cloud.refused(cloud.delete(`/networks/${id}`), 409, "conflict");
    await cloud.refused(act(id, "change_protection", { delete: true }), 409, "conflict");
  });

  it("adds and deletes routes", async () => {
    const id = await cloud.network();
    const route = { destination: "0.0.0.0/0", gateway: "10.0.1.2" };
    await cloud.done(act(id, "add_route", route));
    assert.deepEqual((await cloud.get(`/networks/${id}`)).body.network.routes, [route]);
    for (const wrong of [
      route,
      { destination: "10.0.1.0/25", gateway: "10.0.1.2" },
      { destination: "192.0.2.0/24", gateway: "10.0.1.2" },
      { destination: "10.9.0.0/16", gateway: "10.1.0.2" },
      { destination: "10.9.0.0/16", gateway: "10.0.0.1" },
    ])
      await cloud.refused(act(id, "add_route", wrong), 422, "invalid_input");
    await cloud.done(act(id, "delete_route", route));
    await cloud.refused(act(id, "delete_route", route), 422, "invalid_input");
  });

  it("extends its range at the end only", async () => {
    const id = await cloud.network();
    const change = (ip_range: string) => act(id, "change_ip_range", { ip_range });
    for (const range of ["10.0.0.0/16", "10.0.0.0/17", "10.2.0.0/15"])
      await cloud.refused(change(range), 422, "invalid_input");
    await cloud.done(change("10.0.0.0/15"));
    assert.equal((await cloud.get(`/networks/${id}`)).body.network.ip_range, "10.0.0.0/15");
  });

  it("protects against deletion", async () => {
    const id = await cloud.network();
    await cloud.done(act(id, "change_protection", { delete: true }));
    await cloud.refused(cloud.delete(`/networks/${id}`), 423, "protected");
    await cloud.done(act(id, "change_protection", { delete: false }));
    assert.equal((await cloud.delete(`/networks/${id}`)).status, 204);
  });

  it("can be deleted when the host of a server could not be made", async () => {
    const id = await cloud.network();
    cloud.hosts.fail("create", "no space");
    const { body } = await cloud.post("/servers", {
      name: "a",
      server_type: "cax11",
      image: "debian-13",
      networks: [id],
    });
    await cloud.ended(body.action, ...body.next_actions);
    assert.equal((await cloud.delete(`/networks/${id}`)).status, 204);
  });

  it("detaches its servers when it is deleted", async () => {
    const id = await cloud.network();
    const server = await cloud.server({ networks: [id] });
    assert.equal((await cloud.delete(`/networks/${id}`)).status, 204);
    assert.deepEqual((await cloud.readServer(server.id)).private_net, []);
    assert.deepEqual(cloud.hosts.host(server.id).networks, []);
  });
});
