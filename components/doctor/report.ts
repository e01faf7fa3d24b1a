import { type CheckResult, type Finding, type Status, statusOf } from "./check";

const MARKS: Readonly<Record<Status, string>> = {
  ok: "✓",
  warning: "!",
  problem: "✗",
  skipped: "-",
};

/** A line for each finding, the command that repairs it below, and a sum. */
export function renderReport(results: readonly CheckResult[]): string {
  const width = Math.max(...results.map(({ title }) => title.length));
  const lines = results.flatMap(({ title, findings }) =>
    findings.flatMap(({ status, sentence, repair }, index) => [
      `${MARKS[status]} ${(index === 0 ? title : "").padEnd(width)}  ${sentence}`,
      ...(repair === undefined ? [] : [`  ${" ".repeat(width)}    ${repair}`]),
    ]),
  );
  return [...lines, "", `${summary(results)}\n`].join("\n");
}

function summary(results: readonly CheckResult[]): string {
  const { problems, warnings } = counts(results);
  if (problems + warnings === 0) return "Nothing is wrong.";
  const parts = [
    ...(problems === 0 ? [] : [problems === 1 ? "1 problem" : `${problems} problems`]),
    ...(warnings === 0 ? [] : [warnings === 1 ? "1 warning" : `${warnings} warnings`]),
  ];
  const safe = results.some(({ findings }) => findings.some(({ fix }) => fix !== undefined));
  return `${parts.join(" and ")}.${safe ? " `npm run doctor -- --fix` repairs what is safe to repair." : ""}`;
}

function counts(results: readonly CheckResult[]) {
  const all = results.flatMap(({ findings }) => findings);
  const count = (status: Status) => all.filter((one) => one.status === status).length;
  return { problems: count("problem"), warnings: count("warning") };
}

/** The same for programs. */
export function renderJson(results: readonly CheckResult[]): string {
  const report = {
    ...counts(results),
    checks: results.map(({ id, title, findings }) => ({
      id,
      title,
      status: statusOf(findings),
      findings: findings.map(({ fix, ...finding }: Finding) => ({
        ...finding,
        fixable: fix !== undefined,
      })),
    })),
  };
  return `${JSON.stringify(report, null, 2)}\n`;
}
