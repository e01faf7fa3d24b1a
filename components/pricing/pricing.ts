import type { HetznerFacts } from "../preflight/facts";

/** What is charged for. */
interface Priced {
  readonly serverType: string;
  readonly location: string;
}

type Prices = Pick<HetznerFacts, "serverTypes" | "primaryIpv4">;

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
  hosts: readonly Priced[],
  facts: Prices & Pick<HetznerFacts, "currency">,
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
      const { net, gross } = priceOf(group, facts);
      const count = BigInt(group.count);
      return { ...group, net: count * net, gross: count * gross };
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

/** Whether Hetzner names a price of this server and of its address. */
export function hasPrice({ serverType, location }: Priced, facts: Prices): boolean {
  return (
    facts.serverTypes.get(serverType)?.prices.has(location) === true &&
    facts.primaryIpv4.has(location)
  );
}

/**
 * What a change of servers costs more a month, net, with its sign: +10.99, -4.50, or 0.00. Exact, then rounded.
 * @throws Error when Hetzner names no price for one of them.
 */
export function costChange(
  before: readonly Priced[],
  after: readonly Priced[],
  facts: Prices,
): string {
  const change = netOf(after, facts) - netOf(before, facts);
  const text = formatAmount(change < 0n ? -change : change);
  return text === "0.00" ? text : `${change < 0n ? "-" : "+"}${text}`;
}

/**
 * Whether the servers cost more than the budget, net and exactly.
 * @param budget an amount a month in the currency of the prices
 * @throws Error when Hetzner names no price for one of them.
 */
export function exceeds(servers: readonly Priced[], budget: number, facts: Prices): boolean {
  return netOf(servers, facts) > parseAmount(decimalText(budget));
}

/** A budget as amounts are written: 60 is 60.00. */
export function formatBudget(budget: number): string {
  return formatAmount(parseAmount(decimalText(budget)));
}

/** Very large and very small numbers are written with an exponent otherwise. */
function decimalText(value: number): string {
  const text = String(value);
  if (!text.includes("e")) return text;
  return Number.isInteger(value) ? String(BigInt(value)) : value.toFixed(SCALE);
}

function netOf(servers: readonly Priced[], facts: Prices): bigint {
  return servers.reduce((sum, server) => sum + priceOf(server, facts).net, 0n);
}

/** Exact price of a server with its address. */
function priceOf(
  { serverType, location }: Priced,
  facts: Prices,
): { readonly net: bigint; readonly gross: bigint } {
  const server = facts.serverTypes.get(serverType)?.prices.get(location);
  const address = facts.primaryIpv4.get(location);
  if (server === undefined || address === undefined) {
    const what = server === undefined ? serverType : "an IPv4 address";
    throw new Error(`Hetzner names no price of ${what} in ${location}.`);
  }
  return {
    net: parseAmount(server.net) + parseAmount(address.net),
    gross: parseAmount(server.gross) + parseAmount(address.gross),
  };
}

/** Digits after the point that are kept; Hetzner gives up to 16. */
const SCALE = 20;

/** Exact: a whole number of 10^-20. @throws Error for anything but a decimal number. */
export function parseAmount(text: string): bigint {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  const fraction = match?.[2]?.replace(/0+$/, "") ?? "";
  if (match?.[1] === undefined || fraction.length > SCALE) {
    throw new Error(`Hetzner names the price ${JSON.stringify(text)}, expected a decimal number.`);
  }
  return BigInt(match[1] + fraction.padEnd(SCALE, "0"));
}

/** With two places, rounded half up. */
export function formatAmount(amount: bigint): string {
  const cent = 10n ** BigInt(SCALE - 2);
  const digits = String((amount + cent / 2n) / cent).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
