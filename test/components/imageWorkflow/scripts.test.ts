import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { createServer } from "node:net";
import { join } from "node:path";
import { renderReusable, renderWorkflow } from "../../../components/imageWorkflow/workflow";
import { MODELS } from "./models";
import { parseWorkflow } from "./parsed";

/**
 * The scripts of the emitted file, run by bash as a runner does. `docker buildx imagetools` is played by a script that
 * answers from files, so this shows what our script decides, not what the registry does.
 */

const { jobs } = parseWorkflow(renderWorkflow(MODELS.hybrid));
const IMAGE = "ghcr.io/acme/webppt";
const AMD64 = digestOf("amd64 index");
const ARM64 = digestOf("arm64 index");

const IMAGETOOLS = `#!/bin/bash
set -eu
[[ "$1 $2" == "buildx imagetools" ]]
case "$3" in
  create)
    if [[ "$4" == --dry-run ]]; then
      printf '%s\\n' "\${@:5}" >"$STAND_IN/dry-run"
      cat "$STAND_IN/index"
      echo
    else
      printf '%s\\n' "\${@:4}" >"$STAND_IN/create"
      [[ ! -e "$STAND_IN/refuse" ]]
      cp "$STAND_IN/index" "$STAND_IN/$(sha256sum <"$STAND_IN/index" | cut -d' ' -f1)"
    fi
    ;;
  inspect)
    [[ "$4" == --raw && "$5" == ${IMAGE}[@:]* ]]
    cat "$STAND_IN/\${5##*:}"
    ;;
esac
`;

const PROVENANCE = "https://slsa.dev/provenance/v1";
const SBOM = "https://spdx.dev/Document";

interface Image {
  platform: string;
  predicates: string[] | undefined;
}
const BOTH: Image[] = [
  { platform: "linux/amd64", predicates: [PROVENANCE, SBOM] },
  { platform: "linux/arm64", predicates: [SBOM, PROVENANCE] },
];

describe("the script that combines", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "combine-"));
    mkdirSync(join(folder, "bin"));
    writeFileSync(join(folder, "bin", "docker"), IMAGETOOLS, { mode: 0o755 });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Lays out what the registry holds; gives the bytes of the index. */
  function registry(images: Image[]): string {
    const manifests: object[] = images.flatMap(({ platform, predicates }, position) => {
      const [os, architecture] = platform.split("/");
      const digest = digestOf(`${platform} ${position}`);
      const attestation = JSON.stringify({
        layers: predicates?.map((type) => ({
          annotations: { "in-toto.io/predicate-type": type },
        })),
      });
      writeFileSync(join(folder, digestOf(attestation).slice("sha256:".length)), attestation);
      return [
        { digest, platform: { os, architecture } },
        ...(predicates === undefined
          ? []
          : [
              {
                digest: digestOf(attestation),
                platform: { os: "unknown", architecture: "unknown" },
                annotations: {
                  "vnd.docker.reference.type": "attestation-manifest",
                  "vnd.docker.reference.digest": digest,
                },
              },
            ]),
      ];
    });
    const index = JSON.stringify({ schemaVersion: 2, manifests }, undefined, 2);
    writeFileSync(join(folder, "index"), index);
    return index;
  }

  function combine(environment: Record<string, string> = {}) {
    const result = runScript(jobs.combine!.steps.find((step) => step.id === "combine")!.run!, {
      PATH: `${join(folder, "bin")}:${process.env.PATH}`,
      STAND_IN: folder,
      IMAGE,
      DIGESTS: `${AMD64}\n${ARM64}`,
      PLATFORMS: "linux/amd64 linux/arm64",
      METADATA: JSON.stringify({
        tags: [`${IMAGE}:31`, `${IMAGE}:latest`],
        annotations: [
          "index:org.opencontainers.image.description=Pictures, smaller $(rm -rf) ones",
        ],
      }),
      GITHUB_REF: "refs/tags/31",
      GITHUB_RUN_ID: "900",
      GITHUB_SHA: "c0ffee",
      GITHUB_OUTPUT: join(folder, "output"),
      GITHUB_STEP_SUMMARY: join(folder, "summary"),
      ...environment,
    });
    return {
      ...result,
      created: existsSync(join(folder, "create"))
        ? readFileSync(join(folder, "create"), "utf8").trimEnd().split("\n")
        : undefined,
    };
  }

  it("makes one index of both digests, with every tag, and says which", () => {
    const index = registry(BOTH);
    const { status, stdout, created } = combine();
    assert.equal(status, 0, stdout);
    assert.deepEqual(created, [
      "--annotation",
      "index:runner-fleet.run-id=900",
      "--annotation",
      "index:org.opencontainers.image.description=Pictures, smaller $(rm -rf) ones",
      "--tag",
      `${IMAGE}:31`,
      "--tag",
      `${IMAGE}:latest`,
      `${IMAGE}@${AMD64}`,
      `${IMAGE}@${ARM64}`,
    ]);
    assert.equal(readFileSync(join(folder, "output"), "utf8"), `digest=${digestOf(index)}\n`);
    assert.equal(
      readFileSync(join(folder, "summary"), "utf8"),
      `Published \`${digestOf(index)}\` for linux/amd64 linux/arm64 as\n- \`${IMAGE}:31\`\n- \`${IMAGE}:latest\`\n`,
    );
  });

  it("checks the same index that it pushes", () => {
    registry(BOTH);
    const { created } = combine();
    const checked = readFileSync(join(folder, "dry-run"), "utf8").trimEnd().split("\n");
    assert.deepEqual(
      checked,
      created!.filter((word, at) => word !== "--tag" && created![at - 1] !== "--tag"),
    );
  });

  it("works without annotations", () => {
    registry(BOTH);
    const { status, created } = combine({
      METADATA: JSON.stringify({ tags: [`${IMAGE}:31`], annotations: [] }),
    });
    assert.equal(status, 0);
    assert.deepEqual(created!.slice(2), [
      "--tag",
      `${IMAGE}:31`,
      `${IMAGE}@${AMD64}`,
      `${IMAGE}@${ARM64}`,
    ]);
  });

  /** What the registry has under a tag. */
  function tagged(tag: string, run: unknown): void {
    writeFileSync(
      join(folder, tag),
      JSON.stringify(run === undefined ? {} : { annotations: { "runner-fleet.run-id": run } }),
    );
  }
  const namesIn = (created: string[] | undefined) =>
    created?.filter((_, at) => created[at - 1] === "--tag");

  it("leaves a tag to a later run that has published it", () => {
    const index = registry(BOTH);
    tagged("latest", "1000");
    tagged("31", "899");
    const { status, stdout, created } = combine();
    assert.equal(status, 0);
    assert.equal(
      stdout,
      `::notice::${IMAGE}:latest stays as the later run 1000 has published it.\n`,
    );
    assert.deepEqual(namesIn(created), [`${IMAGE}:31`]);
    assert.equal(
      readFileSync(join(folder, "summary"), "utf8"),
      `Published \`${digestOf(index)}\` for linux/amd64 linux/arm64 as\n- \`${IMAGE}:31\`\n`,
    );
  });

  it("says so when later runs have published every tag", () => {
    registry(BOTH);
    tagged("latest", "901");
    tagged("31", "901");
    const { status, stdout, created } = combine();
    assert.equal(status, 1);
    assert.match(
      stdout,
      /^::error::Later runs have published all tags of this one, \S+:31 \S+:latest\.$/m,
    );
    assert.equal(created, undefined);
  });

  it("moves the tag of the commit, which several runs may publish", () => {
    registry(BOTH);
    tagged("sha-c0ffee", "901");
    const { status, created } = combine({
      METADATA: JSON.stringify({ tags: [`${IMAGE}:sha-c0ffee`], annotations: [] }),
    });
    assert.equal(status, 0);
    assert.deepEqual(namesIn(created), [`${IMAGE}:sha-c0ffee`]);
  });

  for (const [what, run] of [
    ["its own run, repeated,", "900"],
    ["something else", undefined],
    ["a run of another kind", "latest[$(touch hacked)]"],
  ] as const) {
    it(`moves a tag that ${what} has published`, () => {
      registry(BOTH);
      tagged("latest", run);
      const { status, created } = combine();
      assert.equal(status, 0);
      assert.deepEqual(namesIn(created), [`${IMAGE}:31`, `${IMAGE}:latest`]);
    });
  }

  it("tags the index of a single build, of the platforms that are expected", () => {
    registry([BOTH[0]!]);
    const { status, created } = combine({ DIGESTS: AMD64, PLATFORMS: "linux/amd64" });
    assert.equal(status, 0);
    assert.deepEqual(created!.slice(-1), [`${IMAGE}@${AMD64}`]);
  });

  const [amd64, arm64] = BOTH as [Image, Image];
  const wrongIndexes: [string, Image[], RegExp][] = [
    ["lacks a platform", [amd64], /has the platforms 'linux\/amd64', expected exactly/],
    [
      "has one platform twice",
      [amd64, amd64],
      /has the platforms 'linux\/amd64 linux\/amd64', expected/,
    ],
    [
      "has a third platform",
      [...BOTH, { platform: "linux/arm", predicates: [PROVENANCE, SBOM] }],
      /has the platforms 'linux\/amd64 linux\/arm linux\/arm64', expected/,
    ],
    ["is empty", [], /has the platforms '', expected/],
    [
      "has lost its attestations",
      [amd64, { ...arm64, predicates: undefined }],
      /The image for linux\/arm64 has no attestations, expected provenance and SBOM\./,
    ],
    [
      "has no SBOM",
      [{ ...amd64, predicates: [PROVENANCE] }, arm64],
      /The image for linux\/amd64 has the attestations 'https:\/\/slsa\.dev\/provenance\/v1', expected one of https:\/\/spdx\.dev\/ as well\./,
    ],
    [
      "has no provenance",
      [amd64, { ...arm64, predicates: [SBOM] }],
      /The image for linux\/arm64 has the attestations 'https:\/\/spdx\.dev\/Document', expected one of https:\/\/slsa\.dev\/provenance\/ as well\./,
    ],
  ];
  for (const [what, images, message] of wrongIndexes) {
    it(`tags nothing when the index ${what}`, () => {
      registry(images);
      const { status, stdout, created } = combine();
      assert.equal(status, 1);
      assert.match(stdout, message);
      assert.match(stdout, /^::error::/);
      assert.equal(created, undefined);
    });
  }

  const wrongInputs: [string, Record<string, string>, RegExp][] = [
    [
      "the second build gave no digest",
      { DIGESTS: `${AMD64}\n` },
      /A build handed over '', expected a sha256/,
    ],
    ["the first build gave no digest", { DIGESTS: `\n${ARM64}` }, /A build handed over ''/],
    ["no build gave a digest", { DIGESTS: "" }, /A build handed over ''/],
    [
      "a digest is followed by something",
      { DIGESTS: `${AMD64} --tag evil\n${ARM64}` },
      /A build handed over '.* --tag evil', expected/,
    ],
    [
      "no tag follows from the ref",
      { METADATA: '{"tags":[],"annotations":[]}' },
      /No image tag follows from refs\/tags\/31\./,
    ],
    ["the tags cannot be read", { METADATA: "" }, /No image tag follows/],
  ];
  for (const [what, environment, message] of wrongInputs) {
    it(`tags nothing when ${what}`, () => {
      registry(BOTH);
      const { status, stdout, created } = combine(environment);
      assert.equal(status, 1);
      assert.match(stdout, message);
      assert.equal(created, undefined);
    });
  }

  it("tags nothing when the digests are not in the registry", () => {
    const { status, created } = combine();
    assert.notEqual(status, 0);
    assert.equal(created, undefined);
  });

  it("fails when the registry refuses the index", () => {
    registry(BOTH);
    writeFileSync(join(folder, "refuse"), "");
    const { status } = combine();
    assert.notEqual(status, 0);
    assert.ok(!existsSync(join(folder, "output")));
  });
});

describe("the script that refuses a machine", () => {
  const script = jobs.arm64!.steps[0]!.run!;

  it("lets ARM64 through", () => {
    assert.deepEqual(runScript(script, { RUNNER_ARCH: "ARM64", RUNNER_NAME: "arm64-1" }), {
      status: 0,
      stdout: "",
    });
  });

  it("says what it found and what names the machine", () => {
    assert.deepEqual(runScript(script, { RUNNER_ARCH: "X64", RUNNER_NAME: "big" }), {
      status: 1,
      stdout:
        "::error::Runner big is X64, expected ARM64. Check what the variable ARM64_RUNS_ON names.\n",
    });
  });
});

describe("the script that looks for a build daemon", () => {
  const script = jobs.arm64!.steps.find((step) => step.id === "daemon")!.run!;
  const SOCKET = "/run/buildkit/buildkitd.sock";
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "daemon-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** The script with its socket in a folder of the test. */
  function look(): string {
    assert.ok(script.includes(SOCKET));
    const output = join(folder, "output");
    const { status } = runScript(script.replaceAll(SOCKET, join(folder, "socket")), {
      GITHUB_OUTPUT: output,
    });
    assert.equal(status, 0);
    return readFileSync(output, "utf8");
  }

  it("finds one where its socket is", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, "socket"), resolve));
    try {
      assert.equal(look(), "shared=true\n");
    } finally {
      server.close();
    }
  });

  it("finds none where nothing is, or something else", () => {
    assert.equal(look(), "shared=false\n");
    rmSync(join(folder, "output"));
    writeFileSync(join(folder, "socket"), "");
    assert.equal(look(), "shared=false\n");
  });
});

describe("the script that runs a test command of a caller", () => {
  const called = renderReusable(MODELS.hybrid).content;
  const script = parseWorkflow(called).jobs.test!.steps.find((step) => step.run)!.run!;

  it("runs it as bash does the scripts of a workflow: whole, up to the first failure", () => {
    const run = (TEST_COMMAND: string) => runScript(script, { TEST_COMMAND });
    assert.deepEqual(run(`echo 'it''s' "$((1 + 1))"\necho "\\"quoted\\""`), {
      status: 0,
      stdout: 'its 2\n"quoted"\n',
    });
    assert.deepEqual(run("echo one\nfalse\necho two"), { status: 1, stdout: "one\n" });
    assert.deepEqual(run("false | true\necho two"), { status: 1, stdout: "" });
  });
});

/** As a runner does for `shell: bash`. */
function runScript(script: string, environment: Record<string, string>) {
  const { status, stdout, error } = spawnSync(
    "bash",
    ["--noprofile", "--norc", "-eo", "pipefail", "-c", script],
    { env: { PATH: process.env.PATH, ...environment }, encoding: "utf8", timeout: 10_000 },
  );
  if (error) throw error;
  return { status, stdout };
}

function digestOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
