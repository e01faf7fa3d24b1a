import assert from "node:assert/strict";
import { bill, type BilledServer, monthStart, nextMonth } from "../../../components/costs/bill";
import { RATES } from "../status/statuses";

const NOVEMBER = new Date("2026-11-01T00:00:00Z");

function server(createdAt: string, change: Partial<BilledServer> = {}): BilledServer {
  const plain = { name: "dev-arm64-1-1", serverType: "cax21", location: "fsn1", hasIpv4: true };
  return { ...plain, createdAt: new Date(createdAt), ...change };
}

describe("bill", () => {
  const CASES: readonly {
    readonly what: string;
    readonly server: BilledServer;
    readonly to: string;
    readonly hours: number;
    readonly net: string;
  }[] = [
    {
      what: "counts an hour as soon as it has begun",
      server: server("2026-11-26T09:30:00Z"),
      to: "2026-11-26T12:00:00Z",
      hours: 3,
      // 3 × 0.0168 = 0.0504
      net: "0.05",
    },
    {
      what: "counts from the month's first moment for an older server",
      server: server("2026-03-01T00:00:00Z"),
      to: "2026-11-02T00:00:00Z",
      hours: 24,
      // 24 × 0.0168 = 0.4032
      net: "0.40",
    },
    {
      what: "stops at the monthly price, of server and address apart",
      server: server("2026-03-01T00:00:00Z"),
      to: "2026-11-30T00:00:00Z",
      hours: 696,
      net: "10.50",
    },
    {
      what: "leaves out an address that is not there",
      server: server("2026-03-01T00:00:00Z", { hasIpv4: false }),
      to: "2026-11-30T00:00:00Z",
      hours: 696,
      net: "10.00",
    },
    {
      what: "caps each month for itself",
      server: server("2026-03-01T00:00:00Z"),
      to: "2026-12-02T00:00:00Z",
      hours: 744,
      // 10.50 + 24 × 0.0168
      net: "10.90",
    },
    {
      what: "costs nothing before it is made",
      server: server("2026-11-26T12:00:01Z"),
      to: "2026-11-26T12:00:00Z",
      hours: 0,
      net: "0.00",
    },
  ];
  for (const { what, server, to, hours, net } of CASES) {
    it(what, () => {
      assert.deepEqual(bill([server], RATES, NOVEMBER, new Date(to)), {
        currency: "EUR",
        net,
        items: [{ server: "dev-arm64-1-1", hours, net }],
        unpriced: [],
      });
    });
  }

  it("rounds the sum, not what is added up, and names what has no price", () => {
    const servers = [1, 2, 3].map((number) =>
      server("2026-11-26T11:30:00Z", { name: `dev-arm64-1-${number}` }),
    );
    const other = server("2026-11-26T11:30:00Z", { name: "odd", serverType: "cax99" });
    const found = bill([...servers, other], RATES, NOVEMBER, new Date("2026-11-26T11:50:00Z"));
    // 3 × 0.0168 = 0.0504, where three rounded ones were 0.06.
    assert.equal(found.net, "0.05");
    assert.deepEqual(
      found.items.map(({ net }) => net),
      ["0.02", "0.02", "0.02"],
    );
    assert.deepEqual(found.unpriced, ["odd"]);
  });

  it("knows months of UTC", () => {
    const last = new Date("2026-12-31T23:59:59Z");
    assert.equal(monthStart(last).toISOString(), "2026-12-01T00:00:00.000Z");
    assert.equal(nextMonth(last).toISOString(), "2027-01-01T00:00:00.000Z");
  });
});
