import assert from "node:assert/strict";
import type { FoundFleet } from "../../../components/operate/foundFleet";
import {
  type ImportedResource,
  nextSteps,
  recovery,
  type RecoveryOptions,
} from "../../../components/operate/importFile";
import { settingsWith } from "../config/settings";
import { NOTHING } from "./nothing";

const OPTIONS: RecoveryOptions = {
  project: "runner-fleet",
  stack: "dev",
  settings: settingsWith(),
  hcloudApi: "https://api.hetzner.cloud/v1",
  githubApi: "https://api.github.com",
  versions: { hcloud: "1.0.0", github: "2.0.0", command: "3.0.0" },
};

const HOST = { id: 7, name: "dev-arm64-1-1", pool: "arm64", placementGroup: 6 };
const SERVICE = { id: 8, name: "dev-token-service", pool: undefined, placementGroup: undefined };

/** Type, name in the program and id of what is in the file, below its parents. */
function lines(resources: readonly ImportedResource[]): string[] {
  const depth = (one: ImportedResource): number =>
    one.parent === undefined
      ? 0
      : 1 + depth(resources.find(({ name }) => name === one.parent) ?? assert.fail(one.parent));
  return resources.map((one) =>
    [
      "  ".repeat(depth(one)) + one.type.slice(one.type.lastIndexOf(":") + 1),
      one.logicalName,
      ...(one.id === undefined ? [] : [one.id]),
    ].join(" "),
  );
}

describe("what a lost state is recovered from", () => {
  const found: FoundFleet = {
    network: { id: 1, name: "dev", subnets: ["10.0.1.0/24"] },
    firewall: { id: 2, name: "dev" },
    sshKey: { id: 3, name: "dev" },
    placementGroups: [{ id: 6, name: "dev-arm64-1-1", pool: "arm64" }],
    servers: [HOST, SERVICE],
    runnerGroup: 9,
    routing: { organization: true, repositories: [] },
    files: {
      targets: {
        webppt: { repository: "webppt", path: ".github/workflows/image.yml", branch: "master" },
      },
      central: [
        { repository: ".github", path: ".github/workflows/image-hybrid.yml", branch: "main" },
      ],
    },
  };

  it("are the resources of the program, each below what has to outlive it", () => {
    assert.deepEqual(lines(recovery(found, OPTIONS).resources), [
      "FleetNetwork network",
      "  Network network 1",
      "  NetworkSubnet network-subnet 1-10.0.1.0/24",
      "  Firewall network-firewall 2",
      "  SshKey network-ssh-key 3",
      "RunnerPool arm64",
      "  PlacementGroup arm64-1-1 6",
      "    Server arm64-1-1 7",
      "      Command arm64-1-1-retire retire-7",
      "TokenService token-service",
      "  Host token-service",
      "    Server token-service 8",
      "GithubOrg organization",
      "  ActionsRunnerGroup organization-runners 9",
      "Routing routing",
      "  ActionsOrganizationVariable routing ARM64_RUNS_ON",
      "ImageWorkflow webppt",
      "  RepositoryFile webppt webppt:.github/workflows/image.yml:master",
      "ReusableWorkflows reusable-workflows",
      "  RepositoryFile reusable-workflows-image-hybrid.yml .github:.github/workflows/image-hybrid.yml:main",
    ]);
  });

  it("are read by the plugins that the program has", () => {
    const versions = recovery(found, OPTIONS).resources.map(
      ({ type, version, component }) => `${type.split(":")[0]} ${version ?? component}`,
    );
    assert.deepEqual([...new Set(versions)].sort(), [
      "command 3.0.0",
      "github 2.0.0",
      "hcloud 1.0.0",
      "runner-fleet true",
    ]);
  });

  it("retire a host by its shutdown, with no key and no token in the file", () => {
    const { resources } = recovery(found, OPTIONS);
    const retirement = resources.find(({ logicalName }) => logicalName === "arm64-1-1-retire");
    const inputs = {
      create: "true",
      delete: "node --import tsx components/host/retire.main.ts",
      environment: {
        HOST: "dev-arm64-1-1",
        SERVER_ID: "7",
        HCLOUD_API: "https://api.hetzner.cloud/v1",
        GITHUB_API: "https://api.github.com",
        GITHUB_ORGANIZATION: "acme",
        DRAIN_COMMAND: "/opt/runner-fleet/bin/drain 3600",
        TIMEOUT_SECONDS: "3600",
      },
      logging: "stderr",
      addPreviousOutputInEnv: false,
    };
    assert.deepEqual(retirement?.inputs, inputs);
    assert.deepEqual(retirement?.outputs, { ...inputs, stdout: "", stderr: "" });
  });

  it("are the variables of repositories where routing is by repository", () => {
    const routing = { organization: false, repositories: ["webppt", "other"] };
    assert.deepEqual(lines(recovery({ ...NOTHING, routing }, OPTIONS).resources), [
      "Routing routing",
      "  ActionsVariable routing-webppt webppt:ARM64_RUNS_ON",
      "  ActionsVariable routing-other other:ARM64_RUNS_ON",
    ]);
  });

  it("are nothing where there is nothing", () => {
    assert.deepEqual(recovery(NOTHING, OPTIONS), {
      resources: [],
      generations: {},
      hosts: {},
      tokenService: undefined,
    });
  });

  describe("and what comes next", () => {
    const steps = (servers: FoundFleet["servers"], settings = OPTIONS.settings) =>
      nextSteps(recovery({ ...NOTHING, servers }, { ...OPTIONS, settings }), {
        ...OPTIONS,
        settings,
      });
    const IMPORT =
      "GITHUB_OWNER=acme pulumi import --stack dev --file import.json --protect=false --generate-code=false";
    const set = (key: string, value: number) =>
      `pulumi config set --stack dev --path runner-fleet:pools.arm64.${key} ${value}`;

    it("is a new generation, and the token service's server once more", () => {
      assert.deepEqual(steps([HOST, SERVICE]), [
        IMPORT,
        set("generation", 2),
        "pulumi up --stack dev --replace 'urn:pulumi:dev::runner-fleet::runner-fleet:index:TokenService$runner-fleet:index:Host$hcloud:index/server:Server::token-service'",
      ]);
    });

    it("is one after all that are found, made in one run", () => {
      const { pools } = OPTIONS.settings;
      const wanted = { ...pools.arm64!, count: 1, generation: 2 };
      const found = [HOST, { ...HOST, id: 9, name: "dev-arm64-4-1" }];
      assert.deepEqual(steps(found, { ...OPTIONS.settings, pools: { arm64: wanted } }), [
        IMPORT,
        set("generation", 5),
        set("maxSurge", 3),
        "pulumi up --stack dev",
      ]);
    });

    it("leaves the surge alone where nothing bounds it", () => {
      const wanted = { ...OPTIONS.settings.pools.arm64!, count: 2, generation: 7 };
      const found = [HOST, { ...HOST, id: 9, name: "dev-arm64-1-2" }];
      assert.deepEqual(steps(found, { ...OPTIONS.settings, pools: { arm64: wanted } }).slice(1), [
        set("generation", 7),
        "pulumi up --stack dev",
      ]);
      const bounded = { ...OPTIONS.settings, pools: { arm64: { ...wanted, maxSurge: 1 } } };
      assert.equal(steps(found, bounded)[2], set("maxSurge", 4));
    });

    it("says nothing of a pool that is no longer configured, whose hosts just go", () => {
      const old = { ...HOST, name: "dev-old-1-1", pool: "old" };
      assert.deepEqual(steps([old]), [IMPORT, "pulumi up --stack dev"]);
    });
  });
});
