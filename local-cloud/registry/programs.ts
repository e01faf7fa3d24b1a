import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { mmdebstrap } from "../hosts/mmdebstrap";
import { ARCHITECTURES, type Architecture } from "./seeds";

/** Programs of Debian's that are taken out of their packages, since installing these would start services. */
export interface DebianPrograms {
  readonly registry: string;
  readonly busybox: Readonly<Record<Architecture, string>>;
}

export function programsIn(folder: string): DebianPrograms {
  return {
    registry: join(folder, "docker-registry"),
    busybox: { amd64: join(folder, "busybox-amd64"), arm64: join(folder, "busybox-arm64") },
  };
}

/** Fetches the programs into a folder. */
export async function fetchPrograms(folder: string): Promise<void> {
  const programs = programsIn(folder);
  const native: Architecture = process.arch === "arm64" ? "arm64" : "amd64";
  for (const architecture of ARCHITECTURES) {
    const packages = ["busybox-static", ...(architecture === native ? ["docker-registry"] : [])];
    const root = join(folder, "root");
    await mmdebstrap(root, packages, { variant: "extract", architecture });
    await copyFile(join(root, "usr/bin/busybox"), programs.busybox[architecture]);
    if (architecture === native) {
      await copyFile(join(root, "usr/bin/docker-registry"), programs.registry);
    }
    await rm(root, { recursive: true });
  }
}
