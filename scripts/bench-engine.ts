import { parseArgs } from "node:util";
import { hundredths, table } from "../bench/format";
import { type LocalCloud, startLocalCloud } from "../local-cloud";
import type { LoggedRequest } from "../local-cloud/core/traffic";
import { openStack } from "../local-cloud/pulumi";

interface Row {
  readonly run: string;
  /** Wall time of the whole command. */
  readonly seconds: number;
  readonly calls: number;
  /** Time that the APIs took to answer, all calls added up. */
  readonly callSeconds: number;
  /** `seconds` to `callSeconds`: below 1, calls went side by side; above, the engine and SSH took the rest. */
  readonly ratio: number;
}

/**
 * How much of a run is the APIs and how much the engine: every call is answered after `--latency` milliseconds
 * (default 100), as over a network, and the wall time of each command is compared with the sum of its calls.
 */
async function bench(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      latency: { type: "string", default: "100" },
    },
  });
  const latency = Number(values.latency);
  if (!Number.isInteger(latency) || latency < 0 || latency > 5_000) {
    throw new Error(`--latency: found ${values.latency}, expected milliseconds from 0 to 5000.`);
  }
  // How long servers boot is no matter of the engine.
  const cloud = await startLocalCloud({ hosts: "thin" });
  try {
    const stack = await openStack(cloud, { log: () => undefined });
    try {
      delayAll(cloud, latency);
      const rows: Row[] = [];
      const measure = async (run: string, ...command: Parameters<typeof stack.run>) => {
        const from = cloud.traffic.requests.length;
        const { code, output, seconds } = await stack.run(...command);
        if (code !== 0) throw new Error(`${run} failed: ${output}`);
        rows.push(summarize(run, seconds, cloud.traffic.requests.slice(from)));
      };
      await measure("first up", "up");
      await measure("preview, no change", "preview");
      await measure("up, no change", "up");
      await stack.configure({ "pools.arm64.count": 2 });
      await measure("up, one more host", "up");
      await measure("refresh", "refresh");
      await measure("destroy", "destroy");
      process.stdout.write(
        values.json ? `${JSON.stringify({ latency, rows }, null, 2)}\n` : text(latency, rows),
      );
    } finally {
      await stack.remove();
    }
  } finally {
    await cloud.close();
  }
}

function delayAll(cloud: LocalCloud, ms: number): void {
  for (const side of ["hetzner", "github"] as const) {
    // What runners say to GitHub's queue is no call of a provider.
    cloud.traffic.addFault({
      side,
      path: /^\/(?!_)/,
      times: Number.POSITIVE_INFINITY,
      effect: { kind: "delay", ms },
    });
  }
}

function summarize(run: string, seconds: number, requests: readonly LoggedRequest[]): Row {
  const calls = requests.filter(({ path }) => !path.startsWith("/_"));
  const callSeconds = calls.reduce((sum, { duration }) => sum + duration, 0) / 1000;
  return {
    run,
    seconds: hundredths(seconds),
    calls: calls.length,
    callSeconds: hundredths(callSeconds),
    ratio: hundredths(seconds / callSeconds),
  };
}

function text(latency: number, rows: readonly Row[]): string {
  const lines = [
    ["run", "seconds", "API calls", "their sum in s", "ratio"],
    ...rows.map((row) => [row.run, row.seconds, row.calls, row.callSeconds, row.ratio].map(String)),
  ];
  return `Every API call is answered after ${latency} ms.\n\n${table(lines, [1, 2, 3, 4])}\n`;
}

bench().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
