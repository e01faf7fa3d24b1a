import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type HostFile, quote } from "../host/applyScript";
import {
  type ComposeNetwork,
  type ComposeService,
  composeFile,
  STACK_DIRECTORY,
} from "../host/compose";
import {
  colocatedTokenService,
  TOKEN_SERVICE_PORT,
  type TokenServiceModel,
  tokenServiceUrl,
} from "../tokenService/stack";
import {
  BUILDKIT_DIRECTORY,
  BUILDKIT_VOLUME,
  buildkitFile,
  type BuildkitModel,
  buildkitService,
} from "./buildkit";
import { runnerSlice, sliceFiles } from "./slices";

/** How long a new host may take until its runners listen for jobs, in seconds. */
const ONLINE_TIMEOUT = 300;
/** What ending and deregistering a runner may take beyond the wait for its job, in seconds. */
const STOP_MARGIN = 120;
/** Free part of the disk, in percent, below which the guard takes the slots out of service. */
const DISK_PRESSURE = 12;
/** The least that a job's work folder may hold, in percent of the disk. */
const LEAST_WORK_PERCENT = 5;

const WORK_DIRECTORY = "/var/lib/runner-fleet/work";
/** Configuration of curl that holds the token service's password: no command line shows it. */
const CURL_CONFIG = "/etc/runner-fleet/token-service.curl";
/** Environment of containers that ask the token service themselves. */
const RUNNER_SECRETS = "/etc/runner-fleet/runner-secrets.env";
const TOKEN_SERVICE = "kms";
/** Network of the runners. */
const RUNNERS = "runners";

export interface RunnerStackModel extends BuildkitModel {
  readonly organization: string;
  /** Base URL of GitHub, without a path. */
  readonly githubUrl: string;
  /** Runners are named after their host and slot, so that GitHub's list leads to the machine. */
  readonly hostName: string;
  /** Named in the stack so that a rescaled host is checked again: every runner has to come back. */
  readonly serverType: string;
  readonly runners: number;
  readonly labels: readonly string[];
  readonly runnerGroup: { readonly id: string; readonly name: string };
  /** Reference of the runners' image. */
  readonly image: string;
  /** Whose contract that image honours. */
  readonly runnerImage: "actions-runner" | "knatnetwork";
  readonly dockerSocket: boolean;
  readonly drainTimeoutSeconds: number;
  readonly tokenService:
    | {
        readonly placement: "dedicated";
        readonly implementation: TokenServiceModel["implementation"];
        readonly url: string;
        readonly password: string;
      }
    | { readonly placement: "colocated"; readonly service: TokenServiceModel };
}

/** What of a host's firewall its runners need. `address`: of the dedicated service in the private network. */
export function runnerFirewall<Address>(
  runnerImage: RunnerStackModel["runnerImage"],
  tokenService:
    | { readonly placement: "dedicated"; readonly address: Address }
    | { readonly placement: "colocated" },
): {
  privatePorts: number[];
  containersMayReach: { address: Address; port: number }[];
  rootPorts: number[];
} {
  if (tokenService.placement === "colocated") {
    // Where the service is published for the host's scripts.
    return { privatePorts: [], containersMayReach: [], rootPorts: [TOKEN_SERVICE_PORT] };
  }
  // The host's scripts ask for what registers GitHub's image; the origin's asks from its container.
  const asks = runnerImage === "knatnetwork";
  const service = { address: tokenService.address, port: TOKEN_SERVICE_PORT };
  return { privatePorts: [], containersMayReach: asks ? [service] : [], rootPorts: [] };
}

/** Takes every slot out of service: to be run on the host before it is deleted or powered off. */
export function drainCommand(timeoutSeconds: number): string {
  return `${STACK_DIRECTORY}/bin/drain ${timeoutSeconds}`;
}

/** What the runners of a host are called, without the six characters that each job's runner has after it. */
export function runnerNames(hostName: string, runners: number): string[] {
  return Array.from({ length: runners }, (_, index) => `${hostName}-${index + 1}`);
}

/** Labels beside those that every runner has by itself. By its host's name a job can ask for one host, as canaries do. */
function runnerLabels({ labels, hostName }: Pick<RunnerStackModel, "labels" | "hostName">): string {
  return [...labels, hostName].join(",");
}

export function runnerServices(model: RunnerStackModel): Record<string, ComposeService> {
  const services: Record<string, ComposeService> = { buildkit: buildkitService(model) };
  const { tokenService } = model;
  if (tokenService.placement === "colocated") {
    services[TOKEN_SERVICE] = colocatedTokenService(tokenService.service).service;
  }
  for (let slot = 1; slot <= model.runners; slot++) {
    services[`runner-${slot}`] = {
      image: model.image,
      ...(model.runnerImage === "knatnetwork" ? knatnetworkRunner(model) : actionsRunner(model)),
      volumes: [
        `${WORK_DIRECTORY}/${slot}:/home/runner/_work`,
        // Read-only: a job that is root in its container cannot put a daemon of its own in the place of this one.
        `${BUILDKIT_DIRECTORY}:${BUILDKIT_DIRECTORY}:ro`,
        ...(model.dockerSocket ? ["/var/run/docker.sock:/var/run/docker.sock"] : []),
      ],
      // Jobs install packages with sudo, which takes most of what Docker grants and rules out `no-new-privileges`. What is
      // dropped: devices, raw packets, and ways to other roots and more capabilities.
      cap_drop: ["MKNOD", "NET_RAW", "SETPCAP", "SYS_CHROOT"],
      cgroup_parent: runnerSlice(slot),
      // Started by their units, one container for each job, and never by `compose up`.
      profiles: ["runner"],
    };
  }
  return services;
}

type RunnerStart = Pick<ComposeService, "command" | "environment" | "env_file" | "networks">;

/** GitHub's own image. What registers it comes on standard input, from the slot's script. */
function actionsRunner(model: RunnerStackModel): RunnerStart {
  // As GitHub's runner takes it: read from the environment and removed from what jobs see.
  const input = (name: string, ...then: string[]) => [
    "bash",
    "-c",
    [
      `IFS= read -r ACTIONS_RUNNER_INPUT_${name}`,
      `export ACTIONS_RUNNER_INPUT_${name}`,
      ...then,
      "exec ./run.sh </dev/null",
    ].join("; "),
  ];
  const config = [
    "./config.sh --unattended --ephemeral --disableupdate",
    `--url ${model.githubUrl}/${model.organization}`,
    // Compose would take one dollar sign for a variable of its own.
    '--name "$$RUNNER_NAME"',
    `--runnergroup ${model.runnerGroup.name}`,
    `--labels ${runnerLabels(model)}`,
    "</dev/null || exit 1; unset ACTIONS_RUNNER_INPUT_TOKEN",
  ];
  return {
    command:
      implementationOf(model) === "builtin" ? input("JITCONFIG") : input("TOKEN", config.join(" ")),
    networks: [RUNNERS],
  };
}

/** The origin's image, which fetches its token itself. The slot's script adds the name. */
function knatnetworkRunner({ tokenService, ...model }: RunnerStackModel): RunnerStart {
  const environment = {
    RUNNER_REGISTER_TO: model.organization,
    RUNNER_LABELS: runnerLabels(model),
  };
  const address =
    tokenService.placement === "dedicated"
      ? tokenService.url
      : `http://${TOKEN_SERVICE}:${TOKEN_SERVICE_PORT}`;
  return {
    ...(implementationOf({ tokenService }) === "builtin"
      ? { environment, env_file: [RUNNER_SECRETS] }
      : { environment: { ...environment, KMS_SERVER_ADDR: address } }),
    networks:
      tokenService.placement === "colocated"
        ? [RUNNERS, colocatedTokenService(tokenService.service).network]
        : [RUNNERS],
  };
}

export function runnerHostFiles(model: RunnerStackModel): HostFile[] {
  const colocated =
    model.tokenService.placement === "colocated"
      ? colocatedTokenService(model.tokenService.service)
      : undefined;
  const networks: Record<string, ComposeNetwork> = {
    // Jobs of different slots do not reach each other.
    [RUNNERS]: { driver_opts: { "com.docker.network.bridge.enable_icc": "false" } },
    ...(colocated !== undefined && { [colocated.network]: {} }),
  };
  return [
    ...(colocated?.files ?? []),
    ...secretFiles(model),
    { path: `${STACK_DIRECTORY}/runner.env`, mode: "0644", content: runnerEnvironment(model) },
    buildkitFile(model),
    composeFile(runnerServices(model), [BUILDKIT_VOLUME], networks),
    { path: `${STACK_DIRECTORY}/bin/common.sh`, mode: "0644", content: source("common.sh") },
    ...["slot", "slot-stop", "drain", "undrain", "status", "guard", "converge"].map((name) => ({
      path: `${STACK_DIRECTORY}/bin/${name}`,
      mode: "0755",
      content: source(`${name}.sh`),
    })),
    ...sliceFiles(model.runners),
    ...unitFiles(model.drainTimeoutSeconds),
  ];
}

/** Brings a host to run its runners; ends when every one of them listens for jobs. */
export function runnerHostCommands(model: RunnerStackModel): string[] {
  return [
    `# ${model.hostName}: ${model.serverType}`,
    `${STACK_DIRECTORY}/bin/converge ${model.runners} ${model.drainTimeoutSeconds} ${ONLINE_TIMEOUT}`,
  ];
}

/** `runner.env`: what the scripts on the host need to know, and nothing secret. */
export function runnerEnvironment(model: RunnerStackModel): string {
  const free = 100 - model.buildCachePercent - DISK_PRESSURE;
  const values = {
    RUNNER_IMAGE: model.runnerImage,
    TOKEN_SERVICE: implementationOf(model),
    TOKEN_SERVICE_URL:
      model.tokenService.placement === "dedicated"
        ? model.tokenService.url
        : tokenServiceUrl("127.0.0.1"),
    GITHUB_URL: model.githubUrl,
    ORGANIZATION: model.organization,
    RUNNER_GROUP_ID: model.runnerGroup.id,
    RUNNER_GROUP: model.runnerGroup.name,
    RUNNER_LABELS: runnerLabels(model),
    HOST_NAME: model.hostName,
    DRAIN_SECONDS: model.drainTimeoutSeconds,
    WORK_MAX_PERCENT: Math.max(LEAST_WORK_PERCENT, Math.floor(free / model.runners)),
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${quote(String(value))}\n`)
    .join("");
}

function secretFiles({ tokenService, runnerImage }: RunnerStackModel): HostFile[] {
  const { url, password } =
    tokenService.placement === "dedicated"
      ? tokenService
      : { ...tokenService.service, url: `http://${TOKEN_SERVICE}:${TOKEN_SERVICE_PORT}` };
  // Also where the present service asks for none: runners that the one before it registered are deregistered there.
  const files = [{ path: CURL_CONFIG, mode: "0600", content: `user = "fleet:${password}"\n` }];
  if (runnerImage === "knatnetwork" && implementationOf({ tokenService }) === "builtin") {
    // Within a job's reach: the image knows no other way to log in.
    const address = url.replace("://", `://fleet:${password}@`);
    files.push({ path: RUNNER_SECRETS, mode: "0600", content: `KMS_SERVER_ADDR=${address}\n` });
  }
  return files;
}

function unitFiles(drainSeconds: number): HostFile[] {
  const stopSeconds = drainSeconds + STOP_MARGIN;
  const unit = (path: string, content: string): HostFile => ({
    path: `/etc/systemd/system/${path}`,
    mode: "0644",
    content,
  });
  return [
    unit(
      "runner-slot@.service",
      source("runner-slot@.service").replace("@STOP_SECONDS@", String(stopSeconds)),
    ),
    unit("runner-guard.service", source("runner-guard.service")),
    // systemd takes a host down by force after half an hour, unless it is told that jobs may take longer.
    ...["poweroff", "reboot"].map((target) =>
      unit(
        `${target}.target.d/runner-fleet.conf`,
        `[Unit]\nJobTimeoutSec=${Math.max(1_800, stopSeconds + 300)}\n`,
      ),
    ),
  ];
}

function implementationOf({ tokenService }: Pick<RunnerStackModel, "tokenService">) {
  return tokenService.placement === "dedicated"
    ? tokenService.implementation
    : tokenService.service.implementation;
}

function source(name: string): string {
  return readFileSync(join(__dirname, "files", name), "utf8");
}
