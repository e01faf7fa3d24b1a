import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IMAGE_NAMES } from "../../../local-cloud/hosts/images";
import { DEBIAN_PACKAGES, missingCapability } from "../../../local-cloud/hosts/prepare";

describe("what booted hosts need of the machine", () => {
  const path = process.env.PATH;

  afterEach(() => {
    process.env.PATH = path;
  });

  it("is told in one sentence when programs are missing", function () {
    if (process.platform !== "linux" || process.getuid?.() !== 0) {
      // The sentence is about what comes first.
      assert.match(missingCapability() ?? "", /^hosts boot in containers/);
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), "path-"));
    try {
      process.env.PATH = folder;
      assert.match(
        missingCapability() ?? "",
        /^hosts boot in containers, and systemd-nspawn, mmdebstrap, .* is not installed \(Debian packages: .*mmdebstrap/,
      );
      for (const name of ["systemd-nspawn", "iptables", "ip", "openssl", "setpriv"]) {
        symlinkSync("/bin/true", join(folder, name));
      }
      assert.match(missingCapability() ?? "", /, and mmdebstrap is not installed/);
      assert.ok(DEBIAN_PACKAGES.includes("mmdebstrap"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("comes with images under their real names", () => {
    for (const name of [
      "knatnetwork/github-runner:latest",
      "knatnetwork/github-runner:noble-2.336.0",
      "knatnetwork/github-runner-kms:latest",
      "ghcr.io/actions/actions-runner:2.336.0",
    ]) {
      assert.ok(IMAGE_NAMES.includes(name), name);
    }
    assert.equal(new Set(IMAGE_NAMES).size, IMAGE_NAMES.length);
  });
});
