/**
 * A table as text: columns side by side, two spaces between them.
 * @param right Numbers of the columns, from 0, that are set to the right, such as those of figures.
 */
export function table(lines: readonly (readonly string[])[], right: readonly number[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length)),
  );
  const pad = (cell: string, column: number) =>
    right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}

/** Seconds with three digits or so: 0.25, 12.5, 400. */
export function seconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2);
}

/** How many times as fast: 8.5x, 20x. */
export function factor(value: number): string {
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}x`;
}

export function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
