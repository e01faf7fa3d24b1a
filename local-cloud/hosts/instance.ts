import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { link, mkdir, readdir, readFile, rm, rmdir, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { uninterrupted } from "../core/interruption";
import { capture, removeFolder, run, until } from "./run";

/**
 * What one local cloud owns on this machine: a number that no other has, and by it a range of addresses, bridges, network
 * namespaces, control groups, iptables chains, and a folder. All carry the instance's name, so that what a crashed
 * owner left can be found and removed by the next one to start.
 */
export interface Instance {
  readonly index: number;
  /** Prefix of every name that this instance gives to something on the machine. */
  readonly name: string;
  readonly folder: string;
  /** The machine's own address on the bridge of public addresses. */
  readonly gateway: string;
  readonly publicBridge: string;
}

interface Claim {
  readonly pid: number;
  /** When the owner started, in clock ticks since boot: a pid alone may have been given to another process. */
  readonly startTime: string;
  readonly folder: string;
}

/** Claims live as long as the bridges and mounts that they stand for: until the machine restarts. */
const CLAIMS = "/run/runner-fleet";
/** Where nspawn keeps a folder for each container, which it cannot remove when /run is on a disk. */
export const PROPAGATION = "/run/systemd/nspawn/propagate";
/** 198.18.0.0/15 is set aside for tests of network devices, so it clashes with nothing that routes. */
const SUBNETS = 512;

export function subnetOf(index: number): string {
  return `198.${18 + (index >> 8)}.${index & 255}`;
}

function describe(index: number, folder: string): Instance {
  const name = `rf${index}`;
  return {
    index,
    name,
    folder,
    gateway: `${subnetOf(index)}.1`,
    publicBridge: `${name}-pub`,
  };
}

/** Removes what dead owners left, then claims a free number and lays out its network. */
export async function claimInstance(parent: string): Promise<Instance> {
  await mkdir(CLAIMS, { recursive: true, mode: 0o700 });
  await mkdir(parent, { recursive: true, mode: 0o700 });
  await sweep(parent);
  for (let index = 0; index < SUBNETS; index++) {
    if (await subnetInUse(index)) continue;
    const folder = join(parent, `${process.pid}-${index}`);
    if (!(await createClaim(`${index}.json`, folder))) continue;
    const instance = describe(index, folder);
    try {
      await mkdir(folder, { mode: 0o700 });
      await layOutNetwork(instance);
      return instance;
    } catch (error) {
      await releaseInstance(instance);
      throw error;
    }
  }
  throw new Error(`all ${SUBNETS} address ranges of 198.18.0.0/15 are in use on this machine`);
}

/** Removes everything of the instance, hosts that still run included, then gives its number back. */
export function releaseInstance(instance: Instance): Promise<void> {
  return uninterrupted(async () => {
    await destroy(instance);
    await unlink(join(CLAIMS, `${instance.index}.json`)).catch(() => undefined);
  });
}

async function subnetInUse(index: number): Promise<boolean> {
  const routes = await run("ip", ["-4", "route", "show", "root", `${subnetOf(index)}.0/24`]);
  return routes.trim() !== "";
}

function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The program's name, in parentheses, may hold blanks; the start time is field 22.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function isAlive(claim: Claim): boolean {
  return startTimeOf(claim.pid) === claim.startTime;
}

/** Creates the file with its content in one step, or not at all when it is there. */
async function createClaim(file: string, folder: string): Promise<boolean> {
  const claim: Claim = {
    pid: process.pid,
    startTime: startTimeOf(process.pid) ?? "",
    folder,
  };
  const temporary = join(CLAIMS, `.${randomUUID()}`);
  await writeFile(temporary, JSON.stringify(claim));
  try {
    await link(temporary, join(CLAIMS, file));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await unlink(temporary);
  }
}

async function readClaim(file: string): Promise<Claim | undefined> {
  try {
    return JSON.parse(await readFile(join(CLAIMS, file), "utf8")) as Claim;
  } catch {
    return undefined;
  }
}

async function sweep(parent: string): Promise<void> {
  for (const file of await readdir(CLAIMS)) {
    const index = /^(\d+)\.json$/.exec(file)?.[1];
    const claim = index === undefined ? undefined : await readClaim(file);
    if (index === undefined || claim === undefined || isAlive(claim)) continue;
    // One sweeper at a time, and only if the claim is still the dead one once we are that sweeper.
    const guard = `${index}.sweep`;
    const other = await readClaim(guard);
    if (other && !isAlive(other)) await unlink(join(CLAIMS, guard)).catch(() => undefined);
    if (!(await createClaim(guard, claim.folder))) continue;
    try {
      const current = await readClaim(file);
      if (current && !isAlive(current)) {
        await releaseInstance(describe(Number(index), current.folder));
      }
    } finally {
      await unlink(join(CLAIMS, guard)).catch(() => undefined);
    }
  }
  // After a restart of the machine the claims are gone, but not the folders.
  const claimed = new Set<string>();
  const folders = await readdir(parent);
  for (const file of await readdir(CLAIMS)) {
    const claim = await readClaim(file);
    if (claim) claimed.add(claim.folder);
  }
  for (const folder of folders.map((name) => join(parent, name))) {
    if (!claimed.has(folder)) {
      await unmountBelow(folder);
      await removeFolder(folder);
    }
  }
}

export function iptables(table: string, ...args: string[]): Promise<string> {
  return run("iptables", ["-w", "10", "-t", table, ...args]);
}

async function layOutNetwork(instance: Instance): Promise<void> {
  const { name, gateway, publicBridge } = instance;
  for (const chain of [`${name}-in`, `${name}-fwd`]) await iptables("filter", "-N", chain);
  await iptables("nat", "-N", `${name}-meta`);
  // Hosts reach the machine at the gateway's address only, each other within a bridge, and nothing else.
  await iptables("filter", "-A", `${name}-in`, "-i", publicBridge, "-d", gateway, "-j", "ACCEPT");
  await iptables("filter", "-A", `${name}-in`, "-j", "REJECT");
  await iptables("filter", "-A", `${name}-fwd`, "-j", "REJECT");
  await iptables("filter", "-I", "INPUT", "-i", `${name}-+`, "-j", `${name}-in`);
  await iptables("filter", "-I", "FORWARD", "-i", `${name}-+`, "-j", `${name}-fwd`);
  await iptables("filter", "-I", "FORWARD", "-o", `${name}-+`, "-j", `${name}-fwd`);
  await iptables("nat", "-I", "PREROUTING", "-i", publicBridge, "-j", `${name}-meta`);
  await createBridge(instance, publicBridge);
  await run("ip", ["address", "add", `${gateway}/24`, "dev", publicBridge]);
}

/** Sends the metadata service's address, which only hosts of this instance see, to a port of the gateway. */
export async function redirectMetadata(instance: Instance, port: number): Promise<void> {
  const match = ["-d", "169.254.169.254/32", "-p", "tcp", "--dport", "80"];
  const target = ["-j", "DNAT", "--to-destination", `${instance.gateway}:${port}`];
  await iptables("nat", "-A", `${instance.name}-meta`, ...match, ...target);
}

export async function createBridge(instance: Instance, bridge: string): Promise<void> {
  // An address of its own: otherwise a bridge takes that of a port, and changes it, unknown to all neighbours, when that
  // port goes.
  await run("ip", ["link", "add", bridge, "address", macAddressFor(bridge), "type", "bridge"]);
  await capture("sysctl", ["-qw", `net.ipv6.conf.${bridge}.disable_ipv6=1`]);
  await run("ip", ["link", "set", bridge, "up"]);
  // Where bridged frames pass iptables too, those within one bridge are let through.
  await iptables(
    "filter",
    "-I",
    `${instance.name}-fwd`,
    "-i",
    bridge,
    "-o",
    bridge,
    "-j",
    "ACCEPT",
  );
}

export async function deleteBridge(instance: Instance, bridge: string): Promise<void> {
  await capture("ip", ["link", "del", bridge]);
  const rule = ["-i", bridge, "-o", bridge, "-j", "ACCEPT"];
  await iptables("filter", "-D", `${instance.name}-fwd`, ...rule).catch(() => "");
}

/** Root of the v2 control groups: all of them, or the empty tree beside the v1 controllers. */
export function cgroupRoot(): string | undefined {
  return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].find((path) =>
    existsSync(`${path}/cgroup.controllers`),
  );
}

/** Ends every process of a control group and removes it. */
export async function removeCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await writeFile(join(path, "cgroup.kill"), "1").catch(() => undefined);
  await until(async () => {
    await removeTree(path).catch(() => undefined);
    return !existsSync(path);
  }, 5000);
}

async function removeTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(path, entry.name));
  }
  await rmdir(path);
}

export async function unmountBelow(folder: string): Promise<void> {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1]?.replaceAll("\\040", " "))
    .filter((path): path is string => path !== undefined && path.startsWith(`${folder}/`));
  for (const path of mounts.reverse()) {
    const unmounted = await until(
      async () => (await capture("umount", [path])).code === 0,
      2000,
      50,
    );
    // A process that still holds a file there would keep the mount: it goes when that process ends.
    if (!unmounted) await capture("umount", ["-l", path]);
  }
}

async function destroy(instance: Instance): Promise<void> {
  const own = new RegExp(`^${instance.name}-`);
  const root = cgroupRoot();
  if (root) {
    const groups = (await readdir(root)).filter((name) => own.test(name));
    await Promise.all(groups.map((name) => removeCgroup(join(root, name))));
  }
  const namespaces = await readdir("/run/netns").catch(() => [] as string[]);
  for (const name of namespaces.filter((name) => own.test(name))) {
    await capture("ip", ["netns", "del", name]);
  }
  const links = JSON.parse(await run("ip", ["-j", "link", "show"])) as {
    ifname?: string;
  }[];
  for (const { ifname } of links) {
    if (ifname !== undefined && own.test(ifname)) await capture("ip", ["link", "del", ifname]);
  }
  for (const name of await readdir(PROPAGATION).catch(() => [] as string[])) {
    if (own.test(name)) await rm(join(PROPAGATION, name), { recursive: true, force: true });
  }
  await removeRules(instance);
  await unmountBelow(instance.folder);
  await removeFolder(instance.folder);
}

async function removeRules({ name }: Instance): Promise<void> {
  for (const table of ["filter", "nat"]) {
    const rules = (await iptables(table, "-S")).split("\n");
    const chains = rules
      .filter((rule) => rule.startsWith(`-N ${name}-`))
      .map((rule) => rule.slice(3));
    for (const rule of rules) {
      const target = / -j (\S+)$/.exec(rule)?.[1];
      if (target !== undefined && chains.includes(target)) {
        await iptables(table, "-D", ...rule.split(" ").slice(1));
      }
    }
    for (const chain of chains) {
      await iptables(table, "-F", chain);
      await iptables(table, "-X", chain);
    }
  }
}

/** A locally administered MAC address made from what identifies the interface. */
export function macAddressFor(identity: string): string {
  const bytes = createHash("sha256").update(identity).digest().subarray(0, 4);
  return ["96", "00", ...[...bytes].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}
