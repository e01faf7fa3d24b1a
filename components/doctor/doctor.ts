import type { Check } from "./check";
import { checkClock } from "./clock";
import { checkConfiguration, checkPlan, checkRunnerVersions, checkStock } from "./configuration";
import { checkSsh } from "./reach";
import { checkRouting, checkRunnerGroup } from "./routing";
import { checkRunners } from "./runners";
import { checkSecrets } from "./secrets";
import { checkState } from "./state";
import { checkCredential, checkGitHubToken, checkHetznerToken } from "./tokens";
import { checkStack, checkTools } from "./tools";

/** Everything that is looked at, in the order of the report. */
export const CHECKS: readonly Check[] = [
  { id: "tools", title: "Tools", run: checkTools },
  { id: "stack", title: "Stack and its file", run: checkStack },
  { id: "secrets", title: "Secrets", run: checkSecrets },
  { id: "hetzner-token", title: "Hetzner token", run: checkHetznerToken },
  { id: "github-token", title: "GitHub token", run: checkGitHubToken },
  { id: "credential", title: "Token service's credential", run: checkCredential },
  { id: "plan", title: "Organization's plan", run: checkPlan },
  { id: "configuration", title: "Configuration against the APIs", run: checkConfiguration },
  { id: "stock", title: "Stock", run: checkStock },
  { id: "runner-versions", title: "Runner versions", run: checkRunnerVersions },
  { id: "clock", title: "Clock", run: checkClock },
  { id: "ssh", title: "SSH", run: checkSsh },
  { id: "state", title: "State against Hetzner", run: checkState },
  { id: "runners", title: "Runners", run: checkRunners },
  { id: "runner-group", title: "Runner group", run: checkRunnerGroup },
  { id: "routing", title: "Routing variable", run: checkRouting },
];
