import assert from "node:assert/strict";
import { canaryPath } from "../../../components/canary/path";
import { isRouted } from "../../../components/githubOrg/runsOn";
import { selectedWorkflows } from "../../../components/githubOrg/selectedWorkflows";
import { checkFleet } from "../../../components/preflight/check";
import type {
  CanaryFacts,
  HetznerFacts,
  LivingServer,
  Repository,
} from "../../../components/preflight/facts";
import { runnerRepositories } from "../../../components/preflight/repositories";
import { placeFleet } from "../../../components/runnerPool/placement";
import { type rawSettings, settingsWith } from "../config/settings";
import { githubFacts, hetznerFacts, repository, serverType } from "./facts";

type Raw = ReturnType<typeof rawSettings> & Record<string, unknown>;

const pool = (change: Record<string, unknown>, more?: (raw: Raw) => void) => (raw: Raw) => {
  Object.assign(raw.pools.arm64!, change);
  more?.(raw);
};

function living(...keys: readonly string[]): HetznerFacts["servers"] {
  const server: LivingServer = {
    serverType: "cax21",
    location: "fsn1",
    off: false,
    attached: true,
    primaryDiskGb: 40,
    configHash: undefined,
  };
  return new Map(keys.map((key) => [key, server]));
}

const FLEET = ["arm64-1-1", "arm64-1-2"];
const budget = (monthlyEur: number) => (raw: Raw) => {
  raw.budget = { monthlyEur };
};

/** Two hosts of cax21 at 10.99 each, and the token service at 10.99: prices of the tests are all alike. */
const SERVER_EUR = 10.99;

describe("checks of a roll", () => {
  const cases: readonly [
    claim: string,
    settings: (raw: Raw) => void,
    servers: readonly string[],
    expected: { readonly problems?: readonly string[]; readonly warnings?: readonly string[] },
  ][] = [
    ["a fleet that stands says nothing", pool({ count: 2, maxSurge: 1 }), FLEET, {}],
    ["a roll at once says nothing", pool({ count: 2, generation: 2 }), FLEET, {}],
    [
      "one that takes more runs says how far it gets",
      pool({ count: 2, generation: 2, maxSurge: 1 }),
      FLEET,
      {
        warnings: [
          "fleet:pools.arm64.generation: pool arm64: 1 of 2 hosts is of generation 2; the next run goes on.",
        ],
      },
    ],
    [
      "what the roll costs meanwhile may be as much as the budget",
      pool({ count: 2, generation: 2 }, budget(5 * SERVER_EUR)),
      FLEET,
      {},
    ],
    [
      "a roll at once that costs more meanwhile is refused",
      pool({ count: 2, generation: 2 }, budget(5 * SERVER_EUR - 0.01)),
      FLEET,
      {
        problems: [
          "fleet:pools.arm64.maxSurge: found a roll during which 5 servers cost 54.95 EUR a month, expected at most the 54.94 EUR of budget.monthlyEur: a lower maxSurge or, until the roll is over, a higher budget.",
        ],
      },
    ],
    [
      "one by one it is not",
      pool({ count: 2, generation: 2, maxSurge: 1 }, budget(5 * SERVER_EUR - 0.01)),
      FLEET,
      {
        warnings: [
          "fleet:pools.arm64.generation: pool arm64: 1 of 2 hosts is of generation 2; the next run goes on.",
        ],
      },
    ],
    [
      "where even one more is too much, a higher budget is the only way",
      pool({ count: 2, generation: 2, maxSurge: 1 }, budget(3 * SERVER_EUR)),
      FLEET,
      {
        problems: [
          "fleet:pools.arm64.maxSurge: found a roll during which 4 servers cost 43.96 EUR a month, expected at most the 32.97 EUR of budget.monthlyEur: until the roll is over, a higher budget.",
        ],
        warnings: [
          "fleet:pools.arm64.generation: pool arm64: 1 of 2 hosts is of generation 2; the next run goes on.",
        ],
      },
    ],
    [
      "a run that only deletes what an interrupted one has replaced is not refused",
      pool({ count: 2, generation: 2, maxSurge: 1 }, budget(3 * SERVER_EUR)),
      [...FLEET, "arm64-2-1"],
      {
        warnings: [
          "fleet:pools.arm64.generation: pool arm64: 1 of 2 hosts is of generation 2; the next run goes on.",
        ],
      },
    ],
    [
      "a fleet that grows beyond the budget is none",
      pool({ count: 3 }, budget(3 * SERVER_EUR)),
      FLEET,
      {},
    ],
  ];
  for (const [claim, change, servers, expected] of cases) {
    it(claim, () => {
      const verdict = checkFleet(
        settingsWith((raw) => change(raw)),
        { hetzner: hetznerFacts({ servers: living(...servers) }), github: githubFacts() },
        "fleet",
      );
      assert.deepEqual(verdict, { problems: [], warnings: [], ...expected });
    });
  }

  it("without stock for the new host is refused, whatever the old ones are", () => {
    const none = { available: false, unavailableAfter: undefined };
    const scarce = serverType("cax21", { locations: new Map([["fsn1", none]]) });
    const { problems } = checkFleet(
      settingsWith((raw) => pool({ count: 2, generation: 2, maxSurge: 1 })(raw)),
      { hetzner: hetznerFacts({ servers: living(...FLEET) }, scarce), github: githubFacts() },
      "fleet",
    );
    assert.deepEqual(problems, [
      "fleet:pools.arm64: found nothing that can be ordered for arm64-2-1 of cax21 (fsn1), expected one of those that can be ordered now: cax11 (fsn1, nbg1).",
    ]);
  });

  it("leaves hosts that a later run replaces what and where they are", () => {
    const settings = settingsWith((raw) =>
      pool({
        count: 2,
        generation: 2,
        maxSurge: 1,
        serverTypes: ["cax11"],
        locations: ["nbg1"],
      })(raw),
    );
    const placement = placeFleet("dev", settings, hetznerFacts({ servers: living(...FLEET) }));
    assert.deepEqual(
      placement.pools.arm64!.map(({ key, generation, serverType: type, location, obstacle }) => [
        key,
        generation,
        type,
        location,
        obstacle,
      ]),
      [
        ["arm64-2-1", 2, "cax11", "nbg1", undefined],
        ["arm64-1-2", 1, "cax21", "fsn1", undefined],
      ],
    );
  });

  it("does not count a server that was never made as one that lives", () => {
    const settings = settingsWith((raw) => pool({ count: 1, generation: 2, maxSurge: 1 })(raw));
    const servers = new Map(
      [...living("arm64-1-1", "arm64-2-1")].map(([key, server]) => [
        key,
        key === "arm64-2-1" ? { ...server, off: true, attached: false } : server,
      ]),
    );
    const { pools } = placeFleet("dev", settings, hetznerFacts({ servers }));
    assert.deepEqual(
      pools.arm64!.map(({ key }) => key),
      ["arm64-2-1"],
    );
  });
});

describe("a pool that is paused", () => {
  for (const [paused, routed, warning] of [
    [false, true, undefined],
    ["keep", false, "pool arm64 is paused: jobs run on ubuntu-24.04-arm"],
    ["delete", false, "pool arm64 is paused: jobs run on ubuntu-24.04-arm"],
  ] as const) {
    it(`${paused}: is ${routed ? "" : "not "}routed to`, () => {
      const settings = settingsWith((raw) => pool({ paused })(raw));
      assert.equal(isRouted(settings), routed);
      const { warnings } = checkFleet(
        settings,
        { hetzner: hetznerFacts(), github: githubFacts() },
        "fleet",
      );
      assert.deepEqual(
        warnings,
        warning === undefined ? [] : [`fleet:pools.arm64.paused: ${warning}.`],
      );
      const hosts = placeFleet("dev", settings).pools.arm64!.length;
      assert.equal(hosts, paused === "delete" ? 0 : settings.pools.arm64!.count);
    });
  }

  it("and that nothing routes to changes nothing for the one that is routed to", () => {
    const settings = settingsWith((raw) => {
      const { arm64 } = raw.pools;
      raw.pools = {
        arm64: arm64!,
        big: { ...arm64, paused: "keep" },
        off: { ...arm64, paused: "delete" },
      };
      raw.routing = { pool: "arm64" };
    });
    assert.equal(isRouted(settings), true);
    const { warnings } = checkFleet(
      settings,
      { hetzner: hetznerFacts(), github: githubFacts() },
      "fleet",
    );
    assert.deepEqual(warnings, [
      "fleet:pools.big.paused: pool big is paused: it has its hosts, but nothing routes to it.",
      "fleet:pools.off.paused: pool off is paused: it has no hosts, and nothing routes to it.",
    ]);
  });
});

describe("checks of the canary", () => {
  const proved = (change: (raw: Raw) => void = () => undefined) =>
    settingsWith((raw) => {
      raw.canary = { repository: "proof" };
      change(raw);
    });
  const withCanary = (change: Partial<CanaryFacts> = {}, of: Partial<Repository> = {}) => {
    const proof = repository("proof", { id: 9, ...of });
    return githubFacts({
      repositories: new Map([
        ["webppt", repository("webppt")],
        ["proof", proof],
      ]),
      canary: {
        repository: proof,
        path: canaryPath("dev"),
        branch: "master",
        branchExists: true,
        protection: undefined,
        workflowFile: "absent",
        blob: undefined,
        actionsEnabled: true,
        ...change,
      },
    });
  };
  const found = (what: string) => `fleet:canary.repository: found ${what}.`;
  const cases: readonly [
    claim: string,
    github: ReturnType<typeof githubFacts>,
    problems: readonly string[],
    settings?: (raw: Raw) => void,
  ][] = [
    ["is fine with a file of ours", withCanary({ workflowFile: "ours" }), []],
    [
      "needs a private repository",
      withCanary({}, { private: false }),
      [
        found(
          "acme/proof, which is public, expected a private repository, since the runner group takes no job of a public one",
        ),
      ],
    ],
    [
      "leaves a file of others alone",
      withCanary({ workflowFile: "foreign" }),
      [
        found(
          `.github/workflows/runner-canary-dev.yml in acme/proof, which this program did not write, expected a path that is free: delete or rename that file, or choose another repository`,
        ),
      ],
    ],
    [
      "needs a branch that takes commits",
      withCanary({ protection: { rule: "requires pull requests", certain: true } }),
      [
        found(
          "acme/proof, whose branch master requires pull requests, expected a repository whose default branch takes commits",
        ),
      ],
    ],
    [
      "needs a repository that is not empty",
      withCanary({ branchExists: false }),
      [
        found(
          "acme/proof, which is empty, expected a repository with a commit on its default branch master",
        ),
      ],
    ],
    [
      "needs a repository that runs workflows",
      withCanary({ actionsEnabled: false }),
      [
        found(
          "acme/proof, which has GitHub Actions disabled, expected a repository that runs workflows",
        ),
      ],
    ],
    [
      "needs a repository that can be written",
      withCanary({}, { writable: false }),
      [
        found(
          "acme/proof, which the owner of the token may only read, expected a repository that it may write to",
        ),
      ],
    ],
    [
      "needs a runner group that takes its job",
      withCanary(),
      [
        'fleet:runnerGroup.repositories: found a list without "proof", expected one with it, since the hosts take no job of canary otherwise.',
      ],
      (raw) => (raw.runnerGroup = { repositories: ["webppt"] }),
    ],
  ];
  for (const [claim, github, problems, settings] of cases) {
    it(claim, () => {
      const verdict = checkFleet(proved(settings), { hetzner: hetznerFacts(), github }, "fleet");
      assert.deepEqual(verdict.problems, problems);
    });
  }

  it("has its job taken by the runner group, whose list names nobody's", () => {
    assert.deepEqual(runnerRepositories(proved()), ["webppt", "proof"]);
    assert.deepEqual(runnerRepositories(settingsWith()), ["webppt"]);
    const same = proved((raw) => (raw.canary = { repository: "WebPPT" }));
    assert.deepEqual(runnerRepositories(same), ["webppt"]);
  });

  it("has its job taken by a runner group that is restricted to workflows", () => {
    const settings = proved((raw) => {
      raw.reusableWorkflows = { repository: "central" };
      raw.targets = { webppt: { image: "ghcr.io/acme/webppt", emit: "reusable" } };
      raw.runnerGroup = { restrictToWorkflows: true };
    });
    assert.deepEqual(
      selectedWorkflows(settings, "main", { path: canaryPath("dev"), branch: "master" }),
      [
        "acme/central/.github/workflows/image-hybrid.yml@refs/heads/main",
        "acme/proof/.github/workflows/runner-canary-dev.yml@refs/heads/master",
      ],
    );
  });
});
