import assert from "node:assert/strict";
import fc from "fast-check";
import type { LivingServer, Offer } from "../../../components/preflight/facts";
import {
  choosePlaces,
  choices,
  listPlaces,
  type Market,
  nameHosts,
  orderableNow,
  type Place,
  type Placed,
  placeFleet,
  rescaleObstacle,
} from "../../../components/runnerPool/placement";
import { settingsWith } from "../config/settings";
import { hetznerFacts, READ_AT, serverType } from "../preflight/facts";

const ZONE = "eu-central";
const TYPES = ["cax11", "cax21", "cax31", "cax41"];
const LOCATIONS = ["fsn1", "nbg1", "hel1"];
const DISKS: Readonly<Record<string, number>> = { cax11: 40, cax21: 80, cax31: 160, cax41: 320 };
const SECOND_MS = 1000;
const over: Offer = { available: true, unavailableAfter: READ_AT };
const ending: Offer = {
  available: true,
  unavailableAfter: new Date(READ_AT.getTime() + SECOND_MS),
};
const soldOut: Offer = { available: false, unavailableAfter: undefined };
const inStock: Offer = { available: true, unavailableAfter: undefined };

/** Everything in stock everywhere in Europe but what is named, such as `cax21 fsn1`; undefined: not sold there. */
function market(
  exceptions: Readonly<Record<string, Offer | undefined>> = {},
  change: Partial<Market> = {},
): Market {
  const types = TYPES.map((name) =>
    serverType(name, {
      diskGb: DISKS[name]!,
      locations: new Map(
        [...LOCATIONS, "ash"].flatMap((location) => {
          const key = `${name} ${location}`;
          const offer = key in exceptions ? exceptions[key] : inStock;
          return offer === undefined ? [] : [[location, offer]];
        }),
      ),
    }),
  );
  return {
    ...hetznerFacts(
      {
        locations: new Map<string, { readonly networkZone: string }>([
          ...LOCATIONS.map((name) => [name, { networkZone: ZONE }] as const),
          ["ash", { networkZone: "us-east" }] as const,
        ]),
      },
      ...types,
    ),
    ...change,
  };
}

function server(place: string, change: Partial<LivingServer> = {}): LivingServer {
  const [type, location] = place.split(" ");
  return {
    serverType: type!,
    location: location!,
    off: false,
    attached: true,
    primaryDiskGb: DISKS[type!]!,
    configHash: undefined,
    ...change,
  };
}

/** Hosts a, b, c … that live, by their place. */
function living(places: Readonly<Record<string, string | LivingServer>>): Partial<Market> {
  return {
    servers: new Map(
      Object.entries(places).map(([key, one]) => [
        key,
        typeof one === "string" ? server(one) : one,
      ]),
    ),
  };
}

const refusals = (...places: readonly string[]): Place[] =>
  places.map((place) => {
    const [type, location] = place.split(" ");
    return { serverType: type!, location: location! };
  });

const show = ({ serverType: type, location, obstacle }: Placed) =>
  [type, location, obstacle].filter((part) => part !== undefined).join(" ");

describe("nameHosts", () => {
  const cases: [string, { count: number; generation: number }, [string, string, number][]][] = [
    ["one host", { count: 1, generation: 1 }, [["arm64-1-1", "dev-arm64-1-1", 0]]],
    [
      "the next generation has other names",
      { count: 2, generation: 2 },
      [
        ["arm64-2-1", "dev-arm64-2-1", 0],
        ["arm64-2-2", "dev-arm64-2-2", 0],
      ],
    ],
    ["no host", { count: 0, generation: 1 }, []],
  ];
  for (const [title, settings, expected] of cases) {
    it(title, () => {
      assert.deepEqual(
        nameHosts("dev", "arm64", settings),
        expected.map(([key, serverName, placementGroup]) => ({ key, serverName, placementGroup })),
      );
    });
  }

  it("puts at most ten into a placement group", () => {
    const groups = nameHosts("dev", "arm64", { count: 21, generation: 1 }).map(
      ({ placementGroup }) => placementGroup,
    );
    assert.deepEqual(groups, [...Array<number>(10).fill(0), ...Array<number>(10).fill(1), 2]);
  });

  it("leaves the others as they are when the count changes", () => {
    const place = (count: number) => nameHosts("dev", "arm64", { count, generation: 1 });
    assert.deepEqual(place(12).slice(0, 3), place(3));
  });
});

describe("choosePlaces", () => {
  interface Case {
    /** Of hosts a, b, c … */
    readonly count?: number;
    readonly types?: readonly string[];
    readonly locations?: readonly string[];
    readonly zone?: string;
    readonly market: Market | undefined;
    /** Types, locations and obstacles. */
    readonly places: readonly string[];
  }

  const cases: Record<string, Case> = {
    "without facts the first choice": {
      count: 2,
      market: undefined,
      places: ["cax21 fsn1", "cax21 fsn1"],
    },
    "the first choice": { market: market(), places: ["cax21 fsn1"] },
    "spread over the locations, the first listed first": {
      count: 4,
      market: market(),
      places: ["cax21 fsn1", "cax21 nbg1", "cax21 fsn1", "cax21 nbg1"],
    },
    "spread beside what lives": {
      count: 4,
      market: market({}, living({ a: "cax21 fsn1", b: "cax21 fsn1" })),
      places: ["cax21 fsn1", "cax21 fsn1", "cax21 nbg1", "cax21 nbg1"],
    },
    "spread beside what lives, later in the order as well": {
      count: 3,
      market: market({}, living({ b: "cax31 fsn1" })),
      places: ["cax21 nbg1", "cax31 fsn1", "cax21 fsn1"],
    },
    "out of stock in the first location: the second, before the second type": {
      count: 2,
      market: market({ "cax21 fsn1": soldOut }),
      places: ["cax21 nbg1", "cax21 nbg1"],
    },
    "out of stock in every listed location: the second type": {
      count: 2,
      market: market({ "cax21 fsn1": soldOut, "cax21 nbg1": soldOut }),
      places: ["cax31 fsn1", "cax31 nbg1"],
    },
    "refused although it is said to be available": {
      market: market({}, { refusals: refusals("cax21 fsn1", "cax21 nbg1", "cax31 fsn1") }),
      places: ["cax31 nbg1"],
    },
    "not sold there": { market: market({ "cax21 fsn1": undefined }), places: ["cax21 nbg1"] },
    "sold no more": { market: market({ "cax21 fsn1": over }), places: ["cax21 nbg1"] },
    "sold a second longer": { market: market({ "cax21 fsn1": ending }), places: ["cax21 fsn1"] },
    "a location of another zone is passed over": {
      locations: ["ash", "nbg1"],
      market: market(),
      places: ["cax21 nbg1"],
    },
    "a type that is not arm is passed over": {
      types: ["cpx22", "cax31"],
      market: market(),
      places: ["cax31 fsn1"],
    },
    "types and locations that nobody knows are passed over": {
      types: ["constructor", "cax31"],
      locations: ["muc1", "nbg1"],
      market: market(),
      places: ["cax31 nbg1"],
    },
    "nothing can be ordered": {
      count: 2,
      types: ["cax21"],
      locations: ["fsn1"],
      market: market({ "cax21 fsn1": soldOut }, living({ a: "cax21 fsn1" })),
      places: ["cax21 fsn1", "cax21 fsn1 order"],
    },
    "a living server keeps a type that is not the first": {
      market: market({}, living({ a: "cax31 nbg1" })),
      places: ["cax31 nbg1"],
    },
    "a living server keeps what cannot be ordered again, and a location that is not listed": {
      market: market({ "cax21 hel1": soldOut }, living({ a: "cax21 hel1" })),
      places: ["cax21 hel1"],
    },
    "a living server keeps what was refused": {
      market: market({}, { ...living({ a: "cax21 fsn1" }), refusals: refusals("cax21 fsn1") }),
      places: ["cax21 fsn1"],
    },
    "a living server that is off stays, too": {
      market: market({}, living({ a: server("cax21 hel1", { off: true }) })),
      places: ["cax21 hel1"],
    },
    "a server that was never made is made anywhere": {
      market: market({}, living({ a: server("cax31 hel1", { off: true, attached: false }) })),
      places: ["cax21 fsn1"],
    },
    "a type that is not listed any more: changed where it stands": {
      market: market({}, living({ a: "cax11 hel1" })),
      places: ["cax21 hel1"],
    },
    "changed to the first that is in stock there": {
      market: market({ "cax21 hel1": soldOut }, living({ a: "cax11 hel1" })),
      places: ["cax31 hel1"],
    },
    "changed to the first whose disk is not smaller": {
      types: ["cax11", "cax21", "cax31"],
      market: market(
        {},
        living({ a: "cax41 fsn1", b: server("cax41 fsn1", { primaryDiskGb: 80 }) }),
      ),
      count: 2,
      places: ["cax11 fsn1 rescale", "cax21 fsn1"],
    },
    "changed down again, since the disk was kept": {
      types: ["cax11"],
      market: market({}, living({ a: server("cax41 fsn1", { primaryDiskGb: 40 }) })),
      places: ["cax11 fsn1"],
    },
    "nothing that it can be changed to": {
      market: market(
        { "cax21 fsn1": soldOut, "cax31 fsn1": undefined },
        living({ a: "cax11 fsn1" }),
      ),
      places: ["cax21 fsn1 rescale"],
    },
  };

  for (const [title, one] of Object.entries(cases)) {
    it(title, () => {
      const { count = 1, types = ["cax21", "cax31"], locations = ["fsn1", "nbg1"] } = one;
      const keys = Array.from({ length: count }, (_, index) => "abcdefgh".charAt(index));
      const wanted = { serverTypes: types, locations };
      assert.deepEqual(choosePlaces(keys, wanted, ZONE, one.market).map(show), one.places);
    });
  }

  const place = fc.record({
    serverType: fc.constantFrom(...TYPES),
    location: fc.constantFrom(...LOCATIONS),
  });
  const scene = fc.record({
    count: fc.integer({ min: 1, max: 25 }),
    serverTypes: fc.shuffledSubarray(TYPES, { minLength: 1 }),
    locations: fc.shuffledSubarray(LOCATIONS, { minLength: 1 }),
    missing: fc.array(place, { maxLength: 10 }),
    refused: fc.array(place, { maxLength: 6 }),
    born: fc.array(fc.option(place, { nil: undefined }), { maxLength: 25 }),
  });
  const stage = (one: typeof scene extends fc.Arbitrary<infer T> ? T : never) => {
    const keys = Array.from({ length: one.count }, (_, index) => `arm64-1-${index + 1}`);
    const born = keys.flatMap((key, index) => {
      const at = one.born[index];
      return at === undefined ? [] : [[key, `${at.serverType} ${at.location}`] as const];
    });
    const before = market(
      Object.fromEntries(
        one.missing.map((gone) => [`${gone.serverType} ${gone.location}`, soldOut]),
      ),
      { ...living(Object.fromEntries(born)), refusals: one.refused },
    );
    return { keys, before, places: choosePlaces(keys, one, ZONE, before) };
  };
  const isSame = (one: Place) => (other: Place) =>
    one.serverType === other.serverType && one.location === other.location;

  it("decides the same once it is done, whatever the stock is then", () => {
    const property = fc.property(scene, scene, (one, later) => {
      const { keys, before, places } = stage(one);
      const made = places.map((placed, index) => {
        const found = before.servers.get(keys[index]!);
        return placed.obstacle === undefined
          ? ([
              keys[index]!,
              server(show(placed), found && { primaryDiskGb: found.primaryDiskGb }),
            ] as const)
          : undefined;
      });
      const after = {
        ...stage(later).before,
        servers: new Map(made.filter((entry) => entry !== undefined)),
      };
      const again = choosePlaces(keys, one, ZONE, after);
      for (const [index, placed] of places.entries()) {
        if (placed.obstacle === undefined) assert.deepEqual(again[index], placed);
      }
    });
    fc.assert(property);
  });

  it("never moves a living server, nor changes a type that is listed", () => {
    const property = fc.property(scene, (one) => {
      const { keys, before, places } = stage(one);
      for (const [index, placed] of places.entries()) {
        const found = before.servers.get(keys[index]!);
        if (found === undefined) continue;
        assert.equal(placed.location, found.location);
        if (one.serverTypes.includes(found.serverType)) {
          assert.equal(show(placed), `${found.serverType} ${found.location}`);
        } else if (placed.obstacle === undefined) {
          assert.equal(rescaleObstacle(found, placed.serverType, before), undefined);
        }
      }
    });
    fc.assert(property);
  });

  it("orders only what can be had, of the first type that can be had, and spreads it evenly", () => {
    const property = fc.property(scene, (one) => {
      const { keys, before, places } = stage(one);
      const possible = choices(one).filter(
        (choice) => !one.missing.some(isSame(choice)) && !one.refused.some(isSame(choice)),
      );
      const fresh = places.filter((_, index) => !before.servers.has(keys[index]!));
      const [best] = possible;
      if (best === undefined) {
        assert.ok(fresh.every(({ obstacle }) => obstacle === "order"));
        return;
      }
      assert.ok(
        fresh.every((placed) => possible.some(isSame(placed)) && placed.obstacle === undefined),
      );
      assert.ok(fresh.every((placed) => placed.serverType === best.serverType));
      const open = possible
        .filter((choice) => choice.serverType === best.serverType)
        .map(({ location }) => location);
      const all = (location: string) =>
        places.filter((placed) => placed.location === location).length;
      for (const location of new Set(fresh.map((placed) => placed.location))) {
        // Where one was added, there is at most one more than where one could have been added.
        assert.ok(open.every((other) => all(location) <= all(other) + 1));
      }
    });
    fc.assert(property);
  });
});

describe("placeFleet", () => {
  const settings = settingsWith((raw) => {
    Object.assign(raw.pools.arm64!, { count: 2, locations: ["fsn1", "nbg1"] });
  });
  const shown = (...args: Parameters<typeof placeFleet>) => {
    const { pools, tokenService } = placeFleet(...args);
    return {
      pools: Object.fromEntries(
        Object.entries(pools).map(([name, hosts]) => [
          name,
          hosts.map((host) => `${host.serverName} ${show(host)}`),
        ]),
      ),
      tokenService: tokenService && show(tokenService),
    };
  };

  it("places each host and the token service", () => {
    assert.deepEqual(shown("dev", settings, market()), {
      pools: { arm64: ["dev-arm64-1-1 cax21 fsn1", "dev-arm64-1-2 cax21 nbg1"] },
      tokenService: "cax11 fsn1",
    });
  });

  it("puts the token service where the pool may be, too, or stays where it is", () => {
    const gone = { "cax11 fsn1": soldOut };
    assert.equal(shown("dev", settings, market(gone)).tokenService, "cax11 nbg1");
    const there = living({ "token-service": "cax11 fsn1" });
    assert.equal(shown("dev", settings, market(gone, there)).tokenService, "cax11 fsn1");
  });

  it("puts the token service nowhere but where the settings say", () => {
    const fixed = settingsWith((raw) => (raw.tokenService = { location: "hel1" }));
    assert.equal(shown("dev", fixed, market()).tokenService, "cax11 hel1");
    assert.equal(
      shown("dev", fixed, market({ "cax11 hel1": soldOut })).tokenService,
      "cax11 hel1 order",
    );
  });

  it("places no token service of its own where it is colocated, and nothing without pools", () => {
    const colocated = settingsWith((raw) => (raw.tokenService = { placement: "colocated" }));
    assert.equal(shown("dev", colocated, market()).tokenService, undefined);
    const external = settingsWith((raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
    });
    assert.deepEqual(shown("dev", external), { pools: {}, tokenService: undefined });
  });

  it("spreads each pool for itself", () => {
    const two = settingsWith((raw) => {
      Object.assign(raw.pools.arm64!, { count: 1, locations: ["fsn1", "nbg1"] });
      raw.pools.large = { ...raw.pools.arm64, serverTypes: ["cax41"] };
      raw.routing = { pool: "arm64" };
    });
    assert.deepEqual(shown("dev", two, market()).pools, {
      arm64: ["dev-arm64-1-1 cax21 fsn1"],
      large: ["dev-large-1-1 cax41 fsn1"],
    });
  });
});

describe("what can be ordered", () => {
  it("is everything for arm in the zone that is in stock and not refused", () => {
    const gone = Object.fromEntries(
      choices({ serverTypes: ["cax21", "cax31", "cax41"], locations: LOCATIONS }).map((one) => [
        `${one.serverType} ${one.location}`,
        soldOut,
      ]),
    );
    const now = orderableNow(
      ZONE,
      market(
        { ...gone, "cax31 hel1": inStock, "cax41 hel1": over },
        {
          refusals: refusals("cax11 fsn1"),
        },
      ),
    );
    assert.equal(listPlaces(now), "cax11 (nbg1, hel1), cax31 (hel1)");
  });

  it("is listed by type, each place once", () => {
    assert.equal(listPlaces([]), "");
    assert.equal(
      listPlaces(refusals("cax21 fsn1", "cax31 fsn1", "cax21 nbg1", "cax21 fsn1")),
      "cax21 (fsn1, nbg1), cax31 (fsn1)",
    );
  });
});
