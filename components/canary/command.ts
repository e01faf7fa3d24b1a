import { reader } from "../host/commands";
import type { CanaryJob } from "./runCanary";

/** The command that the engine runs on the machine where Pulumi runs. */
export const RUN_CANARY = "node --import tsx components/canary/runCanary.main.ts";

/** Its variables. Those that a stack does not set come from the run's own environment. */
export type CanaryEnvironment = Partial<
  Record<
    | "HOST"
    | "GITHUB_API"
    | "GITHUB_TOKEN"
    | "CANARY_REPOSITORY"
    | "CANARY_WORKFLOW"
    | "CANARY_BRANCH"
    | "TIMEOUT_SECONDS",
    string
  >
>;

export function readCanary(environment: CanaryEnvironment): {
  readonly job: CanaryJob;
  readonly timeoutSeconds: number;
} {
  const read = reader(environment);
  return {
    job: {
      host: read("HOST"),
      github: { name: "GitHub", baseUrl: read("GITHUB_API"), token: read("GITHUB_TOKEN") },
      repository: read("CANARY_REPOSITORY"),
      workflow: read("CANARY_WORKFLOW"),
      branch: read("CANARY_BRANCH"),
    },
    timeoutSeconds: Number(read("TIMEOUT_SECONDS")),
  };
}
