import { type Condition, inputValue, literalValue, plain, quoted, type Value } from "./expressions";
import { type ImageWorkflowModel, registryOf } from "./model";

/**
 * What the jobs take from a target's settings, as it stands in the file: literals in a target's own workflow, inputs in
 * a reusable one.
 */
export interface Parameters {
  readonly image: Value;
  readonly registry: Value;
  readonly logins: readonly Login[];
  /** Rules of `docker/metadata-action`, one a line. */
  readonly tags: string;
  readonly context: string;
  readonly dockerfile?: string;
  readonly target?: string;
  /** Arguments as `docker/build-push-action` reads them, one a line. */
  readonly buildArgs: string;
  readonly test: {
    readonly wanted: Condition;
    readonly env?: Readonly<Record<string, string>>;
    readonly run: string;
  };
  readonly scan: {
    readonly pullRequests: Condition;
    readonly publish: Condition;
    readonly severity: string;
    readonly ignoreUnfixed: string | boolean;
  };
  readonly provenance: string;
  readonly attestation: { readonly github: Condition; readonly cosign: Condition };
}

export interface Login {
  readonly wanted: Condition;
  readonly username: string;
  readonly password: string;
  readonly jobToken: boolean;
}

const JOB_TOKEN: Omit<Login, "wanted"> = {
  username: "${{ github.actor }}",
  password: "${{ github.token }}",
  jobToken: true,
};

/** The settings of one target, written into its own workflow. */
export function literalParameters(model: ImageWorkflowModel): Parameters {
  const { image, login, build, testCommand, scan, attestations } = model;
  return {
    image: literalValue(image),
    registry: literalValue(registryOf(image)),
    logins: [
      login.kind === "jobToken"
        ? { wanted: true, ...JOB_TOKEN }
        : {
            wanted: true,
            username: plain(login.username),
            password: `\${{ secrets.${login.passwordSecret} }}`,
            jobToken: false,
          },
    ],
    tags: tagRules(model),
    context: plain(build.context),
    ...(build.dockerfile !== undefined && { dockerfile: plain(build.dockerfile) }),
    ...(build.target !== undefined && { target: plain(build.target) }),
    buildArgs: buildArgs(build.args),
    test: { wanted: testCommand !== undefined, run: lines(testCommand?.trimEnd() ?? "") },
    scan: {
      pullRequests: scansOn(scan, "pull-request"),
      publish: scansOn(scan, "publish"),
      severity: scan?.severity.join(",") ?? "",
      ignoreUnfixed: scan?.ignoreUnfixed ?? false,
    },
    provenance: provenance(model),
    attestation: attestations,
  };
}

/** Secret of a reusable workflow that its caller maps the registry's password to. */
export const PASSWORD_SECRET = "REGISTRY_PASSWORD";

interface Input {
  readonly description: string;
  /** Without one, callers have to give the input. */
  readonly default?: string | boolean;
  readonly of: (model: ImageWorkflowModel) => string | boolean | undefined;
}

/** Inputs of every reusable workflow, with what a target gives for them. */
const INPUTS: Readonly<Record<string, Input>> = {
  image: {
    description: "Image name with its registry, without a tag",
    of: ({ image }) => image,
  },
  registry: {
    description: "The registry in the image's name",
    of: ({ image }) => registryOf(image),
  },
  "registry-username": {
    description: `User for the registry, whose password is the secret ${PASSWORD_SECRET}; without one the job's own token is used`,
    default: "",
    of: ({ login }) => (login.kind === "secret" ? plain(login.username) : undefined),
  },
  tags: {
    description: "Which tags the image gets: rules of docker/metadata-action, one a line",
    of: tagRules,
  },
  context: {
    description: "Folder of the repository that the build sees",
    default: ".",
    of: ({ build }) => plain(build.context),
  },
  dockerfile: {
    description: "Path from the repository's root; without one, Dockerfile in the context",
    default: "",
    of: ({ build }) => build.dockerfile && plain(build.dockerfile),
  },
  target: {
    description: "Stage to build; without one, the last",
    default: "",
    of: ({ build }) => build.target && plain(build.target),
  },
  "build-args": {
    description: "Build arguments as NAME=value, one a line",
    default: "",
    of: ({ build }) => buildArgs(build.args),
  },
  "test-command": {
    description: "Bash that has to succeed before anything is built",
    default: "",
    of: ({ testCommand }) => testCommand,
  },
  "scan-pull-requests": {
    description: "Whether images of pull requests are scanned for vulnerabilities",
    default: false,
    of: ({ scan }) => scansOn(scan, "pull-request"),
  },
  "scan-publish": {
    description: "Whether images are scanned for vulnerabilities before they get a tag",
    default: false,
    of: ({ scan }) => scansOn(scan, "publish"),
  },
  "scan-severity": {
    description: "Severities of findings that fail a scan, separated by commas",
    default: "HIGH,CRITICAL",
    of: ({ scan }) => scan?.severity.join(","),
  },
  "scan-ignore-unfixed": {
    description: "Whether a scan passes over findings that no new version mends yet",
    default: true,
    of: ({ scan }) => scan?.ignoreUnfixed,
  },
  provenance: {
    description: "How much the provenance tells of the build: mode=max or mode=min",
    of: provenance,
  },
};

/** Further inputs of those that attest the published index. */
const ATTESTATION_INPUTS: Readonly<Record<string, Input>> = {
  "attest-github": {
    description: "Whether GitHub attests the published index",
    default: false,
    of: ({ attestations }) => attestations.github,
  },
  "attest-cosign": {
    description: "Whether cosign signs the published index",
    default: false,
    of: ({ attestations }) => attestations.cosign,
  },
};

function inputs(attests: boolean): [string, Input][] {
  return Object.entries({ ...INPUTS, ...(attests && ATTESTATION_INPUTS) });
}

/** Whether the target's published index is attested or signed, which takes rights that other targets do without. */
export function attests({ attestations }: Pick<ImageWorkflowModel, "attestations">): boolean {
  return attestations.github || attestations.cosign;
}

/** `on.workflow_call.inputs` of a reusable workflow. */
export function inputDeclarations(attests: boolean): Record<string, object> {
  return Object.fromEntries(
    inputs(attests).map(([name, { description, default: fallback }]) => [
      name,
      {
        description,
        type: typeof fallback === "boolean" ? "boolean" : "string",
        ...(fallback === undefined ? { required: true } : { default: fallback }),
      },
    ]),
  );
}

/** What a target's caller gives to the reusable workflow, without what is the default there. */
export function inputsOf(model: ImageWorkflowModel): Record<string, string | boolean> {
  return Object.fromEntries(
    inputs(attests(model)).flatMap(([name, input]) => {
      const value = input.of(model);
      return value === undefined || value === input.default ? [] : [[name, value]];
    }),
  );
}

/** The inputs of a reusable workflow. */
export function inputParameters(attests: boolean): Parameters {
  const text = (name: string) => inputValue(name).text;
  return {
    image: inputValue("image"),
    registry: inputValue("registry"),
    // In two steps: were it one, the job's own token would go to a foreign registry when the secret is missing.
    logins: [
      { wanted: "!inputs.registry-username", ...JOB_TOKEN },
      {
        wanted: "inputs.registry-username",
        username: text("registry-username"),
        password: `\${{ secrets.${PASSWORD_SECRET} }}`,
        jobToken: false,
      },
    ],
    tags: text("tags"),
    context: text("context"),
    dockerfile: text("dockerfile"),
    target: text("target"),
    buildArgs: text("build-args"),
    test: {
      wanted: "inputs.test-command",
      env: { TEST_COMMAND: text("test-command") },
      run: 'bash -eo pipefail -c "$TEST_COMMAND"\n',
    },
    scan: {
      pullRequests: "inputs.scan-pull-requests",
      publish: "inputs.scan-publish",
      severity: text("scan-severity"),
      ignoreUnfixed: text("scan-ignore-unfixed"),
    },
    provenance: text("provenance"),
    attestation: {
      github: attests && "inputs.attest-github",
      cosign: attests && "inputs.attest-cosign",
    },
  };
}

function tagRules({ tags, branch }: ImageWorkflowModel): string {
  const rules: Readonly<Record<ImageWorkflowModel["tags"][number], readonly string[]>> = {
    latest: [
      `type=raw,value=latest,enable=\${{ github.ref == ${quoted(`refs/heads/${branch}`)} }}`,
    ],
    branch: ["type=ref,event=branch"],
    "git-tag": ["type=ref,event=tag"],
    semver: ["type=semver,pattern={{version}}", "type=semver,pattern={{major}}.{{minor}}"],
    sha: ["type=sha,format=long"],
  };
  return lines(...tags.flatMap((rule) => rules[rule]));
}

/**
 * The action reads its list as CSV, so an argument with a quote or a line break stands in quotes as a whole. Commas
 * alone mean nothing there.
 */
function buildArgs(args: Readonly<Record<string, string>>): string {
  return lines(
    ...Object.entries(args).map(([name, value]) => {
      const argument = `${name}=${value}`;
      return plain(/["\r\n]/.test(argument) ? `"${argument.replaceAll('"', '""')}"` : argument);
    }),
  );
}

function scansOn(scan: ImageWorkflowModel["scan"], event: "pull-request" | "publish"): boolean {
  return scan !== undefined && (scan.on === event || scan.on === "both");
}

/** The full form publishes build arguments, which in a private repository may not be meant for readers of the image. */
function provenance({ attestations: { provenance } }: ImageWorkflowModel): string {
  return provenance === "auto"
    ? "${{ github.event.repository.private && 'mode=min' || 'mode=max' }}"
    : `mode=${provenance}`;
}

/** Lines of a text; none is no text at all. */
export function lines(...texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}
