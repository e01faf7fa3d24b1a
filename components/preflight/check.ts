import { utils } from "ssh2";
import { cidrSize, containsCidr, parseCidr } from "../config/cidr";
import type { FleetSettings } from "../config/schema";
import { MAX_USER_DATA_BYTES } from "../host/cloudInit";
import { routedPool } from "../githubOrg/runsOn";
import type { RestrictionSettings } from "../githubOrg/selectedWorkflows";
import { imageWorkflowModel } from "../imageWorkflow/workflow";
import {
  choices,
  type FleetPlacement,
  isOver,
  listPlaces,
  living,
  type Market,
  nameHosts,
  orderableNow,
  type Place,
  type Placed,
  placeFleet,
  type Preferences,
  rescaleObstacle,
  TOKEN_SERVICE,
  tokenServicePreferences,
} from "../runnerPool/placement";
import { plannedServers } from "../pricing/plannedServers";
import { exceeds, formatBudget, hasPrice, monthlyCost } from "../pricing/pricing";
import { rollProgress, rollSentence } from "../runnerPool/roll";
import type { AppFacts } from "./app";
import {
  type BranchFacts,
  type FileFacts,
  type Findings,
  type GitHubFacts,
  type HetznerFacts,
  type LivingServer,
  namedRepositories,
  type TokenFacts,
} from "./facts";
import { lifeSentence, runnerLife } from "../runnerVersions/runnerLife";
import { enumerate, quote } from "../text/words";
import { githubObstacle, hetznerObstacle, PROVIDER_TOKEN, tokenObstacle } from "./obstacles";

/** GitHub's limit of the name of a runner, in characters. */
export const MAX_RUNNER_NAME = 64;

/** Both lists hold whole sentences. Problems stop a run before it changes anything, warnings do not. */
export interface Verdict {
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** What the program itself knows beside settings and facts. */
export interface Known {
  /** Prefix of the names of servers, and so of runners. */
  readonly prefix?: string;
  /** Size of the user_data that hosts would be created with, in bytes: by name of the pool, and of the token service. */
  readonly userDataBytes?: {
    readonly pools: Readonly<Record<string, number>>;
    readonly tokenService: number | undefined;
  };
  /** Git's name of the workflow file that the last run gave a target, by key. */
  readonly recordedBlobs?: Readonly<Record<string, string | undefined>>;
  /** What Hetzner has refused to make although it was said to be available. */
  readonly refusals?: readonly Place[];
}

/**
 * Compares the settings with what the APIs say.
 * @param namespace prefix of the configuration keys: the project's name.
 */
export function checkFleet(
  settings: FleetSettings,
  findings: Findings,
  namespace: string,
  { prefix = "", userDataBytes, recordedBlobs = {}, refusals }: Known = {},
): Verdict {
  const problems: string[] = [];
  const warnings: string[] = [];
  const report: Report = {
    problem: (key, found, expected) =>
      problems.push(`${namespace}:${key}: found ${found}, expected ${expected}.`),
    warning: (key, sentence) => warnings.push(`${namespace}:${key}: ${sentence}.`),
  };

  const hasHosts = Object.keys(settings.pools).length > 0;
  if (hasHosts) {
    checkNetwork(settings, report);
    checkKeyPair(settings, report);
    checkRunnerNames(settings, prefix, report);
    checkRestriction(settings, report);
    warnOfPauses(settings, report);
  }
  checkAccess(settings, report);
  problems.push(...workflowProblems(settings, namespace));
  if (userDataBytes !== undefined) checkUserData(settings, userDataBytes, report);

  if (findings.hetzner === undefined) {
    // Without own hosts nothing is asked of Hetzner.
  } else if ("obstacle" in findings.hetzner) {
    problems.push(hetznerObstacle(findings.hetzner));
  } else {
    checkHetzner(settings, { ...findings.hetzner, refusals }, report);
  }
  if ("obstacle" in findings.github) {
    problems.push(githubObstacle(findings.github, settings.githubUrl, namespace));
  } else {
    problems.push(...checkTokens(settings, findings.github, namespace));
    checkGitHub(settings, findings.github, report, recordedBlobs);
  }
  return { problems, warnings };
}

interface Report {
  readonly problem: (key: string, found: string, expected: string) => void;
  readonly warning: (key: string, sentence: string) => void;
}

function checkUserData(
  { management, tokenService: { placement } }: FleetSettings,
  { pools, tokenService = 0 }: NonNullable<Known["userDataBytes"]>,
  { problem }: Report,
): void {
  const sizes = [
    ...Object.entries(pools).map(([pool, bytes]) => [`pools.${pool}.cloudInit`, bytes] as const),
    ["tokenService", tokenService] as const,
  ];
  for (const [key, bytes] of sizes) {
    if (bytes <= MAX_USER_DATA_BYTES) continue;
    problem(
      key,
      `user_data of ${bytes} bytes`,
      management === "none" && placement === "colocated"
        ? `at most ${MAX_USER_DATA_BYTES}, which is Hetzner's limit: with management none everything is in it, and a token service of its own, with placement dedicated, takes its part to another server`
        : `at most ${MAX_USER_DATA_BYTES}, which is Hetzner's limit`,
    );
  }
}

/** Hetzner's networks are IPv4 and private; Docker gives its containers addresses of 172.16.0.0/12. */
const PRIVATE_RANGES = ["10.0.0.0/8", "192.168.0.0/16"];

function checkNetwork(settings: FleetSettings, { problem }: Report): void {
  const { network } = settings;
  const [whole, subnet] = [parseCidr(network.ipRange), parseCidr(network.subnet)];
  if (whole === undefined || subnet === undefined) return; // The schema has refused it.
  const isPrivate = PRIVATE_RANGES.some((range) => {
    const outer = parseCidr(range);
    return outer !== undefined && containsCidr(outer, whole);
  });
  if (!isPrivate || whole.prefixLength > 24) {
    problem(
      "network.ipRange",
      quote(network.ipRange),
      `a private IPv4 range of at least a /24, inside ${enumerate(PRIVATE_RANGES)}`,
    );
  }
  if (!containsCidr(whole, subnet)) {
    problem(
      "network.subnet",
      quote(network.subnet),
      `a range inside network.ipRange, which is ${network.ipRange}`,
    );
    return;
  }
  const needed = plannedServers(settings).length;
  // The first and the last address stand for the range itself, one more is the gateway's.
  const usable = cidrSize(subnet) - 3n;
  if (BigInt(needed) > usable) {
    problem(
      "network.subnet",
      `${quote(network.subnet)} with room for ${usable < 0n ? 0 : String(usable)} servers`,
      `a range with room for the ${needed} that are configured`,
    );
  }
}

/** A pair that does not match would only be noticed after the first server is paid for. */
function checkKeyPair({ management, ssh }: FleetSettings, { problem }: Report): void {
  const publicKey = utils.parseKey(ssh.publicKey);
  if (publicKey instanceof Error) {
    problem("ssh.publicKey", "a line that holds no key", "an OpenSSH public key line");
  }
  if (management !== "ssh" || ssh.privateKey === undefined) return;
  const privateKey = utils.parseKey(ssh.privateKey);
  if (privateKey instanceof Error) {
    const encrypted = /encrypted|passphrase/i.test(privateKey.message);
    problem(
      "ssh.privateKey",
      encrypted ? "a key with a passphrase" : "a key that cannot be read",
      "a private key without a passphrase in PEM or OpenSSH form",
    );
  }
  if (publicKey instanceof Error || privateKey instanceof Error) return;
  if (!privateKey.getPublicSSH().equals(publicKey.getPublicSSH())) {
    problem("ssh.privateKey", "a key of another pair", "the one that ssh.publicKey belongs to");
  }
}

/** A runner that GitHub refuses for its name would only be noticed on a server that is paid for. */
function checkRunnerNames(settings: FleetSettings, prefix: string, { problem }: Report): void {
  for (const [name, pool] of Object.entries(settings.pools)) {
    const last = nameHosts(prefix, name, pool).at(-1)?.serverName ?? "";
    const longest = `${last}-${pool.runnersPerHost}-xxxxxx`;
    if (longest.length <= MAX_RUNNER_NAME) continue;
    problem(
      `pools.${name}`,
      `a pool whose runners have names of ${longest.length} characters such as ${longest}`,
      `a shorter name of the pool or of the stack, since GitHub takes ${MAX_RUNNER_NAME} characters`,
    );
  }
}

/** Jobs that the runner group does not take wait for a day: no restriction is better than one that cannot hold. */
function checkRestriction(settings: RestrictionSettings, { problem }: Report): void {
  if (!settings.runnerGroup.restrictToWorkflows) return;
  const key = "runnerGroup.restrictToWorkflows";
  const hybrid = Object.entries(settings.targets).filter(
    ([, { strategy }]) => strategy === "hybrid",
  );
  const inline = hybrid.filter(([, { emit }]) => emit === "inline").map(([target]) => target);
  if (inline.length > 0) {
    problem(
      key,
      `true with ${enumerate(inline, "and")} emitted inline`,
      "false, or emit: reusable for all of strategy hybrid, since a restriction names one ref of each file, and in runs for tags and pull requests a repository's own file has another, so that their jobs would wait in vain",
    );
  } else if (hybrid.length === 0) {
    problem(
      key,
      "true without a target whose workflow the runner group would take jobs of",
      "false, or a target of strategy hybrid with emit: reusable",
    );
  }
}

/** Settings that no workflow can be made of; the branch is none of them. */
function workflowProblems(settings: FleetSettings, namespace: string): string[] {
  return Object.entries(settings.targets).flatMap(([target, one]) => {
    try {
      imageWorkflowModel({ project: "", stack: "", target }, one, settings.routing, "");
      return [];
    } catch (problem) {
      return [`${namespace}:${(problem as Error).message}`];
    }
  });
}

function warnOfPauses(settings: FleetSettings, { warning }: Report): void {
  const { name: routed } = routedPool(settings);
  for (const [name, { paused }] of Object.entries(settings.pools)) {
    if (paused === false) continue;
    const consequence =
      name === routed
        ? `jobs run on ${settings.routing.hostedFallback}`
        : `it has ${paused === "keep" ? "its hosts, but" : "no hosts, and"} nothing routes to it`;
    warning(`pools.${name}.paused`, `pool ${name} is paused: ${consequence}`);
  }
}

/** What a target and the canary need of the runner group and of the organization's secrets. */
function checkAccess(settings: FleetSettings, { problem }: Report): void {
  const { runnerGroup, secrets, targets, canary } = settings;
  const ownHosts = !routedPool(settings).external;
  const lacks = (list: readonly string[] | undefined, repository: string) =>
    list !== undefined && !list.some((one) => one.toLowerCase() === repository.toLowerCase());
  const proving = canary.repository;
  if (proving !== undefined && lacks(runnerGroup.repositories, proving)) {
    problem(
      "runnerGroup.repositories",
      `a list without ${quote(proving)}`,
      "one with it, since the hosts take no job of canary otherwise",
    );
  }
  for (const [key, target] of Object.entries(targets)) {
    const repository = target.repository ?? key;
    if (ownHosts && target.strategy === "hybrid" && lacks(runnerGroup.repositories, repository)) {
      problem(
        "runnerGroup.repositories",
        `a list without ${quote(repository)}`,
        `one with it, since the hosts take no job of target ${key} otherwise`,
      );
    }
    const wanted = target.registry?.passwordSecret.toUpperCase();
    const secret = Object.entries(secrets).find(([name]) => name.toUpperCase() === wanted);
    if (secret !== undefined && lacks(secret[1].repositories, repository)) {
      problem(
        `secrets.${secret[0]}.repositories`,
        `a list without ${quote(repository)}`,
        `one with it, since the workflow of target ${key} reads the secret`,
      );
    }
  }
}

function checkHetzner(settings: FleetSettings, facts: Market & HetznerFacts, report: Report): void {
  const zones = [...new Set([...facts.locations.values()].map((one) => one.networkZone))];
  const { zone } = settings.network;
  if (!zones.includes(zone)) report.problem("network.zone", quote(zone), enumerate(zones));

  const placement = placeFleet("", settings, facts);
  const { pools, tokenService } = placement;
  checkRolls(settings, facts, placement, report);
  for (const [name, pool] of Object.entries(settings.pools)) {
    const key = `pools.${name}`;
    checkServers(
      { servers: key, serverTypes: `${key}.serverTypes`, locations: `${key}.locations` },
      pool,
      (pools[name] ?? []).map((host) => [host.key, host] as const),
    );
  }
  const ofService = tokenServicePreferences(settings);
  if (ofService !== undefined && tokenService !== undefined) {
    checkServers(
      {
        servers: "tokenService",
        serverTypes: "tokenService.serverType",
        // Those of the pool have been looked at.
        locations: settings.tokenService.location && "tokenService.location",
      },
      ofService,
      [[TOKEN_SERVICE, tokenService]],
    );
  }
  checkWayIn(settings, facts, placement, report);

  /** Servers by name without the stack's prefix, and the keys that say what they may be. */
  function checkServers(
    keys: {
      readonly servers: string;
      readonly serverTypes: string;
      readonly locations: string | undefined;
    },
    wanted: Preferences,
    placed: readonly (readonly [name: string, Placed])[],
  ): void {
    const locations = wanted.locations.map((one) => checkLocation(keys.locations, one));
    const types = wanted.serverTypes.map((one) =>
      checkServerType(keys.serverTypes, one, wanted, placed),
    );
    for (const [name, { obstacle }] of placed) {
      const server = living(facts.servers.get(name));
      if (server === undefined) continue;
      if (obstacle === "rescale") {
        if (types.includes(false)) continue; // Said already.
        refusedRescale(keys.serverTypes, name, server, wanted.serverTypes);
      } else if (server.off && wanted.serverTypes.includes(server.serverType)) {
        report.warning(
          keys.servers,
          `server ${name} is powered off, so it serves nobody until it is powered on`,
        );
      }
    }
    if ([...locations, ...types].includes(false) || !zones.includes(zone)) return;
    const homeless = placed.filter(([, { obstacle }]) => obstacle === "order");
    if (homeless.length > 0) {
      const now = listPlaces(orderableNow(zone, facts));
      const servers = homeless.map(([name]) => name);
      report.problem(
        keys.servers,
        `nothing that can be ordered for ${enumerate(servers, "and")} of ${listPlaces(choices(wanted))}`,
        now === ""
          ? `stock, since no arm server type can be ordered in ${zone} at the moment`
          : `one of those that can be ordered now: ${now}`,
      );
    } else {
      warnOfStock(keys.serverTypes, wanted, placed);
    }
  }

  /** A server is drained and powered off before its type changes: then it would stay off. */
  function refusedRescale(
    key: string,
    name: string,
    server: LivingServer,
    serverTypes: readonly string[],
  ): void {
    const reasons = serverTypes.map(
      (type) => `${quote(type)}, which ${rescaleObstacle(server, type, facts)}`,
    );
    const possible = [...facts.serverTypes.keys()].filter(
      (type) => type !== server.serverType && rescaleObstacle(server, type, facts) === undefined,
    );
    const others =
      possible.length === 0 ? "" : `, or one that it can be changed to now: ${enumerate(possible)}`;
    report.problem(
      key,
      enumerate(reasons, "and"),
      `${server.serverType}, which server ${name} has${others}`,
    );
  }

  /** Orders that are made otherwise than preferred, and living servers that could not be ordered again. */
  function warnOfStock(
    key: string,
    wanted: Preferences,
    placed: readonly (readonly [name: string, Placed])[],
  ): void {
    const all = choices(wanted);
    const isSame = (one: Place) => (other: Place) =>
      one.serverType === other.serverType && one.location === other.location;
    const ordered = placed
      .filter(([name]) => living(facts.servers.get(name)) === undefined)
      .map(([, place]) => all.findIndex(isSame(place)));
    const places = [
      ...all.slice(0, Math.max(0, ...ordered)),
      ...placed.map(([, { serverType, location }]) => ({ serverType, location })),
    ];
    const distinct = places.filter((place, index) => places.findIndex(isSame(place)) === index);
    for (const { serverType, location } of distinct) {
      const type = facts.serverTypes.get(serverType);
      const offer = type?.locations.get(location);
      if (type === undefined || offer === undefined) continue;
      if (offer.unavailableAfter !== undefined) {
        const since = isOver(offer, facts.readAt) ? "since" : "after";
        report.warning(
          key,
          `${serverType} cannot be ordered in ${location} ${since} ${day(offer.unavailableAfter)}`,
        );
      }
      if (!offer.available && !isOver(offer, facts.readAt)) {
        const others = [...type.locations].filter(([, one]) => one.available).map(([one]) => one);
        const elsewhere =
          others.length === 0 ? "nor anywhere else" : `but it can in ${enumerate(others)}`;
        report.warning(
          key,
          `${serverType} cannot be ordered in ${location} at the moment, ${elsewhere}`,
        );
      }
    }
  }

  /** @param key undefined where another list says what is wrong with it. */
  function checkLocation(key: string | undefined, name: string): boolean {
    const location = facts.locations.get(name);
    const inZone = zones.includes(zone) ? zone : undefined;
    if (location === undefined) {
      if (key !== undefined) {
        report.problem(key, quote(name), enumerate([...facts.locations.keys()]));
      }
      return false;
    }
    if (inZone === undefined || location.networkZone === inZone) return true;
    if (key !== undefined) {
      const same = [...facts.locations].filter(([, one]) => one.networkZone === inZone);
      report.problem(
        key,
        `${quote(name)} in network zone ${location.networkZone}`,
        `a location in ${inZone}, as network.zone says: ${enumerate(same.map(([one]) => one))}`,
      );
    }
    return false;
  }

  function checkServerType(
    key: string,
    name: string,
    { locations }: Preferences,
    placed: readonly (readonly [name: string, Placed])[],
  ): boolean {
    const type = facts.serverTypes.get(name);
    if (type?.architecture !== "arm") {
      const which = type === undefined ? "" : `, which is ${type.architecture}`;
      report.problem(key, `${quote(name)}${which}`, armTypes());
      return false;
    }
    const existing = locations.filter((one) => facts.locations.has(one));
    if (existing.length === 0) return false; // Said already.
    const offers = existing.flatMap((one) => type.locations.get(one) ?? []);
    if (offers.some((offer) => !isOver(offer, facts.readAt))) return true;
    // What is sold no more may live on.
    const isHeld = placed.some(
      ([server]) => living(facts.servers.get(server))?.serverType === name,
    );
    if (isHeld) return true;
    const [last] = offers
      .flatMap(({ unavailableAfter }) => unavailableAfter ?? [])
      .sort((one, other) => other.getTime() - one.getTime());
    report.problem(
      key,
      `${quote(name)}, which Hetzner does not sell in ${enumerate(existing)}${last === undefined ? "" : ` since ${day(last)}`}`,
      armTypes(existing),
    );
    return false;
  }

  /** @param locations in any of which it has to be sold; default: anywhere. */
  function armTypes(locations?: readonly string[]): string {
    const names = [...facts.serverTypes.values()]
      .filter(({ architecture }) => architecture === "arm")
      .filter(
        (type) =>
          locations === undefined ||
          locations.some((location) => {
            const offer = type.locations.get(location);
            return offer !== undefined && !isOver(offer, facts.readAt);
          }),
      )
      .map(({ name }) => name);
    const place = locations === undefined ? "" : ` sold in ${enumerate(locations)}`;
    return names.length === 0
      ? `another location, since no arm server type is${place}`
      : `an arm server type${place}: ${enumerate(names)}`;
  }
}

/** How far rolls get, and whether there is money for the servers that stand beside those that they replace. */
function checkRolls(
  settings: FleetSettings,
  facts: HetznerFacts,
  placement: FleetPlacement,
  { problem, warning }: Report,
): void {
  const lives = (key: string) => living(facts.servers.get(key)) !== undefined;
  const placed = Object.values(placement.pools).flat();
  const going = [...facts.servers].filter(
    ([key]) => key !== TOKEN_SERVICE && lives(key) && !placed.some((host) => host.key === key),
  );
  const surging: string[] = [];
  for (const [pool, wanted] of Object.entries(settings.pools)) {
    const hosts = placement.pools[pool] ?? [];
    const progress = rollProgress(wanted, hosts);
    if (progress !== undefined) {
      warning(`pools.${pool}.generation`, rollSentence(pool, progress));
    }
    const ofPool = new RegExp(`^${pool}-\\d+-\\d+$`);
    const replaces = going.some(([key]) => ofPool.test(key));
    if (replaces && hosts.some(({ key }) => !lives(key))) surging.push(pool);
  }
  const { monthlyEur } = settings.budget;
  if (monthlyEur === undefined || facts.currency !== "EUR" || surging.length === 0) return;
  const meanwhile = [
    ...plannedServers(settings, placement),
    ...going.map(([, { serverType, location }]) => ({ serverType, location })),
  ].filter((server) => hasPrice(server, facts));
  if (!exceeds(meanwhile, monthlyEur, facts)) return;
  const { net } = monthlyCost(meanwhile, facts);
  const isLeast = surging.every((pool) => settings.pools[pool]!.maxSurge === 1);
  problem(
    surging.map((pool) => `pools.${pool}.maxSurge`).join(", "),
    `a roll during which ${meanwhile.length} servers cost ${net} EUR a month`,
    `at most the ${formatBudget(monthlyEur)} EUR of budget.monthlyEur: ${isLeast ? "" : "a lower maxSurge or, "}until the roll is over, a higher budget`,
  );
}

/** What a living server lets in was settled when it was made: nobody should be locked out of it by a change. */
function checkWayIn(
  settings: FleetSettings,
  facts: HetznerFacts,
  placement: FleetPlacement,
  { problem }: Report,
): void {
  const { management, ssh, tokenService } = settings;
  if (management !== "ssh") return;
  const wanted = [
    ...Object.values(placement.pools).flatMap((hosts) => hosts.map(({ key }) => key)),
    ...(tokenService.placement === "dedicated" ? ["token-service"] : []),
  ];
  const living = wanted.filter((name) => facts.servers.get(name)?.attached === true);
  const closed = living.filter((name) => facts.servers.get(name)?.configHash !== undefined);
  const again =
    "until they are made again, by a higher generation of their pool or after pulumi destroy";
  if (closed.length > 0) {
    problem(
      "management",
      `"ssh" with ${servers(closed)}, made with management none and so without a way in`,
      `none ${again}`,
    );
  }
  const open = living.filter((name) => !closed.includes(name));
  if (open.length === 0) return;
  const { sshPublicKey, openPorts, allowedCidrs } = facts.access;
  if (sshPublicKey !== undefined && keyOf(sshPublicKey) !== keyOf(ssh.publicKey)) {
    problem(
      "ssh.publicKey",
      `another key than the one that opens ${servers(open)}`,
      `${keyOf(sshPublicKey)}, or the new one in /root/.ssh/authorized_keys on each of them and the stack's SSH key deleted from the Hetzner project`,
    );
  }
  if (openPorts.length > 0 && !openPorts.includes(String(ssh.port))) {
    problem(
      "ssh.port",
      `${ssh.port}, at which ${servers(open)} cannot be reached`,
      `${enumerate(openPorts)} ${again}`,
    );
  }
  // They have a firewall of their own, which learns of other ranges from one that it lets in.
  const overlaps = (one: string) => allowedCidrs.some((other) => overlap(one, other));
  if (allowedCidrs.length > 0 && !ssh.allowedCidrs.some(overlaps)) {
    problem(
      "ssh.allowedCidrs",
      `no address of those that ${servers(open)} let in`,
      `${enumerate(allowedCidrs)} beside the new ones for one run, made from there`,
    );
  }
}

function servers(names: readonly string[]): string {
  return `the living ${names.length === 1 ? "server" : "servers"} ${enumerate(names, "and")}`;
}

function overlap(one: string, other: string): boolean {
  const [a, b] = [parseCidr(one), parseCidr(other)];
  return a !== undefined && b !== undefined && (containsCidr(a, b) || containsCidr(b, a));
}

/** The key in a line, without its comment. */
function keyOf(line: string): string {
  return line.trim().split(/\s+/, 2).join(" ");
}

function checkGitHub(
  settings: FleetSettings,
  facts: GitHubFacts,
  report: Report,
  recordedBlobs: NonNullable<Known["recordedBlobs"]>,
): void {
  const { organization, repositories, targets } = facts;
  if (organization.kind === "absent") {
    report.problem(
      "organization",
      `${quote(settings.organization)}, which GitHub does not know`,
      "the login of an organization that exists",
    );
    return;
  }
  if (organization.kind === "user") {
    report.problem(
      "organization",
      `${quote(settings.organization)}, which is a user account`,
      "an organization, since only organizations have runner groups",
    );
    return;
  }

  const named = namedRepositories(settings);
  for (const [name, repository] of repositories) {
    const keys = named.filter((one) => one.name.toLowerCase() === name).map(({ key }) => key);
    const key = [...new Set(keys)].join(", ");
    const fullName = `${settings.organization}/${named.find((one) => one.name.toLowerCase() === name)?.name ?? name}`;
    if (repository === "absent") {
      report.problem(
        key,
        `no repository ${fullName} that the token can see`,
        "one that exists, and a token with access to it",
      );
    } else if (repository.fullName.toLowerCase() !== fullName.toLowerCase()) {
      report.problem(
        key,
        `${fullName}, which GitHub now calls ${repository.fullName}`,
        "its present name",
      );
    } else if (repository.archived) {
      report.problem(key, `${fullName}, which is archived`, "a repository that can be changed");
    }
  }

  if (facts.actionsEnabled === false && Object.keys(settings.targets).length > 0) {
    report.problem(
      "organization",
      `${quote(settings.organization)}, which has GitHub Actions disabled for all repositories`,
      "an organization that runs workflows",
    );
  }
  checkRunnerVersions(settings, facts, report);
  checkCentral(settings, facts, report);
  checkCanary(settings, facts, report);
  const routed = routedPool(settings);
  for (const [key, target] of Object.entries(settings.targets)) {
    const name = target.repository ?? key;
    const repository = repositories.get(name.toLowerCase());
    const found = targets.get(key);
    if (repository === undefined || repository === "absent" || found === undefined) continue;
    const fullName = `${settings.organization}/${name}`;
    if (!found.branchExists) {
      missingBranch(target.branch === undefined ? `targets.${key}` : `targets.${key}.branch`, {
        fullName,
        configured: target.branch,
        defaultBranch: repository.defaultBranch,
      });
    }
    foreignFile(`targets.${key}.path`, target.path, fullName, found, "or choose another path");
    if (target.delivery === "commit") {
      refusedCommit(
        `targets.${key}.delivery`,
        `"commit" to ${fullName}`,
        found,
        "pullRequest, which proposes the workflow for people to merge",
      );
      const recorded = recordedBlobs[key];
      if (recorded !== undefined && found.workflowFile === "ours" && found.blob !== recorded) {
        report.warning(
          `targets.${key}.path`,
          `somebody changed ${target.path} in ${fullName} since the last run; \`pulumi up --refresh\` shows the difference and writes the file anew, a run without it leaves the file or, when it has to change, ends with GitHub's answer 409`,
        );
      }
    } else if (target.onDestroy === "remove") {
      report.problem(
        `targets.${key}.onDestroy`,
        '"remove" with delivery pullRequest',
        "keep, since a file that people have merged is theirs to remove",
      );
    }
    if (found.actionsEnabled === false) {
      report.problem(
        `targets.${key}`,
        `${fullName}, which has GitHub Actions disabled`,
        "a repository that runs workflows",
      );
    }
    if (repository.writable === false && !repository.archived) {
      report.problem(
        `targets.${key}`,
        `${fullName}, which the owner of the token may only read`,
        "a repository that it may write to",
      );
    }
    if (target.strategy === "hybrid" && !repository.private) {
      report.warning(
        `targets.${key}`,
        routed.external
          ? `${fullName} is public, so its arm64 jobs stay on hosted runners: the variable ${settings.routing.variable} is not given to repositories where anybody's pull request could bring its own code to a runner of yours`
          : `${fullName} is public, so its arm64 jobs stay on hosted runners: the runner group takes none from repositories where anybody's pull request could bring its own code to a host`,
      );
    }
    if (organization.plan === "free" && repository.private) {
      if (target.strategy === "hybrid" && settings.routing.level === "organization") {
        report.problem(
          "routing.level",
          `"organization", whose variables on GitHub's Free plan do not reach the private repository ${fullName}`,
          '"repository", which makes the variable in each repository',
        );
      }
      if (target.registry !== undefined) {
        report.warning(
          `targets.${key}.registry.passwordSecret`,
          `on GitHub's Free plan secrets of the organization do not reach the private repository ${fullName}; it needs a secret of its own`,
        );
      }
    }
  }

  function checkCanary(settings: FleetSettings, facts: GitHubFacts, report: Report): void {
    const { canary } = facts;
    const name = settings.canary.repository;
    if (canary === undefined || name === undefined) return;
    const key = "canary.repository";
    const fullName = `${settings.organization}/${name}`;
    const { repository } = canary;
    if (!repository.private) {
      report.problem(
        key,
        `${fullName}, which is public`,
        "a private repository, since the runner group takes no job of a public one",
      );
    }
    if (!canary.branchExists) {
      const { defaultBranch } = repository;
      missingBranch(key, { fullName, configured: undefined, defaultBranch });
    }
    foreignFile(key, canary.path, fullName, canary, "or choose another repository");
    refusedCommit(key, fullName, canary, "a repository whose default branch takes commits");
    if (canary.actionsEnabled === false) {
      report.problem(
        key,
        `${fullName}, which has GitHub Actions disabled`,
        "a repository that runs workflows",
      );
    }
    if (repository.writable === false && !repository.archived) {
      report.problem(
        key,
        `${fullName}, which the owner of the token may only read`,
        "a repository that it may write to",
      );
    }
  }

  function checkCentral(settings: FleetSettings, facts: GitHubFacts, report: Report): void {
    const { central } = facts;
    if (central === undefined) return;
    const { name, repository } = central;
    const configured = settings.reusableWorkflows.branch;
    const key = "reusableWorkflows.repository";
    const fullName = `${settings.organization}/${name}`;
    if (!central.branchExists) {
      missingBranch(configured === undefined ? key : "reusableWorkflows.branch", {
        fullName,
        configured,
        defaultBranch: repository.defaultBranch,
      });
    }
    for (const [path, file] of central.files) {
      foreignFile(key, path, fullName, file, "or choose another repository");
    }
    refusedCommit(
      key,
      fullName,
      central,
      "a branch that takes commits, such as one named in reusableWorkflows.branch",
    );
    if (repository.writable === false && !repository.archived) {
      report.problem(
        key,
        `${fullName}, which the owner of the token may only read`,
        "a repository that it may write to",
      );
    }
    for (const [target, { path, repository: own = target }] of Object.entries(settings.targets)) {
      if (own.toLowerCase() !== name.toLowerCase() || !central.files.has(path)) continue;
      report.problem(
        `targets.${target}.path`,
        `${path} in ${fullName}, where a workflow lies that targets with emit: reusable call`,
        "another path",
      );
    }
    if (!repository.private) return;
    for (const [target, { emit, repository: own = target }] of Object.entries(settings.targets)) {
      const caller = repositories.get(own.toLowerCase());
      if (emit !== "reusable" || caller === undefined || caller === "absent" || caller.private) {
        continue;
      }
      report.problem(
        `targets.${target}.emit`,
        `"reusable" for the public repository ${settings.organization}/${own}, which cannot call workflows of the private ${fullName}`,
        "inline, or a public repository in reusableWorkflows.repository",
      );
    }
  }

  function missingBranch(
    key: string,
    at: {
      readonly fullName: string;
      readonly configured: string | undefined;
      readonly defaultBranch: string;
    },
  ): void {
    if (at.configured === undefined) {
      report.problem(
        key,
        `${at.fullName}, which is empty`,
        `a repository with a commit on its default branch ${at.defaultBranch}`,
      );
    } else {
      report.problem(
        key,
        `no branch ${quote(at.configured)} in ${at.fullName}`,
        `one that exists, such as the default branch ${at.defaultBranch}`,
      );
    }
  }

  function foreignFile(
    key: string,
    path: string,
    fullName: string,
    { workflowFile }: FileFacts,
    otherwise: string,
  ): void {
    if (workflowFile !== "foreign") return;
    report.problem(
      key,
      `${path} in ${fullName}, which this program did not write`,
      `a path that is free: delete or rename that file, ${otherwise}`,
    );
  }

  /** Only the API knows in the end; where it does not tell before, a warning has to do. */
  function refusedCommit(
    key: string,
    what: string,
    { branch, protection }: BranchFacts,
    wayOut: string,
  ): void {
    if (protection === undefined) return;
    const { rule, certain } = protection;
    if (certain) {
      report.problem(key, `${what}, whose branch ${branch} ${rule}`, wayOut);
    } else {
      report.warning(
        key,
        `found ${what}, whose branch ${branch} ${rule}; if it takes no commit, use ${wayOut}`,
      );
    }
  }
}

/** GitHub gives jobs to recent releases of its runner program only. */
function checkRunnerVersions(
  settings: FleetSettings,
  facts: GitHubFacts,
  { problem, warning }: Report,
): void {
  for (const [name, { runner }] of Object.entries(settings.pools)) {
    if (runner.reference !== undefined) continue;
    const found = facts.runnerVersions.get(runner.version);
    const life = runnerLife(runner.version, found, facts.readAt, settings.runnerLife.warnDays);
    const key = `pools.${name}.runner.version`;
    if (life.state === "ended" && life.endsAt !== undefined) {
      problem(
        key,
        `${quote(runner.version)}, which GitHub does not serve since ${day(life.endsAt)}`,
        "a newer release of GitHub's runner program",
      );
    } else if (life.state === "ending") {
      warning(key, lifeSentence(life));
    }
  }
}

/** Scopes of a classic token and what each is for. */
function checkTokens(settings: FleetSettings, facts: GitHubFacts, namespace: string): string[] {
  const hasFiles =
    Object.keys(settings.targets).length > 0 || settings.canary.repository !== undefined;
  const hasHosts = Object.keys(settings.pools).length > 0;
  const ofOrganization =
    hasHosts ||
    Object.keys(settings.secrets).length > 0 ||
    settings.routing.level === "organization";
  const needs: Record<string, string> = {
    ...(ofOrganization && {
      "admin:org": "the runner group, organization secrets and variables",
    }),
    ...(hasFiles && {
      repo: "the files of target repositories",
      workflow: "workflow files in target repositories",
    }),
  };
  const problems = tokenProblems(PROVIDER_TOKEN, facts.token, needs);
  // Without own hosts there is no token service to use the other one.
  if (!hasHosts || facts.serviceToken === facts.token) return problems;
  if (facts.app !== undefined) {
    return [...problems, ...appProblems(settings, facts.app, namespace)];
  }
  if (facts.serviceToken === undefined) return problems;
  const key = `${namespace}:githubAuth.token`;
  if ("obstacle" in facts.serviceToken)
    return [...problems, tokenObstacle(key, facts.serviceToken)];
  return [
    ...problems,
    ...tokenProblems(key, facts.serviceToken, { "admin:org": "registering runners" }),
  ];

  function tokenProblems(
    where: string,
    token: TokenFacts,
    needed: Readonly<Record<string, string>>,
  ): string[] {
    const { scopes } = token;
    const missing = Object.entries(needed).filter(
      ([scope]) => scopes !== undefined && !scopes.includes(scope),
    );
    if (missing.length > 0) {
      const found = scopes?.length ? `the scopes ${scopes.join(", ")}` : "no scope";
      const wanted = enumerate(
        missing.map(([scope, use]) => `${scope} (for ${use})`),
        "and",
      );
      return [`${where}: found a token with ${found}, expected ${wanted} as well.`];
    }
    if (!hasHosts || token.managesRunners || facts.organization.kind !== "organization") return [];
    return [
      `${where}: found a token that may not manage the runners of ${settings.organization}, expected one of an owner ` +
        `of the organization, or one with its permission "Self-hosted runners: write".`,
    ];
  }
}

/** What is wrong with the App that the token service signs in as. */
function appProblems(
  { organization, githubAuth }: FleetSettings,
  app: AppFacts,
  namespace: string,
): string[] {
  if (githubAuth.kind !== "app") return [];
  const { appId, installationId } = githubAuth;
  const sentence = (key: string, found: string, expected: string) => [
    `${namespace}:githubAuth.${key}: found ${found}, expected ${expected}.`,
  ];
  switch (app.state) {
    case "failed":
      return [app.sentence];
    case "keyUnreadable":
      return sentence(
        "privateKey",
        "a key that cannot be read as an RSA key without a passphrase",
        "the PEM file that GitHub generates for the App",
      );
    case "refused":
      return sentence(
        "appId",
        `App ${appId}, which GitHub does not know with this private key`,
        "the id of the App that githubAuth.privateKey was generated for, and a clock that is right",
      );
    case "notInstalled":
      return sentence(
        "installationId",
        `${installationId}, which App ${appId} does not have`,
        `the id of its installation in ${organization}`,
      );
    case "installed":
      if (app.account.toLowerCase() !== organization.toLowerCase()) {
        return sentence(
          "installationId",
          `${installationId}, which is in ${app.account}`,
          `the id of the App's installation in ${organization}`,
        );
      }
      if (app.suspended) {
        return sentence(
          "installationId",
          `${installationId}, which is suspended`,
          "an installation that is not",
        );
      }
      return app.runners === "write"
        ? []
        : sentence(
            "installationId",
            app.runners === undefined
              ? `${installationId}, without the organization permission "Self-hosted runners"`
              : `${installationId}, with the organization permission "Self-hosted runners: ${app.runners}"`,
            'one with "Self-hosted runners: write", which the App has to ask for and an owner of the organization to accept',
          );
  }
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
