import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { githubApiUrl } from "../config/githubUrl";
import { GITHUB_URL } from "../config/schema";
import type { HostFile } from "../host/applyScript";
import type { HostFirewall } from "../host/base";
import { withoutComments } from "../host/comments";
import { type ComposeService, composeFile, STACK_DIRECTORY } from "../host/compose";
import { KNATNETWORK_KMS_IMAGE, NODE_IMAGE } from "../pins/pins";

/** Port of the KMS protocol of `knatnetwork/github-runner-kms`. */
export const TOKEN_SERVICE_PORT = 3000;

/** What of a host's firewall a dedicated service needs. */
export const TOKEN_SERVICE_FIREWALL: HostFirewall = {
  privatePorts: [TOKEN_SERVICE_PORT],
  containersMayReach: [],
};

/** The network of a colocated service and of the containers that may reach it. */
export const TOKEN_NETWORK = "tokens";

/** Where the built-in service's configuration rests, its credential in it. */
const CONFIG_FILE = "/etc/runner-fleet/token-service.json";
/** Where the credential rests for knatnetwork's service: root alone reads it. */
const CREDENTIAL_FILE = "/etc/runner-fleet/token-service.env";
const MODULE_FILE = `${STACK_DIRECTORY}/token-service/tokenService.mjs`;

/** A user that no host and no image has, so that nothing else belongs to it. */
const USER = "65532:65532";

/** What Docker's networks use by default, and the host itself: from there the containers of one host are seen. */
const CONTAINER_SOURCES = ["127.0.0.0/8", "172.16.0.0/12"];

export type GithubCredential =
  | { readonly kind: "pat"; readonly token: string }
  | {
      readonly kind: "app";
      readonly appId: number;
      readonly installationId: number;
      /** PEM. */
      readonly privateKey: string;
    };

export interface TokenServiceModel {
  /** `builtin`: this project's. `knatnetwork`: takes a personal access token only, and knows no password. */
  readonly implementation: "builtin" | "knatnetwork";
  readonly image: string;
  readonly organization: string;
  /** Without a slash at its end, e.g. https://github.com. */
  readonly githubUrl: string;
  readonly credential: GithubCredential;
  /** Wanted from clients of the built-in service. */
  readonly password: string;
  /** Runners of other names are neither registered nor removed, e.g. "dev-". */
  readonly runnerNamePrefix: string;
  readonly runnerGroupId: string;
  /** Whether some pool registers by token, and not just in time. */
  readonly registrationTokens: boolean;
  /** Ranges that clients of a dedicated service come from: the subnet. */
  readonly sources: readonly string[];
}

/** What runs the service: the image from configuration, or the pinned one. */
export function tokenServiceImage(settings: {
  readonly implementation: TokenServiceModel["implementation"];
  readonly image?: string;
}): string {
  if (settings.image !== undefined) return settings.image;
  return settings.implementation === "builtin" ? NODE_IMAGE : KNATNETWORK_KMS_IMAGE;
}

/** Base URL of a token service at `address`; no password is in it. */
export function tokenServiceUrl(address: string): string {
  return `http://${address}:${TOKEN_SERVICE_PORT}`;
}

/** Files of a host of its own that runs the token service, reachable at `address` only. */
export function tokenServiceFiles(model: TokenServiceModel, address: string): HostFile[] {
  if (model.implementation === "knatnetwork") {
    const ports = [`${address}:${TOKEN_SERVICE_PORT}:${TOKEN_SERVICE_PORT}`];
    return [
      credentialFile(model),
      BIND_EARLY,
      composeFile({ kms: { ...knatnetworkService(model), ports } }),
    ];
  }
  const config = configFile(model, { address, sources: model.sources });
  const service = { ...builtinService(model, config, address), network_mode: "host" } as const;
  return [config, moduleFile(), BIND_EARLY, composeFile({ kms: service })];
}

/**
 * Brings a host of its own to run the token service, and ends when it answers. The server type is named in it, so that
 * a rescaled host is checked again.
 */
export function tokenServiceCommands(
  model: TokenServiceModel & { readonly serverType: string },
  address: string,
): string[] {
  const compose = `docker compose --project-directory ${STACK_DIRECTORY}`;
  const url = tokenServiceUrl(address);
  // Any answer of knatnetwork's counts: its protocol has no route that tells its health.
  const health = model.implementation === "builtin" ? `--fail ${url}/healthz` : `${url}/`;
  const lastLines = `{ ${compose} logs --tail 20 kms >&2; exit 1; }`;
  return [
    `# ${model.serverType}`,
    `${compose} up --detach --quiet-pull --remove-orphans --wait --wait-timeout 180 || ${lastLines}`,
    `curl --silent --show-error --output /dev/null --max-time 5 --retry 60 --retry-delay 1 --retry-connrefused ${health} || ${lastLines}`,
  ];
}

/** The service beside runners on one host: for the compose project of that host, where it is to be called `kms`. */
export function colocatedTokenService(model: TokenServiceModel): {
  readonly service: ComposeService;
  /** The network to declare, which containers that register by token join as well. */
  readonly network: string;
  readonly files: HostFile[];
} {
  const reach = {
    networks: [TOKEN_NETWORK],
    ports: [`127.0.0.1:${TOKEN_SERVICE_PORT}:${TOKEN_SERVICE_PORT}`],
  };
  if (model.implementation === "knatnetwork") {
    const service = { ...knatnetworkService(model), ...reach };
    return { service, network: TOKEN_NETWORK, files: [credentialFile(model)] };
  }
  const config = configFile(model, { address: "0.0.0.0", sources: CONTAINER_SOURCES });
  const service = { ...builtinService(model, config, "127.0.0.1"), ...reach };
  return { service, network: TOKEN_NETWORK, files: [config, moduleFile()] };
}

/** At a boot, Docker may start before the private address is there, and whoever listens on it does not try again. */
const BIND_EARLY: HostFile = {
  path: "/etc/sysctl.d/60-runner-fleet.conf",
  mode: "0644",
  content: "net.ipv4.ip_nonlocal_bind = 1\n",
};

/** @param address where it answers, as seen from inside its container. */
function builtinService(
  model: TokenServiceModel,
  config: HostFile,
  address: string,
): ComposeService {
  const url = `${tokenServiceUrl(address)}/healthz`;
  const ownServer = model.githubUrl !== GITHUB_URL;
  return {
    image: model.image,
    command: ["node", ...NODE_OPTIONS, MODULE_FILE, CONFIG_FILE],
    user: USER,
    read_only: true,
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
    // The service itself holds 58 MiB when idle, 64 with 50 clients and 68 with 500; the check of its health is a
    // second Node beside it for a moment, and a limit without room for both would end the service for being asked.
    mem_limit: "128m",
    ...(ownServer && { environment: { NODE_EXTRA_CA_CERTS: HOST_AUTHORITIES } }),
    volumes: [
      ...[CONFIG_FILE, MODULE_FILE].map((path) => `${path}:${path}:ro`),
      ...(ownServer ? [`${HOST_AUTHORITIES}:${HOST_AUTHORITIES}:ro`] : []),
    ],
    // Compose starts a container anew for a change of its entry, and knows nothing of the files. The password makes
    // the digest one that nobody can guess the rest from.
    labels: { "runner-fleet.files": digest(config.content, moduleFile().content) },
    restart: "unless-stopped",
    healthcheck: {
      test: [
        "CMD",
        "node",
        "-e",
        `require("http").get("${url}", ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on("error", () => process.exit(1))`,
      ],
      interval: "30s",
      timeout: "5s",
      retries: 3,
      start_period: "30s",
      start_interval: "1s",
    },
  };
}

/**
 * Compiled code takes more memory than it is worth to a program that waits for GitHub, and memory that is never made
 * executable is one way in less. The heap holds a few tokens and the requests of the moment.
 */
export const NODE_OPTIONS = ["--jitless", "--max-old-space-size=32", "--max-semi-space-size=1"];

/** What the host trusts, such as the authority of an own GitHub server; Node knows its own list alone. */
const HOST_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

function configFile(
  model: TokenServiceModel,
  at: { readonly address: string; readonly sources: readonly string[] },
): HostFile {
  const { githubUrl, credential } = model;
  const config = {
    listen: { address: at.address, port: TOKEN_SERVICE_PORT },
    github: {
      apiUrl: githubApiUrl(new URL(githubUrl)),
      timeoutMs: 10_000,
    },
    auth: credential,
    password: model.password,
    sources: at.sources,
    allow: {
      organizations: [model.organization],
      repositories: [],
      runnerNamePrefix: model.runnerNamePrefix,
      runnerGroupIds: [Number(model.runnerGroupId)],
      registrationTokens: model.registrationTokens,
    },
  };
  return {
    path: CONFIG_FILE,
    mode: "0400",
    owner: USER,
    content: `${JSON.stringify(config, null, 2)}\n`,
  };
}

/** Without its comments: where nothing reaches into a host, all that it gets has to fit into 32 KiB. */
function moduleFile(): HostFile {
  const source = readFileSync(join(__dirname, "server", "tokenService.mjs"), "utf8");
  return withoutComments({ path: MODULE_FILE, mode: "0644", content: source });
}

function knatnetworkService(model: TokenServiceModel): ComposeService {
  return {
    image: model.image,
    env_file: [CREDENTIAL_FILE],
    restart: "unless-stopped",
  };
}

/** One variable for each organization, named as the image wants it. */
function credentialFile({ organization, credential }: TokenServiceModel): HostFile {
  if (credential.kind !== "pat") {
    throw new Error("knatnetwork's token service takes a personal access token only.");
  }
  return {
    path: CREDENTIAL_FILE,
    mode: "0600",
    content: `PAT_${organization}=${credential.token}\n`,
  };
}

function digest(...contents: readonly string[]): string {
  const hash = createHash("sha256");
  for (const content of contents) hash.update(content).update("\0");
  return hash.digest("hex").slice(0, 32);
}
