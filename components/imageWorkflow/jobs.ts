import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BUILDKIT_DIRECTORY } from "../runnerHost/buildkit";
import {
  all,
  any,
  choose,
  type Condition,
  joined,
  literalValue,
  not,
  quoted,
  type Value,
} from "./expressions";
import type { Strategy } from "./model";
import { lines, type Parameters } from "./parameters";
import {
  BINFMT_IMAGE,
  BUILDKIT_IMAGE,
  COSIGN_VERSION,
  SBOM_SCANNER,
  TRIVY_VERSION,
} from "../pins/pins";
import type { Job, Permissions, Step } from "./workflowFile";

/** Label of the hosted runners for everything but arm64. */
const HOSTED_AMD64 = "ubuntu-24.04";

/**
 * Longest that a job may run, in minutes: one that hangs must not hold a machine for GitHub's default of six hours.
 * Emulation takes ten times as long as the same build on its own kind of machine, and more.
 */
const TIMEOUT = { test: 30, build: 60, emulatedBuild: 180, scan: 15, combine: 10, attest: 10 };

/** A condition of jobs and steps. */
export const IS_PULL_REQUEST = "github.event_name == 'pull_request'";
const PUBLISHES = "github.event_name != 'pull_request'";
const FROM_FORK = `${IS_PULL_REQUEST} && github.event.pull_request.head.repo.full_name != github.repository`;

const AMD64 = "linux/amd64";
export const ARM64 = "linux/arm64";

/** The jobs of a strategy, each with no more rights than it uses. */
export function imageJobs(parameters: Parameters, strategy: Strategy): Record<string, Job> {
  const build = buildJobs(parameters, strategy);
  const publisher = "combine" in build ? "combine" : "build";
  const test = testJob(parameters);
  const attest = attestJob(parameters, publisher);
  return { ...(test && { test }), ...build, ...(attest && { attest }) };
}

function buildJobs(parameters: Parameters, strategy: Strategy): Record<string, Job> {
  switch (strategy.kind) {
    case "amd64":
      return { build: singleJob(parameters, [AMD64]) };
    case "qemu":
      return { build: singleJob(parameters, [AMD64, ARM64]) };
    default: {
      const scan = scanJob(parameters);
      return {
        amd64: amd64Leg(parameters),
        arm64: arm64Leg(parameters, strategy),
        ...(scan && { scan }),
        combine: combineJob(parameters),
      };
    }
  }
}

function testJob(parameters: Parameters): Job | undefined {
  const { wanted, env, run } = parameters.test;
  if (wanted === false) return undefined;
  return {
    name: "Test",
    ...condition(wanted),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": TIMEOUT.test,
    permissions: CHECKOUT_PERMISSION,
    steps: [CHECKOUT, { name: "Test", ...(env && { env }), run }],
  };
}

/** All platforms in one build on one hosted runner, which tags the result once it is found good. */
function singleJob(parameters: Parameters, platforms: readonly string[]): Job {
  const emulates = platforms.length > 1;
  const cache = emulates ? "qemu" : "amd64";
  return {
    name: `Build ${platforms.join(" and ")}`,
    ...after(parameters, { test: parameters.test.wanted }),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": emulates ? TIMEOUT.emulatedBuild : TIMEOUT.build,
    permissions: {
      ...CHECKOUT_PERMISSION,
      ...registryPermission(parameters, "write", "push by digest, then the tags"),
    },
    outputs: { digest: "${{ steps.combine.outputs.digest }}" },
    steps: [
      CHECKOUT,
      ...(emulates ? [EMULATORS] : []),
      OWN_DAEMON,
      ...buildSteps(parameters, platforms, {
        builder: "${{ steps.buildkit.outputs.name }}",
        cacheFrom: cacheFrom(parameters, cache).text,
        cacheTo: cacheTo(parameters, cache).text,
      }),
      ...platforms.flatMap((platform) =>
        digestScan(parameters, platform, "${{ steps.publish.outputs.digest }}"),
      ),
      combineStep(parameters, platforms, ["${{ steps.publish.outputs.digest }}"], PUBLISHES),
    ],
  };
}

function amd64Leg(parameters: Parameters): Job {
  return {
    name: `Build ${AMD64}`,
    ...after(parameters, { test: parameters.test.wanted }),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": TIMEOUT.build,
    permissions: legPermissions(parameters),
    outputs: { digest: "${{ steps.publish.outputs.digest }}" },
    steps: [
      CHECKOUT,
      OWN_DAEMON,
      ...buildSteps(parameters, [AMD64], {
        builder: "${{ steps.buildkit.outputs.name }}",
        cacheFrom: cacheFrom(parameters, "amd64").text,
        cacheTo: cacheTo(parameters, "amd64").text,
      }),
    ],
  };
}

function arm64Leg(
  parameters: Parameters,
  strategy: Extract<Strategy, { readonly hostedFallback: string }>,
): Job {
  const isHybrid = strategy.kind === "hybrid";
  const unlessShared = (value: Value) =>
    isHybrid ? choose(UNSHARED, value, literalValue("")).text : value.text;
  return {
    ...(isHybrid && { comment: routingComment(strategy) }),
    name: `Build ${ARM64}`,
    ...after(parameters, { test: parameters.test.wanted }),
    "runs-on": isHybrid ? routedRunner(strategy) : strategy.hostedFallback,
    "timeout-minutes": TIMEOUT.build,
    permissions: legPermissions(parameters),
    outputs: { digest: "${{ steps.publish.outputs.digest }}" },
    steps: [
      {
        comment: "Another architecture would build too, many times slower, by emulation.",
        name: "Refuse a machine that is not ARM64",
        run: lines(
          `if [[ "$RUNNER_ARCH" != ARM64 ]]; then`,
          `  echo "::error::Runner $RUNNER_NAME is $RUNNER_ARCH, expected ARM64. Check what ${isHybrid ? `the variable ${strategy.variable}` : `the label ${strategy.hostedFallback}`} names."`,
          "  exit 1",
          "fi",
        ),
      },
      CHECKOUT,
      ...(isHybrid ? [FIND_DAEMON, SHARED_DAEMON, { ...OWN_DAEMON, if: UNSHARED }] : [OWN_DAEMON]),
      ...buildSteps(parameters, [ARM64], {
        builder: isHybrid
          ? "${{ steps.shared.outputs.name || steps.buildkit.outputs.name }}"
          : "${{ steps.buildkit.outputs.name }}",
        cacheFrom: unlessShared(cacheFrom(parameters, "arm64")),
        cacheTo: unlessShared(cacheTo(parameters, "arm64")),
      }),
    ],
  };
}

function routingComment({
  variable,
  hostedFallback,
}: Extract<Strategy, { readonly kind: "hybrid" }>): string {
  return [
    `Runs where the variable ${variable} says, on ${hostedFallback} while there is none. Pull requests from forks`,
    "never run on own machines. That is a courtesy of this file, which a pull request can change: the boundary is the",
    "runner group, which decides whose jobs it takes.",
  ].join("\n");
}

function routedRunner({
  variable,
  hostedFallback,
}: Extract<Strategy, { readonly kind: "hybrid" }>): string {
  return `\${{ ${FROM_FORK} && ${quoted(hostedFallback)} || fromJSON(vars.${variable} || ${quoted(JSON.stringify(hostedFallback))}) }}`;
}

/** Scans what both builds pushed, which nothing names yet. */
function scanJob(parameters: Parameters): Job | undefined {
  const { publish } = parameters.scan;
  if (publish === false) return undefined;
  return {
    name: "Scan",
    ...after(parameters, { amd64: true, arm64: true }, PUBLISHES, publish),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": TIMEOUT.scan,
    permissions: {
      contents: { level: "read", reason: "check out what the repository tells the scanner" },
      ...registryPermission(parameters, "read", "read what was pushed"),
    },
    steps: [
      CHECKOUT,
      ...loginSteps(parameters),
      ...scanStep(
        `Scan ${AMD64}`,
        parameters,
        byDigest(parameters, AMD64, "${{ needs.amd64.outputs.digest }}"),
      ),
      ...scanStep(
        `Scan ${ARM64}`,
        parameters,
        byDigest(parameters, ARM64, "${{ needs.arm64.outputs.digest }}"),
      ),
    ],
  };
}

function combineJob(parameters: Parameters): Job {
  return {
    comment:
      parameters.scan.publish === false
        ? "Nothing has a tag until both builds are good."
        : "Nothing has a tag until both builds and their scan are good.",
    name: "Combine",
    ...after(parameters, { amd64: true, arm64: true, scan: parameters.scan.publish }, PUBLISHES),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": TIMEOUT.combine,
    permissions: registryPermission(parameters, "write", "push the index and its tags"),
    outputs: { digest: "${{ steps.combine.outputs.digest }}" },
    steps: [
      ...loginSteps(parameters),
      metadataStep(parameters),
      combineStep(
        parameters,
        [AMD64, ARM64],
        ["${{ needs.amd64.outputs.digest }}", "${{ needs.arm64.outputs.digest }}"],
        true,
      ),
    ],
  };
}

/** A job of its own: only it may speak for the repository to others. */
function attestJob(parameters: Parameters, publisher: string): Job | undefined {
  const { github, cosign } = parameters.attestation;
  const wanted = any(github, cosign);
  if (wanted === false) return undefined;
  const digest = `\${{ needs.${publisher}.outputs.digest }}`;
  return {
    name: "Attest",
    ...after(parameters, { [publisher]: true }, PUBLISHES, wanted),
    "runs-on": HOSTED_AMD64,
    "timeout-minutes": TIMEOUT.attest,
    permissions: {
      "id-token": { level: "write", reason: "prove to Sigstore which workflow signs" },
      ...(github !== false && {
        attestations: { level: "write", reason: "store the attestation with the repository" },
      }),
      ...registryPermission(parameters, "write", "push signatures beside the image"),
    },
    steps: [
      ...loginSteps(parameters),
      ...stepIf(github, {
        name: "Attest the index",
        uses: "actions/attest",
        with: {
          "subject-name": parameters.image.text,
          "subject-digest": digest,
          "push-to-registry": true,
          // It would take one more permission, for a record that only an organization's overview of artifacts reads.
          "create-storage-record": false,
        },
      }),
      ...stepIf(cosign, {
        name: "Install cosign",
        uses: "sigstore/cosign-installer",
        with: { "cosign-release": COSIGN_VERSION },
      }),
      ...stepIf(cosign, {
        name: "Sign the index",
        env: { IMAGE: parameters.image.text, DIGEST: digest },
        run: lines('cosign sign --yes "$IMAGE@$DIGEST"'),
      }),
    ],
  };
}

/** A step's condition that the machine's own daemon is to be used. */
const SHARED = "steps.daemon.outputs.shared == 'true'";
const UNSHARED = "steps.daemon.outputs.shared != 'true'";
const SOCKET = `${BUILDKIT_DIRECTORY}/buildkitd.sock`;

const FIND_DAEMON: Step = {
  comment: [
    "Hosts of the pool have a build daemon that outlives the job, with all that it has cached. Hosted runners have",
    "none, nor need machines of others that the variable may name.",
  ].join("\n"),
  name: "Look for the machine's build daemon",
  id: "daemon",
  run: lines(
    "shared=false",
    `if [[ -S ${SOCKET} ]]; then shared=true; fi`,
    'echo "shared=$shared" >>"$GITHUB_OUTPUT"',
  ),
};

/** Of a host of ours. */
export const HOST_DAEMON: Step = {
  name: "Use the machine's build daemon",
  id: "shared",
  uses: "docker/setup-buildx-action",
  with: { driver: "remote", endpoint: `unix://${SOCKET}`, "cache-binary": false },
};

const SHARED_DAEMON: Step = { ...HOST_DAEMON, if: SHARED };

const OWN_DAEMON: Step = {
  name: "Start a build daemon",
  id: "buildkit",
  uses: "docker/setup-buildx-action",
  with: { "driver-opts": `image=${BUILDKIT_IMAGE}`, "cache-binary": false },
};

const EMULATORS: Step = {
  name: "Set up emulation of arm64",
  uses: "docker/setup-qemu-action",
  with: { image: BINFMT_IMAGE, platforms: "arm64", "cache-image": false },
};

const CHECKOUT: Step = {
  name: "Check out",
  uses: "actions/checkout",
  with: { "persist-credentials": false },
};

const CHECKOUT_PERMISSION: Permissions = { contents: { level: "read", reason: "check out" } };

/** The image of a pull request, for the scanner. */
const TEMPORARY: Value = { text: "${{ runner.temp }}", expression: "runner.temp" };
const IMAGE_FILE = joined(TEMPORARY, "/image.tar").text;
const IMAGE_FILE_OUTPUT = joined("type=docker,dest=", TEMPORARY, "/image.tar");

/** A build in one daemon: for publishing by digest, and without credentials for a pull request. */
function buildSteps(
  parameters: Parameters,
  platforms: readonly string[],
  daemon: { readonly builder: string; readonly cacheFrom: string; readonly cacheTo: string },
): Step[] {
  const { context, dockerfile, target, buildArgs, scan } = parameters;
  const common = {
    builder: daemon.builder,
    context,
    ...(dockerfile !== undefined && { file: dockerfile }),
    ...(target !== undefined && { target }),
    platforms: platforms.join(","),
    // Cache mounts of one daemon are shared by name; two repositories that build on it must not share theirs.
    "build-args": `${buildArgs}${buildArgs === "" || buildArgs.endsWith("\n") ? "" : "\n"}BUILDKIT_CACHE_MOUNT_NS=\${{ github.repository }}`,
    "cache-from": daemon.cacheFrom,
  };
  const unpublished = { provenance: false, sbom: false };
  // One file holds one platform, and one of them is enough to know what is in the image.
  const exports = platforms.includes(AMD64) ? scan.pullRequests : false;
  const inOne = platforms.length === 1;
  return [
    ...loginSteps(parameters, PUBLISHES),
    { ...metadataStep(parameters), if: PUBLISHES },
    {
      name: "Build and push by digest",
      id: "publish",
      if: PUBLISHES,
      uses: "docker/build-push-action",
      with: {
        ...common,
        labels: "${{ steps.metadata.outputs.labels }}",
        outputs: `type=image,name=${parameters.image.text},push-by-digest=true,name-canonical=true,push=true`,
        provenance: parameters.provenance,
        sbom: `generator=${SBOM_SCANNER}`,
        "cache-to": daemon.cacheTo,
      },
    },
    {
      name: "Build without pushing",
      if: IS_PULL_REQUEST,
      uses: "docker/build-push-action",
      with: {
        ...common,
        outputs: choose(inOne && exports, IMAGE_FILE_OUTPUT, literalValue("type=cacheonly")).text,
        ...unpublished,
      },
    },
    ...(inOne
      ? []
      : stepIf(all(IS_PULL_REQUEST, exports), {
          comment: "Nothing is built anew: the daemon has it all.",
          name: `Export ${AMD64} for the scan`,
          uses: "docker/build-push-action",
          with: { ...common, platforms: AMD64, outputs: IMAGE_FILE_OUTPUT.text, ...unpublished },
        })),
    ...scanStep("Scan the image", parameters, { input: IMAGE_FILE }, all(IS_PULL_REQUEST, exports)),
  ];
}

/** What a scan reads: a file, or an image in a registry. */
interface ScanSubject {
  readonly input?: string;
  readonly "image-ref"?: string;
  readonly env?: Readonly<Record<string, string>>;
}

function byDigest(parameters: Parameters, platform: string, digest: string): ScanSubject {
  return {
    "image-ref": `${parameters.image.text}@${digest}`,
    // The index has one image for each platform; by default the scanner takes the one for its own machine.
    env: { TRIVY_PLATFORM: platform, TRIVY_IMAGE_SRC: "remote" },
  };
}

function digestScan(parameters: Parameters, platform: string, digest: string): Step[] {
  return scanStep(
    `Scan ${platform}`,
    parameters,
    byDigest(parameters, platform, digest),
    all(PUBLISHES, parameters.scan.publish),
  );
}

function scanStep(
  name: string,
  { scan }: Parameters,
  { env, ...subject }: ScanSubject,
  wanted: Condition = true,
): Step[] {
  return stepIf(wanted, {
    name,
    uses: "aquasecurity/trivy-action",
    with: {
      ...subject,
      version: TRIVY_VERSION,
      scanners: "vuln",
      severity: scan.severity,
      "ignore-unfixed": scan.ignoreUnfixed,
      "exit-code": "1",
      // What another job has put into the cache must not decide what is published.
      cache: false,
    },
    ...(env && { env }),
  });
}

/**
 * A shell script of its own, run as the step's text. `imagetools create` keeps the attestations of its sources, where
 * `docker manifest create` refuses images that have any.
 */
const COMBINE_SCRIPT = readFileSync(join(__dirname, "combine.sh"), "utf8");

function combineStep(
  parameters: Parameters,
  platforms: readonly string[],
  digests: readonly string[],
  wanted: Condition,
): Step {
  return {
    name: platforms.length > 1 && digests.length > 1 ? "Combine, check and tag" : "Check and tag",
    id: "combine",
    ...condition(wanted),
    env: {
      IMAGE: parameters.image.text,
      DIGESTS: digests.join("\n"),
      PLATFORMS: platforms.join(" "),
      METADATA: "${{ steps.metadata.outputs.json }}",
    },
    run: COMBINE_SCRIPT,
  };
}

function loginSteps(parameters: Parameters, ...conditions: readonly Condition[]): Step[] {
  return parameters.logins.flatMap(({ wanted, username, password, jobToken }) =>
    stepIf(all(...conditions, wanted), {
      name: jobToken ? "Log in to the registry with the job's token" : "Log in to the registry",
      uses: "docker/login-action",
      with: { registry: parameters.registry.text, username, password },
    }),
  );
}

function metadataStep({ image, tags }: Parameters): Step {
  return {
    name: "Derive tags and labels",
    id: "metadata",
    uses: "docker/metadata-action",
    with: {
      images: image.text,
      tags,
      // Otherwise each git tag would move `latest` as well.
      flavor: "latest=false",
    },
    // GitHub's package page reads the annotations of the index, not those of the images in it.
    env: { DOCKER_METADATA_ANNOTATIONS_LEVELS: "index" },
  };
}

function legPermissions(parameters: Parameters): Permissions {
  return {
    ...CHECKOUT_PERMISSION,
    ...registryPermission(parameters, "write", "push by digest"),
  };
}

/** The job's own token needs rights on packages; other credentials have their own. */
function registryPermission(
  { logins }: Parameters,
  level: "read" | "write",
  reason: string,
): Permissions {
  return logins.some(({ jobToken }) => jobToken) ? { packages: { level, reason } } : {};
}

function cacheFrom({ image }: Parameters, name: string, options = ""): Value {
  return joined("type=registry,ref=", image, `:buildcache-${name}${options}`);
}

function cacheTo(parameters: Parameters, name: string): Value {
  // A cache that cannot be written must not fail a release.
  return cacheFrom(parameters, name, ",mode=max,ignore-error=true");
}

function stepIf(wanted: Condition, step: Step): Step[] {
  if (wanted === false) return [];
  const { comment, name, id, ...rest } = step;
  return [
    {
      ...(comment !== undefined && { comment }),
      name,
      ...(id !== undefined && { id }),
      ...condition(wanted),
      ...rest,
    },
  ];
}

function condition(wanted: Condition): { readonly if?: string } {
  return typeof wanted === "string" ? { if: wanted } : {};
}

/**
 * What a job waits for, and its condition.
 * @param needs Jobs that have to succeed, each unless it is not wanted.
 */
function after(
  parameters: Parameters,
  needs: Readonly<Record<string, Condition>>,
  ...conditions: readonly Condition[]
): { readonly needs?: readonly string[]; readonly if?: string } {
  const wanted = Object.entries(needs).filter(([, one]) => one !== false);
  const ids = wanted.map(([id]) => id);
  // GitHub skips a job when any job before it was skipped, however far back, unless its condition names a status.
  const canSkip = [parameters.test.wanted, parameters.scan.publish].some(
    (one) => typeof one === "string",
  );
  const status =
    canSkip && ids.length > 0
      ? [
          "!cancelled()",
          ...wanted.map(([id, one]) => any(not(one), `needs.${id}.result == 'success'`)),
        ]
      : [];
  return {
    ...(ids.length > 0 && { needs: ids }),
    ...condition(all(...status, ...conditions)),
  };
}
