import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { configuration } from "../../bench/build/builder";
import { CHANGED_FILE, SOURCES, withOneLineChanged } from "../../bench/build/service";

const source = (name: string) => readFile(join(SOURCES, name), "utf8");

describe("bench:build, what is built", () => {
  it("changes one line of the service, each time another way", async () => {
    const before = await source(CHANGED_FILE);
    const first = withOneLineChanged(before, 1);
    const second = withOneLineChanged(first, 2);
    for (const [from, to] of [
      [before, first],
      [first, second],
    ] as const) {
      const lines = to.split("\n");
      const changed = from.split("\n").filter((line, index) => line !== lines[index]);
      assert.equal(changed.length, 1);
      assert.equal(from.split("\n").length, lines.length);
    }
    assert.throws(() => withOneLineChanged("package httpapi\n", 1), /is not there/);
  });

  it("cross-compiles by a Dockerfile that differs in nothing else", async () => {
    const native = await source("Dockerfile");
    const cross = (await source("Dockerfile.cross"))
      .replace("--platform=$BUILDPLATFORM ", "")
      .replace("ARG TARGETOS\nARG TARGETARCH\n", "")
      .replace("GOOS=$TARGETOS GOARCH=$TARGETARCH ", "");
    const instructions = (text: string) => text.split("\n").filter((line) => !line.startsWith("#"));
    assert.deepEqual(instructions(cross), instructions(native));
    assert.doesNotMatch(native, /BUILDPLATFORM/);
  });

  it("gives the daemon the fleet's collection of garbage, the mirror and a control group", () => {
    const config = configuration("127.0.0.1:5000", "mirror", "group");
    assert.match(config, /^\[worker\.oci\]\n {2}defaultCgroupParent = "group"\n/m);
    assert.match(config, /filters = \["type==exec\.cachemount"\]/);
    assert.match(
      config,
      /\[registry\."docker\.io"\]\n {2}mirrors = \["127\.0\.0\.1:5000\/mirror"\]/,
    );
    assert.match(config, /\[registry\."127\.0\.0\.1:5000"\]\n {2}http = true/);
    assert.equal(config.match(/^\[worker\.oci\]$/gm)?.length, 1);
  });
});
