import assert from "node:assert/strict";
import { FleetNetwork } from "../../../components/fleetNetwork/fleetNetwork";
import { deploy, only, valueOf } from "../../helpers/mocks";
import { GITHUB_TOKEN, HCLOUD_TOKEN, secretPlaces, SSH_KEY, summarize } from "../host/recorded";

const LABELS = { "managed-by": "runner-fleet", stack: "dev" };
const APIS = {
  github: { api: "https://api.github.com", token: GITHUB_TOKEN },
  hetzner: { endpoint: "https://hetzner.example/v1", token: HCLOUD_TOKEN },
};

describe("FleetNetwork", () => {
  it("asks for a network with one subnet, a firewall that opens SSH alone, and a key", async () => {
    let network: FleetNetwork | undefined;
    const resources = await deploy(() => {
      network = new FleetNetwork("network", {
        prefix: "dev",
        ipRange: "10.0.0.0/16",
        subnet: "10.0.1.0/24",
        zone: "eu-central",
        sshPublicKey: "ssh-ed25519 AAAA",
        sshPrivateKey: SSH_KEY,
        sshPort: 2222,
        management: "ssh",
        allowedCidrs: ["203.0.113.4/32", "2001:db8::/64"],
        ...APIS,
        labels: LABELS,
        servers: new Map(),
      });
    });
    const { environment } = network!;
    const networkId = await valueOf(environment.networkId as never);
    assert.deepEqual(summarize(resources), {
      "runner-fleet:index:FleetNetwork network": { inputs: {} },
      "hcloud:index/network:Network network": {
        parent: "network",
        inputs: { name: "dev", ipRange: "10.0.0.0/16", labels: LABELS },
      },
      "hcloud:index/networkSubnet:NetworkSubnet network-subnet": {
        parent: "network",
        inputs: {
          networkId,
          type: "cloud",
          networkZone: "eu-central",
          ipRange: "10.0.1.0/24",
        },
        options: { dependsOn: ["network"] },
      },
      "hcloud:index/firewall:Firewall network-firewall": {
        parent: "network",
        inputs: {
          name: "dev",
          labels: LABELS,
          rules: [
            {
              description: "SSH from the management ranges",
              direction: "in",
              protocol: "tcp",
              port: "2222",
              sourceIps: ["203.0.113.4/32", "2001:db8::/64"],
            },
          ],
        },
      },
      "hcloud:index/sshKey:SshKey network-ssh-key": {
        parent: "network",
        inputs: { name: "dev", publicKey: "ssh-ed25519 AAAA", labels: LABELS },
        options: { deleteBeforeReplace: true },
      },
    });
    assert.deepEqual(secretPlaces(resources, SSH_KEY), []);
    assert.equal(typeof networkId, "number");
    assert.equal(only(resources, "hcloud:index/network:Network").inputs.name, "dev");
    assert.deepEqual(
      {
        subnetId: await valueOf(environment.subnetId as never),
        networkZone: environment.networkZone,
        port: environment.sshPort,
        key: environment.sshPrivateKey,
        management: environment.management,
        ipRange: environment.ipRange,
        allowedCidrs: environment.allowedCidrs,
        github: environment.github,
        hetzner: environment.hetzner,
        labels: environment.labels,
      },
      {
        subnetId: `${String(networkId)}-10.0.1.0/24`,
        networkZone: "eu-central",
        port: 2222,
        key: SSH_KEY,
        management: "ssh",
        ipRange: "10.0.0.0/16",
        allowedCidrs: ["203.0.113.4/32", "2001:db8::/64"],
        ...APIS,
        labels: LABELS,
      },
    );
    assert.equal(typeof (await valueOf(environment.firewallId as never)), "number");
    assert.equal(typeof (await valueOf(environment.sshKeyId as never)), "string");
  });

  it("opens no SSH, but leaves no empty list of rules, where nothing reaches into hosts", async () => {
    let network: FleetNetwork | undefined;
    const resources = await deploy(() => {
      network = new FleetNetwork("network", {
        prefix: "dev",
        ipRange: "10.0.0.0/16",
        subnet: "10.0.1.0/24",
        zone: "eu-central",
        sshPublicKey: "ssh-ed25519 AAAA",
        sshPort: 22,
        management: "none",
        allowedCidrs: [],
        ...APIS,
        labels: LABELS,
        servers: new Map(),
      });
    });
    assert.deepEqual(only(resources, "hcloud:index/firewall:Firewall").inputs.rules, [
      {
        description: "Echo requests",
        direction: "in",
        protocol: "icmp",
        sourceIps: ["0.0.0.0/0", "::/0"],
      },
    ]);
    assert.equal(network?.environment.sshPrivateKey, undefined);
    assert.equal(network?.environment.management, "none");
  });
});
