import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { TargetSettings } from "../../../components/config/schema";
import { ACTIONS, type ActionPin, BUILDKIT_IMAGE } from "../../../components/pins/pins";
import {
  isOurs,
  renderCaller,
  renderReusable,
  renderWorkflow,
  reusablePath,
} from "../../../components/imageWorkflow/workflow";
import { CENTRAL, matrix, STRATEGIES } from "./matrix";
import { EVERYTHING, modelOf, MODELS, ROUTING, SETTINGS } from "./models";
import {
  evaluate,
  listOf,
  load,
  type Loaded,
  type ParsedJob,
  type ParsedStep,
  type Run,
  runOf,
  stepsOf,
} from "./parsed";

const GITHUB = { repository: "acme/webppt", ref: "refs/heads/master", actor: "octocat" };
const REPOSITORY = { private: false };
const PUSH = { ...GITHUB, event_name: "push", event: { repository: REPOSITORY } };
const OWN_PULL_REQUEST = pullRequest("acme/webppt");
const FORK_PULL_REQUEST = pullRequest("mallory/webppt");

function pullRequest(from: string | null) {
  const repo = from === null ? null : { full_name: from };
  return {
    ...GITHUB,
    event_name: "pull_request",
    ref: "refs/pull/7/merge",
    event: { repository: REPOSITORY, pull_request: { head: { repo } } },
  };
}

const BUILD = "docker/build-push-action";
const SCAN = "aquasecurity/trivy-action";

type Files = Readonly<Record<string, string>>;

function isA(action: string) {
  return (step: ParsedStep) => step.uses?.startsWith(`${action}@`) === true;
}

function allSteps(run: Run): ParsedStep[] {
  return Object.values(run.steps).flat();
}

function jobsOf({ entry, workflow }: Loaded): [string, ParsedJob][] {
  return [...new Set([entry, workflow])].flatMap(({ jobs }) => Object.entries(jobs));
}

const BOTH = ["linux/amd64", "linux/arm64"];
const PLATFORMS: Readonly<Record<TargetSettings["strategy"], readonly string[]>> = {
  amd64: ["linux/amd64"],
  qemu: BOTH,
  "hosted-arm": BOTH,
  hybrid: BOTH,
};

/** Rights that the steps of a job make use of. */
function rightsOf(job: ParsedJob): Record<string, string> {
  const text = JSON.stringify(job.steps);
  const pushes = /push=true|imagetools create|"push-to-registry":true|cosign sign/.test(text);
  return {
    ...(stepsOf(job, "actions/checkout").length > 0 && { contents: "read" }),
    ...(text.includes("github.token") && { packages: pushes ? "write" : "read" }),
    ...(/actions\/attest|cosign sign/.test(text) && { "id-token": "write" }),
    ...(text.includes("actions/attest") && { attestations: "write" }),
  };
}

function sorted(rights: Record<string, string> | undefined): string {
  return JSON.stringify(Object.entries(rights ?? { missing: "" }).sort());
}

/**
 * Rules that every emitted workflow obeys. Each tells what is wrong, and breaks a good file in the way that it has to
 * notice.
 */
const RULES: Readonly<
  Record<
    string,
    {
      problems: (loaded: Loaded, files: Files, platforms: readonly string[]) => string[];
      break: (text: string) => string;
    }
  >
> = {
  "actions are pinned by the commit of the table and say its version": {
    problems: (_loaded, files) =>
      Object.values(files)
        .flatMap((text) => [...text.matchAll(/^ *(?:- )?uses: (.*)$/gm)])
        .flatMap(([, use]) => {
          if (use!.startsWith(`acme/.github/.github/workflows/image-`)) return [];
          const [, action, sha, tag] = /^(\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$/.exec(use!) ?? [];
          const pin = (ACTIONS as Record<string, ActionPin>)[action ?? ""];
          return pin !== undefined && pin.sha === sha && pin.tag === tag ? [] : [use!];
        }),
    break: (text) => text.replace(/checkout@\S+ # \S+/, "checkout@v7"),
  },
  "no expression is pasted into a script": {
    problems: (loaded) =>
      jobsOf(loaded)
        .flatMap(([, job]) => job.steps ?? [])
        .flatMap((step) => (step.run?.includes("${{") ? [step.name] : [])),
    break: (text) => text.replace("$RUNNER_NAME", "${{ runner.name }}"),
  },
  "no job has a permission that is not given to it, nor more than it needs": {
    problems: ({ entry, workflow }) => {
      const union: Record<string, string> = {};
      const jobs = Object.entries(workflow.jobs).flatMap(([id, job]) => {
        for (const [scope, level] of Object.entries(rightsOf(job))) {
          if (union[scope] !== "write") union[scope] = level;
        }
        return sorted(job.permissions) === sorted(rightsOf(job)) ? [] : [id];
      });
      return [
        ...(sorted(entry.permissions) === sorted({}) ? [] : ["the workflow"]),
        ...(sorted(workflow.permissions) === sorted({}) ? [] : ["the called workflow"]),
        ...(entry === workflow || sorted(entry.jobs.image!.permissions) === sorted(union)
          ? []
          : ["the caller"]),
        ...jobs,
      ];
    },
    break: (text) => text.replace("contents: read", "contents: write"),
  },
  "each permission has a reason": {
    problems: (_loaded, files) =>
      Object.values(files)
        .flatMap((text) => [...text.matchAll(/^ {6}[a-z-]+: (?:read|write)(.*)$/gm)])
        .flatMap(([line, rest]) => (/^ # .+/.test(rest!) ? [] : [line])),
    break: (text) => text.replace(" # check out", ""),
  },
  "each job ends by itself": {
    problems: ({ workflow }) =>
      Object.entries(workflow.jobs).flatMap(([id, job]) => {
        const limit = stepsOf(job, "docker/setup-qemu-action").length > 0 ? 180 : 60;
        return (job["timeout-minutes"] ?? 360) <= limit ? [] : [id];
      }),
    break: (text) => text.replace(/^ +timeout-minutes: 10\n/m, ""),
  },
  "a newer run replaces an older one of the same ref, and cancels it for pull requests only": {
    problems: ({ entry, workflow }) => {
      const { concurrency } = entry;
      const cancels = (github: object) =>
        evaluate(concurrency?.["cancel-in-progress"] ?? "''", { github }) === true;
      return concurrency?.group === "${{ github.workflow }}-${{ github.ref }}" &&
        cancels(FORK_PULL_REQUEST) &&
        !cancels(PUSH) &&
        // A called workflow has its caller's name, so the same group there would cancel the run itself.
        (entry === workflow || workflow.concurrency === undefined)
        ? []
        : [JSON.stringify(concurrency)];
    },
    break: (text) =>
      text.replace(/cancel-in-progress: .*/, "cancel-in-progress: ${{ github.ref }}"),
  },
  "a checkout leaves no credentials behind": {
    problems: ({ workflow }) =>
      Object.entries(workflow.jobs).flatMap(([id, job]) =>
        stepsOf(job, "actions/checkout").flatMap((step) =>
          step.with?.["persist-credentials"] === false ? [] : [id],
        ),
      ),
    break: (text) => text.replace("persist-credentials: false", "persist-credentials: true"),
  },
  "it never runs with the rights of the target for code of a fork": {
    problems: ({ entry, workflow }) => [
      ...Object.keys(entry.on).filter(
        (event) => !["push", "pull_request", "workflow_dispatch"].includes(event),
      ),
      ...(entry === workflow
        ? []
        : Object.keys(workflow.on).filter((on) => on !== "workflow_call")),
    ],
    break: (text) => text.replace("  pull_request:", "  pull_request_target:"),
  },
  "a pull request is built for every platform, without credentials and without pushing": {
    problems: (loaded, _files, platforms) => {
      const run = runOf(loaded, FORK_PULL_REQUEST);
      const steps = allSteps(run);
      const built = steps
        .filter(isA(BUILD))
        .flatMap((step) => String(step.with!.platforms).split(","));
      return [
        ...platforms.filter((platform) => !built.includes(platform)),
        ...steps.flatMap((step) =>
          /login-action|secrets\.|github\.token|push=true|cache-to|imagetools|cosign/.test(
            JSON.stringify(step),
          ) || step.with?.push !== undefined
            ? [step.name]
            : [],
        ),
        ...steps.filter(isA(BUILD)).flatMap((step) => {
          const outputs = String(run.value(step.with!.outputs));
          return outputs === "type=cacheonly" || outputs === "type=docker,dest=/tmp/image.tar"
            ? []
            : [outputs];
        }),
      ];
    },
    break: (text) =>
      text.replace(/ +if: github\.event_name != 'pull_request'\n( +uses: docker\/login)/, "$1"),
  },
  "a push publishes each platform by digest, once, with provenance and SBOM": {
    problems: (loaded, _files, platforms) => {
      const run = runOf(loaded, PUSH);
      const builds = allSteps(run).filter(isA(BUILD));
      const built = builds.flatMap((step) => String(step.with!.platforms).split(","));
      return [
        ...(same(built, platforms) ? [] : [built.join()]),
        ...builds.flatMap((build) => {
          const outputs = String(build.with!.outputs).split(",");
          return build.id === "publish" &&
            build.with!.tags === undefined &&
            ["type=image", "push-by-digest=true", "name-canonical=true", "push=true"].every(
              (part) => outputs.includes(part),
            ) &&
            /^mode=(min|max)$/.test(String(run.value(build.with!.provenance))) &&
            String(build.with!.sbom).startsWith("generator=docker/buildkit-syft-scanner:")
            ? []
            : [build.name];
        }),
      ];
    },
    break: (text) => text.replace("push-by-digest=true,", ""),
  },
  "nothing is tagged unless everything before it is good": {
    problems: (loaded) => {
      const tags = (step: ParsedStep) => step.id === "combine";
      const good = runOf(loaded, PUSH);
      const tagging = allSteps(good).findIndex(tags);
      const before = allSteps(good).slice(0, tagging);
      return [
        ...(allSteps(good).filter(tags).length === 1 ? [] : ["nothing is tagged at all"]),
        ...Object.entries(good.steps).flatMap(([id, steps]) =>
          steps
            .filter((step) => before.includes(step))
            .filter((step) =>
              allSteps(runOf(loaded, PUSH, (job, one) => job === id && one === step)).some(tags),
            )
            .map((step) => `${id}: ${step.name}`),
        ),
        ...jobsOf(loaded).flatMap(([id, job]) =>
          /continue-on-error|always\(|failure\(|"tags":"(?!type=|\$\{\{ inputs\.tags)/.test(
            JSON.stringify(job.steps ?? []),
          )
            ? [id]
            : [],
        ),
      ];
    },
    break: (text) => text.replace("      - amd64\n", ""),
  },
  "it is attested only once it is published": {
    problems: (loaded) => {
      const publisher = loaded.workflow.jobs.combine === undefined ? "build" : "combine";
      return [
        ...(runOf(loaded, PUSH, (job) => job === publisher).steps.attest === undefined
          ? []
          : ["after a failure"]),
        ...(runOf(loaded, OWN_PULL_REQUEST).steps.attest === undefined ? [] : ["pull request"]),
      ];
    },
    break: (text) => text.replace(/(name: Attest\n)( +needs:\n.*\n)/, "$1"),
  },
  "what a job reads from others, from its steps and from its caller is there": {
    problems: (loaded) => {
      const { workflow } = loaded;
      const declared = workflow.on.workflow_call?.inputs ?? {};
      const used = new Set(
        [...JSON.stringify(workflow.jobs).matchAll(/inputs\.([\w-]+)/g)].map(([, name]) => name!),
      );
      return [
        ...Object.entries(workflow.jobs).flatMap(([id, job]) => {
          const text = JSON.stringify(job);
          const ids = new Set(job.steps.map((step) => step.id));
          return [
            ...[...text.matchAll(/needs\.(\w+)\.(?:outputs\.(\w+)|result)/g)].flatMap(
              ([found, need, output]) =>
                job.needs?.includes(need!) &&
                (output === undefined || workflow.jobs[need!]?.outputs?.[output] !== undefined)
                  ? []
                  : [`${id}: ${found}`],
            ),
            ...[...text.matchAll(/steps\.(\w+)\.outputs/g)].flatMap(([found, step]) =>
              ids.has(step) ? [] : [`${id}: ${found}`],
            ),
          ];
        }),
        ...[...used].filter((name) => !(name in declared)),
        ...Object.keys(declared).filter((name) => !used.has(name)),
      ];
    },
    break: (text) => text.replace("id: publish", "id: build"),
  },
  "a script fails with its first failing command": {
    problems: ({ workflow: { defaults } }) =>
      defaults?.run.shell === "bash" ? [] : [String(defaults?.run.shell)],
    break: (text) => text.replace("shell: bash", "shell: sh"),
  },
  "jobs of forks run on hosted runners": {
    problems: (loaded) => {
      const run = runOf(loaded, FORK_PULL_REQUEST, undefined, {
        vars: { ARM64_RUNS_ON: '"ours"', RUN_ARM64_ON: '"ours"' },
      });
      return Object.entries(loaded.workflow.jobs).flatMap(([id, job]) =>
        /^ubuntu-\d\d\.04(-arm)?$/.test(String(run.value(job["runs-on"]))) ? [] : [id],
      );
    },
    break: (text) => text.replace(/&& 'ubuntu-24\.04-arm' \|\|/, "&& 'self-hosted' ||"),
  },
  "cache mounts of one repository are apart from those of others": {
    problems: (loaded) => {
      const run = runOf(loaded, PUSH);
      return Object.values(loaded.workflow.jobs)
        .flatMap((job) => stepsOf(job, BUILD))
        .filter(
          (step) =>
            listOf(String(run.value(step.with!["build-args"]))).at(-1) !==
            "BUILDKIT_CACHE_MOUNT_NS=acme/webppt",
        )
        .map((step) => step.name);
    },
    break: (text) => text.replace(/BUILDKIT_CACHE_MOUNT_NS=.*/, "BUILDKIT_CACHE_MOUNT_NS=all"),
  },
  "what other runs have put into GitHub's cache decides nothing": {
    problems: ({ workflow }) =>
      Object.values(workflow.jobs)
        .flatMap((job) => job.steps)
        .filter(
          (step) =>
            (isA("docker/setup-buildx-action")(step) && step.with?.["cache-binary"] !== false) ||
            (isA("docker/setup-qemu-action")(step) && step.with?.["cache-image"] !== false) ||
            (isA(SCAN)(step) && step.with?.cache !== false) ||
            JSON.stringify(step).includes("type=gha"),
        )
        .map((step) => step.name),
    break: (text) => text.replace(/^ +cache-binary: false\n/m, ""),
  },
  "a called workflow is given the secrets by name that it asks for": {
    problems: ({ entry, workflow }) => {
      const asked = workflow.on.workflow_call?.secrets ?? {};
      const given = entry.jobs.image?.secrets ?? {};
      return typeof given === "string" ? [given] : Object.keys(given).filter((n) => !(n in asked));
    },
    break: (text) => text.replace("jobs:\n", "jobs:\n  image: { secrets: inherit, steps: [] }\n"),
  },
  "every file says who writes it": {
    problems: (_loaded, files) =>
      Object.entries(files).flatMap(([path, text]) =>
        isOurs(text) && text.includes("runner-fleet, stack dev") && text.includes("Do not edit")
          ? []
          : [path],
      ),
    break: (text) => text.replace("Do not edit", "Do edit"),
  },
};

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

describe("emitted workflows", () => {
  const combinations = matrix().map((one) => ({ ...one, loaded: load(one.files) }));

  for (const [rule, { problems }] of Object.entries(RULES)) {
    it(rule, () => {
      for (const { name, strategy, files, loaded } of combinations) {
        assert.deepEqual(problems(loaded, files, PLATFORMS[strategy]), [], name);
      }
    });
  }

  describe("each rule notices when it is broken:", () => {
    const model = modelOf({ attestations: { provenance: "max", github: true, cosign: true } });
    const text = renderWorkflow(model);
    for (const [rule, { problems, break: broken }] of Object.entries(RULES)) {
      it(rule, () => {
        const changed = broken(text);
        assert.notEqual(changed, text);
        const files = { ".github/workflows/image.yml": changed };
        assert.notDeepEqual(problems(load(files), files, BOTH), []);
      });
    }
  });

  it("do the same whether written into the repository or called there", () => {
    /** What each step of a run is given. Ends of lines and items without text mean nothing to actions. */
    const given = (loaded: Loaded, github: unknown) => {
      const secrets = { REGISTRY_PASSWORD: "password", API_REGISTRY_PASSWORD: "password" };
      const run = runOf(loaded, github, undefined, { secrets });
      return Object.entries(run.steps).map(([job, steps]) => [
        job,
        steps.map(
          ({ name, uses, with: inputs = {}, env: { TEST_COMMAND, ...env } = {}, run: script }) => ({
            name,
            uses,
            script: (TEST_COMMAND === undefined ? script : String(run.value(TEST_COMMAND)))?.trim(),
            values: Object.entries({ ...inputs, ...env })
              .map(([key, value]) => [key, listOf(String(run.value(value)))] as const)
              .filter(([, value]) => value.length > 0),
          }),
        ),
      ]);
    };
    const inline = combinations.filter(({ name }) => name.includes(", inline, "));
    assert.ok(inline.length > 0);
    for (const { name, loaded } of inline) {
      const called = combinations.find((one) => one.name === name.replace("inline", "reusable"))!;
      for (const github of [PUSH, OWN_PULL_REQUEST, FORK_PULL_REQUEST]) {
        assert.deepEqual(given(called.loaded, github), given(loaded, github), name);
      }
    }
  });

  it("share a reusable workflow when strategy and rights are the same", () => {
    for (const strategy of STRATEGIES) {
      const one = renderReusable(modelOf({ strategy }));
      const other = { ...EVERYTHING, attestations: SETTINGS.attestations, strategy };
      assert.deepEqual(renderReusable(modelOf(other, ROUTING, "x", "y")), one);
      assert.equal(one.path, `.github/workflows/image-${strategy}.yml`);
      const attested = modelOf({ ...EVERYTHING, strategy });
      assert.equal(
        renderReusable(attested).path,
        reusablePath({ strategy, attestations: attested.attestations }),
      );
      assert.notEqual(renderReusable(attested).path, one.path);
    }
  });
});

describe("golden files", () => {
  const attested = modelOf(EVERYTHING);
  const expected: Readonly<Record<string, string>> = {
    ...Object.fromEntries(
      Object.entries(MODELS).map(([name, model]) => [`${name}.yml`, renderWorkflow(model)]),
    ),
    "reusable-hybrid-attested.yml": renderReusable(attested).content,
    "caller-hybrid-attested.yml": renderCaller(attested, CENTRAL),
  };
  const golden = join(__dirname, "golden");

  for (const [name, text] of Object.entries(expected)) {
    it(`${name} is what is emitted, byte for byte`, () => {
      const path = join(golden, name);
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, text);
      assert.equal(text, readFileSync(path, "utf8"));
    });
  }

  it("are no more than are compared", () => {
    assert.deepEqual(readdirSync(golden).sort(), Object.keys(expected).sort());
  });
});

/** Both ways to emit a target: each has to do the same. */
const EMISSIONS: Readonly<
  Record<string, (settings: Partial<TargetSettings>, branch?: string) => Files>
> = {
  inline: (settings, branch) => ({
    ".github/workflows/image.yml": renderWorkflow(modelOf(settings, ROUTING, branch)),
  }),
  reusable: (settings, branch) => {
    const model = modelOf(settings, ROUTING, branch);
    const { path, content } = renderReusable(model);
    return { ".github/workflows/image.yml": renderCaller(model, CENTRAL), [path]: content };
  },
};

for (const [emission, emit] of Object.entries(EMISSIONS)) {
  describe(`a workflow emitted as ${emission}`, () => {
    const loaded = (settings: Partial<TargetSettings> = {}, branch?: string) =>
      load(emit(settings, branch));

    it("has the jobs of its strategy", () => {
      const jobs = (strategy: TargetSettings["strategy"]) =>
        Object.keys(runOf(loaded({ strategy }), PUSH).steps);
      assert.deepEqual(jobs("amd64"), ["build"]);
      assert.deepEqual(jobs("qemu"), ["build"]);
      assert.deepEqual(jobs("hosted-arm"), ["amd64", "arm64", "combine"]);
      assert.deepEqual(jobs("hybrid"), ["amd64", "arm64", "combine"]);
    });

    it("expects exactly the platforms of its strategy", () => {
      const expected = (strategy: TargetSettings["strategy"]) => {
        const steps = allSteps(runOf(loaded({ strategy }), PUSH));
        return steps.find((step) => step.id === "combine")!.env!.PLATFORMS;
      };
      assert.equal(expected("amd64"), "linux/amd64");
      for (const strategy of ["qemu", "hosted-arm", "hybrid"] as const) {
        assert.equal(expected(strategy), "linux/amd64 linux/arm64");
      }
    });

    it("emulates with qemu only, at pinned emulators", () => {
      for (const strategy of STRATEGIES) {
        const steps = allSteps(runOf(loaded({ strategy }), PUSH)).filter(
          isA("docker/setup-qemu-action"),
        );
        assert.equal(steps.length, strategy === "qemu" ? 1 : 0);
        for (const step of steps) assert.match(String(step.with!.image), /@sha256:[0-9a-f]{64}$/);
      }
    });

    it("builds arm64 where the variable says, and on the fallback without it", () => {
      const hybrid = loaded();
      const runsOn = (github: object, value: string | undefined) => {
        const vars = value === undefined ? {} : { ARM64_RUNS_ON: value };
        return runOf(hybrid, github, undefined, { vars }).value(
          hybrid.workflow.jobs.arm64!["runs-on"],
        );
      };
      const own = { group: "arm64", labels: ["self-hosted", "Linux", "ARM64", "docker"] };
      const value = JSON.stringify(own);
      assert.deepEqual(runsOn(PUSH, value), own);
      assert.deepEqual(runsOn(OWN_PULL_REQUEST, value), own);
      assert.equal(runsOn(PUSH, '"scale-set"'), "scale-set");
      assert.equal(runsOn(PUSH, undefined), "ubuntu-24.04-arm");
      assert.equal(runsOn(PUSH, ""), "ubuntu-24.04-arm");
      assert.equal(runsOn(FORK_PULL_REQUEST, value), "ubuntu-24.04-arm");
      // The fork was deleted while its pull request is open.
      assert.equal(runsOn(pullRequest(null), value), "ubuntu-24.04-arm");
    });

    it("runs everything but the arm64 build of hybrid on hosted runners, whatever the variable", () => {
      for (const strategy of STRATEGIES) {
        for (const [id, job] of Object.entries(loaded({ ...EVERYTHING, strategy }).workflow.jobs)) {
          if (strategy === "hybrid" && id === "arm64") continue;
          assert.equal(job["runs-on"], id === "arm64" ? "ubuntu-24.04-arm" : "ubuntu-24.04");
        }
      }
    });

    it("refuses a machine that is not ARM64 before anything else", () => {
      for (const strategy of ["hosted-arm", "hybrid"] as const) {
        const { arm64 } = loaded({ strategy }).workflow.jobs;
        assert.match(arm64!.steps[0]!.run!, /"\$RUNNER_ARCH" != ARM64/);
      }
    });

    it("builds in the machine's own daemon where there is one, with its cache and no other", () => {
      const shared = {
        steps: { daemon: { outputs: { shared: "true" } }, shared: { outputs: { name: "own" } } },
      };
      const run = runOf(loaded(), PUSH, undefined, shared);
      const steps = run.steps.arm64!;
      const [setup, ...others] = steps.filter(isA("docker/setup-buildx-action"));
      assert.deepEqual(others, []);
      assert.deepEqual(setup!.with, {
        driver: "remote",
        endpoint: "unix:///run/buildkit/buildkitd.sock",
        "cache-binary": false,
      });
      const build = steps.find(isA(BUILD))!;
      assert.equal(run.value(build.with!.builder), "own");
      assert.equal(run.value(build.with!["cache-from"]), "");
      assert.equal(run.value(build.with!["cache-to"]), "");
    });

    it("starts a daemon where there is none, with its cache in the registry", () => {
      const none = {
        steps: { daemon: { outputs: { shared: "false" } }, buildkit: { outputs: { name: "new" } } },
      };
      const run = runOf(loaded(), PUSH, undefined, none);
      for (const architecture of ["amd64", "arm64"]) {
        const steps = run.steps[architecture]!;
        const [setup, ...others] = steps.filter(isA("docker/setup-buildx-action"));
        assert.deepEqual(others, []);
        assert.deepEqual(setup!.with, {
          "driver-opts": `image=${BUILDKIT_IMAGE}`,
          "cache-binary": false,
        });
        const build = steps.find(isA(BUILD))!;
        const ref = `type=registry,ref=ghcr.io/acme/webppt:buildcache-${architecture}`;
        assert.equal(run.value(build.with!.builder), "new");
        assert.equal(run.value(build.with!["cache-from"]), ref);
        assert.equal(run.value(build.with!["cache-to"]), `${ref},mode=max,ignore-error=true`);
      }
    });

    it("builds nothing when the tests fail", () => {
      for (const strategy of STRATEGIES) {
        const tested = loaded({ strategy, test: { command: "make test" } });
        for (const github of [PUSH, OWN_PULL_REQUEST]) {
          const run = runOf(tested, github, (_job, step) => step.name === "Test");
          assert.equal(run.results.test, "failure");
          assert.deepEqual(Object.keys(run.steps), ["test"]);
          assert.equal(runOf(tested, github).steps.test!.length, 2);
        }
        assert.equal(runOf(loaded({ strategy }), PUSH).steps.test, undefined);
      }
    });

    it("scans the image of a pull request for amd64 before anything is published", () => {
      for (const strategy of STRATEGIES) {
        for (const on of ["pull-request", "both"] as const) {
          const run = runOf(
            loaded({ strategy, scan: { on, severity: ["CRITICAL"], ignoreUnfixed: true } }),
            FORK_PULL_REQUEST,
          );
          const scans = allSteps(run).filter(isA(SCAN));
          assert.equal(scans.length, 1);
          assert.equal(run.value(scans[0]!.with!.input), "/tmp/image.tar");
          assert.equal(run.value(scans[0]!.with!.severity), "CRITICAL");
          assert.equal(run.value(scans[0]!.with!["ignore-unfixed"]), true);
          assert.equal(scans[0]!.with!["exit-code"], "1");
          const exported = allSteps(run).filter(
            (step) => run.value(step.with?.outputs) === "type=docker,dest=/tmp/image.tar",
          );
          assert.deepEqual(
            exported.map((step) => step.with!.platforms),
            ["linux/amd64"],
          );
        }
        const run = runOf(
          loaded({ strategy, scan: { on: "publish", severity: ["LOW"], ignoreUnfixed: true } }),
          OWN_PULL_REQUEST,
        );
        assert.deepEqual(allSteps(run).filter(isA(SCAN)), []);
      }
    });

    it("scans each platform that was pushed, by its digest, before it gets a tag", () => {
      const digests = {
        steps: { publish: { outputs: { digest: "sha256:both" } } },
        needs: {
          amd64: { outputs: { digest: "sha256:amd64" }, result: "success" },
          arm64: { outputs: { digest: "sha256:arm64" }, result: "success" },
        },
      };
      for (const strategy of STRATEGIES) {
        const run = runOf(
          loaded({
            strategy,
            scan: { on: "publish", severity: ["LOW", "HIGH"], ignoreUnfixed: false },
          }),
          PUSH,
          undefined,
          digests,
        );
        const order = allSteps(run);
        const scans = order.filter(isA(SCAN));
        const single = strategy === "amd64" || strategy === "qemu";
        assert.deepEqual(
          scans.map((step) => [step.env!.TRIVY_PLATFORM, run.value(step.with!["image-ref"])]),
          (strategy === "amd64" ? ["amd64"] : ["amd64", "arm64"]).map((architecture) => [
            `linux/${architecture}`,
            `ghcr.io/acme/webppt@sha256:${single ? "both" : architecture}`,
          ]),
        );
        for (const scan of scans) {
          assert.equal(run.value(scan.with!.severity), "LOW,HIGH");
          assert.equal(run.value(scan.with!["ignore-unfixed"]), false);
          assert.ok(order.indexOf(scan) < order.findIndex((step) => step.id === "combine"));
        }
        const unwanted = loaded({
          strategy,
          scan: { on: "pull-request", severity: ["LOW"], ignoreUnfixed: true },
        });
        assert.deepEqual(allSteps(runOf(unwanted, PUSH)).filter(isA(SCAN)), []);
      }
    });

    it("publishes as much of the build as is asked for, by default less of private repositories", () => {
      const provenance = (
        kind: TargetSettings["attestations"]["provenance"],
        isPrivate: boolean,
      ) => {
        const run = runOf(
          loaded({ attestations: { ...SETTINGS.attestations, provenance: kind } }),
          { ...PUSH, event: { repository: { private: isPrivate } } },
        );
        return run.value(run.steps.amd64!.find(isA(BUILD))!.with!.provenance);
      };
      assert.equal(provenance("auto", true), "mode=min");
      assert.equal(provenance("auto", false), "mode=max");
      assert.equal(provenance("max", true), "mode=max");
      assert.equal(provenance("min", false), "mode=min");
    });

    it("attests and signs the published index by its digest, as asked for", () => {
      const needs = {
        amd64: { result: "success" },
        arm64: { result: "success" },
        combine: { result: "success", outputs: { digest: "sha256:index" } },
      };
      const names = (github: boolean, cosign: boolean) => {
        const run = runOf(
          loaded({ attestations: { provenance: "auto", github, cosign } }),
          PUSH,
          undefined,
          { needs },
        );
        return run.steps.attest
          ?.map(({ name }) => name)
          .filter((name) => !name.startsWith("Log in"));
      };
      assert.deepEqual(names(false, false), undefined);
      assert.deepEqual(names(true, false), ["Attest the index"]);
      assert.deepEqual(names(false, true), ["Install cosign", "Sign the index"]);
      assert.deepEqual(names(true, true), ["Attest the index", "Install cosign", "Sign the index"]);
      const run = runOf(
        loaded({ attestations: { provenance: "auto", github: true, cosign: true } }),
        PUSH,
        undefined,
        { needs },
      );
      const attest = run.steps.attest!.find(isA("actions/attest"))!;
      assert.equal(run.value(attest.with!["subject-name"]), "ghcr.io/acme/webppt");
      assert.equal(run.value(attest.with!["subject-digest"]), "sha256:index");
      assert.equal(attest.with!["push-to-registry"], true);
      const sign = run.steps.attest!.find((step) => step.run !== undefined)!;
      assert.equal(sign.run, 'cosign sign --yes "$IMAGE@$DIGEST"\n');
      assert.equal(run.value(sign.env!.IMAGE), "ghcr.io/acme/webppt");
      assert.equal(run.value(sign.env!.DIGEST), "sha256:index");
    });

    it("derives tags by the rules, and moves latest with the branch only", () => {
      const tags = (rules: TargetSettings["tags"], ref: string, branch = "master") => {
        const run = runOf(loaded({ tags: rules }, branch), { ...PUSH, ref });
        const metadata = run.steps.combine!.find(isA("docker/metadata-action"))!;
        assert.equal(metadata.with!.flavor, "latest=false");
        return listOf(String(run.value(metadata.with!.tags)));
      };
      const latest = (is: boolean) => [`type=raw,value=latest,enable=${is}`];
      assert.deepEqual(tags(["latest"], "refs/heads/master"), latest(true));
      assert.deepEqual(tags(["latest"], "refs/heads/other"), latest(false));
      assert.deepEqual(tags(["latest"], "refs/tags/master"), latest(false));
      assert.deepEqual(tags(["latest"], "refs/heads/it's", "it's"), latest(true));
      assert.deepEqual(tags(["branch", "git-tag", "semver", "sha"], "refs/tags/31"), [
        "type=ref,event=branch",
        "type=ref,event=tag",
        "type=semver,pattern={{version}}",
        "type=semver,pattern={{major}}.{{minor}}",
        "type=sha,format=long",
      ]);
    });

    it("runs for pushes that a tag can follow from", () => {
      const push = (tags: TargetSettings["tags"]) => loaded({ tags }).entry.on.push;
      assert.deepEqual(push(["latest"]), { branches: ["master"] });
      assert.deepEqual(push(["branch"]), { branches: ["master"] });
      assert.deepEqual(push(["git-tag"]), { tags: ["*"] });
      assert.deepEqual(push(["semver"]), { tags: ["*"] });
      assert.deepEqual(push(["sha"]), { branches: ["master"], tags: ["*"] });
      assert.deepEqual(push(["latest", "git-tag"]), { branches: ["master"], tags: ["*"] });
    });

    it("logs in to the registry of the image once in each job, with the job's token or the password", () => {
      const logins = (settings: Partial<TargetSettings>) => {
        const one = loaded({
          ...settings,
          scan: EVERYTHING.scan,
          attestations: EVERYTHING.attestations!,
        });
        const inputs = one.entry.jobs.image?.secrets ?? { REGISTRY_PASSWORD: "" };
        const run = runOf(one, PUSH, undefined, { secrets: {} });
        return Object.values(run.steps).map((steps) => {
          const [login, ...others] = steps.filter(isA("docker/login-action"));
          assert.deepEqual(others, []);
          const password = String(login!.with!.password);
          return [
            run.value(login!.with!.registry),
            run.value(login!.with!.username),
            password === "${{ secrets.REGISTRY_PASSWORD }}" ? inputs.REGISTRY_PASSWORD : password,
          ];
        });
      };
      for (const login of logins({})) {
        assert.deepEqual(login, ["ghcr.io", "octocat", "${{ github.token }}"]);
      }
      for (const login of logins({
        image: "quay.io:8443/acme/api",
        registry: EVERYTHING.registry,
      })) {
        assert.deepEqual(login, [
          "quay.io:8443",
          "robot$ci",
          "${{ secrets.API_REGISTRY_PASSWORD }}",
        ]);
      }
    });

    it("never sends the job's token to a registry that has a password of its own", () => {
      const one = loaded({ image: "quay.io/acme/api", registry: EVERYTHING.registry });
      const steps = allSteps(runOf(one, PUSH, undefined, { secrets: {} }));
      assert.doesNotMatch(JSON.stringify(steps), /github\.token/);
    });

    it("carries any text of the settings without changing its meaning", () => {
      const pieces = fc.oneof(
        fc.constantFrom(
          "${{",
          "}}",
          "${{ github.token }}",
          "'",
          '"',
          "\n",
          "\r\n",
          "\t",
          ": ",
          " #",
          "- ",
          "&a",
          "*a",
          "!",
          "%",
          "{",
          "}",
          "\\",
          ",",
          "é",
          "\u2028",
          "|",
          ">",
          "=",
          "$(id)",
          "`id`",
          "#",
        ),
        fc.stringMatching(/^[a-zA-Z0-9 ./_-]{1,8}$/),
      );
      const hostile = fc
        .array(pieces, { minLength: 1, maxLength: 6 })
        .map((parts) => parts.join(""))
        .filter((text) => text.trim() !== "");
      const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,8}$/);
      fc.assert(
        fc.property(
          fc.record({
            branch: hostile.filter((text) => !text.includes("${{")),
            context: hostile,
            dockerfile: hostile,
            target: hostile,
            username: hostile,
            command: hostile.filter((text) => !text.includes("${{")),
            args: fc.dictionary(
              name,
              hostile.map((text) => text.trimEnd()),
              { maxKeys: 3 },
            ),
          }),
          ({ branch, context, dockerfile, target, username, command, args }) => {
            const settings: Partial<TargetSettings> = {
              build: { context, dockerfile, target, args },
              test: { command },
              registry: { username, passwordSecret: "PASSWORD" },
            };
            const files = emit(settings, branch);
            assert.deepEqual(emit(settings, branch), files);
            const one = load(files);
            const run = runOf(one, { ...PUSH, ref: `refs/heads/${branch}` });
            const value = (text: string | boolean | undefined) => run.value(text);

            for (const { branches } of [one.entry.on.push!, one.entry.on.pull_request!]) {
              assert.equal(branches!.length, 1);
              assert.equal(branches![0]!.replace(/\\(.)/gs, "$1"), branch);
              assert.doesNotMatch(branches![0]!, /(^|[^\\])(\\\\)*[*?+[\]!]/);
            }
            const build = run.steps.amd64!.find(isA(BUILD))!.with!;
            assert.equal(value(build.context), context);
            assert.equal(value(build.file), dockerfile);
            assert.equal(value(build.target), target);
            assert.deepEqual(listOf(String(value(build["build-args"]))), [
              ...Object.entries(args).map(([key, text]) => `${key}=${text}`),
              "BUILDKIT_CACHE_MOUNT_NS=acme/webppt",
            ]);
            const login = run.steps.amd64!.find(isA("docker/login-action"))!.with!;
            assert.equal(value(login.username), username);
            const metadata = run.steps.combine!.find(isA("docker/metadata-action"))!.with!;
            assert.match(String(value(metadata.tags)), /^type=raw,value=latest,enable=true\n/);
            const test = run.steps.test!.find((step) => step.name === "Test")!;
            if (test.env === undefined) assert.equal(test.run!.trimEnd(), command.trimEnd());
            else assert.equal(value(test.env.TEST_COMMAND), command);
          },
        ),
        { numRuns: 50 },
      );
    });

    it("keeps what names the target within its comment", () => {
      fc.assert(
        fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 20 }), (target) => {
          const model = modelOf({}, ROUTING, "master", `a${target}\r\njobs: {}`);
          const texts =
            emission === "inline"
              ? [renderWorkflow(model)]
              : [renderCaller(model, CENTRAL), renderReusable(model).content];
          for (const text of texts) {
            const [header] = text.split("\n\n", 1);
            assert.doesNotMatch(header!, /^[^#]/m);
            assert.ok(isOurs(text));
          }
        }),
        { numRuns: 50 },
      );
    });
  });
}

describe("imageWorkflowModel", () => {
  it("takes credentials for GitHub's registry too", () => {
    const { login } = modelOf({ registry: { username: "robot", passwordSecret: "GHCR_TOKEN" } });
    assert.deepEqual(login, { kind: "secret", username: "robot", passwordSecret: "GHCR_TOKEN" });
  });

  it("refuses another registry without credentials", () => {
    assert.throws(() => modelOf({ image: "quay.io/acme/api" }), {
      message:
        "targets.webppt.registry: found nothing, expected username and passwordSecret, since quay.io does not take the job's own token as ghcr.io does.",
    });
  });

  it("refuses a test command that GitHub would change before bash reads it", () => {
    assert.throws(() => modelOf({ test: { command: "echo ${{ github.sha }}" } }), {
      message:
        "targets.webppt.test.command: found ${{, expected a command without it, since GitHub would put a value in its place before bash reads it. The environment has what is needed, such as $GITHUB_SHA.",
    });
  });

  it("refuses a branch that no filter can name", () => {
    assert.throws(() => modelOf({}, ROUTING, "a${{b"), {
      message:
        "targets.webppt.branch: found ${{, expected a branch without it, since GitHub takes it for an expression, which a filter of branches cannot have.",
    });
  });

  it("refuses a build argument that would not arrive as it is", () => {
    assert.throws(() => modelOf({ build: { context: ".", args: { A: "b", MOTD: "hello\n" } } }), {
      message:
        "targets.webppt.build.args.MOTD: found white space at the end, expected none, since the action that builds would drop it.",
    });
  });
});

describe("isOurs", () => {
  it("knows its files also with other line ends", () => {
    for (const { files } of matrix()) {
      for (const text of Object.values(files)) {
        assert.ok(isOurs(text));
        assert.ok(isOurs(text.replaceAll("\n", "\r\n")));
      }
    }
  });

  it("leaves other people's files alone", () => {
    for (const content of [
      "",
      "name: Image\non: push\n",
      "# Build the image\n# Generated by runner-fleet.\nname: Image\n",
      "# Generated by runner-fleet.dev for us\nname: Image\n",
    ]) {
      assert.equal(isOurs(content), false, content);
    }
  });
});
