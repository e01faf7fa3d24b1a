/** One bar of a chart. */
export interface Bar {
  /** What was measured, to the left of the bar. */
  readonly label: string;
  /** Length, from 0. */
  readonly value: number;
  /** Said to the right of the bar. */
  readonly note: string;
  /** Bars of the same group have the same colour. */
  readonly group: string;
}

const [WIDTH, LABELS, NOTES, LINE, TOP] = [860, 190, 150, 30, 56];
/** Told apart by people who see no red or green as well. */
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/**
 * An SVG of horizontal bars, all to one scale that begins at 0. It has its own background, so that it can be read on
 * pages of any colour.
 */
export function barChart(title: string, subtitle: string, bars: readonly Bar[]): string {
  const groups = [...new Set(bars.map(({ group }) => group))];
  const longest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const space = WIDTH - LABELS - NOTES;
  const height = TOP + bars.length * LINE + 16;
  const lines = bars.map(({ label, value, note, group }, index) => {
    const y = TOP + index * LINE;
    const length = Math.max(1, Math.round((value / longest) * space));
    const color = COLORS[groups.indexOf(group) % COLORS.length]!;
    return [
      `<text x="${LABELS - 8}" y="${y + 15}" text-anchor="end">${escaped(label)}</text>`,
      `<rect x="${LABELS}" y="${y}" width="${length}" height="20" rx="2" fill="${color}"/>`,
      `<text x="${LABELS + length + 8}" y="${y + 15}">${escaped(note)}</text>`,
    ].join("\n  ");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">`,
    `  <title>${escaped(title)}</title>`,
    `  <rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    `  <text x="16" y="24" font-size="16" font-weight="600">${escaped(title)}</text>`,
    `  <text x="16" y="43" fill="#57606a">${escaped(subtitle)}</text>`,
    ...lines.map((line) => `  ${line}`),
    "</svg>",
    "",
  ].join("\n");
}

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (character) => names[character]!);
}
