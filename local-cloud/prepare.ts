import { prepareEngine } from "./engine";
import { missingCapability, prepareHosts } from "./hosts/prepare";

/** Makes everything that the local cloud needs on this machine; costs nothing when it is there already. */
async function prepare(): Promise<void> {
  const log = (line: string) => process.stderr.write(`setup: ${line}\n`);
  await prepareEngine({ log });
  const missing = missingCapability();
  if (missing === undefined) await prepareHosts({ log });
  else log(`no booted servers here, a thin model takes over: ${missing}`);
}

prepare().catch((error: unknown) => {
  process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
