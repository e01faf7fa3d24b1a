import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Cloud } from "./client";

describe("hetzner actions", () => {
  let cloud: Cloud;
  beforeEach(() => {
    cloud = new Cloud();
  });
  afterEach(async () => {
    await cloud.hetzner.reset();
    assert.deepEqual(cloud.traffic.surprises, []);
  });

  it("succeeds, and tells its progress until then", async () => {
    const server = await cloud.server();
    const network = await cloud.network();
    await cloud.done(cloud.act(server, "attach_to_network", { network }));
    const change = () => cloud.act(server, "change_alias_ips", { network, alias_ips: [] });
    const [ended] = await cloud.ended((await change()).body.action);
    assert.deepEqual([ended?.status, ended?.progress], ["success", 100]);
    assert.match(ended?.started ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
    assert.match(ended?.finished ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);

    cloud.hetzner.slowNextAction("change_alias_ips", 5000);
    const { action } = (await change()).body;
    assert.deepEqual([action.status, action.finished, action.error], ["running", null, null]);
    assert.deepEqual(action.resources, [
      { id: server.id, type: "server" },
      { id: network, type: "network" },
    ]);
    await sleep(100);
    const running = (await cloud.get(`/actions/${action.id}`)).body.action;
    assert.ok(running.progress > 0 && running.progress < 100, `progress ${running.progress}`);
  });

  it("fails on demand without doing its work", async () => {
    const server = await cloud.server();
    cloud.hetzner.failNextAction("stop_server", { code: "action_failed", message: "no luck" });
    const [failed] = await cloud.ended((await cloud.act(server, "poweroff")).body.action);
    assert.deepEqual(failed?.error, { code: "action_failed", message: "no luck" });
    assert.equal(failed?.status, "error");
    assert.equal((await cloud.readServer(server.id)).status, "running");
    await cloud.done(cloud.act(server, "poweroff"));
  });

  it("fails immediate actions on demand, too", async () => {
    const server = await cloud.server();
    cloud.hetzner.failNextAction("change_protection", { code: "timeout", message: "late" });
    const protection = { delete: true, rebuild: true };
    const { action } = (await cloud.act(server, "change_protection", protection)).body;
    assert.equal(action.error?.code, "timeout");
    assert.equal((await cloud.readServer(server.id)).protection.delete, false);
  });

  it("fails what comes next when the creation of a server fails", async () => {
    cloud.hetzner.failNextAction("create_server", { code: "service_error", message: "broken" });
    const { body } = await cloud.post("/servers", {
      name: "a",
      server_type: "cax11",
      image: "debian-13",
    });
    const ended = await cloud.ended(body.action, ...body.next_actions);
    assert.deepEqual(
      ended.map((action) => action.error?.code),
      ["service_error", "action_failed"],
    );
    assert.equal(cloud.hosts.hosts.size, 0);
    assert.equal((await cloud.readServer(body.server.id)).status, "off");
  });

  it("starts nothing more once a reset has begun", async () => {
    const release = cloud.hosts.hold("create");
    await cloud.post("/servers", { name: "a", server_type: "cax11", image: "debian-13" });
    const gone = cloud.hetzner.reset();
    release();
    await gone;
    assert.deepEqual(
      cloud.hosts.calls.map((call) => call.split(" ")[0]),
      ["create", "delete"],
    );
  });

  it("gives back the address of a network when attaching fails", async () => {
    const network = await cloud.network();
    const server = await cloud.server();
    cloud.hosts.fail("attachNetwork", "no bridge");
    const attach = () => cloud.act(server, "attach_to_network", { network });
    const [failed] = await cloud.ended((await attach()).body.action);
    assert.equal(failed?.error?.message, "no bridge");
    await cloud.done(attach());
    assert.equal((await cloud.readServer(server.id)).private_net[0]?.ip, "10.0.1.1");
  });

  it("lists by id, by kind and by resource; not without an id", async () => {
    const server = await cloud.server();
    const other = await cloud.server();
    await cloud.refused(cloud.get("/actions"), 410, "deprecated_api_endpoint");
    assert.deepEqual((await cloud.get("/actions?id=999")).body.actions, []);
    await cloud.refused(cloud.get("/actions/999"), 404, "not_found");
    const commands = async (path: string) =>
      (await cloud.get(path)).body.actions.map((action) => action.command);
    assert.deepEqual(await commands(`/servers/${server.id}/actions?sort=id:desc`), [
      "start_server",
      "create_server",
    ]);
    assert.equal((await commands("/servers/actions?status=success")).length, 4);
    assert.deepEqual(await commands("/servers/actions?status=error"), []);
    assert.deepEqual(await commands("/networks/actions?sort=command"), []);
    const [first] = (await cloud.get(`/servers/${other.id}/actions`)).body.actions;
    const one = await cloud.get(`/servers/${other.id}/actions/${first?.id}`);
    assert.equal(one.body.action.id, first?.id);
    assert.equal((await cloud.get(`/servers/actions/${first?.id}`)).status, 200);
    const foreign = cloud.get(`/servers/${server.id}/actions/${first?.id}`);
    await cloud.refused(foreign, 404, "not_found");
    await cloud.refused(cloud.get("/servers/1/actions"), 404, "not_found");
    await cloud.done(cloud.delete(`/servers/${other.id}`), 200);
    assert.equal((await commands(`/servers/${other.id}/actions`)).length, 3);
  });
});
