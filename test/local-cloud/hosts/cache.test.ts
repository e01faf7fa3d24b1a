import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cached, cacheRoot, keyOf, keyOfFolder } from "../../../local-cloud/hosts/cache";
import { useCacheHome } from "../cacheHome";

describe("the cache of host images", () => {
  const home = useCacheHome();

  it("builds once for a key", async () => {
    let builds = 0;
    const build = async (folder: string): Promise<void> => {
      builds++;
      await writeFile(join(folder, "made"), "content");
    };
    const first = await cached("kind", "a", build);
    assert.equal(await cached("kind", "a", build), first);
    assert.equal(builds, 1);
    assert.equal(await readFile(join(first, "made"), "utf8"), "content");
    assert.notEqual(await cached("kind", "b", build), first);
    assert.equal(builds, 2);
  });

  it("keeps nothing of a build that failed", async () => {
    await assert.rejects(
      cached("kind", "a", async (folder) => {
        await writeFile(join(folder, "half"), "");
        throw new Error("interrupted");
      }),
      /interrupted/,
    );
    assert.deepEqual(await readdir(cacheRoot()), []);
  });

  it("gives two who build at once the same folder", async () => {
    const build = async (folder: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await writeFile(join(folder, "made"), "content");
    };
    const [one, two] = await Promise.all([cached("k", "a", build), cached("k", "a", build)]);
    assert.equal(one, two);
    assert.deepEqual(await readdir(cacheRoot()), ["k-a"]);
    assert.equal(await readFile(join(one, "made"), "utf8"), "content");
  });

  it("removes what was not asked for in three days when something of its kind is made", async () => {
    const [old, used, recent, made] = ["one", "two", "three", "four"].map((key) => keyOf(key));
    const build = (folder: string): Promise<void> => writeFile(join(folder, "made"), "");
    const age = async (folder: string, days: number): Promise<void> => {
      const then = new Date(Date.now() - days * 24 * 60 * 60_000);
      await utimes(folder, then, then);
    };
    for (const key of [old, used, recent]) await cached("runner", key ?? "", build);
    for (const key of [old, used]) await age(join(cacheRoot(), `runner-${key}`), 3.1);
    await age(join(cacheRoot(), `runner-${recent}`), 2.9);
    await age(await cached("runner-tools", old ?? "", build), 9);
    await mkdir(join(cacheRoot(), "instances"));
    await age(join(cacheRoot(), "instances"), 9);
    const unbuilt = (): Promise<void> => assert.fail("it is there");
    await cached("runner", used ?? "", unbuilt);
    await cached("runner", made ?? "", build);
    assert.deepEqual(
      (await readdir(cacheRoot())).sort(),
      [
        "instances",
        `runner-tools-${old}`,
        ...[used, recent, made].map((key) => `runner-${key}`),
      ].sort(),
    );
    assert.deepEqual((await readdir(join(cacheRoot(), `runner-${used}`))).sort(), [
      ".complete",
      "made",
    ]);
  });

  it("makes keys of contents, names and the right to execute", async () => {
    assert.notEqual(keyOf("ab", "c"), keyOf("a", "bc"));
    const folder = join(home(), "sources");
    await mkdir(join(folder, "sub"), { recursive: true });
    const file = join(folder, "sub", "file.sh");
    const keys: string[] = [];
    await writeFile(file, "one");
    keys.push(await keyOfFolder(folder));
    await writeFile(file, "two");
    keys.push(await keyOfFolder(folder));
    await rm(file);
    await writeFile(file, "two", { mode: 0o755 });
    keys.push(await keyOfFolder(folder));
    await writeFile(join(folder, "other.sh"), "");
    keys.push(await keyOfFolder(folder));
    assert.equal(new Set(keys).size, 4);
    await writeFile(join(folder, "agent_test.go"), "");
    assert.equal(await keyOfFolder(folder), keys[3]);
  });
});
