import type * as Expressions from "@actions/expressions" with { "resolution-mode": "import" };

/** A plain JSON value: what contexts hold and expressions give. */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
export type Contexts = Readonly<Record<string, Value>>;
/** Functions beside GitHub's own, by lower-case name: here only those that tell how a run stands. */
export type Functions = Readonly<Record<string, () => Value>>;

export class ExpressionError extends Error {}

let library: typeof Expressions | undefined;

/** GitHub's own evaluator is an ES module: it has to be here before anything is evaluated. */
export async function loadExpressions(): Promise<void> {
  library ??= await import("@actions/expressions");
}

/** Evaluates what stands between `${{` and `}}`. Throws ExpressionError where GitHub would refuse the workflow. */
export function evaluate(source: string, contexts: Contexts, functions: Functions = {}): Value {
  if (library === undefined) throw new Error("Expressions are not loaded.");
  const { Lexer, Parser, Evaluator, data } = library;
  const own = Object.entries(functions).map(([name, run]) => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => toData(run()),
  }));
  try {
    const tree = new Parser(new Lexer(source).lex().tokens, Object.keys(contexts), own).parse();
    // The parser's type does not say so, but nothing at all parses to nothing.
    if ((tree as unknown) === undefined) throw new ExpressionError("An expression was expected");
    const context = toData(contexts) as Expressions.data.Dictionary;
    const known = new Map(own.map((one) => [one.name, one]));
    const result = new Evaluator(tree, context, known).evaluate();
    return JSON.parse(JSON.stringify(result, data.replacer)) as Value;
  } catch (error) {
    throw new ExpressionError(error instanceof Error ? error.message : String(error));
  }
}

function toData(value: unknown): Expressions.data.ExpressionData {
  if (library === undefined) throw new Error("Expressions are not loaded.");
  return JSON.parse(JSON.stringify(value), library.data.reviver) as Expressions.data.ExpressionData;
}

/** The value of a YAML scalar: one whole `${{ }}` keeps its type, a mixture becomes a string. */
export function evaluateScalar(text: string, contexts: Contexts): Value {
  const parts = split(text);
  const [first] = parts;
  const only = parts.length === 1 ? first : undefined;
  if (only?.expression === true) return evaluate(only.text, contexts);
  return parts
    .map((part) => (part.expression ? toText(evaluate(part.text, contexts)) : part.text))
    .join("");
}

/** Evaluates every scalar of a value as YAML gives it. */
export function evaluateIn(value: unknown, contexts: Contexts): Value {
  if (typeof value === "string") return evaluateScalar(value, contexts);
  if (Array.isArray(value)) return value.map((one) => evaluateIn(one, contexts));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key, evaluateIn(one, contexts)]),
    );
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** Literal text and expressions in turn; an expression ends at the first `}}` outside of a string. */
function split(text: string): { readonly expression: boolean; readonly text: string }[] {
  const parts: { expression: boolean; text: string }[] = [];
  const pattern = /\$\{\{((?:'(?:[^']|'')*'|(?!\}\})[^'])*)\}\}/gs;
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > at) parts.push({ expression: false, text: text.slice(at, match.index) });
    parts.push({ expression: true, text: match[1] ?? "" });
    at = match.index + match[0].length;
  }
  if (at < text.length) parts.push({ expression: false, text: text.slice(at) });
  return parts;
}

/** How a value is put into a string. */
export function toText(value: Value): string {
  if (value === null) return "";
  if (Array.isArray(value)) return "Array";
  if (typeof value === "object") return "Object";
  return String(value);
}

export function truthy(value: Value): boolean {
  return !(value === null || value === false || value === "" || value === 0 || Number.isNaN(value));
}
