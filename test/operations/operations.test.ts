import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runOverSsh, SshError } from "../../components/host/ssh";
import { recordedHosts, recordedResources } from "../../components/stack/recordedHosts";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import type { Job } from "../../local-cloud/github";
import { finishedWell, Scene } from "../../local-cloud/story";
import { readTasks, type Step, unseen } from "./console";

const ROOT = join(__dirname, "..", "..");
const STACK_FILE = "Pulumi.dev.yaml";

/** The checkout, where `pulumi config set` writes to a copy of the stack's file. */
function copyOfProject(): string {
  const folder = mkdtempSync(join(tmpdir(), "runner-fleet-operations-"));
  for (const name of readdirSync(ROOT)) {
    if (name === STACK_FILE) copyFileSync(join(ROOT, name), join(folder, name));
    else symlinkSync(join(ROOT, name), join(folder, name));
  }
  return folder;
}

describe("the operations, as they are documented", function () {
  this.timeout("10m");
  let cloud: LocalCloud;
  let scene: Scene;
  let folder: string;
  let job: Job | undefined;
  let oldKey: string | undefined;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin", startsWorkflows: false });
  });
  after(() => cloud?.close());

  beforeEach(async () => {
    [job, oldKey] = [undefined, undefined];
    folder = copyOfProject();
    scene = await Scene.open(cloud);
    await shell("pulumi stack select dev");
    await shell("pulumi up --yes --skip-preview");
  });
  afterEach(async () => {
    await scene?.close();
    await rm(folder, { recursive: true, force: true });
    const surprises = cloud.traffic.takeSurprises();
    await cloud.reset();
    assert.deepEqual(surprises, []);
  });

  async function shell(command: string): Promise<string> {
    const { code, stdout, stderr } = await run("bash", ["--norc", "-c", command], {
      cwd: folder,
      env: { ...scene.stack.environment },
    });
    assert.equal(code, 0, `$ ${command}\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  const loginKey = () => shell("pulumi config get --path runner-fleet:ssh.privateKey");

  /** What the document says that happens beside the commands. */
  const events: Readonly<Record<string, () => Promise<void>>> = {
    "somebody has put a new token into the file new-token": () =>
      // Of another value than the configured one; it may manage runners, and nothing else is asked of it.
      writeFile(join(folder, "new-token"), cloud.github.tokens.noWorkflow),
    "somebody has put a new password into the file registry-password": () =>
      writeFile(join(folder, "registry-password"), "another-password"),
    "cax21 is sold out in fsn1": () => {
      cloud.hetzner.setStock("cax21", "fsn1", false);
      return Promise.resolve();
    },
    "the state is lost": async () => {
      const backend = fileURLToPath(scene.stack.environment.PULUMI_BACKEND_URL!);
      await rm(join(backend, ".pulumi", "stacks", "runner-fleet"), { recursive: true });
    },
    "a job of half a minute runs on the host": async () => {
      const { id } = (job = scene.arm64Job("sleep 30"));
      await scene.until("the job runs", () => cloud.github.jobs.get(id).status === "in_progress");
    },
    "a job runs on the host for as long as this takes": async () => {
      oldKey = await loginKey();
      const { id } = (job = scene.arm64Job(
        `for _ in $(seq 600); do test ! -e '${folder}/job-may-end' || exit 0; sleep 0.2; done; exit 1`,
      ));
      await scene.until("the job runs", () => cloud.github.jobs.get(id).status === "in_progress");
    },
    "the job has ended well, the new key opens every host, and the old one none": async () => {
      assert.equal(cloud.github.jobs.get(job!.id).status, "in_progress");
      await writeFile(join(folder, "job-may-end"), "");
      const { runner } = await finishedWell(scene, job!);
      assert.match(runner ?? "", /^dev-arm64-1-1-/);
      const newKey = await loginKey();
      const hosts = recordedHosts(recordedResources(await shell("pulumi stack export")));
      assert.deepEqual(
        hosts.map(({ name }) => name),
        ["dev-arm64-1-1", "dev-token-service"],
      );
      for (const { address, sshPort, hostKey } of hosts) {
        const login = (privateKey: string) =>
          runOverSsh(
            { host: address, port: sshPort, privateKey, hostKey: hostKey! },
            "cat /root/.ssh/authorized_keys",
            10,
          );
        const letIn = (await login(newKey)).trimEnd().split("\n");
        assert.deepEqual(letIn, [
          scene.cloud.hetzner.state.sshKeys.values().next().value?.publicKey,
        ]);
        await assert.rejects(
          login(oldKey!),
          (error) => error instanceof SshError && error.failure === "refused",
        );
      }
    },
    "the job has ended well, and every server and runner belongs to the stack": async () => {
      const { runner } = await finishedWell(scene, job!);
      assert.match(runner ?? "", /^dev-arm64-1-1-/);
      const listed = () =>
        cloud.github.runners("acme").map(({ name }) => name.slice(0, -"-abc123".length));
      await scene.until("two runners are left", () => listed().length === 2);
      assert.deepEqual(listed().sort(), ["dev-arm64-2-1-1", "dev-arm64-2-1-2"]);
      const servers = scene.servers();
      assert.deepEqual(Object.keys(servers).sort(), ["dev-arm64-2-1", "dev-token-service"]);
      const state = JSON.parse(await scene.stack.state()) as {
        checkpoint: { latest: { resources: { type: string; id?: string }[] } };
      };
      const recorded = state.checkpoint.latest.resources.filter(
        ({ type }) => type === "hcloud:index/server:Server",
      );
      assert.deepEqual(
        recorded.map(({ id }) => Number(id)).sort(),
        Object.values(servers).map(Number).sort(),
      );
    },
  };

  async function take(step: Step): Promise<void> {
    if (step.kind !== "command") {
      const event = events[step.what];
      assert.ok(event !== undefined, `nothing is known of "${step.what}"`);
      return event();
    }
    const output = await shell(step.command);
    const missing = unseen(step.seen, output);
    assert.equal(missing, undefined, `"${missing}" is not seen:\n$ ${step.command}\n${output}`);
  }

  const tasks = readTasks(readFileSync(join(ROOT, "docs", "operations.md"), "utf8"));

  it("are a command at least in every section", () => {
    assert.ok(tasks.length > 8);
    for (const { title, steps } of tasks) {
      assert.ok(
        steps.some(({ kind }) => kind === "command"),
        title,
      );
    }
  });

  for (const { title, steps } of tasks) {
    it(title, async () => {
      for (const step of steps) await take(step);
    });
  }
});
