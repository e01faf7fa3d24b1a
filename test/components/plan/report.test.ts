import assert from "node:assert/strict";
import type { Jobs } from "../../../components/plan/jobs";
import { readPreview } from "../../../components/plan/preview";
import {
  type BlockReason,
  makeReport,
  type Report,
  type ReportInput,
} from "../../../components/plan/report";
import type { HetznerFacts } from "../../../components/preflight/facts";
import { poolLives } from "../../../components/runnerVersions/stackLives";
import { settingsWith } from "../config/settings";
import { hetznerFacts, READ_AT, serverType } from "../preflight/facts";
import {
  commandEvent,
  diagnostic,
  event,
  queueEvent,
  retireEvent,
  serverEvent,
  type ServerShape,
} from "./events";

const inStock = { available: true, unavailableAfter: undefined };
const outOfStock = { available: false, unavailableAfter: undefined };
const euro = (net: string) => ({ net, gross: net });

/** Types with the sizes and prices of Hetzner's, sold in two locations. */
function market(stock: Readonly<Record<string, readonly string[]>> = {}): HetznerFacts {
  const type = (name: string, cores: number, price: string) =>
    serverType(name, {
      cores,
      memoryGb: cores * 2,
      locations: new Map(
        ["fsn1", "nbg1"].map((location) => [
          location,
          (stock[name]?.includes(location) ?? true) ? inStock : outOfStock,
        ]),
      ),
      prices: new Map([
        ["fsn1", euro(price)],
        ["nbg1", euro(price)],
      ]),
    });
  return hetznerFacts(
    {
      primaryIpv4: new Map([
        ["fsn1", euro("0.5")],
        ["nbg1", euro("0.5")],
      ]),
    },
    type("cax11", 2, "5.99"),
    type("cax21", 4, "10.49"),
    type("cax31", 8, "20.99"),
  );
}

type RawChange = Parameters<typeof settingsWith>[0];

function reportOf(
  lines: readonly string[],
  change: Omit<Partial<ReportInput>, "settings" | "preview"> & {
    readonly settings?: RawChange;
  } = {},
): Report {
  const { settings, ...others } = change;
  return makeReport({
    stack: "dev",
    project: "fleet",
    hetzner: market(),
    lives: [],
    jobs: { busy: [], queued: [], complete: true },
    allowed: [],
    ...others,
    settings: settingsWith(settings),
    preview: readPreview(lines.join("\n")),
  });
}

const budgetOf =
  (monthlyEur: number): NonNullable<RawChange> =>
  (raw) =>
    (raw.budget = { monthlyEur });
const placesOf =
  (serverTypes: readonly string[], locations: readonly string[]): NonNullable<RawChange> =>
  (raw) =>
    Object.assign(raw.pools.arm64!, { serverTypes, locations });

describe("makeReport", () => {
  describe("tells for a server", () => {
    const living = { name: "dev-arm64-1-1", serverType: "cax21", location: "fsn1" };
    const cax21 = { serverType: "cax21", locations: ["fsn1", "nbg1"] };

    it("that is created what it costs and where it can be ordered", () => {
      const { servers, serverCount, cost, drains, outcome } = reportOf([
        serverEvent("same", "arm64-1-1"),
        serverEvent("create", "arm64-1-2"),
      ]);
      assert.deepEqual(servers, [
        {
          change: "create",
          pool: "arm64",
          before: undefined,
          after: { ...living, name: "dev-arm64-1-2" },
          reasons: [],
          orderable: cax21,
          again: undefined,
          price: { after: "10.99", change: "+10.99" },
          running: 0,
        },
      ]);
      assert.deepEqual(serverCount, { now: 1, most: 2, after: 2 });
      assert.deepEqual(cost, {
        currency: "EUR",
        before: "10.99",
        after: "21.98",
        change: "+10.99",
        budget: undefined,
      });
      assert.deepEqual(drains, []);
      assert.equal(outcome, "changes");
    });

    it("that is deleted what is saved, whether it could be had again, and its jobs", () => {
      const jobs: Jobs = {
        busy: ["dev-arm64-1-1-1-x7k2p9", "dev-arm64-1-1-2-a1b2c3", "dev-arm64-1-11-1-aaaaaa"],
        queued: [["self-hosted", "Linux", "ARM64", "Docker"], ["self-hosted"], ["ubuntu-24.04"]],
        complete: true,
      };
      const report = reportOf(
        [
          serverEvent("delete", "arm64-1-1"),
          retireEvent("delete", "arm64-1-1", 90),
          queueEvent("delete", "arm64", ["self-hosted", "docker"]),
        ],
        { jobs },
      );
      assert.deepEqual(report.servers, [
        {
          change: "delete",
          pool: "arm64",
          before: living,
          after: undefined,
          reasons: [],
          orderable: undefined,
          again: cax21,
          price: { after: "0.00", change: "-10.99" },
          running: 2,
        },
      ]);
      assert.deepEqual(report.serverCount, { now: 1, most: 1, after: 0 });
      assert.deepEqual(report.drains, [{ server: "dev-arm64-1-1", atMostSeconds: 90 }]);
      assert.deepEqual(report.queues, [{ pool: "arm64", jobs: 1 }]);
      assert.deepEqual(report.others, { delete: 2 });
    });

    it("that is rescaled both types, and drains it as configured now", () => {
      const { servers, drains } = reportOf([
        serverEvent("update", "arm64-1-1", {}, { serverType: "cax31" }, { diffs: ["serverType"] }),
        event("update", "command:local:Command", "arm64-1-1-retire", {
          old: { inputs: { environment: { DRAIN_COMMAND: "drain 60", TIMEOUT_SECONDS: "60" } } },
          wanted: {
            inputs: { environment: { DRAIN_COMMAND: "drain 120", TIMEOUT_SECONDS: "120" } },
          },
        }),
      ]);
      assert.deepEqual(
        servers.map(({ change, before, after, orderable, again, price }) => ({
          change,
          types: [before?.serverType, after?.serverType],
          orderable,
          again,
          price,
        })),
        [
          {
            change: "rescale",
            types: ["cax21", "cax31"],
            orderable: { serverType: "cax31", locations: ["fsn1", "nbg1"] },
            again: cax21,
            price: { after: "21.49", change: "+10.50" },
          },
        ],
      );
      assert.deepEqual(drains, [{ server: "dev-arm64-1-1", atMostSeconds: 120 }]);
    });

    it("that is updated otherwise nothing", () => {
      const report = reportOf([serverEvent("update", "arm64-1-1", {}, {}, { diffs: ["labels"] })]);
      assert.deepEqual(report.servers, []);
      assert.deepEqual(report.others, { update: 1 });
      assert.equal(report.outcome, "changes");
    });

    it("that is replaced the names of the properties that ask for it", () => {
      const { servers } = reportOf([
        serverEvent("replace", "arm64-1-1", {}, {}, { keys: ["placementGroupId", "image"] }),
      ]);
      assert.deepEqual(
        servers.map(({ change, reasons }) => ({ change, reasons })),
        [{ change: "replace", reasons: ["placementGroupId", "image"] }],
      );
    });

    it("of the token service that it has no pool, no jobs and no drain", () => {
      const { servers, drains, queues } = reportOf([serverEvent("delete", "token-service")]);
      assert.deepEqual(
        servers.map(({ pool, running }) => ({ pool, running })),
        [{ pool: undefined, running: 0 }],
      );
      assert.deepEqual([drains, queues], [[], []]);
    });

    it("nothing of stock, prices and jobs that could not be read, and says so", () => {
      const report = reportOf([serverEvent("delete", "arm64-1-1")], {
        hetzner: "stock and prices: Hetzner refuses the token",
        jobs: "which jobs run and wait: GitHub refuses the token",
      });
      const [server] = report.servers;
      assert.deepEqual(
        [server?.orderable, server?.again, server?.price, server?.running, report.cost],
        Array.from({ length: 5 }, () => undefined),
      );
      assert.deepEqual(report.queues, [{ pool: "arm64", jobs: undefined }]);
      assert.deepEqual(report.notes, [
        "stock and prices: Hetzner refuses the token",
        "which jobs run and wait: GitHub refuses the token",
      ]);
    });

    it("no price that Hetzner does not name", () => {
      const report = reportOf([serverEvent("create", "arm64-1-1", {}, { location: "hel1" })]);
      assert.equal(report.servers[0]?.price, undefined);
      assert.equal(report.cost, undefined);
    });
  });

  describe("joins a host of a new generation with the one that it replaces", () => {
    const pairs = (lines: readonly string[]) =>
      reportOf(lines).servers.map(({ change, before, after }) =>
        [change, before?.name ?? "-", after?.name ?? "-"].join(" "),
      );

    it("by number, whatever the order", () => {
      assert.deepEqual(
        pairs([
          serverEvent("create", "arm64-2-2"),
          serverEvent("create", "arm64-2-1"),
          serverEvent("delete", "arm64-1-1"),
          serverEvent("delete", "arm64-1-2"),
        ]),
        ["roll dev-arm64-1-1 dev-arm64-2-1", "roll dev-arm64-1-2 dev-arm64-2-2"],
      );
    });

    it("and leaves those that are more or fewer than before", () => {
      assert.deepEqual(
        pairs([
          serverEvent("create", "arm64-2-1"),
          serverEvent("create", "arm64-2-2"),
          serverEvent("delete", "arm64-1-1"),
        ]),
        ["roll dev-arm64-1-1 dev-arm64-2-1", "create - dev-arm64-2-2"],
      );
      assert.deepEqual(
        pairs([
          serverEvent("create", "arm64-2-1"),
          serverEvent("delete", "arm64-1-1"),
          serverEvent("delete", "arm64-1-2"),
        ]),
        ["delete dev-arm64-1-2 -", "roll dev-arm64-1-1 dev-arm64-2-1"],
      );
    });

    it("never across pools, and not within a generation", () => {
      assert.deepEqual(
        pairs([
          serverEvent("create", "large-2-1", {}, { pool: "large" }),
          serverEvent("delete", "arm64-1-1"),
          serverEvent("create", "arm64-1-3"),
        ]),
        ["delete dev-arm64-1-1 -", "create - dev-arm64-1-3", "create - dev-large-2-1"],
      );
    });

    it("and counts both at the most", () => {
      const lines = [serverEvent("create", "arm64-2-1"), serverEvent("delete", "arm64-1-1")];
      assert.deepEqual(reportOf(lines).serverCount, { now: 1, most: 2, after: 1 });
    });
  });

  describe("is blocked by stock", () => {
    interface Case {
      readonly what: string;
      readonly lines: readonly string[];
      readonly stock?: Readonly<Record<string, readonly string[]>>;
      readonly settings?: RawChange;
      readonly says: readonly string[];
    }
    const small: ServerShape = { serverType: "cax11" };
    const CASES: readonly Case[] = [
      {
        what: "when a host goes that could be ordered nowhere",
        lines: [serverEvent("delete", "arm64-1-1")],
        stock: { cax21: [] },
        says: [
          "dev-arm64-1-1 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again",
        ],
      },
      {
        what: "not when a host of another generation has its place already",
        lines: [serverEvent("delete", "arm64-1-1"), serverEvent("same", "arm64-2-1")],
        stock: { cax21: [] },
        says: [],
      },
      {
        what: "when a host of another generation has another's place",
        lines: [serverEvent("delete", "arm64-1-1"), serverEvent("same", "arm64-2-2")],
        stock: { cax21: [] },
        says: [
          "dev-arm64-1-1 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again",
        ],
      },
      {
        what: "when it could be ordered only where the pool may not be",
        lines: [serverEvent("delete", "arm64-1-1")],
        stock: { cax21: ["nbg1"] },
        says: [
          "dev-arm64-1-1 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again",
        ],
      },
      {
        what: "not when another configured location has it",
        lines: [serverEvent("delete", "arm64-1-1")],
        stock: { cax21: ["nbg1"] },
        settings: placesOf(["cax21"], ["fsn1", "nbg1"]),
        says: [],
      },
      {
        what: "not when another configured type that is as large can be had",
        lines: [serverEvent("delete", "arm64-1-1")],
        stock: { cax21: [] },
        settings: placesOf(["cax21", "cax31"], ["fsn1"]),
        says: [],
      },
      {
        what: "when only smaller ones can be had",
        lines: [serverEvent("delete", "arm64-1-1")],
        stock: { cax21: [] },
        settings: placesOf(["cax21", "cax11"], ["fsn1"]),
        says: [
          "dev-arm64-1-1 is deleted, and no cax21 can be ordered in fsn1 at the moment to take its place again",
        ],
      },
      {
        what: "when the token service goes",
        lines: [serverEvent("delete", "token-service", small)],
        stock: { cax11: [] },
        says: [
          "dev-token-service is deleted, and no cax11 can be ordered in fsn1 at the moment to take its place again",
        ],
      },
      {
        what: "when a server is replaced",
        lines: [serverEvent("replace", "arm64-1-1")],
        stock: { cax21: [] },
        says: [
          "dev-arm64-1-1 is replaced, and no cax21 can be ordered in fsn1 at the moment in its place",
        ],
      },
      {
        what: "when a host is rolled",
        lines: [serverEvent("create", "arm64-2-1"), serverEvent("delete", "arm64-1-1")],
        stock: { cax21: [] },
        says: [
          "dev-arm64-1-1 is rolled, and no cax21 can be ordered in fsn1 at the moment in its place",
        ],
      },
      {
        what: "when a host becomes smaller and could not become large again",
        lines: [serverEvent("update", "arm64-1-1", { serverType: "cax31" }, small)],
        stock: { cax31: ["nbg1"] },
        says: [
          "dev-arm64-1-1 becomes a cax11, and could not become a cax31 again, which is out of stock in fsn1",
        ],
      },
      {
        what: "not when a host becomes larger",
        lines: [serverEvent("update", "arm64-1-1", {}, { serverType: "cax31" })],
        stock: { cax21: [] },
        says: [],
      },
      {
        what: "not when a host stays, or is made",
        lines: [serverEvent("same", "arm64-1-1"), serverEvent("create", "arm64-1-2")],
        stock: { cax21: [] },
        says: [],
      },
    ];
    for (const { what, lines, stock, settings = placesOf(["cax21"], ["fsn1"]), says } of CASES) {
      it(what, () => {
        const report = reportOf(lines, { hetzner: market(stock), settings });
        assert.deepEqual(
          report.blocks,
          says.map((sentence) => ({ reason: "stock", sentence, allowed: false })),
        );
        assert.equal(report.outcome, says.length > 0 ? "blocked" : "changes");
      });
    }
  });

  describe("is blocked by the budget", () => {
    const more = [serverEvent("same", "arm64-1-1"), serverEvent("create", "arm64-1-2")];
    const fewer = [serverEvent("same", "arm64-1-1"), serverEvent("delete", "arm64-1-2")];

    it("when more is spent than it allows", () => {
      const report = reportOf(more, { settings: budgetOf(21.97) });
      assert.deepEqual(report.blocks, [
        {
          reason: "budget",
          sentence:
            "the servers cost 21.98 EUR a month after it, more than the 21.97 EUR of budget.monthlyEur",
          allowed: false,
        },
      ]);
      assert.equal(report.cost?.budget, "21.97");
      assert.equal(report.outcome, "blocked");
    });

    for (const [what, lines, budget] of [
      ["what it allows to the cent", more, 21.98],
      ["less than before, though still too much", fewer, 1],
      ["as before, though too much", [serverEvent("same", "arm64-1-1")], 1],
    ] as const) {
      it(`not when the servers cost ${what}`, () => {
        assert.deepEqual(reportOf(lines, { settings: budgetOf(budget) }).blocks, []);
      });
    }

    it("not when prices are in another currency", () => {
      const hetzner = { ...market(), currency: "USD" };
      assert.deepEqual(reportOf(more, { hetzner, settings: budgetOf(1) }).blocks, []);
    });
  });

  describe("goes on where a reason is allowed", () => {
    const lines = [
      serverEvent("replace", "arm64-1-1", {}, { serverType: "cax31" }),
      serverEvent("same", "arm64-1-2"),
    ];
    const outcome = (...allowed: BlockReason[]) =>
      reportOf(lines, {
        hetzner: market({ cax21: [], cax31: [] }),
        settings: budgetOf(1),
        allowed,
      });

    it("but not for another one", () => {
      assert.equal(outcome().outcome, "blocked");
      assert.equal(outcome("budget").outcome, "blocked");
      assert.deepEqual(
        outcome("budget").blocks.map(({ reason, allowed }) => ({ reason, allowed })),
        [
          { reason: "stock", allowed: false },
          { reason: "budget", allowed: true },
        ],
      );
      assert.equal(outcome("budget", "stock").outcome, "changes");
    });
  });

  describe("of a preview that failed", () => {
    const ended = poolLives(
      settingsWith(),
      new Map([
        [
          settingsWith().pools.arm64!.runner.version,
          { registrationEnds: new Date("2026-09-01"), jobsEnd: undefined },
        ],
      ]),
      READ_AT,
    );
    const refusal = 'fleet:pools.arm64.runner.version: found "2.338.0", expected a newer one.';

    it("has its sentences and nothing that would be half the truth", () => {
      const report = reportOf([
        serverEvent("create", "arm64-1-1"),
        diagnostic("error", "fleet:a: found 1, expected 2."),
        diagnostic("warning", "fleet:b: old."),
      ]);
      assert.equal(report.outcome, "failed");
      assert.deepEqual(report.problems, ["fleet:a: found 1, expected 2."]);
      assert.deepEqual(report.warnings, ["fleet:b: old."]);
      assert.deepEqual([report.servers, report.cost], [[], undefined]);
    });

    it("is blocked when the program refuses for the end of a runner version alone", () => {
      const report = reportOf([diagnostic("error", refusal)], { lives: ended });
      assert.equal(report.outcome, "blocked");
      assert.deepEqual(report.blocks, [
        {
          reason: "runner-version",
          sentence: "pool arm64: GitHub does not serve 2.338.0 since 2026-09-01",
          allowed: false,
        },
      ]);
      assert.deepEqual(report.problems, [refusal]);
    });

    it("has failed when there is more to it, or nothing but that is allowed", () => {
      const more = [diagnostic("error", refusal), diagnostic("error", "fleet:a: no.")];
      assert.equal(reportOf(more, { lives: ended }).outcome, "failed");
      const allowed = { lives: ended, allowed: ["runner-version"] as const };
      assert.equal(reportOf([diagnostic("error", refusal)], allowed).outcome, "failed");
    });

    it("is blocked when the program refuses for want of stock", () => {
      const report = reportOf(
        [diagnostic("error", "fleet:pools.arm64: found nothing that can be ordered")],
        { hetzner: market({ cax21: [] }) },
      );
      assert.equal(report.outcome, "blocked");
      assert.deepEqual(
        report.blocks.map(({ sentence }) => sentence),
        ["nothing that the configuration lists can be ordered for pool arm64"],
      );
    });
  });

  it("names secrets and who sees them, and nothing of their values", () => {
    const secret = "github:index/actionsOrganizationSecret:ActionsOrganizationSecret";
    const repositories =
      "github:index/actionsOrganizationSecretRepositories:ActionsOrganizationSecretRepositories";
    const shape = (secretName: string, value: string) => ({
      inputs: { secretName, plaintextValue: value },
    });
    const report = reportOf([
      event("update", secret, "organization-secret-OLD", {
        old: shape("OLD", "canary-1"),
        wanted: shape("OLD", "canary-2"),
      }),
      event("create", secret, "organization-secret-NEW", { wanted: shape("NEW", "canary-3") }),
      event("create", repositories, "organization-secret-NEW-repositories", {
        wanted: shape("NEW", ""),
      }),
      event("update", repositories, "organization-secret-SEEN-repositories", {
        old: shape("SEEN", ""),
        wanted: shape("SEEN", ""),
      }),
      event("delete", secret, "organization-secret-GONE", { old: shape("GONE", "canary-4") }),
      event("same", secret, "organization-secret-SAME", { old: shape("SAME", "canary-5") }),
    ]);
    assert.deepEqual(report.secrets, [
      { change: "delete", name: "GONE", what: "value" },
      { change: "create", name: "NEW", what: "value" },
      { change: "update", name: "OLD", what: "value" },
      { change: "update", name: "SEEN", what: "repositories" },
    ]);
    assert.ok(!JSON.stringify(report).includes("canary"));
  });

  it("names workflows by repository and file, by commit and by pull request", () => {
    const file = "github:index/repositoryFile:RepositoryFile";
    const at = { inputs: { repository: "webppt", file: ".github/workflows/image.yml" } };
    const environment = {
      PROPOSAL_REPOSITORY: "acme/site",
      PROPOSAL_PATH: ".github/workflows/image.yml",
    };
    const report = reportOf([
      event("update", file, "webppt", { old: at, wanted: at }),
      event("delete", file, "kept", { old: { ...at, retainOnDelete: true } }),
      event("delete", file, "gone", { old: at }),
      commandEvent("create", "site", { environment, stdin: "name: image" }),
      commandEvent("same", "other", { environment }),
    ]);
    const [path, delivery] = [".github/workflows/image.yml", "commit"];
    assert.deepEqual(report.workflows, [
      { change: "create", repository: "acme/site", path, delivery: "pullRequest" },
      { change: "update", repository: "acme/webppt", path, delivery },
      { change: "keep", repository: "acme/webppt", path, delivery },
      { change: "delete", repository: "acme/webppt", path, delivery },
    ]);
    assert.deepEqual(report.others, {});
  });

  it("counts what else changes, without components and providers", () => {
    const report = reportOf([
      event("create", "runner-fleet:index:Host", "a"),
      event("create", "pulumi:providers:hcloud", "b"),
      event("create", "hcloud:index/network:Network", "c"),
      event("replace", "hcloud:index/sshKey:SshKey", "d"),
      event("same", "hcloud:index/firewall:Firewall", "e"),
    ]);
    assert.deepEqual(report.others, { create: 1, replace: 1 });
  });

  it("is unchanged when everything stays as it is", () => {
    assert.equal(reportOf([serverEvent("same", "arm64-1-1")]).outcome, "unchanged");
  });
});
