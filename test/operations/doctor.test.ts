import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  type CheckId,
  type CheckResult,
  type Finding,
  fixFindings,
  runChecks,
  statusOf,
} from "../../components/doctor/check";
import { createContext } from "../../components/doctor/context";
import { CHECKS } from "../../components/doctor/doctor";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import { Scene } from "../../local-cloud/story";

const PROJECT = dirname(dirname(__dirname));
const VARIABLE = "/orgs/acme/actions/variables/ARM64_RUNS_ON";

/** What is wrong, by check. */
type Wrong = Partial<Record<CheckId, readonly Finding[]>>;

/** Each test but the last leaves the stack as it has found it. */
describe("npm run doctor, on the real engine", function () {
  this.timeout("5m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    scene = await Scene.open(cloud);
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  /** The script itself. */
  async function script(args: readonly string[], variables: Record<string, string> = {}) {
    const { environment, configFile } = scene.stack;
    const { code, stdout, stderr } = await run(
      process.execPath,
      ["--import", "tsx", "scripts/doctor.ts", "--config-file", configFile, ...args],
      { cwd: PROJECT, env: { ...environment, ...variables } },
    );
    for (const secret of [cloud.hetzner.token, cloud.github.tokens.admin, "PRIVATE KEY"]) {
      assert.ok(!(stdout + stderr).includes(secret), "a secret is printed");
    }
    return { code, stdout, stderr };
  }

  /** All checks, as the script makes them. */
  function look(environment: Readonly<Record<string, string>> = {}): Promise<CheckResult[]> {
    const context = createContext({
      stack: "dev",
      configFile: scene.stack.configFile,
      folder: PROJECT,
      environment: { ...scene.stack.environment, ...environment },
    });
    return runChecks(CHECKS, context);
  }

  /** Findings that are not all right, without what would repair them in this process. */
  function wrong(results: readonly CheckResult[]): Wrong {
    const found = results
      .filter(({ findings }) => statusOf(findings) !== "ok")
      .map(({ id, findings }) => [id, JSON.parse(JSON.stringify(findings)) as Finding[]] as const);
    return Object.fromEntries(found);
  }

  const call = (base: string, token: string, method: string, path: string, body?: unknown) =>
    fetch(base.replace(/\/$/, "") + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const hetzner = (method: string, path: string, body?: unknown) =>
    call(cloud.environment.HCLOUD_ENDPOINT!, cloud.hetzner.token, method, path, body);
  const github = (method: string, path: string, body?: unknown) =>
    call(cloud.environment.GITHUB_BASE_URL!, cloud.github.tokens.admin, method, path, body);

  /** Does what a command that the doctor shows would do. */
  async function type(command: string | undefined): Promise<void> {
    const [program, ...args] = (command ?? "").split(" ");
    if (program === "pulumi") {
      const [verb, ...rest] = args;
      const typed = [verb!, ...rest, "--yes", "--non-interactive", "--skip-preview"];
      const { environment } = scene.stack;
      const { code, stdout, stderr } = await run("pulumi", typed, {
        cwd: PROJECT,
        env: { ...environment },
      });
      assert.equal(code, 0, stdout + stderr);
    } else if (program === "gh") {
      assert.deepEqual(args.slice(0, 3), ["api", "--method", "DELETE"]);
      const { status } = await github("DELETE", args[3]!);
      assert.equal(status, 204, command);
    } else {
      assert.equal(program, "hcloud", command);
      const { code, stdout, stderr } = await run("hcloud", args, { env: scene.stack.environment });
      assert.equal(code, 0, command + stdout + stderr);
    }
  }

  /** A runner that nobody starts. */
  async function ghost(name: string): Promise<number> {
    const answer = await github("POST", "/orgs/acme/actions/runners/generate-jitconfig", {
      name,
      runner_group_id: cloud.github.runnerGroups("acme").find((one) => one.name === "arm64")!.id,
      labels: ["self-hosted"],
    });
    assert.equal(answer.status, 201);
    return ((await answer.json()) as { runner: { id: number } }).runner.id;
  }

  it("says in a word that no stack is selected, and what goes without one", async () => {
    const home = await mkdtemp(join(tmpdir(), "runner-fleet-doctor-"));
    const { code, stdout } = await script([], { PULUMI_HOME: home });
    assert.equal(code, 1);
    assert.match(
      stdout,
      /^✗ Stack and its file +No stack is selected, expected one by `pulumi stack select`, or --stack NAME\.\n +pulumi stack select NAME\n/m,
    );
    assert.match(
      stdout,
      /^✗ Tools +The plugin command 1\.2\.1 is not installed, and PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION keeps pulumi from downloading it\.\n +pulumi plugin install resource command 1\.2\.1\n/m,
    );
    assert.match(stdout, /^- Clock +This needs the stack: see Stack and its file\.$/m);
    assert.match(stdout, /\n5 problems\.\n$/);
    await rm(home, { recursive: true });
  });

  it("names a stack that is not there, and an option that is none", async () => {
    const { stdout } = await script(["--stack", "prod"]);
    assert.match(
      stdout,
      /^✗ Stack and its file +There is no stack prod yet\.\n +pulumi stack init prod\n/m,
    );
    assert.match(stdout, /^- Routing variable +This needs the stack: see Stack and its file\.$/m);
    assert.match(stdout, /^✓ Hetzner token +The token reads and writes in its project\.$/m);
    assert.match(stdout, /\n1 problem\.( |\n)/);
    const { code, stderr } = await script(["--repair"]);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      "Unknown option '--repair', expected, if wanted, --stack NAME, --config-file FILE, --fix and --json.\n",
    );
  });

  it("finds nothing wrong before the first up, and changes nothing", async () => {
    const from = cloud.traffic.requests.length;
    const { code, stdout } = await script(["--stack", "dev", "--json"]);
    const { checks } = JSON.parse(stdout) as { checks: { id: CheckId; status: string }[] };
    // A machine with an address of its own would have to be in the configuration.
    const found = checks.filter(({ id }) => id !== "ssh").map(({ status }) => status);
    assert.deepEqual(found, Array<string>(CHECKS.length - 1).fill("ok"), stdout);
    assert.ok(code === 0 || checks.some(({ id, status }) => id === "ssh" && status === "warning"));
    const writes = cloud.traffic.requests
      .slice(from)
      .filter(({ method }) => method !== "GET")
      .map(({ method, path, status }) => `${method} ${path}: ${status}`);
    assert.deepEqual(writes, ["DELETE /ssh_keys/0: 404"]);
  });

  it("finds nothing wrong after it", async () => {
    await scene.pulumi("up");
    assert.deepEqual(wrong(await look()), {});
  });

  it("tells a Hetzner token that may only read", async () => {
    const found = wrong(await look({ HCLOUD_TOKEN: cloud.hetzner.readOnlyToken! }));
    assert.deepEqual(found, {
      "hetzner-token": [
        {
          status: "problem",
          sentence:
            "hcloud:token (or HCLOUD_TOKEN): found a token that may only read, expected one with read and write access.",
        },
      ],
    });
  });

  it("tells what is wrong with a GitHub token, and goes on with Hetzner", async () => {
    const readOnly = wrong(await look({ GITHUB_TOKEN: cloud.github.tokens.readOnly }));
    assert.deepEqual(
      readOnly["github-token"]?.map(({ sentence }) => sentence),
      ["Self-hosted runners", "Variables", "Secrets"].map(
        (right) =>
          `github:token (or GITHUB_TOKEN): found a token without the permission "${right}: write", expected one with it.`,
      ),
    );
    const expired = await look({ GITHUB_TOKEN: cloud.github.tokens.expired });
    const found = wrong(expired);
    assert.deepEqual(
      found["github-token"]?.map(({ sentence }) => sentence),
      [
        "github:token (or GITHUB_TOKEN): found a token that GitHub refuses (401), expected one that is valid and not expired.",
      ],
    );
    assert.deepEqual(found.routing, [
      { status: "skipped", sentence: "This needs GitHub's answers: see GitHub token." },
    ]);
    assert.equal(found.state, undefined);
    assert.equal(found["hetzner-token"], undefined);
  });

  it("hides no check behind an API that fails", async () => {
    const body = { message: "Server Error" };
    cloud.traffic.addFault({
      side: "github",
      path: /^\/orgs\/acme\/actions\/variables\/ARM64_RUNS_ON$/,
      times: 2,
      effect: { kind: "respond", status: 500, body },
    });
    const { routing, ...others } = wrong(await look());
    assert.deepEqual(others, {});
    assert.match(
      routing?.[0]?.sentence ?? "",
      /^GitHub's API at \S+ answered 500 to GET \S+ARM64_RUNS_ON \(Server Error\)\.$/,
    );
  });

  it("finds a server of the stack that no state knows, and the command that deletes it", async () => {
    const made = await hetzner("POST", "/servers", {
      name: "dev-arm64-9-1",
      server_type: "cax11",
      image: "debian-13",
      location: "fsn1",
      labels: { "managed-by": "runner-fleet", stack: "dev" },
    });
    assert.equal(made.status, 201);
    const { id } = ((await made.json()) as { server: { id: number } }).server;
    const { state, ...others } = wrong(await look());
    assert.deepEqual(others, {});
    assert.deepEqual(
      state?.filter(({ status }) => status !== "ok"),
      [
        {
          status: "problem",
          sentence: `The server dev-arm64-9-1 (${id}) has the stack's labels, but its state does not have it.`,
          repair: `hcloud server delete ${id}`,
        },
      ],
    );
    await type(state?.[0]?.repair);
    await scene.until("the server is gone", () => !("dev-arm64-9-1" in scene.servers()));
    assert.deepEqual(wrong(await look()), {});
  });

  /** Runs what the doctor or the import file shows, as a shell does, with its file in another folder. */
  async function shell(command: string, folder: string): Promise<string> {
    const typed = command
      .replaceAll("import.json", join(folder, "import.json"))
      .replace(/\bpulumi (import|up) /g, "pulumi $1 --yes --skip-preview ");
    const { code, stdout, stderr } = await run("bash", ["--norc", "-c", typed], {
      cwd: PROJECT,
      env: { ...scene.stack.environment },
    });
    assert.equal(code, 0, `$ ${typed}\n${stdout}${stderr}`);
    return stdout + stderr;
  }

  async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "runner-fleet-doctor-"));
    await work(folder).finally(() => rm(folder, { recursive: true }));
  }

  const importing = () => {
    const ofStack = `--stack dev --config-file ${scene.stack.configFile}`;
    return `npm run --silent import-file -- ${ofStack} > import.json && GITHUB_OWNER=acme pulumi import ${ofStack} --file import.json --protect=false --generate-code=false`;
  };

  it("has commands that import what a lost state had, and none that deletes it", () =>
    inFolder(async (folder) => {
      const copy = join(folder, "copy.json");
      await shell(`pulumi stack export --stack dev --file ${copy}`, folder);
      await shell("pulumi stack rm --stack dev --force --yes --preserve-config", folder);
      const gone = wrong(await look());
      assert.deepEqual(
        gone.stack?.map(({ repair }) => repair),
        ["pulumi stack init dev"],
      );
      await shell("pulumi stack init dev", folder);

      const { state, routing, "runner-group": group, ...others } = wrong(await look());
      assert.deepEqual(others, {});
      assert.match(
        state?.[0]?.sentence ?? "",
        /^The stack's state has nothing at Hetzner, where this has its labels: server dev-token-service \(\d+\), server dev-arm64-1-1 \(\d+\), firewall dev \(\d+\), placement group dev-arm64-1-1 \(\d+\), network dev \(\d+\) and SSH key dev \(\d+\)\. Delete nothing of it: /,
      );
      assert.deepEqual(
        [state, routing, group].map((findings) => findings?.map(({ repair }) => repair)),
        [[importing()], [importing()], [importing()]],
      );

      await shell(`pulumi stack import --stack dev --file ${copy}`, folder);
      assert.deepEqual(wrong(await look()), {});
    }));

  it("finds a ghost, and the command that deletes it; deletes it itself, and no other", async () => {
    const id = await ghost("dev-arm64-1-9-1-abc123");
    const [found] = wrong(await look()).runners ?? [];
    assert.deepEqual(found, {
      status: "warning",
      sentence:
        "The runner dev-arm64-1-9-1-abc123 is offline for good, since there is no server dev-arm64-1-9.",
      repair: `gh api --method DELETE /orgs/acme/actions/runners/${id}`,
    });
    await type(found.repair);
    await ghost("dev-arm64-1-9-2-abc123");
    const stranger = await ghost("somebody");
    const { runners, ...others } = wrong(await fixFindings(await look()));
    assert.deepEqual(others, {});
    assert.deepEqual(runners, [
      { status: "ok", sentence: "Repaired: The runner dev-arm64-1-9-2-abc123 is deleted." },
      {
        status: "warning",
        sentence:
          "The runner somebody is in the stack's runner group, but none of its hosts is called so: it takes jobs that are meant for them.",
        repair: `gh api --method DELETE /orgs/acme/actions/runner-groups/${cloud.github.runnerGroups("acme").at(-1)!.id}/runners/${stranger}`,
      },
    ]);
    await type(`gh api --method DELETE /orgs/acme/actions/runners/${stranger}`);
    assert.deepEqual(wrong(await look()), {});
  });

  it("finds what hosts leave that somebody has deleted; --fix and pulumi up set it right", async () => {
    const servers = Object.entries(scene.servers()).sort();
    // The token service first: a host that still finds it takes its runners out of the list as it goes.
    for (const [, id] of [...servers].reverse()) {
      assert.ok((await hetzner("DELETE", `/servers/${id}`)).ok);
    }
    await scene.until("the runners are offline", () => scene.online().length === 0);
    await scene.until("the servers are gone", () => Object.keys(scene.servers()).length === 0);

    const before = await look();
    const { runners, routing, state, ...others } = wrong(before);
    assert.deepEqual(others, {});
    assert.deepEqual(
      runners?.map(({ status }) => status),
      ["warning", "warning"],
    );
    assert.deepEqual(routing, [
      {
        status: "problem",
        sentence:
          "The variable ARM64_RUNS_ON of acme sends jobs to runners with the labels self-hosted, Linux, ARM64, docker, webpcloud in the group arm64, none of which is online: the jobs wait, for a day at most.",
        repair: `gh api --method DELETE ${VARIABLE}`,
      },
    ]);
    const again = `pulumi up --refresh --stack dev --config-file ${scene.stack.configFile}`;
    assert.deepEqual(
      state,
      servers.map(([name, id]) => ({
        status: "problem",
        sentence: `The stack's state has the server ${name} (${id}), which is not in the Hetzner project any more.`,
        repair: again,
      })),
    );

    const { code, stdout } = await script(["--stack", "dev", "--fix"]);
    assert.equal(code, 1, "the servers are for pulumi to make");
    assert.match(
      stdout,
      /^✓ +Runners +Repaired: The runner dev-arm64-1-1-[12]-\w{6} is deleted\.$/m,
    );
    const [, repaired] = /^✓ Routing variable +Repaired: (.*)$/m.exec(stdout) ?? [];
    assert.equal(
      repaired,
      `The variable ARM64_RUNS_ON of acme is deleted, so the jobs go to ubuntu-24.04-arm; \`${again}\` makes it again with the hosts.`,
    );
    assert.deepEqual(cloud.github.variables("acme"), {});
    assert.deepEqual(cloud.github.runners("acme"), []);

    await type(again);
    assert.deepEqual(wrong(await look()), {});
  });

  it("has commands that import the server that an older state lacks, and the roll after them loses no job", () =>
    inFolder(async (folder) => {
      const copy = join(folder, "copy.json");
      await shell(`pulumi stack export --stack dev --file ${copy}`, folder);
      await scene.stack.configure({ "pools.arm64.count": 2 });
      await scene.pulumi("up");
      await shell(`pulumi stack import --stack dev --file ${copy}`, folder);

      const { state, ...others } = wrong(await look());
      assert.deepEqual(others, {});
      const id = scene.servers()["dev-arm64-1-2"];
      assert.deepEqual(state, [
        {
          status: "problem",
          sentence: `The stack's state does not have this, which has its labels and bears names of its configuration: server dev-arm64-1-2 (${id}). Delete nothing of it, there may be jobs on it: the state is older, or a run was cut short. Where there is a newer copy, \`pulumi stack import --file COPY\` brings it back; without one this imports what the state does not have (docs/operations.md, Recover a lost state).`,
          repair: importing(),
        },
      ]);

      const printed = await shell(state?.[0]?.repair ?? "", folder);
      const file = await readFile(join(folder, "import.json"), "utf8");
      const { resources } = JSON.parse(file) as { resources: { logicalName: string }[] };
      assert.deepEqual(
        resources.map(({ logicalName }) => logicalName),
        ["arm64", "arm64-1-2", "arm64-1-2-retire"],
      );
      // Its host key is not known, so that it goes with the next generation.
      assert.deepEqual(Object.keys(wrong(await look())), ["ssh"]);

      const job = scene.arm64Job("sleep 5");
      await scene.until(
        "the job runs",
        () => cloud.github.jobs.get(job.id).status === "in_progress",
      );
      const ofStack = `--stack dev --config-file ${scene.stack.configFile}`;
      const steps = [...printed.matchAll(/^ {2}(pulumi .*)$/gm)].map(([, step]) => step!);
      assert.deepEqual(steps, [
        `pulumi config set ${ofStack} --path runner-fleet:pools.arm64.generation 2`,
        `pulumi up ${ofStack}`,
      ]);
      const tokenService = scene.servers()["dev-token-service"];
      for (const step of steps) await shell(step, folder);
      const servers = scene.servers();
      assert.deepEqual(Object.keys(servers).sort(), [
        "dev-arm64-2-1",
        "dev-arm64-2-2",
        "dev-token-service",
      ]);
      assert.equal(servers["dev-token-service"], tokenService);
      assert.equal(cloud.github.jobs.get(job.id).conclusion, "success");
      assert.deepEqual(wrong(await look()), {});
      await scene.pulumi("preview", "--expect-no-changes");

      const { code, stderr } = await run(
        "npm",
        ["run", "--silent", "import-file", "--", ...ofStack.split(" ")],
        { cwd: PROJECT, env: { ...scene.stack.environment } },
      );
      assert.equal(code, 1);
      assert.equal(
        stderr,
        "Found nothing of the stack dev at Hetzner and GitHub that its state does not have: there is nothing to import.\n",
      );
    }));
});
