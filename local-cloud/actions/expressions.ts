import type { data, Lexer as LexerType } from "@actions/expressions";

type Data = data.ExpressionData;
type Library = typeof import("@actions/expressions");

/** Values of the contexts (plain JSON) and of the functions beyond GitHub's own, by name. */
export interface Scope {
  readonly contexts: Readonly<Record<string, unknown>>;
  readonly functions?: Readonly<Record<string, () => boolean>>;
}

const STATUS_FUNCTIONS = ["success", "failure", "always", "cancelled"];

/** Evaluates expressions by GitHub's own evaluator. */
export class Expressions {
  private constructor(private readonly library: Library) {}

  /** The library is an ES module, which this program can only load asynchronously. */
  static async load(): Promise<Expressions> {
    return new Expressions(await import("@actions/expressions"));
  }

  /** Text with `${{ … }}` in it. */
  text(template: string, scope: Scope): string {
    return split(template)
      .map((part) =>
        part.kind === "text" ? part.text : this.evaluate(part.text, scope).coerceString(),
      )
      .join("");
  }

  /** A value of a step that is a boolean or the expression of one. @throws Error where it is neither. */
  boolean(value: boolean | string, scope: Scope): boolean {
    const text = typeof value === "string" ? this.text(value, scope) : String(value);
    if (text === "true") return true;
    if (text === "false" || text === "") return false;
    throw new Error(`Unexpected value '${text}', expected true or false`);
  }

  /** A value of a step that is a number or the expression of one. @throws Error where it is neither. */
  number(value: number | string, scope: Scope): number {
    const number = typeof value === "string" ? Number(this.text(value, scope)) : value;
    if (Number.isFinite(number)) return number;
    throw new Error(`Unexpected value '${value}', expected a number`);
  }

  /**
   * The condition of an `if`. Unless it asks for the status itself, it holds only while no step has failed.
   * @param scope Has the functions success, failure, always and cancelled.
   */
  condition(condition: string, scope: Scope): boolean {
    const trimmed = condition.trim();
    const parts: Part[] = trimmed.includes("${{")
      ? split(trimmed)
      : [{ kind: "expression", text: trimmed }];
    const expressions = parts.filter((part) => part.kind === "expression");
    const asksForStatus = expressions.some((part) => this.calls(part.text, STATUS_FUNCTIONS));
    if (!asksForStatus && scope.functions?.["success"]?.() !== true) return false;
    if (trimmed === "") return true;
    const [only] = parts;
    if (parts.length === 1 && only?.kind === "expression")
      return this.truthy(this.evaluate(only.text, scope));
    return this.text(trimmed, scope) !== "";
  }

  private evaluate(expression: string, scope: Scope): Data {
    const { Parser, Evaluator, ExpressionError, data: types } = this.library;
    const functions = Object.entries(scope.functions ?? {}).map(([name, run]) => ({
      name,
      minArgs: 0,
      maxArgs: 0,
      call: () => new types.BooleanData(run()),
    }));
    try {
      const tokens = this.tokens(expression);
      const tree = new Parser(tokens, Object.keys(scope.contexts), functions).parse();
      // Nothing between the brackets.
      if ((tree as unknown) === undefined) throw new Error("An expression was expected");
      const named = new Set(tokens.map((token) => token.lexeme.toLowerCase()));
      const contexts = new types.Dictionary();
      for (const [name, value] of Object.entries(scope.contexts)) {
        if (named.has(name.toLowerCase())) contexts.add(name, this.toData(value));
      }
      return new Evaluator(
        tree,
        contexts,
        new Map(functions.map((one) => [one.name.toLowerCase(), one])),
      ).evaluate();
    } catch (error) {
      if (error instanceof ExpressionError)
        throw new Error(
          `${error.message}. Located at position ${error.pos.column + 1} within expression: ${expression}`,
          { cause: error },
        );
      throw error;
    }
  }

  private tokens(expression: string): ReturnType<LexerType["lex"]>["tokens"] {
    return new this.library.Lexer(expression).lex().tokens;
  }

  private calls(expression: string, names: readonly string[]): boolean {
    const tokens = this.tokens(expression);
    return tokens.some(
      ({ lexeme }, index) =>
        names.includes(lexeme.toLowerCase()) && tokens[index + 1]?.lexeme === "(",
    );
  }

  private toData(value: unknown): Data {
    return JSON.parse(JSON.stringify(value ?? null), (key, one) =>
      this.library.data.reviver(key, one),
    ) as Data;
  }

  private truthy(value: Data): boolean {
    const { Kind } = this.library.data;
    switch (value.kind) {
      case Kind.Null:
        return false;
      case Kind.Boolean:
      case Kind.Number:
        return value.number() !== 0 && !Number.isNaN(value.number());
      case Kind.String:
        return value.coerceString() !== "";
      default:
        return true;
    }
  }
}

interface Part {
  readonly kind: "text" | "expression";
  readonly text: string;
}

/** Cuts a text at its expressions. A bracket inside a string of an expression does not end it. */
function split(template: string): Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (let open = template.indexOf("${{"); open >= 0; open = template.indexOf("${{", from)) {
    let close = open + 3;
    for (let quoted = false; ; close++) {
      if (close >= template.length)
        throw new Error(
          "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found.",
        );
      if (template[close] === "'") quoted = !quoted;
      else if (!quoted && template.startsWith("}}", close)) break;
    }
    if (open > from) parts.push({ kind: "text", text: template.slice(from, open) });
    parts.push({ kind: "expression", text: template.slice(open + 3, close).trim() });
    from = close + 2;
  }
  if (from < template.length) parts.push({ kind: "text", text: template.slice(from) });
  return parts;
}
