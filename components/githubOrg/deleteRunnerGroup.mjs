// Deletes the runner group that the environment names, and is content when it is already gone.
const { GITHUB_API, GITHUB_TOKEN, GITHUB_ORGANIZATION, RUNNER_GROUP_ID } = process.env;

const url = `${GITHUB_API}/orgs/${GITHUB_ORGANIZATION}/actions/runner-groups/${RUNNER_GROUP_ID}`;
const response = await fetch(url, {
  method: "DELETE",
  headers: {
    accept: "application/vnd.github+json",
    authorization: `Bearer ${GITHUB_TOKEN}`,
    "user-agent": "runner-fleet",
  },
  signal: AbortSignal.timeout(30_000),
});
if (!response.ok && response.status !== 404) {
  console.error(
    `GitHub answered ${response.status} to the deletion of runner group ${RUNNER_GROUP_ID}.`,
  );
  process.exitCode = 1;
}
