import { parse } from "yaml";

/** An emitted file as GitHub would read it. */
export interface ParsedWorkflow {
  name: string;
  on: Record<string, { branches?: string[]; tags?: string[] }>;
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": string };
  env: Record<string, string>;
  defaults: { run: { shell: string } };
  jobs: Record<string, ParsedJob>;
}

export interface ParsedJob {
  needs?: string[];
  if?: string;
  "runs-on": string;
  "timeout-minutes"?: number;
  permissions?: Record<string, string>;
  outputs?: Record<string, string>;
  steps: ParsedStep[];
}

export interface ParsedStep {
  name: string;
  id?: string;
  if?: string;
  uses?: string;
  with?: Record<string, string | boolean>;
  env?: Record<string, string>;
  run?: string;
}

export function parseWorkflow(text: string): ParsedWorkflow {
  return parse(text) as ParsedWorkflow;
}

/** Steps of a job that use that action. */
export function stepsOf(job: ParsedJob, action: string): ParsedStep[] {
  return job.steps.filter((step) => step.uses?.startsWith(`${action}@`));
}

/**
 * Evaluates an expression of GitHub's language, as far as emitted files use it: literals, contexts, `==`, `!=`, `&&`,
 * `||` and fromJSON. As there, a missing property is null, equality of texts ignores case, and the operators give one
 * of their operands.
 */
export function evaluate(expression: string, contexts: Record<string, unknown>): unknown {
  const inner = /^\$\{\{(.*)\}\}$/.exec(expression)?.[1] ?? expression;
  const tokens = inner.match(/'(?:[^']|'')*'|&&|\|\||==|!=|[()]|[\w.-]+|\S/g) ?? [];
  let at = 0;
  const isNext = (token: string) => tokens[at] === token && (at++, true);

  function or(): unknown {
    let left = and();
    while (isNext("||")) {
      const right = and();
      left = isTruthy(left) ? left : right;
    }
    return left;
  }
  function and(): unknown {
    let left = equality();
    while (isNext("&&")) {
      const right = equality();
      left = isTruthy(left) ? right : left;
    }
    return left;
  }
  function equality(): unknown {
    const left = operand();
    if (isNext("==")) return isEqual(left, operand());
    if (isNext("!=")) return !isEqual(left, operand());
    return left;
  }
  function operand(): unknown {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`${inner} ends too early.`);
    if (token === "(") return closed(or());
    if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
    if (token === "fromJSON" && isNext("(")) {
      // As GitHub does, nothing is parsed that is not text.
      return JSON.parse(closed(or()) as string) as unknown;
    }
    if (!/^[a-z]+(\.[\w-]+)+$/i.test(token)) throw new Error(`${token} is not understood.`);
    const [root, ...path] = token.split(".");
    if (!(root! in contexts)) throw new Error(`The context ${root} was not given.`);
    return path.reduce<unknown>(
      (value, key) => (value as Record<string, unknown> | null)?.[key] ?? null,
      contexts[root!],
    );
  }
  function closed(value: unknown): unknown {
    if (!isNext(")")) throw new Error(`A parenthesis is missing in ${inner}.`);
    return value;
  }

  const value = or();
  if (at !== tokens.length) throw new Error(`${tokens[at]} is not understood in ${inner}.`);
  return value;
}

function isTruthy(value: unknown): boolean {
  return value !== null && value !== false && value !== 0 && value !== "";
}

function isEqual(left: unknown, right: unknown): boolean {
  const fold = (value: unknown) => (typeof value === "string" ? value.toLowerCase() : value);
  return fold(left ?? "") === fold(right ?? "");
}
