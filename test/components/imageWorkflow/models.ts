import {
  type ImageWorkflowModel,
  imageWorkflowModel,
} from "../../../components/imageWorkflow/workflow";

/** One model for each choice that changes the file; each has its golden file. */
export const MODELS: Readonly<Record<string, ImageWorkflowModel>> = {
  "hybrid-ghcr": imageWorkflowModel(
    { project: "runner-fleet", stack: "dev", target: "webppt" },
    { image: "ghcr.io/acme/webppt", context: "." },
    { variable: "ARM64_RUNS_ON", hostedFallback: "ubuntu-24.04-arm" },
    "master",
  ),
  "hybrid-registry": imageWorkflowModel(
    { project: "runner-fleet", stack: "prod", target: "api" },
    {
      image: "registry.example.com:5000/acme/api",
      context: "services/api",
      dockerfile: "services/api/Containerfile",
      registry: { username: "robot$ci", passwordSecret: "REGISTRY_PASSWORD" },
    },
    { variable: "RUN_ARM64_ON", hostedFallback: "ubuntu-22.04-arm" },
    "release/it's",
  ),
};
