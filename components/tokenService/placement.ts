import type { FleetSettings } from "../config/schema";
import { lastHostAddress } from "../fleetNetwork/addresses";
import { type FleetPlacement, placeFleet, tokenServiceServer } from "../runnerPool/placement";

/** Where a dedicated token service is reached. */
export interface TokenServicePlacement {
  readonly serverName: string;
  readonly serverType: string;
  readonly location: string;
  /** Its address in the private network, fixed so that a new server is found where the old one was. */
  readonly privateIp: string;
}

/**
 * The server of its own that the token service runs on; undefined where it has none.
 * @param prefix of the names in the Hetzner project
 * @param placement default: the first choice
 */
export function placeTokenService(
  prefix: string,
  settings: FleetSettings,
  placement: FleetPlacement = placeFleet(prefix, settings),
): TokenServicePlacement | undefined {
  if (placement.tokenService === undefined) return undefined;
  const { serverType, location } = placement.tokenService;
  return {
    serverName: tokenServiceServer(prefix),
    serverType,
    location,
    privateIp: tokenServiceAddress(settings),
  };
}

/** Address in the private network of a server of its own. */
export function tokenServiceAddress({ network }: FleetSettings): string {
  return lastHostAddress(network.subnet);
}
