import type { Exception } from "../pins/table";

/** `1.2.3` and nothing behind it, so that no pre-release passes. */
export const STABLE = /^v?(\d+)\.(\d+)\.(\d+)$/;

/** Numbers of a version, the most significant first; undefined where the pattern does not match. */
export function versionParts(version: string, pattern: RegExp): readonly number[] | undefined {
  return pattern.exec(version)?.slice(1).map(Number);
}

/** Below zero where `one` is the older version; what a version does not name counts as 0. */
export function compareParts(one: readonly number[], other: readonly number[]): number {
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export interface Choice {
  /** The newest version that may be had; the current one where there is no newer. */
  readonly next: string;
  /** The newest of those that an exception refuses, where it is newer than `next`. */
  readonly held: string | undefined;
}

/**
 * Chooses among published versions; those that the pattern does not match, such as pre-releases, do not count.
 * @param exception what is not to be had, if anything is
 */
export function chooseVersion(
  current: string,
  published: readonly string[],
  pattern: RegExp,
  exception?: Exception,
): Choice {
  const limit = exception && versionParts(exception.below, STABLE);
  const refused = (parts: readonly number[]) =>
    limit !== undefined && compareParts(parts, limit) >= 0;
  let next = { version: current, parts: versionParts(current, pattern) ?? [] };
  let held: typeof next | undefined;
  for (const version of published) {
    const parts = versionParts(version, pattern);
    if (parts === undefined) continue;
    if (!refused(parts)) {
      if (compareParts(parts, next.parts) > 0) next = { version, parts };
    } else if (held === undefined || compareParts(parts, held.parts) > 0) {
      held = { version, parts };
    }
  }
  const newer = held !== undefined && compareParts(held.parts, next.parts) > 0;
  return { next: next.version, held: newer ? held?.version : undefined };
}

/** Whether the first number differs, which is where publishers may break what was. */
export function isMajor(current: string, next: string, pattern: RegExp): boolean {
  return versionParts(current, pattern)?.[0] !== versionParts(next, pattern)?.[0];
}
