import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { parse } from "yaml";
import { markdownReport } from "../components/plan/render";
import type { Report } from "../components/plan/report";
import { parsePairs } from "../local-cloud/actions/commands";
import { Expressions } from "../local-cloud/actions/expressions";
import { needs } from "./components/host/onPath";
import { UNCHANGED as UNCHANGED_REPORT } from "./components/plan/unchanged";

/**
 * This project's own workflows, run as a runner does: conditions by GitHub's evaluator, scripts by bash. Programs that
 * they call are played by scripts, so this shows what the workflows decide, not what `npm run plan` or GitHub do.
 */

const FOLDER = join(__dirname, "../.github/workflows");

interface Step {
  readonly name: string;
  readonly id?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly run?: string;
}
interface Job {
  readonly needs?: string;
  readonly if?: string;
  readonly environment?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly outputs?: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
}
interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const load = (name: string) => parse(readFileSync(join(FOLDER, name), "utf8")) as Workflow;

/** Ends as the file `code` says, and prints what `plan` holds; `engine` says how the engine is found. */
const NPM = `#!/bin/bash
echo "$*" >>"$STAND_IN/npm"
case "$*" in
  "run --silent engine:path") echo "$STAND_IN/bin"; exit "$(cat "$STAND_IN/engine")" ;;
  "run --silent plan "*) cat "$STAND_IN/plan"; exit "$(cat "$STAND_IN/code")" ;;
  "run --silent up "*) exit "$(cat "$STAND_IN/up")" ;;
esac
exit 99
`;

/** Answers a list from the file \`list\` by the caller's own filter, and notes each write as one line of JSON. */
const GH = `#!/bin/bash
set -eu
for word; do
  if [[ "$word" == --jq ]]; then exec jq --raw-output "\${*: -1}" "$STAND_IN/list"; fi
done
jq --null-input --compact-output '$ARGS.positional' --args -- "$@" >>"$STAND_IN/gh"
`;

const STACK = "dev";
const RUN = "https://github.com/acme/fleet/actions/runs/7";

const REPORT: Report = { ...UNCHANGED_REPORT, cost: undefined };
const planOf = (change: Partial<Report>) =>
  markdownReport({ ...REPORT, ...change }, "runner-fleet");
const UNCHANGED = planOf({});
const CHANGES = planOf({ outcome: "changes", others: { update: 1 } });
const BLOCKED = planOf({
  outcome: "blocked",
  blocks: [
    { reason: "stock", sentence: "no cax21 can be ordered", allowed: false },
    { reason: "runner-version", sentence: "it ended", allowed: false },
  ],
});
const FAILED = planOf({ outcome: "failed", problems: ["fleet:a: no."] });

type Result = "success" | "failure" | "skipped";
interface Played {
  readonly results: Readonly<Record<string, Result>>;
  /** What was given to npm, by call, without the engine's path. */
  readonly npm: readonly string[];
  /** Requests that write, as the words after `gh api --silent`. */
  readonly gh: readonly (readonly string[])[];
  readonly summary: string;
  readonly stdout: string;
}

interface Setting {
  /** Of \`npm run plan\`. */
  readonly code?: number;
  readonly plan?: string;
  readonly engine?: number;
  /** Of \`npm run up\`. */
  readonly up?: number;
  /** Issues or comments that there are. */
  readonly list?: readonly unknown[];
  readonly variables?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
  /** Repository of the pull request's branch. */
  readonly head?: string;
  /** Programs beside npm and gh. */
  readonly programs?: Readonly<Record<string, string>>;
}

describe("the workflows of this project", () => {
  let expressions: Expressions;
  before(async function () {
    needs(this, "jq", "--version");
    expressions = await Expressions.load();
  });
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "workflows-"));
    mkdirSync(join(folder, "bin"));
    for (const name of ["before", "after"]) mkdirSync(join(folder, name));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const text = (name: string) =>
    existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "";
  const lines = (name: string) => text(name).split("\n").slice(0, -1);

  /** Runs the jobs in their order: their scripts but for the set-up, each as far as the first that fails. */
  function play({ jobs }: Workflow, setting: Setting): Played {
    const programs = { npm: NPM, gh: GH, ...setting.programs };
    for (const [name, script] of Object.entries(programs)) {
      writeFileSync(join(folder, "bin", name), script, { mode: 0o755 });
    }
    writeFileSync(join(folder, "plan"), setting.plan ?? "");
    writeFileSync(join(folder, "list"), JSON.stringify(setting.list ?? []));
    for (const name of ["code", "engine", "up"] as const) {
      writeFileSync(join(folder, name), String(setting[name] ?? 0));
    }
    const contexts = {
      vars: setting.variables ?? { FLEET_STACK: STACK, FLEET_PREVIEW_STACK: STACK },
      secrets: {},
      inputs: setting.inputs ?? {},
      github: {
        repository: "acme/fleet",
        server_url: "https://github.com",
        run_id: "7",
        token: "t",
        event: {
          pull_request: { number: 5, head: { repo: { full_name: setting.head ?? "acme/fleet" } } },
        },
      },
    };
    const done: Record<string, { result: Result; outputs: Record<string, string> }> = {};
    let stdout = "";
    for (const [name, job] of Object.entries(jobs)) {
      const before = job.needs === undefined ? undefined : done[job.needs];
      const isGood = before === undefined || before.result === "success";
      const scope = {
        contexts: { ...contexts, needs: job.needs === undefined ? {} : { [job.needs]: before } },
        functions: {
          success: () => isGood,
          failure: () => !isGood,
          always: () => true,
          cancelled: () => false,
        },
      };
      if (!expressions.condition(job.if ?? "", scope)) {
        done[name] = { result: "skipped", outputs: {} };
        continue;
      }
      const steps: Record<string, { outputs: Record<string, string> }> = {};
      let result: Result = "success";
      for (const step of job.steps) {
        if (step.run === undefined || step.name === "Install modules") continue;
        const variables = Object.entries({ ...job.env, ...step.env }).map(([key, value]) => [
          key,
          expressions.text(value, scope),
        ]);
        writeFileSync(join(folder, "output"), "");
        const ran = spawnSync(
          "bash",
          ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.run],
          {
            cwd: folder,
            encoding: "utf8",
            timeout: 20_000,
            env: {
              PATH: [join(folder, "bin"), process.env.PATH].join(delimiter),
              STAND_IN: folder,
              GITHUB_OUTPUT: join(folder, "output"),
              GITHUB_STEP_SUMMARY: join(folder, "summary"),
              ...(Object.fromEntries(variables) as Record<string, string>),
            },
          },
        );
        if (ran.error) throw ran.error;
        stdout += ran.stdout;
        if (step.id !== undefined) {
          steps[step.id] = { outputs: Object.fromEntries(parsePairs(text("output"))) };
        }
        if (ran.status !== 0) {
          result = "failure";
          break;
        }
      }
      const outputs = Object.entries(job.outputs ?? {}).map(([key, value]) => [
        key,
        expressions.text(value, { contexts: { ...scope.contexts, steps } }),
      ]);
      done[name] = { result, outputs: Object.fromEntries(outputs) as Record<string, string> };
    }
    return {
      results: Object.fromEntries(Object.entries(done).map(([name, one]) => [name, one.result])),
      npm: lines("npm").filter((line) => line !== "run --silent engine:path"),
      gh: lines("gh").map((line) => (JSON.parse(line) as string[]).slice(2)),
      summary: text("summary"),
      stdout,
    };
  }

  describe("drift.yml", () => {
    const drift = load("drift.yml");
    const marker = `<!-- drift of ${STACK} -->`;
    const bot = { login: "github-actions[bot]" };
    const OURS = { number: 12, user: bot, body: `${marker}\n\nold`, pull_request: null };
    const OTHERS = [
      { ...OURS, number: 8, body: null },
      { ...OURS, number: 9, user: { login: "somebody" } },
      { ...OURS, number: 10, pull_request: {} },
      { ...OURS, number: 11, body: "<!-- drift of dev-2 -->" },
    ];
    const issues = "repos/acme/fleet/issues";
    const drifted = {
      title: "Stack dev has drifted",
      body: `${marker}\n\nWhat there is differs from what the state or the configuration says. \`npm run up\` would do this:\n\n${CHANGES.trimEnd()}\n\n${RUN}`,
    };
    const blocked = {
      title: "Stack dev: the next run is blocked by stock, runner-version",
      body: `${marker}\n\nWhat the next \`npm run up\` would do is **blocked by stock, runner-version**: the end of the plan says why. A person has to decide; \`--allow\` lets a reason pass, except where the program itself refuses to run.\n\n${BLOCKED.trimEnd()}\n\n${RUN}`,
    };
    const write = (method: string, path: string, fields: Record<string, string>) => [
      "--method",
      method,
      path,
      ...Object.entries(fields).flatMap(([key, value]) => ["--raw-field", `${key}=${value}`]),
    ];
    const close = write("PATCH", `${issues}/12`, { state: "closed", state_reason: "completed" });

    const cases: readonly [what: string, Setting, issue: Result, ...gh: string[][]][] = [
      ["0 without an issue: nothing", { code: 0, plan: UNCHANGED, list: OTHERS }, "success"],
      [
        "0: closes the issue",
        { code: 0, plan: UNCHANGED, list: [...OTHERS, OURS] },
        "success",
        close,
      ],
      [
        "2 without an issue: opens one that says what",
        { code: 2, plan: CHANGES, list: OTHERS },
        "success",
        write("POST", issues, drifted),
      ],
      [
        "2: brings the issue up to date, its title too",
        { code: 2, plan: CHANGES, list: [OURS] },
        "success",
        write("PATCH", `${issues}/12`, drifted),
      ],
      [
        "3 without an issue: opens one that says by what it is blocked",
        { code: 3, plan: BLOCKED },
        "success",
        write("POST", issues, blocked),
      ],
      [
        "3: brings the issue up to date, its title too",
        { code: 3, plan: BLOCKED, list: [OURS] },
        "success",
        write("PATCH", `${issues}/12`, blocked),
      ],
      ["3 without a reason in the plan: no issue", { code: 3, plan: CHANGES }, "failure"],
    ];
    for (const [what, setting, issue, ...gh] of cases) {
      it(`for exit code ${what}`, () => {
        const played = play(drift, setting);
        assert.deepEqual(played.results, { plan: "success", issue }, played.stdout);
        assert.deepEqual(played.gh, gh);
        assert.equal(played.summary, setting.plan);
        assert.deepEqual(played.npm, ["run --silent plan -- --stack dev --refresh --markdown"]);
      });
    }

    for (const [what, setting, exit] of [
      ["1, with a plan that says why", { code: 1, plan: FAILED }, 1],
      ["1, before there is anything to say", { code: 1 }, 1],
      ["137, killed in the middle", { code: 137, plan: CHANGES.slice(0, 40) }, 137],
    ] as const) {
      it(`for exit code ${what}: is red and leaves the issue alone`, () => {
        const { results, gh, stdout, summary } = play(drift, { ...setting, list: [OURS] });
        assert.deepEqual(results, { plan: "failure", issue: "skipped" });
        assert.deepEqual(gh, []);
        assert.equal(
          stdout,
          `::error::There is no plan of dev (exit code ${exit}): nobody knows whether something differs.\n`,
        );
        assert.equal(summary.trim(), ("plan" in setting ? setting.plan : "").trim());
      });
    }

    it("is red where the engine cannot be had", () => {
      const { results, npm } = play(drift, { engine: 1, list: [OURS] });
      assert.deepEqual([results, npm], [{ plan: "failure", issue: "skipped" }, []]);
    });

    it("does nothing without a stack", () => {
      const { results, npm } = play(drift, { variables: {} });
      assert.deepEqual([results, npm], [{ plan: "skipped", issue: "skipped" }, []]);
    });
  });

  describe("preview.yml", () => {
    const preview = load("preview.yml");
    const { "local-cloud": local, ...own } = preview.jobs;
    const comments = "repos/acme/fleet/issues/5/comments";
    const [marker] = UNCHANGED.split("\n");
    const bot = { login: "github-actions[bot]" };

    for (const [what, code, plan, comment, error] of [
      ["0: green, with a comment", 0, UNCHANGED, "success", ""],
      ["2: green, with a comment", 2, CHANGES, "success", ""],
      [
        "3: red, with a comment",
        3,
        BLOCKED,
        "failure",
        "The plan is blocked: the comment says by what.",
      ],
      [
        "1 with a plan that says why: red, with a comment",
        1,
        FAILED,
        "failure",
        "There is no plan: the comment says why.",
      ],
    ] as const) {
      it(`for exit code ${what}`, () => {
        const played = play({ ...preview, jobs: own }, { code, plan });
        assert.deepEqual(played.results, { plan: "success", comment });
        assert.deepEqual(played.gh, [
          ["--method", "POST", comments, "--raw-field", `body=${plan.trimEnd()}`],
        ]);
        assert.equal(played.stdout, error && `::error::${error}\n`);
        assert.equal(played.summary, plan);
        assert.deepEqual(played.npm, ["run --silent plan -- --stack dev --markdown"]);
      });
    }

    it("for exit code 1 before there is anything to say: red, without a comment", () => {
      const { results, gh, stdout } = play({ ...preview, jobs: own }, { code: 1 });
      assert.deepEqual(results, { plan: "failure", comment: "skipped" });
      assert.deepEqual(gh, []);
      assert.equal(stdout, "::error::There is no plan of dev (exit code 1).\n");
    });

    it("writes over its own comment, and no other", () => {
      const list = [
        { id: 1, user: { login: "somebody" }, body: marker },
        { id: 2, user: bot, body: "something else" },
        { id: 3, user: bot, body: `${marker}\nold` },
      ];
      const { gh } = play({ ...preview, jobs: own }, { code: 2, plan: CHANGES, list });
      assert.deepEqual(gh, [
        [
          ...["--method", "PATCH", "repos/acme/fleet/issues/comments/3"],
          ...["--raw-field", `body=${CHANGES.trimEnd()}`],
        ],
      ]);
    });

    const withStack = { FLEET_STACK: STACK, FLEET_PREVIEW_STACK: STACK };
    /** The jobs that plan. */
    const plannedOn = (head: string, variables: Readonly<Record<string, string>>) => {
      const jobs = { ...own, "local-cloud": { ...local!, steps: [] } };
      const { results } = play({ ...preview, jobs }, { plan: UNCHANGED, head, variables });
      assert.equal(results.comment, results.plan);
      return Object.keys(results).filter((job) => job !== "comment" && results[job] === "success");
    };

    it("plans the local cloud's stack for a branch, unless somebody has asked for plans of another", () => {
      assert.deepEqual(plannedOn("acme/fleet", { FLEET_STACK: STACK }), ["local-cloud"]);
      assert.deepEqual(plannedOn("acme/fleet", {}), ["local-cloud"]);
      assert.deepEqual(plannedOn("acme/fleet", withStack), ["plan"]);
    });

    it("plans the local cloud's stack for a fork, whatever the variables say", () => {
      assert.deepEqual(plannedOn("somebody/fleet", withStack), ["local-cloud"]);
      assert.deepEqual(plannedOn("somebody/fleet", {}), ["local-cloud"]);
    });

    it("has no secret where it plans the local cloud's stack", () => {
      assert.equal(local!.environment, undefined);
      assert.doesNotMatch(JSON.stringify(local), /secrets\.|github\.token/);
    });

    const CLOUD = `#!/bin/bash
echo "export FLEET=here"
echo "serving until" >&2
trap 'echo gone >"$STAND_IN/cloud"; exit' INT
while :; do sleep 0.05; done
`;
    const PULUMI = `#!/bin/bash
[[ "$FLEET" == here ]] && echo "$*" >"$STAND_IN/pulumi"
`;
    for (const [what, code, result, error] of [
      ["0", 0, "success", ""],
      ["2", 2, "success", ""],
      ["3", 3, "failure", "The plan is blocked: the summary says by what."],
      ["1", 1, "failure", "There is no plan (exit code 1)."],
    ] as const) {
      it(`for exit code ${what} on the local cloud: ${result}, and the cloud is gone`, () => {
        const played = play(
          { ...preview, jobs: { "local-cloud": local! } },
          { code, plan: CHANGES, variables: {}, programs: { node: CLOUD, pulumi: PULUMI } },
        );
        assert.deepEqual(played.results, { "local-cloud": result }, played.stdout);
        assert.equal(played.stdout, error && `::error::${error}\n`);
        assert.equal(played.summary, CHANGES);
        assert.equal(text("cloud"), "gone\n");
        assert.equal(text("pulumi"), "up --stack dev --yes --skip-preview --non-interactive\n");
      });
    }
  });

  describe("up.yml", () => {
    const workflow = load("up.yml");
    const plan = "run --silent plan -- --stack dev --markdown";
    const up = "run --silent up -- --stack dev --for 240 -- --yes --non-interactive";

    for (const [what, setting, results, npm, error] of [
      ["0: nobody is asked", { plan: UNCHANGED }, ["success", "skipped"], [plan], ""],
      ["2: asks and runs", { code: 2, plan: CHANGES }, ["success", "success"], [plan, up], ""],
      [
        "2, and a run that fails: red",
        { code: 2, plan: CHANGES, up: 1 },
        ["success", "failure"],
        [plan, up],
        "",
      ],
      [
        "3: red, and nobody is asked",
        { code: 3, plan: BLOCKED },
        ["failure", "skipped"],
        [plan],
        "The plan is blocked: the summary says by what. Run this workflow by hand with those reasons in allow to go on.",
      ],
      [
        "2 with reasons that may not block",
        { code: 2, plan: CHANGES, inputs: { allow: "stock,budget" } },
        ["success", "success"],
        [`${plan} --allow stock,budget`, up],
        "",
      ],
      [
        "1: red, and nobody is asked",
        { code: 1, plan: FAILED },
        ["failure", "skipped"],
        [plan],
        "There is no plan of dev (exit code 1).",
      ],
    ] as const) {
      it(`for exit code ${what}`, () => {
        const played = play(workflow, setting);
        assert.deepEqual(Object.values(played.results), results);
        assert.deepEqual(played.npm, npm);
        assert.equal(played.stdout, error && `::error::${error}\n`);
        assert.equal(played.summary, setting.plan);
      });
    }
  });

  it("give what opens a stack to jobs of an environment alone", () => {
    const environments = ["drift.yml", "preview.yml", "up.yml", "runner-life.yml"].flatMap((name) =>
      Object.entries(load(name).jobs)
        .filter(([, job]) => JSON.stringify(job).includes("secrets."))
        .map(([job, { environment }]) => `${name} ${job}: ${environment}`),
    );
    assert.deepEqual(environments, [
      "drift.yml plan: plan",
      "preview.yml plan: preview",
      "up.yml plan: plan",
      "up.yml up: production",
      "runner-life.yml check: plan",
      "runner-life.yml bump: plan",
    ]);
  });
});
