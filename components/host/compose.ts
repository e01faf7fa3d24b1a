import { stringify } from "yaml";
import type { HostFile } from "./applyScript";

/** Folder of the compose project and our scripts on every host. */
export const STACK_DIRECTORY = "/opt/runner-fleet";

/** The part of the Compose specification that the fleet uses. */
export interface ComposeService {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly env_file?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly profiles?: readonly string[];
  readonly restart?: "unless-stopped";
}

export function composeFile(services: Readonly<Record<string, ComposeService>>): HostFile {
  return {
    path: `${STACK_DIRECTORY}/compose.yaml`,
    mode: "0644",
    content: stringify(
      { name: "runner-fleet", services },
      { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false },
    ),
  };
}
