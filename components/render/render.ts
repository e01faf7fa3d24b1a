import { basename } from "node:path/posix";
import type { FleetSettings } from "../config/schema";
import type { HostFile } from "../host/applyScript";
import { renderCloudInit } from "../host/cloudInit";
import { STACK_DIRECTORY } from "../host/compose";
import { emitWorkflows } from "../imageWorkflow/emission";
import { runnerHostFiles } from "../runnerHost/stack";
import { hostSettings } from "../runnerPool/hostSettings";
import { placeHosts } from "../runnerPool/placement";
import { placeTokenService } from "../tokenService/placement";
import { tokenServiceFiles, tokenServiceUrl } from "../tokenService/stack";
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
  ];
}

function hosts(prefix: string, settings: FleetSettings): RenderedFile[] {
  // Without own hosts nobody asks for tokens.
  if (Object.keys(settings.pools).length === 0) return [];
  const { organization, ssh } = settings;
  const { placement, image } = settings.tokenService;
  const credential = { image, organization, token: SECRET };
  const own = placeTokenService(prefix, settings);

  const files = Object.entries(settings.pools).flatMap(([pool, poolSettings]) => {
    const host = hostSettings(poolSettings);
    const { name } = settings.runnerGroup;
    return placeHosts(prefix, pool, poolSettings).flatMap(({ serverName }) =>
      hostFolder(
        serverName,
        { sshPort: ssh.port, packages: host.packages, runcmd: host.runcmd },
        runnerHostFiles({
          ...host,
          organization,
          hostName: serverName,
          runnerGroup: { id: runnerGroupIdPlaceholder(name), name },
          tokenService:
            placement === "colocated"
              ? { placement, ...credential }
              : { placement, url: tokenServiceUrl(own.privateIp) },
        }),
      ),
    );
  });
  return placement === "colocated"
    ? files
    : [
        ...hostFolder(
          own.serverName,
          { sshPort: ssh.port, packages: [], runcmd: [] },
          tokenServiceFiles(credential, own.privateIp),
        ),
        ...files,
      ];
}

/** `user-data.yaml` and `compose.yaml` at the top, everything else under its path on the host. */
function hostFolder(
  host: string,
  cloudInit: {
    readonly sshPort: number;
    readonly packages: readonly string[];
    readonly runcmd: readonly string[];
  },
  files: readonly HostFile[],
): RenderedFile[] {
  const folder = `hosts/${host}`;
  const hostKey = { privateKey: SECRET, publicKey: PUBLIC_HOST_KEY };
  return [
    {
      path: `${folder}/user-data.yaml`,
      mode: "0644",
      content: renderCloudInit({ hostKey, ...cloudInit }),
    },
    ...files.map(({ path, mode, content }) => ({
      path: path === `${STACK_DIRECTORY}/compose.yaml` ? `${folder}/compose.yaml` : folder + path,
      mode,
      content,
    })),
  ];
}
