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
let repositories = JSON.parse(REPOSITORIES);
/** GitHub allows 5,000 an hour, for everything that we do: a look that takes more is followed by a longer pause. */
const REQUESTS_A_PAUSE = 4;
const ATTEMPTS = 4;
const pollSeconds = Number(POLL_SECONDS);
let requests = 0;
const deadline = Date.now() + Number(TIMEOUT_SECONDS) * 1000;

try {
  for (;;) {
    requests = 0;
    const found = await Promise.all(repositories.map(queuedJobs));
    const queued = found.flat();
    // Nothing is queued any more where nothing is now.
    repositories = repositories.filter((_, index) => found[index].length > 0);
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
    await pause(pollSeconds * Math.max(1, requests / REQUESTS_A_PAUSE));
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
    for (const run of await list(`${root}?status=${status}`, "workflow_runs")) {
      for (const job of await list(`${root}/${run.id}/jobs?filter=latest`, "jobs")) {
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
  const runners = await list(`/orgs/${GITHUB_ORGANIZATION}/actions/runners?`, "runners");
  return runners.filter(
    ({ status, labels: own }) =>
      status === "online" &&
      labels.every((label) => own.some(({ name }) => name.toLowerCase() === label)),
  ).length;
}

/** Everything of a list; GitHub ends lists of runs after a thousand. */
async function list(path, key) {
  const items = [];
  for (let page = 1; page <= 100; page++) {
    const body = await get(`${path}&per_page=100&page=${page}`);
    items.push(...body[key]);
    if (body[key].length < 100) break;
  }
  return items;
}

/** Once more where the network or GitHub is at fault. */
async function get(path) {
  for (let attempt = 1; ; attempt++) {
    requests++;
    try {
      const response = await fetch(`${GITHUB_API}${path}`, {
        headers: {
          accept: "application/vnd.github+json",
          authorization: `Bearer ${GITHUB_TOKEN}`,
          "user-agent": "runner-fleet",
        },
        signal: AbortSignal.timeout(30_000),
      });
      if (response.ok) return await response.json();
      const error = new Error(`GitHub answered ${response.status} to GET ${path}.`);
      error.final = response.status < 500;
      throw error;
    } catch (error) {
      if (error.final || attempt === ATTEMPTS) throw error;
    }
    await pause(pollSeconds * attempt);
  }
}

function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
