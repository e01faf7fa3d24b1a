import { githubObstacle } from "../components/preflight/obstacles";
import {
  exitCodeOf,
  livesAdvice,
  livesTable,
  readPoolLives,
} from "../components/runnerVersions/stackLives";
import { openStack } from "../components/stack/stack";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

/**
 * Says until when GitHub serves the runner program of each pool. Reads only. Exit codes: 0 all well, 2 one ends within
 * `runnerLife.warnDays`, 3 one has ended, 1 it could not be found out.
 */
async function checkVersions(): Promise<number> {
  const { values } = readArguments(
    { options: { ...STACK_OPTIONS, json: { type: "boolean" } } },
    "expected --stack NAME, --config-file FILE and --json, if wanted",
  );
  const stack = await openStack({ stack: values.stack, configFile: values["config-file"] });
  const lives = await readPoolLives(stack.settings, stack.github);
  if ("obstacle" in lives) {
    throw new Error(githubObstacle(lives, stack.settings.githubUrl, stack.project));
  }
  if (values.json === true) {
    const { warnDays } = stack.settings.runnerLife;
    const pools = lives.map(({ pool, reference, life }) => ({ pool, reference, ...life }));
    process.stdout.write(`${JSON.stringify({ stack: stack.name, warnDays, pools }, null, 2)}\n`);
  } else {
    process.stdout.write(livesTable(lives));
  }
  for (const sentence of livesAdvice(lives, stack.project)) process.stderr.write(`${sentence}\n`);
  return exitCodeOf(lives);
}

runScript(checkVersions);
