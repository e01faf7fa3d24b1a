import { renameSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { runJob, RESULT_VARIABLE } from "./job";
import { type JobReport, parseInput } from "./message";

/**
 * Runs the steps of one job: the job comes on stdin, its log goes to stdout, its report to the file that
 * RUNNER_FLEET_RESULT names. SIGINT or SIGTERM cancels it. Exit code: 0 for a job that succeeded, 1 for one that did
 * not, 2 where there was no job to run.
 */
async function main(): Promise<number> {
  const file = process.env[RESULT_VARIABLE];
  if (file === undefined || file === "")
    throw new Error(`${RESULT_VARIABLE} is not set, expected the path of a file to write.`);
  const input = parseInput(await text(process.stdin));
  const cancel = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => cancel.abort(new Error("The operation was canceled.")));
  const write = (report: JobReport): void => {
    writeFileSync(`${file}.new`, JSON.stringify(report));
    renameSync(`${file}.new`, file);
  };
  const report = await runJob({
    input,
    env: process.env,
    print: (line) => process.stdout.write(`${line}\n`),
    onProgress: write,
    signal: cancel.signal,
  });
  write(report);
  return report.result === "succeeded" ? 0 : 1;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 2;
  },
);
