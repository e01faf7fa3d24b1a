import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { ACTIONS, type ActionPin } from "../../../components/imageWorkflow/pins";
import {
  imageWorkflowModel,
  isOurs,
  renderWorkflow,
} from "../../../components/imageWorkflow/workflow";
import { MODELS } from "./models";
import { evaluate, type ParsedStep, type ParsedWorkflow, parseWorkflow, stepsOf } from "./parsed";

const GITHUB = { repository: "acme/webppt", ref: "refs/heads/master" };
const PUSH = { ...GITHUB, event_name: "push", event: {} };
const OWN_PULL_REQUEST = pullRequest("acme/webppt");
const FORK_PULL_REQUEST = pullRequest("mallory/webppt");

function pullRequest(from: string | null) {
  const repo = from === null ? null : { full_name: from };
  return {
    ...GITHUB,
    event_name: "pull_request",
    ref: "refs/pull/7/merge",
    event: { pull_request: { head: { repo } } },
  };
}

/** Steps that run for an event, of jobs that run. */
function stepsThatRun(workflow: ParsedWorkflow, github: object): ParsedStep[] {
  const runs = (one: { if?: string }) => one.if === undefined || evaluate(one.if, { github });
  return Object.values(workflow.jobs)
    .filter(runs)
    .flatMap((job) => job.steps.filter(runs));
}

/**
 * Rules that every emitted file obeys. Each tells what is wrong, and breaks a good file in the way that it has to
 * notice.
 */
const RULES: Readonly<
  Record<
    string,
    {
      problems: (workflow: ParsedWorkflow, text: string) => string[];
      break: (text: string) => string;
    }
  >
> = {
  "actions are pinned by the commit of the table and say its version": {
    problems: (_workflow, text) =>
      [...text.matchAll(/^ *(?:- )?uses: (.*)$/gm)].flatMap(([, use]) => {
        const [, action, sha, tag] = /^(\S+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$/.exec(use!) ?? [];
        const pin = (ACTIONS as Record<string, ActionPin>)[action ?? ""];
        return pin?.sha === sha && pin?.tag === tag && pin !== undefined ? [] : [use!];
      }),
    break: (text) => text.replace(/checkout@\S+ # \S+/, "checkout@v7"),
  },
  "no expression is pasted into a script": {
    problems: (workflow) =>
      allSteps(workflow).flatMap((step) => (step.run?.includes("${{") ? [step.name] : [])),
    break: (text) => text.replace("$RUNNER_NAME", "${{ runner.name }}"),
  },
  "no job has a permission that is not given to it, nor more than it needs": {
    problems: (workflow) => {
      const usesToken = JSON.stringify(workflow).includes("github.token");
      const push: Record<string, string> = usesToken ? { packages: "write" } : {};
      const expected: Record<string, Record<string, string>> = {
        amd64: { contents: "read", ...push },
        arm64: { contents: "read", ...push },
        combine: push,
      };
      return [
        ...(same(workflow.permissions, {}) ? [] : ["the workflow"]),
        ...Object.entries(workflow.jobs).flatMap(([id, job]) =>
          same(job.permissions, expected[id]) ? [] : [id],
        ),
      ];
    },
    break: (text) => text.replace("contents: read", "contents: write"),
  },
  "each permission has a reason": {
    problems: (_workflow, text) =>
      [...text.matchAll(/^ {6}(contents|packages): (read|write)(.*)$/gm)].flatMap(
        ([line, , , rest]) => (rest!.startsWith(" # ") ? [] : [line]),
      ),
    break: (text) => text.replace(" # check out", ""),
  },
  "each job ends by itself": {
    problems: (workflow) =>
      Object.entries(workflow.jobs).flatMap(([id, job]) =>
        (job["timeout-minutes"] ?? 360) <= 60 ? [] : [id],
      ),
    break: (text) => text.replace(/^ +timeout-minutes: 10\n/m, ""),
  },
  "a newer run replaces an older one of the same ref, and cancels it for pull requests only": {
    problems: ({ concurrency }) => {
      const cancels = (github: object) =>
        evaluate(concurrency?.["cancel-in-progress"] ?? "''", { github }) === true;
      return concurrency?.group === "${{ github.workflow }}-${{ github.ref }}" &&
        cancels(FORK_PULL_REQUEST) &&
        !cancels(PUSH)
        ? []
        : [JSON.stringify(concurrency)];
    },
    break: (text) =>
      text.replace(/cancel-in-progress: .*/, "cancel-in-progress: ${{ github.ref }}"),
  },
  "a checkout leaves no credentials behind": {
    problems: (workflow) =>
      Object.entries(workflow.jobs).flatMap(([id, job]) =>
        stepsOf(job, "actions/checkout").flatMap((step) =>
          step.with?.["persist-credentials"] === false ? [] : [id],
        ),
      ),
    break: (text) => text.replace("persist-credentials: false", "persist-credentials: true"),
  },
  "it never runs with the rights of the target for code of a fork": {
    problems: (workflow) =>
      Object.keys(workflow.on).filter(
        (event) => !["push", "pull_request", "workflow_dispatch"].includes(event),
      ),
    break: (text) => text.replace("  pull_request:", "  pull_request_target:"),
  },
  "a pull request is built on both platforms, without credentials and without pushing": {
    problems: (workflow) => {
      const steps = stepsThatRun(workflow, FORK_PULL_REQUEST);
      const builds = steps.filter((step) => step.uses?.startsWith("docker/build-push-action@"));
      return [
        ...(same(
          builds.map((step) => [step.with?.platforms, step.with?.outputs]),
          [
            ["linux/amd64", "type=cacheonly"],
            ["linux/arm64", "type=cacheonly"],
          ],
        )
          ? []
          : ["the builds"]),
        ...steps.flatMap((step) =>
          /login-action|secrets\.|github\.token|push=true|cache-to|imagetools/.test(
            JSON.stringify(step),
          ) || step.with?.push !== undefined
            ? [step.name]
            : [],
        ),
      ];
    },
    break: (text) => text.replace(/^ +if: github\.event_name != 'pull_request'\n/m, ""),
  },
  "a push publishes by digest, with provenance and SBOM": {
    problems: (workflow) =>
      ["amd64", "arm64"].flatMap((id) => {
        const steps = stepsThatRun({ ...workflow, jobs: { [id]: workflow.jobs[id]! } }, PUSH);
        const builds = steps.filter((step) => step.uses?.startsWith("docker/build-push-action@"));
        const [build] = builds;
        const outputs = String(build?.with?.outputs).split(",");
        return builds.length === 1 &&
          build?.id === "publish" &&
          build.with?.platforms === `linux/${id}` &&
          build.with.tags === undefined &&
          ["type=image", "push-by-digest=true", "name-canonical=true", "push=true"].every((part) =>
            outputs.includes(part),
          ) &&
          String(build.with.provenance).includes("mode=max") &&
          String(build.with.sbom).startsWith("generator=docker/buildkit-syft-scanner:")
          ? []
          : [id];
      }),
    break: (text) => text.replace("push-by-digest=true,", ""),
  },
  "nothing is tagged unless both builds are good": {
    problems: ({ jobs }) => [
      ...(same(jobs.combine?.needs, ["amd64", "arm64"]) ? [] : ["needs"]),
      // always() or failure() in a condition would let the job run after a failed build.
      ...(/always|failure|cancelled/.test(String(jobs.combine?.if)) ? ["if"] : []),
      ...Object.entries(jobs).flatMap(([id, job]) =>
        id !== "combine" && /imagetools|"tags":"(?!type=)/.test(JSON.stringify(job)) ? [id] : [],
      ),
    ],
    break: (text) => text.replace("      - amd64\n", ""),
  },
  "what a job reads from others and from its steps is there": {
    problems: (workflow) =>
      Object.entries(workflow.jobs).flatMap(([id, job]) => {
        const text = JSON.stringify(job);
        const ids = new Set(job.steps.map((step) => step.id));
        return [
          ...[...text.matchAll(/needs\.(\w+)\.outputs\.(\w+)/g)].flatMap(([found, need, output]) =>
            job.needs?.includes(need!) && workflow.jobs[need!]?.outputs?.[output!] !== undefined
              ? []
              : [`${id}: ${found}`],
          ),
          ...[...text.matchAll(/steps\.(\w+)\.outputs/g)].flatMap(([found, step]) =>
            ids.has(step) ? [] : [`${id}: ${found}`],
          ),
        ];
      }),
    break: (text) => text.replace("id: publish", "id: build"),
  },
  "a script fails with its first failing command": {
    problems: ({ defaults }) => (defaults.run.shell === "bash" ? [] : [defaults.run.shell]),
    break: (text) => text.replace("shell: bash", "shell: sh"),
  },
};

function allSteps(workflow: ParsedWorkflow): ParsedStep[] {
  return Object.values(workflow.jobs).flatMap((job) => job.steps);
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

describe("renderWorkflow", () => {
  for (const [name, model] of Object.entries(MODELS)) {
    describe(name, () => {
      const text = renderWorkflow(model);
      const workflow = parseWorkflow(text);

      it("is the golden file, byte for byte", () => {
        const path = join(__dirname, "golden", `${name}.yml`);
        if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, text);
        assert.equal(text, readFileSync(path, "utf8"));
      });

      for (const [rule, { problems }] of Object.entries(RULES)) {
        it(rule, () => assert.deepEqual(problems(workflow, text), []));
      }

      it("builds arm64 where the variable says, and on the fallback without it", () => {
        const { variable, hostedFallback } = model.strategy;
        const runsOn = (github: object, value: string | undefined) =>
          evaluate(workflow.jobs.arm64!["runs-on"], {
            github,
            vars: value === undefined ? {} : { [variable]: value },
          });
        const own = { group: "arm64", labels: ["self-hosted", "Linux", "ARM64", "docker"] };
        const value = JSON.stringify(own);
        assert.deepEqual(runsOn(PUSH, value), own);
        assert.deepEqual(runsOn(OWN_PULL_REQUEST, value), own);
        assert.equal(runsOn(PUSH, undefined), hostedFallback);
        assert.equal(runsOn(PUSH, ""), hostedFallback);
        assert.equal(runsOn(FORK_PULL_REQUEST, value), hostedFallback);
        // The fork was deleted while its pull request is open.
        assert.equal(runsOn(pullRequest(null), value), hostedFallback);
      });

      it("builds amd64 and combines on hosted runners only", () => {
        assert.equal(workflow.jobs.amd64!["runs-on"], "ubuntu-24.04");
        assert.equal(workflow.jobs.combine!["runs-on"], "ubuntu-24.04");
      });

      it("refuses a machine that is not ARM64 before anything else", () => {
        assert.match(workflow.jobs.arm64!.steps[0]!.run!, /"\$RUNNER_ARCH" != ARM64/);
      });

      it("finds the BuildKit of earlier jobs again on own machines, and leaves it to later ones", () => {
        const [setup, ...others] = stepsOf(workflow.jobs.arm64!, "docker/setup-buildx-action");
        assert.deepEqual(others, []);
        assert.equal(setup!.with!.name, "runner-fleet-v0-32-2");
        assert.equal(setup!.with!.cleanup, false);
        assert.equal(
          setup!.with!["driver-opts"],
          "image=moby/buildkit:v0.32.2\nprovenance-add-gha=false\n",
        );
        assert.match(String(setup!.with!["buildkitd-config-inline"]), /keepDuration = "720h"/);
        for (const build of stepsOf(workflow.jobs.arm64!, "docker/build-push-action")) {
          assert.equal(
            build.with!["build-args"],
            "BUILDKIT_CACHE_MOUNT_NS=${{ github.repository }}",
          );
        }
      });

      it("keeps the cache in the registry on hosted runners and on the machine on own ones", () => {
        const build = stepsOf(workflow.jobs.arm64!, "docker/build-push-action").find(
          (step) => step.id === "publish",
        )!;
        const cache = (environment: string, key: string) =>
          evaluate(String(build.with![key]), { runner: { environment } });
        const ref = `type=registry,ref=${model.image}:buildcache-arm64`;
        assert.equal(cache("github-hosted", "cache-from"), ref);
        assert.equal(cache("github-hosted", "cache-to"), `${ref},mode=max,ignore-error=true`);
        assert.equal(cache("self-hosted", "cache-from"), "");
        assert.equal(cache("self-hosted", "cache-to"), "");
      });

      it("publishes less of the build in a private repository", () => {
        const build = stepsOf(workflow.jobs.amd64!, "docker/build-push-action")[0]!;
        const provenance = (isPrivate: boolean) =>
          evaluate(String(build.with!.provenance), {
            github: { event: { repository: { private: isPrivate } } },
          });
        assert.equal(provenance(true), "mode=min");
        assert.equal(provenance(false), "mode=max");
      });

      it("moves latest with the branch only", () => {
        const metadata = stepsOf(workflow.jobs.combine!, "docker/metadata-action")[0]!;
        const lines = String(metadata.with!.tags).trimEnd().split("\n");
        const enabled = /^type=raw,value=latest,enable=(.*)$/.exec(lines[0]!)![1]!;
        const isLatest = (ref: string) => evaluate(enabled, { github: { ref } });
        assert.equal(isLatest(`refs/heads/${model.branch}`), true);
        assert.equal(isLatest("refs/heads/other"), false);
        assert.equal(isLatest(`refs/tags/${model.branch}`), false);
        assert.deepEqual(lines.slice(1), [
          "type=ref,event=tag",
          "type=semver,pattern={{version}}",
          "type=semver,pattern={{major}}.{{minor}}",
          "type=sha,format=long",
        ]);
        assert.equal(metadata.with!.flavor, "latest=false");
      });

      it("logs in to the registry of the image", () => {
        for (const job of Object.values(workflow.jobs)) {
          const [login, ...others] = stepsOf(job, "docker/login-action");
          assert.deepEqual(others, []);
          assert.deepEqual(
            login?.with,
            model.login.kind === "jobToken"
              ? {
                  registry: "ghcr.io",
                  username: "${{ github.actor }}",
                  password: "${{ github.token }}",
                }
              : {
                  registry: "registry.example.com:5000",
                  username: "robot$ci",
                  password: "${{ secrets.REGISTRY_PASSWORD }}",
                },
          );
        }
      });

      it("is recognised as ours, also with other line ends", () => {
        assert.ok(isOurs(text));
        assert.ok(isOurs(text.replaceAll("\n", "\r\n")));
      });
    });
  }

  describe("each rule notices when it is broken:", () => {
    const text = renderWorkflow(MODELS["hybrid-ghcr"]!);
    for (const [rule, { problems, break: broken }] of Object.entries(RULES)) {
      it(rule, () => {
        const changed = broken(text);
        assert.notEqual(changed, text);
        assert.notDeepEqual(problems(parseWorkflow(changed), changed), []);
      });
    }
  });

  it("carries any branch, context and label without changing their meaning", () => {
    const texts = fc.stringMatching(/^[a-zA-Z0-9'"#:{}$&*!%@ ,+[\]~.-]{1,30}$/);
    fc.assert(
      fc.property(texts, texts, texts, texts, (branch, context, dockerfile, target) => {
        const model = imageWorkflowModel(
          { project: "runner-fleet", stack: "dev", target },
          { image: "ghcr.io/acme/webppt", context, dockerfile },
          { variable: "ARM64_RUNS_ON", hostedFallback: "ubuntu-24.04-arm" },
          branch,
        );
        const text = renderWorkflow(model);
        assert.equal(text, renderWorkflow(model));
        assert.ok(isOurs(text));
        const workflow = parseWorkflow(text);
        assert.equal(workflow.name, `Image ${target}`);
        for (const { branches } of [workflow.on.push!, workflow.on.pull_request!]) {
          assert.equal(branches!.length, 1);
          assert.equal(branches![0]!.replace(/\\(.)/g, "$1"), branch);
          assert.doesNotMatch(branches![0]!, /(^|[^\\])[*?+[\]!]/);
        }
        const build = stepsOf(workflow.jobs.amd64!, "docker/build-push-action")[0]!;
        assert.equal(build.with!.context, context);
        assert.equal(build.with!.file, dockerfile);
        const tags = String(
          stepsOf(workflow.jobs.combine!, "docker/metadata-action")[0]!.with!.tags,
        );
        const enabled = /^type=raw,value=latest,enable=(.*)$/m.exec(tags)![1]!;
        assert.equal(evaluate(enabled, { github: { ref: `refs/heads/${branch}` } }), true);
        assert.doesNotMatch(text, /^ *[^#\n]*: [&*]a\d+/m);
      }),
      { numRuns: 100 },
    );
  });
});

describe("imageWorkflowModel", () => {
  const generator = { project: "runner-fleet", stack: "dev", target: "api" };
  const routing = { variable: "ARM64_RUNS_ON", hostedFallback: "ubuntu-24.04-arm" };

  it("takes credentials for GitHub's registry too", () => {
    const { login } = imageWorkflowModel(
      generator,
      {
        image: "ghcr.io/other/api",
        context: ".",
        registry: { username: "robot", passwordSecret: "GHCR_TOKEN" },
      },
      routing,
      "main",
    );
    assert.deepEqual(login, { kind: "secret", username: "robot", passwordSecret: "GHCR_TOKEN" });
  });

  it("refuses another registry without credentials", () => {
    assert.throws(
      () =>
        imageWorkflowModel(generator, { image: "quay.io/acme/api", context: "." }, routing, "main"),
      {
        message:
          "targets.api.registry: found nothing, expected username and passwordSecret, since quay.io does not take the job's own token as ghcr.io does.",
      },
    );
  });
});

describe("isOurs", () => {
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
