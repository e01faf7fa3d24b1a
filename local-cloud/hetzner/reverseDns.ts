import type { PrimaryIp } from "./state";

/** Whether an address is, or for IPv6 lies in, a primary IP. */
export function ownsAddress(ip: PrimaryIp, address: string): boolean {
  if (ip.type === "ipv4") return ip.ip === address;
  return address.startsWith(ip.ip.replace("::/64", ":"));
}

/** Sets the reverse DNS entry of an address, or with `null` the original one again. */
export function setDnsPtr(ip: PrimaryIp, address: string, name: string | null): void {
  if (name === null) ip.dnsPtr.delete(address);
  else ip.dnsPtr.set(address, name);
}

/** The entry of an IPv4 address: its own or the original one. */
export function dnsPtrOf(ip: PrimaryIp, address: string): string {
  const reversed = address.split(".").reverse().join(".");
  return ip.dnsPtr.get(address) ?? `static.${reversed}.clients.your-server.de`;
}
