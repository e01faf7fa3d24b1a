import assert from "node:assert/strict";
import { addressInRange, lastHostAddress } from "../../../components/fleetNetwork/addresses";

describe("addressInRange", () => {
  for (const [cidr, index, expected] of [
    ["10.0.1.0/24", 0, "10.0.1.0"],
    ["10.0.1.0/24", 2, "10.0.1.2"],
    ["10.0.1.0/24", 255, "10.0.1.255"],
    ["10.0.0.128/25", 2, "10.0.0.130"],
    ["10.0.0.0/16", 256, "10.0.1.0"],
    ["10.0.255.0/16", 257, "10.1.0.1"],
    ["192.168.0.0/16", 2, "192.168.0.2"],
    ["223.255.255.0/24", 2, "223.255.255.2"],
  ] as const) {
    it(`${index} of ${cidr} is ${expected}`, () => {
      assert.equal(addressInRange(cidr, index), expected);
    });
  }
});

describe("lastHostAddress", () => {
  for (const [cidr, expected] of [
    ["10.0.1.0/24", "10.0.1.254"],
    ["10.0.0.0/16", "10.0.255.254"],
    ["10.0.1.64/29", "10.0.1.70"],
  ] as const) {
    it(`of ${cidr} is ${expected}`, () => assert.equal(lastHostAddress(cidr), expected));
  }

  it("throws for what is no range", () => {
    assert.throws(() => lastHostAddress("10.0.1.0"), {
      message: "10.0.1.0 is no range in CIDR notation.",
    });
  });
});
