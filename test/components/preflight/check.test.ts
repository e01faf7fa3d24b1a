import assert from "node:assert/strict";
import { utils } from "ssh2";
import { RUNNER_VERSION } from "../../../components/pins/pins";
import type { AppFacts } from "../../../components/preflight/app";
import { checkFleet, type Known } from "../../../components/preflight/check";
import type {
  CentralFacts,
  Findings,
  GitHubFacts,
  HetznerFacts,
  LivingServer,
  Obstacle,
  Repository,
  RunnerVersion,
  TargetFacts,
} from "../../../components/preflight/facts";
import { keyPair, type rawSettings, settingsWith } from "../config/settings";
import { facts, githubFacts, hetznerFacts, READ_AT, repository, serverType, target } from "./facts";

type Raw = ReturnType<typeof rawSettings> & Record<string, unknown>;

interface Case {
  readonly settings?: (raw: Raw) => void;
  /** null: nothing was asked. */
  readonly hetzner?: HetznerFacts | Obstacle | null;
  readonly github?: Findings["github"];
  readonly known?: Known;
  readonly problems?: readonly string[];
  readonly warnings?: readonly string[];
}

/** The one server of the pool, as it was found. */
function living(type: string, change: Partial<LivingServer> = {}) {
  return new Map([["arm64-1-1", server(type, change)]]);
}

function server(type: string, change: Partial<LivingServer> = {}): LivingServer {
  return {
    serverType: type,
    location: "fsn1",
    off: false,
    attached: true,
    primaryDiskGb: 40,
    configHash: undefined,
    ...change,
  };
}

/** Two hosts and the token service, and what they let in. */
function letIn(
  access: Partial<HetznerFacts["access"]>,
  change: Partial<LivingServer> = {},
): HetznerFacts {
  return hetznerFacts({
    servers: new Map([
      ["arm64-1-1", server("cax21", change)],
      ["arm64-1-2", server("cax21")],
      ["token-service", server("cax11")],
    ]),
    access: {
      sshPublicKey: settingsWith().ssh.publicKey,
      openPorts: ["22"],
      allowedCidrs: ["203.0.113.0/24"],
      ...access,
    },
  });
}

const inStock = { available: true, unavailableAfter: undefined };

function outOfStock(type: string) {
  const offer = { available: false, unavailableAfter: undefined };
  return serverType(type, { locations: new Map([["fsn1", offer]]) });
}

function set(path: string, value: unknown): (raw: Raw) => void {
  return (raw) => {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    let block: Record<string, unknown> = raw;
    for (const key of keys) block = (block[key] ??= {}) as Record<string, unknown>;
    block[last] = value;
  };
}

const encrypted = utils.generateKeyPairSync("ed25519", {
  passphrase: "hush",
  cipher: "aes256-ctr",
  rounds: 16,
}).private;
const pool = "fleet:pools.arm64";
const ARM = "expected an arm server type: cax11 or cax21.";
const before = new Date(READ_AT.getTime() - 1000);
const later = new Date("2026-12-31T00:00:00Z");
const PROVIDER = "github:token (or GITHUB_TOKEN)";
const NO_ADMIN =
  'expected one of an owner of the organization, or one with its permission "Self-hosted runners: write".';

function withoutSsh(raw: Raw): void {
  raw.management = "none";
  raw.ssh = { publicKey: raw.ssh.publicKey };
}

function onePool(name: string, change: Record<string, unknown>): (raw: Raw) => void {
  return (raw) => (raw.pools = { [name]: { ...raw.pools.arm64, ...change } });
}

const APP_KEY = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
function withApp(raw: Raw): void {
  raw.githubAuth = { kind: "app", appId: 5, installationId: 20, privateKey: APP_KEY };
}

/** An App of which GitHub says this. */
function app(facts: AppFacts): GitHubFacts {
  return githubFacts({ serviceToken: undefined, app: facts });
}

function installed(change: Partial<Extract<AppFacts, { state: "installed" }>> = {}): GitHubFacts {
  const facts = { account: "acme", suspended: false, runners: "write" };
  return app({ state: "installed", ...facts, ...change });
}

function runnerVersion(ends: RunnerVersion): GitHubFacts {
  return githubFacts({ runnerVersions: new Map([[RUNNER_VERSION, ends]]) });
}

function externalOnly(raw: Raw): void {
  raw.pools = {};
  raw.externalPools = { kubernetes: { scaleSet: "arc" } };
}

function reusable(raw: Raw): void {
  set("targets.webppt.emit", "reusable")(raw);
  set("reusableWorkflows.repository", "central")(raw);
}

function withTarget(change: Partial<TargetFacts>): GitHubFacts {
  return githubFacts({ targets: new Map([["webppt", target(change)]]) });
}

function withCentral(
  change: Partial<CentralFacts> = {},
  ofRepository: Partial<Repository> = {},
  ofCaller: Partial<Repository> = {},
): GitHubFacts {
  const central = repository("central", ofRepository);
  return githubFacts({
    repositories: new Map([
      ["webppt", repository("webppt", ofCaller)],
      ["central", central],
    ]),
    central: {
      name: "central",
      repository: central,
      branch: "master",
      branchExists: true,
      protection: undefined,
      files: new Map(),
      ...change,
    },
  });
}

const cases: Record<string, Case> = {
  "a fleet without problems": {},
  "a workflow file of its own": {
    github: githubFacts({ targets: new Map([["webppt", target({ workflowFile: "ours" })]]) }),
  },

  // Server types and locations
  "an unknown server type": {
    settings: set("pools.arm64.serverTypes", ["cax99"]),
    problems: [`${pool}.serverTypes: found "cax99", ${ARM}`],
  },
  "a server type named like a property of every object": {
    settings: set("pools.arm64.serverTypes", ["constructor"]),
    problems: [`${pool}.serverTypes: found "constructor", ${ARM}`],
  },
  "a server type that is not arm": {
    settings: set("pools.arm64.serverTypes", ["cpx22"]),
    problems: [`${pool}.serverTypes: found "cpx22", which is x86, ${ARM}`],
  },
  "a dedicated token service that is not arm": {
    settings: set("tokenService.serverType", "cpx22"),
    problems: [`fleet:tokenService.serverType: found "cpx22", which is x86, ${ARM}`],
  },
  "a colocated token service has no server": {
    settings: set("tokenService", { placement: "colocated", serverType: "cpx22" }),
  },
  "a server type that is not sold in the location": {
    hetzner: hetznerFacts({}, serverType("cax21", { locations: new Map() })),
    problems: [
      `${pool}.serverTypes: found "cax21", which Hetzner does not sell in fsn1, expected an arm server type sold in fsn1: cax11.`,
    ],
  },
  "a location without any arm server type": {
    settings: set("pools.arm64.locations", ["ash"]),
    hetzner: hetznerFacts({
      locations: new Map([
        ["fsn1", { networkZone: "eu-central" }],
        ["ash", { networkZone: "eu-central" }],
      ]),
    }),
    problems: [
      `${pool}.serverTypes: found "cax21", which Hetzner does not sell in ash, expected another location, since no arm server type is sold in ash.`,
      `fleet:tokenService.serverType: found "cax11", which Hetzner does not sell in ash, expected another location, since no arm server type is sold in ash.`,
    ],
  },
  "a server type that is no longer sold": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([["fsn1", { available: true, unavailableAfter: before }]]),
      }),
    ),
    problems: [
      `${pool}.serverTypes: found "cax21", which Hetzner does not sell in fsn1 since 2026-10-01, expected an arm server type sold in fsn1: cax11.`,
    ],
  },
  "a server type whose end is announced": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([["fsn1", { available: true, unavailableAfter: later }]]),
      }),
    ),
    warnings: [`${pool}.serverTypes: cax21 cannot be ordered in fsn1 after 2026-12-31.`],
  },
  "a rescale to a type that is out of stock where the server stands": {
    settings: set("pools.arm64.count", 1),
    hetzner: hetznerFacts({ servers: living("cax11") }, outOfStock("cax21")),
    problems: [
      `${pool}.serverTypes: found "cax21", which is out of stock in fsn1, expected cax11, which server arm64-1-1 has.`,
    ],
    warnings: [
      `${pool}.serverTypes: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
  },
  "a rescale to one of several types, of which none can be had": {
    settings: (raw) => {
      set("pools.arm64.count", 1)(raw);
      set("pools.arm64.serverTypes", ["cax21", "cax31", "cax41"])(raw);
      set("pools.arm64.locations", ["fsn1", "nbg1"])(raw);
    },
    hetzner: hetznerFacts(
      { servers: living("cax11", { primaryDiskGb: 80 }) },
      outOfStock("cax21"),
      serverType("cax31", { locations: new Map([["nbg1", inStock]]) }),
      serverType("cax41", { diskGb: 40 }),
      serverType("cax51", { diskGb: 320 }),
    ),
    problems: [
      `${pool}.serverTypes: found "cax21", which is out of stock in fsn1, "cax31", which is not sold in fsn1 and "cax41", which has a disk of 40 GB, less than the server's 80 GB, expected cax11, which server arm64-1-1 has, or one that it can be changed to now: cax51.`,
    ],
    warnings: [
      `${pool}.serverTypes: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
  },
  "a rescale of the token service to a smaller disk": {
    hetzner: hetznerFacts(
      { servers: new Map([["token-service", server("cax21", { primaryDiskGb: 80 })]]) },
      serverType("cax11", { diskGb: 40 }),
    ),
    problems: [
      'fleet:tokenService.serverType: found "cax11", which has a disk of 40 GB, less than the server\'s 80 GB, expected cax21, which server token-service has.',
    ],
  },
  "a rescale to the second type, since the first cannot be had": {
    settings: (raw) => {
      set("pools.arm64.count", 1)(raw);
      set("pools.arm64.serverTypes", ["cax21", "cax31"])(raw);
    },
    hetzner: hetznerFacts(
      { servers: living("cax11") },
      outOfStock("cax21"),
      serverType("cax31", { diskGb: 160 }),
    ),
  },
  "a living server of a type that is out of stock": {
    settings: set("pools.arm64.count", 1),
    hetzner: hetznerFacts({ servers: living("cax21") }, outOfStock("cax21")),
    warnings: [
      `${pool}.serverTypes: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
  },
  "a living server of a type that is sold no more": {
    settings: set("pools.arm64.count", 1),
    hetzner: hetznerFacts(
      { servers: living("cax21") },
      serverType("cax21", {
        locations: new Map([["fsn1", { available: false, unavailableAfter: before }]]),
      }),
    ),
    warnings: [`${pool}.serverTypes: cax21 cannot be ordered in fsn1 since 2026-10-01.`],
  },
  "a server that is powered off": {
    hetzner: hetznerFacts({ servers: living("cax21", { off: true }) }),
    warnings: [
      "fleet:pools.arm64: server arm64-1-1 is powered off, so it serves nobody until it is powered on.",
    ],
  },
  "a server that is off because its rescale failed": {
    hetzner: hetznerFacts({ servers: living("cax11", { off: true }) }),
  },
  "a server that was never made, which this run makes again": {
    hetzner: hetznerFacts({ servers: living("cax21", { off: true, attached: false }) }),
  },
  "a server type out of stock in the first location": {
    settings: set("pools.arm64.locations", ["fsn1", "nbg1"]),
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([
          ["fsn1", { available: false, unavailableAfter: undefined }],
          ["nbg1", inStock],
          ["hel1", inStock],
        ]),
      }),
    ),
    warnings: [
      `${pool}.serverTypes: cax21 cannot be ordered in fsn1 at the moment, but it can in nbg1 or hel1.`,
    ],
  },
  "a second choice out of stock that nobody needs": {
    settings: set("pools.arm64.serverTypes", ["cax21", "cax31"]),
    hetzner: hetznerFacts({}, outOfStock("cax31")),
  },
  "nothing that can be ordered where the settings say": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([
          ["fsn1", { available: false, unavailableAfter: undefined }],
          ["nbg1", inStock],
          ["ash", inStock],
        ]),
      }),
    ),
    problems: [
      `${pool}: found nothing that can be ordered for arm64-1-1 and arm64-1-2 of cax21 (fsn1), expected one of those that can be ordered now: cax11 (fsn1, nbg1), cax21 (nbg1).`,
    ],
  },
  "nothing that can be ordered for one more host": {
    settings: (raw) => {
      set("pools.arm64.serverTypes", ["cax21", "cax31"])(raw);
      set("pools.arm64.locations", ["fsn1", "nbg1"])(raw);
    },
    hetzner: hetznerFacts(
      { servers: new Map([...living("cax21"), ["token-service", server("cax11")]]) },
      ...["cax11", "cax21", "cax31"].map(outOfStock),
    ),
    problems: [
      `${pool}: found nothing that can be ordered for arm64-1-2 of cax21 (fsn1, nbg1), cax31 (fsn1, nbg1), expected stock, since no arm server type can be ordered in eu-central at the moment.`,
    ],
    warnings: [
      "fleet:tokenService.serverType: cax11 cannot be ordered in fsn1 at the moment, nor anywhere else.",
    ],
  },
  "what was refused before": {
    known: { refusals: [{ serverType: "cax21", location: "fsn1" }] },
    problems: [
      `${pool}: found nothing that can be ordered for arm64-1-1 and arm64-1-2 of cax21 (fsn1), expected one of those that can be ordered now: cax11 (fsn1, nbg1), cax21 (nbg1).`,
    ],
  },
  "no stock for the token service": {
    hetzner: hetznerFacts({}, outOfStock("cax11")),
    problems: [
      "fleet:tokenService: found nothing that can be ordered for token-service of cax11 (fsn1), expected one of those that can be ordered now: cax21 (fsn1, nbg1).",
    ],
  },
  "two locations without the type": {
    settings: set("pools.arm64.locations", ["fsn1", "nbg1"]),
    hetzner: hetznerFacts({}, serverType("cax21", { locations: new Map() })),
    problems: [
      `${pool}.serverTypes: found "cax21", which Hetzner does not sell in fsn1 or nbg1, expected an arm server type sold in fsn1 or nbg1: cax11.`,
    ],
  },
  "an unknown location": {
    settings: set("pools.arm64.locations", ["muc1"]),
    problems: [`${pool}.locations: found "muc1", expected fsn1, nbg1 or ash.`],
  },
  "a location outside the network zone": {
    settings: (raw) => {
      set("pools.arm64.locations", ["ash"])(raw);
      set("tokenService.location", "ash")(raw);
    },
    hetzner: hetznerFacts(
      {},
      ...["cax11", "cax21"].map((name) =>
        serverType(name, {
          locations: new Map([["ash", { available: true, unavailableAfter: undefined }]]),
        }),
      ),
    ),
    problems: [
      `${pool}.locations: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1 or nbg1.`,
      `fleet:tokenService.location: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1 or nbg1.`,
    ],
  },
  "an unknown network zone": {
    settings: set("network.zone", "eu-west"),
    problems: [`fleet:network.zone: found "eu-west", expected eu-central or us-east.`],
  },
  "problems in every pool": {
    settings: (raw) => {
      raw.pools.large = { ...raw.pools.arm64, serverTypes: ["cpx22"] };
      raw.pools.far = { ...raw.pools.arm64, locations: ["muc1"] };
      raw.routing = { pool: "arm64" };
    },
    problems: [
      `fleet:pools.large.serverTypes: found "cpx22", which is x86, ${ARM}`,
      `fleet:pools.far.locations: found "muc1", expected fsn1, nbg1 or ash.`,
    ],
  },

  // Network, keys, user_data
  "a subnet outside the network": {
    settings: set("network.subnet", "10.1.0.0/24"),
    problems: [
      `fleet:network.subnet: found "10.1.0.0/24", expected a range inside network.ipRange, which is 10.0.0.0/16.`,
    ],
  },
  "a subnet larger than the network": {
    settings: set("network.subnet", "10.0.0.0/8"),
    problems: [
      `fleet:network.subnet: found "10.0.0.0/8", expected a range inside network.ipRange, which is 10.0.0.0/16.`,
    ],
  },
  "a subnet as large as the network": { settings: set("network.subnet", "10.0.0.0/16") },
  "a public network": {
    settings: set("network", { ipRange: "203.0.0.0/16", subnet: "203.0.1.0/24" }),
    problems: [
      `fleet:network.ipRange: found "203.0.0.0/16", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8 or 192.168.0.0/16.`,
    ],
  },
  "a network among the addresses of Docker's containers": {
    settings: set("network", { ipRange: "172.16.0.0/16", subnet: "172.16.1.0/24" }),
    problems: [
      `fleet:network.ipRange: found "172.16.0.0/16", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8 or 192.168.0.0/16.`,
    ],
  },
  "an IPv6 network": {
    settings: set("network", { ipRange: "fd00::/16", subnet: "fd00::/24" }),
    problems: [
      `fleet:network.ipRange: found "fd00::/16", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8 or 192.168.0.0/16.`,
    ],
  },
  "a network of a /25": {
    settings: set("network", { ipRange: "192.168.0.0/25", subnet: "192.168.0.0/25" }),
    problems: [
      `fleet:network.ipRange: found "192.168.0.0/25", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8 or 192.168.0.0/16.`,
    ],
  },
  "a subnet with one address too few": {
    settings: (raw) => {
      set("network.subnet", "10.0.1.0/29")(raw);
      set("pools.arm64.count", 5)(raw);
    },
    problems: [
      `fleet:network.subnet: found "10.0.1.0/29" with room for 5 servers, expected a range with room for the 6 that are configured.`,
    ],
  },
  "a subnet that is just large enough": {
    settings: (raw) => {
      set("network.subnet", "10.0.1.0/29")(raw);
      set("pools.arm64.count", 5)(raw);
      set("tokenService.placement", "colocated")(raw);
    },
  },
  "a key of another pair": {
    settings: set("ssh.privateKey", keyPair().privateKey),
    problems: [
      "fleet:ssh.privateKey: found a key of another pair, expected the one that ssh.publicKey belongs to.",
    ],
  },
  "a key with a passphrase": {
    settings: set("ssh.privateKey", encrypted),
    problems: [
      "fleet:ssh.privateKey: found a key with a passphrase, expected a private key without a passphrase in PEM or OpenSSH form.",
    ],
  },
  "keys that only look like keys": {
    settings: (raw) => {
      set(
        "ssh.privateKey",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
      )(raw);
      set("ssh.publicKey", "ssh-ed25519 AAAA")(raw);
    },
    problems: [
      "fleet:ssh.publicKey: found a line that holds no key, expected an OpenSSH public key line.",
      "fleet:ssh.privateKey: found a key that cannot be read, expected a private key without a passphrase in PEM or OpenSSH form.",
    ],
  },
  "a key pair that nobody needs": {
    settings: (raw) => {
      withoutSsh(raw);
      raw.ssh.privateKey = keyPair().privateKey;
    },
  },
  "no private key where nobody needs one": { settings: withoutSsh },
  "a public key that is none, which Hetzner would refuse": {
    settings: (raw) => {
      withoutSsh(raw);
      raw.ssh.publicKey = "ssh-ed25519 AAAA";
    },
    problems: [
      "fleet:ssh.publicKey: found a line that holds no key, expected an OpenSSH public key line.",
    ],
  },
  "servers that the key opens, whatever its comment": {
    hetzner: letIn({ sshPublicKey: `${settingsWith().ssh.publicKey.split(" ", 2).join(" ")} old` }),
  },
  "another key than that of living servers": {
    hetzner: letIn({ sshPublicKey: "ssh-ed25519 AAAAold somebody" }),
    problems: [
      "fleet:ssh.publicKey: found another key than the one that opens the living servers arm64-1-1, arm64-1-2 and token-service, expected ssh-ed25519 AAAAold, or the new one in /root/.ssh/authorized_keys on each of them and the stack's SSH key deleted from the Hetzner project.",
    ],
  },
  "another key after the stack's SSH key was deleted": {
    hetzner: letIn({ sshPublicKey: undefined }),
  },
  "another port than that of living servers": {
    settings: set("ssh.port", 2222),
    hetzner: letIn({}),
    problems: [
      "fleet:ssh.port: found 2222, at which the living servers arm64-1-1, arm64-1-2 and token-service cannot be reached, expected 22 until they are made again, by a higher generation of their pool or after pulumi destroy.",
    ],
  },
  "other ranges than those that living servers let in": {
    settings: set("ssh.allowedCidrs", ["198.51.100.0/24", "2001:db8::/32"]),
    hetzner: letIn({ allowedCidrs: ["203.0.113.0/24", "2001:db9::/32"] }),
    problems: [
      "fleet:ssh.allowedCidrs: found no address of those that the living servers arm64-1-1, arm64-1-2 and token-service let in, expected 203.0.113.0/24 or 2001:db9::/32 beside the new ones for one run, made from there.",
    ],
  },
  "more ranges than those that living servers let in": {
    settings: set("ssh.allowedCidrs", ["198.51.100.0/24", "203.0.0.0/16"]),
    hetzner: letIn({}),
  },
  "another key and port with a higher generation of every server there is": {
    settings: (raw) => {
      Object.assign(raw.pools.arm64 ?? {}, { generation: 2 });
      raw.tokenService = { placement: "colocated" };
      set("ssh.port", 2222)(raw);
    },
    hetzner: letIn({ sshPublicKey: "ssh-ed25519 AAAAold" }),
  },
  "another key while a server was never made": {
    hetzner: hetznerFacts({
      servers: living("cax21", { off: true, attached: false }),
      access: { sshPublicKey: "ssh-ed25519 AAAAold", openPorts: ["2222"], allowedCidrs: [] },
    }),
  },
  "another key where nobody uses it": {
    settings: withoutSsh,
    hetzner: letIn({ sshPublicKey: "ssh-ed25519 AAAAold", openPorts: [], allowedCidrs: [] }),
  },
  "SSH to a server that was made without": {
    hetzner: letIn({}, { configHash: "1f2e3d4c" }),
    problems: [
      'fleet:management: found "ssh" with the living server arm64-1-1, made with management none and so without a way in, expected none until they are made again, by a higher generation of their pool or after pulumi destroy.',
    ],
  },

  // Names of runners, and what their group takes
  "names of runners that GitHub just takes": {
    // 19 + 1 + 31 + 1 + 1 + 1 + 1 characters of the server, 9 of slot and draw.
    settings: onePool("p".repeat(31), { count: 9, runnersPerHost: 9 }),
    known: { prefix: "s".repeat(19) },
    hetzner: hetznerFacts(),
  },
  "names of runners that are one character too long": {
    settings: onePool("p".repeat(31), { count: 9, runnersPerHost: 10 }),
    known: { prefix: "s".repeat(19) },
    problems: [
      `fleet:pools.${"p".repeat(31)}: found a pool whose runners have names of 65 characters such as ${"s".repeat(19)}-${"p".repeat(31)}-1-9-10-xxxxxx, expected a shorter name of the pool or of the stack, since GitHub takes 64 characters.`,
    ],
  },
  "names of runners that a generation makes too long": {
    settings: onePool("p".repeat(31), { count: 9, runnersPerHost: 9, generation: 10 }),
    known: { prefix: "s".repeat(19) },
    problems: [
      `fleet:pools.${"p".repeat(31)}: found a pool whose runners have names of 65 characters such as ${"s".repeat(19)}-${"p".repeat(31)}-10-9-9-xxxxxx, expected a shorter name of the pool or of the stack, since GitHub takes 64 characters.`,
    ],
  },

  "user_data over the limit": {
    known: { userDataBytes: { pools: { arm64: 32_769 }, tokenService: 40_000 } },
    problems: [
      `${pool}.cloudInit: found user_data of 32769 bytes, expected at most 32768, which is Hetzner's limit.`,
      "fleet:tokenService: found user_data of 40000 bytes, expected at most 32768, which is Hetzner's limit.",
    ],
  },
  "user_data over the limit with a token service in it": {
    settings: (raw) => {
      withoutSsh(raw);
      set("tokenService.placement", "colocated")(raw);
    },
    known: { userDataBytes: { pools: { arm64: 32_769 }, tokenService: undefined } },
    problems: [
      `${pool}.cloudInit: found user_data of 32769 bytes, expected at most 32768, which is Hetzner's limit: with management none everything is in it, and a token service of its own, with placement dedicated, takes its part to another server.`,
    ],
  },
  "user_data at the limit": {
    known: { userDataBytes: { pools: { arm64: 32_768 }, tokenService: undefined } },
  },

  // Access to Hetzner
  "no Hetzner token": {
    hetzner: { obstacle: "tokenMissing" },
    problems: [
      "hcloud:token (or HCLOUD_TOKEN): found nothing, expected the API token of a Hetzner Cloud project.",
    ],
  },
  "a Hetzner token of another length": {
    hetzner: { obstacle: "tokenMalformed", length: 63 },
    problems: [
      "hcloud:token (or HCLOUD_TOKEN): found a token of 63 characters, expected 64 letters and digits.",
    ],
  },
  "a refused Hetzner token": {
    hetzner: { obstacle: "tokenRefused" },
    problems: [
      "hcloud:token (or HCLOUD_TOKEN): found a token that Hetzner refuses (401), expected a valid one with read and write access.",
    ],
  },
  "a Hetzner endpoint that is no URL": {
    hetzner: { obstacle: "endpointInvalid", found: "no URL", expected: "an absolute URL" },
    problems: ["hcloud:endpoint (or HCLOUD_ENDPOINT): found no URL, expected an absolute URL."],
  },
  "problems on both sides": {
    hetzner: { obstacle: "failed", sentence: "Hetzner is away." },
    github: { obstacle: "failed", sentence: "GitHub is away." },
    problems: ["Hetzner is away.", "GitHub is away."],
  },

  // Access to GitHub
  "no GitHub token": {
    github: { obstacle: "tokenMissing" },
    problems: [`${PROVIDER}: found nothing, expected an access token of GitHub.`],
  },
  "a GitHub token with a line break": {
    github: { obstacle: "tokenMalformed", length: 41 },
    problems: [
      `${PROVIDER}: found a text with spaces or other characters that no token has, expected an access token of GitHub.`,
    ],
  },
  "a refused GitHub token": {
    github: { obstacle: "tokenRefused" },
    problems: [
      `${PROVIDER}: found a token that GitHub refuses (401), expected one that is valid and not expired.`,
    ],
  },
  "a GitHub address with a path": {
    github: { obstacle: "endpointInvalid", found: '"https://github.com/api"', expected: "no path" },
    problems: [
      'github:baseUrl (or GITHUB_BASE_URL): found "https://github.com/api", expected no path.',
    ],
  },
  "a token without any scope": {
    github: githubFacts({ token: { scopes: [], managesRunners: false } }),
    problems: [
      `${PROVIDER}: found a token with no scope, expected admin:org (for the runner group, organization secrets and variables), repo (for the files of target repositories) and workflow (for workflow files in target repositories) as well.`,
    ],
  },
  "a token without workflow": {
    github: githubFacts({ token: { scopes: ["admin:org", "repo"], managesRunners: true } }),
    problems: [
      `${PROVIDER}: found a token with the scopes admin:org, repo, expected workflow (for workflow files in target repositories) as well.`,
    ],
  },
  "without targets admin:org is enough": {
    settings: set("targets", {}),
    github: githubFacts({
      token: { scopes: ["admin:org"], managesRunners: true },
      repositories: new Map(),
      targets: new Map(),
    }),
  },
  "a token of a finer grain": {
    github: githubFacts({ token: { scopes: undefined, managesRunners: true } }),
  },
  "a token that may not manage runners": {
    github: githubFacts({
      token: { scopes: ["admin:org", "repo", "workflow"], managesRunners: false },
    }),
    problems: [`${PROVIDER}: found a token that may not manage the runners of acme, ${NO_ADMIN}`],
  },
  "a token service without the scope": {
    github: githubFacts({ serviceToken: { scopes: ["repo"], managesRunners: false } }),
    problems: [
      "fleet:githubAuth.token: found a token with the scopes repo, expected admin:org (for registering runners) as well.",
    ],
  },
  "a token service whose token is refused": {
    github: githubFacts({ serviceToken: { obstacle: "tokenRefused" } }),
    problems: [
      "fleet:githubAuth.token: found a token that GitHub refuses (401), expected one that is valid and not expired.",
    ],
  },
  "a token service of a member": {
    github: githubFacts({ serviceToken: { scopes: undefined, managesRunners: false } }),
    problems: [
      `fleet:githubAuth.token: found a token that may not manage the runners of acme, ${NO_ADMIN}`,
    ],
  },

  "an App that may do what the token service does": {
    settings: withApp,
    github: installed({ account: "Acme" }),
  },
  "an App whose key cannot be read": {
    settings: withApp,
    github: app({ state: "keyUnreadable" }),
    problems: [
      "fleet:githubAuth.privateKey: found a key that cannot be read as an RSA key without a passphrase, expected the PEM file that GitHub generates for the App.",
    ],
  },
  "an App that GitHub refuses": {
    settings: withApp,
    github: app({ state: "refused" }),
    problems: [
      "fleet:githubAuth.appId: found App 5, which GitHub does not know with this private key, expected the id of the App that githubAuth.privateKey was generated for, and a clock that is right.",
    ],
  },
  "an App that is not installed": {
    settings: withApp,
    github: app({ state: "notInstalled" }),
    problems: [
      "fleet:githubAuth.installationId: found 20, which App 5 does not have, expected the id of its installation in acme.",
    ],
  },
  "an App that is installed elsewhere": {
    settings: withApp,
    github: installed({ account: "other", suspended: true }),
    problems: [
      "fleet:githubAuth.installationId: found 20, which is in other, expected the id of the App's installation in acme.",
    ],
  },
  "an App that is suspended": {
    settings: withApp,
    github: installed({ suspended: true }),
    problems: [
      "fleet:githubAuth.installationId: found 20, which is suspended, expected an installation that is not.",
    ],
  },
  "an App that has nothing to do with runners": {
    settings: withApp,
    github: installed({ runners: undefined }),
    problems: [
      'fleet:githubAuth.installationId: found 20, without the organization permission "Self-hosted runners", expected one with "Self-hosted runners: write", which the App has to ask for and an owner of the organization to accept.',
    ],
  },
  "an App that may only see runners": {
    settings: withApp,
    github: installed({ runners: "read" }),
    problems: [
      'fleet:githubAuth.installationId: found 20, with the organization permission "Self-hosted runners: read", expected one with "Self-hosted runners: write", which the App has to ask for and an owner of the organization to accept.',
    ],
  },
  "an App of which GitHub does not tell": {
    settings: withApp,
    github: app({ state: "failed", sentence: "GitHub is away." }),
    problems: ["GitHub is away."],
  },
  "an App that nobody needs without own hosts": {
    settings: (raw) => {
      withApp(raw);
      externalOnly(raw);
    },
    hetzner: null,
    github: app({ state: "refused" }),
  },
  "an Enterprise Server that the provider knows nothing of": {
    settings: set("githubUrl", "https://github.example.com"),
    github: { obstacle: "serversDiffer", baseUrl: undefined },
    problems: [
      "github:baseUrl (or GITHUB_BASE_URL): found nothing, expected https://github.example.com/, since fleet:githubUrl names that server and the GitHub provider does not read it.",
    ],
  },
  "an Enterprise Server that only the provider knows of": {
    github: { obstacle: "serversDiffer", baseUrl: "https://github.example.com/api/v3/" },
    problems: [
      'fleet:githubUrl: found "https://github.com", expected https://github.example.com, where github:baseUrl (or GITHUB_BASE_URL) leads.',
    ],
  },
  "a tenant of ghe.com whose API alone is told": {
    github: { obstacle: "serversDiffer", baseUrl: "https://api.acme.ghe.com/" },
    problems: [
      'fleet:githubUrl: found "https://github.com", expected https://acme.ghe.com, where github:baseUrl (or GITHUB_BASE_URL) leads.',
    ],
  },
  "two Enterprise Servers": {
    settings: set("githubUrl", "https://github.example.com"),
    github: { obstacle: "serversDiffer", baseUrl: "https://other.example.com/" },
    problems: [
      'github:baseUrl (or GITHUB_BASE_URL): found "https://other.example.com/", expected https://github.example.com/, since fleet:githubUrl names that server and the GitHub provider does not read it.',
    ],
  },

  "a runner program that GitHub serves no longer": {
    github: runnerVersion({ registrationEnds: later, jobsEnd: before }),
    problems: [
      `${pool}.runner.version: found "${RUNNER_VERSION}", which GitHub does not serve since 2026-10-01, expected a newer release of GitHub's runner program.`,
    ],
  },
  "a runner program that cannot be registered any more": {
    github: runnerVersion({ registrationEnds: before, jobsEnd: undefined }),
    problems: [
      `${pool}.runner.version: found "${RUNNER_VERSION}", which GitHub does not serve since 2026-10-01, expected a newer release of GitHub's runner program.`,
    ],
  },
  "a runner program whose end is announced": {
    github: runnerVersion({ registrationEnds: undefined, jobsEnd: later }),
  },
  "a runner program whose end is near": {
    settings: set("runnerLife.warnDays", 91),
    github: runnerVersion({ registrationEnds: undefined, jobsEnd: later }),
    warnings: [
      `${pool}.runner.version: GitHub does not serve ${RUNNER_VERSION} after 2026-12-31, 91 days from now.`,
    ],
  },
  "a runner program without an end": {
    github: runnerVersion({ registrationEnds: undefined, jobsEnd: undefined }),
  },
  "an image of the user's own, whatever runs in it": {
    settings: set("pools.arm64.runner.reference", "example.org/runner:1"),
    github: runnerVersion({ registrationEnds: before, jobsEnd: before }),
  },

  // Organization and repositories
  "an organization that does not exist": {
    github: githubFacts({
      organization: { kind: "absent" },
      token: { scopes: ["admin:org", "repo", "workflow"], managesRunners: false },
      repositories: new Map([["webppt", "absent"]]),
      targets: new Map(),
    }),
    problems: [
      'fleet:organization: found "acme", which GitHub does not know, expected the login of an organization that exists.',
    ],
  },
  "a user account": {
    github: githubFacts({ organization: { kind: "user" } }),
    problems: [
      'fleet:organization: found "acme", which is a user account, expected an organization, since only organizations have runner groups.',
    ],
  },
  "a repository that does not exist": {
    settings: (raw) => {
      set("runnerGroup.repositories", ["WebPPT"])(raw);
      set("secrets.PASSWORD", { value: "hush", repositories: ["webppt"] })(raw);
    },
    github: githubFacts({ repositories: new Map([["webppt", "absent"]]), targets: new Map() }),
    problems: [
      "fleet:targets.webppt, runnerGroup.repositories, secrets.PASSWORD.repositories: found no repository acme/webppt that the token can see, expected one that exists, and a token with access to it.",
    ],
  },
  "a repository that is archived": {
    github: githubFacts({
      repositories: new Map([
        ["webppt", repository("webppt", { archived: true, writable: false })],
      ]),
    }),
    problems: [
      "fleet:targets.webppt: found acme/webppt, which is archived, expected a repository that can be changed.",
    ],
  },
  "a repository with a new name": {
    settings: set("targets.webppt.repository", "webppt"),
    github: githubFacts({
      repositories: new Map([["webppt", repository("webppt", { fullName: "acme/slides" })]]),
    }),
    problems: [
      "fleet:targets.webppt.repository: found acme/webppt, which GitHub now calls acme/slides, expected its present name.",
    ],
  },
  "a repository in other letter case": {
    github: githubFacts({
      repositories: new Map([["webppt", repository("webppt", { fullName: "Acme/WebPPT" })]]),
    }),
  },
  "a repository that may only be read": {
    github: githubFacts({
      repositories: new Map([["webppt", repository("webppt", { writable: false })]]),
    }),
    problems: [
      "fleet:targets.webppt: found acme/webppt, which the owner of the token may only read, expected a repository that it may write to.",
    ],
  },
  "a branch that does not exist": {
    settings: set("targets.webppt.branch", "main"),
    github: githubFacts({
      targets: new Map([["webppt", target({ branch: "main", branchExists: false })]]),
    }),
    problems: [
      'fleet:targets.webppt.branch: found no branch "main" in acme/webppt, expected one that exists, such as the default branch master.',
    ],
  },
  "an empty repository": {
    github: githubFacts({ targets: new Map([["webppt", target({ branchExists: false })]]) }),
    problems: [
      "fleet:targets.webppt: found acme/webppt, which is empty, expected a repository with a commit on its default branch master.",
    ],
  },
  "a workflow that someone else wrote": {
    github: githubFacts({ targets: new Map([["webppt", target({ workflowFile: "foreign" })]]) }),
    problems: [
      "fleet:targets.webppt.path: found .github/workflows/image.yml in acme/webppt, which this program did not write, expected a path that is free: delete or rename that file, or choose another path.",
    ],
  },
  "a target outside the runner group": {
    settings: set("runnerGroup.repositories", ["other"]),
    github: githubFacts({
      repositories: new Map([
        ["webppt", repository("webppt")],
        ["other", repository("other")],
      ]),
    }),
    problems: [
      'fleet:runnerGroup.repositories: found a list without "webppt", expected one with it, since the hosts take no job of target webppt otherwise.',
    ],
  },
  "a target in the runner group in other letter case": {
    settings: set("runnerGroup.repositories", ["WEBPPT"]),
  },
  "a target that cannot see its secret": {
    settings: (raw) => {
      set("secrets.PASSWORD", { value: "hush", repositories: ["other"] })(raw);
      set("targets.webppt.registry", { username: "acme", passwordSecret: "password" })(raw);
    },
    github: githubFacts({
      repositories: new Map([
        ["webppt", repository("webppt")],
        ["other", repository("other")],
      ]),
    }),
    problems: [
      'fleet:secrets.PASSWORD.repositories: found a list without "webppt", expected one with it, since the workflow of target webppt reads the secret.',
    ],
  },
  "a private repository on the Free plan": {
    settings: set("targets.webppt.registry", { username: "acme", passwordSecret: "PASSWORD" }),
    github: githubFacts({
      organization: { kind: "organization", plan: "free" },
      repositories: new Map([["webppt", repository("webppt", { private: true })]]),
    }),
    problems: [
      'fleet:routing.level: found "organization", whose variables on GitHub\'s Free plan do not reach the private repository acme/webppt, expected "repository", which makes the variable in each repository.',
    ],
    warnings: [
      "fleet:targets.webppt.registry.passwordSecret: on GitHub's Free plan secrets of the organization do not reach the private repository acme/webppt; it needs a secret of its own.",
    ],
  },
  "a public repository": {
    github: githubFacts({
      organization: { kind: "organization", plan: "free" },
      repositories: new Map([["webppt", repository("webppt", { private: false })]]),
    }),
    warnings: [
      "fleet:targets.webppt: acme/webppt is public, so its arm64 jobs stay on hosted runners: the runner group takes none from repositories where anybody's pull request could bring its own code to a host.",
    ],
  },
  "a public repository that no pool builds for": {
    settings: set("targets.webppt.strategy", "hosted-arm"),
    github: githubFacts({
      organization: { kind: "organization", plan: "free" },
      repositories: new Map([["webppt", repository("webppt", { private: false })]]),
    }),
  },
  "a public repository with runners of others": {
    settings: externalOnly,
    hetzner: null,
    github: githubFacts({
      repositories: new Map([["webppt", repository("webppt", { private: false })]]),
    }),
    warnings: [
      "fleet:targets.webppt: acme/webppt is public, so its arm64 jobs stay on hosted runners: the variable ARM64_RUNS_ON is not given to repositories where anybody's pull request could bring its own code to a runner of yours.",
    ],
  },

  // Without own hosts
  "nothing of Hetzner, of SSH keys and of the token service without own hosts": {
    settings: (raw) => {
      externalOnly(raw);
      raw.ssh = { ...raw.ssh, privateKey: keyPair().privateKey };
      raw.network = { subnet: "10.1.0.0/24" };
      raw.runnerGroup = { repositories: ["other"] };
    },
    hetzner: null,
    github: githubFacts({
      token: { scopes: ["admin:org", "repo", "workflow"], managesRunners: false },
      serviceToken: { obstacle: "tokenRefused" },
      repositories: new Map([
        ["webppt", repository("webppt")],
        ["other", repository("other")],
      ]),
    }),
  },
  "a token without admin:org where only repositories have variables": {
    settings: (raw) => {
      externalOnly(raw);
      raw.routing = { level: "repository" };
    },
    hetzner: null,
    github: githubFacts({ token: { scopes: ["repo", "workflow"], managesRunners: false } }),
  },
  "a token without admin:org where the organization has the variable": {
    settings: externalOnly,
    hetzner: null,
    github: githubFacts({ token: { scopes: ["repo", "workflow"], managesRunners: false } }),
    problems: [
      `${PROVIDER}: found a token with the scopes repo, workflow, expected admin:org (for the runner group, organization secrets and variables) as well.`,
    ],
  },

  // Delivery
  "a protected branch": {
    github: withTarget({ protection: { rule: "requires status checks", certain: true } }),
    problems: [
      'fleet:targets.webppt.delivery: found "commit" to acme/webppt, whose branch master requires status checks, expected pullRequest, which proposes the workflow for people to merge.',
    ],
  },
  "a branch that may be protected": {
    github: withTarget({ protection: { rule: "restricts who may push", certain: false } }),
    warnings: [
      'fleet:targets.webppt.delivery: found "commit" to acme/webppt, whose branch master restricts who may push; if it takes no commit, use pullRequest, which proposes the workflow for people to merge.',
    ],
  },
  "a protected branch and a pull request": {
    settings: set("targets.webppt.delivery", "pullRequest"),
    github: withTarget({ protection: { rule: "requires status checks", certain: true } }),
  },
  "a pull request that nobody could take back": {
    settings: (raw) =>
      Object.assign(raw.targets.webppt ?? {}, { delivery: "pullRequest", onDestroy: "remove" }),
    problems: [
      'fleet:targets.webppt.onDestroy: found "remove" with delivery pullRequest, expected keep, since a file that people have merged is theirs to remove.',
    ],
  },
  "a file as it was left": {
    github: withTarget({ workflowFile: "ours", blob: "b1" }),
    known: { recordedBlobs: { webppt: "b1" } },
  },
  "a file that is new to the stack": {
    github: withTarget({ workflowFile: "ours", blob: "b1" }),
    known: { recordedBlobs: {} },
  },
  "a file that somebody changed": {
    github: withTarget({ workflowFile: "ours", blob: "b2" }),
    known: { recordedBlobs: { webppt: "b1" } },
    warnings: [
      "fleet:targets.webppt.path: somebody changed .github/workflows/image.yml in acme/webppt since the last run; `pulumi up --refresh` shows the difference and writes the file anew, a run without it leaves the file or, when it has to change, ends with GitHub's answer 409.",
    ],
  },
  "a repository without Actions": {
    github: withTarget({ actionsEnabled: false }),
    problems: [
      "fleet:targets.webppt: found acme/webppt, which has GitHub Actions disabled, expected a repository that runs workflows.",
    ],
  },
  "an organization without Actions": {
    github: githubFacts({ actionsEnabled: false }),
    problems: [
      'fleet:organization: found "acme", which has GitHub Actions disabled for all repositories, expected an organization that runs workflows.',
    ],
  },
  "settings that no workflow can be made of": {
    settings: set("targets.webppt.test", { command: "echo ${{ github.ref }}" }),
    problems: [
      "fleet:targets.webppt.test.command: found ${{, expected a command without it, since GitHub would put a value in its place before bash reads it. The environment has what is needed, such as $GITHUB_SHA.",
    ],
  },

  // Workflows that others call
  "a central repository that is as it should be": { settings: reusable, github: withCentral() },
  "a central repository that is not there": {
    settings: reusable,
    github: githubFacts({
      repositories: new Map<string, Repository | "absent">([
        ["webppt", repository("webppt")],
        ["central", "absent"],
      ]),
    }),
    problems: [
      "fleet:reusableWorkflows.repository: found no repository acme/central that the token can see, expected one that exists, and a token with access to it.",
    ],
  },
  "a central repository that is archived": {
    settings: reusable,
    github: withCentral({}, { archived: true, writable: false }),
    problems: [
      "fleet:reusableWorkflows.repository: found acme/central, which is archived, expected a repository that can be changed.",
    ],
  },
  "a central repository that may only be read": {
    settings: reusable,
    github: withCentral({}, { writable: false }),
    problems: [
      "fleet:reusableWorkflows.repository: found acme/central, which the owner of the token may only read, expected a repository that it may write to.",
    ],
  },
  "a central branch that takes no commits": {
    settings: reusable,
    github: withCentral({ protection: { rule: "requires pull requests", certain: true } }),
    problems: [
      "fleet:reusableWorkflows.repository: found acme/central, whose branch master requires pull requests, expected a branch that takes commits, such as one named in reusableWorkflows.branch.",
    ],
  },
  "a central branch that does not exist": {
    settings: (raw) => {
      reusable(raw);
      set("reusableWorkflows.branch", "stable")(raw);
    },
    github: withCentral({ branch: "stable", branchExists: false }),
    problems: [
      'fleet:reusableWorkflows.branch: found no branch "stable" in acme/central, expected one that exists, such as the default branch master.',
    ],
  },
  "a target that takes the place of a workflow that is called": {
    settings: (raw) => {
      reusable(raw);
      set("targets.again", {
        repository: "Central",
        image: "ghcr.io/acme/again",
        path: ".github/workflows/image-hybrid.yml",
      })(raw);
    },
    github: withCentral({
      files: new Map([
        [".github/workflows/image-hybrid.yml", { workflowFile: "ours", blob: "b1" }],
      ]),
    }),
    problems: [
      "fleet:targets.again.path: found .github/workflows/image-hybrid.yml in acme/central, where a workflow lies that targets with emit: reusable call, expected another path.",
    ],
  },
  "a central file of others": {
    settings: reusable,
    github: withCentral({
      files: new Map([
        [".github/workflows/image-hybrid.yml", { workflowFile: "foreign", blob: "b1" }],
      ]),
    }),
    problems: [
      "fleet:reusableWorkflows.repository: found .github/workflows/image-hybrid.yml in acme/central, which this program did not write, expected a path that is free: delete or rename that file, or choose another repository.",
    ],
  },
  "a public repository that calls a private one": {
    settings: (raw) => {
      reusable(raw);
      set("targets.webppt.strategy", "qemu")(raw);
    },
    github: withCentral({}, {}, { private: false }),
    problems: [
      'fleet:targets.webppt.emit: found "reusable" for the public repository acme/webppt, which cannot call workflows of the private acme/central, expected inline, or a public repository in reusableWorkflows.repository.',
    ],
  },
  "a public repository that calls a public one": {
    settings: (raw) => {
      reusable(raw);
      set("targets.webppt.strategy", "qemu")(raw);
    },
    github: withCentral({}, { private: false }, { private: false }),
  },
  "a private repository on the Free plan with a variable of its own": {
    settings: set("routing.level", "repository"),
    github: githubFacts({
      organization: { kind: "organization", plan: "free" },
      repositories: new Map([["webppt", repository("webppt", { private: true })]]),
    }),
  },
};

describe("checkFleet", () => {
  for (const [what, { settings, hetzner, github, known, ...verdict }] of Object.entries(cases)) {
    it(what, () => {
      const given: Findings = {
        hetzner: hetzner === null ? undefined : (hetzner ?? facts().hetzner),
        github: github ?? facts().github,
      };
      assert.deepEqual(checkFleet(settingsWith(settings), given, "fleet", known), {
        problems: verdict.problems ?? [],
        warnings: verdict.warnings ?? [],
      });
    });
  }

  const RESTRICTED: Record<string, [change: (raw: Raw) => void, ...problems: string[]]> = {
    "that targets call": [reusable],
    "of targets, and of those that build elsewhere": [
      (raw) => {
        reusable(raw);
        set("targets.other", { image: "ghcr.io/acme/other", strategy: "qemu" })(raw);
      },
    ],
    "that lie in the repositories themselves": [
      set("targets.other", { image: "ghcr.io/acme/other" }),
      "fleet:runnerGroup.restrictToWorkflows: found true with webppt and other emitted inline, expected false, or emit: reusable for all of strategy hybrid, since a restriction names one ref of each file, and in runs for tags and pull requests a repository's own file has another, so that their jobs would wait in vain.",
    ],
    "that there are none of": [
      set("targets.webppt.strategy", "qemu"),
      "fleet:runnerGroup.restrictToWorkflows: found true without a target whose workflow the runner group would take jobs of, expected false, or a target of strategy hybrid with emit: reusable.",
    ],
  };
  for (const [what, [change, ...expected]] of Object.entries(RESTRICTED)) {
    it(`a runner group restricted to workflows ${what}`, () => {
      const settings = settingsWith(change);
      Object.assign(settings.runnerGroup, { restrictToWorkflows: true });
      const github = withCentral();
      assert.deepEqual(checkFleet(settings, { hetzner: hetznerFacts(), github }, "fleet"), {
        problems: expected,
        warnings: [],
      });
    });
  }

  it("names every problem of one run", () => {
    const settings = settingsWith((raw) => {
      set("network.subnet", "10.1.0.0/24")(raw);
      set("pools.arm64.serverTypes", ["cpx22"])(raw);
    });
    const github = githubFacts({ organization: { kind: "user" } });
    const { problems } = checkFleet(settings, { hetzner: hetznerFacts(), github }, "fleet");
    assert.deepEqual(
      problems.map((problem) => problem.slice(0, problem.indexOf(": "))),
      ["fleet:network.subnet", "fleet:pools.arm64.serverTypes", "fleet:organization"],
    );
  });
});
