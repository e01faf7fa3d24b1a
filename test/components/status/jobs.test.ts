import assert from "node:assert/strict";
import { type JobCache, readJobHistory } from "../../../components/status/jobs";
import { githubApi } from "../../../components/preflight/facts";
import { type FakeAnswer, fakeFetch } from "../preflight/fakeFetch";

const FROM = new Date("2026-10-27T12:00:00.123Z");
const ROOT = "https://api.github.com/repos/acme";
const RUNS = "actions/runs?created=%3E%3D2026-10-27T12%3A00%3A00Z&per_page=100&page=1";

const run = (id: number, created_at: string, status = "completed") => ({
  id,
  status,
  run_attempt: 1,
  created_at,
});
const jobs = (...ids: number[]): FakeAnswer => ({
  body: {
    jobs: ids.map((id) => ({
      id,
      name: `job ${id}`,
      workflow_name: "image",
      status: "completed",
      conclusion: "success",
      created_at: `2026-11-20T00:00:0${id}Z`,
      started_at: `2026-11-20T00:01:0${id}Z`,
      completed_at: id === 3 ? null : `2026-11-20T00:02:0${id}Z`,
      labels: ["self-hosted"],
      runner_name: id === 3 ? "" : "dev-arm64-1-1-1-abc123",
      runner_group_id: id === 3 ? null : 4,
    })),
  },
});
const jobsOf = (repository: string, id: number) =>
  `${ROOT}/${repository}/actions/runs/${id}/jobs?filter=all&per_page=100&page=1`;
const runs = (...list: ReturnType<typeof run>[]): FakeAnswer => ({
  body: { total_count: list.length, workflow_runs: list },
});

const ANSWERS: Readonly<Record<string, FakeAnswer>> = {
  [`${ROOT}/webppt`]: { body: { private: true } },
  [`${ROOT}/webppt/${RUNS}`]: runs(
    run(11, "2026-11-20T10:00:00Z", "in_progress"),
    run(10, "2026-11-18T10:00:00Z"),
  ),
  [jobsOf("webppt", 11)]: jobs(3),
  [jobsOf("webppt", 10)]: jobs(1),
  [`${ROOT}/site`]: { body: { private: false } },
  [`${ROOT}/site/${RUNS}`]: runs(run(20, "2026-11-19T10:00:00Z")),
  [jobsOf("site", 20)]: jobs(2),
  [`${ROOT}/gone`]: { status: 404 },
  [`${ROOT}/gone/${RUNS}`]: { status: 404 },
};

const look = (maxRuns: number, cache?: JobCache) => {
  const fake = fakeFetch(ANSWERS);
  const api = githubApi({ token: "ghp_abc", endpoint: undefined }, { fetch: fake.fetch });
  const read = readJobHistory(api, "acme", ["webppt", "site", "gone"], FROM, maxRuns, cache);
  return read.then((history) => ({ history, fake }));
};

describe("readJobHistory", () => {
  it("reads the jobs of all repositories, the newest first", async () => {
    const { history, fake } = await look(100);
    assert.deepEqual(fake.unknown, []);
    assert.deepEqual(
      history.jobs.map((job) => [
        job.id,
        job.repository,
        job.private,
        job.runner,
        job.runnerGroup,
        job.completedAt,
      ]),
      [
        [3, "webppt", true, undefined, undefined, undefined],
        [2, "site", false, "dev-arm64-1-1-1-abc123", 4, new Date("2026-11-20T00:02:02Z")],
        [1, "webppt", true, "dev-arm64-1-1-1-abc123", 4, new Date("2026-11-20T00:02:01Z")],
      ],
    );
    assert.deepEqual([history.runs, history.truncated, history.from], [3, false, FROM]);
  });

  it("looks at the newest runs alone and says how far back they go", async () => {
    const { history, fake } = await look(2);
    assert.deepEqual(
      history.jobs.map(({ id }) => id),
      [3, 2],
    );
    assert.deepEqual(
      [history.runs, history.truncated, history.from],
      [2, true, new Date("2026-11-19T10:00:00Z")],
    );
    assert.ok(!fake.requests.includes(`GET ${jobsOf("webppt", 10)}`));
  });

  it("does not ask again for the jobs of a run that is done", async () => {
    const cache: JobCache = new Map();
    const first = await look(100, cache);
    const { history, fake } = await look(100, cache);
    assert.deepEqual(history, first.history);
    assert.deepEqual(
      fake.requests.filter((request) => request.includes("/jobs?")),
      [`GET ${jobsOf("webppt", 11)}`],
    );
  });
});
