import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { transformSync } from "esbuild";
import type { HostFile } from "../../../components/host/applyScript";
import { withoutComments } from "../../../components/host/comments";

const COMPONENTS = join(__dirname, "../../../components");

function lean(path: string, content: string): string {
  const file: HostFile = { path, mode: "0644", content };
  const { content: left, ...rest } = withoutComments(file);
  assert.deepEqual(rest, { path, mode: "0644" });
  return left;
}

/** What bash makes of a script: its commands, without comments. */
function read(script: string): string {
  const { status, stdout, stderr } = spawnSync("bash", ["--pretty-print"], {
    input: script,
    encoding: "utf8",
    stdio: ["pipe", "pipe", "pipe"],
  });
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout.replaceAll(/\n+/g, "\n");
}

describe("withoutComments", () => {
  it("drops lines that are comments, and nothing else", () => {
    assert.equal(
      lean("/opt/runner-fleet/bin/x", "#!/bin/sh\n# one\n  # two\n#\necho '#' # three\n"),
      "#!/bin/sh\necho '#' # three\n",
    );
    assert.equal(
      lean("/opt/runner-fleet/x.mjs", "// a\n/** b\n * c\n */\n  /** d */\nlet e = 1; // f\n"),
      "let e = 1; // f\n",
    );
    assert.equal(lean("/etc/other", "# one\n"), "# one\n");
  });

  for (const folder of ["host", "runnerHost"]) {
    it(`leaves the scripts of ${folder} what they are`, () => {
      const names = readdirSync(join(COMPONENTS, folder, "files")).filter((one) =>
        one.endsWith(".sh"),
      );
      assert.ok(names.length > 0);
      for (const name of names) {
        const script = readFileSync(join(COMPONENTS, folder, "files", name), "utf8");
        const left = lean(`/opt/runner-fleet/bin/${name}`, script);
        assert.ok(left.length < script.length, name);
        assert.equal(read(left), read(script), name);
      }
    });
  }

  it("leaves the token service what it is", () => {
    const path = join(COMPONENTS, "tokenService/server/tokenService.mjs");
    const program = readFileSync(path, "utf8");
    const left = lean("/opt/runner-fleet/token-service/tokenService.mjs", program);
    assert.ok(left.length < program.length);
    const minified = (text: string) => transformSync(text, { minify: true, format: "esm" }).code;
    assert.equal(minified(left), minified(program));
  });
});
