import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import type { Advisory } from "../actions/standIns/trivy";
import type { HostedJob, HostedRunners } from "../github/hostedRunners";
import type { JobResult } from "../github/jobs";
import type { BootedHosts, Guest } from "./booted";
import type { Machine } from "./machine";
import {
  CANCEL_TIMEOUT_MS,
  executorInput,
  executorText,
  followReport,
  RESULT_VARIABLE,
  resultOf,
  type JobFolders,
} from "./runnerJob";
import { until } from "./run";

export interface BootedRunnersOptions {
  readonly hosts: BootedHosts;
  /** Root file system of the machines; `HostImages.runnerRoot`. */
  readonly root: string;
  /** How long a cancelled job has for its last steps. Default: 5 minutes. */
  readonly cancelTimeoutMs?: number;
  /** What Trivy's stand-in knows; without it a scan fails. */
  readonly advisories?: readonly Advisory[];
}

/** The unit of systemd that a job runs as. */
const UNIT = "job.service";
const WORK = "/home/runner/work";
const EXECUTOR = "/opt/runner/executor.cjs";
const RESULT = "/opt/runner/result/report.json";
const ADVISORIES = "/opt/runner/advisories.json";
/** Node trusts its own list of authorities, whatever the system trusts. */
const TRUST = { NODE_EXTRA_CA_CERTS: "/etc/ssl/certs/ca-certificates.crt" };
/** User and group `runner` of the root file system. */
const RUNNER_ID = 1001;
const DOCKER_TIMEOUT_MS = 60_000;
/** Beyond the job's own time, which the queue watches. */
const GRACE_MS = 60_000;
const KILL_TIMEOUT_MS = 3_000;
const SCRIPT_STOP_MS = 10_000;

/**
 * GitHub's hosted runners as machines of the local cloud: each job gets one that has just booted, with Docker and buildx,
 * as user `runner`, and it is thrown away afterwards. It reaches the gateway, and so GitHub and the registries, and servers.
 */
export function createBootedRunners(options: BootedRunnersOptions): HostedRunners {
  const { hosts, root, cancelTimeoutMs = CANCEL_TIMEOUT_MS, advisories } = options;
  const running = new Set<Promise<unknown>>();
  const stops = new Set<() => void>();

  const track = (work: Promise<unknown>): void => {
    const ended = work.catch(() => undefined).finally(() => running.delete(ended));
    running.add(ended);
  };
  const run = async (job: HostedJob, cancel: AbortSignal): Promise<JobResult> => {
    // Made while the machine boots.
    const executor = job.message.steps === undefined ? undefined : executorText();
    executor?.catch(() => undefined);
    const guest = await hosts.guest(root);
    try {
      if (cancel.aborted) return cancelled();
      await nameMachine(guest.machine);
      await dockerStarted(guest.machine);
      if (cancel.aborted) return cancelled();
      return await (executor === undefined
        ? runScript(guest, job, cancel)
        : runSteps(guest, job, await executor, { cancel, cancelTimeoutMs, advisories }));
    } finally {
      // No one waits for that; what cannot be removed goes with the hosts.
      track(guest.discard());
    }
  };
  return {
    start: (job) => {
      const controller = new AbortController();
      const stop = (): void => controller.abort();
      stops.add(stop);
      const done = run(job, controller.signal).finally(() => stops.delete(stop));
      track(done);
      return { done, stop };
    },
    close: async () => {
      for (const stop of stops) stop();
      // Jobs that end leave machines to remove.
      while (running.size > 0) await Promise.all(running);
    },
  };
}

const cancelled = (): JobResult => ({ result: "cancelled", exitCode: 130, outputs: {}, steps: [] });

/** Names the machine as it finds itself, which programs such as sudo want to resolve. */
async function nameMachine(machine: Machine): Promise<void> {
  const script =
    "hostname runnervm && echo runnervm > /etc/hostname && echo 127.0.1.1 runnervm >> /etc/hosts";
  await succeeds(machine, ["sh", "-c", script]);
}

async function dockerStarted(machine: Machine): Promise<void> {
  const up = await until(
    async () => (await machine.exec(["docker", "version"], {})).code === 0,
    DOCKER_TIMEOUT_MS,
    50,
  );
  if (!up) throw new Error("Docker does not start on the hosted runner");
}

async function runSteps(
  { machine }: Guest,
  job: HostedJob,
  executor: string,
  options: {
    readonly cancel: AbortSignal;
    readonly cancelTimeoutMs: number;
    readonly advisories: readonly Advisory[] | undefined;
  },
): Promise<JobResult> {
  const { cancel, cancelTimeoutMs, advisories } = options;
  const folders = await makeFolders(machine, job);
  await put(machine, EXECUTOR, executor, 0o644);
  if (advisories !== undefined) await put(machine, ADVISORIES, JSON.stringify(advisories), 0o644);
  await own(machine, dirname(RESULT));
  const report = followReport(join(machine.root, RESULT), job);
  try {
    const exitCode = await runUnit(machine, job, {
      argv: ["node", EXECUTOR],
      environment: {
        ...TRUST,
        [RESULT_VARIABLE]: RESULT,
        ...(advisories !== undefined && { RUNNER_FLEET_ADVISORIES: ADVISORIES }),
      },
      folder: folders.workspace,
      input: executorInput(job, folders),
      cancel,
      // Only the executor is told; it ends its steps in order.
      killWhom: "main",
      cancelTimeoutMs,
    });
    return await report.end(exitCode, cancel.aborted);
  } finally {
    report.stop();
  }
}

async function runScript(
  { machine }: Guest,
  job: HostedJob,
  cancel: AbortSignal,
): Promise<JobResult> {
  const { message } = job;
  const folders = await makeFolders(machine, job);
  const script = join(folders.temp, "script.sh");
  const environment = join(folders.temp, "environment.sh");
  const variables = Object.entries({
    LANG: "C.UTF-8",
    RUNNER_TEMP: folders.temp,
    RUNNER_TOOL_CACHE: folders.toolCache,
    GITHUB_WORKSPACE: folders.workspace,
    ...message.env,
  });
  const lines = variables.map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  await put(machine, script, message.script ?? "", 0o600, RUNNER_ID);
  await put(machine, environment, lines.join(""), 0o600, RUNNER_ID);
  const command = '. "$0" && exec bash --noprofile --norc -eo pipefail "$1"';
  const exitCode = await runUnit(machine, job, {
    argv: ["bash", "-c", command, environment, script],
    environment: TRUST,
    folder: folders.workspace,
    input: "",
    cancel,
    killWhom: "all",
    cancelTimeoutMs: SCRIPT_STOP_MS,
  });
  return { result: resultOf(exitCode, cancel.aborted), exitCode, outputs: {}, steps: [] };
}

interface Unit {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly input: string;
  readonly cancel: AbortSignal;
  readonly killWhom: "main" | "all";
  readonly cancelTimeoutMs: number;
}

/** Runs a program as user `runner`, in order with systemd, and gives its exit code. */
async function runUnit(machine: Machine, job: HostedJob, unit: Unit): Promise<number> {
  const child = machine.spawn([
    ...["systemd-run", "--quiet", "--pipe", "--wait", "--collect", `--unit=${UNIT}`],
    ...["--uid=runner", `--working-directory=${unit.folder}`],
    ...Object.entries(unit.environment).map(([name, value]) => `--setenv=${name}=${value}`),
    ...["--", ...unit.argv],
  ]);
  const timers: NodeJS.Timeout[] = [];
  const end = (): void => {
    void machine.stop().catch(() => undefined);
  };
  const stop = (): void => {
    const kill = ["systemctl", "kill", `--kill-whom=${unit.killWhom}`, "--signal=SIGINT", UNIT];
    // It may have been started and not be there yet, or have just ended.
    const told = async (): Promise<boolean> => (await machine.exec(kill, {})).code === 0;
    void until(told, KILL_TIMEOUT_MS, 200).catch(() => undefined);
    timers.push(setTimeout(end, unit.cancelTimeoutMs));
  };
  const { timeout_seconds: seconds } = job.message;
  if (seconds > 0) timers.push(setTimeout(end, seconds * 1000 + unit.cancelTimeoutMs + GRACE_MS));
  if (unit.cancel.aborted) stop();
  else unit.cancel.addEventListener("abort", stop, { once: true });
  for (const stream of [child.stdout, child.stderr]) {
    const decoder = new StringDecoder("utf8");
    stream.on("data", (data: Buffer) => job.onLog(decoder.write(data)));
  }
  // A program that ends without reading its input closes the pipe: its exit code tells enough.
  child.stdin.on("error", () => undefined);
  child.stdin.end(unit.input);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 1));
    });
  } finally {
    timers.forEach(clearTimeout);
    unit.cancel.removeEventListener("abort", stop);
  }
}

async function makeFolders(machine: Machine, { message }: HostedJob): Promise<JobFolders> {
  const repository = basename(message.repository);
  const folders = {
    workspace: join(WORK, repository, repository),
    temp: join(WORK, "_temp"),
    toolCache: "/opt/hostedtoolcache",
  };
  for (const path of [WORK, join(WORK, repository), ...Object.values(folders)]) {
    await own(machine, path);
  }
  return folders;
}

/** A folder of the user `runner`. */
async function own(machine: Machine, path: string): Promise<void> {
  await mkdir(join(machine.root, path), { recursive: true });
  await chown(join(machine.root, path), RUNNER_ID, RUNNER_ID);
}

async function put(
  machine: Machine,
  path: string,
  content: string,
  mode: number,
  owner = 0,
): Promise<void> {
  const file = join(machine.root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content, { mode });
  await chmod(file, mode);
  await chown(file, owner, owner);
}

async function succeeds(machine: Machine, argv: readonly string[]): Promise<void> {
  const { code, stderr } = await machine.exec(argv, {});
  if (code !== 0) throw new Error(`the hosted runner cannot be set up: ${stderr.trim()}`);
}

const quoted = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`;
