import assert from "node:assert/strict";
import fc from "fast-check";
import {
  rollHosts,
  rollProgress,
  rollSentence,
  type RollSettings,
} from "../../../components/runnerPool/roll";

const keys = (settings: RollSettings, living: readonly string[]) =>
  rollHosts("arm64", settings, living).map(({ key }) => key);

describe("rollHosts", () => {
  const cases: readonly [
    claim: string,
    settings: RollSettings,
    living: readonly string[],
    hosts: readonly string[],
  ][] = [
    ["makes a first fleet at once", { count: 2, generation: 1, maxSurge: 1 }, [], ["1-1", "1-2"]],
    ["leaves a fleet alone", { count: 2, generation: 1 }, ["1-1", "1-2"], ["1-1", "1-2"]],
    ["moves all hosts by default", { count: 2, generation: 2 }, ["1-1", "1-2"], ["2-1", "2-2"]],
    [
      "moves as many as may be made, the first numbers first",
      { count: 3, generation: 2, maxSurge: 2 },
      ["1-1", "1-2", "1-3"],
      ["2-1", "2-2", "1-3"],
    ],
    [
      "goes on where the last run has ended",
      { count: 3, generation: 2, maxSurge: 2 },
      ["2-1", "2-2", "1-3"],
      ["2-1", "2-2", "2-3"],
    ],
    [
      "takes more than there are hosts for all of them",
      { count: 2, generation: 2, maxSurge: 9 },
      ["1-1", "1-2"],
      ["2-1", "2-2"],
    ],
    [
      "makes no more while what an interrupted run has replaced is still there",
      { count: 2, generation: 2, maxSurge: 1 },
      ["1-1", "1-2", "2-1"],
      ["2-1", "1-2"],
    ],
    [
      "makes what an interrupted run was to make, and only that",
      { count: 3, generation: 2 },
      ["1-1", "1-2", "1-3", "2-2"],
      ["2-1", "2-2", "2-3"],
    ],
    [
      "fills a gap beside what may be made",
      { count: 3, generation: 2, maxSurge: 1 },
      ["1-1", "1-3"],
      ["2-1", "2-2", "1-3"],
    ],
    [
      "fills every gap",
      { count: 4, generation: 2, maxSurge: 1 },
      ["1-2"],
      ["2-1", "2-2", "2-3", "2-4"],
    ],
    [
      "makes what a higher count adds in the new generation, beside what may be made",
      { count: 3, generation: 2, maxSurge: 1 },
      ["1-1", "1-2"],
      ["2-1", "1-2", "2-3"],
    ],
    [
      "lets hosts above a lower count go before it makes others",
      { count: 2, generation: 2, maxSurge: 1 },
      ["1-1", "1-2", "1-3", "1-4"],
      ["1-1", "1-2"],
    ],
    [
      "goes back to a lower generation in the same way",
      { count: 2, generation: 1, maxSurge: 1 },
      ["2-1", "1-2"],
      ["1-1", "1-2"],
    ],
    [
      "keeps what serves, not what was made in vain, when a third generation is wanted",
      { count: 2, generation: 3, maxSurge: 1 },
      ["1-1", "1-2", "2-1"],
      ["1-1", "1-2"],
    ],
  ];
  for (const [claim, settings, living, hosts] of cases) {
    it(claim, () => {
      const name = (key: string) => `arm64-${key}`;
      assert.deepEqual(keys(settings, living.map(name)), hosts.map(name));
    });
  }

  it("sees only servers of its own pool", () => {
    const others = ["arm64-1-1-1", "arm64-big-1-1", "token-service", "arm64-x-1", "arm64-1-01"];
    assert.deepEqual(keys({ count: 1, generation: 2, maxSurge: 1 }, others), ["arm64-2-1"]);
    assert.deepEqual(
      rollHosts("arm64-1", { count: 1, generation: 2, maxSurge: 1 }, ["arm64-1-1-1", "arm64-1-1"]),
      [{ key: "arm64-1-2-1", generation: 2, index: 1 }],
    );
  });
});

describe("rollProgress", () => {
  it("is nothing when every host is of the wanted generation", () => {
    assert.equal(rollProgress({ generation: 2 }, [{ generation: 2 }]), undefined);
    assert.equal(rollProgress({ generation: 2 }, []), undefined);
  });

  for (const [moved, count, sentence] of [
    [2, 5, "pool arm64: 2 of 5 hosts are of generation 2; the next run goes on"],
    [1, 2, "pool arm64: 1 of 2 hosts is of generation 2; the next run goes on"],
    [0, 1, "pool arm64: 0 of 1 host is of generation 2; the next run goes on"],
  ] as const) {
    it(`tells of ${moved} of ${count}`, () => {
      const hosts = Array.from({ length: count }, (_, index) => ({
        generation: index < moved ? 2 : 1,
      }));
      const progress = rollProgress({ generation: 2 }, hosts)!;
      assert.deepEqual(progress, { generation: 2, moved, count });
      assert.equal(rollSentence("arm64", progress), sentence);
    });
  }
});

/** What a run of the engine does: it makes, and only when all is made, it deletes. */
interface Interruption {
  /** Parts of what is to be made, and of what is to be deleted, that are done before it ends; 1 and 1: it is not interrupted. */
  readonly made: number;
  readonly deleted: number;
}

function run(
  living: ReadonlySet<string>,
  settings: RollSettings,
  { made, deleted }: Interruption,
): { readonly peak: number; readonly after: ReadonlySet<string> } {
  const hosts = new Set(keys(settings, [...living]));
  const toMake = [...hosts].filter((key) => !living.has(key));
  const done = toMake.slice(0, Math.floor(toMake.length * made));
  const after = new Set([...living, ...done]);
  const peak = after.size;
  if (done.length < toMake.length) return { peak, after };
  const toDelete = [...after].filter((key) => !hosts.has(key));
  for (const key of toDelete.slice(0, Math.floor(toDelete.length * deleted))) after.delete(key);
  return { peak, after };
}

const WHOLE: Interruption = { made: 1, deleted: 1 };
const part = fc.double({ min: 0, max: 1, noNaN: true });
const interruptions = fc.array(fc.record({ made: part, deleted: part }), { maxLength: 6 });
/** Any servers, such as those that earlier rolls have left half-way. */
const servers = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 7 })), {
    maxLength: 12,
    selector: String,
  })
  .map((all) => all.map(([generation, index]) => `arm64-${generation}-${index}`));
const settings = fc.record({
  count: fc.integer({ min: 1, max: 6 }),
  generation: fc.integer({ min: 1, max: 3 }),
  maxSurge: fc.integer({ min: 1, max: 7 }),
});
const numbers = (living: Iterable<string>, { count }: RollSettings) =>
  new Set([...living].map((key) => Number(key.split("-")[2])).filter((index) => index <= count));

describe("a roll, however often it is interrupted", () => {
  it("ends with every host of the wanted generation and no other, within the runs that it needs", () => {
    fc.assert(
      fc.property(servers, settings, interruptions, (before, wanted, ends) => {
        let living: ReadonlySet<string> = new Set(before);
        for (const end of ends) living = run(living, wanted, end).after;
        // One to clear what is left over, then so many at a time.
        const needed = 1 + Math.ceil(wanted.count / wanted.maxSurge);
        for (let runs = 0; runs < needed; runs++) living = run(living, wanted, WHOLE).after;
        const expected = keys(wanted, []);
        assert.deepEqual([...living].sort(), expected.sort());
        assert.deepEqual(keys(wanted, [...living]), expected);
      }),
    );
  });

  it("never has more than maxSurge beyond the count, but for what there was and what fills gaps", () => {
    fc.assert(
      fc.property(servers, settings, interruptions, (before, wanted, ends) => {
        let living: ReadonlySet<string> = new Set(before);
        for (const end of [...ends, WHOLE, WHOLE]) {
          const gaps = wanted.count - numbers(living, wanted).size;
          const { peak, after } = run(living, wanted, end);
          assert.ok(
            peak <= Math.max(wanted.count + wanted.maxSurge, living.size + gaps),
            `${peak} servers`,
          );
          living = after;
        }
      }),
    );
  });

  it("begun with a whole fleet, never has more than count + maxSurge", () => {
    fc.assert(
      fc.property(settings, interruptions, (wanted, ends) => {
        let living: ReadonlySet<string> = new Set(keys({ ...wanted, generation: 9 }, []));
        for (const end of [...ends, WHOLE, WHOLE]) {
          const { peak, after } = run(living, wanted, end);
          assert.ok(peak <= wanted.count + wanted.maxSurge, `${peak} servers`);
          living = after;
        }
      }),
    );
  });

  it("never leaves a number without a host that had one", () => {
    fc.assert(
      fc.property(servers, settings, interruptions, (before, wanted, ends) => {
        let living: ReadonlySet<string> = new Set(before);
        for (const end of [...ends, WHOLE, WHOLE]) {
          const had = numbers(living, wanted);
          living = run(living, wanted, end).after;
          const has = numbers(living, wanted);
          assert.deepEqual(
            [...had].filter((index) => !has.has(index)),
            [],
          );
        }
      }),
    );
  });

  it("replaces a host only by one that has been made, where the first one still serves", () => {
    fc.assert(
      fc.property(servers, settings, (before, wanted) => {
        const hosts = rollHosts("arm64", wanted, before);
        for (const { generation, index, key } of hosts) {
          const there = before.filter((one) => one.endsWith(`-${index}`));
          // Kept is the one that others were to replace.
          if (generation !== wanted.generation) assert.equal(key, there.sort()[0]);
        }
      }),
    );
  });
});
