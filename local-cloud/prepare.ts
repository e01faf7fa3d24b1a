import { prepareEngine } from "./engine";
import { installPackages } from "./hosts/debian";
import { DEBIAN_PACKAGES, missingCapability, prepareHosts } from "./hosts/prepare";

/** Used by tests alone: scripts are checked, and run, as they would be on a host, and the clients of both APIs. */
const TEST_PACKAGES = [
  "bash",
  "gh",
  "hcloud-cli",
  "jq",
  "nftables",
  "openssh-client",
  "python3-yaml",
  "python3-venv",
  "shellcheck",
];

/** Makes everything that the local cloud needs on this machine; costs nothing when it is there already. */
async function prepare(): Promise<void> {
  const log = (line: string) => process.stderr.write(`setup: ${line}\n`);
  await installPackages([...DEBIAN_PACKAGES, ...TEST_PACKAGES], log);
  await prepareEngine({ log });
  const missing = missingCapability();
  if (missing === undefined) await prepareHosts({ log });
  else log(`no booted servers here, a thin model takes over: ${missing}`);
}

prepare().catch((error: unknown) => {
  process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
