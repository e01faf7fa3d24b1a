import { createHash } from "node:crypto";
import { posix } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Listening } from "../../core/serve";
import { limiter, until } from "../run";
import type { ExecResult, GatewayServices, HostSpec, NetworkAttachment } from "../types";
import { Agent, type Registration } from "./agent";
import { parseApplyScript, type StoredFile } from "./applyScript";
import { readCompose, type Service } from "./compose";
import type { Pace } from "./pace";
import { logText, statusText } from "./report";
import { newRunnerName, passwordIn, readRunnerSettings, type RunnerSettings } from "./runner";
import { Slot } from "./slot";
import { SshServer } from "./sshServer";
import {
  listensAt,
  startBuiltinTokenService,
  startTokenService,
  TOKEN_SERVICE_PORT,
  TokenServiceClient,
} from "./tokenService";
import { type FirstBoot, firstBoot } from "./userData";

const LOOPBACK = "127.0.0.1";
const STACK = "/opt/runner-fleet";
/** Configuration of curl with the password of the token service. */
const CURL_CONFIG = "/etc/runner-fleet/token-service.curl";
const COMPOSE_UP = new RegExp(`^docker compose --project-directory ${STACK} up --detach(?= |$)`);
/** Waits until anything answers at the address, or answers well. */
const CURL =
  /^curl --silent --show-error --output \/dev\/null --max-time 5 --retry 60 --retry-delay 1 --retry-connrefused (--fail )?(\S+)$/;
/** Who is let in as root by SSH. */
const AUTHORIZED_KEYS = "/root/.ssh/authorized_keys";
/** Adds its input to that file, or puts it in its place. */
const AUTHORIZE = new RegExp(`^cat (>>?) ${AUTHORIZED_KEYS}$`);
/** The base of a host, none of which there is here. */
const BASE = `${STACK}/bin/base`;
/** The commands that come with a runner host's files. */
const SCRIPTS: readonly string[] = ["converge", "drain", "undrain", "status"];
const CONSOLE_LINES = 2000;

/** What outlives a loss of power. */
interface Disk {
  readonly boot: FirstBoot;
  readonly files: Map<string, StoredFile>;
  /** The token service as `compose up` last made it; Docker starts it again. */
  kms: Service | undefined;
  readonly enabledSlots: Set<number>;
  /** Name of the last runner of each slot, for as long as it may be in GitHub's list. */
  readonly lastRunners: Map<number, string>;
  /** What is still to be applied, on a host that nobody reaches. */
  pending: string | undefined;
}

/** What ends with the power. */
interface Running {
  readonly ssh: SshServer | undefined;
  kms: { readonly service: Service; readonly listening: Listening } | undefined;
  readonly slots: Map<number, Slot>;
  readonly off: AbortController;
  booted: Promise<void>;
  /** The button was pressed: the power goes off when this ends. */
  goingDown: Promise<void> | undefined;
}

/** A server as far as the fleet sees it: SSH, the commands that the fleet sends, and the containers they bring up. */
export class ThinHost {
  readonly inTurn = limiter(1);
  private readonly networks: NetworkAttachment[] = [];
  private readonly lines: string[] = [];
  private disk: Disk;
  private running: Running | undefined;
  /** Nothing runs although the power counts as on. */
  private dead = false;

  constructor(
    readonly spec: HostSpec,
    private readonly services: GatewayServices,
    private readonly pace: Pace,
    /** Finds what serves a URL on another host in one of the given networks. */
    private readonly lookUp: (networks: readonly number[], url: URL) => URL | undefined,
  ) {
    this.disk = this.newDisk();
  }

  get on(): boolean {
    return this.dead || this.alive;
  }

  get alive(): boolean {
    return this.running !== undefined;
  }

  get console(): string {
    return this.lines.map((line) => `${line}\n`).join("");
  }

  /** Only while off. */
  rebuild(): void {
    this.disk = this.newDisk();
  }

  private newDisk(): Disk {
    const boot = firstBoot(this.spec.userData);
    if (boot.warning !== undefined) this.log("cloud-init", boot.warning);
    return {
      boot,
      files: new Map([[AUTHORIZED_KEYS, { mode: "0600", content: linesOf(this.spec.publicKeys) }]]),
      kms: undefined,
      enabledSlots: new Set(),
      lastRunners: new Map(),
      pending: boot.apply,
    };
  }

  private log(source: string, line: string): void {
    this.lines.push(`${new Date().toISOString()} ${source}: ${line}`);
    if (this.lines.length > CONSOLE_LINES) this.lines.shift();
  }

  /** @throws when SSH cannot have its address and port on this machine. */
  async powerOn(): Promise<void> {
    if (this.running !== undefined) return;
    this.dead = false;
    const { boot } = this.disk;
    const { ipv4 } = this.spec;
    const authorized = () => this.disk.files.get(AUTHORIZED_KEYS)?.content.split("\n") ?? [];
    const newServer = (): SshServer =>
      new SshServer(boot.hostKey, authorized, async (command, stdin) => {
        const argv = command.trim().split(/\s+/);
        const line = argv.join(" ");
        // A command that nobody can run must not wait for input that may never end.
        return this.run(argv, line === "bash -s" || AUTHORIZE.test(line) ? await stdin() : "");
      });
    const answers = ipv4 !== "" && boot.apply === undefined;
    try {
      if (answers) {
        const trial = newServer();
        await trial.listen(ipv4, boot.sshPort);
        await trial.close();
      }
    } catch (error) {
      this.log("sshd", (error as Error).message);
      throw error;
    }
    const ssh = answers ? newServer() : undefined;
    const running: Running = {
      ssh,
      kms: undefined,
      slots: new Map(),
      off: new AbortController(),
      booted: Promise.resolve(),
      goingDown: undefined,
    };
    this.running = running;
    this.log("boot", `${this.spec.name} is a thin model: SSH and runner agents in one process`);
    running.booted = this.boot(running).catch((error: unknown) => {
      if (!running.off.signal.aborted) this.log("boot", (error as Error).message);
    });
  }

  private async boot(running: Running): Promise<void> {
    await sleep(this.pace.boot, undefined, { signal: running.off.signal });
    const { kms, enabledSlots, boot } = this.disk;
    // Before SSH answers, so that no command meets a host that is half up.
    if (kms !== undefined) await this.startKms(running, kms);
    for (const slot of enabledSlots) this.startSlot(running, slot);
    await running.ssh?.listen(this.spec.ipv4, boot.sshPort);
    if (running.off.signal.aborted) return running.ssh?.close();
    this.log(
      "sshd",
      running.ssh === undefined
        ? "nobody reaches this host"
        : `listening on ${this.spec.ipv4} port ${boot.sshPort}`,
    );
    void this.applyPending(running);
  }

  /** As the unit that a host which nobody reaches has for it: until it succeeds. */
  private async applyPending(running: Running): Promise<void> {
    const { signal } = running.off;
    for (let script = this.disk.pending; script !== undefined; script = this.disk.pending) {
      // Elsewhere too: `run` waits for the end of the boot.
      const { code } = await this.run(["bash", "-s"], script).catch(() => ({ code: 1 }));
      if (signal.aborted) return;
      if (code === 0) this.disk.pending = undefined;
      else await sleep(this.pace.apply, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
    }
  }

  /** Pulls the plug. */
  async powerOff(): Promise<void> {
    this.dead = false;
    const running = this.running;
    if (running === undefined) return;
    this.running = undefined;
    running.off.abort();
    this.log("boot", "power off");
    await Promise.all([
      ...[...running.slots.values()].map((slot) => slot.kill()),
      running.kms?.listening.close(),
      running.ssh?.close(),
    ]);
  }

  /** The fault of a host that answers no more. */
  async die(): Promise<void> {
    if (!this.alive) throw new Error(`host ${this.spec.id} is off and cannot die`);
    await this.powerOff();
    this.dead = true;
  }

  attach(attachment: NetworkAttachment): void {
    const { networkId } = attachment;
    if (this.networks.some((other) => other.networkId === networkId))
      throw new Error(`host ${this.spec.id} is attached to network ${networkId} already`);
    this.networks.push(attachment);
  }

  detach(networkId: number): void {
    const at = this.networks.findIndex((one) => one.networkId === networkId);
    if (at >= 0) this.networks.splice(at, 1);
  }

  /** Units end as in a drain, with the jobs that run; then the power is off. */
  pressPowerButton(): void {
    const { running } = this;
    if (running === undefined || running.goingDown !== undefined) return;
    let seconds = 0;
    try {
      seconds = readRunnerSettings(this.disk.files.get(`${STACK}/runner.env`)).settings
        .DRAIN_SECONDS;
    } catch {
      // No runner host: there is nothing to wait for.
    }
    const slots = [...running.slots.values()].map((slot) => slot.drain(seconds * 1000));
    running.goingDown = Promise.all(slots).then(() =>
      this.running === running ? this.powerOff() : undefined,
    );
  }

  /** Runs one of the commands that the fleet sends; any other ends with 127. */
  async run(argv: readonly string[], stdin: string): Promise<ExecResult> {
    const ended = (code: number, stderr: string, stdout = ""): ExecResult => {
      if (code !== 0) this.log(argv[0] ?? "", `ended with ${code}: ${stderr.trim()}`);
      return { code, stdout, stderr };
    };
    const running = this.running;
    if (running === undefined) throw new Error(`host ${this.spec.id} is off`);
    await running.booted;
    try {
      const [program, ...args] = argv;
      if (program === "test" && args[0] === "!" && args[1] === "-x" && args[3] === "||") {
        // As `test ! -x PROGRAM || exec PROGRAM …` where the program has not been laid down yet.
        const missing = !this.disk.files.has(args[2] ?? "");
        return missing ? ended(0, "") : await this.run(args.slice(5), "");
      }
      if (program === "bash" && args.join() === "-s") {
        const script = parseApplyScript(stdin);
        for (const [path, file] of script.files) this.disk.files.set(path, file);
        for (const command of script.commands) {
          const result = await this.run(command, "");
          if (result.code !== 0) return result;
        }
        return ended(0, "");
      }
      if (program === "cat" && args[0] !== undefined && args.length === 1) {
        const file = this.disk.files.get(args[0]);
        return file === undefined
          ? ended(1, `${args[0]} does not exist\n`)
          : ended(0, "", file.content);
      }
      const line = argv.join(" ");
      const [, redirection] = AUTHORIZE.exec(line) ?? [];
      if (redirection !== undefined) {
        const file = this.disk.files.get(AUTHORIZED_KEYS) ?? { mode: "0600", content: "" };
        const before = redirection === ">>" ? file.content : "";
        this.disk.files.set(AUTHORIZED_KEYS, { ...file, content: before + stdin });
        return ended(0, "");
      }
      if (COMPOSE_UP.test(line)) {
        await this.composeUp(running);
        return ended(0, "");
      }
      const [, fail, address] = CURL.exec(line) ?? [];
      if (address !== undefined) return await this.curl(address, fail !== undefined, ended);
      if (line === BASE && this.disk.files.has(BASE)) return ended(0, "");
      const script = program?.startsWith(`${STACK}/bin/`) ? posix.basename(program) : "";
      if (this.disk.files.has(program ?? "") && SCRIPTS.includes(script)) {
        const numbers = args.map(Number);
        const [first = NaN, second = NaN, third = NaN] = numbers;
        const used = script === "converge" ? [first, second, third] : numbers;
        const enough = ["undrain", "status"].includes(script) || numbers.length > 0;
        if (!enough || !used.every((one) => Number.isSafeInteger(one) && one >= 0))
          return ended(2, `${script} takes whole numbers\n`);
        if (script === "drain") return ended(0, await this.drain(running, first, used.slice(1)));
        if (script === "undrain") return ended(0, this.undrain(running, used));
        if (script === "status") return ended(0, "", await this.status(running));
        const failure = await this.converge(running, first, second, third);
        return ended(failure === "" ? 0 : 1, failure);
      }
      const log = logText(line, this.lines);
      if (log !== undefined) return ended(0, "", log);
      return ended(127, `${program}: the thin model of a server does not run this command\n`);
    } catch (error) {
      return ended(1, `${(error as Error).message}\n`);
    }
  }

  /** Brings the token service to what compose.yaml says. */
  private async composeUp(running: Running): Promise<void> {
    const wanted = readCompose(`${STACK}/compose.yaml`, this.disk.files);
    const service = wanted.get("kms");
    const kms = service?.onDemand === false ? service : undefined;
    this.disk.kms = kms;
    if (running.kms?.service.hash === kms?.hash) return;
    await running.kms?.listening.close();
    running.kms = undefined;
    if (kms !== undefined) await this.startKms(running, kms);
  }

  private async startKms(running: Running, service: Service): Promise<void> {
    for (const port of this.publishedBy(service)) {
      const address = /^(.+):\d+:\d+$/.exec(port)?.[1];
      if (address !== LOOPBACK && !this.networks.some(({ ip }) => ip === address))
        throw new Error(`kms: cannot publish ${port}: it is on no private address of the host`);
    }
    const log = (line: string): void => this.log("kms", line);
    const listening = await (service.config === undefined
      ? startTokenService(service.environment, this.services, log)
      : startBuiltinTokenService(this.configOf(service), this.services, log));
    if (running.off.signal.aborted) await listening.close();
    else running.kms = { service, listening };
  }

  private configOf({ config = "" }: Service): string {
    const file = this.disk.files.get(config);
    if (file === undefined) throw new Error(`kms: its configuration ${config} does not exist`);
    return file.content;
  }

  /** As Docker writes ports. A service without any is on the host's own network. */
  private publishedBy(service: Service): readonly string[] {
    return service.config !== undefined && service.ports.length === 0
      ? [listensAt(this.configOf(service))]
      : service.ports;
  }

  private startSlot(running: Running, number: number): void {
    if (running.off.signal.aborted) return;
    const log = (line: string): void => this.log(`runner-${number}`, line);
    const launch = async (): Promise<{ agent: Agent; hash: string }> => {
      const hash = this.definitionOf(number);
      const registration = await this.register(number, log);
      const { services, pace } = this;
      const resolve = (url: URL): URL | undefined => this.resolve(url);
      return { agent: new Agent({ registration, services, pace, resolve, log }), hash };
    };
    running.slots.set(number, new Slot(launch, this.pace, log));
  }

  private serviceOf(slot: number): Service {
    const service = readCompose(`${STACK}/compose.yaml`, this.disk.files).get(`runner-${slot}`);
    if (service === undefined) throw new Error("compose.yaml has no such service");
    return service;
  }

  /** Changes with whatever a slot's runner is started from. */
  private definitionOf(slot: number): string {
    const { definition } = readRunnerSettings(this.disk.files.get(`${STACK}/runner.env`));
    return createHash("sha256").update(this.serviceOf(slot).hash).update(definition).digest("hex");
  }

  /** What `bin/slot` does before it starts a container. */
  private async register(slot: number, log: (line: string) => void): Promise<Registration> {
    const { settings } = readRunnerSettings(this.disk.files.get(`${STACK}/runner.env`));
    const name = newRunnerName(settings.HOST_NAME, slot);
    const kind = `${settings.RUNNER_IMAGE} with the token service ${settings.TOKEN_SERVICE}`;
    if (kind === "knatnetwork with the token service knatnetwork") {
      const flags = `--ephemeral --runnergroup ${settings.RUNNER_GROUP} --name ${name} --work /home/runner/_work`;
      const { environment } = this.serviceOf(slot);
      return { by: "token", environment: { ...environment, ADDITIONAL_FLAGS: flags } };
    }
    if (kind !== "actions-runner with the token service builtin")
      throw new Error(
        `a thin host knows actions-runner with the token service builtin and knatnetwork with knatnetwork, and not ${kind}`,
      );
    const tokens = this.tokenService(settings);
    const { lastRunners } = this.disk;
    const remove = async (runner: string): Promise<void> => {
      await tokens.remove(runner);
      if (lastRunners.get(slot) === runner) lastRunners.delete(slot);
    };
    const previous = lastRunners.get(slot);
    // A refusal keeps nobody from work.
    if (previous !== undefined)
      await remove(previous).catch((error: unknown) => log((error as Error).message));
    lastRunners.set(slot, name);
    const config = await tokens.jitConfig({
      name,
      runner_group_id: settings.RUNNER_GROUP_ID,
      labels: ["self-hosted", "Linux", "ARM64", ...settings.RUNNER_LABELS.split(",")],
    });
    return { by: "jit", config, remove: () => remove(name) };
  }

  private tokenService({ ORGANIZATION, TOKEN_SERVICE_URL }: RunnerSettings): TokenServiceClient {
    const password = passwordIn(this.disk.files.get(CURL_CONFIG));
    return new TokenServiceClient(ORGANIZATION, password, () =>
      this.resolve(new URL(TOKEN_SERVICE_URL)),
    );
  }

  /** Where a URL as this host's containers see it is served on this machine. */
  private resolve(url: URL): URL | undefined {
    if (url.hostname === "kms" || url.hostname === LOOPBACK) {
      const inside = Number(url.port) === TOKEN_SERVICE_PORT ? this.running?.kms : undefined;
      return inside && new URL(`${url.pathname}${url.search}`, inside.listening.url);
    }
    const networks = this.networks.map(({ networkId }) => networkId);
    return this.lookUp(networks, url);
  }

  /** Where this host serves a URL that names one of its addresses in these networks. */
  published(networks: readonly number[], url: URL): URL | undefined {
    const port = `${url.hostname}:${url.port || "80"}:${TOKEN_SERVICE_PORT}`;
    const kms = this.running?.kms;
    const reached = this.networks.some(
      ({ networkId, ip }) => networks.includes(networkId) && ip === url.hostname,
    );
    return reached && kms !== undefined && this.publishedBy(kms.service).includes(port)
      ? new URL(`${url.pathname}${url.search}`, kms.listening.url)
      : undefined;
  }

  private async curl(
    address: string,
    fail: boolean,
    ended: (code: number, stderr: string) => ExecResult,
  ): Promise<ExecResult> {
    const url = URL.canParse(address) ? this.resolve(new URL(address)) : undefined;
    if (url === undefined) return ended(7, `curl: nothing answers at ${address}\n`);
    const { ok, status } = await fetch(url);
    return fail && !ok ? ended(22, `curl: ${address} answers ${status}\n`) : ended(0, "");
  }

  /** What `bin/converge` does; answers why it failed, or nothing. */
  private async converge(
    running: Running,
    count: number,
    drainSeconds: number,
    onlineSeconds: number,
  ): Promise<string> {
    await this.composeUp(running);
    const { enabledSlots } = this.disk;
    const surplus = [...enabledSlots].filter((slot) => slot > count);
    let said = surplus.length > 0 ? await this.drain(running, drainSeconds, surplus) : "";
    for (const slot of surplus) enabledSlots.delete(slot);

    const changed = [...running.slots]
      .filter(([slot, { hash }]) => hash !== undefined && hash !== this.definitionOf(slot))
      .map(([slot]) => slot);
    if (changed.length > 0) said += await this.drain(running, drainSeconds, changed);
    if (said !== "") this.log("converge", said.trim());

    const slots = Array.from({ length: count }, (_, index) => index + 1);
    for (const slot of slots) enabledSlots.add(slot);
    this.undrain(running, []);
    const missing = (): number[] => slots.filter((slot) => !running.slots.get(slot)?.online);
    await until(() => running.off.signal.aborted || missing().length === 0, onlineSeconds * 1000);
    return missing()
      .map((slot) => {
        const log = this.lines.filter((line) => line.includes(` runner-${slot}: `)).slice(-20);
        return `slot ${slot} is not online after ${onlineSeconds} s; the end of its log:\n${log.join("\n")}\n`;
      })
      .join("");
  }

  /** What `bin/undrain` does. */
  private undrain(running: Running, only: readonly number[]): "" {
    for (const slot of this.disk.enabledSlots) {
      const wanted = only.length === 0 || only.includes(slot);
      if (wanted && !running.slots.has(slot)) this.startSlot(running, slot);
    }
    return "";
  }

  /** What `bin/status` prints. */
  private status({ slots }: Running): Promise<string> {
    const { settings } = readRunnerSettings(this.disk.files.get(`${STACK}/runner.env`));
    const reports = [...this.disk.enabledSlots]
      .sort((one, other) => one - other)
      .map((slot) => ({
        slot,
        state: slots.get(slot)?.state ?? ("drained" as const),
        runner: this.disk.lastRunners.get(slot) ?? null,
      }));
    return statusText(settings.HOST_NAME, reports);
  }

  /** What `bin/drain` does; answers what it has to say. */
  private async drain(running: Running, seconds: number, only: readonly number[]): Promise<string> {
    const slots = [...running.slots].filter(([slot]) => only.length === 0 || only.includes(slot));
    const said = await Promise.all(
      slots.map(async ([number, slot]) => {
        const inTime = await slot.drain(seconds * 1000);
        running.slots.delete(number);
        return inTime ? "" : `slot ${number}: its job still runs after ${seconds} s and is ended\n`;
      }),
    );
    return said.join("");
  }
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${line.trim()}\n`).join("");
}
