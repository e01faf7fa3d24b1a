import { z } from "zod";

/** A server as the stack's state has it. */
export interface RecordedHost {
  /** Name in the program, such as arm64-1-1. */
  readonly key: string;
  /** Name at Hetzner and in front of the names of its runners. */
  readonly name: string;
  readonly serverId: string;
  /** Its pool; undefined for the token service. */
  readonly pool: string | undefined;
  readonly address: string;
  readonly location: string;
  readonly serverType: string;
  /** OpenSSH public key that it shows; undefined where nothing reaches into it. */
  readonly hostKey: string | undefined;
  /** Where SSH is, as far as the state tells it. */
  readonly sshPort: number;
  /** What takes it out of service, and how long that may take, in seconds; undefined where it runs no jobs. */
  readonly drain: { readonly command: string; readonly timeoutSeconds: number } | undefined;
}

const exported = z.object({
  deployment: z
    .object({
      resources: z
        .array(
          z.object({
            urn: z.string(),
            type: z.string(),
            id: z.string().optional(),
            delete: z.boolean().optional(),
            inputs: z.record(z.string(), z.unknown()).optional(),
            outputs: z.record(z.string(), z.unknown()).optional(),
          }),
        )
        .nullish(),
    })
    .nullish(),
});

export type RecordedResource = NonNullable<
  NonNullable<z.output<typeof exported>["deployment"]>["resources"]
>[number];

/**
 * What is in a stack's state, without what only waits to be deleted.
 * @param text what `pulumi stack export` prints
 */
export function recordedResources(text: string): RecordedResource[] {
  const resources = exported.parse(JSON.parse(text)).deployment?.resources ?? [];
  return resources.filter((one) => one.delete !== true);
}

const serverOutputs = z.object({
  name: z.string(),
  ipv4Address: z.string(),
  location: z.string(),
  serverType: z.string(),
  labels: z.record(z.string(), z.string()).nullish(),
});

const retireInputs = z.object({
  environment: z.object({
    SSH_HOST_KEY: z.string().optional(),
    SSH_PORT: z.string().optional(),
    DRAIN_COMMAND: z.string().optional(),
    TIMEOUT_SECONDS: z.string().optional(),
  }),
});

/** What the program says of a host that SSH reaches. */
const componentOutputs = z.object({ hostKey: z.string(), sshPort: z.number() });

/**
 * The servers of a stack, in the order of their names.
 * @param living what is in its state; secrets in it stay encrypted
 */
export function recordedHosts(living: readonly RecordedResource[]): RecordedHost[] {
  const named = (name: string, type: string) =>
    living.find((one) => one.type === type && one.urn.endsWith(`::${name}`));
  return living
    .filter(
      ({ type, id }) => type === "hcloud:index/server:Server" && id !== undefined && id !== "",
    )
    .flatMap(({ urn, id, outputs }) => {
      const server = serverOutputs.safeParse(outputs);
      // One whose creation was interrupted has no address yet.
      if (!server.success) return [];
      const key = urn.slice(urn.lastIndexOf("::") + 2);
      const retirement = retireInputs.safeParse(
        named(`${key}-retire`, "command:local:Command")?.inputs,
      );
      const environment = retirement.success ? retirement.data.environment : {};
      const component = componentOutputs.safeParse(named(key, "runner-fleet:index:Host")?.outputs);
      return [
        {
          key,
          name: server.data.name,
          serverId: id!,
          pool: server.data.labels?.pool,
          address: server.data.ipv4Address,
          location: server.data.location,
          serverType: server.data.serverType,
          hostKey: environment.SSH_HOST_KEY ?? component.data?.hostKey,
          sshPort: component.data?.sshPort ?? Number(environment.SSH_PORT ?? 22),
          drain:
            environment.DRAIN_COMMAND === undefined
              ? undefined
              : {
                  command: environment.DRAIN_COMMAND,
                  timeoutSeconds: Number(environment.TIMEOUT_SECONDS),
                },
        },
      ];
    })
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}
