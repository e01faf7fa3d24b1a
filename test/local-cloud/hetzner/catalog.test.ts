import assert from "node:assert/strict";
import { Cloud } from "./client";

describe("hetzner catalog", () => {
  const cloud = new Cloud();
  afterEach(() => {
    assert.deepEqual(cloud.traffic.surprises, []);
  });

  it("offers the CAX types in Europe only, with their prices", async () => {
    const { server_types } = (await cloud.get("/server_types?per_page=50")).body;
    const arm = server_types.filter((type) => type.architecture === "arm");
    assert.deepEqual(
      arm.map((type) => [type.name, type.id, type.prices[0]?.price_monthly.net]),
      [
        ["cax11", 45, "5.9900000000"],
        ["cax21", 93, "10.4900000000"],
        ["cax31", 94, "20.9900000000"],
        ["cax41", 95, "40.9900000000"],
      ],
    );
    for (const type of arm)
      assert.deepEqual(
        type.locations.map(({ name }) => name),
        ["fsn1", "nbg1", "hel1"],
      );
    assert.equal(arm[0]?.prices[0]?.price_monthly.gross, "7.1281000000000000");
    assert.ok(server_types.some((type) => type.architecture === "x86"));
    const { server_type } = (await cloud.get("/server_types/45")).body;
    assert.equal(server_type.name, "cax11");
    await cloud.refused(cloud.get("/server_types/1"), 404, "not_found");
  });

  it("shows a changed price in server types and pricing", async () => {
    cloud.hetzner.setPrice("cax11", "hel1", 6.5);
    const [type] = (await cloud.get("/server_types?name=cax11")).body.server_types;
    const net = type?.prices.find((price) => price.location === "hel1")?.price_monthly.net;
    assert.equal(net, "6.5000000000");
    const { pricing } = (await cloud.get("/pricing")).body;
    const listed = pricing.server_types.find((entry) => entry.name === "cax11");
    assert.deepEqual(
      listed?.prices.map((price) => price.price_monthly.net),
      ["5.9900000000", "5.9900000000", "6.5000000000"],
    );
    assert.equal(pricing.currency, "EUR");
    assert.deepEqual(
      pricing.primary_ips.map((entry) => entry.type),
      ["ipv4", "ipv6"],
    );
    await cloud.hetzner.reset();
    const [again] = (await cloud.get("/server_types?name=cax11")).body.server_types;
    assert.equal(again?.prices[2]?.price_monthly.net, "5.9900000000");
  });

  it("has images for both architectures", async () => {
    for (const name of ["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04"]) {
      const query = `/images?architecture=arm&include_deprecated=true&name=${name}&type=system`;
      const { images } = (await cloud.get(query)).body;
      assert.deepEqual(
        images.map((image) => [image.name, image.architecture]),
        [[name, "arm"]],
      );
      const { image } = (await cloud.get(`/images/${images[0]?.id}`)).body;
      assert.equal(image.name, name);
    }
    assert.equal((await cloud.get("/images?name=debian-13")).body.images.length, 2);
    assert.deepEqual((await cloud.get("/images?type=snapshot")).body.images, []);
    assert.deepEqual((await cloud.get("/images?label_selector=a")).body.images, []);
    await cloud.refused(cloud.get("/images/1"), 404, "not_found");
  });

  it("has locations with their network zones", async () => {
    const { locations } = (await cloud.get("/locations")).body;
    assert.deepEqual(
      locations.map(({ name, network_zone }) => `${name} ${network_zone}`),
      [
        "fsn1 eu-central",
        "nbg1 eu-central",
        "hel1 eu-central",
        "ash us-east",
        "hil us-west",
        "sin ap-southeast",
      ],
    );
    assert.equal((await cloud.get("/locations/2")).body.location.name, "nbg1");
    assert.equal((await cloud.get("/locations?name=sin")).body.locations.length, 1);
    await cloud.refused(cloud.get("/locations/9"), 404, "not_found");
  });

  it("has removed the data centers", async () => {
    for (const path of ["/datacenters", "/datacenters/4"]) {
      const error = await cloud.refused(cloud.get(path), 410, "deprecated_api_endpoint");
      assert.match(JSON.stringify(error.details), /"announcement":"https:/);
    }
  });
});
