import { exitCodeOf, fixFindings, runChecks } from "../components/doctor/check";
import { createContext } from "../components/doctor/context";
import { CHECKS } from "../components/doctor/doctor";
import { renderJson, renderReport } from "../components/doctor/report";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const OPTIONS = {
  ...STACK_OPTIONS,
  fix: { type: "boolean" },
  json: { type: "boolean" },
} as const;

/**
 * Looks for what keeps a stack from coming up, or from working, and names the command that repairs it. Exit code 0:
 * nothing is wrong, 2: warnings only, 1: problems.
 */
async function doctor(): Promise<number> {
  const { values } = readArguments(
    { options: OPTIONS },
    "expected, if wanted, --stack NAME, --config-file FILE, --fix and --json",
  );
  const context = createContext({ stack: values.stack, configFile: values["config-file"] });
  const found = await runChecks(CHECKS, context);
  const results = values.fix === true ? await fixFindings(found) : found;
  process.stdout.write(values.json === true ? renderJson(results) : renderReport(results));
  return exitCodeOf(results);
}

runScript(doctor);
