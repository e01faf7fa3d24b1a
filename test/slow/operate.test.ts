import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { canaryPath } from "../../components/canary/path";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { missingCapability } from "../../local-cloud/hosts/prepare";
import { finishedWell, Scene, slotOf } from "../../local-cloud/story";

const ROOT = join(__dirname, "..", "..");
const HOST = "dev-arm64-1-1";

/** Builds the canary's image with another text in it, on the daemon that the job finds, and says what it did. */
const canaryBuild = (proof: string): string =>
  [
    "mkdir context && cd context",
    `echo '${proof}' >proof`,
    "printf 'FROM scratch\\nCOPY proof /proof\\n' >Dockerfile",
    "docker buildx create --name host --driver remote unix:///run/buildkit/buildkitd.sock",
    "docker buildx build --builder host --platform linux/arm64 --output type=cacheonly --progress plain . 2>&1",
  ].join("\n");

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The commands for people, on systems that really boot: Debian's sshd, systemd, the journal. */
describe("the commands that reach into hosts", function () {
  this.timeout("3m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;

  before(async function () {
    if (missingCapability() !== undefined) this.skip();
    cloud = await startLocalCloud({ hosts: "booted", startsWorkflows: false });
    scene = await Scene.open(cloud);
    await scene.stack.configure({ canary: { repository: "webppt" } });
    await scene.pulumi("up");
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });

  /** Runs a script of ours; `meanwhile` hears what it says and may signal it. */
  function script(
    name: string,
    args: readonly string[],
    meanwhile: (stdout: string, signal: (name: NodeJS.Signals) => void) => void = () => undefined,
  ): Promise<Ended> {
    const folder = dirname(fileURLToPath(scene.stack.environment.PULUMI_BACKEND_URL!));
    const config = ["--stack", "dev", "--config-file", join(folder, "Pulumi.dev.yaml")];
    return new Promise((resolve) => {
      const child = spawn(
        process.execPath,
        ["--import", "tsx", `scripts/${name}.ts`, ...config, ...args],
        { cwd: ROOT, env: scene.stack.environment, stdio: ["ignore", "pipe", "pipe"] },
      );
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk.toString();
        meanwhile(stdout, (signal) => child.kill(signal));
      });
      child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
      child.on("close", (code) => resolve({ code, stdout, stderr }));
    });
  }

  it("find a fleet that was up, and routed to, once its host had done the canary's job", async () => {
    const { github, traffic, hosts } = cloud;
    const [run, ...others] = github.runs.list("acme/webppt");
    assert.deepEqual(others, []);
    assert.deepEqual([run?.path, run?.conclusion], [canaryPath("dev"), "success"]);
    assert.match(run!.displayTitle, /^Canary of dev-arm64-1-1 /);
    const [job] = run!.jobs;
    assert.deepEqual([job!.runnerKind, job!.runnerGroup?.name], ["self-hosted", "arm64"]);
    const [, slot] = /^dev-arm64-1-1-([12])$/.exec(slotOf(job!.runner!)) ?? [];
    assert.ok(slot !== undefined, job!.runner!);
    const steps = job!.steps.map(({ name, conclusion }) => `${name}: ${conclusion}`);
    assert.ok(steps.includes("Build it: success"), steps.join("\n"));

    const routed = traffic.requests.filter(
      ({ method, path }) => method === "POST" && path === "/orgs/acme/actions/variables",
    );
    assert.equal(routed.length, 1);
    assert.ok(job!.completedAt! <= routed[0]!.at, "nothing is routed before it has ended");

    const journal = ["journalctl", "--no-pager", "--unit", `runner-slot@${slot}`];
    const { stdout } = await hosts.exec(scene.servers()[HOST]!, journal);
    assert.match(stdout, /Job Prove the host completed with result: Succeeded/);
    // What it built carries its run's id: the host's daemon has had that text already, and no other.
    const built = await finishedWell(scene, scene.arm64Job(canaryBuild(`${run!.id} 1`)));
    assert.match(built.log, /COPY proof \/proof\n#\d+ CACHED$/m);
    const unlike = await finishedWell(scene, scene.arm64Job(canaryBuild(`${run!.id} 2`)));
    assert.match(unlike.log, /COPY proof \/proof\n#\d+ DONE/);
    await scene.until("both runners are online", () => scene.online().length === 2);
  });

  it("ssh runs a command as root and gives its exit code back", async () => {
    const { code, stdout } = await script("ssh", [HOST, "id -un; hostname; exit 3"]);
    assert.deepEqual([code, stdout], [3, `root\n${HOST}\n`]);
  });

  it("ssh reaches the token service's host, by the key that the state has", async () => {
    const { code, stdout } = await script("ssh", ["token-service", "hostname"]);
    assert.deepEqual([code, stdout], [0, "dev-token-service\n"]);
  });

  it("logs prints the journal of a slot, and follows it until Ctrl-C", async () => {
    const once = await script("logs", [HOST, "1", "--lines", "50"]);
    assert.equal(once.code, 0);
    assert.match(once.stdout, /Listening for Jobs/);
    let job: ReturnType<Scene["arm64Job"]> | undefined;
    const { code, stdout } = await script("logs", [HOST, "--follow"], (said, signal) => {
      job ??= scene.arm64Job("echo done");
      if (said.includes("Running job: ")) signal("SIGINT");
    });
    assert.equal(code, 0);
    assert.match(stdout, /Running job: /);
    await finishedWell(scene, job!);
    const gone =
      "for i in {1..20}; do pgrep -f '[j]ournalctl.*--follow' >/dev/null || exit 0; sleep 0.5; done; exit 1";
    assert.equal((await script("ssh", [HOST, gone])).code, 0, "nobody follows any more");
  });

  it("logs prints what the token service says", async () => {
    const { code, stdout } = await script("logs", ["token-service"]);
    assert.equal(code, 0);
    assert.match(stdout, /\/orgs\/:org\/jitconfigs/);
  });

  it("drain waits for the job that runs; Ctrl-C ends the wait alone; undrain takes it back", async () => {
    const job = scene.arm64Job("sleep 8");
    await scene.until("the job runs", () => cloud.github.jobs.get(job.id).status === "in_progress");
    const left = await script("drain", [HOST], (said, signal) => {
      if (/slot \d: draining/.test(said)) signal("SIGINT");
    });
    assert.equal(left.code, 130);
    assert.match(left.stdout, /dev-arm64-1-1 goes on by itself: .*slot \d draining/);

    const again = await script("drain", [HOST]);
    assert.deepEqual([again.code, again.stderr], [0, ""]);
    assert.match(again.stdout, /\ndev-arm64-1-1 is drained; /);
    await finishedWell(scene, job);
    assert.deepEqual(scene.online(), []);

    const back = await script("undrain", [HOST]);
    assert.equal(back.code, 0);
    assert.match(
      back.stdout,
      /\ndev-arm64-1-1 is back in service: slot 1 listening, slot 2 listening\.\n$/,
    );
    await scene.until("both runners are online", () => scene.online().length === 2);
  });
});
