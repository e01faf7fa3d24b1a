import { isMap, isScalar, parseDocument } from "yaml";

/** A version that a stack's file gives a pool. */
export interface StackVersion {
  readonly pool: string;
  readonly version: string;
  /** Part of the text that holds it, without quotes around it. */
  readonly range: readonly [number, number];
}

/**
 * The versions that `pools.*.runner.version` sets; pools without one are left out, since they run the table's.
 * @param text Pulumi.<stack>.yaml
 * @param namespace the project's name
 */
export function stackVersions(text: string, namespace: string): StackVersion[] {
  const document = parseDocument(text);
  const pools =
    document.getIn(["config", `${namespace}:pools`]) ?? document.getIn(["config", "pools"]);
  if (!isMap(pools)) return [];
  return pools.items.flatMap(({ key }) => {
    const pool = String(isScalar(key) ? key.value : key);
    const found: unknown = pools.getIn([pool, "runner", "version"], true);
    if (!isScalar(found) || typeof found.value !== "string") return [];
    const [from = 0, to = 0] = found.range ?? [];
    const at = text.slice(from, to).indexOf(found.value);
    const begin = from + at;
    return at < 0
      ? []
      : [{ pool, version: found.value, range: [begin, begin + found.value.length] as const }];
  });
}

/** The text with other versions in their places; every other character stays, comments included. */
export function setStackVersions(
  text: string,
  changes: readonly { readonly range: readonly [number, number]; readonly to: string }[],
): string {
  return [...changes]
    .sort((one, other) => other.range[0] - one.range[0])
    .reduce(
      (edited, { range: [from, end], to }) => edited.slice(0, from) + to + edited.slice(end),
      text,
    );
}
