import { type HostFile, renderApplyScript } from "../host/applyScript";
import { type ComposeService, composeFile, STACK_DIRECTORY } from "../host/compose";

/** Port of the KMS protocol of `knatnetwork/github-runner-kms`. */
export const TOKEN_SERVICE_PORT = 3000;

/** Where the credential rests on the host that runs the token service: root alone reads it. */
const CREDENTIAL_FILE = "/etc/runner-fleet/token-service.env";

export interface TokenServiceModel {
  readonly image: string;
  readonly organization: string;
  /** Personal access token that it trades for registration tokens. */
  readonly token: string;
}

/** At a boot, Docker may start before the private address is there, and does not try again to publish a port on it. */
const BIND_EARLY: HostFile = {
  path: "/etc/sysctl.d/60-runner-fleet.conf",
  mode: "0644",
  content: "net.ipv4.ip_nonlocal_bind = 1\n",
};

/** The service's entry in a compose project; `address` publishes it on one address of the host. */
export function tokenServiceEntry(image: string, address?: string): ComposeService {
  return {
    image,
    env_file: [CREDENTIAL_FILE],
    restart: "unless-stopped",
    ...(address === undefined
      ? {}
      : { ports: [`${address}:${TOKEN_SERVICE_PORT}:${TOKEN_SERVICE_PORT}`] }),
  };
}

/** One variable for each organization, named as the image wants it. */
export function credentialFile(model: Pick<TokenServiceModel, "organization" | "token">): HostFile {
  return {
    path: CREDENTIAL_FILE,
    mode: "0600",
    content: `PAT_${model.organization}=${model.token}\n`,
  };
}

/** Base URL of a token service that is published at `address`. */
export function tokenServiceUrl(address: string): string {
  return `http://${address}:${TOKEN_SERVICE_PORT}`;
}

/** Files of a host of its own that runs the token service, reachable at `address` only. */
export function tokenServiceFiles(model: TokenServiceModel, address: string): HostFile[] {
  return [
    credentialFile(model),
    BIND_EARLY,
    composeFile({ kms: tokenServiceEntry(model.image, address) }),
  ];
}

/**
 * Brings a host of its own to run the token service, reachable at `address` only. The server type is named in it, so that
 * a rescaled host is checked again.
 */
export function tokenServiceScript(
  model: TokenServiceModel & { readonly serverType: string },
  address: string,
): string {
  return renderApplyScript(tokenServiceFiles(model, address), [
    `# ${model.serverType}`,
    `docker compose --project-directory ${STACK_DIRECTORY} up --detach --quiet-pull --remove-orphans`,
    // Any answer counts: the protocol has no route that tells its health.
    `curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused ${tokenServiceUrl(address)}/`,
  ]);
}
