import type { FleetSettings } from "../config/schema";
import { RUNNER_VERSION, runnerImage } from "../pins/pins";
import type { Sources } from "./sources";
import { stackVersions } from "./stackVersions";
import { chooseVersion, STABLE } from "./versions";

/** What a pool of a stack is to run. */
export interface StackProposal {
  /** Such as pools.arm64.runner.version. */
  readonly key: string;
  readonly current: string;
  readonly next: string;
  /** Where the stack's file sets it; undefined where it does not. */
  readonly range: readonly [number, number] | undefined;
  readonly notes: readonly string[];
}

/**
 * Asks for the newest release whose image the pool runs can be had.
 * @param text the stack's file
 * @throws ApiError as one sentence.
 */
export async function proposeForStack(
  text: string,
  {
    project,
    settings,
  }: { readonly project: string; readonly settings: Pick<FleetSettings, "pools"> },
  sources: Sources,
): Promise<readonly StackProposal[]> {
  const set = new Map(stackVersions(text, project).map((one) => [one.pool, one.range]));
  const releases = set.size === 0 ? [] : await sources.releases("actions/runner");
  const published = releases.map((tag) => tag.replace(/^v/, ""));
  return Promise.all(
    Object.entries(settings.pools).map(async ([pool, { runner }]): Promise<StackProposal> => {
      const range = set.get(pool);
      const key = `pools.${pool}.runner.version`;
      const unchanged = { key, current: runner.version, next: runner.version, range };
      if (runner.reference !== undefined) {
        return { ...unchanged, range: undefined, notes: ["runs an image of your own"] };
      }
      if (range === undefined) {
        const notes =
          runner.version === RUNNER_VERSION
            ? ["follows the table of pins"]
            : ["not set in this file"];
        return { ...unchanged, notes };
      }
      const { next } = chooseVersion(runner.version, published, STABLE);
      if (next === runner.version) return { ...unchanged, notes: [] };
      const [image = ""] = runnerImage(runner.image, next).split("@");
      const reference = image.startsWith("ghcr.io/") ? image : `docker.io/${image}`;
      if ((await sources.digest(reference)) === undefined) {
        const notes = [`${next} is released, but its image ${reference} is not there`];
        return { ...unchanged, notes };
      }
      const tableHasIt =
        next === RUNNER_VERSION
          ? ["the version of the table of pins: without this key the pool follows it"]
          : [];
      return { ...unchanged, next, notes: tableHasIt };
    }),
  );
}
