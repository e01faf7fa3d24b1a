import { isIPv4, isIPv6 } from "node:net";

/** A range of addresses; `address` is the number written before the slash, host bits included. */
export interface Cidr {
  readonly version: 4 | 6;
  readonly address: bigint;
  readonly prefixLength: number;
}

/** Reads `address/length`; undefined when the text is no range. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/%]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  const [address, prefixLength] = [match?.[1] ?? "", Number(match?.[2])];
  if (isIPv4(address) && prefixLength <= 32) {
    return { version: 4, address: join(address.split("."), 8, 10), prefixLength };
  }
  if (isIPv6(address) && prefixLength <= 128) {
    return { version: 6, address: join(groups(address), 16, 16), prefixLength };
  }
  return undefined;
}

/** Whether every address of `inner` belongs to `outer`. */
export function containsCidr(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.version === inner.version &&
    outer.prefixLength <= inner.prefixLength &&
    outer.address >> hostBits(outer) === inner.address >> hostBits(outer)
  );
}

/** Whether the address is the first one of its range, as Hetzner's API demands. */
export function isNetworkAddress(cidr: Cidr): boolean {
  return (cidr.address >> hostBits(cidr)) << hostBits(cidr) === cidr.address;
}

/** How many addresses the range has. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << hostBits(cidr);
}

function hostBits(cidr: Cidr): bigint {
  return BigInt((cidr.version === 4 ? 32 : 128) - cidr.prefixLength);
}

function join(parts: readonly string[], bits: number, radix: number): bigint {
  return parts.reduce((sum, part) => (sum << BigInt(bits)) + BigInt(parseInt(part, radix)), 0n);
}

/** The eight groups of an IPv6 address; the URL parser turns an embedded IPv4 address into two of them. */
function groups(address: string): string[] {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const [left, right] = [head, tail ?? ""].map((part) => (part === "" ? [] : part.split(":")));
  if (left === undefined || right === undefined) return [];
  return [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
}
