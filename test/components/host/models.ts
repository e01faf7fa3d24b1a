import type { BaseModel } from "../../../components/host/base";
import type { HostStack } from "../../../components/host/cloudInit";

/** A host that is managed over SSH and opens nothing else. */
export const BASE: BaseModel = {
  ssh: true,
  sshPort: 22,
  allowedCidrs: ["203.0.113.4/32"],
  privateRange: "10.0.0.0/16",
  privatePorts: [],
  rootPorts: [],
  containersMayReach: [],
  rebootWindow: "03:00-05:00",
  drainSeconds: 3600,
  registryMirrors: {},
  packages: [],
  runcmd: [],
};

/** The same without SSH. */
export const ALONE: BaseModel = { ...BASE, ssh: false, allowedCidrs: [] };

export const STACK: HostStack = {
  files: [
    { path: "/opt/public", mode: "0644", content: "public\n" },
    { path: "/etc/secret", mode: "0600", content: "canary-secret\n" },
  ],
  commands: ["echo applied"],
};
