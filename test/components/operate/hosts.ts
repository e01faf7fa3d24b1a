import type { RecordedHost } from "../../../components/stack/recordedHosts";
import { HOST_KEY } from "../host/sshServer";

/** A runner host as the state has it. */
export const RUNNER_HOST: RecordedHost = {
  key: "arm64-1-1",
  name: "dev-arm64-1-1",
  serverId: "1",
  pool: "arm64",
  address: "127.0.0.1",
  location: "fsn1",
  serverType: "cax21",
  hostKey: HOST_KEY.publicKey,
  sshPort: 22,
  drain: { command: "/opt/runner-fleet/bin/drain 3600", timeoutSeconds: 3600 },
};

export const TOKEN_SERVICE: RecordedHost = {
  ...RUNNER_HOST,
  key: "token-service",
  name: "dev-token-service",
  serverId: "2",
  pool: undefined,
  drain: undefined,
};
