import { parseArgs } from "node:util";
import { hundredths, seconds as shown } from "../bench/format";
import { type FleetStatus } from "../components/status/model";
import { startLocalCloud } from "../local-cloud";
import { run } from "../local-cloud/engine/run";
import { openStack } from "../local-cloud/pulumi";
import { untilInterrupted } from "./untilInterrupted";

const HELP = `Usage: npm run bench:status -- [options]

How long \`npm run status\` takes on thin hosts of the local cloud, the start of its process included, beside one
\`pulumi stack export\`, which it cannot do without. Takes some minutes, most of them for the hosts.

  --hosts N   servers beside the token service's, 1 to 50; default 20
  --times N   how often each is run, 1 to 20; default 5; the middle one counts
  --json      print JSON
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      hosts: { type: "string", default: "20" },
      times: { type: "string", default: "5" },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const hosts = number("--hosts", values.hosts, 50);
  const times = number("--times", values.times, 20);
  const result = await untilInterrupted(() => measure(hosts, times));
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result, null, 2)}\n`
      : `${hosts} hosts: status takes ${shown(result.statusSeconds)} s, pulumi stack export alone ${shown(result.exportSeconds)} s.\n`,
  );
}

async function measure(hosts: number, times: number) {
  const cloud = await startLocalCloud({ hosts: "thin" });
  try {
    const stack = await openStack(cloud);
    try {
      await stack.configure({ "pools.arm64.count": hosts });
      const { code, output } = await stack.run("up");
      if (code !== 0) throw new Error(output);
      const environment = { env: stack.environment, cwd: process.cwd() };
      const config = ["--stack", "dev", "--config-file", stack.configFile];
      const script = ["--import", "tsx", "scripts/status.ts", "--json", ...config];
      const status = await middle(times, async () => {
        const found = await run(process.execPath, script, environment);
        if (found.code !== 0) throw new Error(found.stderr);
        const { hosts: seen, problems } = JSON.parse(found.stdout) as FleetStatus;
        const answered = seen.filter(({ reach }) => reach === "answers").length;
        if (answered !== hosts || problems.length > 0) {
          throw new Error(
            `${answered} of ${hosts} hosts answered. ${problems.join(" ")}`.trimEnd(),
          );
        }
      });
      const exported = await middle(times, async () => {
        await run(
          "pulumi",
          ["stack", "export", "--stack", "dev", "--non-interactive"],
          environment,
        );
      });
      return { hosts, times, statusSeconds: status, exportSeconds: exported };
    } finally {
      await stack.run("destroy");
      await stack.remove();
    }
  } finally {
    await cloud.close();
  }
}

/** Seconds that the work takes, the middle one of several. */
async function middle(times: number, work: () => Promise<void>): Promise<number> {
  const taken: number[] = [];
  for (let count = 0; count < times; count++) {
    const started = performance.now();
    await work();
    taken.push((performance.now() - started) / 1000);
  }
  taken.sort((one, other) => one - other);
  return hundredths(taken[Math.floor(taken.length / 2)]!);
}

function number(option: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new Error(`${option}: found ${text}, expected a whole number from 1 to ${max}.`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
