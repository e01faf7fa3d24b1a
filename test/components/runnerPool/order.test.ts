import assert from "node:assert/strict";
import { FleetNetwork } from "../../../components/fleetNetwork/fleetNetwork";
import { GithubOrg } from "../../../components/githubOrg/githubOrg";
import { Routing } from "../../../components/githubOrg/routing";
import { RunnerPool } from "../../../components/runnerPool/runnerPool";
import { TokenService } from "../../../components/tokenService/tokenService";
import type { RecordedResource } from "../../helpers/mocks";
import { settingsWith } from "../config/settings";
import { dependencies, deployWithHooks, secretPlaces, SSH_KEY, TOKEN } from "../host/recorded";

const API_TOKEN = "canary-token-of-the-provider";
const VALUE = "canary-value-of-a-secret";
const HOSTS = ["arm64-1-1", "arm64-1-2"];

/** The components put together as the program does. */
async function deployFleet(placement: "dedicated" | "colocated"): Promise<RecordedResource[]> {
  const settings = settingsWith();
  const { resources } = await deployWithHooks(() => {
    const { environment } = new FleetNetwork("network", {
      prefix: "dev",
      ...settings.network,
      sshPublicKey: settings.ssh.publicKey,
      sshPrivateKey: SSH_KEY,
      sshPort: 22,
      allowedCidrs: settings.ssh.allowedCidrs,
      labels: {},
      servers: new Map(),
    });
    const { runnerGroup } = new GithubOrg("organization", {
      organization: "acme",
      runnerGroup: { name: "arm64", exists: true, repositoryIds: [30] },
      secrets: { PASSWORD: { value: VALUE, repositoryIds: [30], rewritten: false } },
      api: { baseUrl: "https://api.github.com", token: API_TOKEN },
    });
    const kms = { image: "kms:1", organization: "acme", token: TOKEN };
    const pool = new RunnerPool("arm64", {
      environment,
      prefix: "dev",
      pool: "arm64",
      settings: settings.pools.arm64!,
      organization: "acme",
      runnerGroup: runnerGroup!,
      tokenService:
        placement === "colocated"
          ? { placement, ...kms }
          : {
              placement,
              url: new TokenService("token-service", {
                environment,
                serverName: "dev-token-service",
                serverType: "cax11",
                location: "fsn1",
                privateIp: "10.0.1.2",
                ...kms,
              }).url,
            },
    });
    new Routing(
      "routing",
      { level: "organization", variable: "ARM64_RUNS_ON", value: "{}", repositories: { a: 30 } },
      { dependsOn: pool },
    );
  });
  return resources;
}

describe("the order of a fleet", () => {
  for (const placement of ["dedicated", "colocated"] as const) {
    describe(`with a ${placement} token service`, () => {
      let resources: RecordedResource[];
      before(async () => {
        resources = await deployFleet(placement);
      });

      it("routes jobs after every host is up, and not beyond the first that goes", () => {
        const needed = dependencies(resources, "routing");
        for (const host of HOSTS) assert.ok(needed.has(`${host}-stack`), host);
      });

      it("keeps what hosts need for as long as they are there", () => {
        for (const host of HOSTS) {
          const needed = dependencies(resources, `${host}-stack`);
          const shared = [
            host,
            `${host}-network`,
            "arm64-1-spread-1",
            "network",
            "network-subnet",
            "network-firewall",
            "network-ssh-key",
            "organization-runners",
            "organization-runners-cleanup",
            ...(placement === "dedicated" ? ["token-service", "token-service-network"] : []),
          ];
          assert.deepEqual(
            shared.filter((one) => !needed.has(one)),
            [],
          );
        }
      });

      it("makes servers without waiting for GitHub, for each other or for the token service", () => {
        for (const host of HOSTS) {
          const needed = dependencies(resources, host);
          const others = resources
            .map(({ name }) => name)
            .filter((name) => /^(organization|token-service|routing)/.test(name));
          for (const name of [...others, ...HOSTS.filter((one) => one !== host)]) {
            assert.ok(!needed.has(name), `${host} waits for ${name}`);
          }
        }
      });

      it("shows no secret in anything that is registered", () => {
        const stacks = placement === "dedicated" ? [...HOSTS, "token-service"] : HOSTS;
        assert.deepEqual(
          secretPlaces(resources, SSH_KEY),
          stacks.map((host) => `${host}-stack connection.privateKey`),
        );
        const holders = placement === "dedicated" ? ["token-service"] : HOSTS;
        assert.deepEqual(
          secretPlaces(resources, TOKEN),
          holders.map((host) => `${host}-stack stdin`),
        );
        assert.deepEqual(secretPlaces(resources, API_TOKEN), [
          "organization-runners-cleanup environment.GITHUB_TOKEN",
        ]);
        assert.deepEqual(secretPlaces(resources, VALUE), [
          "organization-secret-PASSWORD plaintextValue",
        ]);
      });
    });
  }
});
