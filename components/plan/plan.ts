import {
  githubApi,
  type Obstacle,
  orObstacle,
  readHetzner,
  type ServersDiffer,
} from "../preflight/facts";
import { runnerRepositories } from "../preflight/repositories";
import { readPoolLives } from "../runnerVersions/stackLives";
import type { Stack } from "../stack/stack";
import { readJobs } from "./jobs";
import { previewStack } from "./preview";
import { type BlockReason, makeReport, type Report } from "./report";

export interface PlanOptions {
  /** Looks at what there really is, rather than at what the last run has recorded. */
  readonly refresh?: boolean;
  /** Reasons that do not block. */
  readonly allow?: readonly BlockReason[];
}

/**
 * Says what a run would do. Reads only, and of the stack's secrets nothing but the tokens of both APIs.
 * @param stack one that was opened with `EVENTS_ENVIRONMENT`
 * @throws Error with the CLI's last words when there is neither a preview nor a reason.
 */
export async function planStack(
  stack: Stack,
  { refresh, allow = [] }: PlanOptions = {},
): Promise<Report> {
  const { name, prefix, settings, hcloud, github } = stack;
  const hasHosts = Object.keys(settings.pools).length > 0;
  const [preview, hetzner, lives, jobs] = await Promise.all([
    previewStack(stack, { refresh }),
    // Without a pool as well: it may be the last hosts that go.
    orObstacle(() => readHetzner(hcloud, prefix, settings.management, {})),
    readPoolLives(settings, github),
    orObstacle(() =>
      readJobs(githubApi(github), settings.organization, runnerRepositories(settings)),
    ),
  ]);
  const needsHetzner = hasHosts || preview.steps.some(({ type }) => type.startsWith("hcloud:"));
  return makeReport({
    stack: name,
    project: stack.project,
    settings,
    preview,
    hetzner: needsHetzner ? known(hetzner, "stock and prices", "Hetzner") : undefined,
    lives: known(lives, "how long GitHub serves the runners", "GitHub"),
    jobs: known(jobs, "which jobs run and wait", "GitHub"),
    allowed: allow,
  });
}

/** What was read, or a sentence about what is not known for which reason. */
function known<T extends object>(
  found: T | Obstacle | ServersDiffer,
  what: string,
  api: string,
): T | string {
  if (!("obstacle" in found)) return found;
  return `${what}: ${reasonOf(found, api)}`;
}

function reasonOf(obstacle: Obstacle | ServersDiffer, api: string): string {
  switch (obstacle.obstacle) {
    case "tokenMissing":
      return `there is no token for ${api}'s API`;
    case "tokenMalformed":
      return `the token for ${api}'s API has a form that none has`;
    case "tokenRefused":
      return `${api} refuses the token`;
    case "endpointInvalid":
      return `the address of ${api}'s API is ${obstacle.found}, expected ${obstacle.expected}`;
    case "serversDiffer":
      return "githubUrl and github:baseUrl lead to two servers";
    case "failed":
      return obstacle.sentence.replace(/\.$/, "");
  }
}
