import type { Context } from "./context";

export type Status = "ok" | "warning" | "problem" | "skipped";

/** One thing that a check has found. */
export interface Finding {
  readonly status: Status;
  /** One whole sentence. */
  readonly sentence: string;
  /** The command that repairs it, as it is typed. */
  readonly repair?: string;
  /** Repairs it where that can cost nothing, and says in one sentence what it did. */
  readonly fix?: () => Promise<string>;
}

export type CheckId =
  | "tools"
  | "stack"
  | "secrets"
  | "hetzner-token"
  | "github-token"
  | "credential"
  | "plan"
  | "configuration"
  | "stock"
  | "runner-versions"
  | "clock"
  | "ssh"
  | "state"
  | "runners"
  | "runner-group"
  | "routing";

export interface Check {
  readonly id: CheckId;
  readonly title: string;
  /** What it has found, at least one thing. May throw: a check that cannot be made hides no other. */
  readonly run: (context: Context) => Promise<readonly Finding[]>;
}

export interface CheckResult {
  readonly id: CheckId;
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** Something that several checks need cannot be had; the check named in it tells why. */
export class UnavailableError extends Error {
  constructor(
    readonly check: CheckId,
    /** Such as "the stack", the object of a sentence. */
    readonly what: string,
    readonly findings: readonly Finding[],
  ) {
    super(findings.map(({ sentence }) => sentence).join("\n"));
  }
}

/** Makes all checks at once. What goes wrong in one stands in its own result. */
export function runChecks(checks: readonly Check[], context: Context): Promise<CheckResult[]> {
  return Promise.all(
    checks.map(async ({ id, title, run }): Promise<CheckResult> => {
      try {
        return { id, title, findings: await run(context) };
      } catch (error) {
        return { id, title, findings: explained(id, error, checks) };
      }
    }),
  );
}

function explained(id: CheckId, error: unknown, checks: readonly Check[]): readonly Finding[] {
  if (error instanceof UnavailableError) {
    if (error.check === id) return error.findings;
    const where = checks.find((one) => one.id === error.check)?.title ?? error.check;
    return [skipped(`This needs ${error.what}: see ${where}.`)];
  }
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n").map((line) => problem(line));
}

/** Repairs what is safe to repair; what was repaired is all right then. */
export function fixFindings(results: readonly CheckResult[]): Promise<CheckResult[]> {
  return Promise.all(
    results.map(async (result) => ({
      ...result,
      findings: await Promise.all(result.findings.map(fixFinding)),
    })),
  );
}

async function fixFinding(finding: Finding): Promise<Finding> {
  const { fix, ...rest } = finding;
  if (fix === undefined) return finding;
  try {
    return ok(`Repaired: ${await fix()}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ...rest, sentence: `${rest.sentence} It was not repaired: ${message}` };
  }
}

/** From the worst to the best. */
const SEVERITY: readonly Status[] = ["problem", "warning", "ok", "skipped"];

export function statusOf(findings: readonly Finding[]): Status {
  return SEVERITY.find((status) => findings.some((one) => one.status === status)) ?? "skipped";
}

/** 0: nothing is wrong; 2: warnings only; 1: problems. */
export function exitCodeOf(results: readonly CheckResult[]): 0 | 1 | 2 {
  const worst = statusOf(results.flatMap(({ findings }) => findings));
  return worst === "problem" ? 1 : worst === "warning" ? 2 : 0;
}

export function ok(sentence: string): Finding {
  return { status: "ok", sentence };
}

export function skipped(sentence: string): Finding {
  return { status: "skipped", sentence };
}

export function problem(sentence: string, repair?: string): Finding {
  return { status: "problem", sentence, ...(repair !== undefined && { repair }) };
}

export function warning(sentence: string, repair?: string): Finding {
  return { status: "warning", sentence, ...(repair !== undefined && { repair }) };
}

/** What was found, or that all is well. */
export function orOk(findings: readonly Finding[], sentence: string): readonly Finding[] {
  return findings.length === 0 ? [ok(sentence)] : findings;
}
