import { type FleetSettings, validateSettings } from "../../../components/config/schema";
import { newKeyPair } from "../../../local-cloud/hosts/keys";

/** A fresh key pair in OpenSSH form. */
export function keyPair(): { readonly publicKey: string; readonly privateKey: string } {
  const { public: publicKey, private: privateKey } = newKeyPair();
  return { publicKey, privateKey };
}

const ssh = keyPair();

/** Raw configuration with every required key and one target; tests change a copy. */
export function rawSettings() {
  return {
    organization: "acme",
    githubAuth: { kind: "pat", token: "ghp_service" } as Record<string, unknown>,
    secrets: {} as Record<string, unknown>,
    pools: {
      arm64: {
        serverTypes: ["cax21"],
        locations: ["fsn1"],
        count: 2,
        labels: ["docker"],
      },
    } as Record<string, Record<string, unknown>>,
    ssh: { ...ssh, allowedCidrs: ["203.0.113.4/32"] } as Record<string, unknown>,
    targets: { webppt: { image: "ghcr.io/acme/webppt" } } as Record<
      string,
      Record<string, unknown>
    >,
  };
}

/** Valid settings after `change`; throws with the problems when they are not. */
export function settingsWith(
  change: (raw: ReturnType<typeof rawSettings> & Record<string, unknown>) => void = () => undefined,
): FleetSettings {
  const raw: ReturnType<typeof rawSettings> & Record<string, unknown> = rawSettings();
  change(raw);
  const result = validateSettings(raw, "fleet");
  if (!result.ok) throw new Error(result.problems.join("\n"));
  return result.settings;
}
