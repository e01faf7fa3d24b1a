import assert from "node:assert/strict";
import { utils } from "ssh2";
import { checkFleet, type Known } from "../../../components/preflight/check";
import type {
  CentralFacts,
  Findings,
  GitHubFacts,
  HetznerFacts,
  LivingServer,
  Obstacle,
  Repository,
  TargetFacts,
} from "../../../components/preflight/facts";
import { keyPair, type rawSettings, settingsWith } from "../config/settings";
import { facts, githubFacts, hetznerFacts, READ_AT, repository, serverType, target } from "./facts";

type Raw = ReturnType<typeof rawSettings> & Record<string, unknown>;

interface Case {
  readonly settings?: (raw: Raw) => void;
  /** null: nothing was asked. */
  readonly hetzner?: HetznerFacts | Obstacle | null;
  readonly github?: GitHubFacts | Obstacle;
  readonly known?: Known;
  readonly problems?: readonly string[];
  readonly warnings?: readonly string[];
}

/** The one server of the pool, as it was found. */
function living(type: string, change: Partial<LivingServer> = {}) {
  const server = { serverType: type, location: "fsn1", off: false, attached: true, ...change };
  return new Map([["arm64-1-1", server]]);
}

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
    settings: set("pools.arm64.serverType", "cax99"),
    problems: [`${pool}.serverType: found "cax99", ${ARM}`],
  },
  "a server type named like a property of every object": {
    settings: set("pools.arm64.serverType", "constructor"),
    problems: [`${pool}.serverType: found "constructor", ${ARM}`],
  },
  "a server type that is not arm": {
    settings: set("pools.arm64.serverType", "cpx22"),
    problems: [`${pool}.serverType: found "cpx22", which is x86, ${ARM}`],
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
      `${pool}.serverType: found "cax21", which Hetzner does not sell in fsn1, expected an arm server type sold in fsn1: cax11.`,
    ],
  },
  "a location without any arm server type": {
    settings: set("pools.arm64.location", "ash"),
    hetzner: hetznerFacts({
      locations: new Map([
        ["fsn1", { networkZone: "eu-central" }],
        ["ash", { networkZone: "eu-central" }],
      ]),
    }),
    problems: [
      `${pool}.serverType: found "cax21", which Hetzner does not sell in ash, expected another location, since no arm server type is sold in ash.`,
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
      `${pool}.serverType: found "cax21", which Hetzner does not sell in fsn1 since 2026-10-01, expected an arm server type sold in fsn1: cax11.`,
    ],
  },
  "a server type whose end is announced": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([["fsn1", { available: true, unavailableAfter: later }]]),
      }),
    ),
    warnings: [`${pool}.serverType: cax21 cannot be ordered in fsn1 after 2026-12-31.`],
  },
  "a rescale to a type that is out of stock where the server stands": {
    hetzner: hetznerFacts({ servers: living("cax11") }, outOfStock("cax21")),
    problems: [
      `${pool}.serverType: found "cax21", which is out of stock in fsn1, expected cax11, which server arm64-1-1 has, until it can be changed.`,
    ],
    warnings: [
      `${pool}.serverType: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
  },
  "a living server of a type that is out of stock": {
    hetzner: hetznerFacts({ servers: living("cax21") }, outOfStock("cax21")),
    warnings: [
      `${pool}.serverType: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
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
  "a server type out of stock here": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([
          ["fsn1", { available: false, unavailableAfter: undefined }],
          ["nbg1", { available: true, unavailableAfter: undefined }],
          ["hel1", { available: true, unavailableAfter: undefined }],
        ]),
      }),
    ),
    warnings: [
      `${pool}.serverType: cax21 cannot be ordered in fsn1 at the moment, but it can in nbg1 or hel1.`,
    ],
  },
  "a server type out of stock everywhere": {
    hetzner: hetznerFacts(
      {},
      serverType("cax21", {
        locations: new Map([["fsn1", { available: false, unavailableAfter: undefined }]]),
      }),
    ),
    warnings: [
      `${pool}.serverType: cax21 cannot be ordered in fsn1 at the moment, nor anywhere else.`,
    ],
  },
  "an unknown location": {
    settings: set("pools.arm64.location", "muc1"),
    problems: [`${pool}.location: found "muc1", expected fsn1, nbg1 or ash.`],
  },
  "a location outside the network zone": {
    settings: (raw) => {
      set("pools.arm64.location", "ash")(raw);
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
      `${pool}.location: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1 or nbg1.`,
      `fleet:tokenService.location: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1 or nbg1.`,
    ],
  },
  "an unknown network zone": {
    settings: set("network.zone", "eu-west"),
    problems: [`fleet:network.zone: found "eu-west", expected eu-central or us-east.`],
  },
  "problems in every pool": {
    settings: (raw) => {
      raw.pools.large = { ...raw.pools.arm64, serverType: "cpx22" };
      raw.pools.far = { ...raw.pools.arm64, location: "muc1" };
      raw.routing = { pool: "arm64" };
    },
    problems: [
      `fleet:pools.large.serverType: found "cpx22", which is x86, ${ARM}`,
      `fleet:pools.far.location: found "muc1", expected fsn1, nbg1 or ash.`,
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
      `fleet:network.ipRange: found "203.0.0.0/16", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.`,
    ],
  },
  "an IPv6 network": {
    settings: set("network", { ipRange: "fd00::/16", subnet: "fd00::/24" }),
    problems: [
      `fleet:network.ipRange: found "fd00::/16", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.`,
    ],
  },
  "a network of a /25": {
    settings: set("network", { ipRange: "192.168.0.0/25", subnet: "192.168.0.0/25" }),
    problems: [
      `fleet:network.ipRange: found "192.168.0.0/25", expected a private IPv4 range of at least a /24, inside 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.`,
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
  "user_data over the limit": {
    known: { userDataBytes: { arm64: 32_769 } },
    problems: [
      `${pool}.cloudInit: found user_data of 32769 bytes, expected at most 32768, which is Hetzner's limit.`,
    ],
  },
  "user_data at the limit": { known: { userDataBytes: { arm64: 32_768 } } },

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

  it("names every problem of one run", () => {
    const settings = settingsWith((raw) => {
      set("network.subnet", "10.1.0.0/24")(raw);
      set("pools.arm64.serverType", "cpx22")(raw);
    });
    const github = githubFacts({ organization: { kind: "user" } });
    const { problems } = checkFleet(settings, { hetzner: hetznerFacts(), github }, "fleet");
    assert.deepEqual(
      problems.map((problem) => problem.slice(0, problem.indexOf(": "))),
      ["fleet:network.subnet", "fleet:pools.arm64.serverType", "fleet:organization"],
    );
  });
});
