import type { HostFile } from "../host/applyScript";

/**
 * Slices of systemd in which jobs and builds run: `fleet.slice` around them all, so that neither can take the host down,
 * `fleet-buildkit.slice` and `fleet-runner-N.slice` in it. In percent, so they hold for every server type.
 */
export const BUILDKIT_SLICE = "fleet-buildkit.slice";

/** What jobs may use together, and what builds may, in percent of the server's memory. */
const MEMORY_PERCENT = 80;
/** Both of them together. The rest is the system's. */
const FLEET_MEMORY_PERCENT = 90;

export function runnerSlice(slot: number): string {
  return `fleet-runner-${slot}.slice`;
}

export function sliceFiles(runners: number): HostFile[] {
  return [
    // Half of what the system's own services weigh: Docker, SSH and our scripts answer however busy the jobs are.
    // Without them a shutdown stops slices, and with them what runs there, before the slots' units have drained.
    ...["fleet.slice.d", "fleet-.slice.d"].map((folder) => ({
      path: `/etc/systemd/system/${folder}/shutdown.conf`,
      mode: "0644",
      content: "[Unit]\nDefaultDependencies=no\n",
    })),
    slice("fleet.slice", { MemoryMax: `${FLEET_MEMORY_PERCENT}%`, CPUWeight: 50 }),
    slice(BUILDKIT_SLICE, { MemoryMax: `${MEMORY_PERCENT}%`, TasksMax: 16_384, CPUWeight: 100 }),
    // For all slots, however many there are.
    slice("fleet-runner-.slice.d/limits.conf", {
      MemoryMax: `${Math.floor(MEMORY_PERCENT / runners)}%`,
      TasksMax: 8_192,
      CPUWeight: 100,
    }),
  ];
}

function slice(name: string, limits: Readonly<Record<string, string | number>>): HostFile {
  const lines = Object.entries(limits).map(([key, value]) => `${key}=${value}`);
  return {
    path: `/etc/systemd/system/${name}`,
    mode: "0644",
    content: ["[Slice]", ...lines, ""].join("\n"),
  };
}
