import type { IncomingMessage, ServerResponse } from "node:http";

/** What a server of the local cloud runs on. The Hetzner side decides when; a backend does it. */
export interface HostBackend {
  /** "booted": real systems in containers; "thin": SSH and runner agents in this process. */
  readonly kind: "booted" | "thin";
  /** Where hosts reach this machine: the address that GitHub, the registry and the metadata service answer on. */
  readonly gateway: string;
  /** A free public IPv4 address, reserved until `releaseAddress`. Dialable from this machine. */
  reserveAddress(): string;
  releaseAddress(address: string): void;
  /** Lays out the disk of a host; nothing runs yet. */
  create(spec: HostSpec): Promise<void>;
  /** Starts a host. Resolves when its init process runs, which is before cloud-init is done. */
  powerOn(id: number): Promise<void>;
  /**
   * ACPI power button: resolves when the system has shut down by itself. Rejects when it has not within `timeoutMs`
   * (default 30 s), and goes on shutting down.
   */
  shutdown(id: number, timeoutMs?: number): Promise<void>;
  /** Pulls the plug. */
  powerOff(id: number): Promise<void>;
  /** ACPI reboot: resolves when the system has started again, or after 30 s while it still goes down. */
  reboot(id: number): Promise<void>;
  /** Sets vCPUs and memory for the next start, as far as the machine can enforce them. Host is off. */
  resize(id: number, size: HostSize): Promise<void>;
  /** New disk from the same spec, user_data included: host is off. */
  rebuild(id: number): Promise<void>;
  /** Adds the private interface, also while the host runs; kept over reboots. */
  attachNetwork(id: number, attachment: NetworkAttachment): Promise<void>;
  detachNetwork(id: number, networkId: number): Promise<void>;
  /** Fault: the host stops answering although the API says it runs. `powerOff`, `powerOn` bring it back. */
  kill(id: number): Promise<void>;
  /** Stops what runs and removes the disk. Harmless when already gone. */
  delete(id: number): Promise<void>;
  status(id: number): "running" | "off" | "absent";
  /** Runs a command in a running host, for tests and diagnosis. */
  exec(
    id: number,
    argv: readonly string[],
    options?: { stdin?: string; timeoutMs?: number },
  ): Promise<ExecResult>;
  /** The host's console: the boot messages and log so far, for diagnosis. */
  console(id: number): Promise<string>;
  /** Deletes every host and everything the backend made on this machine. */
  close(): Promise<void>;
}

export interface HostSize {
  readonly cores: number;
  readonly memoryGb: number;
}

export interface HostSpec extends HostSize {
  /** Server id at Hetzner, also the instance id. */
  readonly id: number;
  readonly name: string;
  readonly ipv4: string;
  /** As the API got it; applied by cloud-init at first boot. */
  readonly userData: string;
  /** authorized_keys lines for root. */
  readonly publicKeys: readonly string[];
  readonly location: string;
}

export interface NetworkAttachment {
  readonly networkId: number;
  /** Whole network, CIDR. */
  readonly ipRange: string;
  readonly ip: string;
  readonly macAddress: string;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What hosts find at the gateway. Names resolve there by DNS, over TLS with the local cloud's own CA, which images and hosts trust. */
export interface GatewayServices {
  /** Host names that resolve to the gateway and are served by `handler`, e.g. api.github.com, github.com. */
  readonly names: readonly string[];
  /** Web-standard handler behind https://<name>/ and http://<name>/; the Host header tells which. */
  readonly handler: (request: Request) => Promise<Response> | Response;
  /** Sites beside these, each with a listener of its own because of what passes there: bodies too large to hold. */
  readonly sites?: readonly {
    readonly names: readonly string[];
    readonly listener: (request: IncomingMessage, response: ServerResponse) => void;
  }[];
  /** Answers http://169.254.169.254/…; `hostId` is the server that asks (found by its source address), `null` if unknown. */
  readonly metadata: (hostId: number | null, path: string) => { status: number; body: string };
}
