import { z } from "zod";
import { plainTextSecrets } from "../config/load";
import type { FleetSettings } from "../config/schema";
import { type Finding, orOk, problem } from "./check";
import type { Context } from "./context";

const configured = z.record(z.string(), z.object({ secret: z.boolean() }));

/** Tokens that the providers are given by the stack's file. */
const TOKENS = ["hcloud:token", "github:token"];

/**
 * What stands in the stack's file for all to read.
 * @param text what `pulumi config --json` prints
 */
export function judgeSecrets(
  settings: FleetSettings,
  namespace: string,
  text: string,
): readonly Finding[] {
  const keys = configured.parse(JSON.parse(text));
  const encrypted = Object.keys(keys).filter((key) => keys[key]!.secret);
  const open = TOKENS.filter((key) => keys[key]?.secret === false);
  return orOk(
    [
      ...plainTextSecrets(settings, namespace, JSON.stringify(encrypted)).map((sentence) =>
        problem(sentence, /`(.+?)`/.exec(sentence)?.[1]),
      ),
      ...open.map((key) => {
        const command = `pulumi config set --secret ${key}`;
        return problem(
          `${key}: found in plain text, expected a secret, as \`${command}\` makes it from standard input.`,
          command,
        );
      }),
    ],
    "Every secret in the stack's file is encrypted, and can be decrypted here.",
  );
}

export async function checkSecrets(context: Context): Promise<readonly Finding[]> {
  const stack = await context.stack();
  const settings = await context.settings();
  const text = await stack.pulumi(["config", "--json", ...stack.options]);
  return judgeSecrets(settings, stack.project, text);
}
