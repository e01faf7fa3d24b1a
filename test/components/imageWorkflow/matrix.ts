import type { TargetSettings } from "../../../components/config/schema";
import {
  renderCaller,
  renderReusable,
  renderWorkflow,
} from "../../../components/imageWorkflow/workflow";
import { EVERYTHING, modelOf, ROUTING } from "./models";

/** One combination of settings, and what is emitted for it. */
export interface Combination {
  readonly name: string;
  readonly strategy: TargetSettings["strategy"];
  /** Text by path; the paths of one combination do not clash, though its files may lie in two repositories. */
  readonly files: Readonly<Record<string, string>>;
}

export const STRATEGIES = ["amd64", "qemu", "hosted-arm", "hybrid"] as const;

/** Where the callers of the matrix find reusable workflows. */
export const CENTRAL = { organization: "acme", repository: ".github", ref: "main" };

interface Option {
  readonly settings?: Partial<TargetSettings>;
  readonly routing?: typeof ROUTING;
  readonly branch?: string;
}

const { attestations, registry } = EVERYTHING;

/** One option at a time away from the default, then all of them at once. */
const OPTIONS: Readonly<Record<string, Option>> = {
  defaults: {},
  "test command": { settings: { test: { command: 'go test ./... && echo "done"' } } },
  "scan of pull requests": {
    settings: { scan: { on: "pull-request", severity: ["CRITICAL"], ignoreUnfixed: true } },
  },
  "scan before publishing": {
    settings: { scan: { on: "publish", severity: ["HIGH", "CRITICAL"], ignoreUnfixed: false } },
  },
  "scan of both": {
    settings: { scan: { on: "both", severity: ["HIGH", "CRITICAL"], ignoreUnfixed: true } },
  },
  "full provenance": {
    settings: { attestations: { provenance: "max", github: false, cosign: false } },
  },
  "short provenance": {
    settings: { attestations: { provenance: "min", github: false, cosign: false } },
  },
  "GitHub attestation": {
    settings: { attestations: { provenance: "auto", github: true, cosign: false } },
  },
  cosign: { settings: { attestations: { provenance: "auto", github: false, cosign: true } } },
  "registry with a password": { settings: { image: "quay.io/acme/webppt", registry: registry! } },
  "registry with a password, attested": {
    settings: { image: "quay.io/acme/webppt", registry: registry!, attestations: attestations! },
  },
  "GitHub's registry with a password": { settings: { registry: registry! } },
  "tags of the branch": { settings: { tags: ["latest", "branch"] } },
  "tags of git tags": { settings: { tags: ["git-tag", "semver"] } },
  "build of a stage with arguments": { settings: { build: EVERYTHING.build! } },
  "other variable, label and branch": {
    routing: { variable: "RUN_ARM64_ON", hostedFallback: "ubuntu-22.04-arm" },
    branch: "release/it's",
  },
  "texts that look like something else": {
    settings: {
      build: {
        context: "${{ github.ref }} it's",
        dockerfile: "# no: comment",
        target: "*alias",
        args: { A: '"${{ vars.NONE }}"', B: "- one\n- two", C: "}}'${{" },
      },
      test: { command: 'echo "it\'s: {#1}" # &done' },
      registry: { username: "robot$${{ 1 }}'", passwordSecret: "API_REGISTRY_PASSWORD" },
    },
    branch: "it's-#1&{2}",
  },
  everything: { settings: EVERYTHING, branch: "release/1.x" },
};

/** Every strategy, written into the target's repository and as caller of a reusable workflow, with every option. */
export function matrix(): Combination[] {
  return STRATEGIES.flatMap((strategy) =>
    Object.entries(OPTIONS).flatMap(([option, { settings, routing, branch }]) => {
      const model = modelOf({ ...settings, strategy }, routing ?? ROUTING, branch ?? "master");
      const reusable = renderReusable(model);
      return [
        {
          name: `${strategy}, inline, ${option}`,
          strategy,
          files: { ".github/workflows/image.yml": renderWorkflow(model) },
        },
        {
          name: `${strategy}, reusable, ${option}`,
          strategy,
          files: {
            ".github/workflows/image.yml": renderCaller(model, CENTRAL),
            [reusable.path]: reusable.content,
          },
        },
      ];
    }),
  );
}
