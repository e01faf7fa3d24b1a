import { createHash } from "node:crypto";

/** The name that git gives to a file's content; GitHub's contents API calls it `sha`. */
export function gitBlob(content: string): string {
  const bytes = Buffer.from(content);
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
