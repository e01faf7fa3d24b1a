import type { TargetSettings } from "../../../components/config/schema";
import {
  type ImageWorkflowModel,
  imageWorkflowModel,
} from "../../../components/imageWorkflow/workflow";

/** Settings of a target as the schema completes them. */
export const SETTINGS: TargetSettings = {
  strategy: "hybrid",
  image: "ghcr.io/acme/webppt",
  tags: ["latest", "git-tag", "semver", "sha"],
  build: { context: ".", args: {} },
  attestations: { provenance: "auto", github: false, cosign: false },
  path: ".github/workflows/image.yml",
  emit: "inline",
  delivery: "commit",
  onDestroy: "keep",
};

export const ROUTING = { variable: "ARM64_RUNS_ON", hostedFallback: "ubuntu-24.04-arm" };

/** The model of a target whose settings differ from `SETTINGS` as given. */
export function modelOf(
  settings: Partial<TargetSettings> = {},
  routing = ROUTING,
  branch = "master",
  target = "webppt",
): ImageWorkflowModel {
  return imageWorkflowModel(
    { project: "runner-fleet", stack: "dev", target },
    { ...SETTINGS, ...settings },
    routing,
    branch,
  );
}

/** Every setting that changes the file, each away from its default. */
export const EVERYTHING: Partial<TargetSettings> = {
  image: "registry.example.com:5000/acme/api",
  tags: ["latest", "branch", "git-tag", "semver", "sha"],
  build: {
    context: "services/api",
    dockerfile: "services/api/Containerfile",
    target: "runtime",
    args: { VERSION: "1.2, or later", GREETING: 'say "hi"\nto $USER' },
  },
  test: { command: "make test\nmake lint" },
  scan: { on: "both", severity: ["MEDIUM", "HIGH", "CRITICAL"], ignoreUnfixed: false },
  attestations: { provenance: "max", github: true, cosign: true },
  registry: { username: "robot$ci", passwordSecret: "API_REGISTRY_PASSWORD" },
};

/** One model for each strategy, with more and more of the options; each has its golden file. */
export const MODELS: Readonly<Record<TargetSettings["strategy"], ImageWorkflowModel>> = {
  hybrid: modelOf(),
  amd64: modelOf({ strategy: "amd64", test: { command: "make test" } }),
  qemu: modelOf({
    strategy: "qemu",
    scan: { on: "both", severity: ["HIGH", "CRITICAL"], ignoreUnfixed: true },
  }),
  "hosted-arm": modelOf({ ...EVERYTHING, strategy: "hosted-arm" }),
};
