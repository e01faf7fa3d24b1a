import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LocalCloud } from ".";
import { listen, type Listening } from "./core/serve";
import { authorityIn, createAuthority, issueCertificate } from "./hosts/certificates";

/** Where systems keep the certificates that they trust, in one file. */
const SYSTEM_ROOTS = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** GitHub over TLS, for clients that take nothing else. */
export interface SecureGitHub {
  /** Such as https://localhost:12345, without a slash at the end. */
  readonly url: string;
  /** Variables that lead gh here, and all programs that read SSL_CERT_FILE to its certificate. */
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/**
 * Serves GitHub over TLS, as gh asks of every host but github.com, with a certificate from an authority of its own.
 * @param folder an existing one for keys and certificates
 * @param base the environment whose SSL_CERT_FILE, if any, goes on being trusted
 * @throws Error that says in one sentence what is missing on this machine
 */
export async function serveGitHubSecurely(
  cloud: LocalCloud,
  folder: string,
  base: NodeJS.ProcessEnv = process.env,
): Promise<SecureGitHub> {
  if (process.platform === "darwin" || process.platform === "win32") {
    throw new Error("programs in Go take certificates from a file on other systems only");
  }
  const roots = [base.SSL_CERT_FILE, ...SYSTEM_ROOTS].find((file) => file && existsSync(file));
  if (roots === undefined) {
    throw new Error(`there is no file of trusted certificates, expected ${SYSTEM_ROOTS[0]}`);
  }
  const keys = join(folder, "tls");
  await mkdir(keys, { mode: 0o700 });
  await createAuthority(keys);
  const authority = authorityIn(keys);
  const tls = await issueCertificate(authority, ["localhost"], keys);
  const trusted = [roots, authority.certificate].map((file) => readFile(file, "utf8"));
  const bundle = join(folder, "certificates.pem");
  await writeFile(bundle, (await Promise.all(trusted)).join("\n"));
  const server: Listening = await listen((request) => cloud.github.fetch(request), { tls });
  return {
    url: server.url,
    environment: {
      GH_HOST: new URL(server.url).host,
      GH_ENTERPRISE_TOKEN: cloud.github.tokens.admin,
      SSL_CERT_FILE: bundle,
    },
    close: () => server.close(),
  };
}

/** A line that sets a variable in a POSIX shell, to `value` followed by what is added, a word of the shell's. */
export function exportLine(name: string, value: string, added = ""): string {
  return `export ${name}='${value.replaceAll("'", "'\\''")}'${added}`;
}
