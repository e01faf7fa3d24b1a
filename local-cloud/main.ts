import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalCloud } from ".";
import { engineEnvironment, prepareEngine } from "./engine";
import { run } from "./engine/run";

/** Serves until Ctrl-C. Only `export` lines go to standard output, so they can be pasted or sourced. */
async function main(): Promise<void> {
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const engine = await prepareEngine({ log });
  const state = await mkdtemp(join(tmpdir(), "runner-fleet-cloud-"));
  const cloud = await startLocalCloud({ log });
  const stop = async () => {
    log("local cloud: stopping, hosts and state go");
    await cloud.close();
    await rm(state, { recursive: true, force: true });
  };
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  try {
    const pulumi = engineEnvironment(engine, state, process.env);
    const created = await run("pulumi", ["stack", "init", "dev"], { env: pulumi });
    if (created.code !== 0) throw new Error(`pulumi stack init: ${created.stderr.trim()}`);
    const changed = Object.entries({ ...pulumi, ...cloud.environment }).filter(
      ([name, value]) => process.env[name] !== value,
    );
    for (const [name, value] of changed) {
      process.stdout.write(`export ${name}='${value.replaceAll("'", "'\\''")}'\n`);
    }
    log("local cloud: serving until Ctrl-C; in a second shell, with the lines above: pulumi up");
    await interrupted;
  } finally {
    await stop();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
