import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";

/**
 * How the head of a program (ELF) for each architecture goes on: width of its words, order of its bytes, machine. By
 * this the kernel tells for whom a program is, whatever its handler is called.
 */
const MACHINES: Readonly<
  Record<string, readonly [bits: 32 | 64, order: "LE" | "BE", machine: number]>
> = {
  "386": [32, "LE", 3],
  amd64: [64, "LE", 62],
  arm: [32, "LE", 40],
  arm64: [64, "LE", 183],
  loong64: [64, "LE", 258],
  mips64: [64, "BE", 8],
  mips64le: [64, "LE", 8],
  ppc64le: [64, "LE", 21],
  riscv64: [64, "LE", 243],
  s390x: [64, "BE", 22],
};
const BINFMT_MISC = "/proc/sys/fs/binfmt_misc";

/**
 * docker/setup-qemu-action without its image, which needs privileges that a machine here may not have: it installs
 * no emulator but finds out whether the kernel has the wanted ones.
 */
export const setupQemu: ActionDefinition = {
  inputs: {
    image: { default: "docker.io/tonistiigi/binfmt:latest" },
    platforms: { default: "all" },
    reset: { default: "false", unmodelled: true },
    "cache-image": { default: "true" },
  },
  main: async (run) => {
    const native = process.arch === "arm64" ? "arm64" : "amd64";
    const available = [...new Set([native, ...(await emulated(run))])];
    const wanted = run
      .input("platforms")
      .split(",")
      .map((name) => name.trim().replace(/^linux\//, ""))
      .filter((name) => name !== "" && name !== "all");
    const missing = wanted.filter((name) => !available.includes(name));
    if (missing.length > 0 || (wanted.length === 0 && available.length === 1))
      throw new ActionFailure(
        `This machine does not emulate ${missing.map((name) => `linux/${name}`).join(", ") || "any other architecture"}: binfmt_misc has no handler with the flag F for it, and the local cloud cannot install one.`,
      );
    const platforms = available.map((name) => `linux/${name}`).sort();
    run.info(platforms.join(","));
    run.setOutput("platforms", platforms.join(","));
  },
};

/** Architectures with a handler that is enabled and works inside containers (flag F: the kernel holds the emulator's file open). */
async function emulated(run: ActionRun): Promise<string[]> {
  const folder = run.env["RUNNER_FLEET_BINFMT_MISC"] ?? BINFMT_MISC;
  let entries = await readdir(folder).catch(() => []);
  if (entries.length === 0 && folder === BINFMT_MISC) {
    // A container has its own view of the kernel's files, in which the list need not be yet.
    const mount = ["mount", "-t", "binfmt_misc", "binfmt_misc", folder];
    const [program = "", ...args] = process.getuid?.() === 0 ? mount : ["sudo", "-n", ...mount];
    // Where it cannot be mounted, nothing can be emulated either.
    await run.exec(program, args, { check: false }).catch(() => undefined);
    entries = await readdir(folder).catch(() => []);
  }
  const found: string[] = [];
  for (const entry of entries.filter((name) => name !== "register" && name !== "status")) {
    const text = await readFile(join(folder, entry), "utf8");
    if (!/^enabled$/m.test(text) || !/^flags: \w*F/m.test(text)) continue;
    const magic = Buffer.from(/^magic ([0-9a-f]+)$/m.exec(text)?.[1] ?? "", "hex");
    if (magic.length < 20) continue;
    const machine = (order: "LE" | "BE"): number =>
      order === "LE" ? magic.readUInt16LE(18) : magic.readUInt16BE(18);
    const name = Object.keys(MACHINES).find((one) => {
      const [bits, order, number] = MACHINES[one] ?? [64, "LE", -1];
      return (
        magic[4] === (bits === 64 ? 2 : 1) &&
        magic[5] === (order === "LE" ? 1 : 2) &&
        machine(order) === number
      );
    });
    if (name !== undefined) found.push(name);
  }
  return found;
}
