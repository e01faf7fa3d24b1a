import { isIPv6 } from "node:net";

/** TCP service that is reachable from more than its own host. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface FirewallModel {
  readonly sshPort: number;
  /** Ranges that may reach SSH; without one the port is closed to everyone. */
  readonly allowedCidrs: readonly string[];
  /** Range of the private network, IPv4. */
  readonly privateRange: string;
  /** TCP ports that are open to the private network. */
  readonly privatePorts: readonly number[];
  /** TCP ports on the loopback interface that root alone connects to. */
  readonly rootPorts: readonly number[];
  /** What containers may reach in the private network. */
  readonly containersMayReach: readonly Endpoint[];
}

/** Interfaces of Docker's networks on the host: the default one, and those that compose makes. */
const BRIDGES = ["docker0", "br-*"];

/**
 * Rules for nft(8): one table of our own beside Docker's, so that neither touches the other's. Loading them again
 * replaces the table in one step. A packet has to pass this table and Docker's.
 */
export function renderFirewall(model: FirewallModel): string {
  const v6 = (text: string) => isIPv6(text.split("/")[0] ?? "");
  const managers = {
    ip: model.allowedCidrs.filter((one) => !v6(one)),
    ip6: model.allowedCidrs.filter(v6),
  };
  const sshRule = (family: "ip" | "ip6") =>
    managers[family].length === 0
      ? []
      : [`${family} saddr @ssh_${family} tcp dport ${model.sshPort} accept`];
  const ports = (list: readonly number[]) => `{ ${list.join(", ")} }`;
  const hasPorts = model.privatePorts.length > 0;

  return [
    "# Replaces the table in one step; the first line is for the first time.",
    "table inet runner_fleet",
    "delete table inet runner_fleet",
    "",
    "table inet runner_fleet {",
    ...addressSet("ssh_ip", "ipv4_addr", managers.ip),
    ...addressSet("ssh_ip6", "ipv6_addr", managers.ip6),
    ...chain("input", "type filter hook input priority filter - 10; policy drop;", [
      "ct state established,related accept",
      "ct state invalid drop",
      'iifname "lo" accept',
      "# A job reaches nothing on its own host, and gives it neither routes nor addresses.",
      ...BRIDGES.map((name) => `iifname "${name}" drop`),
      "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept",
      "# Answers to a renewal of the address in the private network.",
      "udp sport 67 udp dport 68 accept",
      "icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept",
      "icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
      ...sshRule("ip"),
      ...sshRule("ip6"),
      ...(hasPorts
        ? [`ip saddr ${model.privateRange} tcp dport ${ports(model.privatePorts)} accept`]
        : []),
    ]),
    ...chain("forward", "type filter hook forward priority filter - 10; policy drop;", [
      "ct state established,related accept",
      ...BRIDGES.map((name) => `iifname "${name}" goto untrusted`),
      ...(hasPorts
        ? [
            "# Ports that Docker publishes do not come by the input chain.",
            `ip saddr ${model.privateRange} ct status dnat meta l4proto tcp ct original proto-dst ${ports(model.privatePorts)} accept`,
          ]
        : []),
    ]),
    ...chain("output", "type filter hook output priority filter - 10; policy accept;", [
      "ct state established,related accept",
      ...(model.rootPorts.length > 0
        ? [`oifname "lo" tcp dport ${ports(model.rootPorts)} meta skuid != 0 drop`]
        : []),
      'oifname "lo" accept',
      "udp dport 67 accept",
      "meta skuid != 0 goto untrusted",
    ]),
    "  # Containers, and users of the host other than root: not the metadata service, not the private network.",
    ...chain("untrusted", undefined, [
      ...model.containersMayReach.map(
        ({ address, port }) =>
          `${isIPv6(address) ? "ip6" : "ip"} daddr ${address} tcp dport ${port} accept`,
      ),
      `ip daddr { 169.254.0.0/16, ${model.privateRange} } drop`,
      "ip6 daddr fe80::a9fe:a9fe drop",
      "accept",
    ]),
    "}",
    "",
  ].join("\n");
}

function addressSet(name: string, type: string, ranges: readonly string[]): string[] {
  if (ranges.length === 0) return [];
  return [
    `  set ${name} {`,
    `    type ${type}`,
    "    flags interval",
    "    # Ranges may hold one another.",
    "    auto-merge",
    `    elements = { ${ranges.join(", ")} }`,
    "  }",
    "",
  ];
}

function chain(name: string, hook: string | undefined, rules: readonly string[]): string[] {
  const lines = hook === undefined ? rules : [hook, ...rules];
  return [`  chain ${name} {`, ...lines.map((line) => `    ${line}`), "  }", ""];
}
