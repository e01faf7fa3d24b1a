import { z } from "zod";
import { canaryPath, isCanaryPath } from "../canary/path";
import { RUNNER_VERSION } from "../pins/pins";
import { isNetworkAddress, parseCidr } from "./cidr";
import { githubServerUrl } from "./githubUrl";

/**
 * The configuration of a fleet, as written in `Pulumi.<stack>.yaml`. Pure: nothing here touches Pulumi, so every rule
 * can be tested with a table. `load.ts` is the only reader of the real configuration.
 */

/** Servers of one pool: more would be one mistyped digit away from a large bill. */
export const MAX_HOSTS_PER_POOL = 100;
export const MAX_RUNNERS_PER_HOST = 16;
export const GITHUB_URL = "https://github.com";

const hostNamePart = z.string().regex(/^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$/, {
  error:
    "a name of 1 to 32 lower-case letters, digits and inner hyphens that starts with a letter, since servers are named after it",
});

const repositoryName = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/, {
  error: "the name of a repository of the organization, without the organization",
});

/** A runner label, or the name of a runner group: both stand unquoted in a command line of the runner image. */
const label = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, {
  error: "a name of 1 to 100 letters, digits, dots, underscores and hyphens",
});

/** Hetzner refuses a range that is not written with its first address. */
const cidr = z.string().refine(
  (text) => {
    const range = parseCidr(text);
    return range !== undefined && isNetworkAddress(range);
  },
  {
    error:
      "an IPv4 or IPv6 range in CIDR notation that begins with its first address, such as 203.0.113.4/32",
  },
);

/** GitHub's rule for the names of secrets and variables. */
const secretName = z.string().regex(/^(?!GITHUB_)[A-Z_][A-Z0-9_]*$/i, {
  error:
    "a name of letters, digits and underscores that starts neither with a digit nor with GITHUB_, as GitHub requires",
});

const imageReference = z
  .string()
  .regex(/^[a-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*(:[\w.-]{1,128})?(@sha256:[0-9a-f]{64})?$/, {
    error: "the name of an image, with its tag and, better, its digest",
  });

const pemKey = z
  .string()
  .regex(/^-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]+-----END [A-Z ]*PRIVATE KEY-----\s*$/, {
    error: "a private key in PEM or OpenSSH form",
  });

const secretText = z.string().min(1, { error: "a text that is not empty" });

const githubAuth = z.discriminatedUnion(
  "kind",
  [
    z.strictObject({
      kind: z.literal("pat"),
      /** Personal access token (classic: `admin:org`) that the token service trades for registration tokens. */
      token: secretText,
    }),
    z.strictObject({
      kind: z.literal("app"),
      /** Numbers of a GitHub App with "Self-hosted runners: write" and of its installation in the organization. */
      appId: z.int().min(1),
      installationId: z.int().min(1),
      privateKey: pemKey,
    }),
  ],
  {
    error: (issue) =>
      issue.code === "invalid_union"
        ? "the kind app or pat"
        : "a block with the key kind, and token, or appId, installationId and privateKey",
  },
);

const runnerGroup = z.strictObject({
  name: label.default("arm64"),
  /** Repositories whose jobs the group takes; default: the repositories of all targets. */
  repositories: z.array(repositoryName).min(1).optional(),
  /** Takes jobs of the workflows that targets call alone, whose files no pull request changes. */
  restrictToWorkflows: z.boolean().default(false),
});

const orgSecret = z.strictObject({
  value: secretText,
  /** Repositories that see the secret; default: the repositories of all targets. */
  repositories: z.array(repositoryName).min(1).optional(),
});

const routing = z.strictObject({
  /** `repository` where organization variables do not reach: private repositories on GitHub's Free plan. */
  level: z.enum(["organization", "repository"]).default("organization"),
  variable: secretName.default("ARM64_RUNS_ON"),
  /** Label of GitHub's own arm64 runners, which take the job when the variable is absent. */
  hostedFallback: label.default("ubuntu-24.04-arm"),
  /** The pool that the variable points to; may be left out when there is one pool only. */
  pool: hostNamePart.optional(),
});

/** Runners that this program does not run but routes to, such as those of an actions-runner-controller on Kubernetes. */
const externalPool = z
  .strictObject({
    /** Name of a runner scale set, which is the one label of its runners. */
    scaleSet: label.optional(),
    labels: z.array(label).min(1).optional(),
    /** Runner group to take runners with these labels from; default: any that the repository may use. */
    group: label.optional(),
  })
  .refine(
    ({ scaleSet, labels, group }) =>
      (scaleSet === undefined) !== (labels === undefined) &&
      (group === undefined || labels !== undefined),
    { error: "either scaleSet, or labels and, if wanted, group" },
  );

/** Names in order of preference. */
const preferences = (what: string) =>
  z
    .array(z.string().min(1))
    .min(1, { error: `at least one ${what}` })
    .refine((names) => new Set(names).size === names.length, { error: `each ${what} once` });

const pool = z.strictObject({
  /** Hetzner server types, the best first. A living host keeps its type as long as it is one of them. */
  serverTypes: preferences("server type"),
  /** Hetzner locations, the best first. A living host stays where it is. */
  locations: preferences("location"),
  count: z
    .int()
    .min(1, { error: `a whole number from 1 to ${MAX_HOSTS_PER_POOL}` })
    .max(MAX_HOSTS_PER_POOL, { error: `a whole number from 1 to ${MAX_HOSTS_PER_POOL}` }),
  runnersPerHost: z
    .int()
    .min(1, { error: `a whole number from 1 to ${MAX_RUNNERS_PER_HOST}` })
    .max(MAX_RUNNERS_PER_HOST, { error: `a whole number from 1 to ${MAX_RUNNERS_PER_HOST}` })
    .default(1),
  /** Labels beside the automatic self-hosted, Linux and ARM64. */
  labels: z.array(label).min(1),
  /** Raising it replaces every host of the pool: new ones first, then the old ones are drained and deleted. */
  generation: z.int().min(1).default(1),
  /** How many hosts of a new generation one run may make beside those that they replace; default: all at once. */
  maxSurge: z.int().min(1, { error: "a whole number of at least 1" }).optional(),
  /**
   * Takes the pool out of use: with routing to it, jobs run on the hosted fallback. `keep`: its hosts stay. `delete`: they
   * are drained and deleted.
   */
  paused: z
    .union([z.literal(false), z.enum(["keep", "delete"])], { error: "false, keep or delete" })
    .default(false),
  /** What the runners are. */
  runner: z
    .strictObject({
      /** `actions-runner`: GitHub's own, registered just in time. `knatnetwork`: by a registration token. */
      image: z.enum(["actions-runner", "knatnetwork"]).default("actions-runner"),
      /** Release of GitHub's runner program. */
      version: z
        .string()
        .regex(/^\d+\.\d+\.\d+$/, { error: "a version such as 2.338.0" })
        .default(RUNNER_VERSION),
      /** Another image that honours the same contract, such as a mirror or one with more tools in it. */
      reference: imageReference.optional(),
    })
    .prefault({}),
  /** Mounts the host's Docker socket into the runners. Jobs build without it; with it they are root on the host. */
  dockerSocket: z.boolean().default(false),
  /** The BuildKit daemon of each host, which the jobs of all its runners share. */
  buildCache: z
    .strictObject({
      /** Part of the disk that the cache may fill, in percent. */
      maxUsedPercent: z.int().min(10).max(90).default(60),
    })
    .prefault({}),
  /** How long a host that is drained waits for running jobs, in seconds. */
  drainTimeoutSeconds: z.int().min(10).max(86_400).default(3_600),
  /** Added to what the servers run at first boot. Living servers are not touched by a change. */
  cloudInit: z
    .strictObject({
      packages: z.array(z.string().min(1)).default([]),
      runcmd: z.array(z.string().min(1)).default([]),
    })
    .prefault({}),
});

const tokenService = z.strictObject({
  /** `dedicated`: a small server of its own in the private network. `colocated`: on every runner host. */
  placement: z.enum(["dedicated", "colocated"]).default("dedicated"),
  /** `builtin`: this project's. `knatnetwork`: the image `knatnetwork/github-runner-kms`, which knows no password. */
  implementation: z.enum(["builtin", "knatnetwork"]).default("builtin"),
  /** Another image: of Node for `builtin`, of the service itself for `knatnetwork`. */
  image: imageReference.optional(),
  serverType: z.string().min(1).default("cax11"),
  /** Location of the dedicated server; default: the first location of the first pool where it can be ordered. */
  location: z.string().min(1).optional(),
});

const network = z
  .strictObject({
    ipRange: cidr.default("10.0.0.0/16"),
    subnet: cidr.default("10.0.1.0/24"),
    zone: z.string().min(1).default("eu-central"),
  })
  .prefault({});

const ssh = z.strictObject(
  {
    /** OpenSSH public key line. */
    publicKey: z
      .string()
      // Hetzner trims it, and a key that differs from what is there would be replaced at every run.
      .trim()
      .regex(/^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/=]+( .*)?$/, {
        error: "an OpenSSH public key line such as `ssh-ed25519 AAAA… comment`",
      }),
    /** The private key that belongs to it, in PEM or OpenSSH form. */
    privateKey: pemKey.optional(),
    /** Ranges that may reach SSH on the hosts, this program's own address among them. */
    allowedCidrs: z.array(cidr).default([]),
    port: z.int().min(1).max(65_535).default(22),
  },
  { error: "a block with the keys publicKey, privateKey and allowedCidrs" },
);

const WINDOW = /^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/;

const maintenance = z.strictObject({
  /** Time of day, in UTC, in which a host that has to reboot for an update is drained and rebooted; or `never`. */
  rebootWindow: z
    .string()
    .refine(
      (text) => text === "never" || (WINDOW.test(text) && text.slice(0, 5) !== text.slice(6)),
      {
        error: "never, or a time of day in UTC such as 03:00-05:00",
      },
    )
    .default("03:00-05:00"),
});

/** Host and port of a registry, such as docker.io. */
const registryHost = z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/, {
  error: "a registry's host name, with a port if need be, without a scheme",
});

/** Which git refs and commits become tags of the image. */
export const TAG_RULES = ["latest", "branch", "git-tag", "semver", "sha"] as const;
export const SEVERITIES = ["LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;

const build = z.strictObject({
  /** Folder of the repository that the build sees. */
  context: z.string().min(1).default("."),
  /** Path from the repository's root; default: Dockerfile in the context. */
  dockerfile: z.string().min(1).optional(),
  /** Stage to build; default: the last one. */
  target: z.string().min(1).optional(),
  /** Build arguments. Provenance publishes them: secrets do not belong here. */
  args: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
        error: "a name of letters, digits and underscores that does not start with a digit",
      }),
      z.string(),
    )
    .default({}),
});

const scan = z.strictObject({
  /** On pull requests, before an image is published, or both. */
  on: z.enum(["pull-request", "publish", "both"]).default("both"),
  /** Findings of these severities fail the job. */
  severity: z.array(z.enum(SEVERITIES)).min(1).default(["HIGH", "CRITICAL"]),
  /** Passes over findings that no new version mends yet. */
  ignoreUnfixed: z.boolean().default(true),
});

const attestations = z.strictObject({
  /** `auto`: in full for public repositories, without build arguments for private ones. */
  provenance: z.enum(["auto", "max", "min"]).default("auto"),
  /** Attests the published index with GitHub as well; private repositories need GitHub Enterprise Cloud. */
  github: z.boolean().default(false),
  /** Signs the published index with cosign, keyless; the repository's name goes into the public log of Sigstore. */
  cosign: z.boolean().default(false),
});

/** GitHub evaluates no expression where a workflow names branches. */
const branch = z.string().regex(/^(?!.*\$\{\{).+$/, { error: "the name of a branch" });

const target = z.strictObject({
  /** Repository of the organization; default: the target's name. */
  repository: repositoryName.optional(),
  /**
   * How the image is built. `amd64`: one job, amd64 only. `qemu`: one hosted job emulates arm64. `hosted-arm`: both
   * natively on hosted runners. `hybrid`: arm64 on the pool that `routing` names, amd64 on a hosted runner.
   */
  strategy: z.enum(["amd64", "qemu", "hosted-arm", "hybrid"]).default("hybrid"),
  /** Image name with registry, without tag, e.g. ghcr.io/acme/webppt. */
  image: z
    .string()
    .regex(/^(?=localhost[:/]|[^/]*[.:])[a-z0-9.-]+(:\d+)?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+$/, {
      error:
        "an image name in lower case with its registry and without a tag, such as ghcr.io/acme/webppt",
    }),
  /** Tags of the published image, by rule. */
  tags: z.array(z.enum(TAG_RULES)).min(1).default(["latest", "git-tag", "semver", "sha"]),
  build: build.prefault({}),
  /** What has to succeed before an image is built, on a hosted runner. */
  test: z
    .strictObject({
      /** Bash, run in the root of the checked out repository. */
      command: z.string().min(1),
    })
    .optional(),
  /** Scan of the image for known vulnerabilities; default: none. */
  scan: scan.optional(),
  attestations: attestations.prefault({}),
  /** Branch whose pushes publish `latest` and that the workflow is delivered to; default: the default branch. */
  branch: branch.optional(),
  path: z
    .string()
    .regex(/^\.github\/workflows\/[A-Za-z0-9._-]+\.ya?ml$/, {
      error: "a file directly in .github/workflows/ that ends in .yml or .yaml",
    })
    .default(".github/workflows/image.yml"),
  /** `inline`: the whole workflow in the repository. `reusable`: a short caller of the one in `reusableWorkflows`. */
  emit: z.enum(["inline", "reusable"]).default("inline"),
  /** `commit`: straight to the branch. `pullRequest`: proposed on a branch of its own, for people to merge. */
  delivery: z.enum(["commit", "pullRequest"]).default("commit"),
  /** Registry credentials; without them ghcr.io is used with the job's own token. */
  registry: z
    .strictObject({
      username: z.string().min(1),
      /** Name of the secret that holds the password. */
      passwordSecret: secretName,
    })
    .optional(),
  /** Whether destroying the stack leaves the workflow, which then builds arm64 on the hosted fallback. */
  onDestroy: z.enum(["keep", "remove"]).default("keep"),
});

const budget = z.strictObject({
  /** What all servers together may cost a month, IPv4 addresses included, without value-added tax; default: no limit. */
  monthlyEur: z.number().positive({ error: "a number above 0" }).optional(),
});

const runnerLife = z.strictObject({
  /** How long before GitHub stops serving a pool's version of the runner program people are warned, in days. */
  warnDays: z.int().min(0).max(365).default(30),
});

/** A job that has to succeed on each new host before the hosts go that it replaces, and before jobs are routed to it. */
const canary = z.strictObject({
  /** Private repository of the organization that gets the job's workflow, on its default branch; default: no canary. */
  repository: repositoryName.optional(),
});

/** Where the workflows lie that targets with `emit: reusable` call. */
const reusableWorkflows = z.strictObject({
  /** Repository of the organization, such as `.github`; needed when a target calls one of them. */
  repository: repositoryName.optional(),
  /** Branch that holds them; default: the default branch. */
  branch: branch.optional(),
});

const unchecked = z.strictObject({
  organization: z.string().regex(/^(?=.{1,39}$)[A-Za-z0-9]+(-[A-Za-z0-9]+)*$/, {
    error: "the login of a GitHub organization",
  }),
  /** Where GitHub is: github.com, a tenant of ghe.com, or an Enterprise Server. */
  githubUrl: z
    .string()
    .refine((text) => /^https:\/\/[a-z0-9.-]+(:\d{1,5})?$/.test(text) && URL.canParse(text), {
      error: "the address of a GitHub server such as https://github.example.com, without a path",
      abort: true,
    })
    // Runners register there.
    .refine((text) => githubServerUrl(new URL(text)) === text, {
      error:
        "the address of the GitHub server itself, not of its API, and without the port of https",
    })
    .default(GITHUB_URL),
  githubAuth,
  runnerGroup: runnerGroup.prefault({}),
  secrets: z.record(secretName, orgSecret).default({}),
  routing: routing.prefault({}),
  pools: z.record(hostNamePart, pool).default({}),
  externalPools: z.record(hostNamePart, externalPool).default({}),
  tokenService: tokenService.prefault({}),
  network,
  ssh,
  /** `ssh`: hosts are changed in place. `none`: nothing reaches into them; a change is a roll. */
  management: z.enum(["ssh", "none"]).default("ssh"),
  maintenance: maintenance.prefault({}),
  budget: budget.prefault({}),
  runnerLife: runnerLife.prefault({}),
  canary: canary.prefault({}),
  /** Registries to ask before the one in the key, which Docker knows for docker.io alone and BuildKit for any. */
  registryMirrors: z.record(registryHost, z.array(registryHost).min(1)).default({}),
  targets: z.record(z.string().min(1), target).default({}),
  reusableWorkflows: reusableWorkflows.prefault({}),
});

export const fleetSchema = unchecked.superRefine((fleet, context) => {
  const problem = (path: string[], input: unknown, message: string) =>
    context.addIssue({ code: "custom", path, input, message });
  const pools = [...Object.keys(fleet.pools), ...Object.keys(fleet.externalPools)];
  for (const name of Object.keys(fleet.externalPools).filter((name) => name in fleet.pools)) {
    problem(["externalPools", name], name, "a name that is not that of one of the pools as well");
  }
  if (pools.length === 0) {
    problem(["pools"], fleet.pools, "at least one pool, here or in externalPools");
    return;
  }
  const routed = fleet.routing.pool;
  if (routed === undefined ? pools.length > 1 : !pools.includes(routed)) {
    context.addIssue({
      code: "custom",
      path: ["routing", "pool"],
      input: routed,
      message: `one of the pools ${pools.join(", ")}`,
    });
  }
  checkHosts(fleet, problem);
  const proving = fleet.canary.repository;
  if (proving !== undefined && Object.keys(fleet.pools).length === 0) {
    const path = ["canary", "repository"];
    problem(path, proving, "nothing, since pools has no host that it could prove");
  }
  const secrets = Object.keys(fleet.secrets);
  for (const [index, name] of secrets.entries()) {
    const same = (other: string) => other.toUpperCase() === name.toUpperCase();
    if (secrets.findIndex(same) < index) {
      context.addIssue({
        code: "custom",
        path: ["secrets", name],
        input: name,
        message: `a name that differs from ${secrets.find(same)} by more than case, which GitHub ignores`,
      });
    }
  }
  const seen = new Map<string, string>();
  for (const [name, one] of Object.entries(fleet.targets)) {
    const repository = one.repository ?? name;
    if (!repositoryName.safeParse(repository).success) {
      context.addIssue({
        code: "custom",
        path: ["targets", name],
        input: name,
        message:
          "the name of a repository of the organization, or a key `repository` that gives it",
      });
    }
    const [registry, ...imagePath] = one.image.split("/");
    const needsLogin = imagePath.length > 0 && registry !== "ghcr.io";
    if (needsLogin && one.registry === undefined) {
      context.addIssue({
        code: "custom",
        path: ["targets", name, "registry"],
        input: undefined,
        message: `a username and a passwordSecret, since ${registry} does not take the job's own token as ghcr.io does`,
      });
    }
    if (one.emit === "reusable" && fleet.reusableWorkflows.repository === undefined) {
      problem(
        ["reusableWorkflows", "repository"],
        undefined,
        `the name of a repository of the organization, since targets.${name} calls a workflow that lies there`,
      );
    }
    if (repository.toLowerCase() === proving?.toLowerCase() && isCanaryPath(one.path)) {
      problem(
        ["targets", name, "path"],
        one.path,
        `another path, since canaries have their workflows at ${canaryPath("STACK")} in ${repository}`,
      );
    }
    const file = `${repository.toLowerCase()}/${one.path}`;
    const other = seen.get(file);
    if (other === undefined) {
      seen.set(file, name);
    } else {
      context.addIssue({
        code: "custom",
        path: ["targets", name],
        input: repository,
        message: `a repository and path that no other target has, but target ${other} writes ${one.path} there already`,
      });
    }
  }
});

/** What the choices for own hosts ask of each other. */
function checkHosts(
  fleet: Pick<
    z.output<typeof unchecked>,
    "ssh" | "management" | "tokenService" | "githubAuth" | "githubUrl" | "pools"
  >,
  problem: (path: string[], input: unknown, message: string) => void,
): void {
  const { ssh, management, tokenService, githubAuth, githubUrl, pools } = fleet;
  if (management === "ssh" && ssh.privateKey === undefined) {
    problem(
      ["ssh", "privateKey"],
      undefined,
      "a private key in PEM or OpenSSH form, since management is ssh",
    );
  }
  if (management === "ssh" && ssh.allowedCidrs.length === 0) {
    problem(
      ["ssh", "allowedCidrs"],
      ssh.allowedCidrs,
      "at least one range, since this program manages the hosts over SSH and nothing else may open the port",
    );
  }
  if (management === "none" && ssh.allowedCidrs.length > 0) {
    problem(
      ["ssh", "allowedCidrs"],
      ssh.allowedCidrs,
      "no range, since management is none and nothing opens the port",
    );
  }
  if (tokenService.implementation === "knatnetwork" && githubAuth.kind !== "pat") {
    problem(
      ["githubAuth", "kind"],
      githubAuth.kind,
      "pat, the only kind that tokenService.implementation knatnetwork knows",
    );
  }
  if (githubUrl === GITHUB_URL) return;
  if (tokenService.implementation === "knatnetwork") {
    problem(
      ["tokenService", "implementation"],
      tokenService.implementation,
      `builtin, since knatnetwork knows ${GITHUB_URL} only`,
    );
  }
  for (const [name, { runner }] of Object.entries(pools)) {
    if (runner.image !== "knatnetwork") continue;
    problem(
      ["pools", name, "runner", "image"],
      runner.image,
      `actions-runner, since knatnetwork knows ${GITHUB_URL} only`,
    );
  }
}

export type FleetSettings = z.output<typeof fleetSchema>;
export type PoolSettings = FleetSettings["pools"][string];
export type TargetSettings = FleetSettings["targets"][string];

/** Server names start with it and have 63 characters at most: pool, generation and number follow. */
const prefix = z.string().regex(/^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$/);

/** What is wrong with the name of a stack as the prefix of everything in the Hetzner project, as one sentence. */
export function stackNameProblem(stack: string): string | undefined {
  return prefix.safeParse(stack).success
    ? undefined
    : `The stack is named ${show(stack)}, expected 1 to 20 lower-case letters, digits and inner hyphens that start with a letter, since servers are named after it.`;
}

/** Keys whose values are never shown, nor what is written in place of a block that holds one. */
const SECRET_KEYS = new Set(["token", "value", "privateKey"]);
const SECRET_BLOCKS = /^(githubAuth|ssh|secrets(\.[^.]+)?)$/;

export type Validated =
  | { readonly ok: true; readonly settings: FleetSettings }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Checks raw configuration; every problem is one sentence with the key, what was found and what is expected. */
export function validateSettings(raw: unknown, namespace: string): Validated {
  const result = fleetSchema.safeParse(raw, { reportInput: true });
  if (result.success) return { ok: true, settings: result.data };
  const { issues } = result.error;
  return {
    ok: false,
    problems: issues
      .filter((issue) => !isExplained(issue, issues))
      .flatMap((issue) => describe(issue, namespace)),
  };
}

/** Keys of a pool that were one name each, and the lists in their place. */
const RENAMED: Readonly<Record<string, string>> = {
  serverType: "serverTypes",
  location: "locations",
};

const isPool = (path: readonly PropertyKey[]) => path.length === 2 && path[0] === "pools";

/** Whether a list is missing because its former key stands there, which another issue says. */
function isExplained({ path, input }: z.core.$ZodIssue, all: readonly z.core.$ZodIssue[]): boolean {
  if (input !== undefined || path.length !== 3 || !isPool(path.slice(0, 2))) return false;
  return all.some(
    (other) =>
      other.code === "unrecognized_keys" &&
      other.path.join(".") === path.slice(0, 2).join(".") &&
      other.keys.some((name) => RENAMED[name] === path[2]),
  );
}

function describe(issue: z.core.$ZodIssue, namespace: string): string[] {
  const key = (path: readonly PropertyKey[]) =>
    path.length === 0 ? namespace : `${namespace}:${path.map(String).join(".")}`;
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => {
      const list = isPool(issue.path) && Object.hasOwn(RENAMED, name) ? RENAMED[name] : undefined;
      return list === undefined
        ? `${key([...issue.path, name])} is not a configuration key.`
        : `${key([...issue.path, name])}: found a key of former releases, expected ${list}, a list with the best first.`;
    });
  }
  if (issue.code === "invalid_key") {
    const expected = issue.issues[0]?.message ?? "another name";
    return [`${key(issue.path)}: found the name ${show(issue.path.at(-1))}, expected ${expected}.`];
  }
  const input =
    issue.code === "invalid_union" && issue.discriminator !== undefined
      ? (issue.input as Readonly<Record<string, unknown>>)[issue.discriminator]
      : issue.input;
  const secret =
    SECRET_KEYS.has(String(issue.path.at(-1))) ||
    (issue.code === "invalid_type" && SECRET_BLOCKS.test(issue.path.join("."))) ||
    (typeof input === "string" && input.includes("PRIVATE KEY"));
  const found =
    input === undefined ? "nothing" : secret ? "a value that is not shown here" : show(input);
  return [`${key(issue.path)}: found ${found}, expected ${expectation(issue)}.`];
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.message.startsWith("Invalid input")
        ? (NAMES_OF_TYPES[issue.expected] ?? issue.expected)
        : issue.message;
    case "invalid_value":
      return issue.values.map(String).join(" or ");
    case "invalid_union":
      return issue.message;
    case "too_small":
      return issue.message.startsWith("Too small") ? `at least ${issue.minimum}` : issue.message;
    case "too_big":
      return issue.message.startsWith("Too big") ? `at most ${issue.maximum}` : issue.message;
    default:
      return issue.message;
  }
}

const NAMES_OF_TYPES: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a block of keys",
  record: "a block of keys",
};

function show(value: unknown): string {
  // Blocks and lists are not printed: a secret may stand in them.
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) {
    return Object.keys(value).length === 0 ? "an empty block" : "a block of keys";
  }
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
