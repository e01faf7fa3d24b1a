import type { FleetSettings } from "../config/schema";
import { type CommandEnvironment, RETIRE } from "../host/commands";
import { drainCommand } from "../runnerHost/stack";
import type { FoundFile, FoundFleet, FoundServer } from "./foundFleet";

/** A resource as `pulumi import --file` reads it. */
export interface ImportedResource {
  readonly type: string;
  /** Unique in the file; parents are named by it. */
  readonly name: string;
  /** Name in the program. */
  readonly logicalName: string;
  readonly parent?: string;
  readonly component?: true;
  readonly id?: string;
  /** Of the plugin that reads it. */
  readonly version?: string;
  /** With outputs nothing is read: what they say is taken as it is. */
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

export interface Recovery {
  readonly resources: readonly ImportedResource[];
  /** Generations that the pools' next servers can have: the ones after those that are found. */
  readonly generations: Readonly<Record<string, number>>;
  /** How many runner hosts are found, by pool. */
  readonly hosts: Readonly<Record<string, number>>;
  /** URN of the token service's server, which has to be made again; undefined without one. */
  readonly tokenService: string | undefined;
}

export interface RecoveryOptions {
  readonly project: string;
  /** Name of the stack and prefix of all names at Hetzner. */
  readonly stack: string;
  readonly settings: Pick<FleetSettings, "organization" | "pools" | "routing">;
  /** Addresses of the APIs, without a slash at the end. */
  readonly hcloudApi: string;
  readonly githubApi: string;
  /** Versions of the plugins, by package. */
  readonly versions: Readonly<Record<"hcloud" | "github" | "command", string>>;
}

/**
 * What of a fleet whose state is lost can be taken into a new state. The random secrets that the hosts were made with
 * are gone with it: nobody has the pinned host keys and the token service's password any more. So runner hosts are
 * taken as what goes with the next generation of their pool, each with the command that drains it by the power button
 * first; and the token service's server as what is made again in its place. Organization secrets are not in it: they
 * are written again.
 */
export function recovery(found: FoundFleet, options: RecoveryOptions): Recovery {
  const { settings, stack, versions } = options;
  const resources: ImportedResource[] = [];
  const add = (
    type: string,
    logicalName: string,
    rest: Pick<ImportedResource, "parent" | "id" | "inputs" | "outputs">,
  ): string => {
    const name = `${logicalName}.${type.slice(type.lastIndexOf(":") + 1)}`;
    const version = versions[type.slice(0, type.indexOf(":")) as keyof typeof versions];
    const kind = rest.id === undefined ? ({ component: true } as const) : { version };
    resources.push({ type, name, logicalName, ...kind, ...rest });
    return name;
  };
  const component = (type: string, logicalName: string, parent?: string) =>
    add(`runner-fleet:index:${type}`, logicalName, parent === undefined ? {} : { parent });
  /** Name in the program of what is called `<stack>-<key>` at Hetzner. */
  const keyOf = ({ name }: { readonly name: string }) => name.slice(stack.length + 1);

  const { network, firewall, sshKey } = found;
  if (network !== undefined || firewall !== undefined || sshKey !== undefined) {
    const parent = component("FleetNetwork", "network");
    if (network !== undefined) {
      add("hcloud:index/network:Network", "network", { parent, id: String(network.id) });
      for (const range of network.subnets) {
        const id = `${network.id}-${range}`;
        add("hcloud:index/networkSubnet:NetworkSubnet", "network-subnet", { parent, id });
      }
    }
    if (firewall !== undefined) {
      const id = String(firewall.id);
      add("hcloud:index/firewall:Firewall", "network-firewall", { parent, id });
    }
    if (sshKey !== undefined) {
      add("hcloud:index/sshKey:SshKey", "network-ssh-key", { parent, id: String(sshKey.id) });
    }
  }

  const generations: Record<string, number> = {};
  const hosts: Record<string, number> = {};
  const pools = new Map<string, string>();
  const poolOf = (pool: string): string => {
    const known = pools.get(pool) ?? component("RunnerPool", pool);
    pools.set(pool, known);
    return known;
  };
  // Each the parent of what has to go before it: the engine knows no other order of what was imported.
  const groups = new Map<number, string>();
  for (const group of found.placementGroups) {
    if (group.pool === undefined) continue;
    const name = add("hcloud:index/placementGroup:PlacementGroup", keyOf(group), {
      parent: poolOf(group.pool),
      id: String(group.id),
    });
    groups.set(group.id, name);
  }
  let tokenService: string | undefined;
  for (const server of found.servers) {
    const key = keyOf(server);
    const type = "hcloud:index/server:Server";
    const id = String(server.id);
    if (server.pool === undefined) {
      const parent = component("Host", key, component("TokenService", key));
      add(type, key, { parent, id });
      const types = ["runner-fleet:index:TokenService", "runner-fleet:index:Host", type].join("$");
      tokenService = `urn:pulumi:${stack}::${options.project}::${types}::${key}`;
      continue;
    }
    const { pool } = server;
    const generation = Number(/-(\d+)-\d+$/.exec(key)?.[1] ?? 0);
    generations[pool] = Math.max(generations[pool] ?? 0, generation + 1);
    hosts[pool] = (hosts[pool] ?? 0) + 1;
    const group = groups.get(server.placementGroup ?? 0) ?? poolOf(pool);
    const parent = add(type, key, { parent: group, id });
    const inputs = retirement(server, settings.pools[pool]?.drainTimeoutSeconds, options);
    add("command:local:Command", `${key}-retire`, {
      parent,
      id: `retire-${server.id}`,
      inputs,
      outputs: { ...inputs, stdout: "", stderr: "" },
    });
  }

  const { runnerGroup, routing, files } = found;
  if (runnerGroup !== undefined) {
    add("github:index/actionsRunnerGroup:ActionsRunnerGroup", "organization-runners", {
      parent: component("GithubOrg", "organization"),
      id: String(runnerGroup),
    });
  }
  const { variable } = settings.routing;
  if (routing.organization || routing.repositories.length > 0) {
    const parent = component("Routing", "routing");
    if (routing.organization) {
      const type = "github:index/actionsOrganizationVariable:ActionsOrganizationVariable";
      add(type, "routing", { parent, id: variable });
    }
    for (const repository of routing.repositories) {
      add("github:index/actionsVariable:ActionsVariable", `routing-${repository}`, {
        parent,
        id: `${repository}:${variable}`,
      });
    }
  }
  const fileId = ({ repository, path, branch }: FoundFile) => `${repository}:${path}:${branch}`;
  const fileType = "github:index/repositoryFile:RepositoryFile";
  for (const [target, file] of Object.entries(files.targets)) {
    const parent = component("ImageWorkflow", target);
    add(fileType, target, { parent, id: fileId(file) });
  }
  if (files.central.length > 0) {
    const parent = component("ReusableWorkflows", "reusable-workflows");
    for (const file of files.central) {
      const name = `reusable-workflows-${file.path.slice(file.path.lastIndexOf("/") + 1)}`;
      add(fileType, name, { parent, id: fileId(file) });
    }
  }
  return { resources, generations, hosts, tokenService };
}

/** The command that retires a host which nothing reaches into: its shutdown drains it. Tokens come from the run. */
function retirement(
  server: FoundServer,
  drainTimeoutSeconds = 3_600,
  { hcloudApi, githubApi, settings }: RecoveryOptions,
): Readonly<Record<string, unknown>> {
  const environment: CommandEnvironment = {
    HOST: server.name,
    SERVER_ID: String(server.id),
    HCLOUD_API: hcloudApi,
    GITHUB_API: githubApi,
    GITHUB_ORGANIZATION: settings.organization,
    DRAIN_COMMAND: drainCommand(drainTimeoutSeconds),
    TIMEOUT_SECONDS: String(drainTimeoutSeconds),
  };
  return {
    create: "true",
    delete: RETIRE,
    environment,
    logging: "stderr",
    addPreviousOutputInEnv: false,
  };
}

/**
 * Takes the file into the state. What was imported belongs to the program, which may change and delete it.
 * @param options those of the CLI that name the stack
 */
export function importCommand(organization: string, options: readonly string[]): string {
  return `GITHUB_OWNER=${organization} pulumi import ${options.join(" ")} --file import.json --protect=false --generate-code=false`;
}

/**
 * What to do with the file, one command a line.
 * @param options those of the CLI that name the stack; default: `--stack`
 */
export function nextSteps(
  { generations, hosts, tokenService }: Recovery,
  { project, settings, stack }: Pick<RecoveryOptions, "project" | "settings" | "stack">,
  options: readonly string[] = ["--stack", stack],
): readonly string[] {
  const replace = tokenService === undefined ? "" : ` --replace '${tokenService}'`;
  const ofStack = options.join(" ");
  const set = (pool: string, key: string, value: number) =>
    `pulumi config set ${ofStack} --path ${project}:pools.${pool}.${key} ${value}`;
  const changes = Object.entries(generations).flatMap(([pool, generation]) => {
    const wanted = settings.pools[pool];
    if (wanted === undefined) return [];
    const living = hosts[pool] ?? 0;
    return [
      set(pool, "generation", Math.max(generation, wanted.generation)),
      // None of the living hosts can be kept: all new ones have to be made in one run.
      ...(wanted.maxSurge !== undefined || living > wanted.count
        ? [set(pool, "maxSurge", living + wanted.count)]
        : []),
    ];
  });
  return [
    importCommand(settings.organization, options),
    ...changes,
    `pulumi up ${ofStack}${replace}`,
  ];
}
