import * as command from "@pulumi/command";
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { type CanarySettings, hostCanary } from "../canary/hostCanary";
import type { PoolSettings } from "../config/schema";
import type { HostEnvironment } from "../host/host";
import { RunnerHost, type TokenSource } from "../runnerHost/runnerHost";
import { secretVariable } from "../secretVariable/secretVariable";
import { hostSettings } from "./hostSettings";
import type { PlacedHost } from "./placement";

export interface RunnerPoolArgs {
  readonly environment: HostEnvironment;
  /** Prefix of the names in the Hetzner project. */
  readonly prefix: string;
  /** The pool's key in the configuration. */
  readonly pool: string;
  readonly settings: PoolSettings;
  /** Its hosts and what each is ordered as. */
  readonly hosts: readonly PlacedHost[];
  readonly organization: string;
  readonly githubUrl: string;
  readonly rebootWindow: string;
  readonly registryMirrors: Readonly<Record<string, readonly string[]>>;
  readonly runnerGroup: { readonly id: pulumi.Input<string>; readonly name: pulumi.Input<string> };
  readonly tokenService: TokenSource;
  /** Repositories whose jobs the pool takes. */
  readonly repositories: readonly string[];
  /** Proves new hosts by a job. */
  readonly canary?: CanarySettings;
}

/** What people need to know of a host. */
export interface HostSummary {
  readonly name: string;
  readonly pool: string;
  readonly address: string;
  readonly privateAddress: string;
  readonly location: string;
  readonly serverType: string;
  readonly runners: readonly string[];
}

/** The hosts of a pool, spread over hardware. Done when all their runners are online, and new hosts have been proved. */
export class RunnerPool extends pulumi.ComponentResource {
  readonly hosts: pulumi.Output<HostSummary[]>;

  constructor(name: string, args: RunnerPoolArgs, opts?: pulumi.ComponentResourceOptions) {
    super("runner-fleet:index:RunnerPool", name, {}, opts);
    const { settings, hosts } = args;
    const { github } = args.environment;

    const groups = new Map<string, hcloud.PlacementGroup>();
    const groupOf = ({ generation, placementGroup }: PlacedHost): hcloud.PlacementGroup => {
      // A group holds ten: the hosts of two generations, side by side in a roll, need their own.
      const spread = `${generation}-spread-${placementGroup + 1}`;
      const group =
        groups.get(spread) ??
        new hcloud.PlacementGroup(
          `${name}-${spread}`,
          {
            name: `${args.prefix}-${args.pool}-${generation}-${placementGroup + 1}`,
            type: "spread",
            labels: { ...args.environment.labels, pool: args.pool },
          },
          { parent: this },
        );
      groups.set(spread, group);
      return group;
    };

    const runnerHosts: pulumi.Resource[] = [];
    const summaries = pulumi.all(
      hosts.map((placed) => {
        const { key, serverName } = placed;
        const isOutgoing = placed.generation !== settings.generation;
        const runnerHost = new RunnerHost(
          key,
          {
            environment: args.environment,
            serverName,
            ...hostSettings(settings, placed),
            pool: args.pool,
            placementGroupId: groupOf(placed).id.apply(Number),
            isOutgoing,
            organization: args.organization,
            githubUrl: args.githubUrl,
            rebootWindow: args.rebootWindow,
            registryMirrors: args.registryMirrors,
            runnerGroup: args.runnerGroup,
            tokenService: args.tokenService,
          },
          { parent: this },
        );
        runnerHosts.push(runnerHost);
        const { host } = runnerHost;
        if (args.canary !== undefined && !isOutgoing) {
          runnerHosts.push(
            hostCanary(
              `${key}-canary`,
              {
                ...args.canary,
                host: serverName,
                serverId: host.serverId,
                runnerHost,
                github,
                drainTimeoutSeconds: settings.drainTimeoutSeconds,
              },
              this,
            ),
          );
        }
        return pulumi
          .all([host.ipv4Address, host.privateIp, host.location, host.serverType])
          .apply(([address, privateAddress, location, serverType]) => ({
            name: serverName,
            pool: args.pool,
            address,
            privateAddress,
            location,
            serverType,
            runners: Array.from(
              { length: settings.runnersPerHost },
              (_, slot) => `${serverName}-${slot + 1}`,
            ),
          }));
      }),
    );
    // The first to go when the pool does: what is queued for its runners is done before they are drained.
    const queue = new command.local.Command(
      `${name}-queue`,
      {
        create: "true",
        delete: "node --import tsx components/runnerPool/settleQueue.main.ts",
        environment: {
          GITHUB_API: github.api,
          ...secretVariable("GITHUB_TOKEN", github.token),
          GITHUB_ORGANIZATION: args.organization,
          RUNNER_LABELS: JSON.stringify(["self-hosted", ...settings.labels]),
          REPOSITORIES: JSON.stringify(args.repositories),
          TIMEOUT_SECONDS: String(settings.drainTimeoutSeconds),
        },
        logging: "stderr",
        addPreviousOutputInEnv: false,
      },
      { parent: this, dependsOn: runnerHosts },
    );
    this.hosts = pulumi.all([summaries, queue.id]).apply(([list]) => list);
    this.registerOutputs({ hosts: this.hosts });
  }
}
