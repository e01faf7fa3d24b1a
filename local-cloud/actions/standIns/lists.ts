/** Lists in inputs of Docker's actions: lines of comma-separated values, as CSV. */

export interface ListOptions {
  /** Each line is one item, whatever commas are in it. */
  readonly keepCommas?: boolean;
  /** Lines that begin with # are no items. */
  readonly comments?: boolean;
  /** Quotes are part of the items. */
  readonly literalQuotes?: boolean;
  /** Spaces around an item are part of it. */
  readonly keepSpaces?: boolean;
}

export function listOf(text: string, options: ListOptions = {}): string[] {
  return records(text, options)
    .flatMap((fields) => (options.keepCommas === true ? [fields.join(",")] : fields))
    .filter((item) => item !== "")
    .map((item) => (options.keepSpaces === true ? item : item.trim()));
}

/** Fields of one line, such as `type=raw,value=latest`. */
export function fieldsOf(line: string): string[] {
  return records(line, {})[0] ?? [];
}

/** `key=value` as a pair; without a sign the value is undefined. */
export function pairOf(field: string): [key: string, value: string | undefined] {
  const at = field.indexOf("=", 1);
  return at < 0
    ? [field.trim(), undefined]
    : [field.slice(0, at).trim(), field.slice(at + 1).trim()];
}

function records(text: string, options: ListOptions): string[][] {
  const found: string[][] = [];
  for (let at = 0; at < text.length;) {
    if (options.comments === true && text[at] === "#") {
      const end = text.indexOf("\n", at);
      at = end < 0 ? text.length : end + 1;
      continue;
    }
    const fields: string[] = [];
    for (let more = true; more;) {
      const quoted = options.literalQuotes === true ? null : /"((?:[^"]|"")*)"(?=,|\r?\n|$)/y;
      if (quoted !== null) quoted.lastIndex = at;
      const match = quoted?.exec(text);
      if (match?.[1] !== undefined) {
        fields.push(match[1].replaceAll('""', '"'));
        at += match[0].length;
      } else {
        const plain = /[^,\n]*/y;
        plain.lastIndex = at;
        const field = plain.exec(text)?.[0] ?? "";
        fields.push(field.replace(/\r$/, ""));
        at += field.length;
      }
      if (text[at] === "\r") at++;
      more = text[at] === ",";
      at++;
    }
    if (fields.length > 1 || fields[0] !== "") found.push(fields);
  }
  return found;
}
