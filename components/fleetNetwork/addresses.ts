import { type Cidr, cidrSize, parseCidr } from "../config/cidr";

/**
 * The last address of an IPv4 range that a host may have. Hetzner gives the lowest free one to hosts that name none, so
 * this one is free the longest.
 */
export function lastHostAddress(cidr: string): string {
  return addressInRange(cidr, Number(cidrSize(rangeOf(cidr))) - 2);
}

/** The `index`-th address of an IPv4 range in CIDR notation, counted from its network address. */
export function addressInRange(cidr: string, index: number): string {
  const address = rangeOf(cidr).address + BigInt(index);
  return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n).join(".");
}

function rangeOf(cidr: string): Cidr {
  const range = parseCidr(cidr);
  if (range === undefined) throw new Error(`${cidr} is no range in CIDR notation.`);
  return range;
}
