import { parseArgs } from "node:util";
import { startLocalCloud } from "../local-cloud";
import { PHASES, type PhaseReport, Scene } from "../local-cloud/story";

/** Plays the whole life of a fleet on the local cloud. With --json, standard output is one JSON object. */
async function demo(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const say = (line: string) => (values.json ? process.stderr : process.stdout).write(`${line}\n`);
  const started = performance.now();
  const cloud = await startLocalCloud({ log: say });
  const stop = () => void cloud.close().finally(() => process.exit(130));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const phases: PhaseReport[] = [];
  try {
    const scene = await Scene.open(cloud);
    try {
      for (const phase of PHASES) {
        say(`\n${phase.name}: ${phase.title}`);
        const report = await scene.play(phase);
        phases.push(report);
        for (const line of describe(report)) say(`  ${line}`);
      }
    } finally {
      await scene.close();
    }
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    const leftovers = {
      hetzner: cloud.hetzner.leftovers(),
      github: cloud.github.leftovers(cloud.organization),
    };
    say(`\nThe whole life in ${seconds} s, on ${cloud.hosts.kind} hosts.`);
    if (values.json) {
      const whole = { hosts: cloud.hosts.kind, seconds, phases, leftovers };
      process.stdout.write(`${JSON.stringify(whole, null, 2)}\n`);
    }
  } finally {
    await cloud.close();
  }
}

function describe(report: PhaseReport): string[] {
  const changes = Object.entries(report.changes).map(([op, count]) => `${count} ${op}`);
  return [
    ...report.shown,
    ...report.jobs.map(
      (job) => `job ${job.name}: ${job.conclusion} on ${job.ranOn} after ${job.seconds} s`,
    ),
    [
      `${report.seconds} s`,
      changes.length === 0 ? "no change" : changes.join(", "),
      `${report.runnersOnline} runners online`,
      `${report.apiCalls.hetzner} calls to Hetzner, ${report.apiCalls.github} to GitHub`,
    ].join("; "),
  ];
}

demo().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
