import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { renderApplyScript } from "../../../../components/host/applyScript";
import { parseApplyScript } from "../../../../local-cloud/hosts/thin/applyScript";

describe("thin hosts: script that is applied over SSH", () => {
  it("gives every file back as it was sent, whatever it holds", () => {
    const name = fc.string({ minLength: 1 }).map((text) => text.replaceAll(/[/\n]/g, "_"));
    const file = fc.record({
      path: name.map((last) => `/opt/folder/${last}`),
      mode: fc.constantFrom("0600", "0644", "0755"),
      content: fc.string(),
      owner: fc.constantFrom(undefined, "65532:65532"),
    });
    const files = fc.uniqueArray(file, { selector: ({ path }) => path });
    fc.assert(
      fc.property(files, (sent) => {
        const { files, commands } = parseApplyScript(
          renderApplyScript(sent, ["/bin/tool 1 'a b'"]),
        );
        const expected = sent.map(({ path, mode, content, owner }) => {
          const ends = content.endsWith("\n") ? "" : "\n";
          const kept = { mode, content: `${content}${ends}`, ...(owner && { owner }) };
          return [path, kept] as const;
        });
        assert.deepEqual(files, new Map(expected));
        assert.deepEqual(commands, [["/bin/tool", "1", "a b"]]);
      }),
    );
  });

  it("leaves out what is said when a command fails", () => {
    const line = "/bin/tool --now 'a b' || { /bin/tool --log >&2; exit 1; }";
    assert.deepEqual(parseApplyScript(`${line}\n`).commands, [["/bin/tool", "--now", "a b"]]);
    assert.throws(() => parseApplyScript("/bin/tool || true\n"), /is not understood/);
  });

  it("refuses what it does not understand without showing it", () => {
    for (const line of ["echo secret | tee /x", "cat >/x <<secret", "A=secret run", "x $(secret)"])
      assert.throws(
        () => parseApplyScript(renderApplyScript([], [line])),
        (error: Error) =>
          /^line 5 of the script/.test(error.message) && !/secret/.test(error.message),
      );
    assert.throws(() => parseApplyScript("cat >/x <<'END'\na\n"), /begins a file that has no end/);
    for (const line of ["chmod 0600 /x", "chown 1:1 /x", "mv -f /x /y"])
      assert.throws(() => parseApplyScript(`${line}\n`), /has not laid down/);
  });
});
