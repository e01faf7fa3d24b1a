import type { ActionDefinition } from "../action";
import { buildPush } from "./buildPush";
import { checkout } from "./checkout";
import { login } from "./login";
import { metadata } from "./metadata";
import { setupBuildx } from "./setupBuildx";
import { setupQemu } from "./setupQemu";
import { trivy } from "./trivy";
import { attest, cosignInstaller } from "./unavailable";

/** Stand-ins by the names of the actions' repositories. */
export const STAND_INS = {
  "actions/attest": attest,
  "actions/checkout": checkout,
  "aquasecurity/trivy-action": trivy,
  "docker/build-push-action": buildPush,
  "docker/login-action": login,
  "docker/metadata-action": metadata,
  "docker/setup-buildx-action": setupBuildx,
  "docker/setup-qemu-action": setupQemu,
  "sigstore/cosign-installer": cosignInstaller,
} as const satisfies Readonly<Record<string, ActionDefinition>>;
