import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { parseDocument } from "yaml";
import type { LocalCloud } from ".";
import { engineEnvironment, prepareEngine } from "./engine";
import { run } from "./engine/run";

const PROJECT = dirname(__dirname);

/** One step of the engine on one resource. */
export interface ResourceStep {
  /** create, update, delete, replace, create-replacement, delete-replaced, same, refresh, read. */
  readonly op: string;
  readonly urn: string;
  readonly type: string;
  /** Name in the program, the last part of the URN. */
  readonly name: string;
}

export interface PulumiRun {
  readonly code: number;
  /** Everything that was printed. */
  readonly output: string;
  readonly seconds: number;
  /** What was done or, in a preview, would be done; steps that change nothing are left out. */
  readonly steps: readonly ResourceStep[];
  /** Steps counted by operation. */
  readonly changes: Readonly<Record<string, number>>;
}

/** A run of pulumi that goes on. */
export interface RunningPulumi {
  readonly ended: Promise<PulumiRun>;
  /** As Ctrl-C: the engine ends what it is at and begins nothing more. */
  interrupt(): void;
}

type Command = "preview" | "up" | "refresh" | "destroy";

/** The committed dev stack on a local cloud, in a state folder of its own, driven by the plain CLI. */
export interface LocalStack {
  readonly environment: Readonly<Record<string, string>>;
  /** The stack's file, for commands that take `--config-file`. */
  readonly configFile: string;
  /** Sets values of the stack's configuration by path; `undefined` removes one. */
  configure(changes: Readonly<Record<string, unknown>>): Promise<void>;
  /** Sets one value of the stack's configuration by path, encrypted. */
  configureSecret(path: string, value: string): Promise<void>;
  /** Runs `pulumi <command> …` in the project's directory, non-interactively. */
  run(command: Command, ...args: string[]): Promise<PulumiRun>;
  /** As `run`, without waiting for the end. */
  start(command: Command, ...args: string[]): RunningPulumi;
  /** The stack's outputs. */
  outputs(): Promise<Record<string, unknown>>;
  /** The state file's text. */
  state(): Promise<string>;
  /** Everything that is kept of the stack and its runs, by file: configuration, state and its history, event logs. */
  files(): Promise<Readonly<Record<string, string>>>;
  remove(): Promise<void>;
}

export async function openStack(
  cloud: LocalCloud,
  options: {
    readonly log?: (line: string) => void;
    /** Variables that differ from the local cloud's own, such as another token. */
    readonly environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<LocalStack> {
  const engine = await prepareEngine(options);
  const folder = await mkdtemp(join(tmpdir(), "runner-fleet-stack-"));
  const environment = {
    ...engineEnvironment(engine, folder),
    ...cloud.environment,
    ...options.environment,
    // The CLI knows --event-log only then.
    PULUMI_DEBUG_COMMANDS: "true",
  };
  const configFile = join(folder, "Pulumi.dev.yaml");
  await copyFile(join(PROJECT, "Pulumi.dev.yaml"), configFile);
  const pulumi = (args: string[], options?: { interrupt?: AbortSignal; input?: string }) =>
    run("pulumi", args, { ...options, cwd: PROJECT, env: environment });
  const created = await pulumi(["stack", "init", "dev"]);
  if (created.code !== 0) throw new Error(`pulumi stack init: ${created.stderr}`);

  let runs = 0;
  const execute = async (
    command: Command,
    args: readonly string[],
    interrupt?: AbortSignal,
  ): Promise<PulumiRun> => {
    runs += 1;
    const events = join(folder, `events-${runs}.jsonl`);
    const confirmed = command === "preview" ? [] : ["--yes", "--skip-preview"];
    const started = performance.now();
    const { code, stdout, stderr } = await pulumi(
      [
        command,
        "--non-interactive",
        ...confirmed,
        "--stack=dev",
        `--config-file=${configFile}`,
        `--event-log=${events}`,
        ...args,
      ],
      { interrupt },
    );
    const seconds = (performance.now() - started) / 1000;
    const steps = await readSteps(events);
    const changes: Record<string, number> = {};
    for (const { op } of steps) changes[op] = (changes[op] ?? 0) + 1;
    return { code: code ?? 1, output: stdout + stderr, seconds, steps, changes };
  };
  return {
    environment,
    configFile,
    configure: async (changes) => {
      const config = parseDocument(await readFile(configFile, "utf8"));
      for (const [path, value] of Object.entries(changes)) {
        const keys = path.split(".");
        const at = ["config", `runner-fleet:${keys[0]}`, ...keys.slice(1)];
        if (value === undefined) config.deleteIn(at);
        else config.setIn(at, config.createNode(value));
      }
      await writeFile(configFile, config.toString());
    },
    configureSecret: async (path, value) => {
      const options = ["--secret", "--path", "--stack=dev", `--config-file=${configFile}`];
      const { code, stderr } = await pulumi(["config", "set", ...options, path], { input: value });
      if (code !== 0) throw new Error(`pulumi config set ${path}: ${stderr}`);
    },
    run: (command, ...args) => execute(command, args),
    start: (command, ...args) => {
      const interruption = new AbortController();
      return {
        ended: execute(command, args, interruption.signal),
        interrupt: () => interruption.abort(),
      };
    },
    outputs: async () => {
      const { code, stdout, stderr } = await pulumi(["stack", "output", "--json", "--stack=dev"]);
      if (code !== 0) throw new Error(`pulumi stack output: ${stderr}`);
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    state: () =>
      readFile(join(folder, "backend", ".pulumi", "stacks", "runner-fleet", "dev.json"), "utf8"),
    files: async () => {
      const found = await readdir(folder, { recursive: true, withFileTypes: true });
      const texts: Record<string, string> = {};
      for (const one of found.filter((entry) => entry.isFile())) {
        const path = join(one.parentPath, one.name);
        texts[relative(folder, path)] = await readFile(path, "latin1");
      }
      return texts;
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Steps that the engine announced before it took them, from its event log. */
async function readSteps(file: string): Promise<ResourceStep[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  const steps: ResourceStep[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const event = JSON.parse(line) as {
      resourcePreEvent?: { metadata?: { op: string; urn: string; type: string } };
    };
    const step = event.resourcePreEvent?.metadata;
    if (step === undefined || step.op === "same" || step.op === "read") continue;
    const { op, urn, type } = step;
    steps.push({ op, urn, type, name: urn.slice(urn.lastIndexOf("::") + 2) });
  }
  return steps;
}
