import { join } from "node:path";
import { parseArgs } from "node:util";
import { hundredths, table } from "../bench/format";
import { startLocalCloud } from "../local-cloud";
import { run } from "../local-cloud/engine/run";
import { openStack } from "../local-cloud/pulumi";

const PROJECT = join(__dirname, "..");

/**
 * What a plan takes beside the preview in it: both commands of one stack on the local cloud, in turn, `--rounds` times
 * (default 3), and the medians of their wall time.
 */
async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      rounds: { type: "string", default: "3" },
    },
  });
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 20) {
    throw new Error(`--rounds: found ${values.rounds}, expected a whole number from 1 to 20.`);
  }
  const cloud = await startLocalCloud({ hosts: "thin" });
  try {
    const stack = await openStack(cloud, { log: () => undefined });
    try {
      const up = await stack.run("up");
      if (up.code !== 0) throw new Error(`up failed: ${up.output}`);
      // A change, so that there is something to say.
      await stack.configure({ "pools.arm64.count": 2 });
      const file = ["--stack", "dev", "--config-file", stack.configFile];
      const timed = async (program: string, args: string[], expected: number) => {
        const started = performance.now();
        const { code, stderr } = await run(program, args, { cwd: PROJECT, env: stack.environment });
        if (code !== expected) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}`);
        return (performance.now() - started) / 1000;
      };
      const [previews, plans]: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        previews.push(await timed("pulumi", ["preview", "--non-interactive", ...file], 0));
        plans.push(
          await timed(process.execPath, ["--import", "tsx", "scripts/plan.ts", ...file], 2),
        );
      }
      const [preview, plan] = [median(previews), median(plans)];
      const result = {
        rounds,
        preview: hundredths(preview),
        plan: hundredths(plan),
        difference: hundredths(plan - preview),
        ratio: hundredths(plan / preview),
      };
      process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : text(result));
    } finally {
      await stack.remove();
    }
  } finally {
    await cloud.close();
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function text(result: {
  readonly rounds: number;
  readonly preview: number;
  readonly plan: number;
  readonly difference: number;
  readonly ratio: number;
}): string {
  const { rounds, preview, plan, difference, ratio } = result;
  const lines = [
    ["preview in s", "plan in s", "difference in s", "ratio"],
    [preview, plan, difference, ratio].map(String),
  ];
  return `Medians of ${rounds} rounds.\n\n${table(lines, [0, 1, 2, 3])}\n`;
}

bench().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
