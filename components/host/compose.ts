import { stringify } from "yaml";
import type { HostFile } from "./applyScript";

/** Folder of the compose project and our scripts on every host. */
export const STACK_DIRECTORY = "/opt/runner-fleet";

/** The part of the Compose specification that the fleet uses. */
export interface ComposeService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly env_file?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly profiles?: readonly string[];
  readonly restart?: "unless-stopped";
  readonly network_mode?: "bridge" | "host";
  readonly networks?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly cgroup?: "host";
  /** Slice of systemd that limits the container. */
  readonly cgroup_parent?: string;
  readonly mem_limit?: string;
  readonly healthcheck?: {
    readonly test: readonly string[];
    readonly interval: string;
    readonly timeout: string;
    readonly retries: number;
    readonly start_period: string;
    readonly start_interval: string;
  };
}

/** The part of the specification's networks that the fleet uses. */
export interface ComposeNetwork {
  readonly driver_opts?: Readonly<Record<string, string>>;
}

export function composeFile(
  services: Readonly<Record<string, ComposeService>>,
  volumes: readonly string[] = [],
  networks: Readonly<Record<string, ComposeNetwork>> = {},
): HostFile {
  return {
    path: `${STACK_DIRECTORY}/compose.yaml`,
    mode: "0644",
    content: stringify(
      {
        name: "runner-fleet",
        services,
        ...(Object.keys(networks).length > 0 && { networks }),
        ...(volumes.length > 0 && { volumes: Object.fromEntries(volumes.map((one) => [one, {}])) }),
      },
      { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false },
    ),
  };
}
