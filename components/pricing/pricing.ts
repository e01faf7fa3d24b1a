import type { HetznerFacts } from "../preflight/facts";

/** What servers cost a month, IPv4 addresses included; amounts are decimal text with two places. */
export interface MonthlyCost {
  /** ISO code, such as EUR. */
  readonly currency: string;
  readonly net: string;
  /** With value-added tax. */
  readonly gross: string;
  /** One for each server type and location, in alphabetical order. */
  readonly items: readonly CostItem[];
}

export interface CostItem {
  readonly serverType: string;
  readonly location: string;
  readonly count: number;
  readonly net: string;
}

/**
 * Adds up today's prices of hosts that have one IPv4 address each.
 * Sums are exact; only what is returned is rounded, half up.
 * @throws Error when Hetzner names no price for one of them.
 */
export function monthlyCost(
  hosts: readonly { readonly serverType: string; readonly location: string }[],
  facts: Pick<HetznerFacts, "serverTypes" | "primaryIpv4" | "currency">,
): MonthlyCost {
  const groups = new Map<string, { serverType: string; location: string; count: number }>();
  for (const { serverType, location } of hosts) {
    const key = `${serverType} ${location}`;
    const { count } = groups.get(key) ?? { count: 0 };
    groups.set(key, { serverType, location, count: count + 1 });
  }
  const items = [...groups]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, group]) => {
      const server = facts.serverTypes.get(group.serverType)?.prices.get(group.location);
      const address = facts.primaryIpv4.get(group.location);
      if (server === undefined || address === undefined) {
        const what = server === undefined ? group.serverType : "an IPv4 address";
        throw new Error(`Hetzner names no price of ${what} in ${group.location}.`);
      }
      const count = BigInt(group.count);
      return {
        ...group,
        net: count * (parseAmount(server.net) + parseAmount(address.net)),
        gross: count * (parseAmount(server.gross) + parseAmount(address.gross)),
      };
    });
  return {
    currency: facts.currency,
    net: formatAmount(items.reduce((sum, { net }) => sum + net, 0n)),
    gross: formatAmount(items.reduce((sum, { gross }) => sum + gross, 0n)),
    items: items.map(({ serverType, location, count, net }) => ({
      serverType,
      location,
      count,
      net: formatAmount(net),
    })),
  };
}

/** Digits after the point that are kept; Hetzner gives up to 16. */
const SCALE = 20;

function parseAmount(text: string): bigint {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  const fraction = match?.[2]?.replace(/0+$/, "") ?? "";
  if (match?.[1] === undefined || fraction.length > SCALE) {
    throw new Error(`Hetzner names the price ${JSON.stringify(text)}, expected a decimal number.`);
  }
  return BigInt(match[1] + fraction.padEnd(SCALE, "0"));
}

function formatAmount(amount: bigint): string {
  const cent = 10n ** BigInt(SCALE - 2);
  const digits = String((amount + cent / 2n) / cent).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
