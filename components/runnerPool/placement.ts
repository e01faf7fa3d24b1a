/** A spread placement group holds ten servers (Hetzner's limit). */
export const SERVERS_PER_PLACEMENT_GROUP = 10;

export interface PlacedHost {
  /** Stable key of the host in its pool: raising or lowering the count leaves the others alone. */
  readonly key: string;
  readonly serverName: string;
  /** Index of the placement group that keeps it on other hardware than its neighbours. */
  readonly placementGroup: number;
}

/** The hosts of a pool. Names carry the generation, so that a roll makes new servers beside the old ones. */
export function placeHosts(
  prefix: string,
  pool: string,
  settings: { readonly count: number; readonly generation: number },
): PlacedHost[] {
  return Array.from({ length: settings.count }, (_, index) => {
    const key = `${pool}-${settings.generation}-${index + 1}`;
    return {
      key,
      serverName: `${prefix}-${key}`,
      placementGroup: Math.floor(index / SERVERS_PER_PLACEMENT_GROUP),
    };
  });
}
