import { misleadingEnvironment } from "../config/load";
import type { FleetSettings } from "../config/schema";
import type { GitHubFacts, HetznerFacts } from "../preflight/facts";
import {
  choices,
  listPlaces,
  orderableNow,
  type Preferences,
  tokenServicePreferences,
} from "../runnerPool/placement";
import { lifeSentence } from "../runnerVersions/runnerLife";
import { poolLives } from "../runnerVersions/stackLives";
import { type Finding, ok, orOk, problem, skipped, warning } from "./check";
import type { Context } from "./context";
import { findingsAbout } from "./verdict";

const NO_HOSTS = "There is no pool of own hosts.";

/** What depends on the organization's plan beside what preflight knows of it. */
export function judgePlan(
  settings: Pick<FleetSettings, "organization" | "pools" | "runnerGroup">,
  { organization, runnerGroupExists }: Pick<GitHubFacts, "organization" | "runnerGroupExists">,
): readonly Finding[] {
  if (organization.kind !== "organization") return [skipped("There is no such organization.")];
  const { plan } = organization;
  if (plan === undefined) {
    return [skipped("GitHub tells the plan to owners by a token with the scope admin:org alone.")];
  }
  const findings: Finding[] = [];
  const hasHosts = Object.keys(settings.pools).length > 0;
  if (plan === "free" && hasHosts && !runnerGroupExists) {
    findings.push(
      warning(
        `${settings.organization} has GitHub's Free plan, of which GitHub's documentation says both that runner groups can be made and that they cannot; without one \`pulumi up\` ends at the first resource.`,
      ),
    );
  }
  if (settings.runnerGroup.restrictToWorkflows && plan !== "enterprise") {
    findings.push(
      warning(
        `runnerGroup.restrictToWorkflows is true, which GitHub documents for its plan Enterprise alone, and ${settings.organization} has the plan ${plan}: look whether the runner group shows the workflows.`,
      ),
    );
  }
  return orOk(
    findings,
    `${settings.organization} has the plan ${plan}, which has all that is configured.`,
  );
}

export async function checkPlan(context: Context): Promise<readonly Finding[]> {
  const { settings, project } = await context.stack();
  const [facts, verdict] = await Promise.all([context.githubFacts(), context.verdict()]);
  const told = findingsAbout("plan", verdict, project);
  const judged = judgePlan(settings, facts);
  const found = judged.filter(({ status }) => status === "warning");
  return told.length + found.length > 0 ? [...told, ...found] : judged;
}

export async function checkConfiguration(context: Context): Promise<readonly Finding[]> {
  const { project, settings } = await context.stack();
  const misleading = misleadingEnvironment(settings.organization, context.environment);
  const told = findingsAbout("configuration", await context.verdict(), project);
  return orOk(
    [...misleading.map((sentence) => problem(sentence)), ...told],
    "Both APIs have what the configuration names.",
  );
}

/** What of it can be ordered now, one sentence for each list of choices. */
export function stockSentences(settings: FleetSettings, facts: HetznerFacts): readonly string[] {
  const now = orderableNow(settings.network.zone, facts);
  const wanted: [what: string, preferences: Preferences | undefined][] = [
    ...Object.entries(settings.pools).map(([name, pool]): [string, Preferences] => [
      `pool ${name}`,
      pool,
    ]),
    ["the token service", tokenServicePreferences(settings)],
  ];
  return wanted.flatMap(([what, preferences]) => {
    if (preferences === undefined) return [];
    const all = choices(preferences);
    const places = all.filter((one) =>
      now.some((other) => other.serverType === one.serverType && other.location === one.location),
    );
    if (places.length === 0)
      return [`Nothing of ${listPlaces(all)} can be ordered for ${what} now.`];
    return [`For ${what} ${listPlaces(places)} can be ordered now.`];
  });
}

export async function checkStock(context: Context): Promise<readonly Finding[]> {
  const { project } = await context.stack();
  const facts = await context.hetznerFacts();
  if (facts === undefined) return [skipped(NO_HOSTS)];
  const [settings, verdict] = await Promise.all([context.settings(), context.verdict()]);
  const told = findingsAbout("stock", verdict, project);
  return [...told, ...stockSentences(settings, facts).map(stockFinding(told))];
}

/** That nothing can be ordered is worth a warning although all that is wanted lives; where it is a problem, preflight says so. */
function stockFinding(told: readonly Finding[]) {
  return (sentence: string): Finding =>
    sentence.startsWith("Nothing") && told.length === 0 ? warning(sentence) : ok(sentence);
}

export async function checkRunnerVersions(context: Context): Promise<readonly Finding[]> {
  const { project } = await context.stack();
  const settings = await context.settings();
  if (Object.keys(settings.pools).length === 0) return [skipped(NO_HOSTS)];
  const [facts, verdict] = await Promise.all([context.githubFacts(), context.verdict()]);
  const told = findingsAbout("runner-versions", verdict, project);
  if (told.length > 0) return told.map((one) => ({ ...one, repair: "npm run bump" }));
  return poolLives(settings, facts.runnerVersions, facts.readAt).map(({ pool, reference, life }) =>
    reference === undefined
      ? ok(`Pool ${pool}: ${lifeSentence(life)}.`)
      : skipped(`Pool ${pool}: ${reference} may hold any version.`),
  );
}
