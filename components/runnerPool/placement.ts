import type { FleetSettings } from "../config/schema";
import type { HetznerFacts, LivingServer } from "../preflight/facts";
import { rollHosts, type RolledHost } from "./roll";

/** A spread placement group holds ten servers (Hetzner's limit), wherever they stand. */
export const SERVERS_PER_PLACEMENT_GROUP = 10;

export interface NamedHost {
  /** Stable key of the host in its pool: raising or lowering the count leaves the others alone. */
  readonly key: string;
  readonly serverName: string;
  /** Index of the placement group that keeps it on other hardware than its neighbours. */
  readonly placementGroup: number;
}

/** What one server is ordered as. */
export interface Place {
  /** Name of Hetzner's server type, such as cax21. */
  readonly serverType: string;
  /** Name of Hetzner's location, such as fsn1. */
  readonly location: string;
}

export interface Placed extends Place {
  /** `order`: nothing that is listed can be ordered. `rescale`: a living server can become nothing that is listed. */
  readonly obstacle: "order" | "rescale" | undefined;
}

export interface PlacedHost extends NamedHost, Placed {
  /** Another one than that of the settings: a later run replaces the host. */
  readonly generation: number;
}

/** What servers there are, and what can be had. */
export interface Market extends Pick<
  HetznerFacts,
  "readAt" | "serverTypes" | "locations" | "servers"
> {
  /** What Hetzner has refused to make although it was said to be available. */
  readonly refusals?: readonly Place[];
}

/** Names in order of preference. */
export interface Preferences {
  readonly serverTypes: readonly string[];
  readonly locations: readonly string[];
}

export interface FleetPlacement {
  /** Hosts by name of their pool. */
  readonly pools: Readonly<Record<string, readonly PlacedHost[]>>;
  /** Undefined where the token service has no server of its own. */
  readonly tokenService: Placed | undefined;
}

/** Name in the program of the token service's own server. */
export const TOKEN_SERVICE = "token-service";

/** Name of its server, where it has one. */
export function tokenServiceServer(prefix: string): string {
  return `${prefix}-${TOKEN_SERVICE}`;
}

/** The hosts that a pool is to have. Names carry the generation, so that a roll makes new servers beside the old ones. */
export function nameHosts(
  prefix: string,
  pool: string,
  settings: { readonly count: number; readonly generation: number },
): NamedHost[] {
  return rollHosts(pool, settings).map((host) => nameHost(prefix, host));
}

function nameHost(prefix: string, { key, index }: RolledHost): NamedHost {
  return {
    key,
    serverName: `${prefix}-${key}`,
    placementGroup: Math.floor((index - 1) / SERVERS_PER_PLACEMENT_GROUP),
  };
}

/**
 * Decides which servers there are, and what each is ordered as. The same market always gives the same answer, and one
 * that differs by what this answer makes gives this answer again.
 * @param prefix of the names in the Hetzner project
 * @param market default: one where everything can be had and nothing lives
 */
export function placeFleet(
  prefix: string,
  settings: FleetSettings,
  market?: Market,
): FleetPlacement {
  const { zone } = settings.network;
  const pools = Object.fromEntries(
    Object.entries(settings.pools).map(([pool, wanted]) => {
      const hosts = wanted.paused === "delete" ? [] : rollHosts(pool, wanted, livingKeys(market));
      const keys = hosts.map(({ key }) => key);
      const places = choosePlaces(keys, wanted, zone, market);
      return [
        pool,
        hosts.map((host, index): PlacedHost => {
          const { generation, key } = host;
          const stays = generation === wanted.generation ? undefined : market?.servers.get(key);
          return {
            ...nameHost(prefix, host),
            generation,
            ...places[index]!,
            // Not rescaled: it is soon gone.
            ...(stays && {
              serverType: stays.serverType,
              location: stays.location,
              obstacle: undefined,
            }),
          };
        }),
      ];
    }),
  );
  const wanted = tokenServicePreferences(settings);
  return {
    pools,
    tokenService:
      wanted === undefined ? undefined : choosePlaces([TOKEN_SERVICE], wanted, zone, market)[0],
  };
}

/** What the token service's own server may be; undefined where it has none, as without own hosts, where nobody asks for tokens. */
export function tokenServicePreferences(settings: FleetSettings): Preferences | undefined {
  const { placement, serverType, location } = settings.tokenService;
  const [first] = Object.values(settings.pools);
  if (placement === "colocated" || first === undefined) return undefined;
  return {
    serverTypes: [serverType],
    locations: location === undefined ? first.locations : [location],
  };
}

/**
 * A living server stays where it is, and what it is as long as its type is listed; else it becomes the first listed
 * type that it can be changed to. A new one is of the first listed type that can be ordered in any listed location, in
 * the one of these locations where the fewest of the servers are.
 * @param keys names without the stack's prefix, in order
 * @param zone Hetzner's network zone that the servers have to be in
 */
export function choosePlaces(
  keys: readonly string[],
  wanted: Preferences,
  zone: string,
  market?: Market,
): Placed[] {
  const first: Place = { serverType: wanted.serverTypes[0]!, location: wanted.locations[0]! };
  if (market === undefined) return keys.map(() => ({ ...first, obstacle: undefined }));
  const servers = keys.map((key) => living(market.servers.get(key)));
  const hosts = new Map<string, number>();
  const count = (location: string) => hosts.get(location) ?? 0;
  for (const server of servers) {
    if (server !== undefined) hosts.set(server.location, count(server.location) + 1);
  }
  return servers.map((server): Placed => {
    if (server !== undefined) return keepPlace(server, wanted.serverTypes, market);
    for (const serverType of wanted.serverTypes) {
      const [location] = wanted.locations
        .filter((one) => isOrderable({ serverType, location: one }, zone, market))
        // Stable: of equals the first listed.
        .sort((one, other) => count(one) - count(other));
      if (location === undefined) continue;
      hosts.set(location, count(location) + 1);
      return { serverType, location, obstacle: undefined };
    }
    return { ...first, obstacle: "order" };
  });
}

function livingKeys(market: Market | undefined): string[] {
  return [...(market?.servers ?? [])].flatMap(([key, server]) =>
    living(server) === undefined ? [] : [key],
  );
}

/** A server that was ordered but never made is made anew, and so anywhere. */
export function living(server: LivingServer | undefined): LivingServer | undefined {
  return server === undefined || (server.off && !server.attached) ? undefined : server;
}

function keepPlace(server: LivingServer, serverTypes: readonly string[], market: Market): Placed {
  const { location } = server;
  if (serverTypes.includes(server.serverType)) {
    return { serverType: server.serverType, location, obstacle: undefined };
  }
  const next = serverTypes.find((type) => rescaleObstacle(server, type, market) === undefined);
  return next === undefined
    ? { serverType: serverTypes[0]!, location, obstacle: "rescale" }
    : { serverType: next, location, obstacle: undefined };
}

/** Why a living server cannot be changed to a type, such as `is out of stock in fsn1`. */
export function rescaleObstacle(
  server: LivingServer,
  serverType: string,
  market: Pick<Market, "readAt" | "serverTypes">,
): string | undefined {
  const type = market.serverTypes.get(serverType);
  if (type?.architecture !== "arm") return "is no arm server type";
  const offer = type.locations.get(server.location);
  if (offer === undefined || isOver(offer, market.readAt)) {
    return `is not sold in ${server.location}`;
  }
  // Hetzner refuses it once the server is drained and off. A rescale keeps the disk, which may be smaller than its type's.
  if (type.diskGb < server.primaryDiskGb) {
    return `has a disk of ${type.diskGb} GB, less than the server's ${server.primaryDiskGb} GB`;
  }
  return offer.available ? undefined : `is out of stock in ${server.location}`;
}

/** Whether a new server can be ordered now, as far as Hetzner tells. */
function isOrderable(
  { serverType, location }: Place,
  zone: string,
  market: Omit<Market, "servers">,
): boolean {
  const type = market.serverTypes.get(serverType);
  const offer = type?.locations.get(location);
  return (
    type?.architecture === "arm" &&
    offer?.available === true &&
    !isOver(offer, market.readAt) &&
    market.locations.get(location)?.networkZone === zone &&
    !market.refusals?.some(
      (refused) => refused.serverType === serverType && refused.location === location,
    )
  );
}

/** Whether it is sold no more. */
export function isOver(
  offer: { readonly unavailableAfter: Date | undefined },
  readAt: Date,
): boolean {
  return offer.unavailableAfter !== undefined && offer.unavailableAfter <= readAt;
}

/** Everything for arm that can be ordered in a network zone now. */
export function orderableNow(zone: string, market: Omit<Market, "servers">): Place[] {
  return [...market.serverTypes.values()]
    .flatMap(({ name, locations }) =>
      [...locations.keys()].map((location) => ({ serverType: name, location })),
    )
    .filter((place) => isOrderable(place, zone, market));
}

/** Every pair of a listed type and a listed location, the best first. */
export function choices({ serverTypes, locations }: Preferences): Place[] {
  return serverTypes.flatMap((serverType) =>
    locations.map((location) => ({ serverType, location })),
  );
}

/** Such as `cax21 (fsn1, nbg1), cax31 (hel1)`. */
export function listPlaces(places: readonly Place[]): string {
  const types = new Map<string, Set<string>>();
  for (const { serverType, location } of places) {
    types.set(serverType, (types.get(serverType) ?? new Set()).add(location));
  }
  return [...types].map(([type, locations]) => `${type} (${[...locations].join(", ")})`).join(", ");
}
