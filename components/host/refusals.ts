import { appendFileSync, readFileSync } from "node:fs";
import { z } from "zod";
import { parseJson } from "../text/parseJson";

/** Variable that names the file where orders that Hetzner has refused are kept, for the runs that follow. */
export const REFUSALS_FILE = "RUNNER_FLEET_REFUSALS";

const refusal = z.object({ serverType: z.string(), location: z.string() });

/** What Hetzner has refused to make, such as cax21 in fsn1. */
export type Refusal = Readonly<z.output<typeof refusal>>;

/**
 * @param file JSON lines; undefined, or one that is not there: none
 * @throws Error with one sentence where it holds something else.
 */
export function readRefusals(file: string | undefined): Refusal[] {
  if (file === undefined || file === "") return [];
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    throw new Error(
      `${REFUSALS_FILE}: found a file that cannot be read (${code}), expected one of JSON lines.`,
      { cause: error },
    );
  }
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const parsed = refusal.safeParse(parseJson(line));
      if (parsed.success) return parsed.data;
      throw new Error(
        `${REFUSALS_FILE}: found a file with another line, expected JSON lines with serverType and location.`,
      );
    });
}

export function recordRefusal(file: string, { serverType, location }: Refusal): void {
  appendFileSync(file, `${JSON.stringify({ serverType, location })}\n`);
}
