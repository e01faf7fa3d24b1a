import type { FleetSettings } from "../config/schema";
import { tokenServiceImage, type TokenServiceModel } from "./stack";

/**
 * What the configuration says about the token service: it does for this stack's runners what they need, and no more.
 * @param prefix of the names in the Hetzner project.
 */
export function tokenServiceSettings(
  prefix: string,
  settings: FleetSettings,
): Pick<
  TokenServiceModel,
  | "implementation"
  | "image"
  | "organization"
  | "githubUrl"
  | "runnerNamePrefix"
  | "registrationTokens"
  | "sources"
> {
  return {
    implementation: settings.tokenService.implementation,
    image: tokenServiceImage(settings.tokenService),
    organization: settings.organization,
    githubUrl: settings.githubUrl,
    runnerNamePrefix: `${prefix}-`,
    registrationTokens: Object.values(settings.pools).some(
      ({ runner }) => runner.image === "knatnetwork",
    ),
    sources: [settings.network.subnet],
  };
}
