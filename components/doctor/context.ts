import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { FleetSettings } from "../config/schema";
import type { ApiTarget } from "../host/request";
import type { Api } from "../preflight/api";
import { checkFleet, type Verdict } from "../preflight/check";
import { githubObstacle, hetznerObstacle } from "../preflight/obstacles";
import {
  type Findings,
  type GitHubFacts,
  githubApi,
  githubBase,
  hetznerApi,
  hetznerBase,
  type HetznerFacts,
  orObstacle,
  readFacts,
} from "../preflight/facts";
import { userDataSizes } from "../render/userData";
import { placeFleet } from "../runnerPool/placement";
import { type RecordedHost, recordedHosts } from "../stack/recordedHosts";
import { type RecordedResource, recordedResources } from "../stack/recordedHosts";
import { openStack, type Stack, type StackOptions } from "../stack/stack";
import { problem, UnavailableError } from "./check";
import { readServers, type Server } from "./hetznerProject";
import {
  type ListedRunner,
  readRunners,
  readRunnerGroups,
  type RunnerGroup,
} from "./githubOrganization";

/** What checks look at. Each thing is read once, when it is first asked for; what cannot be had is an UnavailableError. */
export interface Context {
  readonly environment: NodeJS.ProcessEnv;
  /** What a program prints on either stream. @throws Error with its last words, or that it is not there. */
  readonly printed: (program: string, args: readonly string[]) => Promise<string>;
  readonly pause: (milliseconds: number) => Promise<void>;
  readonly stack: () => Promise<Stack>;
  /** With the secrets that the checks have to look into. */
  readonly settings: () => Promise<FleetSettings>;
  readonly findings: () => Promise<Findings>;
  readonly hetznerFacts: () => Promise<HetznerFacts | undefined>;
  readonly githubFacts: () => Promise<GitHubFacts>;
  /** What the program itself would say before its first resource. */
  readonly verdict: () => Promise<Verdict>;
  /** An API that answers and takes the token, and how far its clock is ahead of this machine's, in seconds. */
  readonly hetzner: () => Promise<Connection>;
  readonly github: () => Promise<Connection>;
  readonly recorded: () => Promise<Recorded>;
  /** The stack's outputs, empty before the first run; secret ones cannot be read. */
  readonly outputs: () => Promise<Readonly<Record<string, unknown>>>;
  /** Servers with the stack's labels. */
  readonly servers: () => Promise<readonly Server[]>;
  readonly runners: () => Promise<readonly ListedRunner[]>;
  /** As they are now. */
  readonly readRunnersAgain: () => Promise<readonly ListedRunner[]>;
  readonly runnerGroups: () => Promise<readonly RunnerGroup[]>;
}

export interface Connection {
  readonly api: Api;
  /** For requests that write. */
  readonly target: ApiTarget;
  /** Undefined where the answer had no date. */
  readonly secondsAhead: number | undefined;
}

/** What a stack's state has. */
export interface Recorded {
  readonly hosts: readonly RecordedHost[];
  readonly resources: readonly RecordedResource[];
}

const execute = promisify(execFile);
const TOOL_TIMEOUT_MS = 20_000;

export function createContext(options: StackOptions = {}): Context {
  const environment = options.environment ?? process.env;
  const cwd = options.folder ?? process.cwd();
  const stack = once(async () => {
    try {
      return await openStack(options);
    } catch (error) {
      throw new UnavailableError("stack", "the stack", stackFindings(error));
    }
  });
  const settings = once(async () => withSecrets(await stack()));
  const findings = once(async () => {
    const { prefix, hcloud, github } = await stack();
    return readFacts({ prefix, settings: await settings(), hcloud, github });
  });
  const recorded = once(async () => {
    const opened = await stack();
    const text = await opened
      .pulumi(["stack", "export", "--stack", opened.name])
      .catch((error: Error) => Promise.reject(neverMade(error, opened) ?? error));
    const resources = recordedResources(text);
    return { hosts: recordedHosts(resources), resources };
  });
  const outputs = async () => {
    const { resources } = await recorded();
    return resources.find(({ type }) => type === "pulumi:pulumi:Stack")?.outputs ?? {};
  };
  const hetzner = once(async () => {
    const { hcloud } = await stack();
    const found = await orObstacle(async () => {
      const api = hetznerApi(hcloud);
      return { api, secondsAhead: await secondsAhead(api, "/locations?per_page=1", [200]) };
    });
    if ("obstacle" in found) throw hetznerUnavailable(hetznerObstacle(found));
    const baseUrl = hetznerBase(hcloud.endpoint);
    return { ...found, target: { name: "Hetzner", baseUrl, token: hcloud.token ?? "" } };
  });
  const github = once(async () => {
    const { github: access, settings: bare, project } = await stack();
    const found = await orObstacle(async () => {
      const api = githubApi(access);
      // An Enterprise Server without limits has no such page.
      return { api, secondsAhead: await secondsAhead(api, "/rate_limit", [200, 404]) };
    });
    if ("obstacle" in found) {
      throw githubUnavailable(githubObstacle(found, bare.githubUrl, project));
    }
    const baseUrl = githubBase(access.endpoint);
    return { ...found, target: { name: "GitHub", baseUrl, token: access.token ?? "" } };
  });
  const runners = async () => readRunners((await github()).api, await organization());
  const organization = async () => encodeURIComponent((await stack()).settings.organization);
  return {
    environment,
    printed: async (program, args) => printed(program, args, cwd, environment),
    pause: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
    stack,
    settings,
    findings,
    hetznerFacts: async () => {
      const { hetzner: facts } = await findings();
      if (facts === undefined || !("obstacle" in facts)) return facts;
      throw hetznerUnavailable(hetznerObstacle(facts));
    },
    githubFacts: async () => {
      const { github: facts } = await findings();
      if (!("obstacle" in facts)) return facts;
      const { settings: bare, project } = await stack();
      throw githubUnavailable(githubObstacle(facts, bare.githubUrl, project));
    },
    verdict: once(async () => {
      const opened = await stack();
      const [wanted, found, told] = await Promise.all([settings(), findings(), outputs()]);
      return judge(opened, wanted, found, told);
    }),
    hetzner,
    github,
    recorded,
    outputs,
    servers: once(async () => {
      const { prefix } = await stack();
      return readServers((await hetzner()).api, prefix);
    }),
    runners: once(runners),
    readRunnersAgain: runners,
    runnerGroups: once(async () => readRunnerGroups((await github()).api, await organization())),
  };
}

function judge(
  { prefix, project }: Stack,
  settings: FleetSettings,
  findings: Findings,
  outputs: Readonly<Record<string, unknown>>,
): Verdict {
  const { hetzner } = findings;
  const market = hetzner === undefined || "obstacle" in hetzner ? undefined : hetzner;
  const targets = (outputs.targets ?? {}) as Readonly<Record<string, { readonly blob?: string }>>;
  return checkFleet(settings, findings, project, {
    prefix,
    userDataBytes: userDataSizes(prefix, settings, placeFleet(prefix, settings, market)),
    recordedBlobs: Object.fromEntries(
      Object.entries(targets).map(([target, { blob }]) => [target, blob]),
    ),
  });
}

/** The settings with the credential of the token service and the SSH key in the place of their stand-ins. */
async function withSecrets(stack: Stack): Promise<FleetSettings> {
  const { settings } = stack;
  const { githubAuth, ssh } = settings;
  try {
    const [credential, privateKey] = await Promise.all([
      stack.secret(githubAuth.kind === "pat" ? "githubAuth.token" : "githubAuth.privateKey"),
      ssh.privateKey === undefined ? undefined : stack.secret("ssh.privateKey"),
    ]);
    return {
      ...settings,
      githubAuth:
        githubAuth.kind === "pat"
          ? { ...githubAuth, token: credential }
          : { ...githubAuth, privateKey: credential },
      ssh: { ...ssh, ...(privateKey !== undefined && { privateKey }) },
    };
  } catch (error) {
    const { message } = error as Error;
    const sentence = `The stack's secrets cannot be read: ${message.replace(/\.?$/, ".")}`;
    throw (
      neverMade(error as Error, stack) ??
      new UnavailableError("secrets", "the stack's secrets", [problem(sentence)])
    );
  }
}

/** A stack has its file before `pulumi stack init`, and nothing that the CLI could read. */
function neverMade({ message }: Error, { name }: Stack): UnavailableError | undefined {
  return /no stack named/.test(message)
    ? new UnavailableError("stack", "the stack", [
        problem(`There is no stack ${name} yet.`, `pulumi stack init ${name}`),
      ])
    : undefined;
}

/** One for each line that says what is wrong with the stack or its file. */
function stackFindings(error: unknown) {
  const message = error instanceof Error ? error.message : String(error);
  const none = /no stack selected/.test(message);
  const sentences = none
    ? ["No stack is selected, expected one by `pulumi stack select`, or --stack NAME."]
    : message.split("\n");
  const repair = none ? "pulumi stack select NAME" : undefined;
  return sentences.map((sentence) => problem(sentence.replace(/\.?$/, "."), repair));
}

function hetznerUnavailable(sentence: string): UnavailableError {
  return new UnavailableError("hetzner-token", "Hetzner's answers", [problem(sentence)]);
}

function githubUnavailable(sentence: string): UnavailableError {
  return new UnavailableError("github-token", "GitHub's answers", [problem(sentence)]);
}

async function secondsAhead(
  api: Api,
  path: string,
  expected: readonly number[],
): Promise<number | undefined> {
  const { headers } = await api.ask(path, expected);
  const date = Date.parse(headers.get("date") ?? "");
  // Of the second that it names, half has passed on average.
  return Number.isNaN(date) ? undefined : Math.round((date + 500 - Date.now()) / 1000);
}

async function printed(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  try {
    const { stdout, stderr } = await execute(program, [...args], {
      cwd,
      env,
      timeout: TOOL_TIMEOUT_MS,
    });
    return stdout + stderr;
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string };
    throw new Error(
      code === "ENOENT"
        ? `the program ${program} is not on the PATH`
        : `${program} ${args.join(" ")} fails: ${stderr?.trim().split("\n").at(-1) ?? ""}`,
      { cause: error },
    );
  }
}

/** Calls it once; all callers share what comes of it. */
function once<T>(read: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= read());
}
