import { planStack } from "../components/plan/plan";
import { EVENTS_ENVIRONMENT } from "../components/plan/preview";
import { jsonReport, markdownReport, textReport } from "../components/plan/render";
import { BLOCK_REASONS, type BlockReason, type Report } from "../components/plan/report";
import { openStack } from "../components/stack/stack";
import { readArguments, runScript, STACK_OPTIONS } from "./script";

const USAGE =
  "expected, as wanted, --stack NAME, --config-file FILE, --refresh, --json or --markdown, and --allow with stock, budget or runner-version";

/** By outcome: what a pipeline decides by. */
const EXIT_CODES: Readonly<Record<Report["outcome"], number>> = {
  unchanged: 0,
  failed: 1,
  changes: 2,
  blocked: 3,
};

/**
 * Prints what `pulumi up` would do with servers, jobs, money, secrets and workflows, and whether that should be. Run it
 * in the folder with Pulumi.yaml. Reads only.
 */
async function plan(): Promise<number> {
  const { values } = readArguments(
    {
      options: {
        ...STACK_OPTIONS,
        refresh: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        markdown: { type: "boolean", default: false },
        allow: { type: "string", multiple: true, default: [] },
      },
    },
    USAGE,
  );
  const { stack: name, "config-file": configFile, refresh, json, markdown } = values;
  if (json && markdown) throw new Error(`Found both --json and --markdown, ${USAGE}.`);
  const allow = values.allow.flatMap((list) => list.split(",")).map(blockReason);
  const stack = await openStack({
    stack: name,
    configFile,
    environment: { ...process.env, ...EVENTS_ENVIRONMENT },
  });
  const report = await planStack(stack, { refresh, allow });
  process.stdout.write(
    json
      ? jsonReport(report)
      : markdown
        ? markdownReport(report, stack.project)
        : textReport(report),
  );
  return EXIT_CODES[report.outcome];
}

function blockReason(text: string): BlockReason {
  const found = BLOCK_REASONS.find((reason) => reason === text.trim());
  if (found === undefined) {
    throw new Error(
      `--allow: found ${JSON.stringify(text)}, expected ${BLOCK_REASONS.slice(0, -1).join(", ")} or ${BLOCK_REASONS.at(-1)}.`,
    );
  }
  return found;
}

runScript(plan);
