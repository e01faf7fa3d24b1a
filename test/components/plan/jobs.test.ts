import assert from "node:assert/strict";
import { queuedFor, readJobs, runningOn } from "../../../components/plan/jobs";
import { Api } from "../../../components/preflight/api";

const RUNS = "/repos/acme/webppt/actions/runs";

/** GitHub's answers by path; others are 404. */
function github(answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = [];
  const api = new Api(
    "GitHub's API",
    "https://github.test",
    "token",
    {},
    {
      fetch: (url) => {
        const path = (url as string).replace("https://github.test", "");
        asked.push(path);
        const body = answers[path];
        return Promise.resolve(
          Response.json(body ?? {}, { status: body === undefined ? 404 : 200 }),
        );
      },
    },
  );
  return { api, asked };
}

const runners = (page: number) => `/orgs/acme/actions/runners?per_page=100&page=${page}`;
const runs = (status: string) => `${RUNS}?status=${status}&per_page=100`;
const jobsOf = (run: number) => `${RUNS}/${run}/jobs?filter=latest&per_page=100`;
const job = (status: string, ...labels: string[]) => ({ status, labels });

const ANSWERS = {
  [runners(1)]: {
    runners: [
      { name: "dev-arm64-1-1-1-x7k2p9", busy: true },
      { name: "dev-arm64-1-1-2-a1b2c3", busy: false },
    ],
  },
  [runs("queued")]: { total_count: 1, workflow_runs: [{ id: 1 }] },
  [runs("in_progress")]: { total_count: 1, workflow_runs: [{ id: 2 }] },
  [jobsOf(1)]: { total_count: 1, jobs: [job("queued", "self-hosted", "docker")] },
  [jobsOf(2)]: {
    total_count: 3,
    jobs: [job("completed", "self-hosted"), job("in_progress", "x"), job("queued", "ubuntu-24.04")],
  },
};

describe("readJobs", () => {
  it("has the busy runners, and the labels of what waits in runs that are not done", async () => {
    const { api } = github(ANSWERS);
    assert.deepEqual(await readJobs(api, "acme", ["webppt"]), {
      busy: ["dev-arm64-1-1-1-x7k2p9"],
      queued: [["self-hosted", "docker"], ["ubuntu-24.04"]],
      complete: true,
    });
  });

  it("reads all pages of runners", async () => {
    const page = Array.from({ length: 100 }, (_, index) => ({ name: `r-${index}`, busy: false }));
    const { api, asked } = github({
      [runners(1)]: { runners: page },
      [runners(2)]: { runners: [{ name: "last", busy: true }] },
    });
    assert.deepEqual((await readJobs(api, "acme", [])).busy, ["last"]);
    assert.deepEqual(asked, [runners(1), runners(2)]);
  });

  it("has no jobs of a repository that is not there", async () => {
    const { api } = github({ [runners(1)]: { runners: [] } });
    assert.deepEqual(await readJobs(api, "acme", ["gone"]), {
      busy: [],
      queued: [],
      complete: true,
    });
  });

  for (const [what, change] of [
    ["runs", { [runs("queued")]: { total_count: 101, workflow_runs: [{ id: 1 }] } }],
    ["jobs", { [jobsOf(1)]: { total_count: 101, jobs: [job("queued", "self-hosted")] } }],
  ] as const) {
    it(`says so where there are more ${what} than it looks at`, async () => {
      const { api } = github({ ...ANSWERS, ...change });
      assert.equal((await readJobs(api, "acme", ["webppt"])).complete, false);
    });
  }
});

describe("runningOn", () => {
  it("counts the runners of the host's own slots", () => {
    const busy = [
      "dev-arm64-1-1-1-x7k2p9",
      "dev-arm64-1-1-12-a1b2c3",
      // Hosts 11 and of pool arm64-1, a runner that somebody else has, and one of another stack.
      "dev-arm64-1-11-1-x7k2p9",
      "dev-arm64-1-1-1-1-x7k2p9",
      "dev-arm64-1-1-large-x7k2p9",
      "old-dev-arm64-1-1-1-x7k2p9",
    ];
    assert.equal(runningOn("dev-arm64-1-1", { busy }), 2);
  });
});

describe("queuedFor", () => {
  it("counts the jobs that ask for all labels at least, in any case", () => {
    const queued = [
      ["self-hosted", "Linux", "ARM64", "Docker"],
      ["SELF-HOSTED", "docker"],
      ["self-hosted"],
      ["docker"],
      [],
    ];
    assert.equal(queuedFor(["self-hosted", "docker"], { queued }), 2);
  });
});
