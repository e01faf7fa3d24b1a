import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Traffic } from "../../../local-cloud/core/traffic";
import { createHetzner, type HetznerOptions } from "../../../local-cloud/hetzner";
import { FakeHosts } from "./fakeHosts";

export interface ActionBody {
  id: number;
  command: string;
  status: "running" | "success" | "error";
  progress: number;
  started: string;
  finished: string | null;
  error: { code: string; message: string } | null;
  resources: { id: number; type: string }[];
}

interface Named {
  id: number;
  name: string;
  labels: Record<string, string>;
}

export interface ServerBody extends Named {
  status: string;
  locked: boolean;
  public_net: {
    ipv4: { id: number; ip: string; dns_ptr: string } | null;
    ipv6: { id: number; ip: string; dns_ptr: { ip: string; dns_ptr: string }[] } | null;
    firewalls: { id: number; status: string }[];
  };
  private_net: { network: number; ip: string; alias_ips: string[]; mac_address: string }[];
  server_type: { name: string };
  location: { name: string };
  image: { name: string; architecture: string };
  protection: { delete: boolean; rebuild: boolean };
  backup_window: string | null;
  rescue_enabled: boolean;
  primary_disk_size: number;
  placement_group: { id: number } | null;
  volumes: number[];
}

interface NetworkBody extends Named {
  ip_range: string;
  subnets: { ip_range: string; gateway: string; network_zone: string }[];
  routes: { destination: string; gateway: string }[];
  servers: number[];
  protection: { delete: boolean };
}

interface FirewallBody extends Named {
  rules: { port: string | null; source_ips: string[] }[];
  applied_to: {
    type: string;
    server?: { id: number };
    applied_to_resources?: { server: { id: number } }[];
  }[];
}

interface PrimaryIpBody extends Named {
  ip: string;
  type: string;
  assignee_id: number | null;
  assignee_type: string;
  auto_delete: boolean;
  protection: { delete: boolean };
  dns_ptr: { ip: string; dns_ptr: string }[];
  location: { name: string };
}

interface VolumeBody extends Named {
  server: number | null;
  status: string;
  size: number;
  protection: { delete: boolean };
}

interface ServerTypeBody {
  id: number;
  name: string;
  architecture: string;
  prices: { location: string; price_monthly: { net: string; gross: string } }[];
  locations: { name: string; available: boolean; recommended: boolean }[];
}

/** What answers hold; each answer has only some of it. */
export interface Body {
  error: { code: string; message: string; details: unknown };
  meta: {
    pagination: {
      page: number;
      per_page: number;
      previous_page: number | null;
      next_page: number | null;
      last_page: number;
      total_entries: number;
    };
  };
  action: ActionBody;
  actions: ActionBody[];
  next_actions: ActionBody[];
  root_password: string | null;
  server: ServerBody;
  servers: ServerBody[];
  network: NetworkBody;
  networks: NetworkBody[];
  firewall: FirewallBody;
  firewalls: FirewallBody[];
  primary_ip: PrimaryIpBody;
  primary_ips: PrimaryIpBody[];
  volume: VolumeBody;
  volumes: VolumeBody[];
  ssh_key: Named & { fingerprint: string; public_key: string };
  ssh_keys: Named[];
  placement_group: Named & { servers: number[]; type: string };
  placement_groups: Named[];
  server_type: ServerTypeBody;
  server_types: ServerTypeBody[];
  image: { id: number; name: string; architecture: string };
  images: { id: number; name: string; architecture: string }[];
  location: { name: string; network_zone: string };
  locations: { name: string; network_zone: string }[];
  isos: unknown[];
  pricing: {
    currency: string;
    server_types: { name: string; prices: { price_monthly: { net: string } }[] }[];
    primary_ips: { type: string }[];
  };
}

export interface Answer {
  status: number;
  headers: Headers;
  body: Body;
}

/** A Hetzner API on fake hosts, and a client for it. */
export class Cloud {
  readonly traffic = new Traffic();
  readonly hosts = new FakeHosts();
  readonly hetzner;

  constructor(options: Partial<HetznerOptions> = {}) {
    this.hetzner = createHetzner({
      traffic: this.traffic,
      hosts: this.hosts,
      actionMs: 1,
      ...options,
    });
  }

  async request(
    method: string,
    path: string,
    options: { body?: string; token?: string } = {},
  ): Promise<Answer> {
    const headers = new Headers();
    const token = options.token ?? this.hetzner.token;
    if (token !== "") headers.set("authorization", `Bearer ${token}`);
    if (options.body !== undefined) headers.set("content-type", "application/json");
    const response = await this.hetzner.fetch(
      new Request(`http://localhost/v1${path}`, {
        method,
        headers,
        ...(options.body === undefined ? {} : { body: options.body }),
      }),
    );
    const text = await response.text();
    const body = (text === "" ? {} : JSON.parse(text)) as Body;
    return { status: response.status, headers: response.headers, body };
  }

  get(path: string): Promise<Answer> {
    return this.request("GET", path);
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.request("POST", path, body === undefined ? {} : { body: JSON.stringify(body) });
  }

  put(path: string, body: unknown): Promise<Answer> {
    return this.request("PUT", path, { body: JSON.stringify(body) });
  }

  delete(path: string): Promise<Answer> {
    return this.request("DELETE", path);
  }

  /** Waits for actions the way Hetzner's client does; how they ended. */
  async ended(...actions: ActionBody[]): Promise<ActionBody[]> {
    const query = actions.map((action) => `id=${action.id}`).join("&");
    const deadline = Date.now() + 5000;
    for (;;) {
      const { body } = await this.get(`/actions?${query}&page=1&sort=status&sort=id`);
      assert.equal(body.actions.length, actions.length);
      if (body.actions.every((action) => action.status !== "running")) return body.actions;
      assert.ok(Date.now() < deadline, "an action has not ended within 5 s");
      await sleep(2);
    }
  }

  /** Expects the status, waits for the answer's actions, expects them to succeed. */
  async done(answer: Promise<Answer>, status = 201): Promise<Body> {
    const { status: got, body } = await answer;
    assert.equal(got, status, JSON.stringify(body));
    const actions = [body.action, ...(body.actions ?? []), ...(body.next_actions ?? [])].filter(
      (action) => action,
    );
    if (actions.length > 0)
      for (const action of await this.ended(...actions))
        assert.equal(action.error, null, `${action.command} failed`);
    return body;
  }

  async server(fields: Record<string, unknown> = {}): Promise<ServerBody> {
    const name = `server-${this.hetzner.state.servers.size + 1}`;
    const request = { name, server_type: "cax11", image: "debian-13", location: "nbg1", ...fields };
    const { server } = await this.done(this.post("/servers", request));
    return this.readServer(server.id);
  }

  async readServer(id: number): Promise<ServerBody> {
    return (await this.get(`/servers/${id}`)).body.server;
  }

  /** Waits until the server has this status. */
  async reaches(id: number, status: string): Promise<void> {
    const deadline = Date.now() + 5000;
    while ((await this.readServer(id)).status !== status) {
      assert.ok(Date.now() < deadline, `server ${id} is not ${status} within 5 s`);
      await sleep(2);
    }
  }

  act(server: ServerBody, action: string, body?: unknown): Promise<Answer> {
    return this.post(`/servers/${server.id}/actions/${action}`, body);
  }

  async off(fields: Record<string, unknown> = {}): Promise<ServerBody> {
    return this.server({ ...fields, start_after_create: false });
  }

  async network(subnet = "10.0.1.0/24", zone = "eu-central"): Promise<number> {
    const { body } = await this.post("/networks", {
      name: `network-${this.hetzner.state.networks.size + 1}`,
      ip_range: "10.0.0.0/16",
      subnets: [{ type: "cloud", ip_range: subnet, network_zone: zone }],
    });
    return body.network.id;
  }

  /** Expects a refusal with this status and code. */
  async refused(answer: Promise<Answer>, status: number, code: string): Promise<Body["error"]> {
    const { status: got, headers, body } = await answer;
    assert.deepEqual([got, body.error?.code], [status, code], JSON.stringify(body));
    assert.match(headers.get("content-type") ?? "", /^application\/json/);
    return body.error;
  }
}

/** An authorized_keys line of a new ed25519 key. */
export function publicKeyLine(comment = "test"): string {
  const { publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const field = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const blob = Buffer.concat([field(Buffer.from("ssh-ed25519")), field(raw)]);
  return `ssh-ed25519 ${blob.toString("base64")} ${comment}`;
}
