import type { FleetSettings, TargetSettings } from "../config/schema";

/** All that decides what the emitted workflow does. Plain values only. */
export interface ImageWorkflowModel {
  /** Who writes the file: named in its header. */
  readonly generator: Generator;
  /** Where each platform is built and how the result becomes one image. */
  readonly strategy: Strategy;
  /** Image name with its registry, without a tag. */
  readonly image: string;
  readonly login: RegistryLogin;
  /** Pushes to it publish `latest`; pull requests against it are built. */
  readonly branch: string;
  readonly tags: TargetSettings["tags"];
  readonly build: TargetSettings["build"];
  /** Bash that has to succeed before anything is built. */
  readonly testCommand?: string;
  readonly scan?: NonNullable<TargetSettings["scan"]>;
  readonly attestations: TargetSettings["attestations"];
}

export interface Generator {
  readonly project: string;
  readonly stack: string;
  /** Key of the target in the configuration. */
  readonly target: string;
}

export type Strategy =
  /** One job on a hosted runner, for amd64 only. */
  | { readonly kind: "amd64" }
  /** One job on a hosted runner, which emulates arm64. */
  | { readonly kind: "qemu" }
  /** Both natively on hosted runners, in parallel; then combined under one tag. */
  | { readonly kind: "hosted-arm"; readonly hostedFallback: string }
  /** amd64 on a hosted runner and arm64 on own machines, in parallel; then combined under one tag. */
  | {
      readonly kind: "hybrid";
      /** Actions variable whose JSON value says what the arm64 job runs on. */
      readonly variable: string;
      /** Label of the hosted runner that builds arm64 when the variable is absent and for pull requests from forks. */
      readonly hostedFallback: string;
    };

/** `jobToken`: the token that GitHub gives each job, which only GitHub's own registry accepts. */
export type RegistryLogin =
  | { readonly kind: "jobToken" }
  | { readonly kind: "secret"; readonly username: string; readonly passwordSecret: string };

const JOB_TOKEN_REGISTRY = "ghcr.io";

/**
 * Settings of one target to the model of its workflow.
 * @param branch The target's branch; settings leave it out where it is the repository's default branch.
 * @throws Error with one sentence when the settings do not make a workflow that can publish.
 */
export function imageWorkflowModel(
  generator: Generator,
  settings: Pick<
    TargetSettings,
    "strategy" | "image" | "tags" | "build" | "test" | "scan" | "attestations" | "registry"
  >,
  routing: Pick<FleetSettings["routing"], "variable" | "hostedFallback">,
  branch: string,
): ImageWorkflowModel {
  const { image, tags, build, test, scan, attestations, registry } = settings;
  const key = `targets.${generator.target}`;
  if (registry === undefined && registryOf(image) !== JOB_TOKEN_REGISTRY) {
    throw new Error(
      `${key}.registry: found nothing, expected username and passwordSecret, since ${registryOf(image)} does not take the job's own token as ${JOB_TOKEN_REGISTRY} does.`,
    );
  }
  if (test?.command.includes("${{")) {
    throw new Error(
      `${key}.test.command: found \${{, expected a command without it, since GitHub would put a value in its place before bash reads it. The environment has what is needed, such as $GITHUB_SHA.`,
    );
  }
  if (branch.includes("${{")) {
    throw new Error(
      `${key}.branch: found \${{, expected a branch without it, since GitHub takes it for an expression, which a filter of branches cannot have.`,
    );
  }
  for (const [name, value] of Object.entries(build.args)) {
    if (value !== value.trimEnd()) {
      throw new Error(
        `${key}.build.args.${name}: found white space at the end, expected none, since the action that builds would drop it.`,
      );
    }
  }
  return {
    generator,
    strategy: strategyOf(settings.strategy, routing),
    image,
    login: registry === undefined ? { kind: "jobToken" } : { kind: "secret", ...registry },
    branch,
    tags,
    build,
    ...(test !== undefined && { testCommand: test.command }),
    ...(scan !== undefined && { scan }),
    attestations,
  };
}

/** The part of an image's name that says which registry has it. */
export function registryOf(image: string): string {
  return image.slice(0, image.indexOf("/"));
}

function strategyOf(
  kind: TargetSettings["strategy"],
  { variable, hostedFallback }: Pick<FleetSettings["routing"], "variable" | "hostedFallback">,
): Strategy {
  switch (kind) {
    case "hybrid":
      return { kind, variable, hostedFallback };
    case "hosted-arm":
      return { kind, hostedFallback };
    default:
      return { kind };
  }
}
