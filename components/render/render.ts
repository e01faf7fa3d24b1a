import { basename } from "node:path/posix";
import { canaryFile } from "../canary/path";
import { renderCanary } from "../canary/workflow";
import type { FleetSettings } from "../config/schema";
import { baseFiles, type BaseModel } from "../host/base";
import { type HostStack, renderCloudInit } from "../host/cloudInit";
import { withoutComments } from "../host/comments";
import { STACK_DIRECTORY } from "../host/compose";
import { emitWorkflows } from "../imageWorkflow/emission";
import { plannedHosts } from "./hosts";
import { SECRET } from "./stackFile";

/**
 * What the program would write to repositories and hosts, by the same functions that its components use. What only a
 * run of the engine knows, such as secrets and ids, has a placeholder in angle brackets.
 */

export interface RenderedFile {
  /** Relative, with slashes. */
  readonly path: string;
  /** Octal, e.g. "0644". */
  readonly mode: string;
  readonly content: string;
}

export interface Rendering {
  readonly files: readonly RenderedFile[];
  /** One sentence for each value that was assumed. */
  readonly notes: readonly string[];
}

/** Stands for the public key of a host, which derives from a secret that the engine draws. */
export const PUBLIC_HOST_KEY = "<public host key>";
/** Stands for a digest of files that hold secrets. */
export const FILES_DIGEST = "<digest of files>";
const ASSUMED_BRANCH = "main";

/** @throws Error with one sentence when a target's settings do not make a workflow that can publish. */
export function renderFleet(project: string, stack: string, settings: FleetSettings): Rendering {
  const notes: string[] = [];
  return {
    files: [...workflows(project, stack, settings, notes), ...hosts(stack, settings)],
    notes,
  };
}

/** Stands for the id that GitHub gives to the runner group. */
export function runnerGroupIdPlaceholder(name: string): string {
  return `<id of runner group ${name}>`;
}

function workflows(
  project: string,
  stack: string,
  settings: FleetSettings,
  notes: string[],
): RenderedFile[] {
  const { organization, reusableWorkflows, targets } = settings;
  /** The configured branch; otherwise GitHub would have to be asked. */
  const branchOf = (key: string, configured: string | undefined, repository: string): string => {
    if (configured !== undefined) return configured;
    notes.push(
      `${key}.branch is not configured: ${ASSUMED_BRANCH} stands in for the default branch of ${organization}/${repository}.`,
    );
    return ASSUMED_BRANCH;
  };
  const branches = Object.fromEntries(
    Object.entries(targets).map(([target, { branch, repository = target }]) => [
      target,
      branchOf(`targets.${target}`, branch, repository),
    ]),
  );
  const central = reusableWorkflows.repository;
  const isReused = Object.values(targets).some(({ emit }) => emit === "reusable");
  const centralBranch =
    isReused && central !== undefined
      ? branchOf("reusableWorkflows", reusableWorkflows.branch, central)
      : undefined;
  const emitted = emitWorkflows({ project, stack }, settings, branches, centralBranch);
  const file = (path: string, content: string) => ({ path, mode: "0644", content });
  return [
    ...Object.entries(emitted.targets).map(([target, content]) =>
      // A target may have any name, also one with a slash.
      file(`workflows/${encodeURIComponent(target)}.yml`, content),
    ),
    ...Object.entries(emitted.central).map(([path, content]) =>
      file(`workflows/reusable/${basename(path)}`, content),
    ),
    ...(settings.canary.repository === undefined
      ? []
      : [
          file(
            `workflows/canary/${canaryFile(stack)}`,
            renderCanary({ project, stack }, settings.runnerGroup.name),
          ),
        ]),
  ];
}

function hosts(prefix: string, settings: FleetSettings): RenderedFile[] {
  const { githubAuth, runnerGroup } = settings;
  const planned = plannedHosts(prefix, settings, {
    credential:
      githubAuth.kind === "pat"
        ? { kind: "pat", token: SECRET }
        : { ...githubAuth, privateKey: SECRET },
    password: SECRET,
    runnerGroupId: STANDS_FOR_ID,
  });
  return planned.flatMap(({ serverName, base, stack }) =>
    hostFolder(
      serverName,
      base,
      withPlaceholders(stack, runnerGroupIdPlaceholder(runnerGroup.name)),
    ),
  );
}

/** A number, since the functions that get it want one; no id of GitHub's is as large. */
const STANDS_FOR_ID = String(Number.MAX_SAFE_INTEGER);

function withPlaceholders(stack: HostStack, groupId: string): HostStack {
  return {
    ...stack,
    files: stack.files.map(({ content, ...file }) => ({
      ...file,
      content: content
        .replaceAll(STANDS_FOR_ID, groupId)
        .replaceAll(/^( *runner-fleet\.files: ).*$/gm, `$1"${FILES_DIGEST}"`),
    })),
  };
}

/** `user-data.yaml` and `compose.yaml` at the top, everything else under its path on the host. */
function hostFolder(host: string, base: BaseModel, stack: HostStack): RenderedFile[] {
  const folder = `hosts/${host}`;
  const hostKey = { privateKey: SECRET, publicKey: PUBLIC_HOST_KEY };
  const files = [...baseFiles(base), ...stack.files];
  return [
    {
      path: `${folder}/user-data.yaml`,
      mode: "0644",
      content: renderCloudInit(hostKey, base, stack),
    },
    // As in the user_data of a host that nothing reaches into.
    ...(base.ssh ? files : files.map(withoutComments)).map(({ path, mode, content }) => ({
      path: path === `${STACK_DIRECTORY}/compose.yaml` ? `${folder}/compose.yaml` : folder + path,
      mode,
      content,
    })),
  ];
}
