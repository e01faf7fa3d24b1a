import { readAwaited } from "./commands";
import { HostError } from "./request";
import { waitOnline } from "./waitOnline";

/** Ends when every runner of the host that the environment describes is online. */
async function main(): Promise<void> {
  const { runners, timeoutSeconds } = readAwaited(process.env);
  await waitOnline(runners, timeoutSeconds);
}

main().catch((error: unknown) => {
  if (!(error instanceof HostError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
