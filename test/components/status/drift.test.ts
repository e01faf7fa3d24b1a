import assert from "node:assert/strict";
import { drift } from "../../../components/status/drift";
import { ORGANIZATION, type Reading } from "../../../components/status/reading";
import { settingsWith } from "../config/settings";
import {
  GROUP as GROUP_ID,
  GROUPS,
  host,
  reading,
  RECORDED_GROUP,
  runner,
  server,
} from "./statuses";

const labels = (config: string) => ({ stack: "dev", config });
const resource = (type: string, outputs: Record<string, unknown>, id = "1") => ({
  urn: `urn:pulumi:dev::runner-fleet::${type}::one`,
  type,
  id,
  outputs,
});
const VARIABLE = resource("github:index/actionsOrganizationVariable:ActionsOrganizationVariable", {
  variableName: "ARM64_RUNS_ON",
  value: "wanted",
});
const GROUP = { ...RECORDED_GROUP, outputs: { name: "Arm64" } };
const recorded = (...resources: Reading["recorded"]["resources"]) => ({
  hosts: [host("dev-arm64-1-1")],
  resources,
});

describe("drift", () => {
  const CASES: readonly (readonly [string, Partial<Reading>, readonly string[]])[] = [
    ["is none where all is as recorded", {}, []],
    [
      "sees a server that is gone",
      { servers: [] },
      ["Server dev-arm64-1-1 is gone from the Hetzner project, or has lost its labels."],
    ],
    ["takes no server for gone where Hetzner did not answer", { servers: undefined }, []],
    [
      "sees another type and place, and one that is off",
      {
        servers: [
          server("dev-arm64-1-1", { status: "off", serverType: "cax31", location: "nbg1" }),
        ],
      },
      [
        "Server dev-arm64-1-1 is off.",
        "Server dev-arm64-1-1 has the type cax31, and the state says cax21.",
        "Server dev-arm64-1-1 has the location nbg1, and the state says fsn1.",
      ],
    ],
    [
      "sees labels that differ",
      {
        recorded: recorded(
          resource("hcloud:index/server:Server", { labels: labels("a") }, "id of dev-arm64-1-1"),
        ),
        servers: [server("dev-arm64-1-1", { labels: labels("b") })],
      },
      ["Server dev-arm64-1-1 has the label config b, and the state says a."],
    ],
    [
      "sees a server that nobody knows",
      { servers: [server("dev-arm64-1-1"), server("dev-arm64-1-9")] },
      ["Server dev-arm64-1-9 has the labels of dev, and the state does not know it."],
    ],
    [
      "sees runners of hosts that nobody knows, and leaves those of others alone",
      {
        runners: [
          "dev-arm64-1-9-1-abc123",
          "somebody-else",
          "prod-arm64-1-1-1-abc123",
          "dev-2-arm64-1-1-1-abc123",
        ].map((name) => runner(name, { online: false })),
      },
      ["Runner dev-arm64-1-9-1-abc123 is registered and offline, and the state has no host of it."],
    ],
    [
      "leaves runners of another stack alone that are called as its own, by their group",
      {
        settings: settingsWith((raw) => (raw.pools = { "east-arm64": raw.pools.arm64! })),
        runners: [
          runner("dev-east-arm64-1-9-1-abc123"),
          runner("dev-east-arm64-1-1-1-abc123", { group: GROUP_ID + 1 }),
        ],
        runnerGroups: [...GROUPS, { id: GROUP_ID + 1, name: "east", isDefault: false }],
      },
      [
        "Runner dev-east-arm64-1-9-1-abc123 is registered and online, and the state has no host of it.",
      ],
    ],
    ["finds a runner group whatever its case", { recorded: recorded(GROUP) }, []],
    [
      "misses a runner group",
      { recorded: recorded(GROUP), runnerGroups: GROUPS.slice(0, 1) },
      ["Runner group Arm64 is gone from acme."],
    ],
    [
      "misses a variable",
      { recorded: recorded(VARIABLE), variables: new Map([[ORGANIZATION, undefined]]) },
      ["Variable ARM64_RUNS_ON is gone."],
    ],
    [
      "sees another value",
      { recorded: recorded(VARIABLE), variables: new Map([[ORGANIZATION, "found"]]) },
      ["Variable ARM64_RUNS_ON has another value than the state says."],
    ],
  ];
  for (const [what, change, expected] of CASES) {
    it(what, () => assert.deepEqual(drift(reading(change)), expected));
  }
});
