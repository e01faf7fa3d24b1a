import { cidrSize, parseCidr } from "../config/cidr";

/**
 * The last address of an IPv4 range that a host may have. Hetzner gives the lowest free one to hosts that name none, so
 * this one is free the longest.
 */
export function lastHostAddress(cidr: string): string {
  const range = parseCidr(cidr);
  if (range === undefined) throw new Error(`${cidr} is no range in CIDR notation.`);
  return addressInRange(cidr, Number(cidrSize(range)) - 2);
}

/** The `index`-th address of an IPv4 range in CIDR notation, counted from its network address. */
export function addressInRange(cidr: string, index: number): string {
  const [network = ""] = cidr.split("/");
  const value = network.split(".").reduce((sum, part) => sum * 256 + Number(part), 0) + index;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}
