import assert from "node:assert/strict";
import { Cloud, publicKeyLine } from "./client";

const valid = { name: "a", server_type: "cax11", image: "debian-13", location: "nbg1" };

describe("hetzner servers", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud();
  });
  afterEach(async () => {
    await cloud.hetzner.reset();
    assert.deepEqual(cloud.traffic.surprises, []);
  });

  it("creates, starts, shows and deletes a server on a host", async () => {
    const key = (await cloud.post("/ssh_keys", { name: "k", public_key: publicKeyLine() })).body;
    const answer = await cloud.post("/servers", {
      ...valid,
      ssh_keys: ["k"],
      user_data: "#cloud-config\n",
      labels: { role: "runner" },
    });
    assert.equal(answer.status, 201);
    assert.equal(answer.body.action.command, "create_server");
    assert.equal(answer.body.server.status, "initializing");
    assert.equal(answer.body.server.locked, true);
    assert.equal(answer.body.root_password, null);
    assert.deepEqual(
      answer.body.next_actions.map((action) => action.command),
      ["start_server"],
    );
    await cloud.ended(answer.body.action, ...answer.body.next_actions);

    const server = await cloud.readServer(answer.body.server.id);
    assert.equal(server.status, "running");
    assert.equal(server.locked, false);
    assert.match(server.public_net.ipv6?.ip ?? "", /::\/64$/);
    assert.equal(server.image.architecture, "arm");
    assert.deepEqual(cloud.hosts.host(server.id).spec, {
      id: server.id,
      name: "a",
      ipv4: server.public_net.ipv4?.ip,
      userData: "#cloud-config\n",
      publicKeys: [key.ssh_key.public_key],
      location: "nbg1",
      cores: 2,
      memoryGb: 4,
    });

    await cloud.done(cloud.delete(`/servers/${server.id}`), 200);
    await cloud.refused(cloud.get(`/servers/${server.id}`), 404, "not_found");
    assert.equal(cloud.hosts.hosts.size, 0);
    assert.equal(cloud.hosts.addresses.size, 0);
    assert.equal(cloud.hetzner.leftovers().primary_ips, 0);
  });

  it("gives a root password without SSH keys, and does not start when not asked to", async () => {
    const body = await cloud.done(
      cloud.post("/servers", { ...valid, start_after_create: false, location: undefined }),
    );
    assert.match(body.root_password ?? "", /.{16,}/);
    const server = await cloud.readServer(body.server.id);
    assert.equal(server.status, "off");
    assert.equal(server.location.name, "fsn1");
  });

  it("creates with network, firewall, placement group, volume and kept address", async () => {
    const network = await cloud.network();
    const firewall = (await cloud.post("/firewalls", { name: "f" })).body.firewall.id;
    const group = (await cloud.post("/placement_groups", { name: "g", type: "spread" })).body
      .placement_group.id;
    const volume = (
      await cloud.done(cloud.post("/volumes", { name: "v", size: 10, location: "nbg1" }))
    ).volume.id;
    const ip = (await cloud.post("/primary_ips", { name: "i", type: "ipv4", location: "nbg1" }))
      .body.primary_ip;
    const server = await cloud.server({
      networks: [network],
      firewalls: [{ firewall }],
      placement_group: group,
      volumes: [volume],
      public_net: { enable_ipv4: true, enable_ipv6: false, ipv4: ip.id },
    });
    assert.equal(server.public_net.ipv4?.ip, ip.ip);
    assert.equal(server.public_net.ipv6, null);
    assert.deepEqual(server.public_net.firewalls, [{ id: firewall, status: "applied" }]);
    assert.deepEqual(server.volumes, [volume]);
    assert.equal(server.placement_group?.id, group);
    assert.deepEqual(
      server.private_net.map(({ network, ip }) => ({ network, ip })),
      [{ network, ip: "10.0.1.1" }],
    );
    const [attachment] = cloud.hosts.host(server.id).networks;
    assert.equal(attachment?.ipRange, "10.0.0.0/16");
    assert.equal(attachment?.macAddress, server.private_net[0]?.mac_address);

    await cloud.done(cloud.delete(`/servers/${server.id}`), 200);
    const kept = (await cloud.get(`/primary_ips/${ip.id}`)).body.primary_ip;
    assert.deepEqual([kept.assignee_id, kept.assignee_type], [null, "unassigned"]);
    assert.equal((await cloud.get(`/volumes/${volume}`)).body.volume.server, null);
    assert.deepEqual((await cloud.get(`/firewalls/${firewall}`)).body.firewall.applied_to, []);
  });

  const refusals: [string, Record<string, unknown>, number, string, RegExp?][] = [
    ["an underscore in the name", { name: "a_b" }, 422, "invalid_input", /hostname/],
    ["a name that ends in a dash", { name: "a-" }, 422, "invalid_input"],
    ["no name", { name: undefined }, 422, "invalid_input"],
    ["an unknown server type", { server_type: "cax99" }, 422, "invalid_input"],
    ["an unknown image", { image: "debian-99" }, 422, "invalid_input"],
    [
      "an x86 image on arm",
      { image: 114690387 },
      422,
      "invalid_input",
      /^image has incompatible architecture$/,
    ],
    ["an unknown location", { location: "par1" }, 422, "invalid_input", /'par1' not found/],
    [
      "a location without the type",
      { location: "ash" },
      422,
      "invalid_input",
      /^unsupported location for server type$/,
    ],
    ["an unknown SSH key", { ssh_keys: ["none"] }, 404, "not_found"],
    ["user data over 32 KiB", { user_data: "é".repeat(16385) }, 422, "invalid_input"],
    ["an unknown network", { networks: [1] }, 404, "not_found"],
    ["an unknown firewall", { firewalls: [{ firewall: 1 }] }, 404, "not_found"],
    ["an unknown placement group", { placement_group: 1 }, 404, "not_found"],
    ["an unknown volume", { volumes: [1] }, 404, "not_found"],
    ["an unknown primary IP", { public_net: { ipv4: 1 } }, 404, "not_found"],
    [
      "no interface at all",
      { public_net: { enable_ipv4: false, enable_ipv6: false } },
      422,
      "invalid_input",
    ],
    ["a bad label", { labels: { "a b": "c" } }, 422, "invalid_input"],
    ["a name as placement group", { placement_group: "g" }, 422, "invalid_input"],
  ];
  for (const [what, fields, status, code, message] of refusals)
    it(`refuses ${what}`, async () => {
      const error = await cloud.refused(
        cloud.post("/servers", { ...valid, ...fields }),
        status,
        code,
      );
      if (message) assert.match(error.message, message);
      assert.deepEqual(
        Object.values(cloud.hetzner.leftovers()).filter((count) => count > 0),
        [],
      );
      assert.equal(cloud.hosts.addresses.size, 0);
    });

  it("accepts user data of exactly 32 KiB", async () => {
    const server = await cloud.server({ user_data: "a".repeat(32768) });
    assert.equal(cloud.hosts.host(server.id).spec.userData.length, 32768);
  });

  it("refuses a taken name, on create and on rename", async () => {
    await cloud.server({ name: "a" });
    const other = await cloud.server({ name: "b" });
    await cloud.refused(cloud.post("/servers", valid), 409, "uniqueness_error");
    await cloud.refused(cloud.put(`/servers/${other.id}`, { name: "a" }), 409, "uniqueness_error");
  });

  it("refuses what is out of stock, and says so in the server type", async () => {
    cloud.hetzner.setStock("cax11", "nbg1", false);
    const error = await cloud.refused(cloud.post("/servers", valid), 412, "resource_unavailable");
    assert.equal(error.message, "error during placement");
    const [type] = (await cloud.get("/server_types?name=cax11")).body.server_types;
    assert.deepEqual(
      type?.locations.map(({ name, available }) => [name, available]),
      [
        ["fsn1", true],
        ["nbg1", false],
        ["hel1", true],
      ],
    );
    await cloud.server({ location: "hel1" });
    cloud.hetzner.setStock("cax11", "nbg1", true);
    await cloud.server();
    assert.throws(() => cloud.hetzner.setStock("cax11", "ash", false), /not offered in ash/);
  });

  it("refuses more servers than the limit", async () => {
    cloud.hetzner.setLimit("servers", 1);
    await cloud.server();
    await cloud.refused(cloud.post("/servers", valid), 403, "resource_limit_exceeded");
  });

  it("refuses the eleventh server of a placement group", async () => {
    const group = (await cloud.post("/placement_groups", { name: "g", type: "spread" })).body
      .placement_group.id;
    for (let index = 0; index < 10; index++) await cloud.server({ placement_group: group });
    await cloud.refused(
      cloud.post("/servers", { ...valid, placement_group: group }),
      422,
      "placement_group_member_limit_reached",
    );
  });

  it("refuses primary IPs of the wrong kind, place or owner", async () => {
    const make = async (name: string, type: string, location: string) =>
      (await cloud.post("/primary_ips", { name, type, location })).body.primary_ip.id;
    const [v6, elsewhere, used] = [
      await make("a", "ipv6", "nbg1"),
      await make("b", "ipv4", "fsn1"),
      await make("c", "ipv4", "nbg1"),
    ];
    await cloud.server({ public_net: { ipv4: used } });
    const create = (ipv4: number) => cloud.post("/servers", { ...valid, public_net: { ipv4 } });
    await cloud.refused(create(v6), 412, "primary_ip_version_mismatch");
    await cloud.refused(create(elsewhere), 422, "primary_ip_datacenter_mismatch");
    await cloud.refused(create(used), 422, "primary_ip_assigned");
  });

  it("updates name and labels", async () => {
    const server = await cloud.server();
    const { body } = await cloud.put(`/servers/${server.id}`, { name: "n", labels: { a: "b" } });
    assert.deepEqual([body.server.name, body.server.labels], ["n", { a: "b" }]);
    await cloud.refused(cloud.put(`/servers/${server.id}`, { name: "N_" }), 422, "invalid_input");
  });

  it("switches power through the host", async () => {
    const server = await cloud.server();
    const calls = async (action: string) => {
      cloud.hosts.calls.length = 0;
      const { action: record } = await cloud.done(cloud.act(server, action));
      return [
        record.command,
        ...cloud.hosts.calls.map((call) => call.replace(` ${server.id}`, "")),
        (await cloud.readServer(server.id)).status,
      ];
    };
    assert.deepEqual(await calls("poweron"), ["start_server", "running"]);
    assert.deepEqual(await calls("reboot"), ["reboot_server", "reboot", "running"]);
    assert.deepEqual(await calls("reset"), ["reset_server", "powerOff", "powerOn", "running"]);
    assert.deepEqual(await calls("poweroff"), ["stop_server", "powerOff", "off"]);
    assert.deepEqual(await calls("poweroff"), ["stop_server", "off"]);
    assert.deepEqual(await calls("poweron"), ["start_server", "powerOn", "running"]);
  });

  it("ends a shutdown action before the system is off, and survives one that is ignored", async () => {
    const server = await cloud.server();
    cloud.hosts.ignoresShutdown = true;
    await cloud.done(cloud.act(server, "shutdown"));
    assert.equal((await cloud.readServer(server.id)).status, "running");
    // The power can be cut while a system takes its time.
    await cloud.done(cloud.act(server, "poweroff"));
    await cloud.reaches(server.id, "off");
    await cloud.done(cloud.act(server, "poweron"));
    cloud.hosts.ignoresShutdown = false;
    await cloud.done(cloud.act(server, "shutdown"));
    await cloud.reaches(server.id, "off");
  });

  it("takes new labels in place", async () => {
    const server = await cloud.server({ labels: { config: "a1" } });
    const updated = await cloud.put(`/servers/${server.id}`, {
      labels: { config: "b2", pool: "x" },
    });
    assert.deepEqual(updated.body.server.labels, { config: "b2", pool: "x" });
    assert.deepEqual((await cloud.readServer(server.id)).labels, { config: "b2", pool: "x" });
  });

  it("notices a system that has shut down by itself", async () => {
    const server = await cloud.server();
    cloud.hosts.host(server.id).status = "off";
    assert.equal((await cloud.readServer(server.id)).status, "off");
  });

  it("goes on calling a dead host running until its power is cut", async () => {
    const server = await cloud.server({ name: "victim" });
    await cloud.hetzner.killHost("victim");
    assert.equal(cloud.hosts.host(server.id).dead, true);
    assert.equal((await cloud.readServer(server.id)).status, "running");
    await cloud.done(cloud.act(server, "reset"));
    assert.equal(cloud.hosts.host(server.id).dead, false);
    await assert.rejects(cloud.hetzner.killHost("nobody"), /no server is named nobody/);
  });

  it("changes the type of a stopped server and starts it", async () => {
    const server = await cloud.server();
    const change = (server_type: string, upgrade_disk = false) =>
      cloud.act(server, "change_type", { server_type, upgrade_disk });
    await cloud.refused(change("cax21"), 422, "server_not_stopped");
    await cloud.done(cloud.act(server, "poweroff"));
    await cloud.refused(change("cpx22"), 422, "invalid_server_type");
    await cloud.refused(change("cax11"), 422, "invalid_server_type");
    await cloud.refused(change("cax99"), 422, "invalid_input");
    cloud.hetzner.setStock("cax21", "nbg1", false);
    await cloud.refused(change("cax21"), 412, "resource_unavailable");
    cloud.hetzner.setStock("cax21", "nbg1", true);

    const { action } = await cloud.done(change("cax21"));
    assert.equal(action.command, "change_server_type");
    assert.ok(cloud.hosts.calls.includes(`resize 4x8 ${server.id}`));
    const kept = await cloud.readServer(server.id);
    assert.deepEqual(
      [kept.server_type.name, kept.primary_disk_size, kept.status],
      ["cax21", 40, "running"],
    );
    await cloud.done(cloud.act(server, "poweroff"));
    await cloud.done(change("cax31", true));
    assert.equal((await cloud.readServer(server.id)).primary_disk_size, 160);
    await cloud.done(cloud.act(server, "poweroff"));
    await cloud.refused(change("cax21"), 422, "invalid_server_type");
  });

  it("rebuilds with the same or with new user data", async () => {
    const server = await cloud.server({ user_data: "one", networks: [await cloud.network()] });
    await cloud.done(cloud.act(server, "rebuild", { image: "debian-12" }));
    assert.ok(cloud.hosts.calls.includes(`rebuild ${server.id}`));
    await cloud.done(cloud.act(server, "rebuild", { image: "debian-13", user_data: "two" }));
    const host = cloud.hosts.host(server.id);
    assert.deepEqual(
      [host.spec.userData, host.status, host.networks.length],
      ["two", "running", 1],
    );
    await cloud.refused(
      cloud.act(server, "rebuild", { image: "debian-13", user_data: "a".repeat(32769) }),
      422,
      "invalid_input",
    );
    await cloud.refused(cloud.act(server, "rebuild", { image: 114690387 }), 422, "invalid_input");
  });

  it("protects against deletion and rebuild", async () => {
    const server = await cloud.server();
    const protect = (body: unknown) => cloud.act(server, "change_protection", body);
    await cloud.refused(protect({ delete: true }), 422, "invalid_input");
    const { action } = await cloud.done(protect({ delete: true, rebuild: true }));
    assert.equal(action.status, "success");
    await cloud.refused(cloud.delete(`/servers/${server.id}`), 423, "protected");
    await cloud.refused(cloud.act(server, "rebuild", { image: "debian-13" }), 423, "protected");
    await cloud.done(protect({ delete: false, rebuild: false }));
    await cloud.done(cloud.delete(`/servers/${server.id}`), 200);
  });

  it("sets backups, rescue and reverse DNS", async () => {
    const server = await cloud.server();
    const read = () => cloud.readServer(server.id);
    await cloud.done(cloud.act(server, "enable_backup"));
    assert.equal((await read()).backup_window, "22-02");
    await cloud.done(cloud.act(server, "disable_backup"));
    assert.equal((await read()).backup_window, null);
    assert.ok(
      (await cloud.done(cloud.act(server, "enable_rescue", { type: "linux64" }))).root_password,
    );
    assert.equal((await read()).rescue_enabled, true);
    const [ended] = await cloud.ended((await cloud.act(server, "reboot")).body.action);
    assert.match(ended?.error?.message ?? "", /rescue/);
    await cloud.done(cloud.act(server, "disable_rescue"));
    const ip = server.public_net.ipv4?.ip;
    assert.match(server.public_net.ipv4?.dns_ptr ?? "", /^static\./);
    await cloud.done(cloud.act(server, "change_dns_ptr", { ip, dns_ptr: "a.example.com" }));
    assert.equal((await read()).public_net.ipv4?.dns_ptr, "a.example.com");
    await cloud.done(cloud.act(server, "change_dns_ptr", { ip, dns_ptr: null }));
    assert.match((await read()).public_net.ipv4?.dns_ptr ?? "", /^static\./);
    const foreign = { ip: "192.0.2.1", dns_ptr: "a.example.com" };
    await cloud.refused(cloud.act(server, "change_dns_ptr", foreign), 422, "invalid_input");
  });

  it("knows no ISO", async () => {
    const server = await cloud.server();
    await cloud.refused(cloud.act(server, "attach_iso", { iso: "x" }), 404, "not_found");
    assert.equal((await cloud.done(cloud.act(server, "detach_iso"))).action.status, "success");
    assert.deepEqual((await cloud.get("/isos")).body.isos, []);
  });

  it("moves stopped servers in and out of placement groups", async () => {
    const make = async (name: string) =>
      (await cloud.post("/placement_groups", { name, type: "spread" })).body.placement_group.id;
    const [first, second] = [await make("one"), await make("two")];
    const server = await cloud.server({ placement_group: first });
    const add = () => cloud.act(server, "add_to_placement_group", { placement_group: second });
    await cloud.refused(add(), 422, "server_not_stopped");
    await cloud.done(cloud.act(server, "remove_from_placement_group"));
    await cloud.refused(cloud.act(server, "remove_from_placement_group"), 422, "invalid_input");
    await cloud.done(cloud.act(server, "poweroff"));
    await cloud.done(add());
    assert.deepEqual(
      (await cloud.get(`/placement_groups/${second}`)).body.placement_group.servers,
      [server.id],
    );
    await cloud.refused(add(), 422, "server_already_added");
  });

  it("attaches to networks, changes aliases, detaches", async () => {
    const network = await cloud.network();
    const [one, two] = [await cloud.server(), await cloud.server()];
    const attach = (server: typeof one, body: Record<string, unknown> = {}) =>
      cloud.act(server, "attach_to_network", { network, ...body });
    await cloud.done(attach(one, { ip: "10.0.1.7", alias_ips: ["10.0.1.8"] }));
    await cloud.refused(attach(one), 422, "server_already_attached");
    for (const ip of ["10.0.1.7", "10.0.1.8", "10.0.1.0", "10.0.1.255", "10.0.2.1", "x"])
      await cloud.refused(attach(two, { ip }), 422, "ip_not_available");
    await cloud.refused(attach(two, { alias_ips: ["10.0.1.7"] }), 422, "ip_not_available");
    await cloud.refused(attach(two, { ip_range: "10.0.9.0/24" }), 422, "no_subnet_available");
    await cloud.done(attach(two));
    const attachment = (await cloud.readServer(two.id)).private_net[0];
    assert.equal(attachment?.ip, "10.0.1.1");
    // Of the address, so that neighbours find whoever has it next.
    assert.equal(attachment?.mac_address, "86:00:0a:00:01:01");
    assert.deepEqual((await cloud.get(`/networks/${network}`)).body.network.servers, [
      one.id,
      two.id,
    ]);

    const alias = (alias_ips: string[]) =>
      cloud.act(two, "change_alias_ips", { network, alias_ips });
    await cloud.refused(alias(["10.0.1.8"]), 422, "ip_not_available");
    await cloud.done(alias(["10.0.1.9"]));
    assert.deepEqual((await cloud.readServer(two.id)).private_net[0]?.alias_ips, ["10.0.1.9"]);

    await cloud.done(cloud.act(two, "detach_from_network", { network }));
    assert.deepEqual((await cloud.readServer(two.id)).private_net, []);
    assert.deepEqual(cloud.hosts.host(two.id).networks, []);
    await cloud.refused(cloud.act(two, "detach_from_network", { network }), 422, "invalid_input");
    await cloud.refused(attach(two, { network: 1 }), 404, "not_found");
  });

  it("reserves the network's first address, and refuses a full subnet, another zone and an overlap", async () => {
    const network = await cloud.network("10.0.0.0/30");
    const attach = (server: { id: number }, id = network) =>
      cloud.post(`/servers/${server.id}/actions/attach_to_network`, { network: id });
    const one = await cloud.server();
    await cloud.done(attach(one));
    assert.equal((await cloud.readServer(one.id)).private_net[0]?.ip, "10.0.0.2");
    await cloud.refused(attach(await cloud.server()), 422, "no_subnet_available");
    await cloud.refused(attach(one, await cloud.network()), 422, "networks_overlap");
    const far = await cloud.network("10.0.1.0/24", "us-east");
    await cloud.refused(attach(await cloud.server(), far), 422, "no_subnet_available");
  });

  it("is locked while an action runs", async () => {
    const server = await cloud.server();
    const release = cloud.hosts.hold("powerOff");
    const { body } = await cloud.act(server, "poweroff");
    assert.equal((await cloud.readServer(server.id)).locked, true);
    await cloud.refused(cloud.act(server, "poweron"), 423, "locked");
    await cloud.refused(cloud.delete(`/servers/${server.id}`), 423, "locked");
    assert.equal((await cloud.put(`/servers/${server.id}`, { labels: {} })).status, 200);
    release();
    await cloud.ended(body.action);
    assert.equal((await cloud.readServer(server.id)).locked, false);
  });

  it("refuses actions of a server that is not there", async () => {
    for (const action of ["poweron", "poweroff", "change_type", "attach_to_network"])
      await cloud.refused(cloud.post(`/servers/1/actions/${action}`, {}), 404, "not_found");
    await cloud.refused(cloud.delete("/servers/1"), 404, "not_found");
    await cloud.refused(cloud.put("/servers/1", {}), 404, "not_found");
  });

  it("leaves a server that can be deleted when its host cannot be made or started", async () => {
    for (const method of ["create", "powerOn"]) {
      cloud.hosts.fail(method, "no space");
      const { body } = await cloud.post("/servers", valid);
      const ended = await cloud.ended(body.action, ...body.next_actions);
      assert.deepEqual(
        ended.map((action) => action.error?.message).filter((message) => message)[0],
        "no space",
      );
      assert.equal((await cloud.readServer(body.server.id)).status, "off");
      await cloud.done(cloud.delete(`/servers/${body.server.id}`), 200);
    }
    assert.equal(cloud.hosts.addresses.size, 0);
  });

  it("says what the hosts cannot do: no IPv4 address, another address", async () => {
    const network = await cloud.network();
    const { body } = await cloud.post("/servers", {
      ...valid,
      networks: [network],
      public_net: { enable_ipv4: false },
    });
    const [created] = await cloud.ended(body.action);
    assert.match(created?.error?.message ?? "", /without a public IPv4 address/);

    const server = await cloud.off({ name: "b" });
    const ip = server.public_net.ipv4?.id;
    await cloud.done(cloud.post(`/primary_ips/${ip}/actions/unassign`));
    const [started] = await cloud.ended((await cloud.act(server, "poweron")).body.action);
    assert.match(started?.error?.message ?? "", /cannot move a host/);
    assert.equal((await cloud.readServer(server.id)).status, "off");
  });
});
