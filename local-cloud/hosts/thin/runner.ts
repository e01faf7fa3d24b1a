import { randomInt } from "node:crypto";
import { z } from "zod";
import type { StoredFile } from "./applyScript";

/** The part of `runner.env` that the thin model acts on. */
const settings = z.object({
  RUNNER_IMAGE: z.string(),
  TOKEN_SERVICE: z.string(),
  TOKEN_SERVICE_URL: z.string(),
  ORGANIZATION: z.string(),
  RUNNER_GROUP_ID: z.coerce.number().int(),
  RUNNER_GROUP: z.string(),
  RUNNER_LABELS: z.string(),
  HOST_NAME: z.string(),
  DRAIN_SECONDS: z.coerce.number().int(),
});
export type RunnerSettings = z.output<typeof settings>;

/** Lines of `runner.env` that concern no runner that runs. */
const NOT_OF_RUNNERS = /^(DRAIN_SECONDS|WORK_MAX_PERCENT)=/;

/** @throws when the file is not there or lacks something. */
export function readRunnerSettings(file: StoredFile | undefined): {
  readonly settings: RunnerSettings;
  /** What runners are started anew for when it changes. */
  readonly definition: string;
} {
  if (file === undefined) throw new Error("runner.env does not exist");
  const lines = file.content.split("\n").filter((line) => line !== "");
  const values = lines.map((line) => {
    const [, name = "", bare = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    return [name, bare.replace(/^'(.*)'$/, "$1")];
  });
  const parsed = settings.safeParse(Object.fromEntries(values));
  if (!parsed.success)
    throw new Error(`runner.env is not understood: ${z.prettifyError(parsed.error)}`);
  const definition = lines.filter((line) => !NOT_OF_RUNNERS.test(line)).join("\n");
  return { settings: parsed.data, definition };
}

const CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

/** A new name for each runner of a slot. */
export function newRunnerName(host: string, slot: number): string {
  const random = Array.from({ length: 6 }, () => CHARACTERS[randomInt(CHARACTERS.length)]);
  return `${host}-${slot}-${random.join("")}`;
}

/** The password in a configuration of curl; empty when there is none. */
export function passwordIn(curlConfig: StoredFile | undefined): string {
  return /^user = "[^:"]*:([^"]*)"$/m.exec(curlConfig?.content ?? "")?.[1] ?? "";
}
