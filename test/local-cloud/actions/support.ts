import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ACTIONS } from "../../../components/pins/pins";
import type { ActionDefinition } from "../../../local-cloud/actions/action";
import { runJob } from "../../../local-cloud/actions/job";
import type {
  ExecutorInput,
  JobReport,
  StepDefinition,
  StepReport,
} from "../../../local-cloud/actions/message";
import { STAND_INS } from "../../../local-cloud/actions/standIns";

export const SHA = "0123456789abcdef0123456789abcdef01234567";

/** A commit that no action has, for stand-ins that the emitted workflows do not use. */
const TEST_PIN = { tag: "v1", sha: "f".repeat(40) };

export interface JobChanges {
  readonly github?: Record<string, unknown>;
  readonly secrets?: Record<string, unknown>;
  readonly needs?: Record<string, unknown>;
  readonly env?: ExecutorInput["message"]["job"]["env"];
  readonly outputs?: Record<string, string>;
  readonly defaults?: ExecutorInput["message"]["job"]["defaults"];
  readonly masks?: string[];
  readonly timeoutSeconds?: number;
  readonly environment?: "github-hosted" | "self-hosted";
}

export function jobInput(
  folder: string,
  steps: StepDefinition[],
  changes: JobChanges = {},
): ExecutorInput {
  return {
    message: {
      name: "Test",
      repository: "acme/webppt",
      env: {},
      timeout_seconds: changes.timeoutSeconds ?? 0,
      masks: changes.masks ?? [],
      steps,
      job: {
        id: "test",
        env: changes.env ?? [],
        ...(changes.defaults && { defaults: changes.defaults }),
        outputs: changes.outputs ?? {},
        contexts: {
          github: {
            actor: "octocat",
            api_url: "http://127.0.0.1:1",
            event: { repository: { default_branch: "master", private: false } },
            event_name: "push",
            ref: "refs/heads/master",
            ref_name: "master",
            repository: "acme/webppt",
            repository_owner: "acme",
            run_attempt: "2",
            run_id: "7",
            server_url: "https://github.com",
            sha: SHA,
            token: "job-token",
            ...changes.github,
          },
          vars: {},
          secrets: changes.secrets ?? {},
          needs: changes.needs ?? {},
          strategy: {},
          matrix: {},
          inputs: {},
        },
      },
    },
    runner: {
      name: "builder",
      arch: "ARM64",
      environment: changes.environment ?? "self-hosted",
      workspace: join(folder, "work", "webppt", "webppt"),
      temp: join(folder, "work", "_temp"),
      toolCache: join(folder, "work", "_tool"),
    },
  };
}

export interface Outcome {
  readonly report: JobReport;
  readonly log: string;
  /** The step of that name. Throws where there is none. */
  readonly step: (name: string) => StepReport;
}

/** Runs a job in this process, in a folder of its own. */
export async function runSteps(
  steps: StepDefinition[],
  changes: JobChanges & {
    readonly processEnv?: Record<string, string>;
    readonly standIns?: Record<string, ActionDefinition>;
    readonly signal?: AbortSignal;
    readonly onLine?: (line: string) => void;
    readonly prepare?: (workspace: string) => Promise<void>;
  } = {},
): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "executor-test-"));
  try {
    const input = jobInput(folder, steps, changes);
    if (changes.prepare !== undefined) {
      await mkdir(input.runner.workspace, { recursive: true });
      await changes.prepare(input.runner.workspace);
    }
    const lines: string[] = [];
    const names = Object.keys({ ...STAND_INS, ...changes.standIns });
    const report = await runJob({
      input,
      env: { PATH: process.env["PATH"], HOME: folder, ...changes.processEnv },
      print: (line) => {
        lines.push(line);
        changes.onLine?.(line);
      },
      onProgress: () => undefined,
      signal: changes.signal ?? new AbortController().signal,
      actions: {
        pins: Object.fromEntries(names.map((name) => [name, pinOf(name)])),
        standIns: { ...STAND_INS, ...changes.standIns },
      },
    });
    return {
      report,
      log: lines.join("\n"),
      step: (name) => {
        const found = report.steps.find((step) => step.name === name);
        if (found === undefined)
          throw new Error(`No step ${name} in ${report.steps.map((step) => step.name).join(", ")}`);
        return found;
      },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function pinOf(name: string): { tag: string; sha: string } {
  return (ACTIONS as Record<string, typeof TEST_PIN | undefined>)[name] ?? TEST_PIN;
}

/** A step's `uses` as the emitted workflows write it. */
export function uses(name: string): string {
  return `${name}@${pinOf(name).sha}`;
}

/** A program that stands in for docker: it records how it is called and does what a script says. */
export class FakeDocker {
  private constructor(readonly folder: string) {}

  /** @param script Bash; `$1` and so on are docker's arguments. */
  static async create(script: string): Promise<FakeDocker> {
    const folder = await mkdtemp(join(tmpdir(), "fake-docker-"));
    const file = join(folder, "docker");
    await writeFile(
      file,
      [
        "#!/bin/bash",
        `printf '%s\\0' "$@" >>'${folder}/calls'`,
        `printf '\\n\\0' >>'${folder}/calls'`,
        script,
      ].join("\n"),
    );
    await chmod(file, 0o755);
    return new FakeDocker(folder);
  }

  get env(): Record<string, string> {
    return { PATH: `${this.folder}:${process.env["PATH"] ?? ""}` };
  }

  /** Arguments of each call, in order. */
  async calls(): Promise<string[][]> {
    const calls: string[][] = [[]];
    for (const word of (await readFile(join(this.folder, "calls"), "utf8")).split("\0")) {
      if (word === "\n") calls.push([]);
      else calls.at(-1)?.push(word);
    }
    return calls.slice(0, -1);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What `docker buildx inspect` says of a builder with one node. */
export function inspectText(name: string, driver: string): string {
  return [
    `Name:          ${name}`,
    `Driver:        ${driver}`,
    "Last Activity: 2026-01-01 00:00:00 +0000 UTC",
    "",
    "Nodes:",
    `Name:                  ${name}0`,
    "Endpoint:              unix:///var/run/docker.sock",
    "Status:                running",
    "BuildKit daemon flags: --allow-insecure-entitlement=network.host",
    "BuildKit version:      v0.32.2",
    "Platforms:             linux/amd64*, linux/arm64",
    "Labels:",
    " org.mobyproject.buildkit.worker.executor: oci",
  ].join("\n");
}

/** A server on a loopback port for the length of `work`. */
export async function withServer<T>(
  listener: RequestListener,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
