import * as github from "@pulumi/github";
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { CanaryWorkflow } from "./components/canary/canaryWorkflow";
import type { CanarySettings } from "./components/canary/hostCanary";
import { canaryFile } from "./components/canary/path";
import { renderCanary } from "./components/canary/workflow";
import { type FleetConfig, loadConfig, loadRefusals } from "./components/config/load";
import { silenceDebugLog } from "./components/debugLog/debugLog";
import { FleetNetwork } from "./components/fleetNetwork/fleetNetwork";
import { GithubOrg } from "./components/githubOrg/githubOrg";
import { rewrittenSecrets } from "./components/githubOrg/recordedSecrets";
import { Routing } from "./components/githubOrg/routing";
import { selectedWorkflows } from "./components/githubOrg/selectedWorkflows";
import { isRouted, routedRunsOn } from "./components/githubOrg/runsOn";
import { stackLabels } from "./components/host/labels";
import { emitWorkflows } from "./components/imageWorkflow/emission";
import { ImageWorkflow } from "./components/imageWorkflow/imageWorkflow";
import { ReusableWorkflows } from "./components/imageWorkflow/reusableWorkflows";
import { preflight } from "./components/preflight/preflight";
import { githubBase, type HetznerFacts } from "./components/preflight/facts";
import { recordedOutputs } from "./components/preflight/recordedOutputs";
import { runnerRepositories, selectRepositories } from "./components/preflight/repositories";
import { plannedServers } from "./components/pricing/plannedServers";
import { monthlyCost } from "./components/pricing/pricing";
import type { TokenSource } from "./components/runnerHost/runnerHost";
import { userDataSizes } from "./components/render/userData";
import type { FleetPlacement } from "./components/runnerPool/placement";
import { rollProgress } from "./components/runnerPool/roll";
import { RunnerPool } from "./components/runnerPool/runnerPool";
import { placeTokenService } from "./components/tokenService/placement";
import { tokenServiceSettings } from "./components/tokenService/settings";
import { TokenService } from "./components/tokenService/tokenService";

/** Composition root: configuration → checks → providers → components → outputs. */
async function fleet(): Promise<Record<string, unknown>> {
  silenceDebugLog();
  const config = loadConfig();
  const { settings } = config;
  const recorded = await recordedOutputs();
  const facts = await preflight(config, {
    userDataBytes: (placement) => userDataSizes(config.prefix, settings, placement),
    refusals: loadRefusals(),
    recordedBlobs: mapValues(recorded.targets, ({ blob }) => blob),
  });
  const repositories = selectRepositories(settings, facts.github);
  const rewritten = rewrittenSecrets(recorded.secrets, facts.github.secretsUpdatedAt);
  const emitted = emitWorkflows(
    { project: pulumi.getProject(), stack: pulumi.getStack() },
    settings,
    mapValues(settings.targets, (_, name) => facts.github.targets.get(name)!.branch),
    facts.github.central?.branch,
  );

  const organization: pulumi.ComponentResourceOptions = {
    provider: new github.Provider("github", {
      owner: settings.organization,
      token: secretOrUndefined(config.github.token),
      baseUrl: config.github.endpoint,
      writeDelayMs: config.github.writeDelayMs,
      // The default and 429: the provider waits as told only when GitHub says 403 for "too fast".
      retryableErrors: [429, 500, 502, 503, 504],
    }),
  };

  const api = {
    baseUrl: githubBase(config.github.endpoint),
    token: configured(config.github),
  };
  const { runnerGroup, secretsWrittenAt } = new GithubOrg(
    "organization",
    {
      organization: settings.organization,
      runnerGroup:
        facts.hetzner === undefined
          ? undefined
          : {
              name: settings.runnerGroup.name,
              exists: facts.github.runnerGroupExists,
              repositoryIds: repositories.runnerGroup,
              workflows: selectedWorkflows(
                settings,
                facts.github.central?.branch,
                facts.github.canary,
              ),
            },
      secrets: mapValues(config.orgSecrets, (value, name) => ({
        value,
        repositoryIds: repositories.secrets[name] ?? [],
        rewritten: rewritten.has(name),
      })),
      api,
    },
    organization,
  );

  const canary =
    settings.canary.repository === undefined || facts.github.canary === undefined
      ? undefined
      : {
          repository: `${settings.organization}/${settings.canary.repository}`,
          branch: facts.github.canary.branch,
          file: canaryFile(pulumi.getStack()),
          workflow: new CanaryWorkflow(
            "canary",
            {
              repository: settings.canary.repository,
              branch: facts.github.canary.branch,
              path: facts.github.canary.path,
              content: renderCanary(
                { project: pulumi.getProject(), stack: pulumi.getStack() },
                settings.runnerGroup.name,
              ),
            },
            organization,
          ),
        };
  const pools =
    facts.hetzner === undefined || runnerGroup === undefined
      ? []
      : ownHosts(config, facts.hetzner, facts.placement, runnerGroup, canary);

  const routing = isRouted(settings)
    ? [
        new Routing(
          "routing",
          {
            level: settings.routing.level,
            variable: settings.routing.variable,
            value: routedRunsOn(settings),
            repositories: repositories.routed,
          },
          { ...organization, dependsOn: pools },
        ),
      ]
    : [];
  const targets = Object.entries(settings.targets);
  const { central } = facts.github;
  const reusable =
    central === undefined
      ? []
      : [
          new ReusableWorkflows(
            "reusable-workflows",
            {
              repository: central.name,
              branch: central.branch,
              isPrivate: central.repository.private,
              files: emitted.central,
              keep: targets.some(([, one]) => one.emit === "reusable" && one.onDestroy === "keep"),
            },
            organization,
          ),
        ];
  const workflows = targets.map(([name, target]) => ({
    name,
    target,
    workflow: new ImageWorkflow(
      name,
      {
        target: name,
        organization: settings.organization,
        settings: target,
        content: emitted.targets[name]!,
        branch: facts.github.targets.get(name)!.branch,
        present: facts.github.targets.get(name)!,
        api,
      },
      // The first push of the file is a first run of it: by then the fleet is there.
      { ...organization, dependsOn: [...routing, ...reusable] },
    ),
  }));

  return {
    hosts: pulumi.all(pools.map((pool) => pool.hosts)).apply((lists) => lists.flat()),
    runnerLabels: mapValues(settings.pools, ({ labels }) => labels),
    runsOn: isRouted(settings)
      ? routedRunsOn(settings)
      : JSON.stringify(settings.routing.hostedFallback),
    // Pools that the next run takes further.
    rolls: Object.fromEntries(
      Object.entries(settings.pools).flatMap(([name, pool]) => {
        const progress = rollProgress(pool, facts.placement.pools[name] ?? []);
        return progress === undefined ? [] : [[name, progress]];
      }),
    ),
    secrets: secretsWrittenAt,
    targets: Object.fromEntries(
      workflows.map(({ name, target, workflow: { branch, path, blob, pullRequest } }) => [
        name,
        {
          repository: `${settings.organization}/${target.repository ?? name}`,
          branch,
          path,
          blob,
          pullRequest,
        },
      ]),
    ),
    monthlyCost:
      facts.hetzner === undefined
        ? undefined
        : monthlyCost(plannedServers(settings, facts.placement), facts.hetzner),
  };
}

/** Everything at Hetzner: network, token service and the pools of hosts. */
function ownHosts(
  config: FleetConfig,
  facts: HetznerFacts,
  placed: FleetPlacement,
  runnerGroup: NonNullable<GithubOrg["runnerGroup"]>,
  canary: CanarySettings | undefined,
): RunnerPool[] {
  const { settings, prefix } = config;
  const hetzner: pulumi.ComponentResourceOptions = {
    provider: new hcloud.Provider("hetzner", {
      // From the environment the provider takes it itself, also when destroy or refresh do not run this program.
      token: configured(config.hcloud),
      endpoint: config.hcloud.endpoint,
      pollInterval: config.hcloud.pollInterval,
    }),
  };
  const { environment } = new FleetNetwork(
    "network",
    {
      prefix,
      ...settings.network,
      sshPublicKey: settings.ssh.publicKey,
      sshPrivateKey: config.sshPrivateKey,
      sshPort: settings.ssh.port,
      allowedCidrs: settings.ssh.allowedCidrs,
      management: settings.management,
      labels: stackLabels(prefix),
      servers: facts.servers,
      hetzner: { endpoint: config.hcloud.endpoint, token: configured(config.hcloud) },
      github: { api: githubBase(config.github.endpoint), token: configured(config.github) },
    },
    hetzner,
  );
  const { implementation } = settings.tokenService;
  const password = new random.RandomPassword("token-service-password", {
    length: 48,
    special: false,
  }).result;
  const service = {
    ...tokenServiceSettings(prefix, settings),
    credential: config.credential,
    password,
    runnerGroupId: runnerGroup.id,
  };
  const own = placeTokenService(prefix, settings, placed);
  const tokenService: TokenSource =
    own === undefined
      ? { placement: "colocated", service: pulumi.secret(pulumi.output(service)) }
      : {
          placement: "dedicated",
          implementation,
          password,
          address: own.privateIp,
          url: new TokenService(
            "token-service",
            {
              environment,
              ...own,
              ...service,
              rebootWindow: settings.maintenance.rebootWindow,
              registryMirrors: settings.registryMirrors,
            },
            hetzner,
          ).url,
        };
  // One without hosts, which is paused, has nothing else either.
  const inUse = Object.entries(settings.pools).filter(([name]) => placed.pools[name]?.length !== 0);
  return inUse.map(
    ([name, pool]) =>
      new RunnerPool(
        name,
        {
          environment,
          prefix,
          pool: name,
          settings: pool,
          hosts: placed.pools[name] ?? [],
          organization: settings.organization,
          githubUrl: settings.githubUrl,
          rebootWindow: settings.maintenance.rebootWindow,
          registryMirrors: settings.registryMirrors,
          runnerGroup,
          tokenService,
          repositories: runnerRepositories(settings),
          canary,
        },
        hetzner,
      ),
  );
}

function mapValues<T, R>(
  record: Readonly<Record<string, T>>,
  change: (value: T, key: string) => R,
): Record<string, R> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [key, change(value, key)]),
  );
}

/** Nothing where the environment of each run has it: what runs later then takes it from its own. */
function configured(access: FleetConfig["hcloud"] | FleetConfig["github"]) {
  return access.tokenIsConfigured ? secretOrUndefined(access.token) : undefined;
}

function secretOrUndefined(value: string | undefined): pulumi.Output<string> | undefined {
  return value === undefined ? undefined : pulumi.secret(value);
}

export = fleet;
