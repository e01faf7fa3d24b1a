import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { ACTIONS, type ActionPin } from "../../components/pins/pins";
import { type ActionDefinition, ActionFailure, ActionRun } from "./action";
import { parseCommand, parsePairs } from "./commands";
import { Expressions, type Scope } from "./expressions";
import { Masks } from "./masks";
import {
  type Conclusion,
  type ExecutorInput,
  type JobReport,
  type StepDefinition,
  type StepReport,
  textOf,
} from "./message";
import { exec, killOrphans, which } from "./process";
import { STAND_INS } from "./standIns";

/** A cancelled job that has not come to its end by then is ended, as on GitHub. */
const CANCEL_LIMIT_MS = 5 * 60_000;
const TRACKING_VARIABLE = "RUNNER_TRACKING_ID";
/** What GitHub says in a step that was cancelled. */
const CANCELLED = "The operation was canceled.";

/** Contexts that GitHub offers in each place. */
const IN_JOB_ENV = ["github", "needs", "strategy", "matrix", "vars", "secrets", "inputs"];
const IN_STEP = [...IN_JOB_ENV, "job", "runner", "env", "steps"];
const IN_CONDITION = IN_STEP.filter((name) => name !== "secrets");

/** Values of the context `github` that steps find in their environment as GITHUB_…. */
const EXPORTED = [
  ...["action", "action_ref", "action_repository", "actor", "actor_id", "api_url", "base_ref"],
  ...["env", "event_name", "event_path", "graphql_url", "head_ref", "job", "output", "path"],
  ...["ref", "ref_name", "ref_protected", "ref_type", "repository", "repository_id"],
  ...["repository_owner", "repository_owner_id", "retention_days", "run_attempt", "run_id"],
  ...["run_number", "server_url", "sha", "state", "step_summary", "triggering_actor"],
  ...["workflow", "workflow_ref", "workflow_sha", "workspace"],
];

/** Arguments of the shells that are known by name. */
const SHELLS: Readonly<Record<string, { readonly args: string; readonly extension: string }>> = {
  bash: { args: "--noprofile --norc -e -o pipefail {0}", extension: ".sh" },
  sh: { args: "-e {0}", extension: ".sh" },
  python: { args: "{0}", extension: ".py" },
};

export interface JobOptions {
  readonly input: ExecutorInput;
  /** Environment that the runner program itself has. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes the log, line by line and masked. */
  readonly print: (line: string) => void;
  /** Hears of each step that has ended. */
  readonly onProgress: (report: JobReport) => void;
  /** Cancels the job; the reason, an Error, is logged. */
  readonly signal: AbortSignal;
  /** Default: the pins of the emitted workflows and their stand-ins. */
  readonly actions?: {
    readonly pins: Readonly<Record<string, ActionPin>>;
    readonly standIns: Readonly<Record<string, ActionDefinition>>;
  };
}

/** Runs the steps of one job. Rejects only for what is no fault of the job. */
export async function runJob(options: JobOptions): Promise<JobReport> {
  return new JobRun(options, await Expressions.load()).run();
}

/** A step that can be run, or the post part of one. */
interface Planned {
  readonly name: string;
  readonly definition: StepDefinition;
  readonly condition: string;
  readonly work: (step: RunningStep) => Promise<void>;
}

/** A step while it runs. */
interface RunningStep {
  /** The context of that name: environment that the workflow and steps before have set. */
  readonly env: Record<string, string>;
  readonly scope: Scope;
  readonly signal: AbortSignal;
  readonly outputs: Record<string, string>;
  readonly files: CommandFiles;
}

interface CommandFiles {
  readonly env: string;
  readonly output: string;
  readonly path: string;
  readonly state: string;
  readonly step_summary: string;
}

type Status = "success" | "failure" | "cancelled";

class StepFailure extends Error {}

class JobRun {
  private readonly masks = new Masks();
  private readonly env: Record<string, string> = {};
  private readonly searchPath: string[] = [];
  private readonly steps: Record<
    string,
    { outputs: Record<string, string>; outcome: Conclusion; conclusion: Conclusion }
  > = {};
  private readonly reports: StepReport[] = [];
  private readonly posts: Planned[] = [];
  private readonly trackingId = `github_${randomUUID()}`;
  private readonly github: Record<string, unknown>;
  private readonly cancel = new AbortController();
  /** Ends even what a cancelled job may still do. */
  private readonly abandon = new AbortController();
  private readonly debug: boolean;
  private status: Status = "success";
  private outputs: Record<string, string> = {};
  private stopToken: string | undefined;

  constructor(
    private readonly options: JobOptions,
    private readonly expressions: Expressions,
  ) {
    const { message, runner } = options.input;
    const { contexts } = message.job;
    for (const secret of [
      ...message.masks,
      ...Object.values(contexts.secrets),
      contexts.github["token"],
    ])
      if (typeof secret === "string") this.masks.add(secret);
    this.github = {
      ...contexts.github,
      job: message.job.id,
      workspace: runner.workspace,
      event_path: join(runner.temp, "_github_workflow", "event.json"),
    };
    this.debug = [contexts.secrets, contexts.vars].some(
      (values) => values["ACTIONS_STEP_DEBUG"] === "true",
    );
  }

  async run(): Promise<JobReport> {
    const { message } = this.options.input;
    const timers: NodeJS.Timeout[] = [];
    const onCancel = (): void => {
      this.status = "cancelled";
      const reason: unknown = this.cancel.signal.reason;
      if (messageOf(reason) !== CANCELLED) this.error(reason);
      timers.push(setTimeout(() => this.abandon.abort(), CANCEL_LIMIT_MS));
    };
    this.cancel.signal.addEventListener("abort", onCancel, { once: true });
    const forward = (): void => this.cancel.abort(this.options.signal.reason);
    if (this.options.signal.aborted) forward();
    else this.options.signal.addEventListener("abort", forward, { once: true });
    if (message.timeout_seconds > 0)
      timers.push(
        setTimeout(
          () =>
            this.cancel.abort(
              new Error(
                `The job has exceeded the maximum execution time of ${message.timeout_seconds} s.`,
              ),
            ),
          // A longer time does not fit into a timer; GitHub's longest is five days.
          Math.min(message.timeout_seconds * 1000, 2 ** 31 - 1),
        ),
      );
    try {
      const planned = await this.setUp();
      if (planned !== undefined) {
        for (const step of planned) await this.runStep(step);
        for (let post = this.posts.pop(); post !== undefined; post = this.posts.pop())
          await this.runStep(post);
      }
      await this.complete(planned !== undefined);
    } finally {
      timers.forEach(clearTimeout);
      this.options.signal.removeEventListener("abort", forward);
    }
    return this.report(
      this.status === "success" ? "succeeded" : this.status === "failure" ? "failed" : "cancelled",
    );
  }

  private report(result?: "succeeded" | "failed" | "cancelled"): JobReport {
    return {
      ...(result && { result }),
      outputs: { ...this.outputs },
      steps: [...this.reports],
    };
  }

  /** Undefined, and the job has failed, when it cannot be started. */
  private async setUp(): Promise<Planned[] | undefined> {
    const { message, runner } = this.options.input;
    const started = new Date();
    this.print(`Runner name: '${runner.name}'`);
    this.print("Prepare workflow directory");
    let planned: Planned[] | undefined;
    try {
      for (const folder of [runner.workspace, runner.temp, runner.toolCache])
        await mkdir(folder, { recursive: true });
      await mkdir(this.commandFolder, { recursive: true });
      const event = String(this.github["event_path"]);
      await mkdir(dirname(event), { recursive: true });
      await writeFile(event, JSON.stringify(this.github["event"] ?? {}, null, 2));
      for (const entries of message.job.env) {
        const scope = this.scope(IN_JOB_ENV);
        for (const [name, value] of Object.entries(entries))
          this.env[name] = this.expressions.text(textOf(value), scope);
      }
      this.print("Prepare all required actions");
      planned = message.steps.map((step) => this.plan(step));
      this.print(`Complete job name: ${message.name}`);
    } catch (error) {
      this.error(error);
      this.fail();
    }
    this.finished("Set up job", started, planned === undefined ? this.status : "success");
    return planned;
  }

  private plan(definition: StepDefinition): Planned {
    const condition = textOf(definition.if);
    if (definition.uses !== undefined && definition.run === undefined) {
      const action = this.resolve(definition.uses);
      return {
        name: definition.name ?? `Run ${definition.uses}`,
        definition,
        condition,
        work: (step) => this.runAction(definition, action, step),
      };
    }
    if (definition.run === undefined || definition.uses !== undefined)
      throw new Error("A step has neither or both of run and uses, expected one of them.");
    const script = definition.run;
    return {
      name: definition.name ?? `Run ${script.trimStart().split("\n", 1)[0] ?? ""}`,
      definition,
      condition,
      work: (step) => this.runScript(definition, script, step),
    };
  }

  private resolve(uses: string): ActionDefinition {
    const { pins, standIns } = this.options.actions ?? { pins: ACTIONS, standIns: STAND_INS };
    const at = uses.lastIndexOf("@");
    const name = uses.slice(0, Math.max(at, 0));
    const version = uses.slice(at + 1);
    const pin = (pins as Readonly<Record<string, ActionPin | undefined>>)[name];
    if (at <= 0 || pin === undefined)
      throw new Error(
        `Unable to resolve action \`${uses}\`, repository not found. The local cloud has ${Object.keys(pins).sort().join(", ")}.`,
      );
    if (version !== pin.sha)
      throw new Error(
        `Unable to resolve action \`${uses}\`, unable to find version \`${version}\`. The local cloud has ${name} as ${pin.sha} (${pin.tag}) only.`,
      );
    const action = (standIns as Readonly<Record<string, ActionDefinition | undefined>>)[name];
    if (action === undefined)
      throw new Error(
        `Unable to resolve action \`${uses}\`. The local cloud has no stand-in for it.`,
      );
    this.print(`Download action repository '${name}@${version}' (SHA:${version})`);
    return action;
  }

  private async runStep(planned: Planned): Promise<void> {
    const started = new Date();
    const { definition } = planned;
    const outputs: Record<string, string> = {};
    let name = planned.name;
    let outcome: Conclusion = "skipped";
    const files = await this.commandFiles();
    this.github["action"] = definition.id ?? "__run";
    Object.assign(this.github, files);
    const env = { ...this.env };
    const scope = this.scope(IN_STEP, env);
    const stop = new AbortController();
    const abandoned = (): void => stop.abort();
    this.abandon.signal.addEventListener("abort", abandoned, { once: true });
    let timer: NodeJS.Timeout | undefined;
    let timedOut: number | undefined;
    const holds = (): boolean =>
      this.expressions.condition(planned.condition, {
        ...this.scope(IN_CONDITION, env),
        functions: this.statusFunctions(),
      });
    // A step that would run in a cancelled job is not stopped by the cancellation.
    const onCancel = (): void => {
      try {
        if (!holds()) stop.abort();
      } catch {
        stop.abort();
      }
    };
    try {
      for (const [key, value] of Object.entries(definition.env ?? {}))
        env[key] = this.expressions.text(textOf(value), this.scope(IN_STEP));
      if (holds()) {
        name = this.expressions.text(name, scope);
        const minutes = this.expressions.number(definition["timeout-minutes"] ?? 0, scope);
        if (minutes > 0)
          timer = setTimeout(() => {
            timedOut = minutes;
            stop.abort();
          }, minutes * 60_000);
        this.cancel.signal.addEventListener("abort", onCancel, { once: true });
        if (this.abandon.signal.aborted) stop.abort();
        outcome = "failure";
        try {
          await planned.work({ env, scope, signal: stop.signal, outputs, files });
          outcome = "success";
        } finally {
          await this.readFiles(files, outputs);
        }
      }
    } catch (error) {
      outcome = "failure";
      if (timedOut !== undefined)
        this.error(new Error(`The action '${name}' has timed out after ${timedOut} minutes.`));
      else if (stop.signal.aborted) {
        outcome = "cancelled";
        this.error(new Error(CANCELLED));
      } else this.error(error);
    }
    clearTimeout(timer);
    this.cancel.signal.removeEventListener("abort", onCancel);
    this.abandon.signal.removeEventListener("abort", abandoned);
    this.stopToken = undefined;
    let conclusion = outcome;
    if (outcome === "failure") {
      if (this.mayFail(definition, scope)) conclusion = "success";
      else this.fail();
    }
    if (definition.id !== undefined) this.steps[definition.id] = { outputs, outcome, conclusion };
    this.finished(name, started, conclusion);
  }

  private mayFail(definition: StepDefinition, scope: Scope): boolean {
    try {
      return this.expressions.boolean(definition["continue-on-error"] ?? false, scope);
    } catch (error) {
      this.error(error);
      return false;
    }
  }

  private async runScript(
    definition: StepDefinition,
    template: string,
    step: RunningStep,
  ): Promise<void> {
    const { runner, message } = this.options.input;
    const defaults = message.job.defaults?.run;
    const script = this.expressions.text(template, step.scope);
    const env = this.processEnv(step.env);
    const shell = this.shell(
      this.expressions.text(definition.shell ?? defaults?.shell ?? "", step.scope),
      env["PATH"] ?? "",
    );
    const folder = this.expressions.text(
      definition["working-directory"] ?? defaults?.["working-directory"] ?? "",
      step.scope,
    );
    const file = join(runner.temp, `${randomUUID()}${shell.extension}`);
    await writeFile(file, script.replaceAll("\r\n", "\n"), { mode: 0o755 });
    this.print(`##[group]Run ${script.trimStart().split("\n", 1)[0] ?? ""}`);
    for (const line of script.trimEnd().split("\n")) this.print(`\u001b[36;1m${line}\u001b[0m`);
    this.print(`shell: ${shell.file} ${shell.args}`);
    this.printEnv(step.env);
    this.print("##[endgroup]");
    try {
      const args = shell.args.split(/\s+/).map((word) => word.replaceAll("{0}", () => file));
      const { code } = await exec(shell.file, args, {
        cwd: isAbsolute(folder) ? folder : resolve(runner.workspace, folder),
        env,
        onLine: this.lineHandler(step),
        signal: step.signal,
      });
      if (step.signal.aborted) throw new StepFailure(CANCELLED);
      if (code !== 0) throw new StepFailure(`Process completed with exit code ${code}.`);
    } finally {
      await rm(file, { force: true });
    }
  }

  private shell(
    given: string,
    searchPath: string,
  ): { file: string; args: string; extension: string } {
    const [command = "", ...rest] = given.trim().split(/\s+/);
    if (command === "") {
      const file = which("bash", searchPath) ?? which("sh", searchPath);
      if (file === undefined) throw new Error("sh: command not found");
      return { file, ...(SHELLS["sh"] as { args: string; extension: string }) };
    }
    const file = which(command, searchPath);
    if (file === undefined) throw new Error(`${command}: command not found`);
    const known = SHELLS[command];
    const args = rest.length > 0 ? rest.join(" ") : (known?.args ?? "");
    if (!args.includes("{0}"))
      throw new Error(
        "Invalid shell option. Shell must be a valid built-in (bash, sh, python) or a format string containing '{0}'",
      );
    return { file, args, extension: known?.extension ?? "" };
  }

  private async runAction(
    definition: StepDefinition,
    action: ActionDefinition,
    step: RunningStep,
  ): Promise<void> {
    const uses = definition.uses ?? "";
    const inputs: Record<string, string> = {};
    const given = new Map(
      Object.entries(definition.with ?? {}).map(([name, value]) => [
        name.toLowerCase(),
        this.expressions.text(textOf(value), step.scope),
      ]),
    );
    const valid = Object.keys(action.inputs);
    const unexpected = [...given.keys()].filter((name) => !valid.includes(name));
    if (unexpected.length > 0)
      this.print(
        `##[warning]Unexpected input(s) '${unexpected.join("', '")}', valid inputs are ['${valid.join("', '")}']`,
      );
    const unmodelled: string[] = [];
    for (const [name, input] of Object.entries(action.inputs)) {
      const otherwise = this.expressions.text(input.default ?? "", step.scope);
      const value = given.get(name) ?? otherwise;
      inputs[name] = value;
      if (input.unmodelled === true && value.trim() !== otherwise) unmodelled.push(name);
    }
    this.print(`##[group]Run ${uses}`);
    this.print("with:");
    for (const [name, value] of Object.entries(inputs))
      if (value !== "") this.print(`  ${name}: ${value}`);
    this.printEnv(step.env);
    this.print("##[endgroup]");
    if (unmodelled.length > 0)
      throw new ActionFailure(
        `The local cloud's stand-in for ${uses.split("@", 1)[0] ?? ""} does not model the input ${unmodelled.join(", ")}, expected it to be left out.`,
      );
    const state = new Map<string, string>();
    const { post } = action;
    if (post !== undefined)
      this.posts.push({
        name: `Post ${definition.name ?? `Run ${uses}`}`,
        definition: { ...(definition.env && { env: definition.env }) },
        condition: "always()",
        work: (later) => post(this.actionRun(inputs, state, later)),
      });
    await action.main(this.actionRun(inputs, state, step));
  }

  private actionRun(
    inputs: Readonly<Record<string, string>>,
    state: Map<string, string>,
    step: RunningStep,
  ): ActionRun {
    const { runner } = this.options.input;
    return new ActionRun({
      inputs,
      env: this.processEnv(step.env),
      github: this.github,
      workspace: runner.workspace,
      temp: runner.temp,
      masks: this.masks,
      signal: step.signal,
      state,
      print: (line) => this.print(line),
      onLine: this.lineHandler(step),
      setOutput: (name, value) => {
        step.outputs[name] = value;
      },
      exportVariable: (name, value) => this.setEnv(name, value),
    });
  }

  /** What a step's programs print: workflow commands are obeyed, the rest is logged. */
  private lineHandler(step: RunningStep): (line: string) => void {
    return (line) => {
      const command = parseCommand(line);
      if (this.stopToken !== undefined) {
        if (command?.name === this.stopToken.toLowerCase()) this.stopToken = undefined;
        else this.print(line);
        return;
      }
      switch (command?.name) {
        case "error":
        case "warning":
        case "notice":
          this.print(`##[${command.name}]${command.data}`);
          break;
        case "group":
          this.print(`##[group]${command.data}`);
          break;
        case "endgroup":
          this.print("##[endgroup]");
          break;
        case "debug":
          if (this.debug) this.print(`##[debug]${command.data}`);
          break;
        case "add-mask":
          if (command.data.trim() === "")
            this.print(
              "##[warning]Can't add secret mask for empty string in ##[add-mask] command.",
            );
          else this.masks.add(command.data);
          break;
        case "stop-commands":
          this.stopToken = command.data;
          break;
        case "set-output":
        case "save-state":
          // Deprecated since 2022, and still obeyed by GitHub's runner.
          this.print(
            `##[warning]The \`${command.name}\` command is deprecated and will be disabled soon. Please upgrade to using Environment Files.`,
          );
          if (command.name === "set-output" && command.properties["name"] !== undefined)
            step.outputs[command.properties["name"]] = command.data;
          break;
        case "set-env":
        case "add-path":
          this.print(`##[error]Unable to process command '${line.trim()}' successfully.`);
          this.print(
            `##[error]The \`${command.name}\` command is disabled. Please upgrade to using Environment Files.`,
          );
          break;
        default:
          this.print(line);
      }
    };
  }

  private get commandFolder(): string {
    return join(this.options.input.runner.temp, "_runner_file_commands");
  }

  private async commandFiles(): Promise<CommandFiles> {
    const id = randomUUID();
    const file = (kind: string): string => join(this.commandFolder, `${kind}_${id}`);
    const files: CommandFiles = {
      env: file("set_env"),
      output: file("set_output"),
      path: file("add_path"),
      state: file("save_state"),
      step_summary: file("step_summary"),
    };
    await Promise.all(Object.values(files).map((name: string) => writeFile(name, "")));
    return files;
  }

  /** What a step has written for the steps after it. */
  private async readFiles(files: CommandFiles, outputs: Record<string, string>): Promise<void> {
    const pairs = async (command: "env" | "output"): Promise<[string, string][]> => {
      try {
        return parsePairs(await readFile(files[command], "utf8"));
      } catch (error) {
        throw new StepFailure(
          `Unable to process file command '${command}' successfully.\n${messageOf(error)}`,
        );
      }
    };
    for (const [name, value] of await pairs("output")) outputs[name] = value;
    for (const [name, value] of await pairs("env")) {
      if (name.toUpperCase() === "NODE_OPTIONS")
        this.print(
          "##[error]Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.",
        );
      else this.setEnv(name, value);
    }
    for (const folder of (await readFile(files.path, "utf8")).split(/\r?\n/)) {
      if (folder === "") continue;
      const known = this.searchPath.indexOf(folder);
      if (known >= 0) this.searchPath.splice(known, 1);
      this.searchPath.unshift(folder);
    }
  }

  private setEnv(name: string, value: string): void {
    this.env[name] = value;
  }

  /** What programs find in their environment. What GitHub and the runner set cannot be overwritten. */
  private processEnv(env: Readonly<Record<string, string>>): Record<string, string> {
    const { runner, message } = this.options.input;
    const all: Record<string, string> = { CI: "true" };
    for (const [name, value] of Object.entries(this.options.env))
      if (value !== undefined && name !== RESULT_VARIABLE) all[name] = value;
    Object.assign(all, message.env, env);
    all["PATH"] = [...this.searchPath, all["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"].join(
      delimiter,
    );
    all["GITHUB_ACTIONS"] = "true";
    for (const name of EXPORTED) {
      const value = this.github[name];
      if (["string", "number", "boolean"].includes(typeof value))
        all[`GITHUB_${name.toUpperCase()}`] = String(value);
    }
    for (const [name, value] of Object.entries(this.runnerContext()))
      all[`RUNNER_${name.toUpperCase()}`] = value;
    all["RUNNER_WORKSPACE"] = dirname(runner.workspace);
    all[TRACKING_VARIABLE] = this.trackingId;
    return all;
  }

  private runnerContext(): Record<string, string> {
    const { runner } = this.options.input;
    return {
      name: runner.name,
      os: "Linux",
      arch: runner.arch,
      environment: runner.environment,
      temp: runner.temp,
      tool_cache: runner.toolCache,
      ...(this.debug && { debug: "1" }),
    };
  }

  private scope(names: readonly string[], env: Readonly<Record<string, string>> = this.env): Scope {
    const all: Record<string, unknown> = {
      ...this.options.input.message.job.contexts,
      github: this.github,
      env,
      steps: this.steps,
      job: { status: this.status },
      runner: { ...this.runnerContext(), workspace: dirname(this.options.input.runner.workspace) },
    };
    return { contexts: Object.fromEntries(names.map((name) => [name, all[name]])) };
  }

  private statusFunctions(): Record<string, () => boolean> {
    return {
      success: () => this.status === "success",
      failure: () => this.status === "failure",
      cancelled: () => this.status === "cancelled",
      always: () => true,
    };
  }

  private async complete(started: boolean): Promise<void> {
    const { message } = this.options.input;
    const begun = new Date();
    const orphans = killOrphans(TRACKING_VARIABLE, this.trackingId);
    if (started && Object.keys(message.job.outputs).length > 0) {
      this.print("Evaluate and set job outputs");
      const scope = this.scope(IN_STEP);
      for (const [name, template] of Object.entries(message.job.outputs)) {
        try {
          const value = this.expressions.text(textOf(template), scope);
          if (value === "") continue;
          if (this.masks.found(value))
            this.print(`##[warning]Skip output '${name}' since it may contain secret.`);
          else {
            this.outputs[name] = value;
            this.print(`Set output '${name}'`);
          }
        } catch (error) {
          this.error(error);
          this.fail();
        }
      }
    }
    this.print("Cleaning up orphan processes");
    for (const { pid, name } of orphans)
      this.print(`Terminate orphan process: pid (${pid}) (${name})`);
    await rm(this.commandFolder, { recursive: true, force: true });
    this.finished("Complete job", begun, "success");
  }

  private fail(): void {
    if (this.status === "success") this.status = "failure";
  }

  private finished(name: string, started: Date, conclusion: Conclusion): void {
    this.reports.push({
      number: this.reports.length + 1,
      name: this.masks.apply(name),
      status: "completed",
      conclusion,
      started_at: started.toISOString(),
      completed_at: new Date().toISOString(),
    });
    this.options.onProgress(this.report());
  }

  private printEnv(env: Readonly<Record<string, string>>): void {
    const entries = Object.entries(env);
    if (entries.length === 0) return;
    this.print("env:");
    for (const [name, value] of entries) this.print(`  ${name}: ${value}`);
  }

  private error(error: unknown): void {
    this.print(`##[error]${messageOf(error)}`);
  }

  private print(text: string): void {
    for (const line of text.split("\n")) this.options.print(this.masks.apply(line));
  }
}

/** Names the file that the executor writes its report to. Not for the steps. */
export const RESULT_VARIABLE = "RUNNER_FLEET_RESULT";

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
