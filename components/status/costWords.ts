import type { BreakEven } from "../costs/breakEven";
import type { CostStatus, FleetStatus } from "./model";
import { plural } from "./words";

const DAY_MS = 24 * 60 * 60 * 1000;

/** What the servers cost, one sentence each. */
export function billSentences(costs: CostStatus): string[] {
  const { currency, soFar, byMonthEnd, monthly, budget, overBudget } = costs;
  const against =
    budget === null
      ? "there is no budget (budget.monthlyEur)"
      : `${overBudget ? "over" : "within"} the budget of ${budget}`;
  return [
    `This month so far: ${soFar.net} ${currency} net for ${plural(soFar.items.length, "server")}, ${byMonthEnd} by its end if they stay.`,
    `A whole month: ${monthly} ${currency} net, ${against}.`,
    ...soFar.unpriced.map((name) => `Hetzner names no price for ${name}.`),
    "Servers that are deleted by now are not in it, and prices are those of today.",
  ];
}

/** How own hosts compare with hosted runners, one sentence each. */
export function breakEvenSentences(costs: CostStatus, jobs: FleetStatus["jobs"]): string[] {
  const { breakEven: found } = costs;
  if (found === null)
    return ["GitHub does not say which jobs ran, so there is no comparison with hosted runners."];
  const days = Math.max(1, Math.round((Date.parse(found.to) - Date.parse(found.from)) / DAY_MS));
  const since =
    jobs?.truncated === true
      ? `Since ${found.from.slice(0, 10)}, as far back as the newest ${plural(jobs.runs, "run")} go`
      : `In the last ${plural(days, "day")}`;
  return [
    `${since}, own hosts ran ${plural(found.jobs, "job")}: ${plural(found.privateMinutes, "minute")} in private and ${found.publicMinutes} in public repositories, each job rounded up as GitHub bills.`,
    hostedSentence(found),
    verdict(found),
    ...threshold(found),
    "Not counted: minutes that a GitHub plan includes, and that a hosted runner with 2 cores may take longer for the same job.",
  ];
}

function hostedSentence({
  usdPerMinute,
  hostedUsd,
  hosted,
  currency,
  usdPerEur,
  own,
}: BreakEven): string {
  const converted =
    hosted === null || currency === "USD"
      ? ""
      : `, ${hosted} ${currency} at ${usdPerEur} USD for 1 EUR`;
  return `Hosted arm64 runners with 2 cores would have cost ${hostedUsd} USD at ${usdPerMinute} a private minute${converted}; public minutes are free. The servers cost ${own} ${currency}.`;
}

function verdict({ cheaper, difference, currency }: BreakEven): string {
  switch (cheaper) {
    case "own":
      return `Own hosts were cheaper by ${difference} ${currency}.`;
    case "hosted":
      return `Hosted runners would have been cheaper by ${difference} ${currency}.`;
    case "equal":
      return "Both cost the same.";
    case "unknown":
      return `There is no rate between USD and ${currency}, so neither is called cheaper.`;
  }
}

function threshold({ minutesPerMonth }: BreakEven): string[] {
  if (minutesPerMonth === null || minutesPerMonth === 0) return [];
  return [`Own hosts pay from ${minutesPerMonth} private minutes a month on.`];
}
