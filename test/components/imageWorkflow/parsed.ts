import { parse } from "yaml";

/** An emitted file as GitHub would read it. */
export interface ParsedWorkflow {
  name: string;
  on: {
    push?: { branches?: string[]; tags?: string[] };
    pull_request?: { branches: string[] };
    workflow_call?: {
      inputs: Record<string, { type: string; required?: boolean; default?: string | boolean }>;
      secrets: Record<string, { required: boolean }>;
    };
    [event: string]: unknown;
  };
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": string };
  env?: Record<string, string>;
  defaults?: { run: { shell: string } };
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
  uses?: string;
  with?: Record<string, string | boolean>;
  secrets?: Record<string, string>;
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

export type Contexts = Readonly<Record<string, unknown>>;

/** A scalar of the file after GitHub has evaluated the expressions in it. */
export function interpolate(text: string, contexts: Contexts): unknown {
  const parts: unknown[] = [];
  let at = 0;
  for (let start = text.indexOf("${{"); start >= 0; start = text.indexOf("${{", at)) {
    const end = endOfExpression(text, start + 3);
    if (start > at) parts.push(text.slice(at, start));
    parts.push(evaluate(text.slice(start + 3, end), contexts));
    at = end + 2;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts.length === 1 ? parts[0] : parts.map(toText).join("");
}

function endOfExpression(text: string, start: number): number {
  let isQuoted = false;
  for (let at = start; at < text.length; at++) {
    if (text[at] === "'") isQuoted = !isQuoted;
    else if (!isQuoted && text.startsWith("}}", at)) return at;
  }
  throw new Error(`An expression has no end in ${text}.`);
}

/**
 * Evaluates an expression of GitHub's language, as far as emitted files use it: literals, contexts, `!`, `==`, `!=`,
 * `&&`, `||`, fromJSON, format and cancelled. As there, a missing property is null, equality of texts ignores case, and
 * the operators give one of their operands.
 */
export function evaluate(expression: string, contexts: Contexts): unknown {
  const inner = /^\$\{\{(.*)\}\}$/s.exec(expression)?.[1] ?? expression;
  const tokens = inner.match(/'(?:[^']|'')*'|&&|\|\||==|!=|[()!,]|[\w.-]+|\S/g) ?? [];
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
    const left = unary();
    if (isNext("==")) return isEqual(left, unary());
    if (isNext("!=")) return !isEqual(left, unary());
    return left;
  }
  function unary(): unknown {
    return isNext("!") ? !isTruthy(unary()) : operand();
  }
  function operand(): unknown {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`${inner} ends too early.`);
    if (token === "(") return closed(or());
    if (token.startsWith("'")) return token.slice(1, -1).replaceAll("''", "'");
    const call = FUNCTIONS[token];
    if (call !== undefined && isNext("(")) {
      const given: unknown[] = [];
      if (!isNext(")")) {
        do given.push(or());
        while (isNext(","));
        closed(undefined);
      }
      return call(given, contexts);
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

const FUNCTIONS: Readonly<Record<string, (given: unknown[], contexts: Contexts) => unknown>> = {
  // As GitHub does, nothing is parsed that is not text.
  fromJSON: ([text]) => JSON.parse(text as string) as unknown,
  format: ([template, ...values]) =>
    toText(template).replace(/\{\{|\}\}|\{(\d+)\}/g, (found, index?: string) =>
      index === undefined ? found[0]! : toText(values[Number(index)]),
    ),
  cancelled: () => false,
};

function toText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  // Numbers and truth values look the same in JSON; there are no others in emitted files.
  return JSON.stringify(value);
}

function isTruthy(value: unknown): boolean {
  return value !== null && value !== false && value !== 0 && value !== "";
}

function isEqual(left: unknown, right: unknown): boolean {
  const fold = (value: unknown) => (typeof value === "string" ? value.toLowerCase() : value);
  return fold(left ?? "") === fold(right ?? "");
}

/** A workflow with all that decides what it does at an event: its own file, or the one that it calls and its inputs. */
export interface Loaded {
  /** The file that GitHub finds in the target's repository. */
  readonly entry: ParsedWorkflow;
  /** The file with the jobs. */
  readonly workflow: ParsedWorkflow;
  /** What is given to it for an event. */
  readonly inputs: (github: unknown) => Record<string, unknown>;
}

/** Reads the files of one combination; the one named image.yml is that of the target. */
export function load(files: Readonly<Record<string, string>>): Loaded {
  const entry = parseWorkflow(files[".github/workflows/image.yml"]!);
  const uses = entry.jobs.image?.uses;
  if (uses === undefined) return { entry, workflow: entry, inputs: () => ({}) };
  const path = /^[^/]+\/[^/]+\/(.+)@[^@]+$/.exec(uses)?.[1];
  const called = files[path ?? ""];
  if (called === undefined) throw new Error(`${uses} is called, which was not emitted.`);
  const workflow = parseWorkflow(called);
  const declared = workflow.on.workflow_call!.inputs;
  const given = entry.jobs.image!.with ?? {};
  const unknown = Object.keys(given).filter((name) => !(name in declared));
  if (unknown.length > 0) throw new Error(`${unknown.join()} is given, which is not declared.`);
  return {
    entry,
    workflow,
    inputs: (github) =>
      Object.fromEntries(
        Object.entries(declared).map(([name, input]) => {
          const value = given[name] ?? input.default;
          if (value === undefined) throw new Error(`${name} has to be given.`);
          return [name, typeof value === "string" ? interpolate(value, { github }) : value];
        }),
      ),
  };
}

export type Result = "success" | "failure" | "skipped";

/** What runs at an event: jobs with their results, and the steps of those that ran. */
export interface Run {
  readonly results: Readonly<Record<string, Result>>;
  /** By job, up to and with the step that fails. */
  readonly steps: Readonly<Record<string, readonly ParsedStep[]>>;
  /** Evaluates a scalar of one of the jobs. */
  readonly value: (text: string | boolean | undefined) => unknown;
}

/**
 * What runs at an event.
 * @param fails Whether a step of a job fails.
 */
export function runOf(
  { workflow, inputs }: Loaded,
  github: unknown,
  fails: (job: string, step: ParsedStep) => boolean = () => false,
  more: Contexts = {},
): Run {
  const results: Record<string, Result> = {};
  const steps: Record<string, readonly ParsedStep[]> = {};
  const contexts = { github, inputs: inputs(github), vars: {}, runner: { temp: "/tmp" }, ...more };
  const ancestors = (id: string): string[] =>
    (workflow.jobs[id]!.needs ?? []).flatMap((need) => [need, ...ancestors(need)]);
  for (const [id, job] of Object.entries(workflow.jobs)) {
    const needs = Object.fromEntries(
      (job.needs ?? []).map((need) => [need, { result: results[need] }]),
    );
    const isMet = job.if === undefined || isTruthy(evaluate(job.if, { ...contexts, needs }));
    // Unless the condition names a status, every job before has to have succeeded, however far back.
    const isBlocked =
      !/\b(always|cancelled|failure|success)\(/.test(job.if ?? "") &&
      ancestors(id).some((before) => results[before] !== "success");
    if (!isMet || isBlocked) {
      results[id] = "skipped";
      continue;
    }
    const ran: ParsedStep[] = [];
    results[id] = "success";
    for (const step of job.steps) {
      const outputs = { steps: {}, needs: {} };
      if (step.if !== undefined && !isTruthy(evaluate(step.if, { ...outputs, ...contexts })))
        continue;
      ran.push(step);
      if (fails(id, step)) {
        results[id] = "failure";
        break;
      }
    }
    steps[id] = ran;
  }
  return {
    results,
    steps,
    value: (text) =>
      typeof text === "string"
        ? interpolate(text, { needs: {}, steps: {}, secrets: {}, ...contexts })
        : text,
  };
}

/** Items of an input that an action reads as a list, one a line, with the quotes of CSV. */
export function listOf(text: string): string[] {
  const items = text.match(/(?:"(?:[^"]|"")*"|[^"\r\n])+/g) ?? [];
  return items.map((item) =>
    item.startsWith('"') && item.endsWith('"')
      ? item.slice(1, -1).replaceAll('""', '"')
      : item.trim(),
  );
}
