import type { FleetSettings } from "../config/schema";
import { baseModel, type BaseModel, type HostFirewall } from "../host/base";
import type { HostStack } from "../host/cloudInit";
import {
  runnerFirewall,
  runnerHostCommands,
  runnerHostFiles,
  type RunnerStackModel,
} from "../runnerHost/stack";
import { hostSettings } from "../runnerPool/hostSettings";
import { type FleetPlacement, placeFleet } from "../runnerPool/placement";
import { placeTokenService, tokenServiceAddress } from "../tokenService/placement";
import { tokenServiceSettings } from "../tokenService/settings";
import {
  TOKEN_SERVICE_FIREWALL,
  tokenServiceCommands,
  tokenServiceFiles,
  type TokenServiceModel,
  tokenServiceUrl,
} from "../tokenService/stack";

/** What only a run of the engine knows of the hosts. */
export interface KnownByEngine extends Pick<TokenServiceModel, "credential" | "password"> {
  /** Id that GitHub gives to the runner group, in digits. */
  readonly runnerGroupId: string;
}

/** A host as it would be made. */
export interface PlannedHost {
  readonly serverName: string;
  /** Undefined for the token service. */
  readonly pool: string | undefined;
  readonly base: BaseModel;
  readonly stack: HostStack;
}

/**
 * What every host of a fleet is made of, by the functions that its components use.
 * @param prefix of the names in the Hetzner project
 * @param placed default: the first choice of each
 */
export function plannedHosts(
  prefix: string,
  settings: FleetSettings,
  known: KnownByEngine,
  placed: FleetPlacement = placeFleet(prefix, settings),
): PlannedHost[] {
  // Without own hosts nobody asks for tokens.
  if (Object.keys(settings.pools).length === 0) return [];
  const { management, network, ssh, maintenance, registryMirrors } = settings;
  const { placement, implementation } = settings.tokenService;
  const { rebootWindow } = maintenance;
  const own = placeTokenService(prefix, settings, placed);
  const address = tokenServiceAddress(settings);
  const service: TokenServiceModel = { ...tokenServiceSettings(prefix, settings), ...known };

  const base = (
    host: Pick<BaseModel, "drainSeconds" | "packages" | "runcmd">,
    firewall: HostFirewall,
  ): BaseModel =>
    baseModel(
      {
        management,
        sshPort: ssh.port,
        allowedCidrs: ssh.allowedCidrs,
        ipRange: network.ipRange,
      },
      { ...host, firewall, rebootWindow, registryMirrors },
    );

  const runners = Object.entries(settings.pools).flatMap(([pool, poolSettings]) => {
    return (placed.pools[pool] ?? []).map(({ serverName, ...place }): PlannedHost => {
      const host = hostSettings(poolSettings, place);
      const model: RunnerStackModel = {
        ...host,
        organization: settings.organization,
        githubUrl: settings.githubUrl,
        registryMirrors,
        hostName: serverName,
        runnerGroup: { id: known.runnerGroupId, name: settings.runnerGroup.name },
        tokenService:
          placement === "colocated"
            ? { placement, service }
            : {
                placement,
                implementation,
                url: tokenServiceUrl(address),
                password: known.password,
              },
      };
      return {
        serverName,
        pool,
        base: base(
          {
            drainSeconds: host.drainTimeoutSeconds,
            packages: host.packages,
            runcmd: host.runcmd,
          },
          runnerFirewall(host.runnerImage, { placement, address }),
        ),
        stack: { files: runnerHostFiles(model), commands: runnerHostCommands(model) },
      };
    });
  });
  if (own === undefined) return runners;
  const { serverName, serverType } = own;
  return [
    {
      serverName,
      pool: undefined,
      base: base({ drainSeconds: 0, packages: [], runcmd: [] }, TOKEN_SERVICE_FIREWALL),
      stack: {
        files: tokenServiceFiles(service, address),
        commands: tokenServiceCommands({ ...service, serverType }, address),
      },
    },
    ...runners,
  ];
}
