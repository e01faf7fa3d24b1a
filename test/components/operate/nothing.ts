import type { FoundFleet } from "../../../components/operate/foundFleet";

/** Of a stack that has left nothing at Hetzner and GitHub. */
export const NOTHING: FoundFleet = {
  network: undefined,
  firewall: undefined,
  sshKey: undefined,
  placementGroups: [],
  servers: [],
  runnerGroup: undefined,
  routing: { organization: false, repositories: [] },
  files: { targets: {}, central: [] },
};
