import type { Context } from "mocha";
import {
  type HostImages,
  missingCapability,
  prepareHosts,
} from "../../../local-cloud/hosts/prepare";

/** What hosts are made from, made at the first time; skips the suite where no host can be booted. For a `before` hook. */
export async function preparedImages(context: Context): Promise<HostImages> {
  context.timeout(20 * 60_000);
  const missing = missingCapability();
  if (missing !== undefined) {
    console.log(`      ${missing}`);
    context.skip();
  }
  return prepareHosts({ log: (line) => console.log(`      ${line}`) });
}
