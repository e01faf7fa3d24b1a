import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { FleetNetwork } from "../../../components/fleetNetwork/fleetNetwork";
import { GithubOrg } from "../../../components/githubOrg/githubOrg";
import { Routing } from "../../../components/githubOrg/routing";
import { placeFleet } from "../../../components/runnerPool/placement";
import { RunnerPool } from "../../../components/runnerPool/runnerPool";
import { TokenService } from "../../../components/tokenService/tokenService";
import type { RecordedResource } from "../../helpers/mocks";
import { settingsWith } from "../config/settings";
import {
  dependencies,
  deployWithHooks,
  HCLOUD_TOKEN,
  PASSWORD,
  secretPlaces,
  SSH_KEY,
  TOKEN,
} from "../host/recorded";

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
      management: "ssh",
      github: { api: "https://api.github.com", token: API_TOKEN },
      hetzner: { token: HCLOUD_TOKEN },
      labels: {},
      servers: new Map(),
    });
    const { runnerGroup } = new GithubOrg("organization", {
      organization: "acme",
      runnerGroup: { name: "arm64", exists: true, repositoryIds: [30] },
      secrets: { PASSWORD: { value: VALUE, repositoryIds: [30], rewritten: false } },
      api: { baseUrl: "https://api.github.com", token: API_TOKEN },
    });
    const common = {
      organization: "acme",
      githubUrl: "https://github.com",
      rebootWindow: "never",
      registryMirrors: {},
    };
    const service = {
      ...common,
      implementation: "builtin" as const,
      image: "node:24",
      credential: { kind: "pat" as const, token: TOKEN },
      password: PASSWORD,
      runnerNamePrefix: "dev-",
      registrationTokens: false,
      sources: ["10.0.1.0/24"],
    };
    const pool = new RunnerPool("arm64", {
      environment,
      prefix: "dev",
      pool: "arm64",
      settings: settings.pools.arm64!,
      hosts: placeFleet("dev", settings).pools.arm64!,
      ...common,
      repositories: ["a"],
      runnerGroup: runnerGroup!,
      tokenService:
        placement === "colocated"
          ? {
              placement,
              service: pulumi
                .output(runnerGroup!.id)
                .apply((id) => ({ ...service, runnerGroupId: id })),
            }
          : {
              placement,
              implementation: "builtin",
              address: "10.0.1.2",
              password: PASSWORD,
              url: new TokenService("token-service", {
                environment,
                serverName: "dev-token-service",
                serverType: "cax11",
                location: "fsn1",
                privateIp: "10.0.1.2",
                ...service,
                runnerGroupId: runnerGroup!.id,
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
        for (const host of HOSTS) {
          for (const part of ["stack", "retire"]) {
            assert.ok(needed.has(`${host}-${part}`), `${host}-${part}`);
          }
        }
        assert.ok(needed.has("arm64-queue"));
      });

      it("waits for what is queued before the first host is drained", () => {
        const needed = dependencies(resources, "arm64-queue");
        for (const host of HOSTS) assert.ok(needed.has(`${host}-retire`), host);
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
        const own = placement === "dedicated" ? ["token-service"] : [];
        assert.deepEqual(
          secretPlaces(resources, SSH_KEY),
          [
            ...HOSTS.map((host) => `${host}-retire environment.SSH_PRIVATE_KEY`),
            ...[...HOSTS, ...own].map((host) => `${host}-stack connection.privateKey`),
          ].sort(),
        );
        const holders = placement === "dedicated" ? own : HOSTS;
        assert.deepEqual(
          secretPlaces(resources, TOKEN),
          holders.map((host) => `${host}-stack stdin`),
        );
        assert.deepEqual(
          secretPlaces(resources, PASSWORD),
          [...HOSTS, ...own].map((host) => `${host}-stack stdin`),
        );
        assert.deepEqual(
          secretPlaces(resources, API_TOKEN),
          [
            ...HOSTS.map((host) => `${host}-retire`),
            "arm64-queue",
            "organization-runners-cleanup",
          ].map((name) => `${name} environment.GITHUB_TOKEN`),
        );
        assert.deepEqual(
          secretPlaces(resources, HCLOUD_TOKEN),
          HOSTS.map((host) => `${host}-retire environment.HCLOUD_TOKEN`),
        );
        assert.deepEqual(secretPlaces(resources, VALUE), [
          "organization-secret-PASSWORD plaintextValue",
        ]);
      });
    });
  }
});
