import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isWritable } from "../../local-cloud/hosts/prepare";
import { until } from "../../local-cloud/hosts/run";

/** Where the kernel counts processor time by control group: version 2, else the controller of version 1. */
const HIERARCHIES = [
  { root: "/sys/fs/cgroup", needs: "cgroup.controllers" },
  { root: "/sys/fs/cgroup/cpuacct", needs: "cpuacct.usage" },
];

/**
 * Where a group's part of the processors is set, and to what: that of eight processes. The scheduler takes a group for one
 * process, however many it holds, so that on a busy machine a build would get far less than it does ungrouped.
 */
const WEIGHTS = [
  { root: "/sys/fs/cgroup", file: "cpu.weight", value: "800" },
  { root: "/sys/fs/cgroup/cpu", file: "cpu.shares", value: "8192" },
];

/** A control group for a daemon and all that it starts, which counts their processor time. */
export class ControlGroup {
  private constructor(
    /** Below the root of every hierarchy; the parent of the groups that runc makes. */
    readonly name: string,
    private readonly root: string | undefined,
  ) {}

  static async create(name: string): Promise<ControlGroup> {
    const found = HIERARCHIES.find(
      ({ root, needs }) => existsSync(join(root, needs)) && isWritable(root),
    );
    // Processes sit in a leaf of their own: in version 2 a group with processes cannot hand controllers down.
    if (found !== undefined) {
      await mkdir(join(found.root, name, "main"), { recursive: true });
      await weigh(name);
    }
    return new ControlGroup(name, found?.root);
  }

  /** The command line that runs a program in this group. */
  wrap(program: string, args: readonly string[]): [string, string[]] {
    if (this.root === undefined) return [program, [...args]];
    const file = join(this.root, this.name, "main", "cgroup.procs");
    return ["/bin/sh", ["-c", 'echo $$ > "$0" && exec "$@"', file, program, ...args]];
  }

  /** Processor seconds of everything that ran in the group so far; undefined where they are not counted. */
  cpuSeconds(): number | undefined {
    if (this.root === undefined) return undefined;
    const folder = join(this.root, this.name);
    if (existsSync(join(folder, "cpuacct.usage"))) {
      return Number(readFileSync(join(folder, "cpuacct.usage"), "utf8")) / 1e9;
    }
    const usage = /^usage_usec (\d+)$/m.exec(readFileSync(join(folder, "cpu.stat"), "utf8"));
    return usage ? Number(usage[1]) / 1e6 : undefined;
  }

  /** Ends what is left in the group and removes it from all hierarchies. */
  async remove(): Promise<void> {
    const base = "/sys/fs/cgroup";
    const hierarchies = [base, ...(await readdir(base)).map((name) => join(base, name))];
    for (const folder of hierarchies.map((root) => join(root, this.name))) {
      if (!existsSync(folder)) continue;
      const gone = await until(async () => {
        await endAll(folder);
        await removeTree(folder).catch(() => undefined);
        return !existsSync(folder);
      }, 5000);
      if (!gone) throw new Error(`The control group ${folder} could not be removed.`);
    }
  }
}

async function weigh(name: string): Promise<void> {
  for (const { root, file, value } of WEIGHTS) {
    const folder = join(root, name);
    // Version 1 has the file in its root as well, version 2 only in groups, and only where the controller is on.
    if (existsSync(join(root, file))) await mkdir(folder, { recursive: true });
    if (existsSync(join(folder, file))) await writeFile(join(folder, file), value);
  }
}

async function endAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await endAll(join(folder, entry.name));
  }
  for (const pid of readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n")) {
    if (pid === "") continue;
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }
}

async function removeTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeTree(join(folder, entry.name));
  }
  await rmdir(folder);
}
