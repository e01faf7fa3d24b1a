// Waits until no job is queued for the runners of a pool that is about to go: nothing routes to it any more, but a job
// that was queued before keeps its labels, and would wait for a day. Ends at once when no runner is left to take them.
const {
  GITHUB_API,
  GITHUB_TOKEN,
  GITHUB_ORGANIZATION,
  RUNNER_LABELS,
  REPOSITORIES,
  TIMEOUT_SECONDS,
  POLL_SECONDS = "5",
} = process.env;

const labels = JSON.parse(RUNNER_LABELS).map((label) => label.toLowerCase());
const repositories = JSON.parse(REPOSITORIES);
const deadline = Date.now() + Number(TIMEOUT_SECONDS) * 1000;

try {
  for (;;) {
    const queued = (await Promise.all(repositories.map(queuedJobs))).flat();
    if (queued.length === 0) break;
    const left = await runnersOnline();
    if (left === 0 || Date.now() > deadline) {
      const [count, jobs, its, runs] =
        queued.length === 1
          ? [1, "job is", "its", "run is"]
          : [queued.length, "jobs are", "their", "runs are"];
      const since = left === 0 ? "No runner is online any more and" : `After ${TIMEOUT_SECONDS} s`;
      const where = [...new Set(queued)].slice(0, 10).join(", ");
      console.error(
        `${since} ${count} ${jobs} still queued for these runners and will wait for a day unless ${its} ${runs} cancelled and started again: ${where}`,
      );
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, Number(POLL_SECONDS) * 1000));
  }
} catch (error) {
  const reason = error.cause?.message ?? error.message;
  // Not a reason to keep servers: what waits can be started again.
  console.error(`GitHub's queue could not be read before the runners go: ${reason}`);
}

/** Addresses of the runs with a queued job that these runners could take. */
async function queuedJobs(repository) {
  const root = `/repos/${GITHUB_ORGANIZATION}/${repository}/actions/runs`;
  const found = [];
  for (const status of ["queued", "in_progress"]) {
    const { workflow_runs: runs } = await get(`${root}?status=${status}&per_page=100`);
    for (const run of runs) {
      const { jobs } = await get(`${root}/${run.id}/jobs?filter=latest&per_page=100`);
      for (const job of jobs) {
        const wanted = job.labels.map((label) => label.toLowerCase());
        if (job.status === "queued" && labels.every((label) => wanted.includes(label))) {
          found.push(run.html_url);
        }
      }
    }
  }
  return found;
}

async function runnersOnline() {
  const { runners } = await get(`/orgs/${GITHUB_ORGANIZATION}/actions/runners?per_page=100`);
  return runners.filter(
    ({ status, labels: own }) =>
      status === "online" &&
      labels.every((label) => own.some(({ name }) => name.toLowerCase() === label)),
  ).length;
}

async function get(path) {
  const response = await fetch(`${GITHUB_API}${path}`, {
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${GITHUB_TOKEN}`,
      "user-agent": "runner-fleet",
    },
    signal: AbortSignal.timeout(30_000),
  });
  if (!response.ok) throw new Error(`GitHub answered ${response.status} to GET ${path}.`);
  return response.json();
}
