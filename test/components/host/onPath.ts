import { spawnSync } from "node:child_process";

/** Skips the running test with a line that says why when a program is not on PATH. */
export function needs(test: Mocha.Context, program: string, ...check: string[]): void {
  if (spawnSync(program, check, { stdio: "ignore" }).error === undefined) return;
  console.warn(`      ${program} is not on PATH: the next test is skipped`);
  test.skip();
}
