/** One bar of a chart. */
export interface Bar {
  /** What was measured, to the left of the bar. */
  readonly label: string;
  /** Length, from 0. */
  readonly value: number;
  /** The value for people, in bold to the right of the bar. */
  readonly shown: string;
  /** Said behind it. */
  readonly note?: string;
  /** Bars of the same group have the same colour; the legend names it. */
  readonly group: string;
}

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  readonly bars: readonly Bar[];
  /** Said below the bars. */
  readonly footnote?: string;
}

const [WIDTH, LEFT, RIGHT, TOP, ROW, BAR] = [960, 300, 230, 92, 34, 20];
/** Told apart by people who see no red or green as well. */
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const [INK, GREY] = ["#1f2328", "#59636e"];

/**
 * An SVG of horizontal bars, all to one scale that begins at 0. It needs nothing from outside and has its own background, so
 * that it can be read on pages of any colour.
 */
export function barChart({ title, subtitle, bars, footnote }: Chart): string {
  const groups = [...new Set(bars.map(({ group }) => group))];
  const colorOf = (group: string) => COLORS[groups.indexOf(group) % COLORS.length]!;
  const longest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const height = TOP + bars.length * ROW + (footnote === undefined ? 16 : 46);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="13">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(20, 30, title, INK, { size: 18, weight: 600 }),
    text(20, 50, subtitle, GREY),
    ...legend(groups, colorOf),
    ...bars.flatMap((bar, index) => {
      const y = TOP + index * ROW;
      const middle = y + BAR / 2 + 5;
      // What is too short to be drawn is still there.
      const width = Math.max(2, (bar.value / longest) * (WIDTH - LEFT - RIGHT));
      const note = bar.note === undefined ? "" : ` · ${escaped(bar.note)}`;
      return [
        `<text x="${LEFT - 10}" y="${middle}" text-anchor="end" fill="${INK}">${escaped(bar.label)}</text>`,
        `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="3" fill="${colorOf(bar.group)}"><title>${escaped(`${bar.label}: ${bar.shown}`)}</title></rect>`,
        `<text x="${(LEFT + width + 8).toFixed(1)}" y="${middle}" fill="${INK}"><tspan font-weight="600">${escaped(bar.shown)}</tspan>${note}</text>`,
      ];
    }),
    ...(footnote === undefined ? [] : [text(20, height - 16, footnote, GREY, { size: 12 })]),
    "</svg>",
    "",
  ].join("\n");
}

function legend(groups: readonly string[], colorOf: (group: string) => string): string[] {
  let x = 20;
  return groups.map((group) => {
    const entry = `<rect x="${x}" y="63" width="12" height="12" rx="2" fill="${colorOf(group)}"/>${text(x + 18, 74, group, INK, { size: 12 })}`;
    x += 50 + group.length * 7;
    return entry;
  });
}

function text(
  x: number,
  y: number,
  content: string,
  fill: string,
  { size = 13, weight = 400 }: { readonly size?: number; readonly weight?: number } = {},
): string {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
