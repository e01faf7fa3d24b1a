import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { canaryPath } from "../../components/canary/path";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import type { PulumiRun } from "../../local-cloud/pulumi";
import { expectNothingLeft, finishedWell, Scene } from "../../local-cloud/story";
import { foresee } from "../operations/planning";

const OLD = ["dev-arm64-1-1", "dev-arm64-1-2"];
const NEW = ["dev-arm64-2-1", "dev-arm64-2-2"];
const TOKEN_SERVICE = "dev-token-service";
const CANARY_PATH = canaryPath("dev");
const VARIABLE = "ARM64_RUNS_ON";

/** What a canary asks of Docker, of which thin hosts have none; it fails while the file `broken` is beside it. */
const DOCKER = `#!/usr/bin/env bash
here=$(dirname "$0")
case "$1 $2" in
"buildx version") echo "github.com/docker/buildx v0.0.0" ;;
"buildx inspect")
  [[ "$*" == *--bootstrap* ]] || [[ -e "$here/builder" ]] || exit 1
  printf 'Name: host\\nDriver: remote\\n\\nNodes:\\nName: host0\\nEndpoint: unix:///run/buildkit/buildkitd.sock\\nStatus: running\\nPlatforms: linux/arm64\\n'
  ;;
"buildx create") touch "$here/builder" ;;
"buildx rm") ;;
"buildx build")
  if [[ -e "$here/broken" ]]; then echo "ERROR: the disk is full" >&2; exit 1; fi
  grep -q '^FROM scratch$' "\${@: -1}/Dockerfile"
  ;;
*) exit 64 ;;
esac
`;

describe("a roll, a host at a time, on the real engine and real providers", function () {
  this.timeout("5m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;
  let docker: string;
  const path = process.env.PATH;

  before(async () => {
    docker = await mkdtemp(join(tmpdir(), "roll-docker-"));
    await writeFile(join(docker, "docker"), DOCKER);
    await chmod(join(docker, "docker"), 0o755);
    process.env.PATH = [docker, path].join(delimiter);
    cloud = await startLocalCloud({ hosts: "thin" });
    scene = await Scene.open(cloud);
    await scene.stack.configure({
      "pools.arm64.count": 2,
      "pools.arm64.runnersPerHost": 1,
      "pools.arm64.maxSurge": 1,
      canary: { repository: "webppt" },
    });
  });
  after(async () => {
    process.env.PATH = path;
    await scene?.close();
    await cloud?.close();
    await rm(docker, { recursive: true, force: true });
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  const servers = () => Object.keys(scene.servers()).sort();
  const expectServers = (...names: readonly string[]) =>
    assert.deepEqual(servers(), [...names, TOKEN_SERVICE].sort());
  const variable = () => cloud.github.variables(cloud.organization)[VARIABLE];
  const canaries = () =>
    cloud.github.runs
      .list()
      .filter((run) => run.path === CANARY_PATH)
      .map((run) => {
        const host = /^Canary of (\S+)/.exec(run.displayTitle)?.[1];
        return `${host} ${run.conclusion}`;
      })
      .reverse();
  const fails = async (): Promise<PulumiRun> => {
    const run = await scene.stack.run("up");
    assert.notEqual(run.code, 0, run.output);
    return run;
  };
  const sayPlainly = ({ output }: PulumiRun, sentence: string) =>
    assert.ok(output.includes(sentence), output);

  it("proves each host of a first fleet before jobs are routed to it", async () => {
    await writeFile(join(docker, "broken"), "");
    const failed = await fails();
    assert.match(
      failed.output,
      /dev-arm64-1-[12]: its canary ended with failure, expected success; no host goes, and the next run tries again: https:\/\/github\.com\/acme\/webppt\/actions\/runs\/\d+/,
    );
    expectServers(...OLD);
    assert.equal(variable(), undefined);

    await rm(join(docker, "broken"));
    await scene.pulumi("up");
    expectServers(...OLD);
    assert.ok(variable() !== undefined);
    assert.deepEqual(
      canaries().slice(-2).sort(),
      OLD.map((host) => `${host} success`),
    );
    const { rolls } = await scene.stack.outputs();
    assert.deepEqual(rolls, {});
  });

  it("is refused where it costs more meanwhile than the budget", async () => {
    const { monthlyCost } = await scene.stack.outputs();
    const { net } = monthlyCost as { net: string };
    await scene.stack.configure({
      "pools.arm64.generation": 2,
      "budget.monthlyEur": Number(net),
    });
    const { output } = await fails();
    assert.match(
      output,
      /runner-fleet:pools\.arm64\.maxSurge: found a roll during which 4 servers cost \d+\.\d\d EUR a month, expected at most the \d+\.\d\d EUR of budget\.monthlyEur: until the roll is over, a higher budget\./,
    );
    expectServers(...OLD);
  });

  it("is refused without stock before anything is touched", async () => {
    await scene.stack.configure({ budget: undefined });
    cloud.hetzner.setStock("cax21", "fsn1", false);
    const before = scene.servers();
    const foreseen = await foresee(cloud, scene.stack);
    assert.deepEqual([foreseen.code, foreseen.report.outcome], [3, "blocked"]);
    const run = await fails();
    for (const problem of foreseen.report.problems) sayPlainly(run, problem);
    sayPlainly(
      run,
      "runner-fleet:pools.arm64: found nothing that can be ordered for arm64-2-1 of cax21 (fsn1), expected one of those that can be ordered now: ",
    );
    assert.deepEqual(run.steps, []);
    assert.deepEqual(scene.servers(), before);
    cloud.hetzner.setStock("cax21", "fsn1", true);
  });

  it("keeps the old host when the canary fails on the new one", async () => {
    const before = scene.servers();
    const foreseen = await foresee(cloud, scene.stack);
    assert.deepEqual([foreseen.code, foreseen.changes], [2, ["roll dev-arm64-1-1 cax21 fsn1"]]);
    await writeFile(join(docker, "broken"), "");
    const { output, steps } = await fails();
    assert.match(output, /dev-arm64-2-1: its canary ended with failure/);
    expectServers(...OLD, NEW[0]!);
    assert.deepEqual({ ...scene.servers(), ...before }, scene.servers());
    assert.deepEqual(
      steps.filter(({ op, name }) => op === "delete" && !name.endsWith("-canary")),
      [],
    );
    await scene.until("every host has a runner online", () => scene.online().length === 3);
    await rm(join(docker, "broken"));
  });

  it("goes on when it is repaired: the new host serves, and the old one goes once its job is done", async () => {
    // The new one is there, so that what goes need not be had again.
    cloud.hetzner.setStock("cax21", "fsn1", false);
    const foreseen = await foresee(cloud, scene.stack);
    assert.deepEqual([foreseen.code, foreseen.changes], [2, ["delete dev-arm64-1-1"]]);
    const id = scene.servers()[NEW[0]!];
    const count = canaries().length;
    const run = await scene.pulumi("up");
    sayPlainly(run, "pool arm64: 1 of 2 hosts is of generation 2; the next run goes on");
    assert.deepEqual(canaries().slice(count), [`${NEW[0]} success`]);
    expectServers(NEW[0]!, OLD[1]!);
    assert.equal(scene.servers()[NEW[0]!], id);
    const { rolls } = await scene.stack.outputs();
    assert.deepEqual(rolls, { arm64: { generation: 2, moved: 1, count: 2 } });
    cloud.hetzner.setStock("cax21", "fsn1", true);
  });

  it("interrupted after it has made a server, it is resumed and makes no other", async () => {
    const running = scene.stack.start("up");
    await scene.until("the second new server is ordered", () => NEW[1]! in scene.servers(), 60);
    running.interrupt();
    assert.notEqual((await running.ended).code, 0);
    expectServers(NEW[0]!, OLD[1]!, NEW[1]!);
    const before = scene.servers();
    const foreseen = await foresee(cloud, scene.stack);
    assert.deepEqual([foreseen.code, foreseen.changes], [2, ["delete dev-arm64-1-2"]]);

    const job = scene.arm64Job("sleep 2");
    await scene.pulumi("up");
    await finishedWell(scene, job);
    expectServers(...NEW);
    assert.equal(scene.servers()[NEW[0]!], before[NEW[0]!]);
    const { steps } = await scene.pulumi("preview", "--expect-no-changes");
    assert.deepEqual(steps, []);
  });

  it("paused with its hosts, its pool gets no new job, and does those that it has", async () => {
    const before = scene.servers();
    await scene.stack.configure({ "pools.arm64.paused": "keep" });
    const queued = scene.arm64Job("sleep 3");
    const run = await scene.pulumi("up");
    sayPlainly(
      run,
      "runner-fleet:pools.arm64.paused: pool arm64 is paused: jobs run on ubuntu-24.04-arm.",
    );
    assert.equal((await finishedWell(scene, queued)).runnerKind, "self-hosted");
    assert.equal(variable(), undefined);
    assert.deepEqual(scene.servers(), before);
    assert.equal((await finishedWell(scene, scene.arm64Job("true"))).runnerKind, "hosted");
    assert.equal((await scene.stack.outputs()).runsOn, '"ubuntu-24.04-arm"');
  });

  it("paused without them, its hosts go after the routing, and their jobs are done", async () => {
    await scene.stack.configure({ "pools.arm64.paused": false });
    await scene.pulumi("up");
    const job = scene.arm64Job("sleep 4");
    await scene.until("the job runs", () => cloud.github.jobs.get(job.id).status === "in_progress");
    await scene.stack.configure({ "pools.arm64.paused": "delete" });
    const from = cloud.traffic.requests.length;
    await scene.pulumi("up");
    assert.equal((await finishedWell(scene, job)).runnerKind, "self-hosted");
    expectServers();
    const deletions = cloud.traffic.requests
      .slice(from)
      .filter(({ method }) => method === "DELETE")
      .map(({ path: at }) => at);
    const routing = deletions.indexOf(`/orgs/acme/actions/variables/${VARIABLE}`);
    const server = deletions.findIndex((at) => at.startsWith("/servers/"));
    assert.ok(routing >= 0 && routing < server, deletions.join("\n"));
  });

  it("resumed, it is proved again before jobs are routed to it", async () => {
    await scene.stack.configure({ "pools.arm64.paused": false });
    const count = canaries().length;
    await scene.pulumi("up");
    expectServers(...NEW);
    assert.deepEqual(
      canaries().slice(count).sort(),
      NEW.map((host) => `${host} success`),
    );
    assert.equal((await finishedWell(scene, scene.arm64Job("true"))).runnerKind, "self-hosted");
  });

  it("goes without a trace, but for the canary's file, which nothing runs", async () => {
    await scene.pulumi("destroy");
    expectNothingLeft(scene);
    assert.ok(cloud.github.repository("acme/webppt").file(CANARY_PATH) !== undefined);
  });
});
