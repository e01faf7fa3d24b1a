import type { Report } from "../../../components/plan/report";

/** Of a plan that would change nothing. */
export const UNCHANGED: Report = {
  stack: "dev",
  outcome: "unchanged",
  blocks: [],
  problems: [],
  warnings: [],
  notes: [],
  servers: [],
  serverCount: { now: 2, most: 2, after: 2 },
  cost: { currency: "EUR", before: "17.48", after: "17.48", change: "0.00", budget: undefined },
  drains: [],
  queues: [],
  secrets: [],
  workflows: [],
  others: {},
};
