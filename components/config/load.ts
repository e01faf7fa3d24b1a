import * as pulumi from "@pulumi/pulumi";
import { readRefusals, type Refusal, REFUSALS_FILE } from "../host/refusals";
import type { GithubCredential } from "../tokenService/stack";
import { type FleetSettings, stackNameProblem, validateSettings } from "./schema";
import { userError } from "./userError";

/** A stack's settings with every secret as a secret Output, and how to reach the two APIs. */
export interface FleetConfig {
  /** Prefix of everything that is named in the Hetzner project: the stack's name. */
  readonly prefix: string;
  readonly settings: FleetSettings;
  /** What the token service signs in to GitHub with. */
  readonly credential: pulumi.Output<GithubCredential>;
  /** There at least where management is ssh. */
  readonly sshPrivateKey: pulumi.Output<string> | undefined;
  readonly orgSecrets: Readonly<Record<string, pulumi.Output<string>>>;
  readonly hcloud: ApiAccess & {
    readonly pollInterval: string | undefined;
    /** Whether the token stands in the configuration, rather than in the environment of each run. */
    readonly tokenIsConfigured: boolean;
  };
  readonly github: ApiAccess & {
    readonly writeDelayMs: number | undefined;
    /** Whether the token stands in the configuration, rather than in the environment of each run. */
    readonly tokenIsConfigured: boolean;
  };
}

/** Where an API is and what opens it; `token` is plain because the checks before the first resource need it. */
export interface ApiAccess {
  readonly token: string | undefined;
  readonly endpoint: string | undefined;
}

/**
 * Reads and checks the whole configuration; the only reader of `pulumi.Config`.
 * @throws pulumi.RunError with one sentence per problem.
 */
export function loadConfig(): FleetConfig {
  const namespace = pulumi.getProject();
  const own = new pulumi.Config();
  const raw: Record<string, unknown> = {};
  for (const key of Object.keys(pulumi.runtime.allConfig())) {
    const [owner, name] = [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)];
    if (owner === namespace) raw[name] = readValue(own, name);
  }
  const validated = validateSettings(raw, namespace);
  const problems = [
    stackNameProblem(pulumi.getStack()),
    ...(validated.ok
      ? [
          ...plainTextSecrets(validated.settings, namespace, process.env.PULUMI_CONFIG_SECRET_KEYS),
          ...misleadingEnvironment(validated.settings.organization, process.env),
        ]
      : validated.problems),
  ].filter((problem) => problem !== undefined);
  if (!validated.ok || problems.length > 0) throw userError(problems.join("\n"));
  const { settings } = validated;

  const hcloud = new pulumi.Config("hcloud");
  const github = new pulumi.Config("github");
  return {
    prefix: pulumi.getStack(),
    settings,
    credential: pulumi.secret<GithubCredential>(settings.githubAuth),
    sshPrivateKey:
      settings.ssh.privateKey === undefined ? undefined : pulumi.secret(settings.ssh.privateKey),
    orgSecrets: Object.fromEntries(
      Object.entries(settings.secrets).map(([name, one]) => [name, pulumi.secret(one.value)]),
    ),
    hcloud: {
      token: hcloud.get("token") ?? process.env.HCLOUD_TOKEN,
      endpoint: hcloud.get("endpoint") ?? process.env.HCLOUD_ENDPOINT,
      pollInterval: hcloud.get("pollInterval"),
      tokenIsConfigured: hcloud.get("token") !== undefined,
    },
    github: {
      token: github.get("token") ?? process.env.GITHUB_TOKEN,
      endpoint: github.get("baseUrl") ?? process.env.GITHUB_BASE_URL,
      writeDelayMs: github.getNumber("writeDelayMs"),
      tokenIsConfigured: github.get("token") !== undefined,
    },
  };
}

/**
 * Orders that earlier runs of the same command were refused.
 * @throws pulumi.RunError with one sentence where the file that the environment names cannot be read.
 */
export function loadRefusals(): Refusal[] {
  try {
    return readRefusals(process.env[REFUSALS_FILE]);
  } catch (error) {
    throw userError((error as Error).message);
  }
}

/**
 * Secrets that stand in the stack's file for all to read.
 * @param secretKeys JSON list of the keys that hold an encrypted value, as the CLI hands it to the program
 */
export function plainTextSecrets(
  settings: FleetSettings,
  namespace: string,
  secretKeys: string | undefined,
): string[] {
  if (secretKeys === undefined) return [];
  const encrypted = JSON.parse(secretKeys) as string[];
  const { githubAuth, ssh } = settings;
  const secrets = [
    {
      block: "githubAuth",
      key: githubAuth.kind === "pat" ? "githubAuth.token" : "githubAuth.privateKey",
    },
    ...(ssh.privateKey === undefined ? [] : [{ block: "ssh", key: "ssh.privateKey" }]),
    ...Object.keys(settings.secrets)
      .slice(0, 1)
      .map((name) => ({ block: "secrets", key: `secrets.${name}.value` })),
  ];
  return secrets
    .filter(({ block }) => !encrypted.includes(`${namespace}:${block}`))
    .map(
      ({ key }) =>
        `${namespace}:${key}: found in plain text, expected a secret, as \`pulumi config set --secret --path ${key}\` makes it from standard input.`,
    );
}

/** Variables that the GitHub provider prefers to what it is given: it would then write to another organization. */
export function misleadingEnvironment(
  organization: string,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  return ["GITHUB_OWNER", "GITHUB_ORGANIZATION"].flatMap((name) => {
    const value = environment[name];
    return value === undefined || value.toLowerCase() === organization.toLowerCase()
      ? []
      : [
          `${name}: found ${JSON.stringify(value)}, expected nothing or ${organization}, since the GitHub provider prefers this variable to the configured organization.`,
        ];
  });
}

/** Configuration values are JSON where they are structured and bare text where they are not, even if it looks like JSON. */
function readValue(config: pulumi.Config, name: string): unknown {
  try {
    const value = config.getObject<unknown>(name);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Not JSON, so it is bare text.
  }
  return config.get(name);
}
