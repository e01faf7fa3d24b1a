import type { RecordedHost } from "../stack/recordedHosts";

/**
 * The host that people mean: by the name of its server, such as dev-arm64-1-1, or without the stack's prefix.
 * @throws Error in one sentence that lists the hosts there are.
 */
export function findHost(hosts: readonly RecordedHost[], wanted: string): RecordedHost {
  const found = hosts.find(({ name, key }) => wanted === name || wanted === key);
  if (found !== undefined) return found;
  throw new Error(
    hosts.length === 0
      ? `HOST: found ${JSON.stringify(wanted)}, and the stack's state has no host: \`pulumi up\` makes them.`
      : `HOST: found ${JSON.stringify(wanted)}, expected one of ${hosts.map(({ name }) => name).join(", ")}.`,
  );
}
