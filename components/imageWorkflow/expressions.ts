/**
 * Texts and conditions of GitHub's expression language. A text of the settings is a literal wherever it stands: GitHub
 * evaluates every `${{` in a workflow file, so one in a setting is written as an expression that yields it.
 */

/** A value in the two places of a workflow file where it can stand. */
export interface Value {
  /** Within a scalar of the file, such as an action's input. */
  readonly text: string;
  /** Within an expression. */
  readonly expression: string;
  /** What it is, when that is known as the file is written. */
  readonly literal?: string;
}

export function literalValue(text: string): Value {
  return { text: plain(text), expression: quoted(text), literal: text };
}

/** An input of a reusable workflow. */
export function inputValue(name: string): Value {
  return { text: `\${{ inputs.${name} }}`, expression: `inputs.${name}` };
}

/** A text that reads the same after GitHub has evaluated the scalar that it stands in. */
export function plain(text: string): string {
  return text.replaceAll("${{", "${{ '${{' }}");
}

/** A text as a string within an expression. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Whether something is wanted: known when the file is written, or an expression that says so when it runs. */
export type Condition = boolean | string;

/** @returns true when all hold whatever happens, false when one never does, else an expression. */
export function all(...conditions: readonly Condition[]): Condition {
  if (conditions.includes(false)) return false;
  const open = conditions.filter((condition) => typeof condition === "string");
  if (open.length === 0) return true;
  return open.length === 1 ? open[0]! : open.map(operand).join(" && ");
}

/** @returns false when none can hold, true when one holds whatever happens, else an expression. */
export function any(...conditions: readonly Condition[]): Condition {
  if (conditions.includes(true)) return true;
  const open = conditions.filter((condition) => typeof condition === "string");
  return open.length === 0 ? false : open.join(" || ");
}

export function not(condition: Condition): Condition {
  return typeof condition === "boolean"
    ? !condition
    : `!${/^[\w.-]+$/.test(condition) ? condition : `(${condition})`}`;
}

/** Stands between `&&` as it is meant, since `||` binds weaker. */
function operand(condition: string): string {
  return condition.includes("||") ? `(${condition})` : condition;
}

/** One of two values; `yes` must not be empty, which GitHub takes for false. */
export function choose(condition: Condition, yes: Value, no: Value): Value {
  if (typeof condition === "boolean") return condition ? yes : no;
  const expression = `${operand(condition)} && ${yes.expression} || ${no.expression}`;
  return { text: `\${{ ${expression} }}`, expression };
}

/** Texts and values one after the other. */
export function joined(...parts: readonly (string | Value)[]): Value {
  const values = parts.map((part) => (typeof part === "string" ? literalValue(part) : part));
  if (values.every((value) => value.literal !== undefined)) {
    return literalValue(values.map((value) => value.literal).join(""));
  }
  let next = 0;
  const template = values
    .map(({ literal }) => literal?.replace(/[{}]/g, "$&$&") ?? `{${next++}}`)
    .join("");
  const open = values.filter(({ literal }) => literal === undefined);
  return {
    text: values.map((value) => value.text).join(""),
    expression: `format(${[quoted(template), ...open.map((value) => value.expression)].join(", ")})`,
  };
}
