import assert from "node:assert/strict";
import { Cloud, publicKeyLine } from "./client";

/** A published key and its MD5 fingerprint as ssh-keygen shows it. */
const knownKey =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github.com";
const knownFingerprint = "65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd";

describe("hetzner resources", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud();
  });
  afterEach(() => {
    assert.deepEqual(cloud.traffic.surprises, []);
  });

  describe("SSH keys", () => {
    it("creates with the MD5 fingerprint, finds, updates and deletes", async () => {
      const { status, body } = await cloud.post("/ssh_keys", {
        name: "k",
        public_key: `${knownKey}\n`,
        labels: { a: "b" },
      });
      assert.equal(status, 201);
      const { id, fingerprint, public_key } = body.ssh_key;
      assert.equal(fingerprint, knownFingerprint);
      assert.equal(public_key, knownKey, "white space around the key is dropped");
      const found = await cloud.get(`/ssh_keys?fingerprint=${fingerprint}`);
      assert.equal(found.body.ssh_keys.length, 1);
      const updated = await cloud.put(`/ssh_keys/${id}`, { name: "l", labels: {} });
      assert.deepEqual([updated.body.ssh_key.name, updated.body.ssh_key.labels], ["l", {}]);
      assert.equal((await cloud.delete(`/ssh_keys/${id}`)).status, 204);
      await cloud.refused(cloud.delete(`/ssh_keys/${id}`), 404, "not_found");
    });

    it("refuses the same key or name again, and what is no key", async () => {
      const make = (name: string, public_key: string) =>
        cloud.post("/ssh_keys", { name, public_key });
      await make("k", knownKey);
      const error = await cloud.refused(
        make("l", knownKey.replace("github.com", "other comment")),
        409,
        "uniqueness_error",
      );
      assert.equal(error.message, "SSH key with the same fingerprint already exists");
      await cloud.refused(make("k", publicKeyLine()), 409, "uniqueness_error");
      for (const wrong of [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        knownKey.replace("ssh-ed25519", "ssh-rsa"),
        `${publicKeyLine()}\n${publicKeyLine()}`,
        "-----BEGIN OPENSSH PRIVATE KEY-----",
      ])
        await cloud.refused(make("m", wrong), 422, "invalid_input");
    });
  });

  describe("placement groups", () => {
    it("creates, updates, and lets go of its servers when deleted", async () => {
      const { body } = await cloud.post("/placement_groups", { name: "g", type: "spread" });
      const { id } = body.placement_group;
      const server = await cloud.server({ placement_group: id });
      const updated = await cloud.put(`/placement_groups/${id}`, { name: "h", labels: { a: "b" } });
      assert.deepEqual(updated.body.placement_group.name, "h");
      assert.deepEqual(updated.body.placement_group.servers, [server.id]);
      assert.equal((await cloud.delete(`/placement_groups/${id}`)).status, 204);
      assert.equal((await cloud.readServer(server.id)).placement_group, null);
      await cloud.refused(cloud.delete(`/placement_groups/${id}`), 404, "not_found");
    });

    it("refuses another type and a taken name", async () => {
      const make = (type: string) => cloud.post("/placement_groups", { name: "g", type });
      await cloud.refused(make("cluster"), 422, "invalid_input");
      await make("spread");
      await cloud.refused(make("spread"), 409, "uniqueness_error");
    });
  });

  describe("primary IPs", () => {
    const make = async (fields: Record<string, unknown> = {}) =>
      (
        await cloud.done(
          cloud.post("/primary_ips", { name: "i", type: "ipv4", location: "nbg1", ...fields }),
        )
      ).primary_ip;
    const act = (id: number, action: string, body?: unknown) =>
      cloud.post(`/primary_ips/${id}/actions/${action}`, body);
    const assign = (id: number, server: number) =>
      act(id, "assign", { assignee_id: server, assignee_type: "server" });

    it("creates unassigned, updates, finds by address, deletes", async () => {
      const ip = await make({ labels: { a: "b" } });
      assert.deepEqual([ip.assignee_id, ip.assignee_type], [null, "unassigned"]);
      assert.ok(cloud.hosts.addresses.has(ip.ip));
      const update = { name: "j", auto_delete: true, labels: {} };
      const { body } = await cloud.put(`/primary_ips/${ip.id}`, update);
      assert.deepEqual([body.primary_ip.name, body.primary_ip.auto_delete], ["j", true]);
      assert.equal((await cloud.get(`/primary_ips?ip=${ip.ip}`)).body.primary_ips.length, 1);
      assert.equal((await cloud.delete(`/primary_ips/${ip.id}`)).status, 204);
      assert.equal(cloud.hosts.addresses.size, 0);
    });

    it("is assigned to and taken from stopped servers only", async () => {
      const ip = await make({ type: "ipv6" });
      const running = await cloud.server({ public_net: { enable_ipv6: false } });
      await cloud.refused(assign(ip.id, running.id), 422, "server_not_stopped");
      await cloud.done(cloud.act(running, "poweroff"));
      await cloud.done(assign(ip.id, running.id));
      assert.equal((await cloud.readServer(running.id)).public_net.ipv6?.id, ip.id);
      await cloud.refused(assign(ip.id, running.id), 422, "primary_ip_already_assigned");
      await cloud.refused(cloud.delete(`/primary_ips/${ip.id}`), 422, "must_be_unassigned");
      await cloud.done(cloud.act(running, "poweron"));
      await cloud.refused(act(ip.id, "unassign"), 422, "server_not_stopped");
      await cloud.done(cloud.act(running, "poweroff"));
      await cloud.done(act(ip.id, "unassign"));
      await cloud.refused(act(ip.id, "unassign"), 422, "invalid_input");
      assert.equal((await cloud.readServer(running.id)).public_net.ipv6, null);
    });

    it("goes back to the same server, whose host keeps its address", async () => {
      const ip = await make();
      const server = await cloud.server({ public_net: { ipv4: ip.id } });
      await cloud.done(cloud.act(server, "poweroff"));
      await cloud.done(act(ip.id, "unassign"));
      await cloud.done(assign(ip.id, server.id));
      await cloud.done(cloud.act(server, "poweron"));
    });

    it("refuses a second address of a kind, another location and unclear requests", async () => {
      const server = await cloud.off();
      const [v4, v6, far] = [
        await make({ name: "a" }),
        await make({ name: "b", type: "ipv6" }),
        await make({ name: "c", location: "hel1" }),
      ];
      await cloud.refused(assign(v4.id, server.id), 422, "server_has_ipv4");
      await cloud.refused(assign(v6.id, server.id), 422, "server_has_ipv6");
      await cloud.refused(assign(far.id, server.id), 422, "invalid_input");
      await cloud.refused(assign(v4.id, 1), 404, "not_found");
      const create = (fields: object) =>
        cloud.post("/primary_ips", { name: "d", type: "ipv4", ...fields });
      await cloud.refused(create({}), 422, "invalid_input");
      await cloud.refused(create({ location: "mars" }), 422, "invalid_input");
      await cloud.refused(create({ location: "nbg1", name: "a" }), 409, "uniqueness_error");
      const owner = { assignee_id: server.id, assignee_type: "server" };
      await cloud.refused(create({ ...owner, location: "nbg1" }), 422, "invalid_input");
      await cloud.refused(create(owner), 422, "server_has_ipv4");
    });

    it("is created for a server that lacks one", async () => {
      const server = await cloud.off({ public_net: { enable_ipv6: false } });
      const owner = { assignee_id: server.id, assignee_type: "server", location: undefined };
      const ip = await make({ type: "ipv6", ...owner });
      assert.equal((await cloud.readServer(server.id)).public_net.ipv6?.id, ip.id);
    });

    it("protects, unless it is deleted with its server anyway", async () => {
      const ip = await make();
      const protect = (value: boolean) => act(ip.id, "change_protection", { delete: value });
      await cloud.done(protect(true));
      await cloud.refused(cloud.delete(`/primary_ips/${ip.id}`), 423, "protected");
      const automatic = { auto_delete: true };
      await cloud.refused(cloud.put(`/primary_ips/${ip.id}`, automatic), 422, "invalid_input");
      await cloud.done(protect(false));
      await cloud.put(`/primary_ips/${ip.id}`, automatic);
      await cloud.refused(protect(true), 422, "invalid_input");
    });

    it("keeps reverse DNS entries", async () => {
      const v6 = await make({ type: "ipv6" });
      const address = v6.ip.replace("::/64", "::1");
      const set = (ip: string, dns_ptr: string | null) =>
        act(v6.id, "change_dns_ptr", { ip, dns_ptr });
      await cloud.done(set(address, "a.example.com"));
      const read = async () => (await cloud.get(`/primary_ips/${v6.id}`)).body.primary_ip.dns_ptr;
      assert.deepEqual(await read(), [{ ip: address, dns_ptr: "a.example.com" }]);
      await cloud.done(set(address, null));
      assert.deepEqual(await read(), []);
      await cloud.refused(set("2001:db9::1", "a.example.com"), 422, "invalid_input");
    });
  });

  describe("volumes", () => {
    const make = async (fields: Record<string, unknown> = {}) =>
      (
        await cloud.done(
          cloud.post("/volumes", { name: "v", size: 10, location: "nbg1", ...fields }),
        )
      ).volume;
    const act = (id: number, action: string, body?: unknown) =>
      cloud.post(`/volumes/${id}/actions/${action}`, body);
    const read = async (id: number) => (await cloud.get(`/volumes/${id}`)).body.volume;

    it("creates, updates, attaches, detaches, resizes, deletes", async () => {
      const { id } = await make({ format: "ext4", labels: { a: "b" } });
      assert.equal((await read(id)).status, "available");
      assert.equal((await cloud.put(`/volumes/${id}`, { name: "w" })).body.volume.name, "w");
      const server = await cloud.server();
      await cloud.done(act(id, "attach", { server: server.id, automount: true }));
      assert.deepEqual((await cloud.readServer(server.id)).volumes, [id]);
      await cloud.refused(act(id, "attach", { server: server.id }), 422, "volume_already_attached");
      await cloud.refused(cloud.delete(`/volumes/${id}`), 422, "resource_in_use");
      await cloud.refused(act(id, "resize", { size: 10 }), 422, "invalid_input");
      await cloud.done(act(id, "resize", { size: 11 }));
      assert.equal((await read(id)).size, 11);
      await cloud.done(act(id, "detach"));
      await cloud.refused(act(id, "detach"), 422, "invalid_input");
      await cloud.done(act(id, "change_protection", { delete: true }));
      await cloud.refused(cloud.delete(`/volumes/${id}`), 423, "protected");
      await cloud.done(act(id, "change_protection", { delete: false }));
      assert.equal((await cloud.delete(`/volumes/${id}`)).status, 204);
    });

    it("is created for a server and attached in a next action", async () => {
      const server = await cloud.server();
      const { body } = await cloud.post("/volumes", { name: "v", size: 10, server: server.id });
      assert.deepEqual(
        body.next_actions.map((action) => action.command),
        ["attach_volume"],
      );
      await cloud.ended(body.action, ...body.next_actions);
      assert.equal((await read(body.volume.id)).server, server.id);
    });

    it("refuses wrong sizes, names, places and too many on a server", async () => {
      const server = await cloud.server();
      for (const fields of [
        { size: 9 },
        { size: 10241 },
        { size: 10.5 },
        { name: "-v" },
        { name: "v".repeat(65) },
        { location: "mars" },
        { location: undefined },
        { location: "hel1", server: server.id },
        { format: "ntfs" },
        { automount: true },
      ])
        await cloud.refused(
          cloud.post("/volumes", { name: "v", size: 10, location: "nbg1", ...fields }),
          422,
          "invalid_input",
        );
      const far = await make({ location: "hel1" });
      await cloud.refused(act(far.id, "attach", { server: server.id }), 422, "invalid_input");
      await cloud.refused(cloud.post("/volumes", { name: "v", size: 10 }), 409, "uniqueness_error");
      for (let index = 0; index < 16; index++)
        await make({ name: `v${index}`, location: undefined, server: server.id });
      const more = { name: "more", size: 10, server: server.id };
      await cloud.refused(cloud.post("/volumes", more), 403, "resource_limit_exceeded");
    });
  });
});
