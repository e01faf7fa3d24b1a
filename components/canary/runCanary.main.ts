import { HostError } from "../host/request";
import { readCanary } from "./command";
import { runCanary } from "./runCanary";

/** Runs the canary of the host that the environment describes, and prints the address of its run. */
async function main(): Promise<void> {
  const { job, timeoutSeconds } = readCanary(process.env);
  console.log(await runCanary(job, timeoutSeconds));
}

main().catch((error: unknown) => {
  if (!(error instanceof HostError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
