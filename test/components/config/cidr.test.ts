import assert from "node:assert/strict";
import { BlockList } from "node:net";
import fc from "fast-check";
import {
  type Cidr,
  cidrSize,
  containsCidr,
  isNetworkAddress,
  parseCidr,
} from "../../../components/config/cidr";

function parsed(text: string): Cidr {
  const cidr = parseCidr(text);
  assert.ok(cidr, `${text} is a range`);
  return cidr;
}

describe("CIDR ranges", () => {
  it("reads IPv4 and IPv6", () => {
    assert.deepEqual(parsed("10.0.1.0/24"), {
      version: 4,
      address: 0x0a000100n,
      prefixLength: 24,
    });
    assert.deepEqual(parsed("2001:db8::1/128"), {
      version: 6,
      address: 0x20010db8000000000000000000000001n,
      prefixLength: 128,
    });
    assert.equal(parsed("::/0").address, 0n);
    assert.equal(parsed("1::/16").address, 1n << 112n);
    assert.equal(parsed("::ffff:192.0.2.1/128").address, 0xffffc0000201n);
    assert.equal(parsed("1:2:3:4:5:6:7:8/128").address, 0x00010002000300040005000600070008n);
  });

  for (const text of [
    "",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/08",
    "10.0.0/8",
    "10.0.0.256/32",
    "10.0.0.0/8/8",
    " 10.0.0.0/8",
    "2001:db8::/129",
    "2001:db8:::/64",
    "fe80::1%eth0/64",
    "example.com/24",
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseCidr(text), undefined));
  }

  it("knows whether a range begins with its first address", () => {
    assert.equal(isNetworkAddress(parsed("10.0.0.0/8")), true);
    assert.equal(isNetworkAddress(parsed("10.0.0.1/8")), false);
    assert.equal(isNetworkAddress(parsed("10.0.0.1/32")), true);
    assert.equal(isNetworkAddress(parsed("2001:db8::/32")), true);
    assert.equal(isNetworkAddress(parsed("2001:db8::1/32")), false);
  });

  it("counts addresses", () => {
    assert.equal(cidrSize(parsed("10.0.0.0/24")), 256n);
    assert.equal(cidrSize(parsed("10.0.0.1/32")), 1n);
    assert.equal(cidrSize(parsed("::/0")), 1n << 128n);
  });

  it("never finds one version inside the other", () => {
    assert.equal(containsCidr(parsed("::/0"), parsed("10.0.0.0/8")), false);
    assert.equal(containsCidr(parsed("0.0.0.0/0"), parsed("::/0")), false);
  });

  const ipv4 = fc.ipV4();
  it("contains what Node's own block list says, for IPv4", () => {
    const property = fc.property(
      ipv4,
      fc.integer({ min: 0, max: 32 }),
      ipv4,
      fc.integer({ min: 0, max: 32 }),
      fc.boolean(),
      (outer, outerLength, other, innerLength, near) => {
        // Two random ranges hardly ever meet, so half of the time the inner one begins in the outer one.
        const inner = near ? outer : other;
        const list = new BlockList();
        list.addSubnet(outer, outerLength);
        assert.equal(
          containsCidr(parsed(`${outer}/${outerLength}`), parsed(`${inner}/${innerLength}`)),
          innerLength >= outerLength && list.check(inner),
        );
      },
    );
    fc.assert(property, { numRuns: 500 });
  });

  it("contains what Node's own block list says, for IPv6", () => {
    const property = fc.property(
      fc.ipV6(),
      fc.integer({ min: 1, max: 128 }),
      fc.ipV6(),
      fc.boolean(),
      (outer, outerLength, other, near) => {
        const inner = near ? outer : other;
        const list = new BlockList();
        list.addSubnet(outer, outerLength, "ipv6");
        assert.equal(
          containsCidr(parsed(`${outer}/${outerLength}`), parsed(`${inner}/128`)),
          list.check(inner, "ipv6"),
        );
      },
    );
    fc.assert(property, { numRuns: 500 });
  });
});
