import { importCommand } from "../operate/importFile";
import { recordedThings } from "./hetznerProject";
import type { Context } from "./context";

/** Where people read how it goes on from there. */
export const RECOVERY_PAGE = "docs/operations.md, Recover a lost state";

/**
 * The commands that take what there is of a stack into its state: the first two of that page. The first says on
 * standard error what comes after the second.
 * @param options `--stack` and, where it is not the default, `--config-file`
 */
export function importRepair(organization: string, options: readonly string[]): string {
  return [
    ["npm run --silent import-file --", ...options, "> import.json"].join(" "),
    importCommand(organization, options),
  ].join(" && ");
}

/** That command where servers of the stack are there and its state has nothing in the Hetzner project; else undefined. */
export async function recoveryOf(context: Context): Promise<string | undefined> {
  const { settings, options } = await context.stack();
  const { resources } = await context.recorded();
  if (recordedThings(resources).length > 0) return undefined;
  const servers = await context.servers();
  return servers.length === 0 ? undefined : importRepair(settings.organization, options);
}
