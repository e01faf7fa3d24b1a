import { buildPlatform } from "./buildPlatform";
import { cacheMount } from "./cacheMount";
import { dockerignore } from "./context";
import { copyBeforeInstall } from "./copyOrder";
import { readDockerfile } from "./dockerfile";
import type { Finding, Rule, RuleName } from "./finding";
import { aptUpdateLayer, movingBaseImage, movingSource } from "./moving";
import { buildSecret } from "./secrets";

export type { Edit, Finding, RuleName } from "./finding";
export { RULES } from "./finding";
export { applyEdits } from "./edits";

export interface AdviceInput {
  /** `path` is what findings name. */
  readonly dockerfile: { readonly path: string; readonly text: string };
  readonly dockerignore?: { readonly path: string; readonly text: string };
  /** Where a new `.dockerignore` would go; default: `.dockerignore`. */
  readonly dockerignorePath?: string;
  /** Files of the build context, relative to its root, with slashes. */
  readonly files: readonly string[];
}

const CHECKS: Readonly<Record<RuleName, Rule>> = {
  "build-platform": buildPlatform,
  "copy-before-install": copyBeforeInstall,
  "cache-mount": cacheMount,
  dockerignore,
  "build-secret": buildSecret,
  "moving-source": movingSource,
  "apt-update-layer": aptUpdateLayer,
  "moving-base-image": movingBaseImage,
};

/**
 * What in a Dockerfile makes builds for two platforms slow, unlike each other or unsafe, with the lines that would
 * not. In the order of the lines. Each finding's edits are for the file as it is: make those of one, then ask again.
 */
export function advise(input: AdviceInput): Finding[] {
  const subject = {
    dockerfile: readDockerfile(input.dockerfile.path, input.dockerfile.text),
    dockerignore: input.dockerignore,
    dockerignorePath: input.dockerignorePath ?? ".dockerignore",
    files: new Set(input.files),
  };
  return Object.values(CHECKS)
    .flatMap((check) => check(subject))
    .sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}
