import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type HostFile, renderApplyScript } from "../host/applyScript";
import { type ComposeService, composeFile, STACK_DIRECTORY } from "../host/compose";
import {
  credentialFile,
  TOKEN_SERVICE_PORT,
  tokenServiceEntry,
  type TokenServiceModel,
} from "../tokenService/stack";
import { BUILDKIT_DIRECTORY, BUILDKIT_VOLUME, buildkitFile, buildkitService } from "./buildkit";

/** How long a new host may take until its runners listen for jobs, in seconds. */
const ONLINE_TIMEOUT = 300;

export interface RunnerStackModel {
  readonly organization: string;
  /** Runners are named after their host and slot, so that GitHub's list leads to the machine. */
  readonly hostName: string;
  /** Named in the stack so that a rescaled host is checked again: every runner has to come back. */
  readonly serverType: string;
  readonly runners: number;
  readonly labels: readonly string[];
  readonly runnerGroup: { readonly id: string; readonly name: string };
  readonly image: string;
  readonly dockerSocket: boolean;
  /** Part of the disk that the build cache may fill, in percent. */
  readonly buildCachePercent: number;
  readonly drainTimeoutSeconds: number;
  readonly tokenService:
    | { readonly placement: "dedicated"; readonly url: string }
    | ({ readonly placement: "colocated" } & TokenServiceModel);
}

/** Takes every slot out of service: to be run on the host before it is deleted or powered off. */
export function drainCommand(timeoutSeconds: number): string {
  return `${STACK_DIRECTORY}/bin/drain ${timeoutSeconds}`;
}

export function runnerServices(model: RunnerStackModel): Record<string, ComposeService> {
  const services: Record<string, ComposeService> = {
    buildkit: buildkitService(model.buildCachePercent),
  };
  const service = model.tokenService;
  if (service.placement === "colocated") services.kms = tokenServiceEntry(service.image);
  const address =
    service.placement === "colocated" ? `http://kms:${TOKEN_SERVICE_PORT}` : service.url;
  for (let slot = 1; slot <= model.runners; slot++) {
    services[`runner-${slot}`] = {
      image: model.image,
      environment: {
        RUNNER_REGISTER_TO: model.organization,
        RUNNER_LABELS: model.labels.join(","),
        KMS_SERVER_ADDR: address,
        // --replace: a host that was killed comes back under the same names and leaves no ghosts.
        ADDITIONAL_FLAGS: [
          "--ephemeral",
          `--runnergroup ${model.runnerGroup.name}`,
          `--name ${model.hostName}-${slot}`,
          "--replace",
        ].join(" "),
      },
      volumes: [
        `${BUILDKIT_DIRECTORY}:${BUILDKIT_DIRECTORY}`,
        ...(model.dockerSocket ? ["/var/run/docker.sock:/var/run/docker.sock"] : []),
      ],
      // A group that was made again has another id: its runners have to register again.
      labels: { "runner-fleet.runner-group": model.runnerGroup.id },
      // Started by their units, one container for each job, and never by `compose up`.
      profiles: ["runner"],
    };
  }
  return services;
}

export function runnerHostFiles(model: RunnerStackModel): HostFile[] {
  const script = (name: string, mode: string): HostFile => ({
    path: `${STACK_DIRECTORY}/bin/${mode === "0755" ? name.replace(/\.sh$/, "") : name}`,
    mode,
    content: source(name),
  });
  return [
    ...(model.tokenService.placement === "colocated" ? [credentialFile(model.tokenService)] : []),
    buildkitFile(model.buildCachePercent),
    composeFile(runnerServices(model), [BUILDKIT_VOLUME]),
    script("common.sh", "0644"),
    script("slot.sh", "0755"),
    script("drain.sh", "0755"),
    script("converge.sh", "0755"),
    {
      path: "/etc/systemd/system/runner-slot@.service",
      mode: "0644",
      content: source("runner-slot@.service"),
    },
  ];
}

/** Brings a host to run its runners; ends when every one of them listens for jobs. */
export function runnerHostScript(model: RunnerStackModel): string {
  return renderApplyScript(runnerHostFiles(model), [
    `# ${model.hostName}: ${model.serverType}`,
    `${STACK_DIRECTORY}/bin/converge ${model.runners} ${model.drainTimeoutSeconds} ${ONLINE_TIMEOUT}`,
  ]);
}

function source(name: string): string {
  return readFileSync(join(__dirname, "files", name), "utf8");
}
