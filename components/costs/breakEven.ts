import { formatAmount, parseAmount } from "../pricing/pricing";
import { bill, type BilledServer, monthlyAmount, type Rates } from "./bill";

/**
 * What a minute of GitHub's standard Linux runner for arm64 with 2 cores (`ubuntu-24.04-arm`) costs in a private
 * repository, in USD: "Linux 2-core (arm64)" of https://docs.github.com/en/billing/reference/actions-runner-pricing.
 * The larger ones there have 4 cores for 0.008, 8 for 0.014 and 16 for 0.026. In public repositories minutes of the
 * standard runner are free.
 */
export const HOSTED_USD_PER_MINUTE = "0.005";

/** USD for one EUR unless it is given: near the European Central Bank's reference rate of late 2025. */
export const USD_PER_EUR = "1.16";

export interface FinishedJob {
  /** Of its repository. */
  readonly private: boolean;
  readonly startedAt: Date;
  readonly completedAt: Date;
}

/** Own hosts against hosted runners, over the same days. Amounts are net, with two places. */
export interface BreakEven {
  /** ISO 8601. */
  readonly from: string;
  readonly to: string;
  readonly jobs: number;
  /** Minutes as GitHub bills them: each job rounded up. */
  readonly privateMinutes: number;
  /** The same in public repositories, where hosted ones are free. */
  readonly publicMinutes: number;
  readonly usdPerMinute: string;
  readonly usdPerEur: string;
  readonly hostedUsd: string;
  /** In the currency of the bill; null where there is no rate for it. */
  readonly hosted: string | null;
  /** What the servers that live now have cost in that time. */
  readonly own: string;
  readonly currency: string;
  readonly cheaper: "own" | "hosted" | "equal" | "unknown";
  /** Between the two; null where it is unknown. */
  readonly difference: string | null;
  /** Private minutes a month from which on the servers cost no more than hosted runners. */
  readonly minutesPerMonth: number | null;
}

const ONE = parseAmount("1");
const MINUTE_MS = 60_000;

/**
 * @param jobs that ran on own hosts and are done
 * @param usdPerEur decimal text, more than 0
 */
export function breakEven(
  jobs: readonly FinishedJob[],
  servers: readonly BilledServer[],
  rates: Rates,
  from: Date,
  to: Date,
  usdPerEur: string = USD_PER_EUR,
): BreakEven {
  const minutes = (ofPrivate: boolean) =>
    jobs
      .filter((job) => job.private === ofPrivate)
      .map(({ startedAt, completedAt }) => completedAt.getTime() - startedAt.getTime())
      .reduce((sum, ms) => sum + Math.max(1, Math.ceil(ms / MINUTE_MS)), 0);
  const privateMinutes = minutes(true);
  const usd = BigInt(privateMinutes) * parseAmount(HOSTED_USD_PER_MINUTE);
  const usdPerUnit = unitInUsd(rates.currency, usdPerEur);
  const hosted = usdPerUnit === undefined ? undefined : formatAmount((usd * ONE) / usdPerUnit);
  const own = bill(servers, rates, from, to).net;
  // Of what is shown, so that it adds up for those who check.
  const difference = hosted === undefined ? undefined : parseAmount(hosted) - parseAmount(own);
  return {
    from: from.toISOString(),
    to: to.toISOString(),
    jobs: jobs.length,
    privateMinutes,
    publicMinutes: minutes(false),
    usdPerMinute: HOSTED_USD_PER_MINUTE,
    usdPerEur,
    hostedUsd: formatAmount(usd),
    hosted: hosted ?? null,
    own,
    currency: rates.currency,
    cheaper:
      difference === undefined
        ? "unknown"
        : difference === 0n
          ? "equal"
          : difference > 0n
            ? "own"
            : "hosted",
    difference:
      difference === undefined ? null : formatAmount(difference < 0n ? -difference : difference),
    minutesPerMonth:
      usdPerUnit === undefined
        ? null
        : Number(minutesWorth(monthlyAmount(servers, rates), usdPerUnit)),
  };
}

function unitInUsd(currency: string, usdPerEur: string): bigint | undefined {
  if (currency === "USD") return ONE;
  return currency === "EUR" ? parseAmount(usdPerEur) : undefined;
}

/** How many hosted minutes an amount buys, rounded up. */
function minutesWorth(amount: bigint, usdPerUnit: bigint): bigint {
  const perMinute = parseAmount(HOSTED_USD_PER_MINUTE) * ONE;
  return (amount * usdPerUnit + perMinute - 1n) / perMinute;
}
