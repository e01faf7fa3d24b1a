import * as github from "@pulumi/github";
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { loadConfig } from "./components/config/load";
import { lastHostAddress } from "./components/fleetNetwork/addresses";
import { FleetNetwork } from "./components/fleetNetwork/fleetNetwork";
import { GithubOrg } from "./components/githubOrg/githubOrg";
import { recordedSecrets, rewrittenSecrets } from "./components/githubOrg/recordedSecrets";
import { Routing } from "./components/githubOrg/routing";
import { runsOnValue } from "./components/githubOrg/runsOn";
import { userDataSizes } from "./components/host/cloudInit";
import { stackLabels } from "./components/host/labels";
import { ImageWorkflow } from "./components/imageWorkflow/imageWorkflow";
import { preflight } from "./components/preflight/check";
import { githubBase } from "./components/preflight/facts";
import { selectRepositories } from "./components/preflight/repositories";
import { plannedServers, tokenServiceLocation } from "./components/pricing/plannedServers";
import { monthlyCost } from "./components/pricing/pricing";
import type { TokenSource } from "./components/runnerHost/runnerHost";
import { RunnerPool } from "./components/runnerPool/runnerPool";
import { TokenService } from "./components/tokenService/tokenService";

/** Composition root: configuration → checks → providers → components → outputs. */
async function fleet(): Promise<Record<string, unknown>> {
  const config = loadConfig();
  const { settings, prefix } = config;
  const facts = await preflight(config, { userDataBytes: userDataSizes(settings) });
  const repositories = selectRepositories(settings, facts.github);
  const rewritten = rewrittenSecrets(await recordedSecrets(), facts.github.secretsUpdatedAt);
  const routedPool = settings.routing.pool ?? Object.keys(settings.pools)[0]!;

  const hetzner: pulumi.ComponentResourceOptions = {
    provider: new hcloud.Provider("hetzner", {
      // From the environment the provider takes it itself, also when destroy or refresh do not run this program.
      token: config.hcloud.tokenIsConfigured ? secretOrUndefined(config.hcloud.token) : undefined,
      endpoint: config.hcloud.endpoint,
      pollInterval: config.hcloud.pollInterval,
    }),
  };
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

  const { environment } = new FleetNetwork(
    "network",
    {
      prefix,
      ...settings.network,
      sshPublicKey: settings.ssh.publicKey,
      sshPrivateKey: config.sshPrivateKey,
      sshPort: settings.ssh.port,
      allowedCidrs: settings.ssh.allowedCidrs,
      labels: stackLabels(prefix),
      servers: facts.hetzner.servers,
    },
    hetzner,
  );
  const { runnerGroup, secretsWrittenAt } = new GithubOrg(
    "organization",
    {
      organization: settings.organization,
      runnerGroup: {
        name: settings.runnerGroup.name,
        exists: facts.github.runnerGroupExists,
        repositoryIds: repositories.runnerGroup,
      },
      secrets: Object.fromEntries(
        Object.entries(config.orgSecrets).map(([name, value]) => [
          name,
          {
            value,
            repositoryIds: repositories.secrets[name] ?? [],
            rewritten: rewritten.has(name),
          },
        ]),
      ),
      api: {
        baseUrl: githubBase(config.github.endpoint),
        token: config.github.tokenIsConfigured ? secretOrUndefined(config.github.token) : undefined,
      },
    },
    organization,
  );

  const { placement, image } = settings.tokenService;
  const credential = { organization: settings.organization, token: config.githubToken };
  const tokenService: TokenSource =
    placement === "colocated"
      ? { placement, image, ...credential }
      : {
          placement,
          url: new TokenService(
            "token-service",
            {
              environment,
              serverName: `${prefix}-token-service`,
              serverType: settings.tokenService.serverType,
              location: tokenServiceLocation(settings),
              privateIp: lastHostAddress(settings.network.subnet),
              image,
              ...credential,
            },
            hetzner,
          ).url,
        };
  const pools = Object.entries(settings.pools).map(
    ([name, pool]) =>
      new RunnerPool(
        name,
        {
          environment,
          prefix,
          pool: name,
          settings: pool,
          organization: settings.organization,
          runnerGroup,
          tokenService,
        },
        hetzner,
      ),
  );

  const runsOn = runsOnValue(settings.runnerGroup.name, settings.pools[routedPool]!.labels);
  const routing = new Routing(
    "routing",
    {
      level: settings.routing.level,
      variable: settings.routing.variable,
      value: runsOn,
      repositories: repositories.routed,
    },
    { ...organization, dependsOn: pools },
  );
  const workflows = Object.entries(settings.targets).map(([name, target]) => ({
    name,
    target,
    workflow: new ImageWorkflow(
      name,
      {
        target: name,
        settings: target,
        routing: settings.routing,
        branch: facts.github.targets.get(name)!.branch,
      },
      // The first push of the file is a first run of it: by then the fleet is there.
      { ...organization, dependsOn: routing },
    ),
  }));

  return {
    hosts: pulumi.all(pools.map((pool) => pool.hosts)).apply((lists) => lists.flat()),
    runnerLabels: Object.fromEntries(
      Object.entries(settings.pools).map(([name, pool]) => [name, pool.labels]),
    ),
    runsOn,
    secrets: secretsWrittenAt,
    targets: Object.fromEntries(
      workflows.map(({ name, target, workflow: { branch, path, blob } }) => [
        name,
        {
          repository: `${settings.organization}/${target.repository ?? name}`,
          branch,
          path,
          blob,
        },
      ]),
    ),
    monthlyCost: monthlyCost(plannedServers(settings), facts.hetzner),
  };
}

function secretOrUndefined(value: string | undefined): pulumi.Output<string> | undefined {
  return value === undefined ? undefined : pulumi.secret(value);
}

export = fleet;
