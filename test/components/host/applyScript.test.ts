import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type HostFile, quote, renderApplyScript } from "../../../components/host/applyScript";
import { needs } from "./onPath";

describe("renderApplyScript", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "apply script-"));
    mkdirSync(join(folder, "bin"));
    cloudInit("exit 0");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** What `cloud-init` is on the host. */
  function cloudInit(body: string): void {
    writeFileSync(join(folder, "bin", "cloud-init"), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }

  /** Runs the script as the host does: `bash -s`, on standard input. */
  function run(files: readonly HostFile[], commands: readonly string[] = []) {
    return spawnSync("bash", ["-s"], {
      input: renderApplyScript(files, commands),
      encoding: "utf8",
      cwd: folder,
      env: { PATH: `${join(folder, "bin")}:${process.env.PATH}` },
    });
  }

  function file(content: string, mode = "0644", name = "folder/file"): HostFile {
    return { path: join(folder, name), mode, content };
  }

  it("lays down any text byte for byte, with a newline at its end", () => {
    const text = fc
      .array(
        fc.oneof(
          fc.string({ unit: "binary", maxLength: 20 }),
          fc.constantFrom("'", '"', "$HOME", "$(exit 1)", "`exit 1`", "\\", "\\\n", "!!", "\t"),
          fc.constantFrom("\nEOF\n", "\nEND_0123456789abcdef\n", "\n}\n", "\r\n", "\n", "%s", "-n"),
        ),
      )
      // Bash cannot hold a NUL; no text file has one.
      .map((parts) => parts.join("").replaceAll("\0", ""));
    const property = fc.property(fc.array(text, { minLength: 1, maxLength: 4 }), (texts) => {
      const files = texts.map((content, index) => file(content, "0644", `f/${index}`));
      const { status, stdout, stderr } = run(files, ["echo applied"]);
      assert.deepEqual([status, stdout, stderr], [0, "applied\n", ""]);
      for (const { path, content } of files) {
        const expected = content.endsWith("\n") ? content : `${content}\n`;
        assert.deepEqual(readFileSync(path), Buffer.from(expected));
      }
    });
    fc.assert(property, { numRuns: 30 });
  });

  it("gives each file its mode, and makes its folders for everyone to enter", () => {
    const modes = ["0600", "0644", "0755"];
    const files = modes.map((mode) => file("text", mode, `made/of/${mode}`));
    assert.equal(run(files).status, 0);
    for (const [index, { path }] of files.entries()) {
      assert.equal(statSync(path).mode & 0o7777, parseInt(modes[index]!, 8));
    }
    assert.equal(statSync(join(folder, "made/of")).mode & 0o7777, 0o755);
    assert.deepEqual(readdirSync(join(folder, "made/of")).sort(), modes);
  });

  it("replaces a file and tightens its mode", () => {
    run([file("old", "0644")]);
    run([file("new", "0600")]);
    const path = join(folder, "folder/file");
    assert.equal(readFileSync(path, "utf8"), "new\n");
    assert.equal(statSync(path).mode & 0o7777, 0o600);
  });

  it("never shows a secret to others, not even for a moment", () => {
    // What cat leaves behind before chmod: the mode of the file under its first name.
    writeFileSync(
      join(folder, "bin", "chmod"),
      `#!/bin/sh\nstat -c %a "$2" >"${folder}/seen"\nexec /bin/chmod "$@"\n`,
      { mode: 0o755 },
    );
    assert.equal(run([file("secret", "0600")]).status, 0);
    assert.equal(readFileSync(join(folder, "seen"), "utf8"), "600\n");
  });

  it("runs the commands in order, after the files are there", () => {
    const path = join(folder, "folder/file");
    const { stdout } = run([file("text")], [`cat '${path}'`, "echo one", "echo two"]);
    assert.equal(stdout, "text\none\ntwo\n");
  });

  it("fails with the first command that fails, and runs no other", () => {
    for (const failing of ["false", "exit 3", "false | true", 'echo "$unset"']) {
      const { status, stdout } = run([], ["echo before", failing, "echo after"]);
      assert.notEqual(status, 0, failing);
      assert.equal(stdout, "before\n", failing);
    }
  });

  it("fails when a file cannot be written", () => {
    writeFileSync(join(folder, "occupied"), "");
    const { status, stdout } = run([file("text", "0644", "occupied/file")], ["echo after"]);
    assert.notEqual(status, 0);
    assert.equal(stdout, "");
  });

  it("lets no command read the rest of the script", () => {
    const { status, stdout } = run([], ["cat", "read -r line || echo nothing", "echo after"]);
    assert.deepEqual([status, stdout], [0, "nothing\nafter\n"]);
  });

  it("waits for the first boot and goes on however it ended", () => {
    for (const code of [0, 1, 2]) {
      cloudInit(`echo "$@" >calls; exit ${code}`);
      const { status, stdout } = run([], ["echo applied"]);
      assert.deepEqual([status, stdout], [0, "applied\n"]);
      assert.equal(readFileSync(join(folder, "calls"), "utf8"), "status --wait\n");
    }
  });

  it("gives a file its owner before its mode", () => {
    writeFileSync(join(folder, "bin", "chown"), `#!/bin/sh\necho "$@" >"${folder}/owner"\n`, {
      mode: 0o755,
    });
    const owned = { ...file("text", "0400"), owner: "65532:65532" };
    assert.equal(run([owned]).status, 0);
    assert.equal(readFileSync(join(folder, "owner"), "utf8"), `65532:65532 ${owned.path}.new\n`);
    assert.equal(statSync(owned.path).mode & 0o7777, 0o400);
    const script = renderApplyScript([owned], []);
    assert.ok(script.indexOf("chown ") < script.indexOf("chmod "));
  });

  it("is clean to shellcheck", function () {
    needs(this, "shellcheck", "--version");
    const script = renderApplyScript([file("it's $5"), file("", "0600", "b c/d")], ["echo end"]);
    const { stdout } = spawnSync("shellcheck", ["--shell=bash", "-"], {
      input: script,
      encoding: "utf8",
    });
    assert.equal(stdout, "");
  });
});

describe("quote", () => {
  it("leaves plain words as they are", () => {
    for (const word of ["/opt/a.b-c_d", "x=1", "a@b:c", "50%", "a,b+c"]) {
      assert.equal(quote(word), word);
    }
  });

  it("makes one word of any text", () => {
    const text = fc
      .string({ unit: "binary", maxLength: 50 })
      .map((one) => one.replaceAll("\0", ""));
    const property = fc.property(fc.array(text, { maxLength: 5 }), (words) => {
      const { stdout } = spawnSync(
        "bash",
        ["-s"],
        // A NUL behind each word tells them apart.
        { input: `set -- ${words.map(quote).join(" ")}\n[ $# -eq 0 ] || printf '%s\\0' "$@"\n` },
      );
      assert.deepEqual(stdout, Buffer.from(words.map((word) => `${word}\0`).join("")));
    });
    fc.assert(property, { numRuns: 60 });
  });
});
