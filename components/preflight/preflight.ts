import * as pulumi from "@pulumi/pulumi";
import type { FleetConfig } from "../config/load";
import { userError } from "../config/userError";
import { type FleetPlacement, placeFleet } from "../runnerPool/placement";
import type { ApiOptions } from "./api";
import { checkFleet, type Known } from "./check";
import { type Facts, readFacts } from "./facts";

/**
 * Asks the APIs and judges the settings, before the first resource is registered.
 * @throws pulumi.RunError with one sentence per line for every problem; warnings go to Pulumi's log.
 */
export async function preflight(
  config: FleetConfig,
  {
    userDataBytes,
    ...options
  }: ApiOptions &
    Omit<Known, "userDataBytes"> & {
      /** As in `Known`, of hosts that are placed like this. */
      readonly userDataBytes?: (placement: FleetPlacement) => Known["userDataBytes"];
    } = {},
): Promise<Facts & { readonly placement: FleetPlacement }> {
  const { prefix, settings } = config;
  const { hetzner, github } = await readFacts(config, options);
  // An obstacle always is a problem; saying so here lets the compiler see that what is returned are facts.
  const refused = hetzner !== undefined && "obstacle" in hetzner;
  const market =
    hetzner === undefined || refused ? undefined : { ...hetzner, refusals: options.refusals };
  const placement = placeFleet(prefix, settings, market);
  const { problems, warnings } = checkFleet(settings, { hetzner, github }, pulumi.getProject(), {
    prefix,
    userDataBytes: userDataBytes?.(placement),
    ...options,
  });
  if (problems.length > 0 || refused || "obstacle" in github) {
    throw userError(problems.join("\n"));
  }
  await Promise.all(warnings.map((warning) => pulumi.log.warn(warning)));
  return { hetzner, github, placement };
}
