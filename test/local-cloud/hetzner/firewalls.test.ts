import assert from "node:assert/strict";
import { Cloud } from "./client";

const ssh = { direction: "in", protocol: "tcp", port: "22", source_ips: ["192.0.2.0/24"] };

describe("hetzner firewalls", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud();
  });
  afterEach(async () => {
    await cloud.hetzner.reset();
    assert.deepEqual(cloud.traffic.surprises, []);
  });
  const act = (id: number, action: string, body: unknown) =>
    cloud.post(`/firewalls/${id}/actions/${action}`, body);
  const onServer = (id: number) => ({ type: "server", server: { id } });
  const bySelector = (selector: string) => ({
    type: "label_selector",
    label_selector: { selector },
  });
  const firewall = async (fields: Record<string, unknown> = {}) =>
    (await cloud.done(cloud.post("/firewalls", { name: "f", ...fields }))).firewall.id;
  const read = async (id: number) => (await cloud.get(`/firewalls/${id}`)).body.firewall;

  it("creates with rules and servers, shows, updates and deletes", async () => {
    const server = await cloud.server();
    const { body } = await cloud.post("/firewalls", {
      name: "f",
      labels: { a: "b" },
      rules: [ssh],
      apply_to: [onServer(server.id)],
    });
    assert.deepEqual(
      body.actions.map((action) => action.command),
      ["set_firewall_rules", "apply_firewall"],
    );
    await cloud.ended(...body.actions);
    const { id } = body.firewall;
    assert.deepEqual((await read(id)).rules, [{ ...ssh, destination_ips: [], description: null }]);
    assert.deepEqual((await read(id)).applied_to, [onServer(server.id)]);
    const updated = await cloud.put(`/firewalls/${id}`, { name: "g", labels: {} });
    assert.deepEqual([updated.body.firewall.name, updated.body.firewall.labels], ["g", {}]);
    await cloud.refused(cloud.delete(`/firewalls/${id}`), 422, "resource_in_use");
    await cloud.done(act(id, "remove_from_resources", { remove_from: [onServer(server.id)] }));
    assert.equal((await cloud.delete(`/firewalls/${id}`)).status, 204);
    await cloud.refused(cloud.get(`/firewalls/${id}`), 404, "not_found");
  });

  for (const [what, rule] of [
    ["no port for tcp", { ...ssh, port: undefined }],
    ["a port for icmp", { ...ssh, protocol: "icmp" }],
    ["port 0", { ...ssh, port: "0" }],
    ["a reversed port range", { ...ssh, port: "90-80" }],
    ["a port above 65535", { ...ssh, port: "65536" }],
    ["no sources for incoming", { ...ssh, source_ips: [] }],
    ["destinations for incoming", { ...ssh, destination_ips: ["192.0.2.0/24"] }],
    ["sources for outgoing", { ...ssh, direction: "out" }],
    ["host bits in IPv4", { ...ssh, source_ips: ["192.0.2.1/24"] }],
    ["host bits in IPv6", { ...ssh, source_ips: ["2001:db8::1/64"] }],
    ["an address without prefix", { ...ssh, source_ips: ["192.0.2.1"] }],
    ["an unknown protocol", { ...ssh, protocol: "sctp" }],
    ["a description that is too long", { ...ssh, description: "x".repeat(256) }],
  ] as const)
    it(`refuses a rule with ${what}`, async () => {
      const create = cloud.post("/firewalls", { name: "f", rules: [rule] });
      await cloud.refused(create, 422, "invalid_input");
      assert.equal(cloud.hetzner.leftovers().firewalls, 0);
    });

  it("accepts port ranges, any port, IPv6 and protocols without ports", async () => {
    const id = await firewall();
    const sources = ["0.0.0.0/0", "::/0", "2001:db8::/32", "::ffff:192.0.2.0/120"];
    await cloud.done(
      act(id, "set_rules", {
        rules: [
          { ...ssh, port: "80-85", source_ips: sources },
          { ...ssh, port: "any" },
          { direction: "in", protocol: "icmp", source_ips: sources },
          { direction: "out", protocol: "gre", destination_ips: sources, description: "d" },
        ],
      }),
    );
    assert.equal((await read(id)).rules.length, 4);
    await cloud.done(act(id, "set_rules", { rules: [] }));
    assert.deepEqual((await read(id)).rules, []);
    const many = Array.from({ length: 51 }, () => ssh);
    await cloud.refused(act(id, "set_rules", { rules: many }), 422, "invalid_input");
  });

  it("refuses a taken or too long name", async () => {
    await firewall();
    await cloud.refused(cloud.post("/firewalls", { name: "f" }), 409, "uniqueness_error");
    const long = "f".repeat(129);
    await cloud.refused(cloud.post("/firewalls", { name: long }), 422, "invalid_input");
  });

  it("applies to servers, pending until the action has ended", async () => {
    const id = await firewall();
    const server = await cloud.server();
    const apply = (...apply_to: unknown[]) => act(id, "apply_to_resources", { apply_to });
    const status = async (id: number) => (await cloud.readServer(id)).public_net.firewalls;
    cloud.hetzner.slowNextAction("apply_firewall", 60_000);
    const waiting = await cloud.server();
    await apply(onServer(waiting.id));
    assert.deepEqual(await status(waiting.id), [{ id, status: "pending" }]);
    await cloud.done(apply(onServer(server.id)));
    assert.deepEqual(await status(server.id), [{ id, status: "applied" }]);
    const again = apply(onServer(server.id));
    await cloud.refused(again, 422, "firewall_already_applied");
    await cloud.refused(apply(onServer(1)), 404, "firewall_resource_not_found");
    await cloud.refused(apply(), 422, "invalid_input");
    await cloud.refused(apply({ type: "server" }), 422, "invalid_input");
    const other = onServer((await cloud.server()).id);
    await cloud.refused(apply(other, other), 422, "server_already_added");
    const missing = { name: "g", apply_to: [onServer(1)] };
    await cloud.refused(cloud.post("/firewalls", missing), 422, "firewall_resource_not_found");
  });

  it("refuses a server without a public interface", async () => {
    const id = await firewall();
    const { body } = await cloud.post("/servers", {
      name: "private",
      server_type: "cax11",
      image: "debian-13",
      networks: [await cloud.network()],
      public_net: { enable_ipv4: false, enable_ipv6: false },
    });
    await cloud.refused(
      act(id, "apply_to_resources", { apply_to: [onServer(body.server.id)] }),
      422,
      "private_net_only_server",
    );
  });

  it("follows a label selector", async () => {
    const id = await firewall({ apply_to: [bySelector("role=runner")] });
    const server = await cloud.server({ labels: { role: "runner" } });
    const other = await cloud.server();
    const means = async () =>
      (await read(id)).applied_to[0]?.applied_to_resources?.map((entry) => entry.server.id);
    assert.deepEqual(await means(), [server.id]);
    await cloud.put(`/servers/${other.id}`, { labels: { role: "runner" } });
    assert.deepEqual(await means(), [server.id, other.id]);
    assert.deepEqual((await cloud.readServer(other.id)).public_net.firewalls, [
      { id, status: "applied" },
    ]);
    const remove = (target: unknown) => act(id, "remove_from_resources", { remove_from: [target] });
    const byHand = remove(onServer(server.id));
    await cloud.refused(byHand, 422, "firewall_managed_by_label_selector");
    await cloud.refused(remove(onServer(1)), 404, "firewall_resource_not_found");
    await cloud.done(remove(bySelector("role=runner")));
    assert.deepEqual((await read(id)).applied_to, []);
    const broken = { apply_to: [bySelector("a=b=c")] };
    await cloud.refused(act(id, "apply_to_resources", broken), 422, "invalid_input");
  });

  it("refuses a sixth firewall on a server", async () => {
    const server = await cloud.server();
    const apply_to = [onServer(server.id)];
    for (let index = 0; index < 5; index++) await firewall({ name: `f${index}`, apply_to });
    const sixth = cloud.post("/firewalls", { name: "f6", apply_to });
    await cloud.refused(sixth, 403, "resource_limit_exceeded");
  });
});
