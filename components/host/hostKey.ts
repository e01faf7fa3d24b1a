import { createHash, createPrivateKey } from "node:crypto";

/** An SSH host key in the forms that cloud-init and clients want. */
export interface HostKey {
  /** OpenSSH private key file. */
  readonly privateKey: string;
  /** `ssh-ed25519 AAAA…`, as in known_hosts and authorized_keys. */
  readonly publicKey: string;
}

const ALGORITHM = "ssh-ed25519";
/** DER in front of a raw Ed25519 seed in PKCS #8 (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Derives an Ed25519 host key from a random text, so that the key is known before the host boots: the first connection
 * is already pinned, and nobody has to run ssh-keygen. The text must carry at least 256 bits of randomness.
 */
export function hostKeyFromSecret(secret: string): HostKey {
  const seed = createHash("sha256").update(`ssh host key:${secret}`).digest();
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: "der",
    type: "pkcs8",
  });
  const { x } = key.export({ format: "jwk" });
  const raw = Buffer.from(x as string, "base64url");
  const blob = Buffer.concat([field(ALGORITHM), field(raw)]);

  // openssh-key-v1 without a passphrase; the check number only has to be there twice.
  const check = createHash("sha256").update(raw).digest().subarray(0, 4);
  const inner = Buffer.concat([check, check, blob, field(Buffer.concat([seed, raw])), field("")]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (inner.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    field("none"),
    field("none"),
    field(""),
    uint32(1),
    field(blob),
    field(Buffer.concat([inner, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return {
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`,
    publicKey: `${ALGORITHM} ${blob.toString("base64")}`,
  };
}

function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
