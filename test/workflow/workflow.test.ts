import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run as execute } from "../../local-cloud/engine/run";
import type { Job, WorkflowRun } from "../../local-cloud/github";
import { missingCapability } from "../../local-cloud/hosts/prepare";
import type { RegistryClient } from "../../local-cloud/registry/client";
import { imagesOf } from "../../local-cloud/registry/image";
import { filesOf } from "../../local-cloud/sample";
import { Scene } from "../../local-cloud/story";

const REPOSITORY = "acme/webppt";
/** A program that tells its platform, compiled for each. */
const SERVICE = join(__dirname, "service");
const PLATFORMS = ["linux/amd64", "linux/arm64"];
const ATTESTED = ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"];
const OWN_RUNNER = /^dev-arm64-1-1-[12]-[a-z0-9]{6}$/;

/** What the emitted workflow does when it runs: real BuildKit, buildx and registry, the arm64 job on a booted host. */
describe("the emitted workflow, executed", function () {
  this.timeout("5m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;
  let registry: RegistryClient;

  before(async function () {
    const missing = missingCapability();
    if (missing !== undefined) {
      process.stderr.write(`    not here, since ${missing}\n`);
      this.skip();
    }
    cloud = await startLocalCloud({
      advisories: [
        {
          id: "CVE-0000-0001",
          ecosystem: "go",
          package: "example.com/broken",
          fixed: "1.0.1",
          severity: "CRITICAL",
          title: "broken",
        },
      ],
    });
    registry = cloud.registries!.ghcr;
    scene = await Scene.open(cloud);
    await scene.stack.configure({
      "tokenService.placement": "colocated",
      "targets.webppt.test": { command: "grep --quiet webppt go.mod" },
      "targets.webppt.scan": { on: "both" },
    });
    cloud.github.repository(REPOSITORY).push(await filesOf(SERVICE));
    await scene.pulumi("up");
    if (!cloud.emulation.available)
      process.stderr.write(
        `    arm64 images are cross-compiled and not run, since ${cloud.emulation.reason}\n`,
      );
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  const webppt = () => cloud.github.repository(REPOSITORY);
  const jobOf = (run: WorkflowRun, name: string): Job => {
    const job = run.jobs.find((one) => one.name === name);
    assert.ok(job, `there is no job ${name}, only ${run.jobs.map((one) => one.name).join(", ")}`);
    return job;
  };

  /** Waits for the run that this commit or ref has started. */
  async function ended(what: {
    readonly sha?: string;
    readonly ref?: string;
  }): Promise<WorkflowRun> {
    const find = () =>
      cloud.github.runs
        .list(REPOSITORY)
        .find(
          (run) =>
            (what.sha === undefined || run.headSha === what.sha) &&
            (what.ref === undefined || run.ref === what.ref),
        );
    await scene.until(`${JSON.stringify(what)} starts a run`, () => find() !== undefined);
    return cloud.github.runs.wait(find()!.id, 240_000);
  }

  function succeeded(run: WorkflowRun): void {
    const failed = run.jobs.find(({ conclusion }) => conclusion === "failure");
    assert.equal(run.conclusion, "success", `${run.error ?? ""} ${failed?.name}: ${failed?.log}`);
  }

  async function tags(): Promise<string[]> {
    return (await registry.tags(REPOSITORY)).filter((tag) => !tag.startsWith("buildcache-"));
  }

  /** What a tag holds: exactly two platforms with their attestations, whose programs run and tell the same. */
  async function published(tag: string): Promise<{ readonly greeting: string }> {
    const images = await imagesOf(registry, REPOSITORY, tag);
    assert.deepEqual(
      images.map(({ platform, attestations }) => [platform, attestations]),
      PLATFORMS.map((platform) => [platform, ATTESTED]),
    );
    let greeting = "";
    for (const { platform, digest } of images) {
      if (platform === "linux/arm64" && !cloud.emulation.available) continue;
      const told = JSON.parse(await runProgram(digest)) as { platform: string; greeting: string };
      assert.equal(told.platform, platform);
      assert.ok(greeting === "" || greeting === told.greeting, "both platforms are of one commit");
      ({ greeting } = told);
    }
    return { greeting };
  }

  /** Takes the program out of an image and runs it here. */
  async function runProgram(digest: string): Promise<string> {
    const manifest = await registry.manifest(REPOSITORY, digest);
    const folder = await mkdtemp(join(tmpdir(), "runner-fleet-image-"));
    try {
      for (const layer of manifest?.content.layers ?? []) {
        const archive = join(folder, "layer.tar.gz");
        await writeFile(archive, await registry.blob(REPOSITORY, layer.digest));
        const unpacked = await execute("tar", ["-xf", archive, "-C", folder], {});
        assert.equal(unpacked.code, 0, unpacked.stderr);
        const program = join(folder, "webppt");
        if (!existsSync(program)) continue;
        const { code, stdout, stderr } = await execute(program, [], {});
        assert.equal(code, 0, stderr);
        return stdout;
      }
      assert.fail(`the image ${digest} has no program`);
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  it("publishes latest when it is delivered, which is a push to master", async () => {
    const run = await ended({ sha: webppt().commits()[0]!.sha });
    succeeded(run);
    assert.equal(jobOf(run, "Build linux/amd64").runner, "hosted");
    assert.match(jobOf(run, "Build linux/arm64").runner ?? "", OWN_RUNNER);
    assert.deepEqual(await tags(), ["latest", `sha-${run.sha}`]);
    assert.equal((await published("latest")).greeting, "hello");
    // Jobs on our host build on its daemon and leave nothing in the registry.
    assert.deepEqual(
      (await registry.tags(REPOSITORY)).filter((tag) => tag.startsWith("buildcache-")),
      ["buildcache-amd64"],
    );
  });

  it("publishes git tag 31 as :31", async () => {
    const sha = webppt().tag("31");
    const run = await ended({ ref: "refs/tags/31" });
    succeeded(run);
    assert.match(jobOf(run, "Build linux/arm64").runner ?? "", OWN_RUNNER);
    assert.deepEqual(await tags(), ["31", "latest", `sha-${sha}`]);
    assert.equal((await published("31")).greeting, "hello");
    assert.match(jobOf(run, "Build linux/arm64").log, /CACHED/);
  });

  it("builds a pull request for both platforms, tests and scans it, and pushes nothing", async () => {
    const before = await registry.tags(REPOSITORY);
    const sha = webppt().push({ "greeting.go": greeting("proposed") }, { branch: "proposal" });
    webppt().openPull("proposal", { title: "Greet otherwise" });
    const run = await ended({ sha });
    succeeded(run);
    assert.equal(run.event, "pull_request");
    assert.match(jobOf(run, "Build linux/arm64").runner ?? "", OWN_RUNNER);
    const amd64 = jobOf(run, "Build linux/amd64");
    assert.match(run.jobs.map(({ log }) => log).join("\n"), /grep --quiet webppt go\.mod/);
    assert.match(
      run.jobs.map(({ log }) => log).join("\n"),
      /Scanned \d+ packages for 1 advisories/,
    );
    assert.doesNotMatch(amd64.log, /Login Succeeded/);
    assert.deepEqual(await registry.tags(REPOSITORY), before);
  });

  it("builds a fork's pull request on hosted runners only, and gives it no way to push", async () => {
    const { GITHUB_BASE_URL, GITHUB_TOKEN } = cloud.environment;
    const answer = await fetch(
      `${GITHUB_BASE_URL}repos/${REPOSITORY}/actions/permissions/fork-pr-workflows-private-repos`,
      {
        method: "PUT",
        headers: { authorization: `Bearer ${GITHUB_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify({
          run_workflows_from_fork_pull_requests: true,
          send_write_tokens_to_workflows: false,
          send_secrets_and_variables: false,
          require_approval_for_fork_pr_workflows: false,
        }),
      },
    );
    assert.equal(answer.status, 204, await answer.text());
    const before = await registry.tags(REPOSITORY);
    const number = cloud.github.forkPullRequest(
      REPOSITORY,
      { "greeting.go": greeting("forked") },
      { login: "fleet-member", title: "From a fork" },
    );
    const run = await ended({ ref: `refs/pull/${number}/merge` });
    succeeded(run);
    for (const job of run.jobs.filter(({ conclusion }) => conclusion !== "skipped"))
      assert.equal(job.runnerKind, "hosted", job.name);
    assert.doesNotMatch(run.jobs.map(({ log }) => log).join("\n"), /Login Succeeded/);
    assert.deepEqual(await registry.tags(REPOSITORY), before);
  });

  it("tags nothing when one platform fails", async () => {
    const { Dockerfile = "" } = await filesOf(SERVICE);
    const failing = Dockerfile.replace(
      "RUN --mount",
      'RUN if [ "$TARGETARCH" = arm64 ]; then echo "no arm64 today"; exit 1; fi\nRUN --mount',
    );
    webppt().push({ Dockerfile: failing }, { branch: "broken" });
    webppt().tag("32", "broken");
    const run = await ended({ ref: "refs/tags/32" });
    assert.equal(run.conclusion, "failure");
    assert.equal(jobOf(run, "Build linux/arm64").conclusion, "failure");
    assert.equal(jobOf(run, "Build linux/amd64").conclusion, "success");
    assert.ok(!(await tags()).includes("32"));
  });

  it("runs one job again, with what depends on it", async () => {
    const [first] = cloud.github.runs.list(REPOSITORY).filter(({ ref }) => ref === "refs/tags/31");
    const combine = jobOf(first!, "Combine");
    cloud.github.runs.rerunJob(combine.id);
    const again = await cloud.github.runs.wait(first!.id, 240_000);
    succeeded(again);
    assert.equal(again.attempts.length, 2);
    assert.equal(
      jobOf(again, "Build linux/arm64").startedAt,
      jobOf(first!, "Build linux/arm64").startedAt,
    );
    assert.ok(jobOf(again, "Combine").startedAt! > combine.completedAt!);
    assert.equal((await published("31")).greeting, "hello");
  });

  it("never mixes two runs that go on at once", async () => {
    for (const tag of ["33", "34"]) {
      webppt().push({ "greeting.go": greeting(`release ${tag}`) }, { branch: `release-${tag}` });
      webppt().tag(tag, `release-${tag}`);
    }
    const runs = await Promise.all(["33", "34"].map((tag) => ended({ ref: `refs/tags/${tag}` })));
    runs.forEach(succeeded);
    const [one, other] = runs.map((run) => jobOf(run, "Build linux/arm64"));
    assert.ok(one!.startedAt! < other!.completedAt! && other!.startedAt! < one!.completedAt!);
    assert.equal((await published("33")).greeting, "release 33");
    assert.equal((await published("34")).greeting, "release 34");
  });

  it("publishes nothing that the scan finds wanting", async () => {
    webppt().push(
      {
        "go.mod": "module example.com/webppt\n\ngo 1.26\n\nrequire example.com/broken v1.0.0\n",
        "vendor/modules.txt":
          "# example.com/broken v1.0.0\n## explicit; go 1.26\nexample.com/broken\n",
        "vendor/example.com/broken/broken.go": 'package broken\n\nconst Greeting = "broken"\n',
        "greeting.go":
          'package main\n\nimport "example.com/broken"\n\nconst greeting = broken.Greeting\n',
      },
      { branch: "vulnerable" },
    );
    webppt().tag("35", "vulnerable");
    const run = await ended({ ref: "refs/tags/35" });
    assert.equal(run.conclusion, "failure");
    assert.match(run.jobs.map(({ log }) => log).join("\n"), /CVE-0000-0001/);
    assert.equal(jobOf(run, "Build linux/arm64").conclusion, "success");
    assert.ok(!(await tags()).includes("35"));
  });

  it("falls back to a hosted runner when the routing variable is gone", async () => {
    const { GITHUB_BASE_URL, GITHUB_TOKEN } = cloud.environment;
    const answer = await fetch(`${GITHUB_BASE_URL}orgs/acme/actions/variables/ARM64_RUNS_ON`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${GITHUB_TOKEN}` },
    });
    assert.equal(answer.status, 204);
    webppt().tag("36");
    const run = await ended({ ref: "refs/tags/36" });
    succeeded(run);
    assert.equal(jobOf(run, "Build linux/arm64").runner, "hosted");
    assert.equal((await published("36")).greeting, "hello");
    assert.ok((await registry.tags(REPOSITORY)).includes("buildcache-arm64"));
  });

  it("publishes by every other strategy, and through a central workflow", async () => {
    await scene.stack.configure({
      "targets.hello": { image: "ghcr.io/acme/hello", strategy: "amd64" },
      ...(cloud.emulation.available && {
        "targets.webp-server": { image: "ghcr.io/acme/webp-server", strategy: "qemu" },
      }),
      "targets.called": {
        repository: "hello",
        path: ".github/workflows/called.yml",
        image: "ghcr.io/acme/called",
        strategy: "hosted-arm",
        emit: "reusable",
      },
      reusableWorkflows: { repository: "webp-server" },
    });
    await scene.pulumi("up");
    const wanted = [
      { repository: "hello", image: "hello", platforms: ["linux/amd64"] },
      { repository: "hello", path: "called", image: "called", platforms: PLATFORMS },
      ...(cloud.emulation.available
        ? [{ repository: "webp-server", image: "webp-server", platforms: PLATFORMS }]
        : []),
    ];
    for (const { repository, path = "image", image, platforms } of wanted) {
      const full = `acme/${repository}`;
      const find = () =>
        cloud.github.runs
          .list(full)
          .find((run) => run.path === `.github/workflows/${path}.yml` && run.event === "push");
      await scene.until(`a run builds ${image}`, () => find() !== undefined);
      const run = await cloud.github.runs.wait(find()!.id, 240_000);
      succeeded(run);
      assert.ok(run.jobs.every(({ runnerKind }) => runnerKind !== "self-hosted"));
      const images = await imagesOf(registry, `acme/${image}`, "latest");
      assert.deepEqual(
        images.map(({ platform, attestations }) => [platform, attestations]),
        platforms.map((platform) => [platform, ATTESTED]),
      );
    }
  });

  function greeting(text: string): string {
    return `package main\n\nconst greeting = "${text}"\n`;
  }
});
