import { z } from "zod";
import { stackSelector } from "../host/labels";
import type { Api } from "../preflight/api";
import { paged, pages } from "../preflight/facts";
import type { RecordedResource } from "../stack/recordedHosts";

/** A kind of thing in a Hetzner project. */
export interface Kind {
  /** In paths of the API, and the name of the list in its answers. */
  readonly path: string;
  /** In sentences. */
  readonly noun: string;
  /** Command of Hetzner's CLI. */
  readonly command: string;
  /** Type in the state. */
  readonly type: string;
}

/** Everything that a stack makes there, and addresses, which somebody may have kept. */
export const KINDS: readonly Kind[] = [
  {
    path: "servers",
    noun: "server",
    command: "server",
    type: "hcloud:index/server:Server",
  },
  {
    path: "primary_ips",
    noun: "primary IP",
    command: "primary-ip",
    type: "hcloud:index/primaryIp:PrimaryIp",
  },
  {
    path: "firewalls",
    noun: "firewall",
    command: "firewall",
    type: "hcloud:index/firewall:Firewall",
  },
  {
    path: "placement_groups",
    noun: "placement group",
    command: "placement-group",
    type: "hcloud:index/placementGroup:PlacementGroup",
  },
  {
    path: "networks",
    noun: "network",
    command: "network",
    type: "hcloud:index/network:Network",
  },
  {
    path: "ssh_keys",
    noun: "SSH key",
    command: "ssh-key",
    type: "hcloud:index/sshKey:SshKey",
  },
];

/** Something in the project. */
export interface Thing {
  readonly kind: Kind;
  readonly id: string;
  readonly name: string;
}

export interface Server {
  readonly id: string;
  readonly name: string;
}

const listed = z.array(z.object({ id: z.int(), name: z.string() }));

/** Everything that carries the stack's labels. */
export async function readThings(api: Api, prefix: string): Promise<Thing[]> {
  const lists = await Promise.all(
    KINDS.map(async (kind) => {
      const found = await readList(api, kind.path, stackSelector(prefix));
      return found.map(({ id, name }) => ({ kind, id, name }));
    }),
  );
  return lists.flat();
}

/** What a state has of the kinds of things that are looked for, by kind and name. */
export function recordedThings(resources: readonly RecordedResource[]): Thing[] {
  const things = resources.flatMap(({ type, id, outputs }) => {
    const kind = KINDS.find((one) => one.type === type);
    if (kind === undefined || id === undefined || id === "") return [];
    return [{ kind, id, name: typeof outputs?.name === "string" ? outputs.name : id }];
  });
  const rank = ({ kind, name }: Thing) => `${KINDS.indexOf(kind)} ${name}`;
  return things.sort((one, other) => (rank(one) < rank(other) ? -1 : 1));
}

/** Servers that carry the stack's labels. */
export function readServers(api: Api, prefix: string): Promise<Server[]> {
  return readList(api, "servers", stackSelector(prefix));
}

/** Whether the project has a server of this name, whatever its labels. */
export async function hasServer(api: Api, name: string): Promise<boolean> {
  return (await readList(api, "servers", `name=${encodeURIComponent(name)}`)).length > 0;
}

/** Whether it is there, whatever its labels. */
export async function exists(api: Api, kind: Kind, id: string): Promise<boolean> {
  return (await api.ask(`/${kind.path}/${id}`, [200, 404])).status === 200;
}

async function readList(api: Api, path: string, query: string): Promise<Server[]> {
  const found = await pages(api, `/${path}?${query}`, z.looseObject({ [path]: listed, ...paged }));
  return found
    .flatMap((page) => listed.parse(page[path]))
    .map(({ id, name }) => ({ id: String(id), name }));
}
