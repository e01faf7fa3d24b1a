import { readRetirement } from "./commands";
import { HostError } from "./request";
import { retire } from "./retire";

/** Takes the host that the environment describes out of service: run before its server is deleted. */
async function main(): Promise<void> {
  await retire(readRetirement(process.env), (sentence) => console.error(sentence));
}

main().catch((error: unknown) => {
  if (!(error instanceof HostError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
