import { HostError } from "./request";
import type { Retirement } from "./retire";
import type { AwaitedRunners } from "./waitOnline";

/**
 * Commands of ours that the engine runs on the machine where Pulumi runs. What they work on comes by variables of their
 * environment, which are also what `pulumi destroy` finds in the state.
 */
export const RETIRE = "node --import tsx components/host/retire.main.ts";
export const WAIT_ONLINE = "node --import tsx components/host/waitOnline.main.ts";

/** Variables of both commands. Those that a stack does not set come from the run's own environment. */
export type CommandEnvironment = Partial<
  Record<
    | "HOST"
    | "SERVER_ID"
    | "HCLOUD_API"
    | "HCLOUD_TOKEN"
    | "GITHUB_API"
    | "GITHUB_TOKEN"
    | "GITHUB_ORGANIZATION"
    | "RUNNER_NAMES"
    | "SSH_HOST"
    | "SSH_PORT"
    | "SSH_PRIVATE_KEY"
    | "SSH_HOST_KEY"
    | "DRAIN_COMMAND"
    | "TIMEOUT_SECONDS",
    string
  >
>;

export function readRetirement(environment: CommandEnvironment): Retirement {
  const read = reader(environment);
  return {
    host: read("HOST"),
    serverId: read("SERVER_ID"),
    hetzner: { name: "Hetzner", baseUrl: read("HCLOUD_API"), token: read("HCLOUD_TOKEN") },
    ...(environment.SSH_HOST !== undefined && {
      ssh: {
        host: environment.SSH_HOST,
        port: Number(read("SSH_PORT")),
        privateKey: read("SSH_PRIVATE_KEY"),
        hostKey: read("SSH_HOST_KEY"),
      },
    }),
    ...(environment.DRAIN_COMMAND !== undefined && {
      drain: {
        command: environment.DRAIN_COMMAND,
        timeoutSeconds: Number(read("TIMEOUT_SECONDS")),
      },
    }),
    ...(environment.GITHUB_ORGANIZATION !== undefined && { runners: readGithub(environment) }),
  };
}

export function readAwaited(environment: CommandEnvironment): {
  readonly runners: AwaitedRunners;
  readonly timeoutSeconds: number;
} {
  const read = reader(environment);
  return {
    runners: {
      host: read("HOST"),
      ...readGithub(environment),
      names: read("RUNNER_NAMES").split(" "),
    },
    timeoutSeconds: Number(read("TIMEOUT_SECONDS")),
  };
}

function readGithub(environment: CommandEnvironment) {
  const read = reader(environment);
  return {
    github: { name: "GitHub", baseUrl: read("GITHUB_API"), token: read("GITHUB_TOKEN") },
    organization: read("GITHUB_ORGANIZATION"),
  };
}

/** Reads variables that have to be there. */
export function reader<Name extends string>(environment: Partial<Record<Name, string>>) {
  return (name: Name): string => {
    const value = environment[name];
    if (value === undefined || value === "") {
      throw new HostError(`${name}: found nothing in the environment.`);
    }
    return value;
  };
}
