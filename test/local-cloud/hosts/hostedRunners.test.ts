import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import type { HostedJob, HostedRunners } from "../../../local-cloud/github/hostedRunners";
import type { JobStep } from "../../../local-cloud/github/jobs";
import { createBootedHosts, type BootedHosts } from "../../../local-cloud/hosts/booted";
import { createBootedRunners } from "../../../local-cloud/hosts/bootedRunners";
import { type HostImages } from "../../../local-cloud/hosts/prepare";
import { createProcessRunners } from "../../../local-cloud/hosts/processRunners";
import { openRegistries, type Registries } from "../../../local-cloud/registry";
import { BUILDKIT_IMAGE } from "../../../components/pins/pins";
import { BUILDX_VERSION } from "../../../local-cloud/tools";
import { eventually } from "./support";
import { preparedImages } from "./prepared";

interface Recorded {
  readonly job: HostedJob;
  readonly log: () => string;
  readonly steps: JobStep[][];
}

/** A job with one step of bash, or that is one script. */
function record(kind: "steps" | "script", script: string): Recorded {
  let log = "";
  const steps: JobStep[][] = [];
  const common = {
    job_id: "1",
    name: "build",
    run_id: 1,
    repository: "acme/web",
    env: { RUNNER_NAME: "GitHub Actions 1", GREETING: "it's a 'secret'" },
    timeout_seconds: 120,
    masks: ["hunter2"],
  };
  const nothing = { github: {}, vars: {}, secrets: {}, needs: {}, strategy: {}, matrix: {} };
  const message =
    kind === "script"
      ? { ...common, script }
      : {
          ...common,
          steps: [
            { id: "first", run: script },
            { name: "Tidy up", if: "always()", run: "echo tidied" },
          ],
          job: {
            id: "build",
            env: [],
            outputs: { answer: "${{ steps.first.outputs.answer }}" },
            contexts: { ...nothing, inputs: {} },
          },
        };
  return {
    job: {
      arch: "X64",
      label: "ubuntu-24.04",
      message,
      onLog: (text) => (log += text),
      onSteps: (reported) => steps.push([...reported]),
    },
    log: () => log,
    steps,
  };
}

function common(runners: () => HostedRunners): void {
  it("run steps, with outputs, masks and progress", async () => {
    const { job, log, steps } = record(
      "steps",
      'echo "answer=42" >> "$GITHUB_OUTPUT"; echo "password hunter2"',
    );
    const result = await runners().start(job).done;
    assert.deepEqual([result.result, result.exitCode], ["succeeded", 0], log());
    assert.deepEqual(result.outputs, { answer: "42" });
    assert.ok(result.steps.some(({ name }) => name === "Tidy up"));
    assert.ok(result.steps.every(({ conclusion }) => conclusion === "success"));
    assert.match(log(), /password \*\*\*/);
    assert.ok(steps.length > 0);
  });

  it("tell of a step that fails", async () => {
    const { job, log } = record("steps", "exit 3");
    const result = await runners().start(job).done;
    assert.deepEqual([result.result, result.exitCode], ["failed", 1]);
    assert.match(log(), /Process completed with exit code 3/);
    assert.match(log(), /^tidied$/m);
  });

  it("cancel a job in order", async () => {
    const { job, log } = record("steps", "echo begun; sleep 60");
    const running = runners().start(job);
    await eventually("the step", () => /^begun$/m.test(log()));
    running.stop();
    const result = await running.done;
    assert.equal(result.result, "cancelled");
    assert.match(log(), /^tidied$/m);
  });

  it("run scripts with the environment of the job", async () => {
    const { job, log } = record("script", 'echo "$GREETING" from "$GITHUB_WORKSPACE"; exit 7');
    const result = await runners().start(job).done;
    assert.deepEqual([result.result, result.exitCode], ["failed", 7]);
    assert.match(log(), /^it's a 'secret' from \/.*/m);
  });
}

describe("hosted runners as processes", function () {
  this.timeout(60_000);
  const runners = createProcessRunners();

  common(() => runners);

  it("leave nothing behind", async () => {
    const folders = () =>
      readdirSync(tmpdir()).filter((name) => name.startsWith("local-cloud-job-"));
    const before = folders();
    const { job, log } = record("steps", "pwd; sleep 60");
    void runners.start(job).done;
    const folder = await eventually(
      "the step",
      () => /^(\/.*)\/_work\/work\/work$/m.exec(log())?.[1],
    );
    assert.ok(existsSync(folder));
    await runners.close();
    assert.ok(!existsSync(folder));
    assert.deepEqual(folders(), before);
  });
});

describe("hosted runners as machines", function () {
  this.timeout(120_000);
  let hosts: BootedHosts;
  let registries: Registries;
  let runners: HostedRunners;
  let images: HostImages;

  before(async function () {
    images = await preparedImages(this);
    registries = await openRegistries({
      files: images.registry,
      accessOf: (token) =>
        token === "job-token"
          ? { login: "bot", owner: "acme", repositories: ["web"], packages: "write" }
          : undefined,
    });
    hosts = await createBootedHosts({
      images,
      services: {
        names: ["github.com"],
        handler: () => new Response("GitHub"),
        metadata: () => ({ status: 404, body: "" }),
        sites: registries.sites,
      },
    });
    runners = createBootedRunners({ hosts, root: images.runnerRoot });
  });

  after(async () => {
    await runners?.close();
    await hosts?.close();
    await registries?.close();
  });

  common(() => runners);

  it("are fresh machines with Docker, for the user that GitHub has", async () => {
    const script = [
      "whoami; id -nG; sudo id -u; hostname; pwd",
      "docker version --format '{{.Server.Os}}'; docker buildx version; git --version",
      "test ! -e ~/left || echo used; touch ~/left; docker ps --quiet | wc -l",
      "curl -s https://github.com/",
      "curl -s --max-time 3 https://example.org/ || echo unreachable",
    ].join("\n");
    for (const round of [1, 2]) {
      const { job, log } = record("script", script);
      const { result } = await runners.start(job).done;
      assert.equal(result, "succeeded", `${round}: ${log()}`);
      const lines = log().trim().split("\n");
      assert.deepEqual(lines.slice(0, 6), [
        "runner",
        "runner sudo docker",
        "0",
        "runnervm",
        "/home/runner/work/web/web",
        "linux",
      ]);
      assert.match(lines[6] ?? "", new RegExp(BUILDX_VERSION));
      assert.deepEqual(lines.slice(8), ["0", "GitHubunreachable"]);
    }
  });

  it("build with BuildKit in a container and push what has provenance and an SBOM", async () => {
    const { job, log } = record(
      "script",
      [
        "echo job-token | docker login ghcr.io --username x --password-stdin",
        `docker buildx create --use --driver-opt image=${BUILDKIT_IMAGE}`,
        "printf 'FROM busybox\\nRUN echo built > /built\\n' > Dockerfile",
        "docker buildx build --provenance mode=max \\",
        "  --sbom generator=docker/buildkit-syft-scanner:1.12.0 \\",
        "  --tag ghcr.io/acme/web:31 --push .",
        "docker run --rm ghcr.io/acme/web:31 cat /built",
      ].join("\n"),
    );
    const { result } = await runners.start(job).done;
    assert.equal(result, "succeeded", log());
    assert.match(log(), /^built$/m);
    const { ghcr } = registries;
    const index = await ghcr.manifest("acme/web", "31");
    const [image, attestation, ...more] = index?.content.manifests ?? [];
    assert.deepEqual(more, []);
    assert.equal(image?.platform?.architecture, process.arch === "arm64" ? "arm64" : "amd64");
    assert.equal(attestation?.annotations?.["vnd.docker.reference.digest"], image.digest);
    const statements = await ghcr.manifest("acme/web", attestation.digest);
    assert.deepEqual(
      statements?.content.layers
        ?.map(({ annotations }) => annotations?.["in-toto.io/predicate-type"])
        .sort(),
      ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"],
    );
  });

  it("are gone when jobs are stopped before they have begun", async () => {
    const { job } = record("script", "sleep 60");
    const running = runners.start(job);
    running.stop();
    assert.equal((await running.done).result, "cancelled");
  });
});
