import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUILDKIT_IMAGE, NODE_IMAGE } from "../../../components/pins/pins";
import { IMAGE_NAMES, nameByDigest, PINNED_IMAGES } from "../../../local-cloud/hosts/images";
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

  it("comes with an image for every digest that is pinned", async () => {
    assert.ok(PINNED_IMAGES.includes(BUILDKIT_IMAGE) && PINNED_IMAGES.includes(NODE_IMAGE));
    const docker = mkdtempSync(join(tmpdir(), "docker-"));
    try {
      const file = join(docker, "image/overlay2/repositories.json");
      mkdirSync(join(docker, "image/overlay2"), { recursive: true });
      const known: Record<string, Record<string, string>> = {};
      for (const reference of PINNED_IMAGES) {
        const tagged = reference.replace(/@.*/, "");
        assert.ok(IMAGE_NAMES.includes(tagged), tagged);
        known[tagged.replace(/:[^:]*$/, "")] = { [tagged]: `id of ${tagged}` };
      }
      writeFileSync(file, JSON.stringify({ Repositories: known }));
      await nameByDigest(docker);
      const { Repositories: named } = JSON.parse(readFileSync(file, "utf8")) as {
        Repositories: typeof known;
      };
      for (const reference of PINNED_IMAGES) {
        const [tagged = "", digest = ""] = reference.split("@");
        const repository = tagged.replace(/:[^:]*$/, "");
        assert.deepEqual(named[repository], {
          [tagged]: `id of ${tagged}`,
          [`${repository}@${digest}`]: `id of ${tagged}`,
        });
      }
      writeFileSync(file, JSON.stringify({ Repositories: {} }));
      await assert.rejects(nameByDigest(docker), /no image stands in for moby\/buildkit:/);
    } finally {
      rmSync(docker, { recursive: true });
    }
  });
});
