import assert from "node:assert/strict";
import { spawn, spawnSync, type SpawnSyncReturns } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needs } from "../host/onPath";

/**
 * The scripts of a runner host, run by bash below a temporary folder. `docker` and `systemctl` are played by scripts
 * that take note of their calls and answer from files, so this shows what our scripts decide, not what Docker does.
 */
const FILES = join(__dirname, "../../../components/runnerHost/files");
const SCRIPTS = readdirSync(FILES).filter((name) => name.endsWith(".sh"));

/** Files below $HOST: `pid-N` says that the container of slot N runs, as that process; `log-N` is its log. */
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
      *config*) exit 64 ;;
    esac
    ;;
  "container inspect") [[ -e "$HOST/pid-$slot" ]]; exit ;;
  "inspect --format")
    if [[ "$3" == *config-hash* ]]; then cat "$HOST/buildkit-running"; exit; fi
    cat "$HOST/pid-$slot" 2>/dev/null
    exit
    ;;
  "logs $2") cat "$HOST/log-$slot" 2>/dev/null; exit ;;
esac
echo "docker $*" >>"$HOST/calls"
case "$1" in
  pause | unpause | wait) [[ -e "$HOST/pid-$slot" ]] ;;
  kill | rm) rm -f "$HOST/pid-$slot" ;;
esac
`;

/** Starting a slot makes its runner listen, unless it is broken. */
const SYSTEMCTL = `#!/bin/bash
unit=\${*: -1}
slot=\${unit##*@}
slot=\${slot%.service}
mark=
if [[ -e "$HOST/run/runner-fleet/draining-$slot" ]]; then mark=" (draining)"; fi
echo "systemctl $*$mark" >>"$HOST/calls"
wants="$HOST/etc/systemd/system/multi-user.target.wants"
case "$1" in
  stop) rm -f "$HOST/pid-$slot" "$HOST/log-$slot" ;;
  disable) rm "$wants/$unit" ;;
  enable)
    [[ -z "$mark" ]] || exit 1
    touch "$wants/$unit"
    if [[ ! -e "$HOST/pid-$slot" && ! -e "$HOST/broken-$slot" ]]; then
      echo 999999999 >"$HOST/pid-$slot"
      echo "Listening for Jobs" >"$HOST/log-$slot"
      cp "$HOST/wanted-$slot" "$HOST/run/runner-fleet/runner-$slot.hash"
    fi
    ;;
esac
`;

const JOURNALCTL = `#!/bin/bash
echo "the log of \${*: -1}"
`;

describe("the scripts of a runner host", () => {
  it("are clean to shellcheck", function () {
    needs(this, "shellcheck", "--version");
    const { stdout } = spawnSync("shellcheck", ["--external-sources", ...SCRIPTS], {
      cwd: FILES,
      encoding: "utf8",
    });
    assert.equal(stdout, "");
  });

  describe("on a host", () => {
    let host: string;
    let processes: (() => Promise<void>)[];
    let daemon: Server;
    const at = (...path: string[]) => join(host, ...path);

    beforeEach(() => {
      host = mkdtempSync(join(tmpdir(), "host-"));
      processes = [];
      for (const folder of ["opt/runner-fleet/bin", "run/runner-fleet", "bin"]) {
        mkdirSync(at(folder), { recursive: true });
      }
      mkdirSync(at("etc/systemd/system/multi-user.target.wants"), { recursive: true });
      for (const name of SCRIPTS) {
        const text = readFileSync(join(FILES, name), "utf8")
          .replaceAll("/opt/runner-fleet", at("opt/runner-fleet"))
          .replaceAll("/run/runner-fleet", at("run/runner-fleet"))
          .replaceAll("/etc/systemd", at("etc/systemd"))
          .replaceAll("/run/buildkit/buildkitd.sock", at("buildkitd.sock"))
          .replaceAll("wait < 60", "wait < 1")
          .replaceAll("sleep 120", "sleep 1");
        const path = at("opt/runner-fleet/bin", name === "common.sh" ? name : name.slice(0, -3));
        writeFileSync(path, text, { mode: 0o755 });
      }
      for (const [name, text] of Object.entries({
        docker: DOCKER,
        systemctl: SYSTEMCTL,
        journalctl: JOURNALCTL,
      })) {
        writeFileSync(at("bin", name), text, { mode: 0o755 });
      }
      writeFileSync(at("calls"), "");
      daemon = createServer().listen(at("buildkitd.sock"));
    });
    afterEach(async () => {
      daemon.close();
      for (const end of processes) await end();
      rmSync(host, { recursive: true });
    });

    const environment = () => ({ HOST: host, PATH: `${at("bin")}:${process.env.PATH}` });

    function run(script: string, ...args: (string | number)[]): SpawnSyncReturns<string> {
      return spawnSync(at("opt/runner-fleet/bin", script), args.map(String), {
        encoding: "utf8",
        env: environment(),
      });
    }

    function calls(): string[] {
      return readFileSync(at("calls"), "utf8").split("\n").slice(0, -1);
    }

    function forget(): void {
      writeFileSync(at("calls"), "");
    }

    /** Slots that are enabled and whose runners listen, by the hash of their definition. */
    function slots(hashes: Readonly<Record<number, string>>): void {
      for (const [slot, hash] of Object.entries(hashes)) {
        writeFileSync(at("etc/systemd/system/multi-user.target.wants", unit(slot)), "");
        writeFileSync(at(`pid-${slot}`), "999999999\n");
        writeFileSync(at(`log-${slot}`), "Listening for Jobs\n");
        writeFileSync(at(`wanted-${slot}`), `${hash}\n`);
        writeFileSync(at("run/runner-fleet", `runner-${slot}.hash`), `${hash}\n`);
      }
    }

    const servicesUp = (seconds: number) =>
      `docker compose --project-directory ${at("opt/runner-fleet")} up --detach --quiet-pull --remove-orphans --wait --wait-timeout ${seconds}`;
    const unit = (slot: number | string) => `runner-slot@${slot}.service`;

    /** Makes a process that is seen as the job of a slot; resolves to what ends it. */
    async function job(slot: number): Promise<() => Promise<void>> {
      // Linux names a process after its file; the name may be set by the process itself.
      const worker = spawn("bash", [
        "-c",
        "printf Runner.Worker >/proc/$$/comm; echo ready; read -r _",
      ]);
      const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
      await new Promise((resolve) => worker.stdout.once("data", resolve));
      // In the same PID namespace as this process, which plays the container's first.
      writeFileSync(at(`pid-${slot}`), `${process.pid}\n`);
      const end = async () => {
        worker.stdin.end();
        await ended;
      };
      processes.push(end);
      return end;
    }

    describe("drain", () => {
      it("marks every slot before it stops one, and signals idle runners while they are frozen", () => {
        slots({ 1: "a", 2: "a" });
        const { status, stderr } = run("drain", 5);
        assert.deepEqual([status, stderr], [0, ""]);
        for (const slot of [1, 2]) {
          const own = calls().filter((call) => new RegExp(`[-@]${slot}\\b`).test(call));
          assert.deepEqual(own, [
            `docker pause runner-${slot}`,
            `docker kill --signal TERM runner-${slot}`,
            `docker unpause runner-${slot}`,
            `systemctl stop ${unit(slot)} (draining)`,
          ]);
          assert.ok(existsSync(at("run/runner-fleet", `draining-${slot}`)));
        }
      });

      it("is harmless when repeated", () => {
        slots({ 1: "a" });
        run("drain", 5);
        forget();
        const { status, stderr } = run("drain", 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(calls(), [`systemctl stop ${unit(1)} (draining)`]);
      });

      it("is harmless where there is no slot", () => {
        assert.equal(run("drain", 5).status, 0);
        assert.deepEqual(calls(), []);
      });

      it("takes out the named slots only", () => {
        slots({ 1: "a", 2: "a", 3: "a" });
        run("drain", 5, 2);
        assert.ok(calls().every((call) => /[-@]2\b/.test(call)));
        assert.deepEqual(
          [1, 2, 3].map((slot) => existsSync(at("run/runner-fleet", `draining-${slot}`))),
          [false, true, false],
        );
      });

      it("waits for a running job, and stops the slot when it ended", async () => {
        slots({ 1: "a" });
        const end = await job(1);
        const drain = spawn(at("opt/runner-fleet/bin/drain"), ["30"], { env: environment() });
        const exited = new Promise<number | null>((resolve) => drain.once("exit", resolve));
        await until(() => calls().filter((call) => call.startsWith("docker unpause")).length >= 2);
        assert.ok(calls().every((call) => /^docker (un)?pause runner-1$/.test(call)));
        assert.ok(existsSync(at("run/runner-fleet/draining-1")));
        await end();
        assert.equal(await exited, 0);
        assert.deepEqual(calls().slice(-3), [
          "docker kill --signal TERM runner-1",
          "docker unpause runner-1",
          `systemctl stop ${unit(1)} (draining)`,
        ]);
      });

      it("ends a job that outlasts the limit, and says so", async () => {
        slots({ 1: "a" });
        await job(1);
        const { status, stderr } = run("drain", 1);
        assert.deepEqual(
          [status, stderr],
          [0, "slot 1: its job still runs after 1 s and is ended\n"],
        );
        assert.ok(!calls().some((call) => call.startsWith("docker kill")));
        assert.equal(calls().at(-1), `systemctl stop ${unit(1)} (draining)`);
      });
    });

    describe("converge", () => {
      it("starts the slots and ends when they listen", () => {
        for (const slot of [1, 2]) writeFileSync(at(`wanted-${slot}`), "a\n");
        const { status, stderr } = run("converge", 2, 5, 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(calls(), [
          "systemctl daemon-reload",
          servicesUp(5),
          `systemctl enable --quiet --now ${unit(1)}`,
          `systemctl enable --quiet --now ${unit(2)}`,
        ]);
      });

      for (const [what, running, drained] of [
        ["made anew", "before", true],
        ["left alone", "wanted", false],
      ] as const) {
        it(`${drained ? "drains every slot" : "drains none"} when the build daemon is ${what}`, () => {
          slots({ 1: "a", 2: "a" });
          writeFileSync(at("buildkit-container"), "0123456789ab\n");
          writeFileSync(at("buildkit-running"), `${running}\n`);
          writeFileSync(at("buildkit-wanted"), "wanted\n");
          const { status, stderr } = run("converge", 2, 5, 5);
          assert.deepEqual([status, stderr], [0, ""]);
          const before = calls().slice(0, calls().indexOf(servicesUp(5)));
          assert.equal(
            before.filter((call) => call.startsWith("systemctl stop")).length,
            drained ? 2 : 0,
          );
          assert.deepEqual(calls().slice(-2), [
            `systemctl enable --quiet --now ${unit(1)}`,
            `systemctl enable --quiet --now ${unit(2)}`,
          ]);
        });
      }

      it("leaves unchanged slots alone", () => {
        slots({ 1: "a", 2: "a" });
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.ok(!calls().some((call) => /pause|kill|stop/.test(call)));
      });

      it("drains a slot that changed, and it alone, before it starts it again", () => {
        slots({ 1: "a", 2: "a" });
        writeFileSync(at("wanted-2"), "b\n");
        const { status, stderr } = run("converge", 2, 5, 5);
        assert.deepEqual([status, stderr], [0, ""]);
        assert.deepEqual(
          calls().filter((call) => /stop|kill/.test(call)),
          ["docker kill --signal TERM runner-2", `systemctl stop ${unit(2)} (draining)`],
        );
        assert.deepEqual(calls().slice(-2), [
          `systemctl enable --quiet --now ${unit(1)}`,
          `systemctl enable --quiet --now ${unit(2)}`,
        ]);
        assert.equal(readFileSync(at("run/runner-fleet/runner-2.hash"), "utf8"), "b\n");
      });

      it("drains and retires surplus slots, and takes them back later", () => {
        slots({ 1: "a", 2: "a", 10: "a" });
        assert.equal(run("converge", 1, 5, 5).status, 0);
        assert.deepEqual(
          calls()
            .filter((call) => /stop|disable/.test(call))
            .sort(),
          [
            `systemctl disable --quiet ${unit(10)} (draining)`,
            `systemctl disable --quiet ${unit(2)} (draining)`,
            `systemctl stop ${unit(10)} (draining)`,
            `systemctl stop ${unit(2)} (draining)`,
          ],
        );
        const enabled = at("etc/systemd/system/multi-user.target.wants");
        assert.deepEqual(readdirSync(enabled), [unit(1)]);
        assert.equal(run("converge", 2, 5, 5).status, 0);
        assert.deepEqual(readdirSync(enabled), [unit(1), unit(2)]);
      });

      it("names the slots that do not come up, with their logs", () => {
        for (const slot of [1, 2]) writeFileSync(at(`wanted-${slot}`), "a\n");
        writeFileSync(at("broken-2"), "");
        const { status, stderr } = run("converge", 2, 5, 1);
        assert.equal(status, 1);
        assert.equal(
          stderr,
          `slot 2 is not online after 1 s; the end of its log:\nthe log of ${unit(2)}\n`,
        );
      });

      it("takes no time off for the jobs that it waited for", async () => {
        slots({ 1: "a" });
        writeFileSync(at("wanted-1"), "b\n");
        const end = await job(1);
        // The job takes longer than a runner may take to come online.
        const converge = spawn(at("opt/runner-fleet/bin/converge"), ["1", "30", "1"], {
          env: environment(),
        });
        const exited = new Promise<number | null>((resolve) => converge.once("exit", resolve));
        await until(() => calls().filter((call) => call.startsWith("docker unpause")).length >= 3);
        await end();
        assert.equal(await exited, 0);
      });

      it("takes a runner that works for one that is online", async () => {
        slots({ 1: "a" });
        await job(1);
        writeFileSync(at("log-1"), "");
        assert.equal(run("converge", 1, 5, 2).status, 0);
      });

      it("finds the word in a long log", () => {
        slots({ 1: "a" });
        writeFileSync(at("log-1"), `Listening for Jobs\n${"a line\n".repeat(100_000)}`);
        assert.equal(run("converge", 1, 5, 2).status, 0);
      });
    });

    describe("slot", () => {
      it("takes note of its definition and becomes one fresh container", () => {
        writeFileSync(at("wanted-1"), "a\n");
        assert.equal(run("slot", 1).status, 0);
        assert.equal(readFileSync(at("run/runner-fleet/runner-1.hash"), "utf8"), "a\n");
        assert.deepEqual(calls(), [
          `docker compose --project-directory ${at("opt/runner-fleet")} run --rm --no-TTY --no-deps --name runner-1 runner-1`,
        ]);
      });

      it("takes no job while the build daemon is not there", () => {
        writeFileSync(at("wanted-1"), "a\n");
        rmSync(at("buildkitd.sock"));
        const { status, stderr } = run("slot", 1);
        assert.deepEqual(
          [status, stderr],
          [1, `the build daemon's socket ${at("buildkitd.sock")} is not there after 60 s\n`],
        );
        assert.deepEqual(calls(), []);
      });

      it("ends a runner that does not come online", async () => {
        writeFileSync(at("wanted-1"), "a\n");
        assert.equal(run("slot", 1).status, 0);
        await until(() => calls().includes("docker kill runner-1"));
      });

      it("leaves one alone that listens", async () => {
        writeFileSync(at("wanted-1"), "a\n");
        writeFileSync(at("log-1"), "Listening for Jobs\n");
        assert.equal(run("slot", 1).status, 0);
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        assert.ok(!calls().some((call) => call.startsWith("docker kill")));
      });

      it("lets a container that is still there finish, and removes it", () => {
        slots({ 1: "a" });
        assert.equal(run("slot", 1).status, 0);
        assert.deepEqual(calls().slice(0, 2), [
          "docker wait runner-1",
          "docker rm --force runner-1",
        ]);
        assert.match(calls()[2]!, / run --rm /);
      });
    });
  });
});

/** Waits up to five seconds. */
async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("the condition did not come true");
}
