import assert from "node:assert/strict";
import fc from "fast-check";
import {
  costChange,
  exceeds,
  formatBudget,
  hasPrice,
  monthlyCost,
} from "../../../components/pricing/pricing";
import type { Price } from "../../../components/preflight/facts";
import { serverType } from "../preflight/facts";

function priced(
  servers: Readonly<Record<string, Readonly<Record<string, Price>>>>,
  addresses: Readonly<Record<string, Price>>,
) {
  return {
    currency: "EUR",
    serverTypes: new Map(
      Object.entries(servers).map(([name, prices]) => [
        name,
        serverType(name, { prices: new Map(Object.entries(prices)) }),
      ]),
    ),
    primaryIpv4: new Map(Object.entries(addresses)),
  };
}

const euro = (net: string, gross = net): Price => ({ net, gross });
const catalog = priced(
  {
    cax11: { fsn1: euro("5.9900000000", "7.1281000000000000") },
    cax21: {
      fsn1: euro("10.4900000000", "12.4831000000000000"),
      nbg1: euro("11.0000000000", "13.0900000000000000"),
    },
  },
  {
    fsn1: euro("0.5000000000", "0.5950000000000000"),
    nbg1: euro("0.5000000000", "0.5950000000000000"),
  },
);

describe("monthlyCost", () => {
  it("adds up servers and their addresses by type and location", () => {
    const hosts = [
      { serverType: "cax21", location: "nbg1" },
      { serverType: "cax21", location: "fsn1" },
      { serverType: "cax11", location: "fsn1" },
      { serverType: "cax21", location: "fsn1" },
    ];
    assert.deepEqual(monthlyCost(hosts, catalog), {
      currency: "EUR",
      net: "39.97",
      // 2 × 13.0781 + 13.685 + 7.7231 = 47.5643
      gross: "47.56",
      items: [
        { serverType: "cax11", location: "fsn1", count: 1, net: "6.49" },
        { serverType: "cax21", location: "fsn1", count: 2, net: "21.98" },
        { serverType: "cax21", location: "nbg1", count: 1, net: "11.50" },
      ],
    });
  });

  it("costs nothing without hosts", () => {
    assert.deepEqual(monthlyCost([], catalog), {
      currency: "EUR",
      net: "0.00",
      gross: "0.00",
      items: [],
    });
  });

  it("rounds the exact sum, half up", () => {
    const one = [{ serverType: "cax11", location: "fsn1" }];
    const cost = (net: string) =>
      monthlyCost(one, priced({ cax11: { fsn1: euro(net) } }, { fsn1: euro("0") })).net;
    assert.equal(cost("0.005"), "0.01");
    assert.equal(cost("0.0049999999999999"), "0.00");
    assert.equal(cost("1.0050"), "1.01");
    assert.equal(cost("7"), "7.00");
    assert.equal(cost("123456789012345678.99"), "123456789012345678.99");
  });

  it("sums before it rounds", () => {
    const hosts = Array.from({ length: 10 }, () => ({ serverType: "cax11", location: "fsn1" }));
    const cheap = priced({ cax11: { fsn1: euro("0.001") } }, { fsn1: euro("0.0005") });
    assert.equal(monthlyCost(hosts, cheap).net, "0.02");
  });

  it("refuses to guess a price", () => {
    const at = (serverType: string, location: string) => () =>
      monthlyCost([{ serverType, location }], catalog);
    assert.throws(at("cax99", "fsn1"), { message: "Hetzner names no price of cax99 in fsn1." });
    assert.throws(at("cax11", "nbg1"), { message: "Hetzner names no price of cax11 in nbg1." });
    assert.throws(
      () =>
        monthlyCost(
          [{ serverType: "cax11", location: "fsn1" }],
          priced({ cax11: { fsn1: euro("1") } }, {}),
        ),
      { message: "Hetzner names no price of an IPv4 address in fsn1." },
    );
  });

  for (const text of ["", "-1", "1e3", "1,5", "NaN", ".5", "1.", "0.000000000000000000001"]) {
    it(`refuses the price ${JSON.stringify(text)}`, () => {
      const facts = priced({ cax11: { fsn1: euro(text) } }, { fsn1: euro("0") });
      assert.throws(() => monthlyCost([{ serverType: "cax11", location: "fsn1" }], facts), {
        message: `Hetzner names the price ${JSON.stringify(text)}, expected a decimal number.`,
      });
    });
  }

  it("is exact to the cent for prices in cents, in any order of hosts", () => {
    const cents = fc.integer({ min: 0, max: 10_000_000 });
    const text = (amount: number) =>
      `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, "0")}00000000`;
    const property = fc.property(
      fc.record({ small: cents, large: cents, address: cents }),
      fc.array(fc.constantFrom("small" as const, "large" as const), { maxLength: 60 }),
      (prices, names) => {
        const facts = priced(
          { small: { fsn1: euro(text(prices.small)) }, large: { fsn1: euro(text(prices.large)) } },
          { fsn1: euro(text(prices.address)) },
        );
        const hosts = names.map((serverType) => ({ serverType, location: "fsn1" }));
        const cost = monthlyCost(hosts, facts);
        const expected = names.reduce((sum, name) => sum + prices[name] + prices.address, 0);
        const inCents = (amount: string) => Number(amount.replace(".", ""));
        assert.equal(inCents(cost.net), expected);
        assert.equal(cost.gross, cost.net);
        assert.equal(
          cost.items.reduce((sum, { net }) => sum + inCents(net), 0),
          expected,
        );
        assert.deepEqual(monthlyCost([...hosts].reverse(), facts), cost);
      },
    );
    fc.assert(property);
  });
});

describe("costChange", () => {
  const small = { serverType: "cax11", location: "fsn1" };
  const large = { serverType: "cax21", location: "fsn1" };
  for (const [what, before, after, change] of [
    ["nothing to one", [], [small], "+6.49"],
    ["one to nothing", [large], [], "-10.99"],
    ["small to large", [small], [large], "+4.50"],
    ["large to small", [large], [small], "-4.50"],
    ["the same", [small, large], [large, small], "0.00"],
  ] as const) {
    it(`has the sign of what is added, from ${what}`, () => {
      assert.equal(costChange(before, after, catalog), change);
    });
  }

  it("subtracts before it rounds", () => {
    const facts = priced(
      { a: { fsn1: euro("0.005") }, b: { fsn1: euro("0.0149") } },
      { fsn1: euro("0") },
    );
    const [a, b] = ["a", "b"].map((serverType) => ({ serverType, location: "fsn1" }));
    // Rounded first it would be 0.01 - 0.01.
    assert.equal(costChange([a!], [b!], facts), "+0.01");
    assert.equal(costChange([b!], [a!], facts), "-0.01");
  });

  it("refuses to guess a price", () => {
    const unknown = { serverType: "cax99", location: "fsn1" };
    assert.throws(() => costChange([], [unknown], catalog), {
      message: "Hetzner names no price of cax99 in fsn1.",
    });
  });
});

describe("hasPrice", () => {
  it("needs the price of the server and of its address", () => {
    const facts = priced({ cax11: { fsn1: euro("1"), nbg1: euro("1") } }, { fsn1: euro("1") });
    const at = (serverType: string, location: string) => hasPrice({ serverType, location }, facts);
    assert.deepEqual(
      [at("cax11", "fsn1"), at("cax11", "nbg1"), at("cax11", "hel1"), at("cax21", "fsn1")],
      [true, false, false, false],
    );
  });
});

describe("exceeds", () => {
  const three = Array.from({ length: 3 }, () => ({ serverType: "a", location: "fsn1" }));
  const facts = priced({ a: { fsn1: euro("0.1") } }, { fsn1: euro("0") });

  it("compares exactly, where binary fractions would not", () => {
    assert.ok(0.1 + 0.1 + 0.1 > 0.3);
    assert.equal(exceeds(three, 0.3, facts), false);
    assert.equal(exceeds(three, 0.299999, facts), true);
  });

  it("takes numbers of any size", () => {
    assert.equal(exceeds(three, 1e21, facts), false);
    assert.equal(exceeds(three, 1e-7, facts), true);
  });
});

describe("formatBudget", () => {
  it("writes it as amounts are written", () => {
    assert.deepEqual([60, 60.5, 0.005, 1e21].map(formatBudget), [
      "60.00",
      "60.50",
      "0.01",
      "1000000000000000000000.00",
    ]);
  });
});
