/** Labels of everything that a stack has in the Hetzner project. */
export function stackLabels(prefix: string): Record<string, string> {
  return { "managed-by": "runner-fleet", stack: prefix };
}
