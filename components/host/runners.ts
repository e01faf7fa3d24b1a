import { z } from "zod";
import { type ApiTarget, HostError, request } from "./request";

/** GitHub's list of an organization's self-hosted runners, as far as hosts are concerned. */

export interface ListedRunner {
  readonly id: number;
  readonly name: string;
  readonly online: boolean;
}

const page = z.object({
  runners: z.array(z.object({ id: z.int(), name: z.string(), status: z.string() })),
});

const PAGE = 100;
/** An organization has 10,000 runners at most. */
const MAX_PAGES = 100;

/** The runners that are called as one of `names` followed by a hyphen and the six characters of one job's runner. */
export async function runnersNamed(
  github: ApiTarget,
  organization: string,
  names: readonly string[],
): Promise<ListedRunner[]> {
  const wanted = new Set(names);
  const found: ListedRunner[] = [];
  for (let number = 1; number <= MAX_PAGES; number++) {
    const path = `/orgs/${organization}/actions/runners?per_page=${PAGE}&page=${number}`;
    const { body } = await request(github, "GET", path, [200]);
    const parsed = page.safeParse(body);
    if (!parsed.success) throw new HostError(`GitHub answered GET ${path} without a list.`);
    const { runners } = parsed.data;
    for (const { id, name, status } of runners) {
      if (wanted.has(slotOf(name))) found.push({ id, name, online: status === "online" });
    }
    if (runners.length < PAGE) return found;
  }
  throw new HostError(`GitHub lists more than ${PAGE * MAX_PAGES} runners.`);
}

/** Name of the slot that a runner is of, such as dev-arm64-1-1-2 for dev-arm64-1-1-2-x7k2p9. */
export function slotOf(runner: string): string {
  return runner.replace(/-[a-z0-9]{6}$/, "");
}

/** @returns "busy" when GitHub refuses because the runner has a job. */
export async function deleteRunner(
  github: ApiTarget,
  organization: string,
  runner: ListedRunner,
): Promise<"gone" | "busy"> {
  const path = `/orgs/${organization}/actions/runners/${runner.id}`;
  const { status } = await request(github, "DELETE", path, [204, 404, 422]);
  return status === 422 ? "busy" : "gone";
}
