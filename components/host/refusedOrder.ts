import * as pulumi from "@pulumi/pulumi";
import type { ApiOptions } from "../preflight/api";
import { readMarket } from "../preflight/facts";
import { listPlaces, orderableNow, type Place } from "../runnerPool/placement";
import type { HostEnvironment } from "./host";
import { readRefusals, recordRefusal, REFUSALS_FILE } from "./refusals";

/** Codes of Hetzner's in the provider's words, whether the order is refused or fails once it is taken. */
const NO_ROOM = /\b(resource_unavailable|placement_error)\b/;

/**
 * What is done when a server cannot be made. The engine can only try the same again, for inputs of a resource are settled
 * when it is registered, so nothing is: what Hetzner has no room for is said, with what there is, and kept for a run that
 * goes on with the next choice.
 * @param say hears one sentence
 */
export function refusedOrder(
  { hetzner, networkZone }: Pick<HostEnvironment, "hetzner" | "networkZone">,
  say: (sentence: string) => void,
  options: ApiOptions & { readonly environment?: NodeJS.ProcessEnv } = {},
): pulumi.ErrorHookFunction {
  const { environment = process.env } = options;
  const secret = pulumi.output(hetzner.token);
  return async ({ failedOperation, errors, newInputs }) => {
    if (failedOperation !== "create" || !NO_ROOM.test(errors[0] ?? "")) return false;
    const { name, serverType, location } = newInputs as Place & { readonly name: string };
    const file = environment[REFUSALS_FILE];
    // The provider's error is what counts: one from here would take its place.
    try {
      if (file) recordRefusal(file, { serverType, location });
      const refusals = [...readRefusals(file), { serverType, location }];
      const token = await new Promise<string | undefined>((resolve) => {
        secret.apply(resolve);
      });
      const access = { endpoint: hetzner.endpoint, token: token ?? environment.HCLOUD_TOKEN };
      const now = await readMarket(access, options).then(
        (market) =>
          `can be ordered now: ${listPlaces(orderableNow(networkZone, { ...market, refusals })) || "nothing"}`,
        (error: unknown) => `Hetzner does not say what can be ordered now: ${messageOf(error)}`,
      );
      const next = file ? "" : "; `npm run up` goes on with the next choice by itself";
      say(`Hetzner has no room for ${name}; tried: ${listPlaces(refusals)}; ${now}${next}.`);
    } catch (error) {
      say(`Hetzner has no room for ${name} as ${serverType} in ${location}: ${messageOf(error)}`);
    }
    return false;
  };
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\.$/, "");
}
