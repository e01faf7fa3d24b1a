import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Gives each test of the suite a cache folder of its own, and takes it away afterwards. Answers where it is. */
export function useCacheHome(): () => string {
  const before = process.env.XDG_CACHE_HOME;
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), "cache-"));
    process.env.XDG_CACHE_HOME = home;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    await rm(home, { recursive: true });
  });
  return () => home;
}
