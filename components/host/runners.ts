import { z } from "zod";
import { type ApiTarget, list, request } from "./request";

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

/** The runners of a host: called as the host, the number of the slot and the six characters of one job's runner. */
export async function runnersOf(
  github: ApiTarget,
  organization: string,
  host: string,
): Promise<ListedRunner[]> {
  const isSlot = new RegExp(`^${host}-\\d{1,2}$`);
  const runners = await organizationRunners(github, organization);
  return runners.filter(({ name }) => isSlot.test(slotOf(name)));
}

/** Name of the slot that a runner is of, such as dev-arm64-1-1-2 for dev-arm64-1-1-2-x7k2p9. */
export function slotOf(runner: string): string {
  return runner.replace(/-[a-z0-9]{6}$/, "");
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
