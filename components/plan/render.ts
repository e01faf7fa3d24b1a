import type { Report, ServerChange, Stock, WorkflowChange } from "./report";

/** Columns that a terminal has at least. */
const WIDTH = 100;

/** The report for a terminal: plain text of at most 100 columns, apart from names that are longer. */
export function textReport(report: Report): string {
  const rows = report.servers.map(serverRow);
  const sections = [
    ...(rows.length === 0 ? [] : [textTable([HEAD, ...rows])]),
    bullets(lines(report), ""),
    ...(["problems", "warnings", "notes"] as const).map((key) => section(TITLES[key], report[key])),
    section(blocksTitle(report), blockLines(report)),
    `${headline(report)}\n`,
  ];
  return sections.filter((one) => one !== "").join("\n");
}

/** The report as one line of JSON for programs. */
export function jsonReport(report: Report): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** Begins a comment, so that the next plan of the same stack finds and replaces it. */
export function commentMarker(project: string, stack: string): string {
  return `<!-- plan of ${project}/${stack} -->`;
}

/** The report as a comment of a pull request. */
export function markdownReport(report: Report, project: string): string {
  const cell = (text: string) => code(text.replaceAll("\n", " "));
  const table =
    report.servers.length === 0
      ? []
      : [
          [
            `| ${HEAD.map((name) => name.toLowerCase()).join(" | ")} |`,
            `| ${HEAD.map(() => "---").join(" | ")} |`,
            ...report.servers.map(
              (server) =>
                `| ${serverRow(server)
                  .map((text, column) => (column === 0 ? text : cell(text)))
                  .join(" | ")} |`,
            ),
          ].join("\n"),
        ];
  const list = (items: readonly string[]) => items.map((item) => `- ${escape(item)}`).join("\n");
  const titled = (title: string, items: readonly string[]) =>
    items.length === 0 ? [] : [`**${title}**`, list(items)];
  return [
    commentMarker(project, report.stack),
    `### ${escape(headline(report))}`,
    ...table,
    ...(lines(report).length === 0 ? [] : [list(lines(report))]),
    ...(["problems", "warnings", "notes"] as const).flatMap((key) =>
      titled(TITLES[key], report[key]),
    ),
    ...titled(blocksTitle(report), blockLines(report)),
    "",
  ]
    .join("\n\n")
    .replace(/\n+$/, "\n");
}

const TITLES = {
  problems: "There is no preview",
  warnings: "Warnings of the program",
  notes: "Not known",
} as const;

/** `A MONTH` is the price after the run, `MORE` the difference, `JOBS` those that run on it. */
const HEAD = ["CHANGE", "SERVER", "TYPE", "LOCATION", "ORDERABLE NOW", "A MONTH", "MORE", "JOBS"];

/** Cells may have several lines. */
function serverRow(server: ServerChange): string[] {
  const { change, before, after, price, running } = server;
  return [
    change,
    fromTo(before?.name, after?.name),
    fromTo(before?.serverType, after?.serverType),
    fromTo(before?.location, after?.location),
    [stockText(server.orderable, ""), stockText(server.again, "again: ")]
      .filter((text) => text !== "")
      .join("\n") || "?",
    price?.after ?? "?",
    price?.change ?? "?",
    running === undefined ? "?" : String(running),
  ];
}

function fromTo(before: string | undefined, after: string | undefined): string {
  if (before === undefined || after === undefined || before === after) return after ?? before ?? "";
  return `${before}\n→ ${after}`;
}

function stockText(stock: Stock | undefined, prefix: string): string {
  if (stock === undefined) return "";
  const { locations } = stock;
  return prefix + (locations.length === 0 ? "nowhere" : locations.join(", "));
}

/** What a table has no room for. */
function lines(report: Report): string[] {
  const { serverCount, cost, servers } = report;
  return [
    ...servers.flatMap(({ change, before, reasons }) =>
      change === "replace" && before !== undefined
        ? [
            `${before.name} is replaced ${reasons.length === 0 ? "because of another resource" : `for its ${reasons.join(", ")}`}`,
          ]
        : [],
    ),
    ...report.drains.map(
      ({ server, atMostSeconds }) =>
        `${server} is drained before: jobs that run on it have up to ${duration(atMostSeconds)}`,
    ),
    ...report.queues.map(({ pool, jobs }) =>
      jobs === undefined
        ? `pool ${pool}: GitHub does not say how many jobs wait`
        : `pool ${pool}: ${jobs === 1 ? "1 job waits" : `${jobs} jobs wait`} for its labels`,
    ),
    ...report.secrets.map(
      ({ change, name, what }) =>
        `secret ${name}: ${what === "value" ? change : "other repositories see it"}`,
    ),
    ...report.workflows.map(workflowLine),
    ...otherLines(report),
    ...(servers.length === 0
      ? []
      : [
          `servers: ${serverCount.now} now, up to ${serverCount.most} during the run, ${serverCount.after} after it; Hetzner's API does not tell the project's limit, the console does`,
        ]),
    ...(cost === undefined
      ? []
      : [
          `all servers a month, without VAT: ${cost.before === cost.after ? cost.after : `${cost.before} → ${cost.after} (${cost.change})`} ${cost.currency}, ${
            cost.budget === undefined
              ? "without a budget"
              : cost.currency === "EUR"
                ? `of a budget of ${cost.budget} EUR`
                : `which cannot be compared with the budget of ${cost.budget} EUR`
          }`,
        ]),
  ];
}

function workflowLine({ change, repository, path, delivery }: WorkflowChange): string {
  const how = delivery === "pullRequest" ? " by pull request" : "";
  const what = change === "keep" ? "stays there, no longer managed" : `${change}${how}`;
  return `workflow ${path} in ${repository}: ${what}`;
}

function otherLines({ others }: Pick<Report, "others">): string[] {
  const counts = Object.entries(others).map(([op, count]) => `${count} ${op}`);
  return counts.length === 0 ? [] : [`other resources: ${counts.join(", ")}`];
}

function blocksTitle({ problems }: Pick<Report, "problems">): string {
  return problems.length === 0
    ? "Against it, unless --allow names the reason"
    : "Reasons, which --allow does not help against";
}

function blockLines({ blocks }: Pick<Report, "blocks">): string[] {
  return blocks.map(
    ({ reason, sentence, allowed }) => `${reason}${allowed ? " (allowed)" : ""}: ${sentence}`,
  );
}

const VERBS: Readonly<Record<ServerChange["change"], string>> = {
  create: "created",
  replace: "replaced",
  rescale: "rescaled",
  roll: "rolled",
  delete: "deleted",
};

/** Such as `Plan of dev: blocked by stock; 1 server deleted.` */
function headline(report: Report): string {
  const { stack, outcome, servers, blocks } = report;
  const counts = (Object.keys(VERBS) as ServerChange["change"][]).flatMap((change) => {
    const count = servers.filter((one) => one.change === change).length;
    return count === 0 ? [] : [`${count} ${VERBS[change]}`];
  });
  const what = counts.length === 0 ? "no server touched" : `servers: ${counts.join(", ")}`;
  switch (outcome) {
    case "unchanged":
      return `Plan of ${stack}: no change.`;
    case "failed":
      return `Plan of ${stack}: the preview failed.`;
    case "changes":
      return `Plan of ${stack}: changes; ${what}.`;
    case "blocked": {
      const reasons = [
        ...new Set(blocks.filter(({ allowed }) => !allowed).map(({ reason }) => reason)),
      ];
      const tail = report.problems.length > 0 ? "the program refuses to run" : what;
      return `Plan of ${stack}: blocked by ${reasons.join(", ")}; ${tail}.`;
    }
  }
}

function duration(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

function section(title: string, items: readonly string[]): string {
  return items.length === 0 ? "" : `${title}:\n${bullets(items, "  ")}`;
}

/** One paragraph for each item, its further lines set in. */
function bullets(items: readonly string[], indent: string): string {
  return items
    .map((item) => {
      const [first = "", ...rest] = wrap(item, WIDTH - indent.length - 2);
      return [`${indent}- ${first}`, ...rest.map((line) => `${indent}  ${line}`), ""].join("\n");
    })
    .join("");
}

function wrap(text: string, width: number): string[] {
  const found: string[] = [];
  for (const word of text.split(" ")) {
    const last = found.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) found.push(word);
    else found[found.length - 1] = `${last} ${word}`;
  }
  return found;
}

const GAP = "  ";
/** Narrower than that no column becomes. */
const NARROWEST = 10;

/** Columns side by side; where they are too wide together, the widest are cut into several lines. */
function textTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.split("\n")));
  const widths = rows[0]!.map((_, column) =>
    Math.max(...cells.map((row) => Math.max(...row[column]!.map((line) => line.length)))),
  );
  const total = () => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  while (total() > WIDTH && Math.max(...widths) > NARROWEST) {
    widths[widths.indexOf(Math.max(...widths))]! -= 1;
  }
  return cells
    .flatMap((row) => {
      const cut = row.map((cell, column) =>
        // Names are cut anywhere, what follows an arrow among them.
        cell
          .flatMap((line) => (line.startsWith("→ ") ? [line] : wrap(line, widths[column]!)))
          .flatMap(pieces(widths[column]!)),
      );
      const height = Math.max(...cut.map((cell) => cell.length));
      return Array.from({ length: height }, (_, line) =>
        cut
          .map((cell, column) => (cell[line] ?? "").padEnd(widths[column]!))
          .join(GAP)
          .trimEnd(),
      );
    })
    .map((line) => `${line}\n`)
    .join("");
}

function pieces(width: number): (line: string) => string[] {
  return (line) => line.match(new RegExp(`.{1,${width}}`, "gu")) ?? [""];
}

/** Names and sentences of others are text, not markup. */
function escape(text: string): string {
  return text.replaceAll(/[\\`*_[\]<>|~]/g, "\\$&").replaceAll("@", "&#64;");
}

/** Within a cell of a table. */
function code(text: string): string {
  return text === "" ? "" : `\`${text.replaceAll("`", "'").replaceAll("|", "\\|")}\``;
}
