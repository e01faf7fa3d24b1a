import type {
  ExecResult,
  HostBackend,
  HostSpec,
  NetworkAttachment,
} from "../../../local-cloud/hosts/types";

interface FakeHost {
  readonly spec: HostSpec;
  status: "running" | "off";
  dead: boolean;
  networks: NetworkAttachment[];
}

/** Hosts that exist in memory only. Every call is kept; the next call of a method can be held or made to fail. */
export class FakeHosts implements HostBackend {
  readonly kind = "thin";
  readonly gateway = "127.0.0.1";
  readonly calls: string[] = [];
  readonly hosts = new Map<number, FakeHost>();
  readonly addresses = new Set<string>();
  /** A system that ignores the power button. */
  ignoresShutdown = false;
  private readonly failures = new Map<string, string>();
  private readonly held = new Map<string, Promise<void>>();
  private lastAddress = 0;

  fail(method: string, message: string): void {
    this.failures.set(method, message);
  }

  /** The next call of a method waits until the returned function is called. */
  hold(method: string): () => void {
    let release = () => {};
    this.held.set(method, new Promise((resolve) => (release = resolve)));
    return release;
  }

  private async call(method: string, id: number): Promise<void> {
    this.calls.push(`${method} ${id}`);
    const gate = this.held.get(method);
    this.held.delete(method);
    await gate;
    const failure = this.failures.get(method);
    this.failures.delete(method);
    if (failure !== undefined) throw new Error(failure);
  }

  host(id: number): FakeHost {
    const host = this.hosts.get(id);
    if (!host) throw new Error(`no host ${id}`);
    return host;
  }

  reserveAddress(): string {
    const address = `127.1.0.${++this.lastAddress}`;
    this.addresses.add(address);
    return address;
  }

  releaseAddress(address: string): void {
    if (!this.addresses.delete(address)) throw new Error(`${address} is not reserved`);
  }

  async create(spec: HostSpec): Promise<void> {
    await this.call("create", spec.id);
    if (this.hosts.has(spec.id)) throw new Error(`host ${spec.id} exists`);
    this.hosts.set(spec.id, { spec, status: "off", dead: false, networks: [] });
  }

  async powerOn(id: number): Promise<void> {
    await this.call("powerOn", id);
    this.host(id).status = "running";
  }

  async shutdown(id: number): Promise<void> {
    await this.call("shutdown", id);
    if (this.ignoresShutdown || this.host(id).dead) throw new Error("the system did not shut down");
    this.host(id).status = "off";
  }

  async powerOff(id: number): Promise<void> {
    await this.call("powerOff", id);
    Object.assign(this.host(id), { status: "off", dead: false });
  }

  async reboot(id: number): Promise<void> {
    await this.call("reboot", id);
  }

  async resize(id: number, size: { cores: number; memoryGb: number }): Promise<void> {
    await this.call(`resize ${size.cores}x${size.memoryGb}`, id);
  }

  async rebuild(id: number): Promise<void> {
    await this.call("rebuild", id);
  }

  async attachNetwork(id: number, attachment: NetworkAttachment): Promise<void> {
    await this.call("attachNetwork", id);
    this.host(id).networks.push(attachment);
  }

  async detachNetwork(id: number, networkId: number): Promise<void> {
    await this.call("detachNetwork", id);
    const host = this.host(id);
    host.networks = host.networks.filter((entry) => entry.networkId !== networkId);
  }

  async kill(id: number): Promise<void> {
    await this.call("kill", id);
    this.host(id).dead = true;
  }

  async delete(id: number): Promise<void> {
    await this.call("delete", id);
    this.hosts.delete(id);
  }

  status(id: number): "running" | "off" | "absent" {
    return this.hosts.get(id)?.status ?? "absent";
  }

  exec(): Promise<ExecResult> {
    return Promise.reject(new Error("a fake host runs nothing"));
  }

  console(): Promise<string> {
    return Promise.resolve("");
  }

  close(): Promise<void> {
    this.hosts.clear();
    return Promise.resolve();
  }
}
