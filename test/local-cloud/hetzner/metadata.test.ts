import assert from "node:assert/strict";
import { parse } from "yaml";
import { Cloud } from "./client";

describe("hetzner metadata service", () => {
  const root = "/hetzner/v1/metadata";

  it("tells a server about itself", async () => {
    const cloud = new Cloud();
    const network = await cloud.network();
    const server = await cloud.server({
      name: "host",
      user_data: "#cloud-config\n",
      networks: [network],
    });
    const read = (path: string) => {
      const { status, body } = cloud.hetzner.metadata(server.id, path);
      assert.equal(status, 200);
      return body;
    };
    assert.equal(read(`${root}/hostname`), "host");
    assert.equal(read(`${root}/instance-id`), String(server.id));
    assert.equal(read(`${root}/public-ipv4`), server.public_net.ipv4?.ip);
    assert.equal(read(`${root}/availability-zone`), "nbg1-dc3");
    assert.equal(read(`${root}/region`), "eu-central");
    assert.equal(read("/hetzner/v1/userdata"), "#cloud-config\n");
    assert.deepEqual(parse(read(root)), {
      "availability-zone": "nbg1-dc3",
      hostname: "host",
      "instance-id": server.id,
      "public-ipv4": server.public_net.ipv4?.ip,
      region: "eu-central",
    });
    const networks = parse(read(`${root}/private-networks`)) as Record<string, unknown>[];
    assert.deepEqual(networks, [
      {
        ip: "10.0.1.1",
        alias_ips: [],
        interface_num: 1,
        mac_address: server.private_net[0]?.mac_address,
        network_id: network,
        network_name: "network-1",
        network: "10.0.0.0/16",
        subnet: "10.0.1.0/24",
        gateway: "10.0.0.1",
      },
    ]);
  });

  it("knows no other paths and no strangers", async () => {
    const cloud = new Cloud();
    const server = await cloud.server();
    for (const path of ["/", "/latest/meta-data", `${root}/ami-id`, `${root}/toString`])
      assert.equal(cloud.hetzner.metadata(server.id, path).status, 404);
    assert.equal(cloud.hetzner.metadata(null, root).status, 404);
    assert.equal(cloud.hetzner.metadata(1, root).status, 404);
  });
});
