import { capture } from "./run";

/**
 * Installs the Debian packages that are not there yet, where this is Debian or a relative of it and we are root;
 * elsewhere nothing happens. Costs one query when all are there.
 * @throws Error in one sentence when apt-get fails.
 */
export async function installPackages(
  packages: readonly string[],
  log: (line: string) => void,
): Promise<void> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return;
  const known = await capture("dpkg-query", [
    "--show",
    "--showformat=${db:Status-Status} ${Package}\\n",
    ...packages,
  ]).catch(() => undefined);
  if (known === undefined) return;
  const installed = new Set(
    known.stdout
      .split("\n")
      .filter((line) => line.startsWith("installed "))
      .map((line) => line.slice("installed ".length)),
  );
  const missing = packages.filter((name) => !installed.has(name));
  if (missing.length === 0) return;
  log(`Debian packages: ${missing.join(" ")}`);
  const apt = async (...args: string[]) => {
    const { code, stderr } = await capture("apt-get", ["--quiet", "--yes", ...args], {
      timeoutMs: 600_000,
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
    if (code !== 0)
      throw new Error(`apt-get ${args[0]} failed: ${stderr.trim().split("\n").at(-1)}`);
  };
  await apt("update");
  await apt("install", "--no-install-recommends", ...missing);
}
