import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, openSync, closeSync } from "node:fs";
import { appendFile, link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cgroupRoot, PROPAGATION, removeCgroup, type Instance } from "./instance";
import { capture, removeFolder, run, until, type RunOptions } from "./run";
import type { ExecResult, HostSize } from "./types";

// Signals by which an init process takes its orders (SIGRTMIN+4 and SIGRTMIN+5 of systemd(1)).
const SIGNAL_POWER_OFF = 38;
const SIGNAL_REBOOT = 39;
/** How nspawn says that the system inside asked for a reboot. */
const EXIT_REBOOT = 133;

const ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  LANG: "C.UTF-8",
};

/** A network interface of a machine; it is there again after each start. */
export interface Interface {
  readonly name: string;
  /** Bridge on this machine that it is plugged into. */
  readonly bridge: string;
  readonly macAddress: string;
  /** With prefix length. */
  readonly address: string;
  readonly mtu: number;
  readonly routes: readonly (readonly string[])[];
}

export interface MachineOptions {
  readonly instance: Instance;
  /** Unique within the instance; short, since it goes into interface names. */
  readonly ordinal: number;
  readonly folder: string;
  /** Read-only root file system below the machine's own; several folders, the topmost first, with colons in between. */
  readonly lower: string;
}

/** A system booted in a container: its disk, its network namespace, its processes. */
export class Machine {
  readonly interfaces: Interface[] = [];
  /** The disk as the system sees it; mounted from `mount` to `remove`. */
  readonly root: string;
  /** /var/lib/docker: a plain folder, because Docker cannot stack its overlays on an overlay. */
  readonly docker: string;
  size: HostSize | undefined;
  private readonly name: string;
  private readonly cgroup: string;
  private leader: number | undefined;
  /** Whether the nspawn process that watches over the system is there. */
  private supervised = false;
  private ended: Promise<void> = Promise.resolve();
  /** The start that follows a reboot asked for from inside; undefined when none is under way. */
  private restarting: Promise<void> | undefined;
  private wanted = false;
  /** How often an interface was plugged in: names its end on this machine, which may outlast its network namespace for a moment. */
  private plugged = 0;

  constructor(private readonly options: MachineOptions) {
    const { instance, ordinal, folder } = options;
    this.name = `${instance.name}-${ordinal}`;
    this.root = join(folder, "root");
    this.docker = join(folder, "docker");
    const cgroups = cgroupRoot();
    if (cgroups === undefined) throw new Error("this machine has no v2 control groups");
    this.cgroup = join(cgroups, this.name);
  }

  /** Whether processes can be reached: false for the moment between going down and coming up in a reboot. */
  get running(): boolean {
    return this.leader !== undefined;
  }

  /** Whether the power is on. */
  get on(): boolean {
    return this.running || this.restarting !== undefined;
  }

  /** Lays out an empty disk over the root file system. */
  async mount(): Promise<void> {
    const { folder, lower } = this.options;
    const [upper, work] = [join(folder, "upper"), join(folder, "work")];
    for (const path of [upper, work, this.root, this.docker])
      await mkdir(path, { recursive: true });
    // Volatile: what a machine writes need not survive a crash of this one, so nothing waits for the disk.
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work},volatile`;
    await run("mount", ["-t", "overlay", "overlay", "-o", layers, this.root]);
    await writeFile(join(this.root, "etc/machine-id"), `${randomBytes(16).toString("hex")}\n`);
  }

  /** For a system that no one configures. */
  async disableCloudInit(): Promise<void> {
    await writeFile(join(this.root, "etc/cloud/cloud-init.disabled"), "");
  }

  /** Makes a file of this machine's appear inside, at the top of Docker's folder: a link, not a copy. */
  async linkIntoDocker(file: string, name: string): Promise<void> {
    await link(file, join(this.docker, name));
  }

  /** Removes the disk. */
  async unmount(): Promise<void> {
    if ((await capture("mountpoint", ["-q", this.root])).code === 0) {
      const unmounted = await until(
        async () => (await capture("umount", [this.root])).code === 0,
        5000,
        50,
      );
      if (!unmounted) throw new Error(`the disk of ${this.name} is busy and cannot be unmounted`);
    }
    await removeFolder(this.options.folder);
  }

  /** Starts the system; resolves when its init process runs. */
  async start(): Promise<void> {
    if (this.on) return;
    this.wanted = true;
    await this.boot();
  }

  private async boot(): Promise<void> {
    await this.clear();
    await run("ip", ["netns", "add", this.name]);
    await this.inNamespace(["link", "set", "lo", "up"]);
    for (const card of this.interfaces) await this.plug(card);
    await mkdir(this.cgroup, { recursive: true });
    await this.limit();

    const log = openSync(join(this.options.folder, "console.log"), "a", 0o600);
    // The shell moves itself into the control group first, so that all of the system is in it from the start; the
    // parent's death signal keeps a system from outliving a local cloud that was killed.
    const script = 'echo $$ > "$0/cgroup.procs" && exec setpriv --pdeathsig KILL "$@"';
    const child = spawn("sh", ["-c", script, this.cgroup, "systemd-nspawn", ...this.arguments()], {
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env.PATH,
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1",
        SYSTEMD_NSPAWN_API_VFS_WRITABLE: "1",
      },
    });
    closeSync(log);
    this.supervised = true;
    let failure = "";
    this.ended = new Promise<void>((resolve) => {
      child.on("error", (error) => {
        failure = error.message;
        this.supervised = false;
        resolve();
      });
      child.on("exit", (code) => {
        this.supervised = false;
        this.leader = undefined;
        resolve();
        if (code === EXIT_REBOOT && this.wanted) this.restart();
      });
    });
    const pid = child.pid;
    const up = await until(async () => {
      if (pid === undefined || !this.supervised) return true;
      const found = await initProcess(pid);
      if (this.supervised) this.leader = found;
      return this.running;
    }, 15_000);
    if (!up || this.leader === undefined) {
      await this.halt();
      const log = await this.readConsole();
      const said = failure || log.trim().split("\n").slice(-2).join("; ");
      throw new Error(`the system ${this.name} does not start: ${said}`);
    }
  }

  /** The system asked for a reboot: all of it starts again, its network included. */
  private restart(): void {
    this.restarting = this.boot()
      .catch((error: unknown) =>
        appendFile(join(this.options.folder, "console.log"), `${String(error)}\n`),
      )
      .finally(() => (this.restarting = undefined));
  }

  private arguments(): string[] {
    return [
      "--quiet",
      `--directory=${this.root}`,
      "--boot",
      "--register=no",
      "--keep-unit",
      `--machine=${this.name}`,
      `--network-namespace-path=/run/netns/${this.name}`,
      `--bind=${this.docker}:/var/lib/docker`,
      "--capability=all",
      "--system-call-filter=add_key keyctl bpf",
      "--resolv-conf=off",
      "--timezone=off",
      "--link-journal=no",
      "--console=pipe",
      "systemd.show_status=yes",
    ];
  }

  /** Sets what the machine's control groups can enforce; where a controller is missing, nothing is. */
  private async limit(): Promise<void> {
    if (this.size === undefined) return;
    const limits = {
      "cpu.max": `${this.size.cores * 100_000} 100000`,
      "memory.max": String(this.size.memoryGb * 2 ** 30),
    };
    for (const [file, value] of Object.entries(limits)) {
      const path = join(this.cgroup, file);
      if (existsSync(path)) await writeFile(path, value);
    }
  }

  /** Adds an interface, at once if the system runs. */
  async addInterface(card: Interface): Promise<void> {
    this.interfaces.push(card);
    if (this.running) await this.plug(card);
  }

  async removeInterface(name: string): Promise<void> {
    const index = this.interfaces.findIndex((card) => card.name === name);
    if (index < 0) return;
    this.interfaces.splice(index, 1);
    if (this.running) await this.inNamespace(["link", "del", name]);
  }

  private async plug(card: Interface): Promise<void> {
    const { instance, ordinal } = this.options;
    const outer = `${instance.name}-${ordinal}v${this.plugged++}`;
    const peer = ["peer", "name", card.name, "address", card.macAddress, "netns", this.name];
    await run("ip", ["link", "add", outer, "type", "veth", ...peer]);
    await run("ip", ["link", "set", outer, "master", card.bridge, "up"]);
    await this.inNamespace(["address", "add", card.address, "dev", card.name]);
    await this.inNamespace(["link", "set", card.name, "mtu", String(card.mtu), "up"]);
    for (const route of card.routes) {
      await this.inNamespace(["route", "add", ...route, "dev", card.name]);
    }
  }

  private inNamespace(args: readonly string[]): Promise<string> {
    return run("ip", ["-n", this.name, ...args]);
  }

  /** Asks the system to shut down, which takes as long as its services want. */
  async pressPowerButton(): Promise<void> {
    await this.restarting;
    if (this.leader === undefined) return;
    // If it was about to reboot, it goes down and stays so.
    this.wanted = false;
    process.kill(this.leader, SIGNAL_POWER_OFF);
  }

  /** Waits for the power to be off; false when it is not within the time. */
  async powersOff(timeoutMs: number): Promise<boolean> {
    const off = await until(() => !this.on, timeoutMs);
    // A system that ignored the button may reboot later on.
    if (!off) this.wanted = true;
    return off;
  }

  /** Asks the system to reboot, which takes as long as its services want. Answers when it has started again; false when it has not within the time. */
  async reboot(timeoutMs: number): Promise<boolean> {
    const before = this.leader;
    if (before === undefined) return true;
    process.kill(before, SIGNAL_REBOOT);
    const again = () => !this.on || (this.leader !== undefined && this.leader !== before);
    return until(again, timeoutMs, 50);
  }

  /** Ends all processes at once. */
  async stop(): Promise<void> {
    this.wanted = false;
    await this.restarting;
    await this.halt();
  }

  private async halt(): Promise<void> {
    if (this.leader !== undefined) {
      try {
        // The end of the first process of a pid namespace is the end of all of them.
        process.kill(this.leader, "SIGKILL");
      } catch {
        // It has just ended by itself.
      }
    }
    // Left to itself nspawn tidies up; what does not end is killed with its control group.
    await until(() => !this.supervised, 3000);
    await removeCgroup(this.cgroup);
    await this.ended;
    await this.clear();
  }

  private async clear(): Promise<void> {
    await removeCgroup(this.cgroup);
    await rm(join(PROPAGATION, this.name), { recursive: true, force: true });
    if (existsSync(`/run/netns/${this.name}`)) await capture("ip", ["netns", "del", this.name]);
  }

  async exec(argv: readonly string[], options: RunOptions): Promise<ExecResult> {
    return capture("nsenter", this.entering(argv), {
      cwd: "/",
      ...options,
      env: ENVIRONMENT,
    });
  }

  /** Starts a program inside as root, with its input and output; what ends it here does not end it there. */
  spawn(argv: readonly string[]): ChildProcessWithoutNullStreams {
    return spawn("nsenter", this.entering(argv), {
      cwd: "/",
      env: ENVIRONMENT,
      stdio: ["pipe", "pipe", "pipe"],
      // Ctrl-C at a terminal is for whoever started it, who ends it in order.
      detached: true,
    });
  }

  private entering(argv: readonly string[]): string[] {
    if (this.leader === undefined) throw new Error(`the system ${this.name} does not run`);
    return ["--target", String(this.leader), "--all", "--", ...argv];
  }

  /** What the system wrote to its console, then its journal. */
  async console(): Promise<string> {
    const command = ["journalctl", "--no-pager", "--output=short-monotonic", "--lines=2000"];
    const journal = this.running
      ? await this.exec(command, {})
      : await capture("chroot", [this.root, ...command, "--directory=/var/log/journal"]);
    return `${await this.readConsole()}\n${journal.stdout}`;
  }

  private readConsole(): Promise<string> {
    return readFile(join(this.options.folder, "console.log"), "utf8").catch(() => "");
  }
}

/** The child of nspawn that is process 1 of its own namespace, once it has become init. */
async function initProcess(parent: number): Promise<number | undefined> {
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = await readFile(`/proc/${entry}/stat`, "utf8");
      const parentPid = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
      if (parentPid !== String(parent)) continue;
      const name = (await readFile(`/proc/${entry}/comm`, "utf8")).trim();
      if (name === "systemd" || name === "init") return Number(entry);
    } catch {
      // The process ended while we looked.
    }
  }
  return undefined;
}
