import type { Advisory } from "./actions/standIns/trivy";
import { uninterrupted } from "./core/interruption";
import { listen, type Listening } from "./core/serve";
import { Traffic } from "./core/traffic";
import {
  createGitHub,
  type GitHub,
  type JobFaults,
  type JobTimes,
  type RegistryAccess,
} from "./github";
import type { HostedRunners } from "./github/hostedRunners";
import { createHetzner, type Hetzner } from "./hetzner";
import { createBootedHosts } from "./hosts/booted";
import { createBootedRunners } from "./hosts/bootedRunners";
import { missingCapability, prepareHosts } from "./hosts/prepare";
import { createProcessRunners } from "./hosts/processRunners";
import { createThinHosts } from "./hosts/thin";
import type { GatewayServices, HostBackend } from "./hosts/types";
import { openRegistries, type Registries } from "./registry";
import { emulateArm64, type Emulation } from "./tools/emulation";

export interface LocalCloudOptions {
  /** Hears one line for each step. Default: silence. */
  readonly log?: (line: string) => void;
  /** "booted": servers are real systems, or starting fails; "thin": a model; default: booted where the machine can. */
  readonly hosts?: "booted" | "thin";
  /** Whether pushes and pull requests start the workflows that lie in repositories; default: where hosts are booted, since a thin one cannot build images. */
  readonly startsWorkflows?: boolean;
  /** How GitHub's queue of jobs behaves; default: as documented, without delay. */
  readonly jobs?: { readonly times?: Partial<JobTimes>; readonly faults?: Partial<JobFaults> };
  /** What the stand-in for Trivy knows of vulnerabilities; without it a scan fails. */
  readonly advisories?: readonly Advisory[];
}

export interface LocalCloud {
  readonly hetzner: Hetzner;
  readonly github: GitHub;
  readonly hosts: HostBackend;
  /** What hosts and hosted runners find as ghcr.io and docker.io; undefined where hosts are thin. */
  readonly registries: Registries | undefined;
  /** Whether hosts and hosted runners run programs for arm64. */
  readonly emulation: Emulation;
  /** Request log, surprises and fault script of both sides. */
  readonly traffic: Traffic;
  /** Organization that the tokens belong to. */
  readonly organization: string;
  /** Variables that lead clients here over plain HTTP: Pulumi's providers, hcloud, Octokit. `clients.ts` has those of others. */
  readonly environment: Readonly<Record<string, string>>;
  /** Both sides as new, hosts gone, log and faults empty. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a Hetzner project and a GitHub organization on this machine, on free ports of the loopback address. */
export async function startLocalCloud(options: LocalCloudOptions = {}): Promise<LocalCloud> {
  const log = options.log ?? (() => undefined);
  const traffic = new Traffic();
  // No host runs, and so none asks, before there are APIs to make one.
  const accessOf = (token: string) => github.registryAccess(token);
  const machines = await startMachines(options, log, accessOf, {
    names: ["github.com", "api.github.com"],
    handler: (request) => github.fetch(request),
    metadata: (id, path) => hetzner.metadata(id, path),
  });
  const { hosts, runners, registries, emulation } = machines;
  const github = await createGitHub({
    traffic,
    hosted: { runners },
    ...options.jobs,
    startsWorkflows: options.startsWorkflows ?? registries !== undefined,
  }).catch(async (error: unknown) => {
    await uninterrupted(() => closeMachines(machines));
    throw error;
  });
  const hetzner = createHetzner({ traffic, hosts, readOnlyToken: READ_ONLY_TOKEN });
  const listening: Listening[] = [];
  const close = async () => {
    await Promise.all(listening.map((one) => one.close()));
    try {
      await github.close();
    } finally {
      await closeMachines(machines);
    }
  };
  const serve = async (side: Hetzner | GitHub): Promise<string> => {
    const one = await listen((request) => side.fetch(request));
    listening.push(one);
    return one.url;
  };
  let urls: { readonly hetzner: string; readonly github: string };
  try {
    urls = { hetzner: await serve(hetzner), github: await serve(github) };
  } catch (error) {
    await uninterrupted(close);
    throw error;
  }

  return {
    hetzner,
    github,
    hosts,
    registries,
    emulation,
    traffic,
    organization: "acme",
    environment: {
      HCLOUD_ENDPOINT: `${urls.hetzner}/v1`,
      HCLOUD_TOKEN: hetzner.token,
      GITHUB_BASE_URL: `${urls.github}/`,
      GITHUB_TOKEN: github.tokens.admin,
      LOCAL_CLOUD_ORGANIZATION: "acme",
    },
    reset: async () => {
      await hetzner.reset();
      await github.reset();
      await registries?.reset();
      traffic.reset();
    },
    close: () => uninterrupted(close),
  };
}

const READ_ONLY_TOKEN = "local-cloud-hetzner-token-readonly-".padEnd(64, "0");

interface Machines {
  readonly hosts: HostBackend;
  readonly runners: HostedRunners;
  readonly registries: Registries | undefined;
  readonly emulation: Emulation;
}

async function startMachines(
  { hosts: wanted, advisories }: LocalCloudOptions,
  log: (line: string) => void,
  accessOf: (token: string) => RegistryAccess | undefined,
  services: GatewayServices,
): Promise<Machines> {
  const missing = wanted === "thin" ? undefined : missingCapability();
  if (wanted === "booted" && missing !== undefined) throw new Error(missing);
  if (wanted === "thin" || missing !== undefined) {
    if (missing !== undefined)
      log(`hosts: a thin model instead of booted servers, since ${missing}`);
    const hosts = createThinHosts({ services });
    const emulation = { available: false, reason: "hosts are thin" } as const;
    return { hosts, runners: createProcessRunners(), registries: undefined, emulation };
  }
  const images = await prepareHosts({ log });
  const emulation = await emulateArm64(images.emulator);
  if (!emulation.available)
    log(`hosts run programs of this machine's kind alone: ${emulation.reason}`);
  let registries: Registries | undefined;
  try {
    registries = await openRegistries({ files: images.registry, accessOf });
    const { sites } = registries;
    const hosts = await createBootedHosts({ images, services: { ...services, sites } });
    const runners = createBootedRunners({ hosts, root: images.runnerRoot, advisories });
    return { hosts, runners, registries, emulation };
  } catch (error) {
    await uninterrupted(() => closeMachines({ registries, emulation }));
    throw error;
  }
}

/** Closes each one, whether or not those before could be closed. */
async function closeMachines({
  hosts,
  registries,
  emulation,
}: Pick<Machines, "registries" | "emulation"> & Partial<Machines>): Promise<void> {
  try {
    await hosts?.close();
  } finally {
    try {
      await registries?.close();
    } finally {
      if (emulation.available) await emulation.close();
    }
  }
}
