import assert from "node:assert/strict";
import { stackNameProblem, validateSettings } from "../../../components/config/schema";
import { RUNNER_VERSION } from "../../../components/pins/pins";
import { rawSettings, settingsWith } from "./settings";

type Raw = ReturnType<typeof rawSettings> & Record<string, unknown>;

const HOST_NAME =
  "expected a name of 1 to 32 lower-case letters, digits and inner hyphens that starts with a letter, since servers are named after it.";
const SECRET_NAME =
  "expected a name of letters, digits and underscores that starts neither with a digit nor with GITHUB_, as GitHub requires.";
const CIDR =
  "expected an IPv4 or IPv6 range in CIDR notation that begins with its first address, such as 203.0.113.4/32.";
const IMAGE =
  "expected an image name in lower case with its registry and without a tag, such as ghcr.io/acme/webppt.";
const WORKFLOW_PATH = "expected a file directly in .github/workflows/ that ends in .yml or .yaml.";
const REPOSITORY =
  "expected the name of a repository of the organization, without the organization.";
const REFERENCE = "expected the name of an image, with its tag and, better, its digest.";
const REGISTRY = "expected a registry's host name, with a port if need be, without a scheme.";
const HIDDEN = "found a value that is not shown here";

function arm64(raw: Raw): Record<string, unknown> {
  const pool = raw.pools.arm64;
  assert.ok(pool);
  return pool;
}

/** What only looks like an App: whether GitHub knows it is not seen here. */
function app(raw: Raw): Record<string, unknown> {
  return { kind: "app", appId: 5, installationId: 20, privateKey: raw.ssh.privateKey };
}

function webppt(raw: Raw): Record<string, unknown> {
  const target = raw.targets.webppt;
  assert.ok(target);
  return target;
}

/** A change of valid configuration, and every sentence it must lead to. */
type Refused = [change: (raw: Raw) => void, ...problems: string[]];
const refused: Record<string, Refused> = {
  "an unknown key": [(raw) => (raw.colour = "blue"), "fleet:colour is not a configuration key."],
  "an unknown key in a block": [
    (raw) => (arm64(raw).serverTyp = "cax11"),
    "fleet:pools.arm64.serverTyp is not a configuration key.",
  ],
  "the former keys of server type and location": [
    (raw) => {
      const { count, labels } = arm64(raw);
      raw.pools.arm64 = { count, labels, serverType: "cax21", location: "fsn1" };
    },
    "fleet:pools.arm64.serverType: found a key of former releases, expected serverTypes, a list with the best first.",
    "fleet:pools.arm64.location: found a key of former releases, expected locations, a list with the best first.",
  ],
  "a former key beside its list": [
    (raw) => (arm64(raw).location = "fsn1"),
    "fleet:pools.arm64.location: found a key of former releases, expected locations, a list with the best first.",
  ],
  "no server type, and the former key of the location alone": [
    (raw) => {
      const { count, labels } = arm64(raw);
      raw.pools.arm64 = { count, labels, location: "fsn1" };
    },
    "fleet:pools.arm64.serverTypes: found nothing, expected a list.",
    "fleet:pools.arm64.location: found a key of former releases, expected locations, a list with the best first.",
  ],
  "empty lists": [
    (raw) => Object.assign(arm64(raw), { serverTypes: [], locations: [] }),
    "fleet:pools.arm64.serverTypes: found an empty list, expected at least one server type.",
    "fleet:pools.arm64.locations: found an empty list, expected at least one location.",
  ],
  "the same twice": [
    (raw) =>
      Object.assign(arm64(raw), { serverTypes: ["cax21", "cax21"], locations: ["fsn1", "fsn1"] }),
    "fleet:pools.arm64.serverTypes: found a list, expected each server type once.",
    "fleet:pools.arm64.locations: found a list, expected each location once.",
  ],
  "a text in place of a list": [
    (raw) => (arm64(raw).serverTypes = "cax21"),
    'fleet:pools.arm64.serverTypes: found "cax21", expected a list.',
  ],
  "a former key in another block": [
    (raw) => (raw.network = { location: "fsn1" }),
    "fleet:network.location is not a configuration key.",
  ],
  "a roll of no host at a time": [
    (raw) => (arm64(raw).maxSurge = 0),
    "fleet:pools.arm64.maxSurge: found 0, expected a whole number of at least 1.",
  ],
  "a pause of another kind": [
    (raw) => (arm64(raw).paused = true),
    "fleet:pools.arm64.paused: found true, expected false, keep or delete.",
  ],
  "a canary without a host": [
    (raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
      raw.canary = { repository: "webppt" };
    },
    'fleet:canary.repository: found "webppt", expected nothing, since pools has no host that it could prove.',
  ],
  "a canary where a target's workflow lies": [
    (raw) => {
      raw.canary = { repository: "WebPPT" };
      raw.targets.webppt!.path = ".github/workflows/runner-canary-other.yml";
    },
    'fleet:targets.webppt.path: found ".github/workflows/runner-canary-other.yml", expected another path, since canaries have their workflows at .github/workflows/runner-canary-STACK.yml in webppt.',
  ],
  "a budget of nothing": [
    (raw) => (raw.budget = { monthlyEur: 0 }),
    "fleet:budget.monthlyEur: found 0, expected a number above 0.",
  ],
  "a budget in words": [
    (raw) => (raw.budget = { monthlyEur: "60" }),
    'fleet:budget.monthlyEur: found "60", expected a number.',
  ],
  ...Object.fromEntries(
    [
      [-1, "at least 0"],
      [366, "at most 365"],
      [1.5, "a whole number"],
    ].map(([days, expected]): [string, Refused] => [
      `warnings ${days} days before`,
      [
        (raw) => (raw.runnerLife = { warnDays: days }),
        `fleet:runnerLife.warnDays: found ${days}, expected ${expected}.`,
      ],
    ]),
  ),
  "two unknown keys": [
    (raw) => Object.assign(raw.ssh, { prot: 22, user: "root" }),
    "fleet:ssh.prot is not a configuration key.",
    "fleet:ssh.user is not a configuration key.",
  ],
  "several problems at once": [
    (raw) => {
      arm64(raw).count = 0;
      raw.organization = "-acme";
    },
    'fleet:organization: found "-acme", expected the login of a GitHub organization.',
    "fleet:pools.arm64.count: found 0, expected a whole number from 1 to 100.",
  ],

  "no organization": [
    (raw) => Reflect.deleteProperty(raw, "organization"),
    "fleet:organization: found nothing, expected a text.",
  ],
  "an organization of 40 characters": [
    (raw) => (raw.organization = "a".repeat(40)),
    `fleet:organization: found "${"a".repeat(40)}", expected the login of a GitHub organization.`,
  ],
  "an organization with two hyphens in a row": [
    (raw) => (raw.organization = "a--b"),
    'fleet:organization: found "a--b", expected the login of a GitHub organization.',
  ],

  "no githubAuth": [
    (raw) => Reflect.deleteProperty(raw, "githubAuth"),
    "fleet:githubAuth: found nothing, expected a block with the key kind, and token, or appId, installationId and privateKey.",
  ],
  "a token in place of githubAuth": [
    (raw) => Object.assign(raw, { githubAuth: "ghp_leak" }),
    `fleet:githubAuth: ${HIDDEN}, expected a block with the key kind, and token, or appId, installationId and privateKey.`,
  ],
  "another kind of githubAuth": [
    (raw) => (raw.githubAuth.kind = "oauth"),
    'fleet:githubAuth.kind: found "oauth", expected the kind app or pat.',
  ],
  "githubAuth without a kind": [
    (raw) => Reflect.deleteProperty(raw.githubAuth, "kind"),
    "fleet:githubAuth.kind: found nothing, expected the kind app or pat.",
  ],
  "githubAuth without a token": [
    (raw) => Reflect.deleteProperty(raw.githubAuth, "token"),
    "fleet:githubAuth.token: found nothing, expected a text.",
  ],
  "an empty token": [
    (raw) => (raw.githubAuth.token = ""),
    `fleet:githubAuth.token: ${HIDDEN}, expected a text that is not empty.`,
  ],

  "an App with a token": [
    (raw) => (raw.githubAuth = { ...app(raw), token: "ghp_leak" }),
    "fleet:githubAuth.token is not a configuration key.",
  ],
  "an App without its numbers": [
    (raw) => (raw.githubAuth = { kind: "app", privateKey: raw.ssh.privateKey }),
    "fleet:githubAuth.appId: found nothing, expected a number.",
    "fleet:githubAuth.installationId: found nothing, expected a number.",
  ],
  "an App with numbers that are texts": [
    (raw) => (raw.githubAuth = { ...app(raw), appId: "5" }),
    'fleet:githubAuth.appId: found "5", expected a number.',
  ],
  "an App with a number that is none": [
    (raw) => (raw.githubAuth = { ...app(raw), appId: 0, installationId: 1.5 }),
    "fleet:githubAuth.appId: found 0, expected at least 1.",
    "fleet:githubAuth.installationId: found 1.5, expected a whole number.",
  ],
  "an App without a key": [
    (raw) => (raw.githubAuth = { ...app(raw), privateKey: undefined }),
    "fleet:githubAuth.privateKey: found nothing, expected a text.",
  ],
  "an App with something else for a key": [
    (raw) => (raw.githubAuth = { ...app(raw), privateKey: "app.pem" }),
    `fleet:githubAuth.privateKey: ${HIDDEN}, expected a private key in PEM or OpenSSH form.`,
  ],

  ...Object.fromEntries(
    ["https://api.github.com", "https://api.acme.ghe.com", "https://github.com:443"].map(
      (githubUrl) => [
        `the address ${githubUrl}`,
        [
          (raw: Raw) => (raw.githubUrl = githubUrl),
          `fleet:githubUrl: found "${githubUrl}", expected the address of the GitHub server itself, not of its API, and without the port of https.`,
        ],
      ],
    ),
  ),

  ...Object.fromEntries(
    [
      "github.example.com",
      "http://github.example.com",
      "https://github.example.com/",
      "https://github.example.com/api/v3",
      "https://me@github.example.com",
      "https://github.example.com:99999",
    ].map((githubUrl) => [
      `the address ${githubUrl}`,
      [
        (raw: Raw) => (raw.githubUrl = githubUrl),
        `fleet:githubUrl: found "${githubUrl}", expected the address of a GitHub server such as https://github.example.com, without a path.`,
      ],
    ]),
  ),
  "what the origin does not know of an Enterprise Server": [
    (raw) => {
      raw.githubUrl = "https://github.example.com";
      raw.tokenService = { implementation: "knatnetwork" };
      arm64(raw).runner = { image: "knatnetwork" };
    },
    'fleet:tokenService.implementation: found "knatnetwork", expected builtin, since knatnetwork knows https://github.com only.',
    'fleet:pools.arm64.runner.image: found "knatnetwork", expected actions-runner, since knatnetwork knows https://github.com only.',
  ],
  "an App and the origin's token service": [
    (raw) => {
      raw.githubAuth = app(raw);
      raw.tokenService = { implementation: "knatnetwork" };
    },
    'fleet:githubAuth.kind: found "app", expected pat, the only kind that tokenService.implementation knatnetwork knows.',
  ],

  "a runner group without repositories": [
    (raw) => (raw.runnerGroup = { repositories: [] }),
    "fleet:runnerGroup.repositories: found an empty list, expected at least 1.",
  ],
  "a repository with its owner": [
    (raw) => (raw.runnerGroup = { repositories: ["acme/webppt"] }),
    `fleet:runnerGroup.repositories.0: found "acme/webppt", ${REPOSITORY}`,
  ],
  "a repository that is a path": [
    (raw) => (raw.runnerGroup = { repositories: [".."] }),
    `fleet:runnerGroup.repositories.0: found "..", ${REPOSITORY}`,
  ],

  "a secret name that starts with a digit": [
    (raw) => (raw.secrets["1PASSWORD"] = { value: "hush" }),
    `fleet:secrets.1PASSWORD: found the name "1PASSWORD", ${SECRET_NAME}`,
  ],
  "a secret name that starts with GITHUB_": [
    (raw) => (raw.secrets.github_token = { value: "hush" }),
    `fleet:secrets.github_token: found the name "github_token", ${SECRET_NAME}`,
  ],
  "a secret name with a hyphen": [
    (raw) => (raw.secrets["REGISTRY-PASSWORD"] = { value: "hush" }),
    `fleet:secrets.REGISTRY-PASSWORD: found the name "REGISTRY-PASSWORD", ${SECRET_NAME}`,
  ],
  "two secrets that differ by case": [
    (raw) => (raw.secrets = { PASSWORD: { value: "hush" }, password: { value: "hush" } }),
    'fleet:secrets.password: found "password", expected a name that differs from PASSWORD by more than case, which GitHub ignores.',
  ],
  "a secret in place of its block": [
    (raw) => (raw.secrets.PASSWORD = "hush"),
    `fleet:secrets.PASSWORD: ${HIDDEN}, expected a block of keys.`,
  ],
  "a secret that is a number": [
    (raw) => (raw.secrets.PASSWORD = { value: 1234 }),
    `fleet:secrets.PASSWORD.value: ${HIDDEN}, expected a text.`,
  ],

  "another routing level": [
    (raw) => (raw.routing = { level: "enterprise" }),
    'fleet:routing.level: found "enterprise", expected organization or repository.',
  ],
  "a variable name that GitHub refuses": [
    (raw) => (raw.routing = { variable: "GITHUB_RUNS_ON" }),
    `fleet:routing.variable: found "GITHUB_RUNS_ON", ${SECRET_NAME}`,
  ],
  "a routing pool that does not exist": [
    (raw) => (raw.routing = { pool: "arm46" }),
    'fleet:routing.pool: found "arm46", expected one of the pools arm64.',
  ],
  "two pools and no routing pool": [
    (raw) => (raw.pools.large = { ...arm64(raw) }),
    "fleet:routing.pool: found nothing, expected one of the pools arm64, large.",
  ],
  "a fallback that is no label": [
    (raw) => (raw.routing = { hostedFallback: "ubuntu latest" }),
    'fleet:routing.hostedFallback: found "ubuntu latest", expected a name of 1 to 100 letters, digits, dots, underscores and hyphens.',
  ],

  "no pools": [
    (raw) => Reflect.deleteProperty(raw, "pools"),
    "fleet:pools: found an empty block, expected at least one pool, here or in externalPools.",
  ],
  "pools without a pool": [
    (raw) => (raw.pools = {}),
    "fleet:pools: found an empty block, expected at least one pool, here or in externalPools.",
  ],
  ...Object.fromEntries(
    ["Arm64", "arm_64", "64arm", "arm64-", "a".repeat(33), "arm.64"].map((name) => [
      `the pool name ${name}`,
      [
        (raw: Raw) => (raw.pools = { [name]: arm64(raw) }),
        `fleet:pools.${name}: found the name "${name}", ${HOST_NAME}`,
      ],
    ]),
  ),
  ...Object.fromEntries(
    [0, -1, 101, 1000].map((count) => [
      `count ${count}`,
      [
        (raw: Raw) => (arm64(raw).count = count),
        `fleet:pools.arm64.count: found ${count}, expected a whole number from 1 to 100.`,
      ],
    ]),
  ),
  "count 1.5": [
    (raw) => (arm64(raw).count = 1.5),
    "fleet:pools.arm64.count: found 1.5, expected a whole number.",
  ],
  "a count that is a text": [
    (raw) => (arm64(raw).count = "two"),
    'fleet:pools.arm64.count: found "two", expected a number.',
  ],
  "runnersPerHost 17": [
    (raw) => (arm64(raw).runnersPerHost = 17),
    "fleet:pools.arm64.runnersPerHost: found 17, expected a whole number from 1 to 16.",
  ],
  "runnersPerHost 0": [
    (raw) => (arm64(raw).runnersPerHost = 0),
    "fleet:pools.arm64.runnersPerHost: found 0, expected a whole number from 1 to 16.",
  ],
  "no label": [
    (raw) => (arm64(raw).labels = []),
    "fleet:pools.arm64.labels: found an empty list, expected at least 1.",
  ],
  "a label with a comma": [
    (raw) => (arm64(raw).labels = ["docker", "a,b"]),
    'fleet:pools.arm64.labels.1: found "a,b", expected a name of 1 to 100 letters, digits, dots, underscores and hyphens.',
  ],
  "generation 0": [
    (raw) => (arm64(raw).generation = 0),
    "fleet:pools.arm64.generation: found 0, expected at least 1.",
  ],
  "another kind of runner": [
    (raw) => (arm64(raw).runner = { image: "ubuntu" }),
    'fleet:pools.arm64.runner.image: found "ubuntu", expected actions-runner or knatnetwork.',
  ],
  "the runner's image in its former place": [
    (raw) => (arm64(raw).runnerImage = "knatnetwork/github-runner:noble-2.338.0"),
    "fleet:pools.arm64.runnerImage is not a configuration key.",
  ],
  ...Object.fromEntries(
    ["v2.338.0", "2.338", "latest", "2.338.0-beta"].map((version) => [
      `the runner version ${version}`,
      [
        (raw: Raw) => (arm64(raw).runner = { version }),
        `fleet:pools.arm64.runner.version: found "${version}", expected a version such as 2.338.0.`,
      ],
    ]),
  ),
  ...Object.fromEntries(
    [
      "",
      "Acme/runner",
      "acme/runner:",
      "acme/runner@sha256:abc",
      "acme/runner latest",
      "https://ghcr.io/acme/runner",
    ].flatMap((reference): [string, Refused][] => [
      [
        `the runner image ${JSON.stringify(reference)}`,
        [
          (raw: Raw) => (arm64(raw).runner = { reference }),
          `fleet:pools.arm64.runner.reference: found "${reference}", ${REFERENCE}`,
        ],
      ],
      [
        `the token service's image ${JSON.stringify(reference)}`,
        [
          (raw: Raw) => (raw.tokenService = { image: reference }),
          `fleet:tokenService.image: found "${reference}", ${REFERENCE}`,
        ],
      ],
    ]),
  ),
  "a build cache that fills the disk": [
    (raw) => (arm64(raw).buildCache = { maxUsedPercent: 95 }),
    "fleet:pools.arm64.buildCache.maxUsedPercent: found 95, expected at most 90.",
  ],
  "a drain timeout of a week": [
    (raw) => (arm64(raw).drainTimeoutSeconds = 604_800),
    "fleet:pools.arm64.drainTimeoutSeconds: found 604800, expected at most 86400.",
  ],
  "a package without a name": [
    (raw) => (arm64(raw).cloudInit = { packages: [""] }),
    'fleet:pools.arm64.cloudInit.packages.0: found "", expected at least 1.',
  ],

  "another placement": [
    (raw) => (raw.tokenService = { placement: "shared" }),
    'fleet:tokenService.placement: found "shared", expected dedicated or colocated.',
  ],
  "another implementation": [
    (raw) => (raw.tokenService = { implementation: "custom" }),
    'fleet:tokenService.implementation: found "custom", expected builtin or knatnetwork.',
  ],
  ...Object.fromEntries(
    ["always", "", "3:00-05:00", "03:00", "24:00-05:00", "03:00-05:60", "03:00-03:00"].map(
      (rebootWindow) => [
        `the reboot window ${JSON.stringify(rebootWindow)}`,
        [
          (raw: Raw) => (raw.maintenance = { rebootWindow }),
          `fleet:maintenance.rebootWindow: found "${rebootWindow}", expected never, or a time of day in UTC such as 03:00-05:00.`,
        ],
      ],
    ),
  ),
  "an unknown key of maintenance": [
    (raw) => (raw.maintenance = { window: "never" }),
    "fleet:maintenance.window is not a configuration key.",
  ],
  ...Object.fromEntries(
    ["https://mirror.example.com", "mirror.example.com/docker", "Mirror.example.com", "-x"].flatMap(
      (host): [string, Refused][] => [
        [
          `the mirror ${host}`,
          [
            (raw: Raw) => (raw.registryMirrors = { "docker.io": [host] }),
            `fleet:registryMirrors.docker.io.0: found "${host}", ${REGISTRY}`,
          ],
        ],
        [
          `a mirror of ${host}`,
          [
            (raw: Raw) => (raw.registryMirrors = { [host]: ["mirror.example.com"] }),
            `fleet:registryMirrors.${host}: found the name "${host}", ${REGISTRY}`,
          ],
        ],
      ],
    ),
  ),
  "a registry without mirrors": [
    (raw) => (raw.registryMirrors = { "docker.io": [] }),
    "fleet:registryMirrors.docker.io: found an empty list, expected at least 1.",
  ],
  "a network that is no range": [
    (raw) => (raw.network = { ipRange: "10.0.0.0" }),
    `fleet:network.ipRange: found "10.0.0.0", ${CIDR}`,
  ],
  "a subnet with host bits": [
    (raw) => (raw.network = { subnet: "10.0.1.7/24" }),
    `fleet:network.subnet: found "10.0.1.7/24", ${CIDR}`,
  ],

  "no SSH settings": [
    (raw) => Reflect.deleteProperty(raw, "ssh"),
    "fleet:ssh: found nothing, expected a block with the keys publicKey, privateKey and allowedCidrs.",
  ],
  "no public key": [
    (raw) => Reflect.deleteProperty(raw.ssh, "publicKey"),
    "fleet:ssh.publicKey: found nothing, expected a text.",
  ],
  "no private key": [
    (raw) => Reflect.deleteProperty(raw.ssh, "privateKey"),
    "fleet:ssh.privateKey: found nothing, expected a private key in PEM or OpenSSH form, since management is ssh.",
  ],
  "a private key that is a path": [
    (raw) => (raw.ssh.privateKey = "~/.ssh/id_ed25519"),
    `fleet:ssh.privateKey: ${HIDDEN}, expected a private key in PEM or OpenSSH form.`,
  ],
  "the private key in place of the public one": [
    (raw) => (raw.ssh.publicKey = raw.ssh.privateKey),
    `fleet:ssh.publicKey: ${HIDDEN}, expected an OpenSSH public key line such as \`ssh-ed25519 AAAA… comment\`.`,
  ],
  "an empty allowedCidrs": [
    (raw) => (raw.ssh.allowedCidrs = []),
    "fleet:ssh.allowedCidrs: found an empty list, expected at least one range, since this program manages the hosts over SSH and nothing else may open the port.",
  ],
  "no allowedCidrs": [
    (raw) => Reflect.deleteProperty(raw.ssh, "allowedCidrs"),
    "fleet:ssh.allowedCidrs: found an empty list, expected at least one range, since this program manages the hosts over SSH and nothing else may open the port.",
  ],
  "another management": [
    (raw) => (raw.management = "ansible"),
    'fleet:management: found "ansible", expected ssh or none.',
  ],
  "a range where nothing opens the port": [
    (raw) => (raw.management = "none"),
    "fleet:ssh.allowedCidrs: found a list, expected no range, since management is none and nothing opens the port.",
  ],
  "an address that is no range": [
    (raw) => (raw.ssh.allowedCidrs = ["203.0.113.4"]),
    `fleet:ssh.allowedCidrs.0: found "203.0.113.4", ${CIDR}`,
  ],
  "port 0": [(raw) => (raw.ssh.port = 0), "fleet:ssh.port: found 0, expected at least 1."],
  "port 65536": [
    (raw) => (raw.ssh.port = 65_536),
    "fleet:ssh.port: found 65536, expected at most 65535.",
  ],

  "no image": [
    (raw) => Reflect.deleteProperty(webppt(raw), "image"),
    "fleet:targets.webppt.image: found nothing, expected a text.",
  ],
  ...Object.fromEntries(
    ["webppt", "acme/webppt", "ghcr.io/Acme/webppt", "ghcr.io/acme/webppt:latest", "ghcr.io/"].map(
      (image) => [
        `the image ${image}`,
        [
          (raw: Raw) =>
            Object.assign(webppt(raw), {
              image,
              registry: { username: "acme", passwordSecret: "PASSWORD" },
            }),
          `fleet:targets.webppt.image: found "${image}", ${IMAGE}`,
        ],
      ],
    ),
  ),
  "a registry of others without credentials": [
    (raw) => (webppt(raw).image = "docker.io/acme/webppt"),
    "fleet:targets.webppt.registry: found nothing, expected a username and a passwordSecret, since docker.io does not take the job's own token as ghcr.io does.",
  ],
  ...Object.fromEntries(
    [
      ".github/image.yml",
      ".github/workflows/a/b.yml",
      ".github/workflows/image.json",
      "../x.yml",
    ].map((path) => [
      `the path ${path}`,
      [
        (raw: Raw) => (webppt(raw).path = path),
        `fleet:targets.webppt.path: found "${path}", ${WORKFLOW_PATH}`,
      ],
    ]),
  ),
  "a strategy that is not known": [
    (raw) => (webppt(raw).strategy = "cross"),
    'fleet:targets.webppt.strategy: found "cross", expected amd64 or qemu or hosted-arm or hybrid.',
  ],
  "a tag rule that is not known": [
    (raw) => (webppt(raw).tags = ["latest", "31"]),
    'fleet:targets.webppt.tags.1: found "31", expected latest or branch or git-tag or semver or sha.',
  ],
  "no tag rule": [
    (raw) => (webppt(raw).tags = []),
    "fleet:targets.webppt.tags: found an empty list, expected at least 1.",
  ],
  "a build argument that no Dockerfile can name": [
    (raw) => (webppt(raw).build = { args: { "GO-VERSION": "1.26" } }),
    'fleet:targets.webppt.build.args.GO-VERSION: found the name "GO-VERSION", expected a name of letters, digits and underscores that does not start with a digit.',
  ],
  "a build argument that is a number": [
    (raw) => (webppt(raw).build = { args: { VERSION: 31 } }),
    "fleet:targets.webppt.build.args.VERSION: found 31, expected a text.",
  ],
  "the context in its former place": [
    (raw) => (webppt(raw).context = "app"),
    "fleet:targets.webppt.context is not a configuration key.",
  ],
  "an empty test command": [
    (raw) => (webppt(raw).test = { command: "" }),
    'fleet:targets.webppt.test.command: found "", expected at least 1.',
  ],
  "a severity that is not one": [
    (raw) => (webppt(raw).scan = { severity: ["SEVERE"] }),
    'fleet:targets.webppt.scan.severity.0: found "SEVERE", expected LOW or MEDIUM or HIGH or CRITICAL.',
  ],
  "a scan at another time": [
    (raw) => (webppt(raw).scan = { on: "push" }),
    'fleet:targets.webppt.scan.on: found "push", expected pull-request or publish or both.',
  ],
  "no provenance": [
    (raw) => (webppt(raw).attestations = { provenance: false }),
    "fleet:targets.webppt.attestations.provenance: found false, expected auto or max or min.",
  ],
  "a branch with an expression": [
    (raw) => (webppt(raw).branch = "x-${{ github.ref }}"),
    'fleet:targets.webppt.branch: found "x-${{ github.ref }}", expected the name of a branch.',
  ],
  "another way to deliver": [
    (raw) => (webppt(raw).delivery = "push"),
    'fleet:targets.webppt.delivery: found "push", expected commit or pullRequest.',
  ],
  "a caller without a central repository": [
    (raw) => (webppt(raw).emit = "reusable"),
    "fleet:reusableWorkflows.repository: found nothing, expected the name of a repository of the organization, since targets.webppt calls a workflow that lies there.",
  ],
  "a central repository with its owner": [
    (raw) => Object.assign(raw, { reusableWorkflows: { repository: "acme/workflows" } }),
    'fleet:reusableWorkflows.repository: found "acme/workflows", expected the name of a repository of the organization, without the organization.',
  ],

  "an external pool of both kinds": [
    (raw) =>
      Object.assign(raw, {
        externalPools: { arc: { scaleSet: "a", labels: ["b"] } },
        routing: { pool: "arm64" },
      }),
    "fleet:externalPools.arc: found a block of keys, expected either scaleSet, or labels and, if wanted, group.",
  ],
  "an external pool of no kind": [
    (raw) => Object.assign(raw, { externalPools: { arc: {} }, routing: { pool: "arm64" } }),
    "fleet:externalPools.arc: found an empty block, expected either scaleSet, or labels and, if wanted, group.",
  ],
  "a group of a scale set": [
    (raw) =>
      Object.assign(raw, {
        externalPools: { arc: { scaleSet: "a", group: "b" } },
        routing: { pool: "arm64" },
      }),
    "fleet:externalPools.arc: found a block of keys, expected either scaleSet, or labels and, if wanted, group.",
  ],
  "an external pool of the name of a pool": [
    (raw) =>
      Object.assign(raw, {
        externalPools: { arm64: { scaleSet: "a" } },
        routing: { pool: "arm64" },
      }),
    'fleet:externalPools.arm64: found "arm64", expected a name that is not that of one of the pools as well.',
  ],
  "a pool and an external pool without a word which one is routed to": [
    (raw) => Object.assign(raw, { externalPools: { arc: { scaleSet: "a" } } }),
    "fleet:routing.pool: found nothing, expected one of the pools arm64, arc.",
  ],
  "another onDestroy": [
    (raw) => (webppt(raw).onDestroy = "delete"),
    'fleet:targets.webppt.onDestroy: found "delete", expected keep or remove.',
  ],
  "a target whose name is no repository": [
    (raw) => (raw.targets = { "web ppt": { image: "ghcr.io/acme/webppt" } }),
    'fleet:targets.web ppt: found "web ppt", expected the name of a repository of the organization, or a key `repository` that gives it.',
  ],
  "the same target twice": [
    (raw) => (raw.targets.again = { ...webppt(raw), repository: "WebPPT" }),
    'fleet:targets.again: found "WebPPT", expected a repository and path that no other target has, but target webppt writes .github/workflows/image.yml there already.',
  ],
};

describe("settings", () => {
  it("fill in the defaults", () => {
    const settings = settingsWith();
    assert.deepEqual(settings.runnerGroup, { name: "arm64", restrictToWorkflows: false });
    assert.deepEqual(settings.routing, {
      level: "organization",
      variable: "ARM64_RUNS_ON",
      hostedFallback: "ubuntu-24.04-arm",
    });
    assert.deepEqual(settings.network, {
      ipRange: "10.0.0.0/16",
      subnet: "10.0.1.0/24",
      zone: "eu-central",
    });
    assert.equal(settings.ssh.port, 22);
    assert.equal(settings.tokenService.placement, "dedicated");
    assert.equal(settings.tokenService.serverType, "cax11");
    assert.equal(settings.tokenService.implementation, "builtin");
    assert.equal(settings.tokenService.image, undefined);
    assert.equal(settings.githubUrl, "https://github.com");
    assert.equal(settings.management, "ssh");
    assert.deepEqual(settings.maintenance, { rebootWindow: "03:00-05:00" });
    assert.deepEqual(settings.budget, {});
    assert.deepEqual(settings.runnerLife, { warnDays: 30 });
    assert.deepEqual(settings.registryMirrors, {});
    assert.deepEqual(settings.pools.arm64?.cloudInit, { packages: [], runcmd: [] });
    assert.deepEqual(settings.pools.arm64.runner, {
      image: "actions-runner",
      version: RUNNER_VERSION,
    });
    assert.equal(settings.pools.arm64.runnersPerHost, 1);
    assert.equal(settings.pools.arm64.generation, 1);
    assert.equal(settings.pools.arm64.drainTimeoutSeconds, 3600);
    assert.equal(settings.targets.webppt?.path, ".github/workflows/image.yml");
    assert.deepEqual(settings.targets.webppt.build, { context: ".", args: {} });
    assert.equal(settings.targets.webppt.strategy, "hybrid");
    assert.deepEqual(settings.targets.webppt.tags, ["latest", "git-tag", "semver", "sha"]);
    assert.deepEqual(
      [settings.targets.webppt.emit, settings.targets.webppt.delivery],
      ["inline", "commit"],
    );
    assert.deepEqual(settings.targets.webppt.attestations, {
      provenance: "auto",
      github: false,
      cosign: false,
    });
    assert.equal(settings.pools.arm64.dockerSocket, false);
    assert.equal(settings.pools.arm64.buildCache.maxUsedPercent, 60);
    assert.equal(settings.targets.webppt.onDestroy, "keep");
  });

  it("may go without targets and secrets", () => {
    const settings = settingsWith((raw) => {
      Reflect.deleteProperty(raw, "targets");
      Reflect.deleteProperty(raw, "secrets");
    });
    assert.deepEqual([settings.targets, settings.secrets], [{}, {}]);
  });

  const accepted: Record<string, (raw: Raw) => void> = {
    "counts at both ends": (raw) => {
      raw.pools = { one: { ...arm64(raw), count: 1 }, many: { ...arm64(raw), count: 100 } };
      raw.routing = { pool: "many" };
    },
    "one repository at two paths": (raw) =>
      (raw.targets.again = {
        ...webppt(raw),
        repository: "webppt",
        path: ".github/workflows/other.yaml",
      }),
    "images at a registry with a port": (raw) =>
      Object.assign(webppt(raw), {
        image: "localhost:5000/acme/web__ppt.x",
        registry: { username: "acme", passwordSecret: "REGISTRY_PASSWORD" },
      }),
    "an App": (raw) => (raw.githubAuth = app(raw)),
    "the origin's stack": (raw) => {
      raw.tokenService = { implementation: "knatnetwork" };
      arm64(raw).runner = { image: "knatnetwork" };
    },
    "the origin's runner with a token service of an App": (raw) => {
      raw.githubAuth = app(raw);
      arm64(raw).runner = { image: "knatnetwork" };
    },
    "an Enterprise Server": (raw) => (raw.githubUrl = "https://github.example.com:8443"),
    "hosts that nothing reaches into, with an SSH key": (raw) => {
      raw.management = "none";
      raw.ssh.allowedCidrs = [];
    },
    "hosts that nothing reaches into, without": (raw) => {
      raw.management = "none";
      raw.ssh = { publicKey: raw.ssh.publicKey };
    },
    "no reboots": (raw) => (raw.maintenance = { rebootWindow: "never" }),
    "reboots around midnight": (raw) => (raw.maintenance = { rebootWindow: "23:30-00:30" }),
    "mirrors of several registries": (raw) =>
      (raw.registryMirrors = {
        "docker.io": ["mirror.example.com", "10.0.1.200:5000"],
        "localhost:5000": ["m"],
      }),
    ...Object.fromEntries(
      [
        "node",
        "node:24-alpine",
        "localhost:5000/kms",
        "ghcr.io/acme/my_runner.x:v1_2.3-rc",
        `acme/runner:1@sha256:${"0".repeat(64)}`,
        `acme/runner@sha256:${"f".repeat(64)}`,
      ].map((reference) => [
        `the image ${reference}`,
        (raw: Raw) => {
          raw.tokenService = { image: reference };
          arm64(raw).runner = { reference };
        },
      ]),
    ),
    "no pool of our own": (raw) => {
      raw.pools = {};
      Object.assign(raw, { externalPools: { arc: { labels: ["arm64"], group: "arc" } } });
    },
    "callers of a central repository": (raw) => {
      Object.assign(webppt(raw), { emit: "reusable" });
      Object.assign(raw, { reusableWorkflows: { repository: ".github" } });
    },
    "an organization of one character": (raw) => (raw.organization = "a"),
    "IPv6 ranges for SSH": (raw) => (raw.ssh.allowedCidrs = ["2001:db8::/32", "0.0.0.0/0"]),
    "RSA keys with a comment": (raw) => (raw.ssh.publicKey = "ssh-rsa AAAAB3Nza me@example.com"),
  };
  for (const [what, change] of Object.entries(accepted)) {
    it(`accept ${what}`, () => assert.doesNotThrow(() => settingsWith(change)));
  }

  for (const [what, [change, ...problems]] of Object.entries(refused)) {
    it(`refuse ${what}`, () => {
      const raw: Raw = rawSettings();
      change(raw);
      const result = validateSettings(raw, "fleet");
      assert.ok(!result.ok, "the settings are refused");
      assert.deepEqual(result.problems, problems);
    });
  }

  it("refuse what is no block at all", () => {
    assert.deepEqual(validateSettings("acme", "fleet"), {
      ok: false,
      problems: ['fleet: found "acme", expected a block of keys.'],
    });
  });
});

describe("the name of a stack", () => {
  for (const name of ["dev", "a", "prod-eu-1", "a".repeat(20)]) {
    it(`may be ${name}`, () => assert.equal(stackNameProblem(name), undefined));
  }
  for (const name of ["", "Dev", "dev_1", "dev.1", "1dev", "dev-", "a".repeat(21)]) {
    it(`may not be ${JSON.stringify(name)}`, () =>
      assert.equal(
        stackNameProblem(name),
        `The stack is named "${name}", expected 1 to 20 lower-case letters, digits and inner hyphens that start with a letter, since servers are named after it.`,
      ));
  }
});
