import type { FleetSettings } from "../config/schema";
import { type FleetPlacement, type Place, placeFleet } from "../runnerPool/placement";

/**
 * Every server that the settings ask for, the token service's own first.
 * @param placement default: the first choice of each
 */
export function plannedServers(
  settings: FleetSettings,
  placement: FleetPlacement = placeFleet("", settings),
): Place[] {
  const { pools, tokenService } = placement;
  return [
    ...(tokenService === undefined ? [] : [tokenService]),
    ...Object.values(pools).flat(),
  ].map(({ serverType, location }) => ({ serverType, location }));
}
