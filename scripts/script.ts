import { parseArgs, type ParseArgsConfig } from "node:util";

/** Runs what a script is for: its exit code is what `main` resolves to, and a failure is one sentence on stderr. */
export function runScript(main: () => Promise<number>): void {
  main().then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = 1;
    },
  );
}

/** What every script takes that looks at a stack. */
export const STACK_OPTIONS = {
  stack: { type: "string" },
  "config-file": { type: "string" },
} as const satisfies ParseArgsConfig["options"];

/**
 * Reads the command line.
 * @param usage the end of a sentence, such as "expected a host and, if wanted, --stack NAME"
 * @throws Error that names what was not understood, and the usage.
 */
export function readArguments<T extends ParseArgsConfig>(
  config: T,
  usage: string,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    const [first] = (error as Error).message.split(/\.\s/, 1);
    throw new Error(`${first}, ${usage}.`, { cause: error });
  }
}
