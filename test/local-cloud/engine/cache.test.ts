import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  cachedEngine,
  cacheFolder,
  isExecutable,
  storeEngine,
  storeFolder,
} from "../../../local-cloud/engine/cache";
import { EXECUTABLES } from "../../../local-cloud/engine/versions";
import { useCacheHome } from "../cacheHome";

const [A, B, C] = ["a", "b", "c"].map((digit) => digit.repeat(16)) as [string, string, string];

describe("the cache of engines and linters", () => {
  useCacheHome();

  const program = async (file: string): Promise<void> => {
    await writeFile(file, "");
    await chmod(file, 0o755);
  };
  const engine = async (folder: string): Promise<void> => {
    for (const name of EXECUTABLES) await program(join(folder, "bin", name));
  };
  const hasLinter = (folder: string): Promise<boolean> => isExecutable(join(folder, "linter"));
  const linter = (folder: string): Promise<void> => program(join(folder, "linter"));
  const age = async (name: string, days: number): Promise<void> => {
    const then = new Date(Date.now() - days * 24 * 60 * 60_000);
    await utimes(join(cacheFolder(), name), then, then);
  };
  const kept = async (): Promise<string[]> => (await readdir(cacheFolder())).sort();

  it("removes what was not used in three days when another of its kind is stored", async () => {
    await storeEngine(A, engine);
    await storeEngine(B, engine);
    await storeEngine(`download-${A}`, engine);
    await storeFolder(join(cacheFolder(), `lint-${A}`), hasLinter, linter);
    for (const name of await kept()) await age(name, 3.1);
    assert.equal(await cachedEngine(B), join(cacheFolder(), `engine-${B}`, "bin"));
    await storeEngine(C, engine);
    assert.deepEqual(await kept(), [
      `engine-${B}`,
      `engine-${C}`,
      `engine-download-${A}`,
      `lint-${A}`,
    ]);
    await storeFolder(join(cacheFolder(), `lint-${B}`), hasLinter, linter);
    assert.ok((await kept()).includes(`lint-${B}`));
    assert.ok(!(await kept()).includes(`lint-${A}`));
    await age(`engine-${B}`, 2.9);
    await storeEngine(A, engine);
    assert.notEqual(await cachedEngine(B), undefined);
  });

  it("replaces an engine that is incomplete, and keeps nothing of one that fails", async () => {
    await mkdir(join(cacheFolder(), `engine-${A}`, "bin"), { recursive: true });
    assert.equal(await cachedEngine(A), undefined);
    await assert.rejects(
      storeEngine(A, () => Promise.reject(new Error("no network"))),
      /no network/,
    );
    assert.deepEqual(await kept(), [`engine-${A}`]);
    await assert.rejects(
      storeEngine(A, () => Promise.resolve()),
      /is incomplete/,
    );
    assert.equal(await storeEngine(A, engine), await cachedEngine(A));
  });

  it("removes what processes that are gone were making, for whatever key", async () => {
    const gone = spawnSync("true").pid;
    const names = [
      `engine-${A}.${gone}-0123abcd`,
      `engine-${A}.${process.pid}-0123abcd`,
      `lint-${A}.${gone}-0123abcd`,
    ];
    for (const name of names) await mkdir(join(cacheFolder(), name), { recursive: true });
    await storeEngine(B, engine);
    assert.deepEqual(await kept(), [...names.slice(1), `engine-${B}`].sort());
  });
});
