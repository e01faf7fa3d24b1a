import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { platform } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../run";
import type {
  ExecResult,
  GatewayServices,
  HostBackend,
  HostSpec,
  NetworkAttachment,
} from "../types";
import { ThinHost } from "./host";
import { PACE, type Pace } from "./pace";

const LOOPBACK = "127.0.0.1";
const SHUTDOWN_TIMEOUT = 30_000;
/** For how long a host that goes down for a reboot is expected to start again. */
const REBOOT_TIMEOUT = 86_400_000;

/**
 * Hosts for machines on which real systems cannot be booted; needs neither root nor Linux. A host answers SSH with the
 * key and port of its user_data (or configures itself, if that holds all of it), understands the commands that the fleet
 * sends, and runs its token service and runner agents in this process. Jobs are run by this machine's bash. Nothing else of a server exists: no packages, no Docker,
 * no firewall, no metadata address; a command that is not the fleet's ends with code 127.
 */
export function createThinHosts(options: {
  readonly services: GatewayServices;
  /** Default: about that of a real server, boot aside. */
  readonly pace?: Pace;
}): HostBackend {
  return new ThinHosts(options.services, options.pace ?? PACE, freeAddresses());
}

/** Linux answers on all of 127.0.0.0/8; elsewhere an address has to be configured. */
function freeAddresses(): string[] {
  if (platform === "linux") {
    // A block of its own for each instance, by chance; away from 127.0.0.0/16, which systems use.
    const block = `127.${randomInt(64, 255)}.${randomInt(0, 256)}`;
    return Array.from({ length: 253 }, (_, index) => `${block}.${index + 2}`);
  }
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && internal)
    .map(({ address }) => address);
}

class ThinHosts implements HostBackend {
  readonly kind = "thin";
  readonly gateway = LOOPBACK;
  private readonly hosts = new Map<number, ThinHost>();
  private readonly reserved = new Set<string>();

  constructor(
    private readonly services: GatewayServices,
    private readonly pace: Pace,
    private readonly addresses: readonly string[],
  ) {}

  reserveAddress(): string {
    const address = this.addresses.find((one) => !this.reserved.has(one));
    if (address === undefined)
      throw new Error(
        `all ${this.addresses.length} loopback addresses of this machine are in use, expected one for each server (on macOS: sudo ifconfig lo0 alias 127.0.0.2)`,
      );
    this.reserved.add(address);
    return address;
  }

  releaseAddress(address: string): void {
    this.reserved.delete(address);
  }

  create(spec: HostSpec): Promise<void> {
    if (this.hosts.has(spec.id)) return Promise.reject(new Error(`host ${spec.id} exists already`));
    const lookUp = (networks: readonly number[], url: URL): URL | undefined => {
      for (const host of this.hosts.values()) {
        const found = host.published(networks, url);
        if (found !== undefined) return found;
      }
      return undefined;
    };
    this.hosts.set(spec.id, new ThinHost(spec, this.services, this.pace, lookUp));
    return Promise.resolve();
  }

  powerOn(id: number): Promise<void> {
    return this.inTurn(id, (host) => host.powerOn());
  }

  async shutdown(id: number, timeoutMs = SHUTDOWN_TIMEOUT): Promise<void> {
    const host = this.find(id);
    if (host.on && !host.alive) throw new Error(`host ${id} does not hear the power button`);
    host.pressPowerButton();
    if (!(await until(() => !host.on, timeoutMs)))
      throw new Error(`host ${id} has not shut down within ${timeoutMs / 1000} s`);
  }

  powerOff(id: number): Promise<void> {
    return this.inTurn(id, (host) => host.powerOff());
  }

  async reboot(id: number): Promise<void> {
    const host = this.find(id);
    // A system that is off or dead does not hear the button.
    if (!host.alive) return;
    const again = this.shutdown(id, REBOOT_TIMEOUT).then(
      () => (this.hosts.has(id) ? this.powerOn(id) : undefined),
      () => undefined,
    );
    await Promise.race([again, sleep(SHUTDOWN_TIMEOUT, undefined, { ref: false })]);
  }

  /** Nothing to enforce: all hosts share this process. */
  resize(id: number): Promise<void> {
    return this.inTurn(id, requireOff);
  }

  rebuild(id: number): Promise<void> {
    return this.inTurn(id, (host) => {
      requireOff(host);
      host.rebuild();
    });
  }

  attachNetwork(id: number, attachment: NetworkAttachment): Promise<void> {
    return this.inTurn(id, (host) => host.attach(attachment));
  }

  detachNetwork(id: number, networkId: number): Promise<void> {
    return this.inTurn(id, (host) => host.detach(networkId));
  }

  kill(id: number): Promise<void> {
    return this.inTurn(id, (host) => host.die());
  }

  async delete(id: number): Promise<void> {
    if (!this.hosts.has(id)) return;
    await this.inTurn(id, (host) => host.powerOff());
    this.hosts.delete(id);
  }

  status(id: number): "running" | "off" | "absent" {
    const host = this.hosts.get(id);
    return host === undefined ? "absent" : host.on ? "running" : "off";
  }

  exec(
    id: number,
    argv: readonly string[],
    { stdin = "", timeoutMs = 60_000 }: { stdin?: string; timeoutMs?: number } = {},
  ): Promise<ExecResult> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const message = `${argv[0] ?? ""} has not ended within ${timeoutMs} ms`;
      timer = setTimeout(() => reject(new Error(message)), timeoutMs);
    });
    return Promise.race([this.find(id).run(argv, stdin), late]).finally(() => clearTimeout(timer));
  }

  console(id: number): Promise<string> {
    return Promise.resolve(this.find(id).console);
  }

  async close(): Promise<void> {
    await Promise.all([...this.hosts.keys()].map((id) => this.delete(id)));
  }

  private find(id: number): ThinHost {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`there is no host ${id}`);
    return host;
  }

  /** Operations on one host run one after another; an error of theirs is a rejection. */
  private async inTurn(id: number, task: (host: ThinHost) => void | Promise<void>): Promise<void> {
    const host = this.find(id);
    await host.inTurn(async () => {
      await task(host);
    });
  }
}

function requireOff({ on, spec }: ThinHost): void {
  if (on) throw new Error(`host ${spec.id} is on, expected it to be off`);
}
