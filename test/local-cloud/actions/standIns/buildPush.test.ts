import assert from "node:assert/strict";
import type { Scalar } from "../../../../local-cloud/actions/message";
import { FakeDocker, inspectText, runSteps, uses } from "../support";

const RUN = "https://github.com/acme/webppt/actions/runs/7/attempts/2";

/** Answers as buildx does, and keeps what the files of secrets held. */
const DOCKER = `
case "$2" in
  version) echo "github.com/docker/buildx v0.36.1 abc" ;;
  inspect) cat <<'TEXT'
${inspectText("b", "docker-container")}
TEXT
  ;;
  build)
    echo "building" >&2
    while [ $# -gt 0 ]; do
      case "$1" in
        --metadata-file) echo '{"containerimage.digest":"sha256:d","buildx.build.ref":"r"}' >"$2" ;;
        --iidfile) echo sha256:i >"$2" ;;
        --secret) case "$2" in *src=*) echo "secret file: $(stat -c %a "\${2#*src=}") $(wc -c <"\${2#*src=}")" ;; esac ;;
      esac
      shift
    done
    exit "\${BUILD_EXIT:-0}" ;;
esac`;

/** Arguments of the build, with paths of temporary files left out. */
async function build(
  inputs: Record<string, Scalar>,
  changes: { private?: boolean; env?: Record<string, string> } = {},
): Promise<{
  args: string[];
  log: string;
  result: string | undefined;
  outputs: Record<string, string>;
}> {
  const docker = await FakeDocker.create(DOCKER);
  try {
    const { report, log } = await runSteps(
      [{ id: "publish", uses: uses("docker/build-push-action"), with: inputs }],
      {
        processEnv: { ...docker.env, ...changes.env },
        github: { event: { repository: { private: changes.private ?? false } } },
        outputs: {
          digest: "${{ steps.publish.outputs.digest }}",
          imageid: "${{ steps.publish.outputs.imageid }}",
          metadata: "${{ fromJSON(steps.publish.outputs.metadata || '{}')['buildx.build.ref'] }}",
        },
      },
    );
    const call = (await docker.calls()).find(([, command]) => command === "build") ?? [];
    return {
      args: call
        .slice(2)
        .map((word) => word.replace(/\/\S*\/docker-actions-toolkit-[^/]+\//, "TMP/")),
      log,
      result: report.result,
      outputs: { ...report.outputs },
    };
  } finally {
    await docker.remove();
  }
}

const FILES = {
  iid: ["--iidfile", "TMP/build-iidfile.txt"],
  meta: ["--metadata-file", "TMP/build-metadata.json"],
};
const PROVENANCE = ["--attest", `type=provenance,mode=max,builder-id=${RUN}`];

describe("docker/build-push-action", () => {
  for (const [title, inputs, expected] of [
    ["only a context", { context: "." }, [...FILES.iid, ...PROVENANCE, ...FILES.meta, "."]],
    [
      "as emitted to publish",
      {
        builder: "b",
        context: "services/api",
        file: "services/api/Containerfile",
        platforms: "linux/arm64",
        "build-args": "BUILDKIT_CACHE_MOUNT_NS=acme/webppt",
        "cache-from": "type=registry,ref=ghcr.io/acme/webppt:buildcache",
        labels: "a=1\nb=two, three\n",
        outputs:
          "type=image,name=ghcr.io/acme/webppt,push-by-digest=true,name-canonical=true,push=true",
        provenance: "mode=min",
        sbom: "generator=docker/buildkit-syft-scanner:1.12.0",
        "cache-to": "",
      },
      [
        ...["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=acme/webppt"],
        ...["--cache-from", "type=registry,ref=ghcr.io/acme/webppt:buildcache"],
        ...["--file", "services/api/Containerfile", ...FILES.iid],
        ...["--label", "a=1", "--label", "b=two, three"],
        ...[
          "--output",
          "type=image,name=ghcr.io/acme/webppt,push-by-digest=true,name-canonical=true,push=true",
        ],
        ...["--platform", "linux/arm64"],
        ...["--attest", `type=provenance,mode=min,builder-id=${RUN}`],
        ...["--attest", "type=sbom,generator=docker/buildkit-syft-scanner:1.12.0"],
        ...["--builder", "b", ...FILES.meta, "services/api"],
      ],
    ],
    [
      "as emitted for a pull request",
      { context: ".", outputs: "type=cacheonly", provenance: false, sbom: false },
      [
        ...FILES.iid,
        ...["--output", "type=cacheonly", "--attest", "type=provenance,disabled=true"],
        ...["--attest", "type=sbom,disabled=true", ...FILES.meta, "."],
      ],
    ],
    [
      "all other flags",
      {
        context: ".",
        "add-hosts": "a:1.2.3.4,b:5.6.7.8",
        allow: "network.host",
        annotations: "index:x=1",
        attests: "type=sbom,generator=x",
        "build-contexts": "base=docker-image://alpine",
        call: "check",
        "cgroup-parent": "/c",
        network: "host",
        "no-cache": true,
        "no-cache-filters": "one,two",
        platforms: "linux/amd64,linux/arm64",
        provenance: "builder-id=me",
        pull: true,
        push: true,
        "secret-envs": "ID=VARIABLE",
        "shm-size": "2g",
        ssh: "default",
        tags: "a:1\nb:2",
        target: "final",
        ulimit: "nofile=1024:1024",
      },
      [
        ...["--add-host", "a:1.2.3.4", "--add-host", "b:5.6.7.8", "--allow", "network.host"],
        ...["--annotation", "index:x=1", "--build-context", "base=docker-image://alpine"],
        ...[
          "--call",
          "check",
          "--cgroup-parent",
          "/c",
          "--secret",
          "id=ID,env=VARIABLE",
          ...FILES.iid,
        ],
        ...["--no-cache-filter", "one", "--no-cache-filter", "two"],
        ...["--platform", "linux/amd64,linux/arm64", "--attest", "type=provenance,builder-id=me"],
        ...["--attest", "type=sbom,generator=x", "--shm-size", "2g", "--ssh", "default"],
        ...["--tag", "a:1", "--tag", "b:2", "--target", "final", "--ulimit", "nofile=1024:1024"],
        ...[...FILES.meta, "--network", "host", "--no-cache", "--pull", "--push", "."],
      ],
    ],
    [
      "an image to load has no provenance",
      { context: ".", load: true },
      [...FILES.iid, "--load", ...FILES.meta, "."],
    ],
    [
      "an exporter to a folder has no image",
      { context: ".", outputs: "out" },
      ["--output", "out", ...PROVENANCE, ...FILES.meta, "."],
    ],
  ] as const)
    it(title, async () => {
      const { args, log, result } = await build(inputs);
      assert.equal(result, "succeeded", log);
      assert.deepEqual(args, expected);
    });

  it("builds from the repository without a context, with the token as a secret", async () => {
    const { args, log } = await build({ file: "x" });
    assert.equal(
      args.at(-1),
      "https://github.com/acme/webppt.git?ref=refs/heads/master&checksum=0123456789abcdef0123456789abcdef01234567",
    );
    assert.match(
      args[args.indexOf("--secret") + 1] ?? "",
      /^id=GIT_AUTH_TOKEN\.github\.com,src=TMP\/secret-/,
    );
    assert.doesNotMatch(args.join(" "), /job-token/);
    assert.match(log, /^secret file: 600 9$/m);
  });

  it("hands secrets over as files", async () => {
    const { args, log } = await build({
      context: ".",
      secrets: '"KEY=two\nlines"\nPLAIN=hush\nbroken',
    });
    const flags = args.filter((_, index) => args[index - 1] === "--secret");
    assert.deepEqual(
      flags.map((flag) => flag.replace(/secret-.*/, "")),
      ["id=KEY,src=TMP/", "id=PLAIN,src=TMP/"],
    );
    assert.match(log, /##\[warning\]A secret is not valid/);
    assert.match(log, /^secret file: 600 4$/m);
  });

  it("keeps the provenance of a private repository small", async () => {
    const { args } = await build({ context: "." }, { private: true });
    assert.equal(
      args[args.indexOf("--attest") + 1],
      `type=provenance,mode=min,inline-only=true,builder-id=${RUN}`,
    );
  });

  it("tells digest, image and metadata", async () => {
    const { outputs } = await build({ context: "." });
    assert.deepEqual(outputs, { digest: "sha256:d", imageid: "sha256:i", metadata: "r" });
  });

  it("fails as the build does", async () => {
    const { result, log } = await build({ context: "." }, { env: { BUILD_EXIT: "1" } });
    assert.equal(result, "failed");
    assert.match(log, /##\[error\]buildx failed with: building/);
  });

  for (const [inputs, message] of [
    [{ context: ".", "cache-to": "type=gha,mode=max" }, /no cache service of GitHub Actions/],
    [
      { context: ".", push: "perhaps" },
      /Input does not meet YAML 1\.2 "Core Schema" specification: push/,
    ],
  ] as const)
    it(`refuses ${JSON.stringify(inputs)}`, async () => {
      const { result, log } = await build(inputs);
      assert.equal(result, "failed");
      assert.match(log, message);
    });
});
