import assert from "node:assert/strict";
import { addressInRange } from "../../../components/fleetNetwork/addresses";

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
