/**
 * Evaluates `${{ … }}` expressions: literals, contexts, operators and the functions that need no runner.
 * Comparison is loose and strings compare without case, as GitHub documents.
 */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

export class ExpressionError extends Error {}

/** The value of a YAML scalar: one whole `${{ }}` keeps its type, a mixture becomes a string. */
export function evaluateScalar(text: string, contexts: Record<string, Value>): Value {
  const whole = /^\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*$/s.exec(text);
  if (whole?.[1] !== undefined) return evaluate(whole[1], contexts);
  return text.replace(/\$\{\{(.*?)\}\}/gs, (_, inner: string) => toText(evaluate(inner, contexts)));
}

/** Evaluates what stands between `${{` and `}}`. Throws ExpressionError where GitHub would refuse the workflow. */
export function evaluate(source: string, contexts: Record<string, Value>): Value {
  return new Parser(tokenize(source), source, contexts).whole();
}

/** How a value is put into a string. */
export function toText(value: Value): string {
  if (value === null) return "";
  if (Array.isArray(value)) return "Array";
  if (typeof value === "object") return "Object";
  return String(value);
}

interface Token {
  readonly type: "literal" | "name" | "operator";
  readonly text: string;
  readonly value?: Value;
}

function tokenize(source: string): Token[] {
  const pattern =
    /\s*(?:(?<string>'(?:[^']|'')*')|(?<number>[-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?))|(?<name>[A-Za-z_][\w-]*)|(?<operator>&&|\|\||==|!=|<=|>=|[!<>()[\].,*]))/y;
  const tokens: Token[] = [];
  const end = source.trimEnd().length;
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex;
    const groups = pattern.exec(source)?.groups;
    if (groups === undefined)
      throw new ExpressionError(
        `Unexpected symbol at position ${at + 1} of the expression: ${source.trim()}`,
      );
    const { string, number, name, operator } = groups;
    if (string !== undefined)
      tokens.push({
        type: "literal",
        text: string,
        value: string.slice(1, -1).replaceAll("''", "'"),
      });
    else if (number !== undefined)
      tokens.push({ type: "literal", text: number, value: Number(number) });
    else if (name !== undefined) tokens.push({ type: "name", text: name });
    else tokens.push({ type: "operator", text: operator ?? "" });
  }
  return tokens;
}

class Parser {
  private at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly source: string,
    private readonly contexts: Record<string, Value>,
  ) {}

  whole(): Value {
    const value = this.or();
    if (this.at < this.tokens.length) throw this.unexpected();
    return value;
  }

  private or(): Value {
    let left = this.and();
    while (this.take("||")) {
      const right = this.and();
      left = truthy(left) ? left : right;
    }
    return left;
  }

  private and(): Value {
    let left = this.equality();
    while (this.take("&&")) {
      const right = this.equality();
      left = truthy(left) ? right : left;
    }
    return left;
  }

  private equality(): Value {
    let left = this.comparison();
    for (;;) {
      if (this.take("==")) left = equal(left, this.comparison());
      else if (this.take("!=")) left = !equal(left, this.comparison());
      else return left;
    }
  }

  private comparison(): Value {
    let left = this.unary();
    for (;;) {
      if (this.take("<=")) left = compare(left, this.unary(), (order) => order <= 0);
      else if (this.take(">=")) left = compare(left, this.unary(), (order) => order >= 0);
      else if (this.take("<")) left = compare(left, this.unary(), (order) => order < 0);
      else if (this.take(">")) left = compare(left, this.unary(), (order) => order > 0);
      else return left;
    }
  }

  private unary(): Value {
    if (this.take("!")) return !truthy(this.unary());
    return this.postfix();
  }

  private postfix(): Value {
    let value = this.primary();
    for (;;) {
      if (this.take(".")) {
        if (this.take("*")) value = isObject(value) ? Object.values(value) : value;
        else {
          const name = this.next();
          if (name?.type !== "name") throw this.unexpected(name);
          value = Array.isArray(value)
            ? value.filter(isObject).map((one) => property(one, name.text))
            : property(value, name.text);
        }
      } else if (this.take("[")) {
        const key = this.or();
        this.expect("]");
        value = Array.isArray(value)
          ? (value[Number(toNumber(key))] ?? null)
          : property(value, toText(key));
      } else return value;
    }
  }

  private primary(): Value {
    const token = this.next();
    if (token === undefined)
      throw new ExpressionError(`Unexpected end of the expression: ${this.source.trim()}`);
    if (token.type === "literal") return token.value ?? null;
    if (token.text === "(") {
      const value = this.or();
      this.expect(")");
      return value;
    }
    if (token.type !== "name") throw this.unexpected(token);
    if (this.take("(")) return this.call(token.text);
    const name = token.text.toLowerCase();
    if (name === "true" || name === "false") return name === "true";
    if (name === "null") return null;
    const found = Object.entries(this.contexts).find(([context]) => context === name);
    if (found === undefined) throw new ExpressionError(`Unrecognized named-value: '${token.text}'`);
    return found[1];
  }

  private call(name: string): Value {
    const given: Value[] = [];
    if (!this.take(")")) {
      do given.push(this.or());
      while (this.take(","));
      this.expect(")");
    }
    const known = functions[name.toLowerCase()];
    if (known === undefined) throw new ExpressionError(`Unrecognized function: '${name}'`);
    if (given.length < known.minimum || given.length > known.maximum)
      throw new ExpressionError(
        `Function '${name}' takes ${known.minimum === known.maximum ? "" : "at least "}${known.minimum} arguments, ${given.length} were given`,
      );
    return known.run(given);
  }

  private next(): Token | undefined {
    return this.tokens[this.at++];
  }

  private take(operator: string): boolean {
    const token = this.tokens[this.at];
    if (token?.type !== "operator" || token.text !== operator) return false;
    this.at += 1;
    return true;
  }

  private expect(operator: string): void {
    if (!this.take(operator)) throw this.unexpected();
  }

  private unexpected(token = this.tokens[this.at]): ExpressionError {
    return new ExpressionError(
      token === undefined
        ? `Unexpected end of the expression: ${this.source.trim()}`
        : `Unexpected symbol: '${token.text}' in the expression: ${this.source.trim()}`,
    );
  }
}

interface Known {
  readonly minimum: number;
  readonly maximum: number;
  run(given: readonly Value[]): Value;
}

const functions: Record<string, Known> = {
  fromjson: {
    minimum: 1,
    maximum: 1,
    run: ([text = null]) => {
      try {
        return JSON.parse(toText(text)) as Value;
      } catch {
        throw new ExpressionError(`Error parsing fromJson: ${toText(text)}`);
      }
    },
  },
  tojson: {
    minimum: 1,
    maximum: 1,
    run: ([value = null]) => JSON.stringify(value, null, 2),
  },
  contains: {
    minimum: 2,
    maximum: 2,
    run: ([inside = null, one = null]) =>
      Array.isArray(inside)
        ? inside.some((item) => equal(item, one))
        : lower(inside).includes(lower(one)),
  },
  startswith: {
    minimum: 2,
    maximum: 2,
    run: ([text = null, start = null]) => lower(text).startsWith(lower(start)),
  },
  endswith: {
    minimum: 2,
    maximum: 2,
    run: ([text = null, end = null]) => lower(text).endsWith(lower(end)),
  },
  format: {
    minimum: 1,
    maximum: 256,
    run: ([template = null, ...values]) =>
      toText(template).replace(/\{\{|\}\}|\{(\d+)\}/g, (all, index: string | undefined) => {
        if (index === undefined) return all.slice(0, 1);
        const value = values[Number(index)];
        if (value === undefined)
          throw new ExpressionError(
            `The following format string references more arguments than were supplied: ${toText(template)}`,
          );
        return toText(value);
      }),
  },
  join: {
    minimum: 1,
    maximum: 2,
    run: ([values = null, separator = ","]) =>
      Array.isArray(values) ? values.map(toText).join(toText(separator)) : toText(values),
  },
};

export function truthy(value: Value): boolean {
  return !(value === null || value === false || value === "" || value === 0 || Number.isNaN(value));
}

function isObject(value: Value): value is Record<string, Value> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Property names are compared without case; a missing one is null. */
function property(value: Value, name: string): Value {
  if (!isObject(value)) return null;
  const found = Object.keys(value).find((key) => key.toLowerCase() === name.toLowerCase());
  return found === undefined ? null : (value[found] ?? null);
}

function lower(value: Value): string {
  return toText(value).toLowerCase();
}

function toNumber(value: Value): number {
  if (value === null || value === "") return 0;
  if (typeof value === "object") return NaN;
  return Number(value);
}

function equal(a: Value, b: Value): boolean {
  if (typeof a === "string" && typeof b === "string") return a.toLowerCase() === b.toLowerCase();
  if (typeof a === "object" && a !== null && typeof b === "object") return a === b;
  if (a === null && b === null) return true;
  if (typeof a === typeof b) return a === b;
  return toNumber(a) === toNumber(b);
}

function compare(a: Value, b: Value, good: (order: number) => boolean): boolean {
  if (typeof a === "string" && typeof b === "string") {
    const [x, y] = [a.toLowerCase(), b.toLowerCase()];
    return good(x < y ? -1 : x > y ? 1 : 0);
  }
  const [x, y] = [toNumber(a), toNumber(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return false;
  return good(x - y);
}
