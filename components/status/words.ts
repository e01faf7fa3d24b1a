import type { HostStatus, RoutingStatus } from "./model";

/** What the table and the page say in the same words. */

/** Such as 12.5 GB, by powers of ten as Hetzner counts disks. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let value = count;
  while (value >= 999.5 && at < units.length - 1) [value, at] = [value / 1000, at + 1];
  return `${value >= 100 || at === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[at]}`;
}

/** Such as 45 s, 12 min, 3 h 05 min. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Day and time in UTC, such as 2026-11-26 09:30. */
export function minute(iso: string): string {
  return iso.slice(0, 16).replace("T", " ");
}

export function plural(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}

/** Such as "3 listening, 1 working": slots by what they do. */
export function slotCounts({ slots }: Pick<HostStatus, "slots">): string {
  const counts = new Map<string, number>();
  for (const { state } of slots) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
}

/** One sentence each. */
export function routingSentences(routing: RoutingStatus): string[] {
  const { variable, pool, hostedFallback, values } = routing;
  return values.map(({ repository, goes }) => {
    const name = repository === null ? variable : `${variable} of ${repository}`;
    switch (goes) {
      case "own":
        return `${name} sends jobs to pool ${pool}.`;
      case "hosted":
        return `${name} is not set: jobs go to GitHub's ${hostedFallback}.`;
      case "other":
        return `${name} has a value that leads to another place than pool ${pool}.`;
      case "unknown":
        return `${name}: GitHub does not say.`;
    }
  });
}
