import { writeFile } from "node:fs/promises";
import { renderChart } from "../bench/build/chart";
import { measure } from "../bench/build/measure";
import { parseOptions, USAGE } from "../bench/build/options";
import { buildReport, formatReport } from "../bench/build/report";
import { installPackages } from "../local-cloud/hosts/debian";
import { untilInterrupted } from "./untilInterrupted";

const DEBIAN_PACKAGES = ["docker-registry", "qemu-user-static", "runc"];

/** How much faster the hybrid builds an image than one job with QEMU, measured on this machine. */
async function bench(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    process.stdout.write(USAGE);
    return;
  }
  const log = (line: string) => process.stderr.write(`bench: ${line}\n`);
  const report = await untilInterrupted(async () => {
    await installPackages(DEBIAN_PACKAGES, log);
    const { environment, measurements } = await measure(options, log);
    return buildReport(environment, measurements);
  });
  if (options.svg !== undefined) await writeFile(options.svg, renderChart(report));
  process.stdout.write(
    options.json ? `${JSON.stringify(report, null, 2)}\n` : `\n${formatReport(report)}`,
  );
}

bench().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
