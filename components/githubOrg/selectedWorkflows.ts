import type { FleetSettings } from "../config/schema";
import { reusablePath } from "../imageWorkflow/workflow";

/** Settings that say which workflows may use the runner group. */
export type RestrictionSettings = Pick<
  FleetSettings,
  "organization" | "targets" | "reusableWorkflows" | "runnerGroup" | "canary"
>;

/**
 * The workflows, each at one ref, whose jobs alone the runner group takes; undefined where it takes those of any.
 *
 * Only what targets call: GitHub compares the ref of the file that defines a job. That is the branch that the caller
 * names for a called workflow, whatever the run is for, but refs/tags/… or refs/pull/…/merge for a file of the
 * repository itself, which no list of refs could name beforehand.
 *
 * And the canary's, which is started on one branch alone.
 * @param centralBranch branch of the central repository
 * @param proof where the canary's workflow lies in its repository
 */
export function selectedWorkflows(
  settings: RestrictionSettings,
  centralBranch: string | undefined,
  proof?: { readonly path: string; readonly branch: string },
): string[] | undefined {
  const { organization, targets, reusableWorkflows, runnerGroup, canary } = settings;
  if (!runnerGroup.restrictToWorkflows) return undefined;
  const called = Object.values(targets).filter(
    ({ strategy, emit }) => strategy === "hybrid" && emit === "reusable",
  );
  return [
    ...[...new Set(called.map(reusablePath))]
      .sort()
      .map(
        (path) =>
          `${organization}/${reusableWorkflows.repository}/${path}@refs/heads/${centralBranch}`,
      ),
    ...(canary.repository === undefined || proof === undefined
      ? []
      : [`${organization}/${canary.repository}/${proof.path}@refs/heads/${proof.branch}`]),
  ];
}
