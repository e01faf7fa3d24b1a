import assert from "node:assert/strict";
import {
  hostOfRunner,
  hostOfSlot,
  isRunnerOf,
  ownHost,
  poolOfHost,
  type RunnerOwner,
  slotNumber,
  slotOf,
} from "../../../components/host/runnerNames";

describe("names of runners", () => {
  const CASES: readonly (readonly [runner: string, slot: string, host: string, number: number])[] =
    [
      ["dev-arm64-1-1-2-x7k2p9", "dev-arm64-1-1-2", "dev-arm64-1-1", 2],
      ["dev-arm64-1-1-12-123456", "dev-arm64-1-1-12", "dev-arm64-1-1", 12],
      ["dev-2-arm64-3-100-16-x7k2p9", "dev-2-arm64-3-100-16", "dev-2-arm64-3-100", 16],
      ["dev-arm64-1-1-1-2-x7k2p9", "dev-arm64-1-1-1-2", "dev-arm64-1-1-1", 2],
    ];
  for (const [runner, slot, host, number] of CASES) {
    it(`have slot and host in them: ${runner}`, () => {
      assert.deepEqual(
        [slotOf(runner), hostOfSlot(slot), slotNumber(runner), isRunnerOf(host, runner)],
        [slot, host, number, true],
      );
    });
  }

  it("are those of one host only, however alike hosts are called", () => {
    const hosts = ["dev-arm64-1-1", "dev-arm64-1-1-1", "dev-arm64-1-11", "dev-2-arm64-1-1"];
    const runners = hosts.map((host) => `${host}-1-x7k2p9`);
    for (const host of hosts) {
      assert.deepEqual(
        runners.filter((runner) => isRunnerOf(host, runner)),
        [`${host}-1-x7k2p9`],
      );
    }
  });
});

describe("poolOfHost", () => {
  const CASES: readonly (readonly [
    host: string,
    dev: string | undefined,
    dev2: string | undefined,
  ])[] = [
    ["dev-arm64-1-1", "arm64", undefined],
    ["dev-a-1-1", "a", undefined],
    ["dev-big-arm-12-100", "big-arm", undefined],
    // Of a pool whose name ends with a number, and of one that is called as another's hosts.
    ["dev-big-2-1-1", "big-2", undefined],
    ["dev-arm64-1-1-1-1", "arm64-1-1", undefined],
    ["dev-2-arm64-1-1", undefined, "arm64"],
    ["dev-2-big-2-1-1", undefined, "big-2"],
    ["dev-2-1-1", undefined, undefined],
    ["dev-2-2-1-1", undefined, undefined],
    ["dev-x-2-1-1", "x-2", undefined],
    ["dev--arm64-1-1", undefined, undefined],
    ["dev-arm64--1-1", undefined, undefined],
    ["dev-arm64-0-1", undefined, undefined],
    ["dev-arm64-1-01", undefined, undefined],
    ["dev-arm64-1", undefined, undefined],
    ["dev-token-service", undefined, undefined],
    ["dev2-arm64-1-1", undefined, undefined],
    ["my-dev-arm64-1-1", undefined, undefined],
  ];
  for (const [host, dev, dev2] of CASES) {
    it(`of ${host} is ${dev} in dev and ${dev2} in dev-2`, () => {
      assert.deepEqual([poolOfHost(host, "dev"), poolOfHost(host, "dev-2")], [dev, dev2]);
    });
  }
});

describe("hostOfRunner", () => {
  const CASES: readonly (readonly [
    runner: string,
    dev: string | undefined,
    dev2: string | undefined,
  ])[] = [
    ["dev-arm64-1-1-2-x7k2p9", "dev-arm64-1-1", undefined],
    ["dev-big-arm-12-100-16-x7k2p9", "dev-big-arm-12-100", undefined],
    ["dev-big-2-1-1-1-x7k2p9", "dev-big-2-1-1", undefined],
    ["dev-2-arm64-1-1-1-x7k2p9", undefined, "dev-2-arm64-1-1"],
    ["dev-2-big-2-1-1-1-x7k2p9", undefined, "dev-2-big-2-1-1"],
    ["dev-arm64-1-1-2", undefined, undefined],
    ["other-arm64-1-1-2-x7k2p9", undefined, undefined],
    ["dev-x7k2p9", undefined, undefined],
  ];
  for (const [runner, dev, dev2] of CASES) {
    it(`of ${runner} is ${dev} in dev and ${dev2} in dev-2`, () => {
      assert.deepEqual([hostOfRunner(runner, "dev"), hostOfRunner(runner, "dev-2")], [dev, dev2]);
    });
  }
});

describe("ownHost", () => {
  const dev: RunnerOwner = {
    prefix: "dev",
    pools: ["arm64", "east-arm64"],
    group: 4,
    otherGroups: [5],
  };
  const NONE: Partial<RunnerOwner> = { group: undefined, otherGroups: [] };
  const CASES: readonly (readonly [
    what: string,
    name: string,
    group: number | undefined,
    change: Partial<RunnerOwner>,
    host: string | undefined,
  ])[] = [
    ["in the stack's group", "dev-arm64-1-1-1-x7k2p9", 4, {}, "dev-arm64-1-1"],
    ["of an unknown pool in it", "dev-gone-1-1-1-x7k2p9", 4, {}, "dev-gone-1-1"],
    ["of another name in it", "somebody", 4, {}, undefined],
    ["of the stack dev-2 in it", "dev-2-arm64-1-1-1-x7k2p9", 4, {}, undefined],
    ["in the group of others", "dev-east-arm64-1-1-1-x7k2p9", 5, {}, undefined],
    ["in a group of nobody", "dev-arm64-1-1-1-x7k2p9", 1, {}, "dev-arm64-1-1"],
    ["of an unknown pool there", "dev-gone-1-1-1-x7k2p9", 1, {}, undefined],
    ["without a group", "dev-east-arm64-1-1-1-x7k2p9", undefined, {}, "dev-east-arm64-1-1"],
    ["of a stack without one", "dev-arm64-1-1-1-x7k2p9", undefined, NONE, "dev-arm64-1-1"],
    ["of an unknown pool, without a group", "dev-gone-1-1-1-x7k2p9", undefined, NONE, undefined],
  ];
  for (const [what, name, group, change, host] of CASES) {
    it(`of a runner ${what} is ${host}`, () => {
      assert.equal(ownHost({ name, group }, { ...dev, ...change }), host);
    });
  }
});
