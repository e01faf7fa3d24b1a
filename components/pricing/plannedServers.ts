import type { FleetSettings } from "../config/schema";

export interface PlannedServer {
  readonly serverType: string;
  readonly location: string;
}

/** Where a dedicated token service stands, which there is only with a pool. */
export function tokenServiceLocation(settings: FleetSettings): string {
  return settings.tokenService.location ?? Object.values(settings.pools)[0]!.location;
}

/** Every server that the settings ask for. */
export function plannedServers(settings: FleetSettings): PlannedServer[] {
  const { tokenService } = settings;
  // Without own hosts nobody asks for tokens.
  if (Object.keys(settings.pools).length === 0) return [];
  const runners = Object.values(settings.pools).flatMap(({ count, serverType, location }) =>
    Array.from({ length: count }, () => ({ serverType, location })),
  );
  return tokenService.placement === "colocated"
    ? runners
    : [
        { serverType: tokenService.serverType, location: tokenServiceLocation(settings) },
        ...runners,
      ];
}
