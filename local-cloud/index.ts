import { uninterrupted } from "./core/interruption";
import { listen, type Listening } from "./core/serve";
import { Traffic } from "./core/traffic";
import { createGitHub, type GitHub } from "./github";
import { createHetzner, type Hetzner } from "./hetzner";
import { createBootedHosts } from "./hosts/booted";
import { missingCapability, prepareHosts } from "./hosts/prepare";
import { createThinHosts } from "./hosts/thin";
import type { GatewayServices, HostBackend } from "./hosts/types";

export interface LocalCloudOptions {
  /** Hears one line for each step. Default: silence. */
  readonly log?: (line: string) => void;
  /** "booted": servers are real systems, or starting fails; "thin": a model; default: booted where the machine can. */
  readonly hosts?: "booted" | "thin";
}

export interface LocalCloud {
  readonly hetzner: Hetzner;
  readonly github: GitHub;
  readonly hosts: HostBackend;
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
  const github = await createGitHub({ traffic });
  const hosts = await startHosts(options.hosts, log, {
    names: ["github.com", "api.github.com"],
    handler: (request) => github.fetch(request),
    // No host runs, and so none asks, before there is an API to make one.
    metadata: (id, path) => hetzner.metadata(id, path),
  });
  const hetzner = createHetzner({ traffic, hosts });
  const listening: Listening[] = [];
  const close = async () => {
    await Promise.all(listening.map((one) => one.close()));
    try {
      await github.close();
    } finally {
      await hosts.close();
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
      traffic.reset();
    },
    close: () => uninterrupted(close),
  };
}

async function startHosts(
  wanted: LocalCloudOptions["hosts"],
  log: (line: string) => void,
  services: GatewayServices,
): Promise<HostBackend> {
  const missing = wanted === "thin" ? undefined : missingCapability();
  if (wanted === "booted" && missing !== undefined) throw new Error(missing);
  if (wanted === "thin" || missing !== undefined) {
    if (missing !== undefined)
      log(`hosts: a thin model instead of booted servers, since ${missing}`);
    return createThinHosts({ services });
  }
  return createBootedHosts({ images: await prepareHosts({ log }), services });
}
