/** The `index`-th address of an IPv4 range in CIDR notation, counted from its network address. */
export function addressInRange(cidr: string, index: number): string {
  const [network = ""] = cidr.split("/");
  const value = network.split(".").reduce((sum, part) => sum * 256 + Number(part), 0) + index;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}
