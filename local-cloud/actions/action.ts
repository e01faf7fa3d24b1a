import type { Masks } from "./masks";
import { exec, type ExecResult, which } from "./process";

/** The stand-in of a published action: the same inputs, outputs and effects, run inside the executor. */
export interface ActionDefinition {
  /** All inputs that the action documents; another one gets GitHub's warning. */
  readonly inputs: Readonly<Record<string, InputDefinition>>;
  readonly main: (run: ActionRun) => Promise<void>;
  /** Runs at the end of the job, whatever became of it. */
  readonly post?: (run: ActionRun) => Promise<void>;
}

export interface InputDefinition {
  /** As in the action's own file; may hold expressions. Default: empty. */
  readonly default?: string;
  /** The action documents it, this stand-in does not act on it: a value other than the default fails. */
  readonly unmodelled?: boolean;
}

/** Why an action fails, as its last line says. */
export class ActionFailure extends Error {}

export interface ActionRunOptions {
  readonly inputs: Readonly<Record<string, string>>;
  /** Environment of the step. */
  readonly env: Readonly<Record<string, string>>;
  /** The context of that name. */
  readonly github: Readonly<Record<string, unknown>>;
  readonly workspace: string;
  readonly temp: string;
  readonly masks: Masks;
  readonly signal: AbortSignal;
  /** What the main part saved for the post part. */
  readonly state: Map<string, string>;
  readonly print: (line: string) => void;
  /** Takes a line of a program's output, in which there may be workflow commands. */
  readonly onLine: (line: string) => void;
  readonly setOutput: (name: string, value: string) => void;
  readonly exportVariable: (name: string, value: string) => void;
}

/** What an action can do: the toolkit that actions are written with. */
export class ActionRun {
  constructor(private readonly options: ActionRunOptions) {}

  get env(): Readonly<Record<string, string>> {
    return this.options.env;
  }
  get github(): Readonly<Record<string, unknown>> {
    return this.options.github;
  }
  get workspace(): string {
    return this.options.workspace;
  }
  get temp(): string {
    return this.options.temp;
  }
  get state(): Map<string, string> {
    return this.options.state;
  }
  get signal(): AbortSignal {
    return this.options.signal;
  }

  input(name: string): string {
    return this.rawInput(name).trim();
  }

  rawInput(name: string): string {
    return this.options.inputs[name] ?? "";
  }

  requiredInput(name: string): string {
    const value = this.input(name);
    if (value === "") throw new ActionFailure(`Input required and not supplied: ${name}`);
    return value;
  }

  booleanInput(name: string): boolean {
    const value = this.input(name);
    if (["true", "True", "TRUE"].includes(value)) return true;
    if (["false", "False", "FALSE"].includes(value)) return false;
    throw new ActionFailure(
      `Input does not meet YAML 1.2 "Core Schema" specification: ${name}\nSupport boolean input list: \`true | True | TRUE | false | False | FALSE\``,
    );
  }

  setOutput(name: string, value: string): void {
    this.options.setOutput(name, value);
  }

  exportVariable(name: string, value: string): void {
    this.options.exportVariable(name, value);
  }

  info(text: string): void {
    for (const line of text.split("\n")) this.options.print(line);
  }

  warning(text: string): void {
    this.options.print(`##[warning]${text}`);
  }

  mask(value: string): void {
    this.options.masks.add(value);
  }

  async group<T>(name: string, work: () => Promise<T> | T): Promise<T> {
    this.options.print(`##[group]${name}`);
    try {
      return await work();
    } finally {
      this.options.print("##[endgroup]");
    }
  }

  /**
   * Runs a program that is on the search path.
   * @param options `check: false` takes any exit code; `silent` keeps command and output out of the log.
   */
  async exec(
    name: string,
    args: readonly string[],
    options: {
      readonly input?: string;
      readonly silent?: boolean;
      readonly check?: boolean;
      readonly env?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<ExecResult> {
    const file = which(name, this.env["PATH"] ?? "");
    if (file === undefined)
      throw new ActionFailure(
        `Unable to locate executable file: ${name}. Please verify either the file path exists or the file can be found within a directory specified by the PATH environment variable.`,
      );
    if (options.silent !== true) this.options.print(`[command]${[file, ...args].join(" ")}`);
    const result = await exec(file, args, {
      cwd: this.workspace,
      env: { ...this.env, ...options.env },
      ...(options.input !== undefined && { input: options.input }),
      onLine: options.silent === true ? () => undefined : this.options.onLine,
      signal: this.signal,
    });
    if (this.signal.aborted) throw new ActionFailure("The operation was canceled.");
    if (options.check !== false && result.code !== 0)
      throw new ActionFailure(
        result.stderr.trim().split("\n").at(-1) ||
          `The process '${file}' failed with exit code ${result.code}`,
      );
    return result;
  }
}
