import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openGateway } from "./gateway";
import {
  claimInstance,
  createBridge,
  deleteBridge,
  releaseInstance,
  subnetOf,
  type Instance,
  macAddressFor,
} from "./instance";
import { Machine, type Interface } from "./machine";
import { instancesFolder, type HostImages } from "./prepare";
import { limiter, run } from "./run";
import type {
  ExecResult,
  GatewayServices,
  HostBackend,
  HostSize,
  HostSpec,
  NetworkAttachment,
} from "./types";

export interface BootedHostsOptions {
  readonly images: HostImages;
  readonly services: GatewayServices;
  /** Where hosts' disks are kept; on the same file system as the cache. Default: beside the cache. */
  readonly dir?: string;
}

const SHUTDOWN_TIMEOUT_MS = 30_000;
/** Laying out disks and starting systems is bound by disk and processors: more at once are not faster. */
const AT_ONCE = 4;
/** Names that private interfaces get on servers at Hetzner, in the order of attachment. */
const PRIVATE_INTERFACES = ["enp7s0", "enp8s0", "enp9s0"];
const PRIVATE_MTU = 1450;
const [FIRST_ADDRESS, LAST_ADDRESS] = [10, 250];

interface Host {
  spec: HostSpec;
  readonly ordinal: number;
  readonly machine: Machine;
  readonly attachments: {
    readonly attachment: NetworkAttachment;
    readonly card: string;
  }[];
  /** Frozen by the fault `kill`: its processes are gone, but its power counts as on. */
  dead: boolean;
  /** Operations on one host run one after another. */
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>;
}

/**
 * Hosts as systems booted in containers, with a gateway of their own. Several backends, in one process or many, do not meet.
 * Rejects when the machine lacks something; ask `missingCapability` first.
 */
export async function createBootedHosts(options: BootedHostsOptions): Promise<BootedHosts> {
  const instance = await claimInstance(options.dir ?? instancesFolder());
  const hosts = new BootedHosts(options.images, instance);
  try {
    await hosts.open(options.services);
  } catch (error) {
    await releaseInstance(instance);
    throw error;
  }
  return hosts;
}

/** A machine that is no server of the API's, on the same network as these. */
export interface Guest {
  readonly machine: Machine;
  /** Ends what runs and removes the disk. Harmless when already gone. */
  discard(): Promise<void>;
}

/** As `createBootedHosts` makes it. */
export class BootedHosts implements HostBackend {
  readonly kind = "booted";
  private readonly hosts = new Map<number, Host>();
  private readonly guests = new Set<Guest>();
  private readonly reserved = new Set<string>();
  private readonly privateBridges = new Map<number, { bridge: string; users: number }>();
  private readonly bounded = limiter(AT_ONCE);
  private readonly bridging = limiter(1);
  private nextOrdinal = 1;
  private nextBridge = 0;
  private closing = false;
  private closeGateway: () => Promise<void> = () => Promise.resolve();

  constructor(
    private readonly images: HostImages,
    private readonly instance: Instance,
  ) {}

  get gateway(): string {
    return this.instance.gateway;
  }

  async open(services: GatewayServices): Promise<void> {
    const gateway = await openGateway(this.instance, this.images.authority, services, (address) =>
      this.hostAt(address),
    );
    this.closeGateway = () => gateway.close();
  }

  reserveAddress(): string {
    for (let last = FIRST_ADDRESS; last <= LAST_ADDRESS; last++) {
      const address = `${subnetOf(this.instance.index)}.${last}`;
      if (this.reserved.has(address)) continue;
      this.reserved.add(address);
      return address;
    }
    throw new Error(`no public address is free: ${this.reserved.size} are in use`);
  }

  releaseAddress(address: string): void {
    this.reserved.delete(address);
  }

  async create(spec: HostSpec): Promise<void> {
    if (this.closing)
      throw new Error("no host can be made any more: all of them are being removed");
    if (this.hosts.has(spec.id)) throw new Error(`host ${spec.id} exists already`);
    if (!this.reserved.has(spec.ipv4)) {
      throw new Error(`host ${spec.id} has address ${spec.ipv4}, expected one from reserveAddress`);
    }
    const ordinal = this.nextOrdinal++;
    const { instance, images } = this;
    const folder = join(instance.folder, String(spec.id));
    const machine = new Machine({
      instance,
      ordinal,
      folder,
      lower: images.root,
    });
    const host: Host = {
      spec,
      ordinal,
      machine,
      attachments: [],
      dead: false,
      inTurn: limiter(1),
    };
    this.hosts.set(spec.id, host);
    machine.size = spec;
    await machine.addInterface(this.publicInterface(spec.ipv4));
    try {
      await host.inTurn(() => this.bounded(() => this.layOut(host)));
    } catch (error) {
      await this.delete(spec.id);
      throw error;
    }
  }

  /** A machine that runs, from the given root file system, with Docker's images. It goes with this backend at the latest. */
  async guest(lower: string): Promise<Guest> {
    if (this.closing)
      throw new Error("no machine can be made any more: all of them are being removed");
    const { instance } = this;
    const ordinal = this.nextOrdinal++;
    const ipv4 = this.reserveAddress();
    const folder = join(instance.folder, `guest-${ordinal}`);
    const machine = new Machine({ instance, ordinal, folder, lower });
    const discard = async (): Promise<void> => {
      if (!this.guests.delete(guest)) return;
      await machine.stop();
      await machine.unmount();
      this.releaseAddress(ipv4);
    };
    const guest: Guest = { machine, discard };
    this.guests.add(guest);
    try {
      await machine.addInterface(this.publicInterface(ipv4));
      await this.bounded(async () => {
        await machine.mount();
        await this.layOutBase(machine);
        await machine.start();
      });
    } catch (error) {
      await discard();
      throw error;
    }
    return guest;
  }

  powerOn(id: number): Promise<void> {
    const host = this.find(id);
    return host.inTurn(() => this.bounded(() => host.machine.start()));
  }

  async shutdown(id: number, timeoutMs = SHUTDOWN_TIMEOUT_MS): Promise<void> {
    const host = this.find(id);
    await host.inTurn(async () => {
      if (!host.dead) await host.machine.pressPowerButton();
    });
    // Out of turn: who cuts the power meanwhile does not wait for a system that takes its time.
    if (host.dead || !(await host.machine.powersOff(timeoutMs))) {
      throw new Error(`host ${id} has not shut down within ${timeoutMs / 1000} s`);
    }
  }

  powerOff(id: number): Promise<void> {
    const host = this.find(id);
    return host.inTurn(async () => {
      host.dead = false;
      await host.machine.stop();
    });
  }

  async reboot(id: number): Promise<void> {
    const host = this.find(id);
    // A system that is dead does not hear the button; one that takes its time reboots later.
    if (!host.dead) await host.machine.reboot(SHUTDOWN_TIMEOUT_MS);
  }

  resize(id: number, size: HostSize): Promise<void> {
    const host = this.find(id);
    return host.inTurn(() => {
      this.requireOff(host);
      host.spec = { ...host.spec, cores: size.cores, memoryGb: size.memoryGb };
      host.machine.size = size;
      return Promise.resolve();
    });
  }

  rebuild(id: number): Promise<void> {
    const host = this.find(id);
    return host.inTurn(async () => {
      this.requireOff(host);
      await host.machine.unmount();
      await this.bounded(() => this.layOut(host));
    });
  }

  attachNetwork(id: number, attachment: NetworkAttachment): Promise<void> {
    const host = this.find(id);
    return host.inTurn(async () => {
      const { networkId, ip, ipRange, macAddress } = attachment;
      const name = PRIVATE_INTERFACES.find(
        (name) => !host.attachments.some(({ card }) => card === name),
      );
      if (name === undefined) {
        throw new Error(
          `host ${id} has ${PRIVATE_INTERFACES.length} private networks already, the most there can be`,
        );
      }
      if (host.attachments.some((other) => other.attachment.networkId === networkId)) {
        throw new Error(`host ${id} is attached to network ${networkId} already`);
      }
      const bridge = await this.useBridge(networkId);
      host.attachments.push({ attachment, card: name });
      await host.machine.addInterface({
        name,
        bridge,
        macAddress,
        address: `${ip}/32`,
        mtu: PRIVATE_MTU,
        routes: [[ipRange, "scope", "link", "src", ip]],
      });
    });
  }

  detachNetwork(id: number, networkId: number): Promise<void> {
    const host = this.find(id);
    return host.inTurn(() => this.detach(host, networkId));
  }

  private async detach(host: Host, networkId: number): Promise<void> {
    const index = host.attachments.findIndex(
      ({ attachment }) => attachment.networkId === networkId,
    );
    const attached = host.attachments[index];
    if (attached === undefined) return;
    host.attachments.splice(index, 1);
    await host.machine.removeInterface(attached.card);
    await this.leaveBridge(networkId);
  }

  kill(id: number): Promise<void> {
    const host = this.find(id);
    return host.inTurn(async () => {
      if (!host.machine.on) throw new Error(`host ${id} is off and cannot die`);
      host.dead = true;
      await host.machine.stop();
    });
  }

  async delete(id: number): Promise<void> {
    const host = this.hosts.get(id);
    if (host === undefined) return;
    await host.inTurn(async () => {
      await host.machine.stop();
      for (const { attachment } of [...host.attachments]) {
        await this.detach(host, attachment.networkId);
      }
      await host.machine.unmount();
      this.hosts.delete(id);
    });
  }

  status(id: number): "running" | "off" | "absent" {
    const host = this.hosts.get(id);
    if (host === undefined) return "absent";
    return host.dead || host.machine.on ? "running" : "off";
  }

  exec(
    id: number,
    argv: readonly string[],
    options: { stdin?: string; timeoutMs?: number } = {},
  ): Promise<ExecResult> {
    return this.find(id).machine.exec(argv, options);
  }

  console(id: number): Promise<string> {
    return this.find(id).machine.console();
  }

  async close(): Promise<void> {
    this.closing = true;
    try {
      await this.closeGateway();
      // One that cannot be removed keeps none of the others.
      const ended = await Promise.allSettled([
        ...[...this.hosts.keys()].map((id) => this.delete(id)),
        ...[...this.guests].map((guest) => guest.discard()),
      ]);
      const failed = ended.find((one) => one.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    } finally {
      await releaseInstance(this.instance);
    }
  }

  private find(id: number): Host {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`there is no host ${id}`);
    return host;
  }

  private requireOff({ spec, machine, dead }: Host): void {
    if (machine.on || dead) throw new Error(`host ${spec.id} is on, expected it to be off`);
  }

  private hostAt(address: string): number | null {
    for (const { spec } of this.hosts.values()) if (spec.ipv4 === address) return spec.id;
    return null;
  }

  /** A new disk: the template's files, Docker's folder with its images, and what cloud-init is to do. */
  private async layOut({ spec, machine }: Host): Promise<void> {
    await machine.mount();
    await this.layOutBase(machine);
    const { root } = machine;
    const seed = join(root, "var/lib/cloud/seed/nocloud");
    await mkdir(seed, { recursive: true });
    const metadata = {
      // A new disk is a new instance to cloud-init.
      "instance-id": `${spec.id}-${randomBytes(4).toString("hex")}`,
      "local-hostname": spec.name,
      "public-keys": spec.publicKeys,
    };
    // JSON is YAML.
    await writeFile(join(seed, "meta-data"), JSON.stringify(metadata));
    await writeFile(join(seed, "user-data"), spec.userData, { mode: 0o600 });
    // The disk is this machine's, whose fullness is none of the fleet's business.
    const guard = ["PRUNE_BELOW", "DRAIN_BELOW", "KILL_BELOW", "RESUME_ABOVE"];
    await mkdir(join(root, "etc/runner-fleet"), { recursive: true });
    await writeFile(
      join(root, "etc/runner-fleet/guard.env"),
      guard.map((name) => `GUARD_${name}=0\n`).join(""),
    );
  }

  private async layOutBase({ root, docker }: Machine): Promise<void> {
    // Layers of images are written once and then only read, so a link serves; what Docker keeps about them is written in place.
    await run("cp", ["-al", join(this.images.docker, "overlay2"), docker], {
      timeoutMs: 120_000,
    });
    await run("cp", ["-a", join(this.images.docker, "image"), docker]);
    await rm(join(root, "etc/resolv.conf"), { force: true });
    await writeFile(join(root, "etc/resolv.conf"), `nameserver ${this.gateway}\n`);
  }

  private publicInterface(ipv4: string): Interface {
    return {
      name: "eth0",
      bridge: this.instance.publicBridge,
      // Of the address, not of the server: whoever knew the last server at it finds the next one at once.
      macAddress: macAddressFor(ipv4),
      address: `${ipv4}/24`,
      mtu: 1500,
      routes: [["default", "via", this.instance.gateway]],
    };
  }

  private useBridge(networkId: number): Promise<string> {
    return this.bridging(async () => {
      let entry = this.privateBridges.get(networkId);
      if (entry === undefined) {
        entry = {
          bridge: `${this.instance.name}-p${this.nextBridge++}`,
          users: 0,
        };
        await createBridge(this.instance, entry.bridge);
        this.privateBridges.set(networkId, entry);
      }
      entry.users++;
      return entry.bridge;
    });
  }

  private leaveBridge(networkId: number): Promise<void> {
    return this.bridging(async () => {
      const entry = this.privateBridges.get(networkId);
      if (entry === undefined || --entry.users > 0) return;
      this.privateBridges.delete(networkId);
      await deleteBridge(this.instance, entry.bridge);
    });
  }
}
