import assert from "node:assert/strict";
import { placeHosts } from "../../../components/runnerPool/placement";

describe("placeHosts", () => {
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
        placeHosts("dev", "arm64", settings),
        expected.map(([key, serverName, placementGroup]) => ({ key, serverName, placementGroup })),
      );
    });
  }

  it("puts at most ten into a placement group", () => {
    const groups = placeHosts("dev", "arm64", { count: 21, generation: 1 }).map(
      ({ placementGroup }) => placementGroup,
    );
    assert.deepEqual(groups, [...Array<number>(10).fill(0), ...Array<number>(10).fill(1), 2]);
  });

  it("leaves the others as they are when the count changes", () => {
    const place = (count: number) => placeHosts("dev", "arm64", { count, generation: 1 });
    assert.deepEqual(place(12).slice(0, 3), place(3));
  });
});
