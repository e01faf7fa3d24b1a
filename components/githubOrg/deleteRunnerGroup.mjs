// Deletes the runner group that the environment names, and is content when it is already gone.
const { GITHUB_API, GITHUB_TOKEN, GITHUB_ORGANIZATION, RUNNER_GROUP_ID } = process.env;

const url = `${GITHUB_API}/orgs/${GITHUB_ORGANIZATION}/actions/runner-groups/${RUNNER_GROUP_ID}`;
try {
  const { ok, status } = await fetch(url, {
    method: "DELETE",
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${GITHUB_TOKEN}`,
      "user-agent": "runner-fleet",
    },
    signal: AbortSignal.timeout(30_000),
  });
  if (!ok && status !== 404) {
    fail(`GitHub answered ${status} to the deletion of runner group ${RUNNER_GROUP_ID}.`);
  }
} catch (error) {
  const reason = error.cause?.message ?? error.message;
  fail(`GitHub could not be asked to delete runner group ${RUNNER_GROUP_ID}: ${reason}.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exitCode = 1;
}
