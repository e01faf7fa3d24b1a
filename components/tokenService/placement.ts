import type { FleetSettings } from "../config/schema";
import { lastHostAddress } from "../fleetNetwork/addresses";
import { tokenServiceLocation } from "../pricing/plannedServers";

/** The server of its own that a dedicated token service runs on. */
export interface TokenServicePlacement {
  readonly serverName: string;
  readonly serverType: string;
  readonly location: string;
  /** Its address in the private network, fixed so that a new server is found where the old one was. */
  readonly privateIp: string;
}

/** @param prefix of the names in the Hetzner project. */
export function placeTokenService(prefix: string, settings: FleetSettings): TokenServicePlacement {
  return {
    serverName: `${prefix}-token-service`,
    serverType: settings.tokenService.serverType,
    location: tokenServiceLocation(settings),
    privateIp: lastHostAddress(settings.network.subnet),
  };
}
