import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { IMAGE_SOURCES } from "../../../local-cloud/hosts/images";
import { missingCapability } from "../../../local-cloud/hosts/prepare";
import { BUILDKIT_VERSION, buildTools, BUILDX_VERSION } from "../../../local-cloud/tools";
import { emulateArm64, fetchEmulator, registration } from "../../../local-cloud/tools/emulation";

const go = (folder: string, ...args: string[]): string =>
  execFileSync("go", args, {
    cwd: folder,
    env: { ...process.env, GOFLAGS: "", GOTOOLCHAIN: "local", GOWORK: "off" },
  }).toString();

describe("tools that build images", function () {
  this.timeout(20 * 60_000);

  it("are built from pinned modules and tell their versions", async function () {
    if (process.platform !== "linux") this.skip();
    const tools = await buildTools((line) => console.log(`      ${line}`));
    const told = (program: string, ...args: string[]): string =>
      execFileSync(program, args).toString();
    assert.match(
      told(tools.buildkitd, "--version"),
      new RegExp(`^buildkitd github.com/moby/buildkit ${BUILDKIT_VERSION}`),
    );
    assert.match(
      told(tools.buildctl, "--version"),
      new RegExp(`^buildctl github.com/moby/buildkit ${BUILDKIT_VERSION}`),
    );
    assert.match(
      told(tools.buildx, "version"),
      new RegExp(`^github.com/docker/buildx ${BUILDX_VERSION}`),
    );
  });

  it("pass the tests of those that are our own", () => {
    assert.match(go(join(__dirname, "../../../local-cloud/tools"), "test", "./runc"), /^ok/);
    assert.match(go(join(IMAGE_SOURCES, "syft-scanner"), "test", "."), /^ok/);
  });
});

describe("emulation of arm64", function () {
  this.timeout(120_000);

  it("is there until it is closed, or a reason says why not", async function () {
    const missing = missingCapability();
    if (missing !== undefined) {
      console.log(`      ${missing}`);
      this.skip();
    }
    const emulation = await emulateArm64(
      await fetchEmulator((line) => console.log(`      ${line}`)),
    );
    if (!emulation.available) {
      assert.match(emulation.reason, /^emulation of arm64 .+/);
      return;
    }
    const folder = "/proc/sys/fs/binfmt_misc";
    const entries = () =>
      existsSync(folder)
        ? readdirSync(folder).filter((name) =>
            name.startsWith(`runner-fleet-aarch64-${process.pid}-`),
          )
        : [];
    assert.equal(entries().length, emulation.by === "native" ? 0 : 1);
    for (const name of entries()) {
      assert.match(readFileSync(join(folder, name), "utf8"), /^enabled$[^]*^flags: F$/m);
    }
    await emulation.close();
    assert.deepEqual(entries(), []);
  });

  it("is registered for programs of arm64 alone", () => {
    const [, name, kind, offset, magic, mask, interpreter, flags] = registration(
      "x",
      "/opt/qemu",
    ).split(":");
    assert.deepEqual([name, kind, offset, interpreter, flags], ["x", "M", "", "/opt/qemu", "F"]);
    const bytes = (text: string) => text.split("\\x").length - 1;
    assert.deepEqual([bytes(magic!), bytes(mask!)], [20, 20]);
    assert.match(magic!, /^\\x7f\\x45\\x4c\\x46\\x02\\x01.*\\xb7\\x00$/);
  });
});
