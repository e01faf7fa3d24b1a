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
  /** GitHub's own, which nobody made. */
  readonly isDefault: boolean;
  readonly allowsPublicRepositories: boolean;
}

const runner = z.object({
  id: z.int(),
  name: z.string(),
  status: z.string(),
  runner_group_id: z.int().nullish(),
  labels: z.array(z.object({ name: z.string() })),
});

const group = z.object({
  id: z.int(),
  name: z.string(),
  default: z.boolean(),
  allows_public_repositories: z.boolean(),
});

/** Every self-hosted runner of the organization. */
export async function readRunners(api: Api, organization: string): Promise<ListedRunner[]> {
  const found = await api.list(`/orgs/${organization}/actions/runners`, "runners", runner);
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
  const found = await api.list(path, "runner_groups", group);
  return found.map(({ id, name, default: isDefault, allows_public_repositories }) => ({
    id,
    name,
    isDefault,
    allowsPublicRepositories: allows_public_repositories,
  }));
}

/** What a variable holds; undefined where there is none. */
export async function readVariable(api: Api, path: string): Promise<string | undefined> {
  return (await api.get(path, z.object({ value: z.string() })))?.value;
}
