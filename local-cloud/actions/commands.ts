/** Workflow commands: what a step tells the runner by its output (`::name key=value::data`) and by files. */

export interface WorkflowCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly data: string;
}

/** The command in a line of output, if it is one. */
export function parseCommand(line: string): WorkflowCommand | undefined {
  const match = /^\s*::([^\s:]+)(?:\s+(.*?))?::(.*)$/s.exec(line);
  if (match?.[1] === undefined) return undefined;
  const properties: Record<string, string> = {};
  for (const pair of (match[2] ?? "").split(",")) {
    const at = pair.indexOf("=");
    if (at > 0 && at < pair.length - 1)
      properties[pair.slice(0, at).trim().toLowerCase()] = unescape(pair.slice(at + 1), ":,");
  }
  return { name: match[1].toLowerCase(), properties, data: unescape(match[3] ?? "", "") };
}

function unescape(text: string, more: string): string {
  let plain = text.replaceAll("%0D", "\r").replaceAll("%0A", "\n");
  for (const character of more)
    plain = plain.replaceAll(
      `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
      () => character,
    );
  return plain.replaceAll("%25", "%");
}

/**
 * The pairs of a file such as GITHUB_OUTPUT: `name=value` lines, and `name<<DELIMITER` with lines up to the delimiter.
 * @throws Error as GitHub words it.
 */
export function parsePairs(text: string): [name: string, value: string][] {
  const pairs: [string, string][] = [];
  const lines = text.split(/\r\n|\n|\r/);
  for (let index = 0; index < lines.length;) {
    const line = lines[index++] ?? "";
    if (line === "") continue;
    const equals = line.indexOf("=");
    const heredoc = line.indexOf("<<");
    if (equals >= 0 && (heredoc < 0 || equals < heredoc)) {
      if (equals === 0) throw new Error(`Invalid format '${line}'. Name must not be empty`);
      pairs.push([line.slice(0, equals), line.slice(equals + 1)]);
    } else if (heredoc >= 0) {
      const name = line.slice(0, heredoc);
      const delimiter = line.slice(heredoc + 2);
      if (name === "" || delimiter === "")
        throw new Error(
          `Invalid format '${line}'. Name must not be empty and delimiter must not be empty`,
        );
      const end = lines.indexOf(delimiter, index);
      if (end < 0) throw new Error(`Invalid value. Matching delimiter not found '${delimiter}'`);
      pairs.push([name, lines.slice(index, end).join("\n")]);
      index = end + 1;
    } else throw new Error(`Invalid format '${line}'`);
  }
  return pairs;
}
