import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { LocalCloud } from ".";
import type { Job, WorkflowRun } from "./github";
import { openStack, type LocalStack, type PulumiRun } from "./pulumi";
import { platformsOf } from "./registry/image";
import { filesOf } from "./sample";

/**
 * The life of a fleet, told once: the demo prints it, the life-cycle test runs it. Every phase checks what it claims
 * and throws when it does not hold.
 */

export interface PhaseReport {
  readonly phase: string;
  readonly seconds: number;
  /** Steps of the engine by operation, over all runs of the phase. */
  readonly changes: Readonly<Record<string, number>>;
  readonly runnersOnline: number;
  /** Jobs of the phase and where they ran. */
  readonly jobs: readonly { name: string; ranOn: string; conclusion: string; seconds: number }[];
  readonly apiCalls: { readonly hetzner: number; readonly github: number };
  /** What the phase shows, one sentence each. */
  readonly shown: readonly string[];
}

export interface Phase {
  readonly name: string;
  /** What happens, for people. */
  readonly title: string;
  readonly run: (scene: Scene) => Promise<void>;
}

const ORGANIZATION = "acme";
const WORKFLOW = ".github/workflows/image.yml";
const VARIABLE = "ARM64_RUNS_ON";
/** A runner of ours: its slot, and what makes it one of its own. */
const OWN_RUNNER = /^(dev-arm64-1-\d+-\d+)-[a-z0-9]{6}$/;

/** The slot, on its host, that a runner was started in; said here and not taken from the program that is tested. */
export function slotOf(runner: string): string {
  return OWN_RUNNER.exec(runner)?.[1] ?? runner;
}

/** One local cloud with one stack, and what the present phase has done so far. */
export class Scene {
  private runs: PulumiRun[] = [];
  private jobs: number[] = [];
  private workflowJobs: Job[] = [];
  private shown: string[] = [];

  private constructor(
    readonly cloud: LocalCloud,
    readonly stack: LocalStack,
  ) {}

  static async open(cloud: LocalCloud): Promise<Scene> {
    return new Scene(cloud, await openStack(cloud));
  }

  async play(phase: Phase): Promise<PhaseReport> {
    [this.runs, this.jobs, this.workflowJobs, this.shown] = [[], [], [], []];
    const { traffic, github } = this.cloud;
    const before = traffic.requests.length;
    const started = performance.now();
    await phase.run(this);
    const seconds = (performance.now() - started) / 1000;
    assert.deepEqual(traffic.takeSurprises(), [], "every request was one that the real APIs know");
    const calls = traffic.requests.slice(before);
    const changes: Record<string, number> = {};
    for (const { op } of this.runs.flatMap(({ steps }) => steps)) {
      changes[op] = (changes[op] ?? 0) + 1;
    }
    return {
      phase: phase.name,
      seconds: round(seconds),
      changes,
      runnersOnline: this.online().length,
      jobs: this.jobs
        .map((id) => github.jobs.get(id))
        .concat(this.workflowJobs)
        .map((job) => ({
          name: job.name,
          ranOn: job.runner ?? "nowhere",
          conclusion: job.conclusion ?? job.status,
          seconds: secondsOf(job),
        })),
      apiCalls: {
        hetzner: calls.filter(({ side }) => side === "hetzner").length,
        // What runners say to each other's queue is no call of a client.
        github: calls.filter(({ side, path }) => side === "github" && !path.startsWith("/_"))
          .length,
      },
      shown: this.shown,
    };
  }

  show(sentence: string): void {
    this.shown.push(sentence);
  }

  /** Runs pulumi, which has to succeed. */
  async pulumi(
    command: "preview" | "up" | "refresh" | "destroy",
    ...args: string[]
  ): Promise<PulumiRun> {
    const run = await this.stack.run(command, ...args);
    this.runs.push(run);
    assert.equal(run.code, 0, `pulumi ${command} failed:\n${run.output}`);
    return run;
  }

  /** The slots whose runners are online. */
  online(): string[] {
    return this.cloud.github
      .runners(ORGANIZATION)
      .filter(({ status }) => status === "online")
      .map(({ name }) => slotOf(name))
      .sort();
  }

  /** Waits a moment for a state that follows by itself, such as an ephemeral runner that registers again. */
  async until(what: string, holds: () => boolean, seconds = 30): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!holds()) {
      if (Date.now() > deadline) {
        const runners = JSON.stringify(this.cloud.github.runners(ORGANIZATION), null, 2);
        assert.fail(`after ${seconds} s still not: ${what}; the runners are ${runners}`);
      }
      await sleep(50);
    }
  }

  /** Queues the arm64 leg of the workflow that lies in a repository, with other work in it. */
  arm64Job(script: string, repository = "webppt"): Job {
    return this.queue({ workflow: WORKFLOW, job: "arm64", script, repository });
  }

  queue(
    job: { script: string; repository: string } & (
      { workflow: string; job: string } | { name: string; runsOn: string }
    ),
  ): Job {
    const queued = this.cloud.github.jobs.enqueue({
      ...job,
      repository: `${ORGANIZATION}/${job.repository}`,
    });
    this.jobs.push(queued.id);
    return queued;
  }

  /** Whether hosted runners and hosts can run whole workflows here, registry included. */
  get builds(): boolean {
    return this.cloud.registries !== undefined;
  }

  /** Waits for the run of the workflow that a commit or tag has started; it has to succeed. */
  async published(
    repository: string,
    event: { sha: string } | { tag: string },
  ): Promise<WorkflowRun> {
    const { github } = this.cloud;
    const starts = ({ ref, sha }: WorkflowRun) =>
      "tag" in event
        ? ref === `refs/tags/${event.tag}`
        : sha === event.sha && ref.startsWith("refs/heads/");
    const find = () => github.runs.list(`${ORGANIZATION}/${repository}`).find(starts);
    await this.until(
      `${JSON.stringify(event)} starts a run in ${repository}`,
      () => find() !== undefined,
    );
    const run = await github.runs.wait(find()!.id, 180_000);
    this.workflowJobs.push(...run.jobs);
    const failed = run.jobs.find(({ conclusion }) => conclusion === "failure");
    assert.equal(run.conclusion, "success", `${run.error ?? ""}${failed?.name}: ${failed?.log}`);
    return run;
  }

  async finished(job: Job, seconds = 60): Promise<Job> {
    return this.cloud.github.jobs.wait(job.id, seconds * 1000);
  }

  /** Ids of the servers by name: a server that was replaced has another id. */
  servers(): Record<string, number> {
    return Object.fromEntries(
      [...this.cloud.hetzner.state.servers.values()].map(({ name, id }) => [name, id]),
    );
  }

  async close(): Promise<void> {
    await this.stack.remove();
  }
}

export const PHASES: readonly Phase[] = [
  {
    name: "up",
    title: "one `pulumi up`: network, token service, a host, its runners, GitHub's side",
    run: async (scene) => {
      scene.cloud.github.repository(`${ORGANIZATION}/webppt`).push(await filesOf());
      await scene.pulumi("up");
      await scene.until(
        "two runners are there",
        () => scene.cloud.github.runners(ORGANIZATION).length === 2,
      );
      const { github } = scene.cloud;
      assert.equal(
        github.secretValue(ORGANIZATION, "REGISTRY_PASSWORD"),
        "local-cloud-registry-password",
      );
      const file = github.repository(`${ORGANIZATION}/webppt`).file(WORKFLOW);
      assert.ok(file?.includes(VARIABLE), "the workflow is in the repository");
      assert.deepEqual(JSON.parse(github.variables(ORGANIZATION)[VARIABLE] ?? "null"), {
        group: "arm64",
        labels: ["self-hosted", "Linux", "ARM64", "docker", "webpcloud"],
      });
      const { monthlyCost } = await scene.stack.outputs();
      const { net, currency } = monthlyCost as { net: string; currency: string };
      scene.show(`two servers for ${net} ${currency} a month net, two runners online`);
    },
  },
  {
    name: "preview",
    title: "a second preview finds nothing to do",
    run: async (scene) => {
      const run = await scene.pulumi("preview", "--expect-no-changes");
      assert.deepEqual(run.steps, []);
      scene.show(`no change at all, in ${round(run.seconds)} s`);
    },
  },
  {
    name: "scale up",
    title: "count 1 → 2: only the added host is touched",
    run: async (scene) => {
      const before = scene.servers();
      await scene.stack.configure({ "pools.arm64.count": 2 });
      const run = await scene.pulumi("up");
      const touched = run.steps.filter(({ type }) => type !== "pulumi:pulumi:Stack");
      assert.deepEqual(
        touched.filter(({ op, name }) => op !== "create" || !name.startsWith("arm64-1-2")),
        [],
      );
      assert.deepEqual({ ...scene.servers(), ...before }, scene.servers());
      await scene.until("two more runners are there", () =>
        [1, 2].every((slot) => scene.online().includes(`dev-arm64-1-2-${slot}`)),
      );
    },
  },
  {
    name: "image",
    title: "the emitted workflow builds: its own commit publishes latest, git tag 31 publishes :31",
    run: async (scene) => {
      const { github, registries } = scene.cloud;
      const webppt = github.repository(`${ORGANIZATION}/webppt`);
      if (registries === undefined) {
        const job = await finishedWell(scene, scene.arm64Job("echo built"));
        assert.match(job.runner ?? "", OWN_RUNNER);
        scene.show("thin hosts build no images: one job ran on our host instead");
        return;
      }
      const [commit] = webppt.commits();
      const first = await scene.published("webppt", { sha: commit!.sha });
      webppt.tag("31");
      const second = await scene.published("webppt", { tag: "31" });
      for (const run of [first, second]) {
        const ranOn = Object.fromEntries(run.jobs.map(({ name, runner }) => [name, runner ?? ""]));
        assert.match(ranOn["Build linux/arm64"] ?? "", OWN_RUNNER);
        assert.equal(ranOn["Build linux/amd64"], "hosted");
      }
      const tags = await registries.ghcr.tags("acme/webppt");
      assert.deepEqual(
        tags.filter((tag) => !/^(sha|buildcache)-/.test(tag)),
        ["31", "latest"],
      );
      assert.deepEqual(await platformsOf(registries.ghcr, "acme/webppt", "31"), [
        "linux/amd64",
        "linux/arm64",
      ]);
      await expectOnline(scene, [
        "dev-arm64-1-1-1",
        "dev-arm64-1-1-2",
        "dev-arm64-1-2-1",
        "dev-arm64-1-2-2",
      ]);
      const arm64 = (run: WorkflowRun) =>
        secondsOf(run.jobs.find(({ name }) => name.endsWith("arm64"))!);
      scene.show(
        "ghcr.io/acme/webppt:31 has linux/amd64 and linux/arm64, each with provenance and SBOM",
      );
      scene.show(
        `the arm64 job took ${arm64(first)} s, and ${arm64(second)} s on what its host had kept`,
      );
    },
  },
  {
    name: "scale down",
    title: "count 2 → 1 while every runner works: the removed host is drained, its jobs finish",
    run: async (scene) => {
      const jobs = [1, 2, 3, 4].map(() => scene.arm64Job("sleep 5"));
      await scene.until("four jobs run", () =>
        jobs.every(({ id }) => scene.cloud.github.jobs.get(id).status === "in_progress"),
      );
      await scene.stack.configure({ "pools.arm64.count": 1 });
      const run = await scene.pulumi("up");
      for (const job of jobs) await finishedWell(scene, job);
      const touched = run.steps.filter(({ type }) => type !== "pulumi:pulumi:Stack");
      assert.deepEqual(
        touched.filter(({ op, name }) => op !== "delete" || !name.startsWith("arm64-1-2")),
        [],
      );
      await expectOnline(scene, ["dev-arm64-1-1-1", "dev-arm64-1-1-2"]);
      assert.deepEqual(
        scene.cloud.github.runners(ORGANIZATION).filter(({ status }) => status === "offline"),
        [],
        "no ghost is left",
      );
      scene.show("four jobs ran when the host went, four finished");
    },
  },
  {
    name: "compose change",
    title: "a third runner on the host: the stack changes in place, no server is replaced",
    run: async (scene) => {
      const before = scene.servers();
      await scene.stack.configure({ "pools.arm64.runnersPerHost": 3 });
      const run = await scene.pulumi("up");
      assert.deepEqual(
        run.steps
          .filter(({ type }) => type !== "pulumi:pulumi:Stack")
          .map(({ op, name }) => `${op} ${name}`)
          .sort(),
        ["update arm64-1-1-stack"],
      );
      assert.deepEqual(scene.servers(), before);
      await expectOnline(scene, ["dev-arm64-1-1-1", "dev-arm64-1-1-2", "dev-arm64-1-1-3"]);
    },
  },
  {
    name: "rescale",
    title: "cax21 → cax31 while a job runs: drained, powered off, changed, back online",
    run: async (scene) => {
      const before = scene.servers();
      const job = scene.arm64Job("sleep 4");
      await scene.until(
        "the job runs",
        () => scene.cloud.github.jobs.get(job.id).status === "in_progress",
      );
      await scene.stack.configure({ "pools.arm64.serverTypes": ["cax31"] });
      await scene.pulumi("up");
      await finishedWell(scene, job);
      assert.deepEqual(scene.servers(), before, "the same server");
      const server = [...scene.cloud.hetzner.state.servers.values()].find(
        ({ name }) => name === "dev-arm64-1-1",
      );
      assert.equal(server?.serverType, "cax31");
      await expectOnline(scene, ["dev-arm64-1-1-1", "dev-arm64-1-1-2", "dev-arm64-1-1-3"]);
    },
  },
  {
    name: "second target",
    title: "a second repository gets the workflow and may use the runners",
    run: async (scene) => {
      await scene.stack.configure({ "targets.hello": { image: "ghcr.io/acme/hello" } });
      await scene.pulumi("up");
      const [commit] = scene.cloud.github.repository(`${ORGANIZATION}/hello`).commits();
      const job = scene.builds
        ? (await scene.published("hello", { sha: commit!.sha })).jobs.find(({ name }) =>
            name.endsWith("arm64"),
          )
        : await finishedWell(scene, scene.arm64Job("echo built", "hello"));
      assert.equal(job?.runnerKind, "self-hosted");
    },
  },
  {
    name: "drift",
    title:
      "by hand: runner group deleted, workflow edited, secret changed; refresh and up repair it",
    run: async (scene) => {
      const { github } = scene.cloud;
      const webppt = github.repository(`${ORGANIZATION}/webppt`);
      const wanted = webppt.file(WORKFLOW);
      const edited = { [WORKFLOW]: `${wanted}\n# Somebody was here.\n` };
      webppt.push(edited, { message: "Somebody was here [skip ci]" });
      const group = github.runnerGroups(ORGANIZATION).find(({ name }) => name === "arm64");
      await byHand(scene, "DELETE", `/orgs/${ORGANIZATION}/actions/runner-groups/${group?.id}`);
      await changeSecretByHand(scene, "REGISTRY_PASSWORD");

      const refresh = await scene.pulumi("refresh");
      assert.ok((refresh.changes.refresh ?? 0) > 0);
      await scene.pulumi("up");
      assert.equal(webppt.file(WORKFLOW), wanted);
      assert.equal(
        github.secretValue(ORGANIZATION, "REGISTRY_PASSWORD"),
        "local-cloud-registry-password",
      );
      await scene.until("the runners are in the group that was made again", () =>
        github.runners(ORGANIZATION).every(({ group: name }) => name === "arm64"),
      );
      // The commit that puts the workflow back is a push: it builds meanwhile.
      const [commit] = webppt.commits();
      const [again] = await Promise.all([
        scene.pulumi("preview", "--expect-no-changes"),
        scene.builds ? scene.published("webppt", { sha: commit!.sha }) : undefined,
      ]);
      assert.deepEqual(again.steps, []);
      const job = await finishedWell(scene, scene.arm64Job("echo back"));
      assert.equal(job.runnerKind, "self-hosted");
    },
  },
  {
    name: "destroy",
    title:
      "destroy while a job runs: routing goes first, new jobs fall back, the running one finishes",
    run: async (scene) => {
      const { github, traffic } = scene.cloud;
      const running = scene.arm64Job("sleep 6");
      await scene.until("the job runs", () => github.jobs.get(running.id).status === "in_progress");
      const from = traffic.requests.length;
      const destroyed = scene.pulumi("destroy");
      const late = scene
        .until("the variable is gone", () => !(VARIABLE in github.variables(ORGANIZATION)), 60)
        .then(() => finishedWell(scene, scene.arm64Job("echo fallen back")));
      await Promise.all([destroyed, late]);
      await finishedWell(scene, running);
      assert.equal((await late).runnerKind, "hosted");

      const deletions = traffic.requests
        .slice(from)
        .filter(({ method }) => method === "DELETE")
        .map(({ path }) => path);
      const variable = deletions.indexOf(`/orgs/${ORGANIZATION}/actions/variables/${VARIABLE}`);
      const server = deletions.findIndex((path) => path.startsWith("/servers/"));
      assert.ok(variable >= 0 && variable < server, "the variable is deleted before any server");
      expectNothingLeft(scene);
      for (const repository of ["webppt", "hello"]) {
        const file = github.repository(`${ORGANIZATION}/${repository}`).file(WORKFLOW);
        assert.ok(file !== undefined, "the workflow stays: it works on the fallback");
      }
      scene.show(
        "nothing is left on either side; the workflows stay and build on GitHub's runners",
      );
    },
  },
];

/** Waits until the runners of these slots are online and no others; in order. */
export async function expectOnline(scene: Scene, slots: readonly string[]): Promise<void> {
  await scene.until(
    `online are ${slots.join(", ")} and no other`,
    () => scene.online().join() === slots.join(),
  );
}

/** What a destroyed fleet leaves on either side: nothing. */
export function expectNothingLeft({ cloud: { hetzner, github } }: Scene): void {
  assert.deepEqual(nonZero(hetzner.leftovers()), {});
  assert.deepEqual(nonZero(github.leftovers(ORGANIZATION)), {});
}

/** Waits for a job, which has to succeed. */
export async function finishedWell(scene: Scene, job: Job): Promise<Job> {
  const done = await scene.finished(job);
  assert.equal(done.conclusion, "success", `${done.name} on ${done.runner}: ${done.log}`);
  return done;
}

/** What somebody does with their own token, past Pulumi. */
async function byHand(
  scene: Scene,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const { GITHUB_BASE_URL, GITHUB_TOKEN } = scene.cloud.environment;
  const response = await fetch(`${GITHUB_BASE_URL}${path.slice(1)}`, {
    method,
    headers: { authorization: `Bearer ${GITHUB_TOKEN}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  const text = await response.text();
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}

async function changeSecretByHand(scene: Scene, name: string): Promise<void> {
  const sodium = (await import("libsodium-wrappers")).default;
  await sodium.ready;
  const path = `/orgs/${ORGANIZATION}/actions/secrets`;
  const { key, key_id } = (await byHand(scene, "GET", `${path}/public-key`)) as {
    key: string;
    key_id: string;
  };
  const sealed = sodium.crypto_box_seal(
    "changed by hand",
    sodium.from_base64(key, sodium.base64_variants.ORIGINAL),
  );
  await byHand(scene, "PUT", `${path}/${name}`, {
    encrypted_value: sodium.to_base64(sealed, sodium.base64_variants.ORIGINAL),
    key_id,
    visibility: "selected",
  });
}

export function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

function secondsOf({ queuedAt, completedAt }: Job): number {
  return round(((completedAt ?? queuedAt) - queuedAt) / 1000);
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
