import type { FleetSettings } from "../config/schema";
import {
  type ImageWorkflowModel,
  imageWorkflowModel,
  renderCaller,
  renderReusable,
  renderWorkflow,
  reusablePath,
} from "./workflow";

/** Whole files. */
export interface EmittedWorkflows {
  /** The file of each target, by its key. */
  readonly targets: Readonly<Record<string, string>>;
  /** Files of the central repository, by path: what targets with `emit: reusable` call. */
  readonly central: Readonly<Record<string, string>>;
}

/** Paths of the files that go to the central repository. */
export function centralPaths(settings: Pick<FleetSettings, "targets">): string[] {
  const calling = Object.values(settings.targets).filter(({ emit }) => emit === "reusable");
  return [...new Set(calling.map(reusablePath))].sort();
}

/**
 * Everything that is emitted for a stack.
 * @param branches the branch of each target, by its key
 * @param centralBranch the branch of the central repository, needed where a target calls a workflow there
 * @throws Error with one sentence when settings do not make a workflow that can publish, or a branch is missing.
 */
export function emitWorkflows(
  generator: Omit<ImageWorkflowModel["generator"], "target">,
  settings: Pick<FleetSettings, "organization" | "targets" | "routing" | "reusableWorkflows">,
  branches: Readonly<Record<string, string>>,
  centralBranch: string | undefined,
): EmittedWorkflows {
  const { organization, routing, reusableWorkflows } = settings;
  const targets: Record<string, string> = {};
  const central: Record<string, string> = {};
  for (const [target, one] of Object.entries(settings.targets)) {
    const branch = branches[target];
    if (branch === undefined) throw new Error(`The branch of target ${target} is not known.`);
    const model = imageWorkflowModel({ ...generator, target }, one, routing, branch);
    if (one.emit === "inline") {
      targets[target] = renderWorkflow(model);
      continue;
    }
    const { repository } = reusableWorkflows;
    if (repository === undefined || centralBranch === undefined) {
      throw new Error(`The workflow that target ${target} calls has no place.`);
    }
    targets[target] = renderCaller(model, { organization, repository, ref: centralBranch });
    const { path, content } = renderReusable(model);
    central[path] = content;
  }
  return { targets, central };
}
