import { settleQueue } from "./settleQueue";

/** Waits for the queue that the environment describes: run before the hosts of a pool go. */
async function main(): Promise<void> {
  const { GITHUB_API = "", GITHUB_TOKEN = "", GITHUB_ORGANIZATION = "" } = process.env;
  const { RUNNER_LABELS = "[]", REPOSITORIES = "[]", TIMEOUT_SECONDS } = process.env;
  await settleQueue(
    {
      github: { name: "GitHub", baseUrl: GITHUB_API, token: GITHUB_TOKEN },
      organization: GITHUB_ORGANIZATION,
      labels: JSON.parse(RUNNER_LABELS) as string[],
      repositories: JSON.parse(REPOSITORIES) as string[],
    },
    Number(TIMEOUT_SECONDS),
    (sentence) => console.error(sentence),
  );
}

main().catch((error: unknown) => {
  // Not a reason to keep servers: what waits can be started again.
  console.error(
    `GitHub's queue could not be read before the runners go: ${error instanceof Error ? error.message : String(error)}`,
  );
});
