const FOLDER = ".github/workflows";
const PREFIX = "runner-canary-";
const SUFFIX = ".yml";

/**
 * Name of the workflow file of a stack's canary, by which GitHub's API knows it. Each stack has one of its own, so that
 * stacks may share the repository.
 */
export function canaryFile(stack: string): string {
  return `${PREFIX}${stack}${SUFFIX}`;
}

/** Path of that file in its repository. */
export function canaryPath(stack: string): string {
  return `${FOLDER}/${canaryFile(stack)}`;
}

/** Whether the canary of some stack lies at a path, or would. */
export function isCanaryPath(path: string): boolean {
  return path.startsWith(`${FOLDER}/${PREFIX}`) && path.endsWith(SUFFIX);
}
