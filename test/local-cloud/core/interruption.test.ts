import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interruptible, interruption, uninterrupted } from "../../../local-cloud/core/interruption";
import { run as runEngine } from "../../../local-cloud/engine/run";
import { exists } from "../../../local-cloud/hosts/cache";
import { run, until } from "../../../local-cloud/hosts/run";

describe("work that can be interrupted", () => {
  let folder: string;
  let stop: AbortController;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-interruption-"));
    stop = new AbortController();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  /** A shell and a child of its own, which marks its start, and its end if it gets that far. */
  const script = (): string[] => [
    "-c",
    `(touch ${folder}/begun; sleep 1; touch ${folder}/done) & wait`,
  ];
  const begun = async (): Promise<void> =>
    assert.ok(await until(() => exists(join(folder, "begun")), 5000));

  it("ends the programs it runs, and what they have started", async () => {
    const work = interruptible(stop.signal, () => run("sh", script()));
    await begun();
    stop.abort();
    await assert.rejects(work, /ended by SIGTERM/);
    assert.equal(await until(() => exists(join(folder, "done")), 1300), false);
  });

  it("starts no others", async () => {
    const work = interruptible(stop.signal, async () => {
      stop.abort();
      assert.equal(interruption().aborted, true);
      await assert.rejects(run("sh", script()), { message: "interrupted" });
      await assert.rejects(runEngine("sh", script()), { message: "interrupted" });
    });
    await work;
    assert.equal(await exists(join(folder, "begun")), false);
  });

  it("tidies up to the end", async () => {
    await interruptible(stop.signal, async () => {
      const tidying = uninterrupted(() => run("sh", script()));
      await begun();
      stop.abort();
      await tidying;
      await uninterrupted(() => run("rm", [join(folder, "begun")]));
    });
    assert.equal(await exists(join(folder, "done")), true);
    assert.equal(await exists(join(folder, "begun")), false);
  });

  it("keeps its programs out of reach of the terminal's Ctrl-C, and no others", async function () {
    // Where groups of processes are read from.
    if (process.platform !== "linux") this.skip();
    const groupOf = async (task: () => Promise<string>): Promise<boolean> => {
      const [pid, group] = (await task()).trim().split(/\s+/);
      return pid === group;
    };
    const shell = (): Promise<string> =>
      run("sh", ["-c", "read -r pid _ _ _ group _ < /proc/$$/stat; echo $pid $group"]);
    assert.equal(await groupOf(() => interruptible(stop.signal, shell)), true);
    assert.equal(await groupOf(() => interruptible(stop.signal, () => uninterrupted(shell))), true);
    assert.equal(await groupOf(shell), false);
  });
});
