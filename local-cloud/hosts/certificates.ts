import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "./run";

export interface CertificateAuthority {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export function authorityIn(folder: string): CertificateAuthority {
  return { certificate: join(folder, "ca.crt"), key: join(folder, "ca.key") };
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];

/** The local cloud's own authority, which hosts and images trust, for the names that the gateway answers for. */
export async function createAuthority(folder: string): Promise<void> {
  const { certificate, key } = authorityIn(folder);
  await run("openssl", [
    ...["req", "-x509", ...NEW_KEY, "-days", "3650"],
    ...["-subj", "/CN=Local cloud CA", "-keyout", key, "-out", certificate],
    ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
  ]);
}

/** A certificate for host names, with its key, both PEM. The files are made in `folder`. */
export async function issueCertificate(
  authority: CertificateAuthority,
  names: readonly string[],
  folder: string,
): Promise<{ cert: string; key: string }> {
  const [certificate, key] = [join(folder, "gateway.crt"), join(folder, "gateway.key")];
  await run("openssl", [
    ...["req", "-x509", ...NEW_KEY, "-days", "397"],
    ...["-CA", authority.certificate, "-CAkey", authority.key],
    ...["-subj", "/CN=Local cloud gateway", "-keyout", key, "-out", certificate],
    ...["-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`],
    ...["-addext", "basicConstraints=critical,CA:FALSE"],
    ...["-addext", "extendedKeyUsage=serverAuth"],
  ]);
  return {
    cert: await readFile(certificate, "utf8"),
    key: await readFile(key, "utf8"),
  };
}
