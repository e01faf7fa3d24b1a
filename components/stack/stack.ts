import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseDocument } from "yaml";
import type { ApiAccess } from "../config/load";
import { type FleetSettings, stackNameProblem } from "../config/schema";
import { readStackFile } from "../render/stackFile";
import { readText } from "../text/files";
import { type RecordedHost, recordedHosts, recordedResources } from "./recordedHosts";

/** How people name a stack on a command line. */
export interface StackOptions {
  /** Default: the stack that is selected. */
  readonly stack?: string | undefined;
  /** Default: Pulumi.<stack>.yaml in the project's folder. */
  readonly configFile?: string | undefined;
  /** Folder with Pulumi.yaml; default: the current one. */
  readonly folder?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * A stack as commands for people see it: read with the Pulumi CLI, without running the program and without any secret
 * but those that are asked for.
 */
export interface Stack {
  readonly name: string;
  /** Name of the project, which is the namespace of its configuration keys. */
  readonly project: string;
  /** Prefix of everything that is named in the Hetzner project. */
  readonly prefix: string;
  /** Stand-ins are in the place of secrets. */
  readonly settings: FleetSettings;
  readonly hcloud: ApiAccess;
  readonly github: ApiAccess;
  /** `--stack` and, where it is not the default, `--config-file`, for commands of the CLI that take both. */
  readonly options: readonly string[];
  /** Servers that the state has. */
  hosts(): Promise<readonly RecordedHost[]>;
  /** The stack's outputs, empty before the first run; secret ones are left out. */
  outputs(): Promise<Readonly<Record<string, unknown>>>;
  /** One value of the configuration, decrypted, such as ssh.privateKey. */
  secret(path: string): Promise<string>;
  /** What `pulumi ARGS` prints. @throws Error with the CLI's last words. */
  pulumi(args: readonly string[]): Promise<string>;
}

/**
 * @throws Error with one sentence per problem: no CLI, no such stack, or a configuration that is not valid.
 */
export async function openStack(options: StackOptions = {}): Promise<Stack> {
  const folder = options.folder ?? process.cwd();
  const environment = options.environment ?? process.env;
  const pulumi = (args: readonly string[]) => runPulumi(args, folder, environment);
  const name = options.stack ?? (await pulumi(["stack", "--show-name"])).trim();
  const problem = stackNameProblem(name);
  if (problem !== undefined) throw new Error(problem);
  const configFile = options.configFile ?? join(folder, `Pulumi.${name}.yaml`);
  const [projectText, stackText] = await Promise.all([
    readText(join(folder, "Pulumi.yaml"), "the project's file in the current folder"),
    readText(configFile, `the file of a stack named ${name}`),
  ]);
  const found = readStackFile(name, projectText, stackText);
  if (!found.ok) throw new Error(found.problems.join("\n"));

  const config = (parseDocument(stackText).toJS() as { config?: Record<string, unknown> }).config;
  const ofFile = ["--stack", name, ...(options.configFile ? ["--config-file", configFile] : [])];
  const secret = async (path: string) =>
    (await pulumi(["config", "get", "--path", path, ...ofFile])).replace(/\n$/, "");
  /** As the program does: the configuration first, then the environment. */
  const value = async (key: string, variable: string): Promise<string | undefined> => {
    const configured = config?.[key];
    if (configured === undefined) return environment[variable] || undefined;
    return typeof configured === "string" ? configured : secret(key);
  };
  const [hcloudToken, hcloudEndpoint, githubToken, githubEndpoint] = await Promise.all([
    value("hcloud:token", "HCLOUD_TOKEN"),
    value("hcloud:endpoint", "HCLOUD_ENDPOINT"),
    value("github:token", "GITHUB_TOKEN"),
    value("github:baseUrl", "GITHUB_BASE_URL"),
  ]);
  return {
    name,
    project: found.project,
    prefix: name,
    settings: found.settings,
    hcloud: { token: hcloudToken, endpoint: hcloudEndpoint },
    github: { token: githubToken, endpoint: githubEndpoint },
    options: ofFile,
    hosts: async () =>
      recordedHosts(recordedResources(await pulumi(["stack", "export", "--stack", name]))),
    outputs: async () =>
      JSON.parse(await pulumi(["stack", "output", "--json", "--stack", name])) as Record<
        string,
        unknown
      >,
    secret,
    pulumi,
  };
}

/** What is said where the program cannot be started. */
export const NO_PULUMI = "The program pulumi is not on the PATH, expected Pulumi's CLI there.";

const execute = promisify(execFile);

/** State of a large fleet is some megabytes of JSON. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** What `pulumi ARGS` prints. @throws Error in one sentence with the CLI's last words. */
export async function runPulumi(
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  try {
    const { stdout } = await execute("pulumi", [...args, "--non-interactive"], {
      cwd,
      env,
      maxBuffer: MAX_OUTPUT_BYTES,
    });
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    if (code === "ENOENT") {
      throw new Error(NO_PULUMI, { cause: error });
    }
    const said =
      (stderr ?? "")
        .trim()
        .split("\n")
        .at(-1)
        ?.replace(/^error: /, "") ?? "";
    throw new Error(`pulumi ${args.slice(0, 2).join(" ")} fails: ${said}`, { cause: error });
  }
}
