import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { utils } from "ssh2";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { needs } from "./onPath";

describe("hostKeyFromSecret", () => {
  it("gives the same key for the same secret, in every release", () => {
    // Another key for an old secret would lock the program out of every living host.
    assert.equal(
      hostKeyFromSecret("a secret").publicKey,
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKhaD0OYFiePJb+jBqZCv3GbTXvHq6r1MHs2G6g3IZPW",
    );
    assert.deepEqual(hostKeyFromSecret("a secret"), hostKeyFromSecret("a secret"));
  });

  it("gives different keys for different secrets", () => {
    const property = fc.property(fc.uniqueArray(fc.string(), { minLength: 2 }), (secrets) => {
      const keys = secrets.map(hostKeyFromSecret);
      assert.equal(new Set(keys.map((key) => key.publicKey)).size, secrets.length);
      assert.equal(new Set(keys.map((key) => key.privateKey)).size, secrets.length);
    });
    fc.assert(property, { numRuns: 20 });
  });

  it("is read by ssh2, with its public half", () => {
    const property = fc.property(fc.string({ unit: "binary" }), (secret) => {
      const { privateKey, publicKey } = hostKeyFromSecret(secret);
      const parsed = utils.parseKey(privateKey);
      if (parsed instanceof Error) throw parsed;
      assert.ok(parsed.isPrivateKey());
      assert.equal(`${parsed.type} ${parsed.getPublicSSH().toString("base64")}`, publicKey);
      assert.equal(parsed.verify("text", parsed.sign("text")), true);
    });
    fc.assert(property);
  });

  it("is read by OpenSSH, with its public half", function () {
    needs(this, "ssh-keygen", "-?");
    const folder = mkdtempSync(join(tmpdir(), "host-key-"));
    const file = join(folder, "key");
    try {
      const property = fc.property(fc.string({ unit: "binary" }), (secret) => {
        const { privateKey, publicKey } = hostKeyFromSecret(secret);
        writeFileSync(file, privateKey, { mode: 0o600 });
        const shown = execFileSync("ssh-keygen", ["-y", "-f", file], { encoding: "utf8" });
        assert.equal(shown.trim(), publicKey);
      });
      fc.assert(property, { numRuns: 20 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
