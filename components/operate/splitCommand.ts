/** Options that are followed by their value. */
const VALUED = ["--stack", "--config-file"];

/** A command line in parts: our own options, the host, and a command that is left as it is, its options included. */
export function splitCommand(args: readonly string[]): {
  readonly own: readonly string[];
  readonly host: string | undefined;
  readonly command: readonly string[];
} {
  let at = 0;
  while (at < args.length && args[at]!.startsWith("-")) at += VALUED.includes(args[at]!) ? 2 : 1;
  const [host, ...rest] = args.slice(at);
  const command = rest[0] === "--" ? rest.slice(1) : rest;
  return { own: args.slice(0, at), host, command };
}
