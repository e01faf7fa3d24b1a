import { randomBytes } from "node:crypto";
import type { FleetSettings } from "../config/schema";
import { userDataBytes } from "../host/cloudInit";
import type { FleetPlacement } from "../runnerPool/placement";
import { plannedHosts } from "./hosts";

/**
 * Size in bytes of the largest user_data of each pool, by its name, and of the token service. Without SSH the secrets
 * that are in it only have the right length, so that a few bytes may be amiss.
 * @param prefix of the names in the Hetzner project
 * @param placed default: the first choice of each
 */
export function userDataSizes(
  prefix: string,
  settings: FleetSettings,
  placed?: FleetPlacement,
): { readonly pools: Readonly<Record<string, number>>; readonly tokenService: number | undefined } {
  const known = {
    credential: settings.githubAuth,
    // As many characters as the engine draws, and no easier to pack.
    password: randomBytes(36).toString("base64url"),
    runnerGroupId: "1234567",
  };
  const pools: Record<string, number> = {};
  let tokenService: number | undefined;
  for (const { pool, base, stack } of plannedHosts(prefix, settings, known, placed)) {
    const bytes = userDataBytes(base, stack);
    if (pool === undefined) tokenService = bytes;
    else pools[pool] = Math.max(pools[pool] ?? 0, bytes);
  }
  return { pools, tokenService };
}
