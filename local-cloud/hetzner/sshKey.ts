import { createHash } from "node:crypto";
import { invalidField } from "./errors";

const algorithms = [
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
];

/** MD5 fingerprint of an authorized_keys line as the API shows it, e.g. `b7:2f:…`; refuses what is no public key. */
export function fingerprint(publicKey: string): string {
  const [algorithm = "", encoded = ""] = publicKey.trim().split(/\s+/);
  const blob = Buffer.from(encoded, "base64");
  // The blob starts with the algorithm's name again, preceded by its length.
  const named = blob.length > 4 && blob.subarray(4, 4 + blob.readUInt32BE(0)).toString();
  if (publicKey.trim().includes("\n") || !algorithms.includes(algorithm) || named !== algorithm)
    throw invalidField("public_key", "is not a valid SSH public key");
  const digest = createHash("md5").update(blob).digest("hex");
  return digest.match(/../g)?.join(":") ?? digest;
}
