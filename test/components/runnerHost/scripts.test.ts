import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runnerEnvironment } from "../../../components/runnerHost/stack";
import { needs } from "../host/onPath";
import { PASSWORD } from "../host/recorded";
import { COLOCATED, DEDICATED, SERVICE } from "./models";

/**
 * The scripts of a runner host, run by bash below a temporary folder. Docker, systemd and the token service are played
 * by scripts that take note of their calls and answer from files, so this shows what our scripts decide, not what
 * Docker does.
 */
const FILES = join(__dirname, "../../../components/runnerHost/files");
const SCRIPTS = readdirSync(FILES).filter((name) => name.endsWith(".sh"));

/**
 * Files below $HOST: `pid-N` says that slot N has a container, whose first process that is. `busy-N` is made into the
 * job's process by a thaw. `run-output`, `run-status` and `run-seconds` are what a runner says, and how and when it ends.
 */
const DOCKER = `#!/bin/bash
last=\${*: -1}
slot=\${last#runner-}
case "$1 $2" in
  "compose --project-directory")
    [[ "$3" == "$HOST/opt/runner-fleet" ]] || exit 64
    case "\${*:4}" in
      "ps --quiet buildkit") cat "$HOST/buildkit-container" 2>/dev/null || true; exit ;;
      "config --hash buildkit") echo "buildkit $(cat "$HOST/buildkit-wanted")"; exit ;;
      # Compose knows services of a profile only when it is named.
      "--profile runner config --hash runner-"*) cat "$HOST/wanted-$slot"; exit ;;
      "--profile runner config --images") cat "$HOST/images" 2>/dev/null || true; exit ;;
      *config*) exit 64 ;;
      up*) echo "docker $*" >>"$HOST/calls"; [[ ! -e "$HOST/unhealthy" ]]; exit ;;
      "ps --all") echo "the services"; exit ;;
      *logs*) echo "the logs of the services"; exit ;;
      run*)
        echo "docker $*" >>"$HOST/calls"
        cat >"$HOST/stdin-$slot"
        cat "$HOST/run-output" 2>/dev/null || printf '2026-11-24 12:00:00Z: %s\\n' "Listening for Jobs" "Running job: build"
        if [[ -e "$HOST/run-seconds" ]]; then /bin/sleep "$(cat "$HOST/run-seconds")"; fi
        if [[ -e "$HOST/outlives-its-client" ]]; then echo 999999999 >"$HOST/pid-$slot"; fi
        exit "$(cat "$HOST/run-status" 2>/dev/null || echo 0)" ;;
    esac
    ;;
  "container ls")
    # The service is down as long as it is said to be, in questions.
    down=$(cat "$HOST/docker-down" 2>/dev/null || echo 0)
    if [[ "$down" -gt 0 ]]; then echo $((down - 1)) >"$HOST/docker-down"; exit 1; fi
    slot=\${last#*runner-}
    slot=\${slot%$}
    if [[ -e "$HOST/pid-$slot" ]]; then echo 0123456789ab; fi
    exit ;;
  "image inspect")
    if [[ "$*" == *RepoTags* ]]; then cat "$HOST/names-$last"; exit; fi
    grep -qx -e "$last" "$HOST/present" 2>/dev/null && echo "$last"; exit ;;
  "inspect --format")
    case "$3" in
      *config-hash*) cat "$HOST/buildkit-running" ;;
      *Running*) if [[ -e "$HOST/pid-$slot" ]]; then echo true; fi ;;
      *Image*) cat "$HOST/used" 2>/dev/null ;;
      *) cat "$HOST/pid-$slot" 2>/dev/null ;;
    esac
    exit
    ;;
  "image ls") cat "$HOST/present"; exit ;;
  "ps --all") echo 0123456789ab; exit ;;
esac
if [[ "$1" == exec && "$*" == *" buildctl "*" du "* ]]; then cat "$HOST/cache-sizes" 2>/dev/null; exit; fi
if [[ "$1" == kill && "$*" != *TERM* ]] || [[ "$1" == stop ]]; then rm -f "$HOST/pid-$slot"; fi
echo "docker $*" >>"$HOST/calls"
case "$1" in
  pause | unpause | wait) [[ -e "$HOST/pid-$slot" ]] || exit 1 ;;
  rm) rm -f "$HOST/pid-$slot" ;;
  exec) cat >"$HOST/exec-stdin"; [[ ! -e "$HOST/exec-fails" ]] || exit 1 ;;
esac
case "$1 $*" in
  kill*TERM*) if [[ -e "$HOST/ends-on-term" ]]; then rm -f "$HOST/pid-$slot"; fi ;;
  pause* | wait*) if [[ -e "$HOST/on-$1" ]]; then . "$HOST/on-$1"; fi ;;
esac
exit 0
`;

/** Starting a slot makes its runner listen, unless it is broken. */
const SYSTEMCTL = `#!/bin/bash
unit=\${*: -1}
slot=\${unit##*@}
slot=\${slot%.service}
mark=
if [[ -e "$HOST/run/runner-fleet/draining-$slot" ]]; then mark=" (draining)"; fi
wants="$HOST/etc/systemd/system/multi-user.target.wants"
if [[ "$1" == is-active ]]; then [[ -e "$HOST/active-$slot" ]]; exit; fi
echo "systemctl $*$mark" >>"$HOST/calls"
if [[ "$1" == enable ]]; then for one in "\${@:3}"; do touch "$wants/$one"; done; fi
[[ "$unit" == runner-slot@* ]] || exit 0
case "$1" in
  stop) rm -f "$HOST/pid-$slot" "$HOST/run/runner-fleet/listening-$slot" ;;
  disable) rm "$wants/$unit" ;;
  start | restart)
    [[ -z "$mark" ]] || exit 1
    if [[ ! -e "$HOST/pid-$slot" && ! -e "$HOST/broken-$slot" ]]; then
      echo 999999999 >"$HOST/pid-$slot"
      touch "$HOST/run/runner-fleet/listening-$slot"
    fi
    ;;
esac
`;

/** Answers of the token service: \`answer-METHOD\`, or \`answer-METHOD-labels\`, is a body and, on the last line, a status. */
const CURL = `#!/bin/bash
[[ "$1 $2" == "--config $HOST/etc/runner-fleet/token-service.curl" ]] || exit 64
while [[ $# -gt 1 ]]; do
  case "$1" in
    --request) method=$2 ;;
    --data-binary) body=" $(cat)" ;;
  esac
  shift
done
echo "$method $1$body" >>"$HOST/calls"
file="$HOST/answer-$method"
if [[ "$1" == */labels ]]; then file+=-labels; fi
if [[ ! -e "$file" ]]; then echo "curl: (7) Failed to connect" >&2; printf '\\n000\\n'; exit 7; fi
cat "$file"
`;

const DF = `#!/bin/bash
echo "   1K-blocks    Avail"
cat "$HOST/disk"
`;

/** All of them are short here; a runner's time to come online is the longest. */
const SLEEP = `#!/bin/bash
echo "$1" >>"$HOST/sleeps"
if [[ "$1" == 120 ]]; then exec /bin/sleep 0.3; fi
exec /bin/sleep 0.05
`;

const NOTE = (name: string) => `#!/bin/bash
echo "${name} $*" >>"$HOST/calls"
`;

/** Without a change of owner, which only root may do. */
const INSTALL = `#!/bin/bash
for one in "$@"; do if [[ "$one" == /* ]]; then mkdir -p "$one"; fi; done
`;

const JOURNALCTL = `#!/bin/bash
echo "the log of \${*: -1}"
`;

const CREATED = '{\n  "runner": {"id": 1},\n  "encoded_jit_config": "eyJhIjoxfQ=="\n}\n201\n';
const GONE = "\n204\n";
const BUSY = '{"message":"Runner is currently running a job and cannot be deleted."}\n409\n';

describe("the scripts of a runner host", () => {
  it("are clean to shellcheck", function () {
    this.timeout(60_000);
    needs(this, "shellcheck", "--version");
    const { stdout } = spawnSync("shellcheck", ["--external-sources", ...SCRIPTS], {
      cwd: FILES,
      encoding: "utf8",
    });
    assert.equal(stdout, "");
  });

  describe("on a host", function () {
    this.timeout(20_000);
    let host: string;
    let processes: (() => Promise<void>)[];
    let daemon: Server;
    const definitions = new Map<string, string>();
    const at = (...path: string[]) => join(host, ...path);

    beforeEach(() => {
      host = mkdtempSync(join(tmpdir(), "host-"));
      processes = [];
      for (const folder of [
        "opt/runner-fleet/bin",
        "run/runner-fleet",
        "var/lib/runner-fleet",
        "bin",
        "etc/systemd/system/multi-user.target.wants",
      ]) {
        mkdirSync(at(folder), { recursive: true });
      }
      for (const name of SCRIPTS) {
        const text = readFileSync(join(FILES, name), "utf8")
          .replaceAll("/opt/runner-fleet", at("opt/runner-fleet"))
          .replaceAll("/run/runner-fleet", at("run/runner-fleet"))
          .replaceAll("/var/lib/runner-fleet", at("var/lib/runner-fleet"))
          .replaceAll("/etc/runner-fleet", at("etc/runner-fleet"))
          .replaceAll("/etc/systemd", at("etc/systemd"))
          .replaceAll("/run/buildkit/buildkitd.sock", at("buildkitd.sock"))
          .replaceAll("wait < 60", "wait < 1");
        const path = at("opt/runner-fleet/bin", name === "common.sh" ? name : name.slice(0, -3));
        writeFileSync(path, text, { mode: 0o755 });
      }
      for (const [name, text] of Object.entries({
        docker: DOCKER,
        systemctl: SYSTEMCTL,
        journalctl: JOURNALCTL,
        curl: CURL,
        df: DF,
        sleep: SLEEP,
        install: INSTALL,
        "systemd-run": NOTE("systemd-run"),
      })) {
        writeFileSync(at("bin", name), text, { mode: 0o755 });
      }
      write("calls", "");
      write("disk", "  1000 500\n");
      write("present", "");
      write("answer-POST", CREATED);
      write("answer-DELETE", GONE);
      write("answer-DELETE-labels", GONE);
      configure(DEDICATED);
      daemon = createServer().listen(at("buildkitd.sock"));
    });
    afterEach(async () => {
      daemon.close();
      for (const end of processes) await end();
      // What a slot left to wait still writes there for a moment.
      rmSync(host, { recursive: true, maxRetries: 10, retryDelay: 100 });
    });

    const environment = (more: Readonly<Record<string, string>> = {}) => ({
      HOST: host,
      PATH: `${at("bin")}:${process.env.PATH}`,
      ...more,
    });

    function write(path: string, text: string): void {
      writeFileSync(at(path), text);
    }

    function read(path: string): string {
      return readFileSync(at(path), "utf8");
    }

    function configure(model: typeof COLOCATED): void {
      write("opt/runner-fleet/runner.env", runnerEnvironment(model));
    }

    function run(script: string, ...args: (string | number)[]): SpawnSyncReturns<string> {
      return runWith({}, script, ...args);
    }

    function runWith(
      more: Readonly<Record<string, string>>,
      script: string,
      ...args: (string | number)[]
    ): SpawnSyncReturns<string> {
      return spawnSync(at("opt/runner-fleet/bin", script), args.map(String), {
        encoding: "utf8",
        env: environment(more),
        timeout: 15_000,
      });
    }

    function start(script: string, ...args: string[]) {
      const child = spawn(at("opt/runner-fleet/bin", script), args, { env: environment() });
      let errors = "";
      child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
      const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
      return { child, exited, errors: () => errors };
    }

    function calls(): string[] {
      return read("calls").split("\n").slice(0, -1);
    }

    function forget(): void {
      write("calls", "");
    }

    /** Slots that are enabled and whose runners listen, by the hash of their definition. */
    function slots(hashes: Readonly<Record<number, string>>): void {
      for (const [slot, hash] of Object.entries(hashes)) {
        write(`etc/systemd/system/multi-user.target.wants/${unit(slot)}`, "");
        write(`pid-${slot}`, "999999999\n");
        write(`active-${slot}`, "");
        write(`run/runner-fleet/listening-${slot}`, "");
        write(`var/lib/runner-fleet/slot-${slot}.runner`, `${runner(slot)}\n`);
        wanted(slot, hash);
        write(`run/runner-fleet/runner-${slot}.hash`, definition(slot));
      }
    }

    function wanted(slot: number | string, hash: string): void {
      write(`wanted-${slot}`, `${hash}\n`);
    }

    /** As the scripts have it; asked for once for each content of what it is made from. */
    function definition(slot: number | string): string {
      const made = `${read(`wanted-${slot}`)}${read("opt/runner-fleet/runner.env")}`;
      const known = definitions.get(made) ?? bash("definition", slot).stdout;
      definitions.set(made, known);
      return known;
    }

    /** Calls a function of common.sh. */
    function bash(name: string, slot: number | string): SpawnSyncReturns<string> {
      const script = `. ${at("opt/runner-fleet/bin/common.sh")}; ${name} ${slot}`;
      // Without it bash takes the socket on its standard input for a login from afar and reads the user's .bashrc.
      return spawnSync("bash", ["--norc", "-c", script], { encoding: "utf8", env: environment() });
    }

    const servicesUp = (seconds: number) =>
      `docker compose --project-directory ${at("opt/runner-fleet")} up --detach --quiet-pull --remove-orphans --wait --wait-timeout ${seconds}`;
    const unit = (slot: number | string) => `runner-slot@${slot}.service`;
    const runner = (slot: number | string) => `dev-arm64-1-1-${slot}-abc123`;
    const github = (slot: number | string) =>
      `http://10.0.1.254:3000/orgs/acme/runners/${runner(slot)}`;

    /** Makes a process that is seen as a program of a slot's container; resolves to what ends it. */
    async function program(name: string): Promise<{ pid: number; end: () => Promise<void> }> {
      // Linux names a process after its file; the name may be set by the process itself.
      const child = spawn("bash", [
        "--norc",
        "-c",
        `printf ${name} >/proc/$$/comm; echo ready; read -r _`,
      ]);
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      await new Promise((resolve) => child.stdout.once("data", resolve));
      const end = async () => {
        child.kill("SIGCONT");
        child.stdin.end();
        await ended;
      };
      processes.push(end);
      return { pid: child.pid!, end };
    }

    /** Gives a slot a job; resolves to what ends it. */
    async function job(slot: number): Promise<() => Promise<void>> {
      const { end } = await program("Runner.Worker");
      // In the same PID namespace as this process, which plays the container's first.
      write(`pid-${slot}`, `${process.pid}\n`);
      return end;
    }

    describe("drain", () => {
      it("marks every slot before it stops one, and deregisters idle runners while they are frozen", () => {
        slots({ 1: "a", 2: "a" });
        const { status, stderr } = run("drain", 5);
        assert.deepEqual([status, stderr], [0, ""]);
        for (const slot of [1, 2]) {
          const own = calls().filter((call) =>
            new RegExp(`([-@]${slot}\\b|1-${slot}-abc)`).test(call.replace("arm64-1-1", "")),
          );
          assert.deepEqual(own, [
            `DELETE ${github(slot)}/labels`,
            `docker pause runner-${slot}`,
            `DELETE ${github(slot)}`,
            `docker kill runner-${slot}`,
            `systemctl stop ${unit(slot)} (draining)`,
            `docker rm --force runner-${slot}`,
          ]);
          assert.equal(read(`run/runner-fleet/draining-${slot}`), "operator\n");
          assert.ok(!existsSync(at(`var/lib/runner-fleet/slot-${slot}.runner`)));
        }
      });

      it("is harmless when repeated", () => {
        slots({ 1: "a" });
        run("drain", 5);
        forget();
        const { status, stderr } = run("drain", 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.ok(!calls().some((call) => /DELETE|pause|kill/.test(call)));
      });

      it("is harmless where there is no slot", () => {
        assert.equal(run("drain", 5).status, 0);
        assert.deepEqual(calls(), []);
      });

      it("takes out the named slots only", () => {
        slots({ 1: "a", 2: "a", 3: "a" });
        run("drain", 5, 2);
        assert.deepEqual(
          [1, 2, 3].map((slot) => existsSync(at(`run/runner-fleet/draining-${slot}`))),
          [false, true, false],
        );
        assert.deepEqual(
          [1, 2, 3].map((slot) => existsSync(at(`pid-${slot}`))),
          [true, false, true],
        );
      });

      it("leaves a lease, after which the host takes up work again by itself", () => {
        slots({ 1: "a" });
        run("drain", 60);
        assert.deepEqual(
          calls().filter((call) => /lease/.test(call)),
          [
            "systemctl stop runner-lease.timer",
            `systemd-run --quiet --collect --unit runner-lease --on-active 960s --setenv UNDRAIN_ONLY=operator ${at("opt/runner-fleet/bin/undrain")}`,
          ],
        );
      });

      it("waits for a running job, and stops the slot when it ended", async () => {
        slots({ 1: "a" });
        const end = await job(1);
        const drain = start("drain", "30");
        await until(() => (existsSync(at("sleeps")) ? read("sleeps").length >= 4 : false));
        assert.ok(
          !calls().some((call) => /DELETE|pause|kill|systemctl stop runner-slot/.test(call)),
        );
        assert.ok(existsSync(at("run/runner-fleet/draining-1")));
        await end();
        assert.equal(await drain.exited, 0);
        assert.deepEqual(calls().slice(-5), [
          "docker pause runner-1",
          `DELETE ${github(1)}`,
          "docker kill runner-1",
          `systemctl stop ${unit(1)} (draining)`,
          "docker rm --force runner-1",
        ]);
      });

      it("thaws a runner whose job starts between the look and the frost", async () => {
        slots({ 1: "a" });
        // The job is there from the first frost on.
        write("on-pause", `echo ${process.pid} >"$HOST/pid-1"\n`);
        const { end } = await program("Runner.Worker");
        const drain = start("drain", "30");
        await until(() => calls().includes("docker unpause runner-1"));
        assert.ok(!calls().includes(`DELETE ${github(1)}`));
        rmSync(at("on-pause"));
        await end();
        assert.equal(await drain.exited, 0);
        assert.equal(calls().filter((call) => call === `DELETE ${github(1)}`).length, 1);
      });

      it("waits for a job that GitHub has assigned but that has not started: it is busy while frozen", async () => {
        slots({ 1: "a" });
        write("answer-DELETE", BUSY);
        const drain = start("drain", "30");
        await until(() => calls().filter((call) => call === "docker unpause runner-1").length >= 2);
        assert.ok(!calls().includes("docker kill runner-1"));
        write("answer-DELETE", GONE);
        assert.equal(await drain.exited, 0);
        assert.ok(calls().includes("docker kill runner-1"));
        assert.equal(
          drain.errors(),
          "slot 1: GitHub has just given its runner a job, which is waited for\n",
        );
      });

      it("goes on without a token service: what is left at GitHub is for the slot's next start", () => {
        slots({ 1: "a" });
        rmSync(at("answer-DELETE"));
        rmSync(at("answer-DELETE-labels"));
        const { status, stderr } = run("drain", 5);
        assert.equal(status, 0);
        const down = "the token service at http://10.0.1.254:3000 does not answer";
        assert.deepEqual(
          stderr.split("\n").filter((line) => !line.startsWith("curl:")),
          [
            `runner ${runner(1)} is not cordoned: ${down}`,
            `runner ${runner(1)} is still registered: ${down}`,
            `runner ${runner(1)} is still registered: ${down}`,
            "",
          ],
        );
        assert.ok(calls().includes("docker kill runner-1"));
        assert.equal(read("var/lib/runner-fleet/slot-1.left"), `${runner(1)}\n`);
      });

      it("ends a job that outlasts the limit, says so, and deregisters its runner", async () => {
        slots({ 1: "a" });
        await job(1);
        const { status, stderr } = run("drain", 1);
        assert.deepEqual(
          [status, stderr],
          [0, "slot 1: its job still runs after 1 s and is ended\n"],
        );
        assert.ok(!calls().some((call) => call.startsWith("docker kill")));
        assert.deepEqual(
          calls().filter((call) => /docker stop|systemctl stop runner-slot|DELETE/.test(call)),
          [
            "docker stop --time 30 runner-1",
            `systemctl stop ${unit(1)} (draining)`,
            `DELETE ${github(1)}`,
          ],
        );
      });

      it("fails, and stops nothing, while Docker does not answer: there may be a job", () => {
        slots({ 1: "a" });
        write("docker-down", "99");
        const { status, stderr } = run("drain", 5);
        assert.deepEqual(
          [status, stderr],
          [1, "slot 1: Docker does not answer, so nobody can tell whether a job runs\n"],
        );
        assert.ok(!calls().some((call) => /systemctl stop runner-slot|docker rm/.test(call)));
      });

      it("leaves no runner frozen when it is ended itself", async () => {
        slots({ 1: "a" });
        write("on-pause", "/bin/sleep 0.5\n");
        const drain = start("drain", "30");
        await until(() => calls().includes("docker pause runner-1"));
        const children = ["-o", "pid=", "--ppid", `${drain.child.pid}`];
        const [pid] = spawnSync("ps", children, { encoding: "utf8" }).stdout.split("\n");
        process.kill(Number(pid), "SIGTERM");
        assert.equal(await drain.exited, 1);
        assert.equal(calls().at(-1), "docker unpause runner-1");
      });

      describe("with knatnetwork's token service", () => {
        const service = {
          placement: "dedicated",
          implementation: "knatnetwork",
          url: "http://10.0.1.254:3000",
          password: PASSWORD,
        } as const;
        let listener: { pid: number };
        const stopped = () =>
          /^State:\s+T/m.test(readFileSync(`/proc/${listener.pid}/status`, "utf8"));

        beforeEach(async () => {
          slots({ 1: "a" });
          listener = await program("Runner.Listener");
          write("pid-1", `${process.pid}\n`);
        });

        it("holds what takes jobs while the origin's image deregisters", () => {
          configure({ ...COLOCATED, tokenService: service });
          write("ends-on-term", "");
          const { status, stderr } = run("drain", 5);
          assert.deepEqual([status, stderr], [0, ""]);
          assert.ok(stopped());
          assert.deepEqual(
            calls().filter((call) => /^docker (pause|unpause|kill)|DELETE/.test(call)),
            [
              "docker pause runner-1",
              "docker kill --signal TERM runner-1",
              "docker unpause runner-1",
              "docker kill runner-1",
            ],
          );
        });

        it("removes GitHub's own runner by a token that no command line shows", () => {
          configure({ ...DEDICATED, tokenService: service });
          write("answer-GET", "REMOVE-TOKEN\n200\n");
          const { status, stderr } = run("drain", 5);
          assert.deepEqual([status, stderr], [0, ""]);
          assert.ok(stopped());
          assert.equal(read("exec-stdin"), "REMOVE-TOKEN\n");
          assert.ok(calls().some((call) => call.startsWith("docker exec --interactive runner-1")));
          assert.ok(!calls().some((call) => call.includes("REMOVE-TOKEN")));
        });

        it("lets it work on when it cannot be removed, as while it has a job", () => {
          configure({ ...DEDICATED, tokenService: service });
          write("answer-GET", "REMOVE-TOKEN\n200\n");
          write("exec-fails", "");
          assert.equal(run("drain", 1).status, 0);
          assert.ok(!stopped());
          assert.ok(calls().includes("docker stop --time 30 runner-1"));
        });
      });
    });

    describe("undrain", () => {
      it("puts slots back into service and ends the lease", () => {
        slots({ 1: "a", 2: "a" });
        run("drain", 5);
        forget();
        const { status, stderr } = run("undrain");
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(
          calls().filter((call) => call.startsWith("systemctl")),
          [
            // Cordoned: a runner that is still there would get no job any more.
            `systemctl restart --no-block ${unit(1)}`,
            `systemctl restart --no-block ${unit(2)}`,
            "systemctl stop runner-lease.timer",
          ],
        );
        assert.ok(!existsSync(at("run/runner-fleet/draining-1")));
      });

      it("has a runner go on that a drain was ended at", async () => {
        slots({ 1: "a" });
        const { pid } = await program("Runner.Listener");
        write("pid-1", `${process.pid}\n`);
        write("run/runner-fleet/draining-1", "operator\n");
        process.kill(pid, "SIGSTOP");
        const stopped = () => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
        await until(stopped);
        assert.equal(run("undrain").status, 0);
        await until(() => !stopped());
        assert.equal(calls()[0], "docker unpause runner-1");
      });

      it("puts a slot back also when Docker does not answer: its unit waits for it", () => {
        slots({ 1: "a" });
        write("run/runner-fleet/draining-1", "operator\n");
        write("docker-down", "99");
        assert.equal(run("undrain").status, 0);
        assert.ok(calls().includes(`systemctl restart --no-block ${unit(1)}`));
        assert.ok(!existsSync(at("run/runner-fleet/draining-1")));
      });

      it("ends a drain that still waits, and its job goes on", async () => {
        slots({ 1: "a" });
        await job(1);
        const drain = start("drain", "30");
        await until(() => existsSync(at("run/runner-fleet/draining-1")));
        assert.equal(run("undrain", 1).status, 0);
        assert.equal(await drain.exited, 0);
        assert.equal(drain.errors(), "slot 1 is back in service\n");
        assert.ok(
          !calls().some((call) => /docker (kill|stop)|systemctl stop runner-slot/.test(call)),
        );
        assert.ok(calls().includes(`systemctl start --no-block ${unit(1)}`));
      });

      it("takes back what was drained by one party only, when told so", () => {
        slots({ 1: "a", 2: "a" });
        run("drain", 5, 1);
        runWith({ DRAIN_BY: "guard" }, "drain", 5);
        // What an operator wanted stays what an operator wanted.
        assert.equal(read("run/runner-fleet/draining-1"), "operator\n");
        forget();
        runWith({ UNDRAIN_ONLY: "guard" }, "undrain");
        assert.deepEqual(
          calls().filter((call) => call.startsWith("systemctl")),
          [`systemctl restart --no-block ${unit(2)}`],
        );
        assert.ok(existsSync(at("run/runner-fleet/draining-1")));
      });
    });

    describe("converge", () => {
      const started = (...numbers: number[]) => [
        `systemctl enable --quiet ${["runner-guard.service", ...numbers.map(unit)].join(" ")}`,
        "systemctl stop runner-lease.timer",
        ...numbers.map((slot) => `systemctl start --no-block ${unit(slot)}`),
        "systemctl restart runner-guard.service",
      ];

      it("starts the slots and ends when they listen", () => {
        for (const slot of [1, 2]) wanted(slot, "a");
        const { status, stderr } = run("converge", 2, 5, 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(calls(), ["systemctl daemon-reload", servicesUp(5), ...started(1, 2)]);
      });

      it("enables what is not enabled yet, and nothing else", () => {
        slots({ 1: "a" });
        wanted(2, "a");
        const enabled = () => calls().filter((call) => call.startsWith("systemctl enable"));
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.deepEqual(enabled(), [`systemctl enable --quiet runner-guard.service ${unit(2)}`]);
        forget();
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.deepEqual(enabled(), []);
      });

      it("waits for an earlier run that is still at work", async () => {
        const script = 'flock "$1" sh -c "echo locked; read -r _; echo ended >>$2"';
        const earlier = spawn("bash", [
          "--norc",
          "-c",
          script,
          "bash",
          at("run/runner-fleet/lock-converge"),
          at("calls"),
        ]);
        processes.push(() => {
          earlier.stdin.end();
          return Promise.resolve();
        });
        await new Promise((resolve) => earlier.stdout.once("data", resolve));
        const { exited } = start("converge", "1", "5", "2");
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.deepEqual(calls(), []);
        earlier.stdin.end();
        await exited;
        assert.equal(calls()[0], "ended");
      });

      it("fetches the images that are not there before it stops anything", () => {
        slots({ 1: "a" });
        write("images", "runner:2\nbuildkit:1\nrunner:2\n");
        write("present", "buildkit:1\n");
        assert.equal(run("converge", 1, 5, 5).status, 0);
        assert.deepEqual(calls().slice(0, 3), [
          "systemctl daemon-reload",
          "docker pull --quiet runner:2",
          servicesUp(5),
        ]);
      });

      it("says what is not healthy, with the last lines of its log", () => {
        wanted(1, "a");
        write("unhealthy", "");
        const { status, stderr } = run("converge", 1, 5, 7);
        assert.equal(status, 1);
        assert.equal(
          stderr,
          "the services\nnot all of the services above are healthy; the end of their logs:\nthe logs of the services\n",
        );
      });

      for (const [what, running, drained] of [
        ["made anew", "before", true],
        ["left alone", "wanted", false],
      ] as const) {
        it(`${drained ? "drains every slot" : "drains none"} when the build daemon is ${what}`, () => {
          slots({ 1: "a", 2: "a" });
          write("buildkit-container", "0123456789ab\n");
          write("buildkit-running", `${running}\n`);
          write("buildkit-wanted", "wanted\n");
          const { status, stderr } = run("converge", 2, 5, 5);
          assert.deepEqual([status, stderr], [0, ""]);
          const before = calls().slice(0, calls().indexOf(servicesUp(5)));
          assert.equal(
            before.filter((call) => call.startsWith("systemctl stop runner-slot")).length,
            drained ? 2 : 0,
          );
          assert.ok(existsSync(at("pid-1")) && existsSync(at("pid-2")));
        });
      }

      it("leaves unchanged slots alone", () => {
        slots({ 1: "a", 2: "a" });
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.ok(!calls().some((call) => /pause|kill|stop runner-slot/.test(call)));
      });

      it("drains a slot that changed, and it alone, before it starts it again", () => {
        slots({ 1: "a", 2: "a" });
        wanted(2, "b");
        const { status, stderr } = run("converge", 2, 5, 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(
          calls().filter((call) => /stop runner-slot|kill/.test(call)),
          ["docker kill runner-2", `systemctl stop ${unit(2)} (draining)`],
        );
        assert.ok(calls().includes(`systemctl restart --no-block ${unit(2)}`));
      });

      it("drains every slot when what the scripts register runners with changed, but not for another limit", () => {
        slots({ 1: "a", 2: "a" });
        configure({ ...DEDICATED, drainTimeoutSeconds: 60, buildCachePercent: 50 });
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.ok(!calls().some((call) => /kill/.test(call)));
        configure({ ...DEDICATED, labels: ["other"] });
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.equal(calls().filter((call) => /docker kill/.test(call)).length, 2);
      });

      it("drains and retires surplus slots, and takes them back later", () => {
        slots({ 1: "a", 2: "a", 10: "a" });
        assert.equal(run("converge", 1, 5, 5).status, 0);
        assert.deepEqual(
          calls()
            .filter((call) => /stop runner-slot|disable/.test(call))
            .sort(),
          [
            `systemctl disable --quiet ${unit(10)} (draining)`,
            `systemctl disable --quiet ${unit(2)} (draining)`,
            `systemctl stop ${unit(10)} (draining)`,
            `systemctl stop ${unit(2)} (draining)`,
          ],
        );
        const enabled = at("etc/systemd/system/multi-user.target.wants");
        const guard = "runner-guard.service";
        assert.deepEqual(readdirSync(enabled).sort(), [guard, unit(1)]);
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.deepEqual(readdirSync(enabled).sort(), [guard, unit(1), unit(2)]);
      });

      it("takes back slots that an interrupted run left drained", () => {
        slots({ 1: "a" });
        run("drain", 5);
        assert.equal(run("converge", 1, 5, 5).status, 0);
        assert.ok(existsSync(at("pid-1")));
      });

      it("drains before Compose removes what it no longer knows, by the rules that runners were registered by", () => {
        slots({ 1: "a", 2: "a" });
        for (const slot of [1, 2]) {
          write(`run/runner-fleet/runner-${slot}.env`, runnerEnvironment(DEDICATED));
        }
        configure({
          ...DEDICATED,
          tokenService: { ...DEDICATED.tokenService, implementation: "knatnetwork" },
        });
        assert.equal(run("converge", 1, 5, 5).status, 0);
        const before = calls().slice(0, calls().indexOf(servicesUp(5)));
        for (const slot of [1, 2]) {
          assert.ok(before.includes(`DELETE ${github(slot)}`));
          assert.ok(before.includes(`systemctl stop ${unit(slot)} (draining)`));
        }
      });

      it("has a slot that waits before its next try make it at once", () => {
        slots({ 1: "a" });
        rmSync(at("pid-1"));
        write("run/runner-fleet/failures-1", "5\n");
        write("run/runner-fleet/waiting-1", "");
        assert.equal(run("converge", 1, 5, 5).status, 0);
        assert.ok(calls().includes(`systemctl restart --no-block ${unit(1)}`));
        assert.ok(!existsSync(at("run/runner-fleet/failures-1")));
      });

      it("names the slots that do not come up, with their state and their logs", () => {
        for (const slot of [1, 2]) wanted(slot, "a");
        write("broken-2", "");
        write("active-2", "");
        write("run/runner-fleet/failures-2", "3\n");
        const { status, stderr } = run("converge", 2, 5, 1);
        assert.equal(status, 1);
        assert.equal(
          stderr,
          `slot 2 is not online after 1 s: starting, failed 3 times in a row; the end of its log:\nthe log of ${unit(2)}\n`,
        );
      });

      it("takes no time off for the jobs that it waited for", async () => {
        slots({ 1: "a" });
        wanted(1, "b");
        const end = await job(1);
        // The job takes longer than a runner may take to come online.
        const converge = start("converge", "1", "30", "1");
        await until(() => existsSync(at("sleeps")));
        await new Promise((resolve) => setTimeout(resolve, 1_100));
        await end();
        assert.equal(await converge.exited, 0);
      });

      it("takes a runner that works for one that is online", async () => {
        slots({ 1: "a" });
        await job(1);
        rmSync(at("run/runner-fleet/listening-1"));
        assert.equal(run("converge", 1, 5, 2).status, 0);
      });
    });

    describe("slot", () => {
      const compose = () => `docker compose --project-directory ${at("opt/runner-fleet")}`;
      const container = () => calls().find((call) => / run --rm /.test(call));
      const name = () => read("var/lib/runner-fleet/slot-1.runner").trim();
      beforeEach(() => wanted(1, "a"));

      it("takes note of its definition and becomes one fresh container, configured on standard input alone", () => {
        const { status, stderr } = run("slot", 1);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.equal(read("run/runner-fleet/runner-1.hash"), definition(1));
        const [registration, started] = calls();
        assert.match(
          registration!,
          /^POST http:\/\/10\.0\.1\.254:3000\/orgs\/acme\/jitconfigs \{"name":"dev-arm64-1-1-1-[a-z0-9]{6}","runner_group_id":7,"labels":\["self-hosted","Linux","ARM64","docker","webpcloud","dev-arm64-1-1"\]\}$/,
        );
        assert.equal(started, `${compose()} run --rm --no-TTY --no-deps --name runner-1 runner-1`);
        assert.equal(calls().length, 2);
        assert.equal(read("stdin-1"), "eyJhIjoxfQ==\n");
        // GitHub forgets an ephemeral runner with its job.
        assert.ok(!existsSync(at("var/lib/runner-fleet/slot-1.runner")));
      });

      it("keeps the name of a runner that ends without a job: GitHub has not forgotten it", () => {
        write("run-output", "Listening for Jobs\nExiting...\n");
        assert.equal(run("slot", 1).status, 0);
        assert.match(name(), /^dev-arm64-1-1-1-[a-z0-9]{6}$/);
      });

      it("gives each job another name", () => {
        run("slot", 1);
        run("slot", 1);
        const names = calls()
          .filter((call) => call.startsWith("POST"))
          .map((call) => /"name":"([^"]*)"/.exec(call)![1]);
        assert.equal(new Set(names).size, 2);
      });

      it("registers GitHub's image by a token where the token service knows no other way", () => {
        configure({
          ...DEDICATED,
          tokenService: { ...DEDICATED.tokenService, implementation: "knatnetwork" },
        });
        write("answer-GET", "REGISTRATION-TOKEN\n200\n");
        const { status, stderr } = run("slot", 1);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.equal(calls()[0], "GET http://10.0.1.254:3000/acme/registration-token");
        assert.match(
          container()!,
          / --name runner-1 --env RUNNER_NAME=dev-arm64-1-1-1-[a-z0-9]{6} runner-1$/,
        );
        assert.equal(read("stdin-1"), "REGISTRATION-TOKEN\n");
        assert.ok(!calls().some((call) => call.includes("REGISTRATION-TOKEN")));
      });

      for (const implementation of ["builtin", "knatnetwork"] as const) {
        it(`leaves the registration to the origin's image, with the service ${implementation}`, () => {
          configure({
            ...COLOCATED,
            tokenService: { placement: "colocated", service: { ...SERVICE, implementation } },
          });
          assert.equal(run("slot", 1).status, 0);
          assert.equal(calls().length, 1);
          assert.match(
            container()!,
            / --env ADDITIONAL_FLAGS=--ephemeral --runnergroup arm64 --name dev-arm64-1-1-1-[a-z0-9]{6} --work \/home\/runner\/_work runner-1$/,
          );
          assert.equal(read("stdin-1"), "\n");
        });
      }

      it("empties the work folder before a job and after it", () => {
        const work = at("var/lib/runner-fleet/work/1");
        mkdirSync(join(work, "left/deep"), { recursive: true });
        write("run-output", "Listening for Jobs\n");
        assert.equal(run("slot", 1).status, 0);
        assert.ok(!existsSync(work));
      });

      it("removes what a crash left of its last runner at GitHub first", () => {
        write("var/lib/runner-fleet/slot-1.runner", `${runner(1)}\n`);
        assert.equal(run("slot", 1).status, 0);
        assert.equal(calls()[0], `DELETE ${github(1)}`);
        assert.match(calls()[1]!, /^POST/);
      });

      it("keeps trying to remove what is left, and works meanwhile", () => {
        const left = () => read("var/lib/runner-fleet/slot-1.left").trim().split("\n");
        write("var/lib/runner-fleet/slot-1.left", "dev-arm64-1-1-1-000000\n");
        write("var/lib/runner-fleet/slot-1.runner", `${runner(1)}\n`);
        for (const answer of ['{"message":"not yours"}\n403\n', BUSY]) {
          write("answer-DELETE", answer);
          assert.equal(run("slot", 1).status, 0);
          assert.deepEqual(left(), ["dev-arm64-1-1-1-000000", runner(1)]);
        }
        write("answer-DELETE", GONE);
        forget();
        assert.equal(run("slot", 1).status, 0);
        assert.deepEqual(calls().slice(0, 2), [
          `DELETE ${github(1)}`,
          "DELETE http://10.0.1.254:3000/orgs/acme/runners/dev-arm64-1-1-1-000000",
        ]);
        assert.ok(!existsSync(at("var/lib/runner-fleet/slot-1.left")));
      });

      it("says what the token service says, and what it does not", () => {
        write("answer-POST", '{\n "message": "GitHub: \\"no\\" group"\n}\n422\n');
        const refused = run("slot", 1);
        assert.equal(refused.status, 1);
        assert.match(
          refused.stderr,
          /^runner dev-arm64-1-1-1-[a-z0-9]{6} is not registered: the token service answers 422: GitHub: \\"no\\" group\n$/,
        );
        rmSync(at("answer-POST"));
        assert.match(
          run("slot", 1).stderr,
          /is not registered: the token service at http:\/\/10\.0\.1\.254:3000 does not answer\n$/,
        );
        assert.equal(container(), undefined);
      });

      it("waits the longer, the more often it fails in a row, up to a minute, and not after a good job", () => {
        rmSync(at("answer-POST"));
        for (let failures = 1; failures <= 7; failures++) {
          assert.equal(run("slot", 1).status, 1);
          assert.equal(read("run/runner-fleet/failures-1"), `${failures}\n`);
        }
        const pauses = read("sleeps").trim().split("\n");
        assert.deepEqual(pauses, ["2", "4", "8", "16", "32", "60"]);
        write("answer-POST", CREATED);
        assert.equal(run("slot", 1).status, 0);
        assert.ok(!existsSync(at("run/runner-fleet/failures-1")));
      });

      it("counts a runner that ends before it listens as a failure, whatever its exit code", () => {
        for (const [index, status] of [0, 7].entries()) {
          write("run-output", "An error occurred\n");
          write("run-status", `${status}`);
          assert.equal(run("slot", 1).status, status === 0 ? 1 : 7);
          assert.equal(read("run/runner-fleet/failures-1"), `${index + 1}\n`);
        }
      });

      it("shows in its log what the runner says", () => {
        write("run-output", "√ Connected to GitHub\nListening for Jobs\nno end of line");
        assert.match(run("slot", 1).stdout, /√ Connected to GitHub\nListening for Jobs\n/);
      });

      it("starts no runner when it is drained, also when that happens while it registers one", () => {
        write("run/runner-fleet/draining-1", "operator\n");
        assert.equal(run("slot", 1).status, 75);
        assert.deepEqual(calls(), []);
        rmSync(at("run/runner-fleet/draining-1"));
        const curl = read("bin/curl").replace(
          "\nfile=",
          '\ntouch "$HOST/run/runner-fleet/draining-1"\nfile=',
        );
        write("bin/curl", curl);
        assert.equal(run("slot", 1).status, 75);
        assert.equal(container(), undefined);
        assert.match(name(), /^dev-arm64-1-1-1-/);
        assert.ok(!existsSync(at("run/runner-fleet/failures-1")));
      });

      it("takes no job while the build daemon is not there", () => {
        rmSync(at("buildkitd.sock"));
        const { status, stderr } = run("slot", 1);
        assert.deepEqual(
          [status, stderr],
          [1, `the build daemon's socket ${at("buildkitd.sock")} is not there after 60 s\n`],
        );
        assert.deepEqual(calls(), []);
      });

      it("ends a runner that does not come online, and no other", () => {
        write("run-seconds", "0.6");
        write("run-output", "no news\n");
        run("slot", 1);
        assert.ok(calls().includes("docker kill runner-1"));
        forget();
        rmSync(at("run/runner-fleet/failures-1"), { force: true });
        write("run-output", "Listening for Jobs\n");
        assert.equal(run("slot", 1).status, 0);
        assert.ok(!calls().includes("docker kill runner-1"));
      });

      it("lets a container that is still there finish, and removes it", () => {
        slots({ 1: "a" });
        assert.equal(run("slot", 1).status, 0);
        assert.deepEqual(calls().slice(0, 3), [
          // Whoever has frozen it may have been ended at that.
          "docker unpause runner-1",
          "docker wait runner-1",
          "docker rm --force runner-1",
        ]);
        assert.match(container()!, / run --rm /);
      });

      it("leaves a container as it is that a drain has frozen", () => {
        slots({ 1: "a" });
        write("run/runner-fleet/draining-1", "operator\n");
        assert.equal(run("slot", 1).status, 75);
        assert.deepEqual(calls(), ["docker wait runner-1", "docker rm --force runner-1"]);
      });

      it("leaves everything to a job whose container outlives Docker's client, as when Docker is updated", () => {
        write("outlives-its-client", "");
        write("run-status", "1");
        // Docker goes away once more while it is waited for.
        write(
          "on-wait",
          'ls "$HOST/var/lib/runner-fleet/work" >>"$HOST/seen"\n[[ $(wc -l <"$HOST/seen") -gt 1 ]] || exit 1\n',
        );
        assert.equal(run("slot", 1).status, 1);
        assert.equal(read("seen"), "1\n1\n");
        assert.deepEqual(calls().slice(2), [
          "docker wait runner-1",
          "docker wait runner-1",
          "docker rm --force runner-1",
        ]);
        assert.ok(!existsSync(at("var/lib/runner-fleet/work/1")));
      });

      it("touches nothing of its last runner while Docker does not answer", () => {
        slots({ 1: "a" });
        const work = at("var/lib/runner-fleet/work/1/repository");
        mkdirSync(work, { recursive: true });
        write("docker-down", "99");
        const { status, stderr } = run("slot", 1);
        assert.deepEqual(
          [status, stderr],
          [1, "slot 1: Docker does not answer, so nobody can tell whether a job runs\n"],
        );
        assert.ok(existsSync(work));
        assert.deepEqual([calls(), name()], [[], runner(1)]);
      });

      for (const [title, answer, kept] of [
        ["was refused", '{"message":"no"}\n422\n', false],
        ["was never asked for", undefined, false],
        ["may have been made though its answer was lost", "\n000\n", true],
        ["may have been made though the service says otherwise", "{}\n504\n", true],
      ] as const) {
        it(`${kept ? "keeps" : "forgets"} the name of a runner that ${title}`, () => {
          if (answer === undefined) rmSync(at("answer-POST"));
          else write("answer-POST", answer);
          assert.equal(run("slot", 1).status, 1);
          assert.equal(existsSync(at("var/lib/runner-fleet/slot-1.runner")), kept);
        });
      }

      it("loses no name to a disk that is full", () => {
        write("var/lib/runner-fleet/slot-1.runner", `${runner(1)}\n`);
        write("answer-DELETE", BUSY);
        mkdirSync(at("var/lib/runner-fleet/slot-1.left.new"));
        bash("forget", 1);
        assert.equal(name(), runner(1));
      });
    });

    describe("slot-stop", () => {
      it("drains the slot that systemd stops, and keeps it in service", () => {
        slots({ 1: "a" });
        const { status, stderr } = runWith({ MAINPID: "1" }, "slot-stop", 1);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(calls(), [
          `DELETE ${github(1)}/labels`,
          "docker pause runner-1",
          `DELETE ${github(1)}`,
          "docker kill runner-1",
        ]);
        assert.ok(!existsSync(at("run/runner-fleet/draining-1")));
      });

      it("has nothing to do after a slot that ended by itself", () => {
        slots({ 1: "a" });
        assert.equal(run("slot-stop", 1).status, 0);
        assert.deepEqual(calls(), []);
      });
    });

    describe("status", () => {
      const status = () => {
        const { status, stdout, stderr } = run("status");
        assert.deepEqual([status, stderr], [0, ""]);
        return JSON.parse(stdout) as {
          host: string;
          disk: Record<string, number>;
          cacheBytes: number | null;
          slots: { state: string; since: string | null }[];
        };
      };

      it("tells what each slot does", () => {
        slots({ 1: "a", 2: "a", 3: "a", 4: "a", 10: "a" });
        rmSync(at("pid-2"));
        write("run/runner-fleet/failures-2", "3\n");
        write("run/runner-fleet/waiting-2", "");
        run("drain", 5, 3);
        rmSync(at("pid-4"));
        rmSync(at("active-4"));
        write("run/runner-fleet/worked-10", "");
        const { host, disk, slots: found } = status();
        assert.equal(host, "dev-arm64-1-1");
        assert.deepEqual(disk, { sizeBytes: 1_024_000, freeBytes: 512_000, freePercent: 50 });
        const plain = { runner: null, failures: 0, since: undefined, drainedBy: null };
        assert.deepEqual(
          found.map((one) => ({ ...one, since: undefined })),
          [
            { ...plain, slot: 1, state: "listening", runner: runner(1) },
            { ...plain, slot: 2, state: "backing-off", runner: runner(2), failures: 3 },
            { ...plain, slot: 3, state: "drained", drainedBy: "operator" },
            { ...plain, slot: 4, state: "stopped", runner: runner(4) },
            { ...plain, slot: 10, state: "working", runner: runner(10) },
          ],
        );
        for (const { state, since } of found) {
          if (state === "stopped") assert.equal(since, null);
          else assert.ok(Math.abs(Date.parse(since!) - Date.now()) < 60_000, `${state} ${since}`);
        }
      });

      it("adds up what BuildKit keeps, and says nothing of it when BuildKit does not", () => {
        slots({ 1: "a" });
        assert.equal(status().cacheBytes, null);
        write("buildkit-container", "b1\n");
        assert.equal(status().cacheBytes, null);
        write("cache-sizes", "");
        assert.equal(status().cacheBytes, 0);
        write("cache-sizes", "4096\n5000000000\n0\n");
        assert.equal(status().cacheBytes, 5_000_004_096);
      });

      it("counts a runner as working from its job's first sign until its container is gone", async () => {
        slots({ 1: "a", 2: "a" });
        await job(1);
        write("run/runner-fleet/worked-2", "");
        const states = () => status().slots.map(({ state }) => state);
        assert.deepEqual(states(), ["working", "working"]);
        rmSync(at("pid-2"));
        assert.deepEqual(states(), ["working", "starting"]);
      });

      it("tells a slot that starts or drains from others", async () => {
        slots({ 1: "a", 2: "a" });
        rmSync(at("run/runner-fleet/listening-1"));
        await job(2);
        write("run/runner-fleet/draining-2", "guard\n");
        assert.deepEqual(
          status().slots.map(({ state }) => state),
          ["starting", "draining"],
        );
      });

      it("is well-formed where there is no slot", () => {
        assert.deepEqual(status().slots, []);
      });
    });

    describe("guard", () => {
      const free = (percent: number) => write("disk", `  1000 ${percent * 10}\n`);
      const guard = (more: Readonly<Record<string, string>> = {}) => {
        const { status, stderr } = runWith(more, "guard", "once");
        assert.equal(status, 0);
        return stderr;
      };
      const drains = () => calls().filter((call) => call.startsWith("systemd-run"));
      const fill = (slot: number, kib: number) => {
        mkdirSync(at(`var/lib/runner-fleet/work/${slot}`), { recursive: true });
        writeFileSync(at(`var/lib/runner-fleet/work/${slot}/file`), Buffer.alloc(kib * 1024, 1));
      };

      it("prunes once an hour, within bounds", () => {
        slots({ 1: "a" });
        assert.equal(guard(), "");
        assert.deepEqual(calls(), [
          "docker container prune --force --filter until=24h --filter label!=com.docker.compose.project=runner-fleet",
          "docker volume prune --force",
          "docker image prune --force",
        ]);
        guard();
        assert.equal(calls().length, 3);
        const hour = Date.now() / 1000 - 3_700;
        utimesSync(at("run/runner-fleet/pruned"), hour, hour);
        guard();
        assert.equal(calls().length, 6);
      });

      it("removes images that no one has used for a week, and none of this stack", () => {
        write("present", "sha256:mine\nsha256:used\nsha256:old\nsha256:young\n");
        write("images", "sha256:mine\n");
        write("used", "sha256:used\n");
        write("names-sha256:old", "old:1\nold:2\n");
        guard();
        const week = Date.now() / 1000 - 7 * 86_400 - 120;
        const seen = (id: string) => at("var/lib/runner-fleet/images", id);
        for (const id of ["mine", "used", "old"]) utimesSync(seen(`sha256:${id}`), week, week);
        rmSync(at("run/runner-fleet/pruned"));
        forget();
        guard();
        assert.deepEqual(
          calls().filter((call) => call.startsWith("docker image rm")),
          ["docker image rm old:1 old:2", "docker image rm sha256:old"],
        );
        assert.ok(!existsSync(seen("sha256:old")) && existsSync(seen("sha256:young")));
      });

      it("has BuildKit shrink its cache when space gets scarce", () => {
        write("buildkit-container", "0123456789ab\n");
        free(25);
        guard();
        assert.ok(!calls().some((call) => call.includes("buildctl")));
        free(24);
        rmSync(at("run/runner-fleet/pruned"));
        guard();
        assert.equal(
          calls().at(-1),
          `docker exec 0123456789ab buildctl --addr unix://${at("buildkitd.sock")} prune --free-storage 0 --keep-storage-min 5000`,
        );
      });

      it("drains before the disk is full, without waiting for that itself", () => {
        slots({ 1: "a", 2: "a" });
        free(12);
        assert.equal(guard(), "");
        assert.deepEqual(drains(), []);
        free(11);
        assert.equal(
          guard(),
          "11 % of the disk is free, less than 12 %: no slot takes a further job\n",
        );
        assert.deepEqual(drains(), [
          `systemd-run --quiet --collect --unit runner-guard-drain --setenv DRAIN_BY=guard ${at("opt/runner-fleet/bin/drain")} 3600`,
        ]);
        assert.ok(!calls().some((call) => call.startsWith("docker kill")));
      });

      it("undrains when enough is free again, and only what it drained itself", () => {
        slots({ 1: "a", 2: "a" });
        run("drain", 5, 1);
        runWith({ DRAIN_BY: "guard" }, "drain", 5);
        forget();
        free(20);
        assert.equal(guard(), "");
        free(21);
        assert.equal(guard(), "21 % of the disk is free again: the slots take jobs\n");
        assert.deepEqual(
          calls().filter((call) => call.startsWith("systemctl")),
          [`systemctl restart --no-block ${unit(2)}`],
        );
      });

      it("ends the job with the largest work folder when the disk is all but full", () => {
        slots({ 1: "a", 2: "a", 3: "a" });
        configure({ ...DEDICATED, buildCachePercent: 10, runners: 1 });
        fill(1, 8);
        fill(2, 40);
        fill(3, 80);
        rmSync(at("pid-3"));
        free(5);
        guard();
        assert.ok(!calls().some((call) => call.startsWith("docker kill")));
        free(4);
        assert.match(
          guard(),
          /^slot 2: its job is ended: 4 % of the disk is free, less than 5 %, and its work folder is the largest$/m,
        );
        assert.deepEqual(
          calls().filter((call) => call.startsWith("docker kill")),
          ["docker kill runner-2"],
        );
      });

      it("ends a job whose work folder outgrows its bound", () => {
        slots({ 1: "a", 2: "a" });
        fill(1, 100);
        fill(2, 200);
        assert.match(
          guard(),
          /^slot 2: its job is ended: its work folder holds 0 MiB, more than 14 % of the disk\n$/,
        );
        assert.deepEqual(
          calls().filter((call) => call.startsWith("docker kill")),
          ["docker kill runner-2"],
        );
      });

      it("takes other thresholds from its environment", () => {
        slots({ 1: "a" });
        guard({ GUARD_DRAIN_BELOW: "60" });
        assert.equal(drains().length, 1);
      });
    });
  });
});

/** Waits up to ten seconds. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("the condition did not come true");
}
