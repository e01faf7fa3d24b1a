import { isIPv4, isIPv6 } from "node:net";

/** An IPv4 range; addresses are unsigned 32-bit numbers. */
export interface Range {
  readonly first: number;
  readonly bits: number;
  /** Address of the last member. */
  readonly last: number;
}

export function parseIpv4(text: string): number | undefined {
  if (!isIPv4(text)) return undefined;
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

/** Parses an IPv4 CIDR block whose host bits are zero; `undefined` for anything else. */
export function parseRange(text: string): Range | undefined {
  const match = /^([\d.]+)\/(\d{1,2})$/.exec(text);
  const first = match && parseIpv4(match[1] ?? "");
  const bits = Number(match?.[2]);
  if (first === null || first === undefined || bits > 32) return undefined;
  const size = 2 ** (32 - bits);
  return first % size === 0 ? { first, bits, last: first + size - 1 } : undefined;
}

export function formatRange(range: Range): string {
  return `${formatIpv4(range.first)}/${range.bits}`;
}

export function contains(outer: Range, inner: Range): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

export function holds(range: Range, address: number): boolean {
  return range.first <= address && address <= range.last;
}

export function overlap(a: Range, b: Range): boolean {
  return a.first <= b.last && b.first <= a.last;
}

const privateRanges = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(
  (text) => parseRange(text) as Range,
);

/** Whether the range lies in one of the private ranges of RFC 1918. */
export function isPrivate(range: Range): boolean {
  return privateRanges.some((outer) => contains(outer, range));
}

/** Whether the text is an IPv4 or IPv6 CIDR block with all host bits zero, as firewall rules want them. */
export function isCanonicalCidr(text: string): boolean {
  const [address, prefix, ...rest] = text.split("/");
  if (!address || !prefix || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  if (isIPv4(address)) return parseRange(text) !== undefined;
  if (!isIPv6(address) || address.includes("%") || Number(prefix) > 128) return false;
  return ipv6Value(address) % (1n << BigInt(128 - Number(prefix))) === 0n;
}

function ipv6Value(address: string): bigint {
  const dotted = /^(.*:)([\d.]+)$/.exec(address);
  const embedded = dotted?.[2]?.includes(".") ? parseIpv4(dotted[2]) : undefined;
  const text =
    embedded === undefined
      ? address
      : `${dotted?.[1]}${(embedded >>> 16).toString(16)}:${(embedded & 0xffff).toString(16)}`;
  const [head = "", tail] = text.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right];
  return groups.reduce((value, group) => (value << 16n) + BigInt(`0x${group}`), 0n);
}
