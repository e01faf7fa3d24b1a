import assert from "node:assert/strict";
import { runnerHostCommands, runnerHostFiles } from "../../../components/runnerHost/stack";
import { type Market, placeFleet } from "../../../components/runnerPool/placement";
import { RunnerPool } from "../../../components/runnerPool/runnerPool";
import type { LivingServer } from "../../../components/preflight/facts";
import { only, valueOf } from "../../helpers/mocks";
import { hetznerFacts, serverType } from "../preflight/facts";
import { settingsWith } from "../config/settings";
import { deployWithHooks, ENVIRONMENT, GITHUB_TOKEN, summarize } from "../host/recorded";

const GROUP = "hcloud:index/placementGroup:PlacementGroup";
const SERVER = "hcloud:index/server:Server";

const TOKEN_SERVICE = {
  placement: "dedicated",
  implementation: "builtin",
  url: "http://10.0.1.2:3000",
  address: "10.0.1.2",
  password: "password",
} as const;

async function deployPool(change: Record<string, unknown>, market?: Market) {
  const settings = settingsWith((raw) => Object.assign(raw.pools.arm64!, change));
  let pool: RunnerPool | undefined;
  const { resources } = await deployWithHooks(() => {
    pool = new RunnerPool("arm64", {
      environment: ENVIRONMENT,
      prefix: "dev",
      pool: "arm64",
      settings: settings.pools.arm64!,
      hosts: placeFleet("dev", settings, market).pools.arm64!,
      organization: "acme",
      githubUrl: "https://github.com",
      rebootWindow: "never",
      registryMirrors: {},
      repositories: ["webppt", "hello"],
      runnerGroup: { id: "7", name: "arm64" },
      tokenService: TOKEN_SERVICE,
    });
  });
  const hosts = resources.filter(({ type }) => type === "runner-fleet:index:RunnerHost");
  return { pool: pool!, resources, hosts: hosts.map(({ name }) => name) };
}

describe("RunnerPool", () => {
  it("is one placement group and the hosts in it", async () => {
    const { pool, resources, hosts } = await deployPool({ count: 2, runnersPerHost: 2 });
    assert.deepEqual(hosts, ["arm64-1-1", "arm64-1-2"]);
    const summary = summarize(resources);
    assert.deepEqual(summary[`${GROUP} arm64-1-spread-1`], {
      parent: "arm64",
      inputs: {
        name: "dev-arm64-1-1",
        type: "spread",
        labels: { ...ENVIRONMENT.labels, pool: "arm64" },
      },
    });
    const ofHost = (host: string) => [
      `runner-fleet:index:RunnerHost ${host}`,
      `runner-fleet:index:Host ${host}`,
      `random:index/randomPassword:RandomPassword ${host}-host-key`,
      `random:index/randomId:RandomId ${host}-epoch`,
      `${SERVER} ${host}`,
      `hcloud:index/serverNetwork:ServerNetwork ${host}-network`,
      `command:remote:Command ${host}-stack`,
      `command:local:Command ${host}-retire`,
    ];
    assert.deepEqual(
      Object.keys(summary).sort(),
      [
        "runner-fleet:index:RunnerPool arm64",
        `${GROUP} arm64-1-spread-1`,
        "command:local:Command arm64-queue",
        ...ofHost("arm64-1-1"),
        ...ofHost("arm64-1-2"),
      ].sort(),
    );
    for (const host of hosts) {
      assert.equal(only(resources, "runner-fleet:index:RunnerHost", host).parent, "arm64");
    }
    const summaries = await valueOf(pool.hosts);
    assert.deepEqual(
      summaries,
      hosts.map((host) => ({
        name: `dev-${host}`,
        pool: "arm64",
        // What the provider answers, in the summary of the right host.
        address: (
          only(resources, "command:remote:Command", `${host}-stack`).inputs.connection as {
            host: string;
          }
        ).host,
        privateAddress: undefined,
        location: "fsn1",
        serverType: "cax21",
        runners: [`dev-${host}-1`, `dev-${host}-2`],
      })),
    );
    assert.equal(new Set(summaries.map(({ address }) => address)).size, 2);
  });

  it("orders each host as it was placed", async () => {
    const change = { count: 3, serverTypes: ["cax31", "cax21"], locations: ["fsn1", "nbg1"] };
    const server: LivingServer = {
      serverType: "cax21",
      location: "nbg1",
      off: false,
      attached: true,
      primaryDiskGb: 80,
      configHash: undefined,
    };
    const { resources } = await deployPool(
      change,
      hetznerFacts({ servers: new Map([["arm64-1-2", server]]) }, serverType("cax31")),
    );
    assert.deepEqual(
      resources
        .filter(({ type }) => type === SERVER)
        .map(({ name, inputs }) => [name, inputs.serverType, inputs.location]),
      [
        ["arm64-1-1", "cax31", "fsn1"],
        ["arm64-1-2", "cax21", "nbg1"],
        ["arm64-1-3", "cax31", "fsn1"],
      ],
    );
    for (const [host, type] of [
      ["arm64-1-2", "cax21"],
      ["arm64-1-3", "cax31"],
    ]) {
      const { stdin } = only(resources, "command:remote:Command", `${host}-stack`).inputs;
      assert.ok(String(stdin).includes(`# dev-${host}: ${type}`), String(stdin));
    }
  });

  it("hands its settings to every host", async () => {
    const { resources } = await deployPool({
      count: 1,
      generation: 3,
      serverTypes: ["cax31"],
      locations: ["nbg1"],
      runnersPerHost: 3,
      labels: ["docker", "big"],
      runner: { image: "knatnetwork", reference: "example.org/runner:1" },
      dockerSocket: true,
      drainTimeoutSeconds: 90,
      cloudInit: { packages: ["htop"], runcmd: ["touch /srv/ready"] },
    });
    const { inputs } = only(resources, SERVER);
    assert.deepEqual(
      [inputs.name, inputs.serverType, inputs.location],
      ["dev-arm64-3-1", "cax31", "nbg1"],
    );
    assert.match(String(inputs.userData), /"htop"[\s\S]*"touch \/srv\/ready"/);
    const model = {
      organization: "acme",
      githubUrl: "https://github.com",
      hostName: "dev-arm64-3-1",
      serverType: "cax31",
      runners: 3,
      labels: ["docker", "big"],
      runnerGroup: { id: "7", name: "arm64" },
      image: "example.org/runner:1",
      runnerImage: "knatnetwork",
      dockerSocket: true,
      buildCachePercent: 60,
      registryMirrors: {},
      drainTimeoutSeconds: 90,
      tokenService: TOKEN_SERVICE,
    } as const;
    const script = String(only(resources, "command:remote:Command").inputs.stdin);
    for (const { path, content } of runnerHostFiles(model)) {
      assert.ok(script.includes(path) && script.includes(content), path);
    }
    for (const command of runnerHostCommands(model)) {
      assert.ok(script.split("\n").includes(command), command);
    }
  });

  it("lets its queue run dry before its hosts go", async () => {
    const { resources } = await deployPool({
      count: 1,
      labels: ["docker", "big"],
      drainTimeoutSeconds: 90,
    });
    const { inputs } = only(resources, "command:local:Command", "arm64-queue");
    assert.deepEqual(inputs, {
      create: "true",
      delete: "node --import tsx components/runnerPool/settleQueue.main.ts",
      environment: {
        GITHUB_API: "https://api.github.com",
        GITHUB_TOKEN,
        GITHUB_ORGANIZATION: "acme",
        RUNNER_LABELS: '["self-hosted","docker","big"]',
        REPOSITORIES: '["webppt","hello"]',
        TIMEOUT_SECONDS: "90",
      },
      logging: "stderr",
      addPreviousOutputInEnv: false,
    });
    const shown = JSON.stringify(resources.map(({ inputs: shownInputs }) => shownInputs));
    assert.ok(shown.includes(GITHUB_TOKEN), "the mocks see through secrets");
  });

  for (const [count, sizes] of [
    [1, [1]],
    [10, [10]],
    [11, [10, 1]],
  ] as const) {
    it(`spreads ${count} over ${sizes.length} placement group(s)`, async () => {
      const { resources } = await deployPool({ count });
      const groups = resources.filter(({ type }) => type === GROUP);
      assert.deepEqual(
        groups.map(({ name, inputs }) => [name, inputs.name]),
        sizes.map((_, index) => [`arm64-1-spread-${index + 1}`, `dev-arm64-1-${index + 1}`]),
      );
      const servers = resources.filter(({ type }) => type === SERVER);
      for (const [index, size] of sizes.entries()) {
        const inside = servers.filter(({ options }) =>
          options.dependsOn.includes(`arm64-1-spread-${index + 1}`),
        );
        assert.equal(inside.length, size);
        const [id, ...others] = new Set(inside.map(({ inputs }) => inputs.placementGroupId));
        assert.equal(typeof id, "number");
        assert.deepEqual(others, []);
      }
    });
  }

  it("asks the same of the first host, whatever the count", async () => {
    const first = async (count: number) => {
      const { resources } = await deployPool({ count });
      const { userData, ...inputs } = only(resources, SERVER, "arm64-1-1").inputs;
      assert.equal(typeof userData, "string");
      return { ...inputs, placementGroupId: typeof inputs.placementGroupId };
    };
    assert.deepEqual(await first(2), await first(1));
  });
});
