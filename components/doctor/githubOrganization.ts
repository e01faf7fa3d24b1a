import { z } from "zod";
import type { Api } from "../preflight/api";

export interface ListedRunner {
  readonly id: number;
  readonly name: string;
  readonly online: boolean;
  /** Id of its group; undefined where GitHub does not say. */
  readonly group: number | undefined;
  readonly labels: readonly string[];
}

export interface RunnerGroup {
  readonly id: number;
  readonly name: string;
  readonly allowsPublicRepositories: boolean;
}

const PER_PAGE = 100;
/** An organization has 10,000 runners at most. */
const MAX_PAGES = 100;

const runnersPage = z.object({
  runners: z.array(
    z.object({
      id: z.int(),
      name: z.string(),
      status: z.string(),
      runner_group_id: z.int().nullish(),
      labels: z.array(z.object({ name: z.string() })),
    }),
  ),
});

const groupsPage = z.object({
  runner_groups: z.array(
    z.object({ id: z.int(), name: z.string(), allows_public_repositories: z.boolean() }),
  ),
});

/** Every self-hosted runner of the organization. */
export async function readRunners(api: Api, organization: string): Promise<ListedRunner[]> {
  const path = `/orgs/${organization}/actions/runners`;
  const found = await readAll(api, path, runnersPage, ({ runners }) => runners);
  return found.map(({ id, name, status, runner_group_id, labels }) => ({
    id,
    name,
    online: status === "online",
    group: runner_group_id ?? undefined,
    labels: labels.map((label) => label.name),
  }));
}

export async function readRunnerGroups(api: Api, organization: string): Promise<RunnerGroup[]> {
  const path = `/orgs/${organization}/actions/runner-groups`;
  const found = await readAll(api, path, groupsPage, ({ runner_groups }) => runner_groups);
  return found.map(({ id, name, allows_public_repositories }) => ({
    id,
    name,
    allowsPublicRepositories: allows_public_repositories,
  }));
}

/** What a variable holds; undefined where there is none. */
export async function readVariable(api: Api, path: string): Promise<string | undefined> {
  return (await api.get(path, z.object({ value: z.string() })))?.value;
}

async function readAll<P, T>(
  api: Api,
  path: string,
  schema: z.ZodType<P>,
  itemsOf: (page: P) => readonly T[],
): Promise<T[]> {
  const all: T[] = [];
  for (let number = 1; number <= MAX_PAGES; number++) {
    const at = `${path}?per_page=${PER_PAGE}&page=${number}`;
    const items = itemsOf(api.parse(at, await api.ask(at, [200]), schema));
    all.push(...items);
    if (items.length < PER_PAGE) return all;
  }
  throw new Error(`${api.name} has more than ${MAX_PAGES} pages of ${path}.`);
}
