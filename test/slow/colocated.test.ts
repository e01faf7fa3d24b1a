import assert from "node:assert/strict";
import { colocatedTokenService } from "../../components/tokenService/stack";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { missingCapability } from "../../local-cloud/hosts/prepare";
import {
  expectNothingLeft,
  expectOnline,
  finishedWell,
  Scene,
  slotOf,
} from "../../local-cloud/story";

const SERVER = "dev-arm64-1-1";
const RUNNER = `${SERVER}-1`;
const CREDENTIAL = "/etc/runner-fleet/token-service.env";

/** Builds an image from nothing on the daemon that the job finds, as an image workflow's arm64 job does. */
const BUILD_SCRIPT = [
  "mkdir context && cd context",
  "printf 'FROM scratch\\nCOPY greeting /greeting\\n' >Dockerfile",
  "date +%s%N >greeting",
  "docker buildx create --name host --driver remote unix:///run/buildkit/buildkitd.sock",
  "docker buildx build --builder host --output type=oci,dest=../image.tar .",
  'echo "built an image of $(stat -c %s ../image.tar) bytes"',
].join("\n");

/** What Docker and containerd note down of a container's environment. */
const DOCKER_RECORD = /^(\/var\/lib\/docker\/containers|\/(run|var\/lib)\/containerd)\//;

interface Container {
  readonly Id: string;
  readonly Config: { readonly Image: string; readonly Env: readonly string[] };
}

/** The origin's stack: one host that runs the runner and its token service, with no server beside it. */
describe("the origin's images on one host, on the real engine and real providers", function () {
  this.timeout("3m");
  this.bail(true);
  let cloud: LocalCloud;
  let scene: Scene;
  let id: number;
  const booted = missingCapability() === undefined;

  before(async () => {
    cloud = await startLocalCloud({ startsWorkflows: false });
    scene = await Scene.open(cloud);
    await scene.stack.configure({
      "tokenService.placement": "colocated",
      "tokenService.implementation": "knatnetwork",
      "pools.arm64.runner.image": "knatnetwork",
      "pools.arm64.runnersPerHost": 1,
    });
  });
  after(async () => {
    await scene?.close();
    await cloud?.close();
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  it("comes up on a single server", async () => {
    await scene.pulumi("up");
    assert.deepEqual(Object.keys(scene.servers()), [SERVER]);
    id = scene.servers()[SERVER]!;
    await expectOnline(scene, [RUNNER]);
  });

  it("builds an image", async () => {
    const job = await finishedWell(scene, scene.arm64Job(booted ? BUILD_SCRIPT : "echo built"));
    assert.equal(slotOf(job.runner ?? ""), RUNNER);
    if (booted) assert.match(job.log, /built an image of \d+ bytes/);
    await expectOnline(scene, [RUNNER]);
  });

  it("keeps the contract of the images knatnetwork/github-runner and knatnetwork/github-runner-kms", async function () {
    if (!booted) this.skip();
    const [runner, kms] = [await inspect("runner-1"), await kmsContainer()];
    assert.match(runner.Config.Image, /^knatnetwork\/github-runner:/);
    assert.match(kms.Config.Image, /^knatnetwork\/github-runner-kms:/);
    assert.equal(variable(runner, "RUNNER_REGISTER_TO"), "acme");
    assert.equal(variable(runner, "RUNNER_LABELS"), "docker,webpcloud,dev-arm64-1-1");
    assert.equal(variable(runner, "KMS_SERVER_ADDR"), "http://kms:3000");
    assert.match(
      variable(runner, "ADDITIONAL_FLAGS") ?? "",
      new RegExp(`^--ephemeral --runnergroup arm64 --name ${RUNNER}-[a-z0-9]{6} --work `),
    );
    assert.equal(variable(kms, "PAT_acme"), cloud.github.tokens.admin);
    assert.ok(!JSON.stringify(runner).includes(cloud.github.tokens.admin));
  });

  it("keeps the token where only root reads it", async function () {
    if (!booted) this.skip();
    const files = await filesWith(cloud.github.tokens.admin);
    assert.ok(files.some((file) => file.endsWith("/config.v2.json")));
    assert.deepEqual(
      files.filter((file) => !DOCKER_RECORD.test(file)),
      [CREDENTIAL],
    );
    assert.deepEqual(await filesWith(cloud.github.tokens.admin, "nobody"), []);
    // The same search does find what is there to be read.
    assert.ok((await filesWith(SERVER, "nobody")).includes("/opt/runner-fleet/runner.env"));
    assert.equal(await onHost(["stat", "-c", "%a %U", CREDENTIAL]), "600 root\n");
    const shown = await onHost(["sh", "-c", "ps axww -o args; journalctl --no-pager"]);
    assert.ok(shown.length > 1000 && !shown.includes(cloud.github.tokens.admin));
    const server = cloud.hetzner.state.servers.get(id);
    assert.ok(server!.userData.length > 0);
    assert.ok(!server!.userData.includes(cloud.github.tokens.admin));
  });

  it("has everybody back after a reboot", async () => {
    const [before] = cloud.github.runners(cloud.organization);
    const answer = await fetch(
      `${cloud.environment.HCLOUD_ENDPOINT}/servers/${id}/actions/reboot`,
      {
        method: "POST",
        headers: { authorization: `Bearer ${cloud.environment.HCLOUD_TOKEN}` },
      },
    );
    assert.equal(answer.status, 201);
    await scene.until(
      "a new runner is online",
      () =>
        scene.online().join() === RUNNER &&
        cloud.github.runners(cloud.organization)[0]?.id !== before?.id,
      90,
    );
    assert.equal(cloud.github.runners(cloud.organization).length, 1);
    await finishedWell(scene, scene.arm64Job("echo back"));
    await expectOnline(scene, [RUNNER]);
  });

  it("takes another token in place: the token service starts anew, runners and server do not", async () => {
    const token = cloud.github.tokens.fineGrained;
    const before = booted ? [await inspect("runner-1"), await kmsContainer()] : [];
    const runners = cloud.github.runners(cloud.organization).map((one) => one.id);
    await scene.stack.configureSecret("githubAuth.token", token);
    const { steps } = await scene.pulumi("up");
    assert.deepEqual(
      steps.filter(({ type }) => type !== "pulumi:pulumi:Stack").map(({ op, name }) => [op, name]),
      [["update", "arm64-1-1-stack"]],
    );
    assert.deepEqual(scene.servers(), { [SERVER]: id });
    assert.deepEqual(
      cloud.github.runners(cloud.organization).map((one) => one.id),
      runners,
    );
    if (booted) {
      const after = [await inspect("runner-1"), await kmsContainer()];
      assert.equal(after[0]!.Id, before[0]!.Id);
      assert.notEqual(after[1]!.Id, before[1]!.Id);
      assert.equal(variable(after[1]!, "PAT_acme"), token);
      const files = await filesWith(cloud.github.tokens.admin);
      assert.deepEqual(
        files.filter((file) => !DOCKER_RECORD.test(file)),
        [],
      );
    }
    // Its end makes the next runner register, with the new token.
    await finishedWell(scene, scene.arm64Job("echo once more"));
    await expectOnline(scene, [RUNNER]);
    await scene.pulumi("preview", "--expect-no-changes");
  });

  it("hands over the token of an organization with a hyphen in its name", async function () {
    if (!booted) this.skip();
    const { service, files } = colocatedTokenService({
      implementation: "knatnetwork",
      image: (await kmsContainer()).Config.Image,
      organization: "my-org",
      githubUrl: "https://github.com",
      credential: { kind: "pat", token: "ghp_canary" },
      password: "",
      runnerNamePrefix: "dev-",
      runnerGroupId: "1",
      registrationTokens: true,
      sources: [],
    });
    const content = files[0]?.content ?? "";
    const container = await onHost(
      [
        "sh",
        "-ec",
        [
          "mkdir /run/hyphen && cd /run/hyphen",
          "cat >token-service.env",
          `printf 'services:\\n  kms:\\n    image: %s\\n    env_file: [token-service.env]\\n' '${service.image}' >compose.yaml`,
          "docker compose create --quiet-pull >&2",
          "docker inspect hyphen-kms-1",
          "docker compose down >&2",
          "rm -r /run/hyphen",
        ].join("\n"),
      ],
      content,
    );
    const [kms] = JSON.parse(container) as [Container];
    assert.equal(variable(kms, "PAT_my-org"), "ghp_canary");
  });

  it("changes to the built-in service and GitHub's own image in place, and back, and leaves no ghost", async () => {
    for (const [implementation, image] of [
      ["builtin", "actions-runner"],
      ["builtin", "knatnetwork"],
      ["knatnetwork", "knatnetwork"],
    ] as const) {
      await scene.stack.configure({
        "tokenService.implementation": implementation,
        "pools.arm64.runner.image": image,
      });
      // The combination of the origin's image and our service is for booted hosts: a thin one does not know it.
      if (!booted && (implementation === "builtin") !== (image === "actions-runner")) continue;
      await scene.pulumi("up");
      assert.deepEqual(scene.servers(), { [SERVER]: id });
      await expectOnline(scene, [RUNNER]);
      await scene.until(
        "the runner of before is gone",
        () => cloud.github.runners(cloud.organization).length === 1,
      );
      await finishedWell(scene, scene.arm64Job(`echo by ${image}`));
      await expectOnline(scene, [RUNNER]);
    }
  });

  it("goes without a trace", async () => {
    await scene.pulumi("destroy");
    expectNothingLeft(scene);
  });

  async function onHost(argv: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await cloud.hosts.exec(id, argv, { stdin });
    assert.equal(code, 0, stderr);
    return stdout;
  }

  async function inspect(container: string): Promise<Container> {
    const [found] = JSON.parse(await onHost(["docker", "inspect", container])) as [Container];
    return found;
  }

  function kmsContainer(): Promise<Container> {
    return inspect("runner-fleet-kms-1");
  }

  function variable({ Config }: Container, name: string): string | undefined {
    return Config.Env.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
  }

  /** The files of the host that hold a text and that a user may read, among those written since the host was made. */
  async function filesWith(text: string, user = "root"): Promise<string[]> {
    const script = [
      'pattern=$(mktemp -p /dev/shm) && cat >"$pattern" && chmod 0644 "$pattern" && cd /',
      `runuser -u ${user} -- find / /run /tmp /var/lib/docker /var/lib/containerd -xdev -type f -size -50M -mmin -60 -exec grep -lsFf "$pattern" {} + || true`,
      'rm "$pattern"',
    ].join("\n");
    const found = await onHost(["bash", "-c", script], text);
    return [...new Set(found.split("\n").filter((line) => line !== ""))].sort();
  }
});
