import assert from "node:assert/strict";
import { fleetStatus } from "../../../components/status/model";
import { ORGANIZATION, type Reading } from "../../../components/status/reading";
import { settingsWith } from "../config/settings";
import { GROUP, GROUPS, host, job, reading, RECORDED_GROUP, runner, server } from "./statuses";

const of = (change: Partial<Reading>) => fleetStatus(reading(change));
const queuedJob = (labels: readonly string[]) =>
  job(7, {
    status: "queued",
    conclusion: undefined,
    runner: undefined,
    completedAt: undefined,
    labels,
  });

describe("fleetStatus", () => {
  it("is plain values", () => {
    const status = of({});
    assert.deepEqual(JSON.parse(JSON.stringify(status)), status);
  });

  describe("slots", () => {
    const silent = (runners: Reading["runners"]) =>
      of({
        runners,
        hosts: new Map([["dev-arm64-1-1", { reach: "unreachable", reason: "nobody answers SSH" }]]),
      }).hosts[0]!;
    const listed = (name: string, online: boolean, busy: boolean) =>
      runner(`dev-arm64-1-1-${name}`, { online, busy });

    it("are what GitHub says where the host says nothing", () => {
      const found = silent([
        listed("1-aaaaaa", false, false),
        listed("1-bbbbbb", true, true),
        listed("2-cccccc", true, false),
        listed("3-dddddd", false, false),
      ]);
      assert.deepEqual(
        found.slots.map(({ slot, state, runner: name }) => [slot, state, name]),
        [
          [1, "busy", "dev-arm64-1-1-1-bbbbbb"],
          [2, "online", "dev-arm64-1-1-2-cccccc"],
          [3, "offline", "dev-arm64-1-1-3-dddddd"],
        ],
      );
      assert.deepEqual([found.reach, found.online, found.busy], ["unreachable", 2, 1]);
    });

    it("are unknown where nobody says anything", () => {
      const found = silent(undefined);
      assert.ok(found.slots.length > 0);
      assert.ok(found.slots.every(({ state }) => state === "unknown"));
      assert.deepEqual([found.online, found.busy], [null, null]);
    });
  });

  it("tells a server that is gone from one that nobody asked for", () => {
    assert.equal(of({ servers: [] }).hosts[0]?.server, "gone");
    assert.equal(of({ servers: undefined }).hosts[0]?.server, "unknown");
    const rescaled = of({ servers: [server("dev-arm64-1-1", { serverType: "cax31" })] });
    assert.equal(rescaled.hosts[0]?.serverType, "cax31");
  });

  for (const [what, value, goes] of [
    ["not set", undefined, "hosted"],
    ["another", '"elsewhere"', "other"],
  ] as const) {
    it(`routes by a variable that is ${what}`, () => {
      const { values } = of({ variables: new Map([[ORGANIZATION, value]]) }).routing;
      assert.deepEqual(values, [{ repository: null, goes }]);
    });
  }

  for (const [labels, on] of [
    [["self-hosted", "Linux", "ARM64", "DOCKER"], "own"],
    [["self-hosted", "gpu"], "other"],
    [["ubuntu-24.04-arm"], "hosted"],
  ] as const) {
    it(`finds that a job for ${labels.join(", ")} waits for ${on} runners`, () => {
      const jobs = { ...reading().jobs!, jobs: [queuedJob(labels)] };
      const found = of({ jobs }).jobs?.queued[0];
      assert.deepEqual([found?.on, found?.startedAt, found?.host], [on, null, null]);
    });
  }

  it("counts jobs of own hosts alone, those of hosts that are gone by now too", () => {
    const ran = [
      job(1),
      job(2, { runner: "dev-arm64-1-9-1-abc123" }),
      job(3, { runner: "GitHub Actions 17", runnerGroup: 0 }),
      job(4, { runner: "mine", runnerGroup: 1 }),
      job(5, { status: "in_progress", completedAt: undefined }),
    ];
    const status = of({ jobs: { ...reading().jobs!, jobs: ran } });
    assert.deepEqual(
      status.jobs?.done.map(({ on, host: name, slot }) => [on, name, slot]),
      [
        ["own", "dev-arm64-1-1", 1],
        ["own", "dev-arm64-1-9", 1],
        ["hosted", null, null],
        ["other", null, null],
      ],
    );
    assert.equal(status.jobs?.running.length, 1);
    assert.equal(status.costs?.breakEven?.jobs, 2);
  });

  describe("of a stack beside others whose names begin alike", () => {
    const [EAST, OLD] = [GROUP + 1, GROUP + 7];
    const settings = settingsWith((raw) => {
      raw.pools = {
        arm64: raw.pools.arm64!,
        "east-arm64": raw.pools.arm64!,
        "big-2": raw.pools.arm64!,
      };
      raw.routing = { pool: "arm64" };
    });
    const NAMED: readonly (readonly [
      runner: string,
      group: number | undefined,
      host: string | null,
      why: string,
    ])[] = [
      ["dev-arm64-1-1-1-abc123", GROUP, "dev-arm64-1-1", "its own"],
      ["dev-big-2-1-1-1-abc123", GROUP, "dev-big-2-1-1", "its own, of a pool with a number"],
      ["dev-east-arm64-1-1-1-abc123", GROUP, "dev-east-arm64-1-1", "its own, by the group"],
      ["dev-east-arm64-1-1-1-abc123", EAST, null, "of the stack dev-east, by the group"],
      ["dev-gone-1-1-1-abc123", GROUP, "dev-gone-1-1", "its own, of a pool that is gone"],
      ["dev-gone-1-1-1-abc123", EAST, null, "of another stack"],
      ["dev-gone-1-1-1-abc123", OLD, null, "of nobody knows whom"],
      ["dev-gone-1-1-1-abc123", undefined, null, "of nobody knows whom either"],
      ["dev-arm64-1-1-1-abc123", OLD, "dev-arm64-1-1", "its own, of a group that is gone"],
      ["dev-arm64-1-1-1-abc123", 1, "dev-arm64-1-1", "its own, moved when a group was deleted"],
      [
        "dev-arm64-1-1-1-abc123",
        undefined,
        "dev-arm64-1-1",
        "its own, where GitHub names no group",
      ],
      ["dev-2-arm64-1-1-1-abc123", EAST, null, "of the stack dev-2"],
      ["dev-2-arm64-1-1-1-abc123", undefined, null, "of the stack dev-2, by the name alone"],
    ];
    const around = {
      settings,
      runnerGroups: [...GROUPS, { id: EAST, name: "east", isDefault: false }],
    };
    for (const [name, group, on, why] of NAMED) {
      it(`knows that a job of ${name} in the group ${group} ran on a host ${why}`, () => {
        const jobs = { ...reading().jobs!, jobs: [job(1, { runner: name, runnerGroup: group })] };
        const status = of({ ...around, jobs });
        const [done] = status.jobs!.done;
        assert.deepEqual([done?.on, done?.host], [on === null ? "other" : "own", on]);
        assert.equal(status.costs?.breakEven?.jobs, on === null ? 0 : 1);
      });

      it(`counts ${name} in the group ${group} on a host ${why}`, () => {
        const wanted = ["dev-arm64-1-1", "dev-big-2-1-1", "dev-east-arm64-1-1", "dev-2-arm64-1-1"];
        const recorded = {
          hosts: wanted.map((one) => host(one)),
          resources: [RECORDED_GROUP],
        };
        const { hosts } = of({ ...around, recorded, runners: [runner(name, { group })] });
        assert.deepEqual(
          hosts.filter(({ online }) => online === 1).map((one) => one.name),
          wanted.filter((one) => one === on),
        );
      });
    }
  });

  it("is over a budget by a whole month, not by what has been spent", () => {
    const { settings } = reading();
    const over = (monthlyEur: number) =>
      of({ settings: { ...settings, budget: { monthlyEur } } }).costs?.overBudget;
    assert.deepEqual([over(10.5), over(10.49)], [false, true]);
  });

  it("knows days until the end of a version", () => {
    const { settings, readAt } = reading();
    const jobsEnd = new Date(readAt.getTime() + 10.5 * 24 * 60 * 60 * 1000);
    const { version } = settings.pools.arm64!.runner;
    const [pool] = of({
      runnerVersions: new Map([[version, { jobsEnd, registrationEnds: undefined }]]),
    }).pools;
    assert.deepEqual([pool?.versionDaysLeft, pool?.versionState], [11, "ending"]);
  });

  it("shows the token service as a host without slots", () => {
    const service = host("dev-token-service", { pool: undefined });
    const found = of({ recorded: { hosts: [service], resources: [] }, hosts: new Map() });
    assert.deepEqual([found.hosts[0]?.pool, found.hosts[0]?.slots], [null, []]);
  });
});
