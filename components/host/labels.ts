/** Labels of everything that a stack has in the Hetzner project. */
export function stackLabels(prefix: string): Record<string, string> {
  return { "managed-by": "runner-fleet", stack: prefix };
}

/** What restricts a list of Hetzner's API to what a stack has there: a query. */
export function stackSelector(prefix: string): string {
  const labels = Object.entries(stackLabels(prefix)).map((label) => label.join("="));
  return `label_selector=${encodeURIComponent(labels.join())}`;
}
