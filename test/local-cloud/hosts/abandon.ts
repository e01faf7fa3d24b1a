/** A local cloud with a running host, to be killed by the test that starts it. */
import { createBootedHosts } from "../../../local-cloud/hosts/booted";
import { prepareHosts } from "../../../local-cloud/hosts/prepare";

async function main(): Promise<void> {
  const images = await prepareHosts({ log: () => undefined });
  const hosts = await createBootedHosts({
    images,
    services: {
      names: ["github.com"],
      handler: () => new Response("none", { status: 404 }),
      metadata: () => ({ status: 404, body: "" }),
    },
  });
  const ipv4 = hosts.reserveAddress();
  const size = { cores: 2, memoryGb: 4 };
  const spec = { id: 31, name: "left", ipv4, userData: "", publicKeys: [], location: "fsn1" };
  await hosts.create({ ...spec, ...size });
  await hosts.powerOn(31);
  const network = { networkId: 1, ipRange: "10.0.0.0/16", ip: "10.0.0.2" };
  await hosts.attachNetwork(31, { ...network, macAddress: "86:00:00:00:00:09" });
  console.log(`gateway ${hosts.gateway}`);
}

void main();
