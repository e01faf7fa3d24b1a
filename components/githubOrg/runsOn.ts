/**
 * What the routing variable holds: the JSON that `runs-on: ${{ fromJSON(vars.NAME || …) }}` reads. Runners carry
 * self-hosted, Linux and ARM64 by themselves; naming them keeps a job off a runner of another kind in the group.
 */
export function runsOnValue(group: string, labels: readonly string[]): string {
  return JSON.stringify({ group, labels: ["self-hosted", "Linux", "ARM64", ...labels] });
}
