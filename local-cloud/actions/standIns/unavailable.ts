import { type ActionDefinition, ActionFailure } from "../action";

/** An action whose service the local cloud does not have: whatever it is given, it fails and says why. */
function unavailable(why: string, inputs: readonly string[]): ActionDefinition {
  return {
    inputs: Object.fromEntries(inputs.map((name) => [name, {}])),
    main: () => Promise.reject(new ActionFailure(`Not executable on the local cloud: ${why}`)),
  };
}

export const attest = unavailable(
  "actions/attest signs with a certificate that GitHub's OpenID Connect issuer and Sigstore give, which are not here. Leave GitHub's attestations out.",
  [
    ...["subject-path", "subject-digest", "subject-name", "subject-checksums", "subject-version"],
    ...["sbom-path", "predicate-type", "predicate", "predicate-path", "push-to-registry"],
    ...["create-storage-record", "show-summary", "github-token"],
  ],
);

export const cosignInstaller = unavailable(
  "sigstore/cosign-installer downloads cosign, and keyless signing needs GitHub's OpenID Connect issuer and Sigstore, which are not here. Leave cosign out.",
  ["cosign-release", "install-dir", "use-sudo"],
);
