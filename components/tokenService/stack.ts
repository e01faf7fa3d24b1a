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

/** Brings a host of its own to run the token service, reachable at `address` only. */
export function tokenServiceScript(model: TokenServiceModel, address: string): string {
  return renderApplyScript(
    [credentialFile(model), composeFile({ kms: tokenServiceEntry(model.image, address) })],
    [
      `docker compose --project-directory ${STACK_DIRECTORY} up --detach --quiet-pull --remove-orphans`,
      // Any answer counts: the protocol has no route that tells its health.
      `curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused http://${address}:${TOKEN_SERVICE_PORT}/`,
    ],
  );
}
