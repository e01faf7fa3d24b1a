import { readFile } from "node:fs/promises";

/**
 * The text of a file that somebody has named.
 * @param expected the end of a sentence, such as "the project's file in the current folder"
 * @throws Error in one sentence where it cannot be read.
 */
export async function readText(path: string, expected: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${path} cannot be read (${codeOf(error)}), expected ${expected}.`, {
      cause: error,
    });
  }
}

/** Why a file could not be read or written, such as ENOENT. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
