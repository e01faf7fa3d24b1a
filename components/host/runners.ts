import { z } from "zod";
import { type ApiTarget, list, request } from "./request";
import { isRunnerOf } from "./runnerNames";

/** GitHub's list of an organization's self-hosted runners, as far as hosts are concerned. */

export interface ListedRunner {
  readonly id: number;
  readonly name: string;
  readonly online: boolean;
  readonly labels: readonly string[];
}

const listed = z.object({
  id: z.int(),
  name: z.string(),
  status: z.string(),
  labels: z.array(z.object({ name: z.string() })),
});

/** Every self-hosted runner of the organization, of which there are 10,000 at most. */
export async function organizationRunners(
  github: ApiTarget,
  organization: string,
): Promise<ListedRunner[]> {
  const runners = await list(github, `/orgs/${organization}/actions/runners`, "runners", listed);
  return runners.map(({ id, name, status, labels }) => ({
    id,
    name,
    online: status === "online",
    labels: labels.map((label) => label.name),
  }));
}

/** The runners that are called as those of this host. */
export async function runnersOf(
  github: ApiTarget,
  organization: string,
  host: string,
): Promise<ListedRunner[]> {
  const runners = await organizationRunners(github, organization);
  return runners.filter(({ name }) => isRunnerOf(host, name));
}

/** Whether a runner, or a job, has all of these labels; GitHub ignores their case. */
export function hasLabels(own: readonly string[], labels: readonly string[]): boolean {
  const lower = own.map((label) => label.toLowerCase());
  return labels.every((label) => lower.includes(label.toLowerCase()));
}

/** @returns "busy" when GitHub refuses because the runner has a job. */
export async function deleteRunner(
  github: ApiTarget,
  organization: string,
  runner: Pick<ListedRunner, "id">,
): Promise<"gone" | "busy"> {
  const path = `/orgs/${organization}/actions/runners/${runner.id}`;
  const { status } = await request(github, "DELETE", path, [204, 404, 422]);
  return status === 422 ? "busy" : "gone";
}
