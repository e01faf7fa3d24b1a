import { formatAmount, parseAmount } from "../pricing/pricing";

/** Net price of one thing; decimal text as Hetzner gives it. */
export interface Rate {
  readonly hourly: string;
  /** What a calendar month costs at most. */
  readonly monthly: string;
}

/** Today's prices. */
export interface Rates {
  /** ISO code, such as EUR. */
  readonly currency: string;
  /** By server type, then by location. */
  readonly servers: ReadonlyMap<string, ReadonlyMap<string, Rate>>;
  /** Of a primary IPv4 address, by location. */
  readonly ipv4: ReadonlyMap<string, Rate>;
}

export interface BilledServer {
  readonly name: string;
  readonly serverType: string;
  readonly location: string;
  readonly createdAt: Date;
  readonly hasIpv4: boolean;
}

export interface BillItem {
  readonly server: string;
  /** Hours that have begun. */
  readonly hours: number;
  /** Net, with its IPv4 address. */
  readonly net: string;
}

export interface Bill {
  readonly currency: string;
  readonly net: string;
  readonly items: readonly BillItem[];
  /** Servers that Hetzner names no price for. */
  readonly unpriced: readonly string[];
}

const HOUR_MS = 60 * 60 * 1000;

/**
 * What servers that live now have cost from one moment to another: by the hour that has begun, up to the cap of each
 * calendar month, at today's prices. Sums are exact; only what is returned is rounded, half up. Servers that are deleted
 * by now, former types of those that were rescaled, and former prices cannot be known from the API.
 * Months are those of UTC.
 */
export function bill(servers: readonly BilledServer[], rates: Rates, from: Date, to: Date): Bill {
  const unpriced: string[] = [];
  let sum = 0n;
  const items = servers.flatMap((server) => {
    const charged = ratesOf(server, rates);
    if (charged === undefined) {
      unpriced.push(server.name);
      return [];
    }
    const begin = new Date(Math.max(from.getTime(), server.createdAt.getTime()));
    const months = monthsBetween(begin, to).map(([start, end]) =>
      Math.ceil((end.getTime() - start.getTime()) / HOUR_MS),
    );
    const net = charged
      .flatMap((rate) => months.map((hours) => capped(rate, hours)))
      .reduce((total, one) => total + one, 0n);
    sum += net;
    const hours = months.reduce((total, one) => total + one, 0);
    return [{ server: server.name, hours, net: formatAmount(net) }];
  });
  return { currency: rates.currency, net: formatAmount(sum), items, unpriced };
}

/** First moment of the month, in UTC. */
export function monthStart(date: Date): Date {
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1));
}

/** First moment of the next month, in UTC. */
export function nextMonth(date: Date): Date {
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1));
}

/** What a whole month of these servers costs, net and exact; those without a price are left out. */
export function monthlyAmount(servers: readonly BilledServer[], rates: Rates): bigint {
  return servers
    .flatMap((server) => ratesOf(server, rates) ?? [])
    .reduce((sum, { monthly }) => sum + parseAmount(monthly), 0n);
}

function ratesOf(
  { serverType, location, hasIpv4 }: BilledServer,
  { servers, ipv4 }: Rates,
): readonly Rate[] | undefined {
  const server = servers.get(serverType)?.get(location);
  const address = ipv4.get(location);
  if (server === undefined) return undefined;
  if (!hasIpv4) return [server];
  return address === undefined ? undefined : [server, address];
}

function capped({ hourly, monthly }: Rate, hours: number): bigint {
  const [byHour, cap] = [parseAmount(hourly) * BigInt(hours), parseAmount(monthly)];
  return byHour < cap ? byHour : cap;
}

function monthsBetween(from: Date, to: Date): [Date, Date][] {
  const spans: [Date, Date][] = [];
  for (let start = from; start < to;) {
    const next = nextMonth(start);
    const end = next < to ? next : to;
    spans.push([start, end]);
    start = end;
  }
  return spans;
}
