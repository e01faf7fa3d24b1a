import assert from "node:assert/strict";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import type { FaultEffect } from "../../local-cloud/core/traffic";
import type { PulumiRun } from "../../local-cloud/pulumi";
import { expectNothingLeft, expectOnline, finishedWell, Scene } from "../../local-cloud/story";

const SERVER = "dev-arm64-1-1";
const RUNNERS = [`${SERVER}-1`, `${SERVER}-2`];

/**
 * The faults that really happen. Whatever fails, nothing is lost: the next run makes what is missing, and only that,
 * and destroy finds everything.
 */
describe("a fault leaves nothing lost, on the real engine and real providers", function () {
  this.timeout("1m");
  let cloud: LocalCloud;
  let scene: Scene;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
  });
  after(() => cloud?.close());

  describe("the server type is out of stock when the fleet is made", () => {
    stage();
    let kept: ReadonlySet<string>;

    it("up fails and says so, and keeps what was made before", async () => {
      // Sold out between the checks and the order, which asks for the image first.
      cloud.traffic.addFault({
        side: "hetzner",
        method: "GET",
        path: /^\/images$/,
        times: 2,
        effect: { kind: "delay", ms: 1_000 },
      });
      const soldOut = scene
        .until("something is made", () =>
          cloud.traffic.requests.some(
            ({ side, method }) => side === "hetzner" && method === "POST",
          ),
        )
        .then(() => cloud.hetzner.setStock("cax21", "fsn1", false));
      const { output } = await fails("up");
      await soldOut;
      assert.match(output, /hcloud:index:Server \(arm64-1-1\)/);
      assert.match(output, /resource_unavailable/);
      assert.match(
        output,
        /Hetzner has no room for dev-arm64-1-1; tried: cax21 \(fsn1\); can be ordered now: .*cax21 \(nbg1, hel1\)/,
      );
      kept = new Set(await recorded());
      assert.ok([...kept].some((urn) => urn.endsWith("hcloud:index/network:Network::network")));
      assert.ok(![...kept].some((urn) => urn.endsWith("hcloud:index/server:Server::arm64-1-1")));
    });

    it("up makes the rest, and only the rest, when there is stock again", async () => {
      cloud.hetzner.setStock("cax21", "fsn1", true);
      await completes(kept);
      await scene.pulumi("preview", "--expect-no-changes");
    });

    destroysAll();
  });

  describe("Hetzner takes the order of a server and then fails to make it", () => {
    stage();

    it("up fails and says why", async () => {
      // The first that is ordered; which of the two that is, is chance.
      cloud.hetzner.failNextAction("create_server", {
        code: "server_error",
        message: "the hypervisor had an accident",
      });
      const { output } = await fails("up");
      assert.match(output, /the hypervisor had an accident/);
    });

    it("up makes the server again, under its name and only once", async () => {
      const run = await scene.pulumi("up");
      const again = run.steps.filter(
        ({ type, op }) => type === "hcloud:index/server:Server" && op === "create-replacement",
      );
      assert.equal(again.length, 1);
      await expectWhole();
    });

    destroysAll();
  });

  describe("faults that pass, and a rescale that fails", () => {
    stage();

    it("up gets over limits, errors, conflicts and a broken connection by itself", async () => {
      const github = (method: string, path: RegExp, effect: FaultEffect): void =>
        cloud.traffic.addFault({ side: "github", method, path, effect });
      const hetzner = (method: string, path: RegExp, effect: FaultEffect): void =>
        cloud.traffic.addFault({ side: "hetzner", method, path, effect });
      github("PUT", /\/actions\/secrets\/REGISTRY_PASSWORD$/, tooFast(429));
      github("POST", /\/actions\/variables$/, tooFast(403));
      github("POST", /\/actions\/runner-groups$/, {
        kind: "respond",
        status: 500,
        body: { message: "Server Error" },
      });
      hetzner("POST", /\/actions\/attach_to_network$/, hetznerError(409, "conflict"));
      hetzner("GET", /^\/servers\/\d+$/, { kind: "drop" });
      await scene.pulumi("up");
      assert.deepEqual(cloud.traffic.unusedFaults, []);
      assert.equal(
        cloud.github.secretValue(cloud.organization, "REGISTRY_PASSWORD"),
        "local-cloud-registry-password",
      );
      await expectWhole();
    });

    it("a rescale without stock is refused before anything is touched", async () => {
      cloud.hetzner.setStock("cax31", "fsn1", false);
      await scene.stack.configure({ "pools.arm64.serverTypes": ["cax31"] });
      const { output } = await fails("up");
      assert.ok(
        output.includes(
          'runner-fleet:pools.arm64.serverTypes: found "cax31", which is out of stock in fsn1, expected cax21, which server arm64-1-1 has, or one that it can be changed to now: cax41.',
        ),
        output,
      );
      await expectWhole();
    });

    it("a rescale whose stock goes meanwhile leaves the server off, and the next up completes it", async () => {
      cloud.hetzner.setStock("cax31", "fsn1", true);
      cloud.traffic.addFault({
        side: "hetzner",
        method: "POST",
        path: /\/actions\/change_type$/,
        effect: hetznerError(412, "resource_unavailable"),
      });
      const before = scene.servers();
      const { output } = await fails("up");
      assert.match(output, /resource_unavailable/);
      assert.deepEqual([server()?.status, server()?.serverType], ["off", "cax21"]);
      assert.deepEqual(scene.online(), []);

      await scene.pulumi("up");
      assert.deepEqual([server()?.status, server()?.serverType], ["running", "cax31"]);
      assert.deepEqual(scene.servers(), before);
      await expectWhole();
      const job = await finishedWell(scene, scene.arm64Job("echo back"));
      assert.equal(job.runnerKind, "self-hosted");
    });

    destroysAll();
  });

  describe("up is interrupted in the middle", () => {
    stage();
    let kept: ReadonlySet<string>;

    it("ends what it is at, and records it", async () => {
      const run = scene.stack.start("up");
      await scene.until("a server is ordered", () => cloud.hetzner.state.servers.size > 0);
      run.interrupt();
      const { code, output } = await run.ended;
      assert.notEqual(code, 0);
      assert.match(output, /update canceled/);
      kept = new Set(await recorded());
      for (const { name } of cloud.hetzner.state.servers.values()) {
        const urn = `hcloud:index/server:Server::${name.replace("dev-", "")}`;
        assert.ok(
          [...kept].some((one) => one.endsWith(urn)),
          `${name} is not recorded`,
        );
      }
      assert.deepEqual(scene.online(), []);
    });

    it("the next up makes the rest, and only the rest", () => completes(kept));

    destroysAll();
  });

  /** Each story has an empty project and organization at its start. */
  function stage(): void {
    before(async () => {
      await cloud.reset();
      scene = await Scene.open(cloud);
    });
    after(async () => {
      await scene.close();
      assert.deepEqual(cloud.traffic.takeSurprises(), []);
    });
  }

  function destroysAll(): void {
    it("destroy finds everything", async () => {
      await scene.pulumi("destroy");
      expectNothingLeft(scene);
    });
  }

  async function fails(command: "up"): Promise<PulumiRun> {
    const run = await scene.stack.run(command);
    assert.notEqual(run.code, 0, run.output);
    return run;
  }

  /** Up creates what `kept` lacks and does nothing else; then the fleet is whole. */
  async function completes(kept: ReadonlySet<string>): Promise<void> {
    const { steps } = await scene.pulumi("up");
    assert.ok(steps.length > 0);
    const others = steps.filter(({ op, urn }) => op !== "create" || kept.has(urn));
    assert.deepEqual(others, []);
    await expectWhole();
  }

  /** URNs of what the state holds. */
  async function recorded(): Promise<string[]> {
    const { checkpoint } = JSON.parse(await scene.stack.state()) as {
      checkpoint: { latest: { resources: { urn: string }[] } };
    };
    return checkpoint.latest.resources.map(({ urn }) => urn);
  }

  function server() {
    return [...cloud.hetzner.state.servers.values()].find(({ name }) => name === SERVER);
  }

  /** The fleet is there and works; nothing is there twice, nothing is left over from a failed attempt. */
  async function expectWhole(): Promise<void> {
    await expectOnline(scene, RUNNERS);
    assert.deepEqual(Object.keys(scene.servers()).sort(), [SERVER, "dev-token-service"]);
    assert.deepEqual(cloud.hetzner.leftovers(), {
      servers: 2,
      networks: 1,
      firewalls: 1,
      placement_groups: 1,
      ssh_keys: 1,
      primary_ips: 4,
      volumes: 0,
    });
    assert.deepEqual(cloud.github.leftovers(cloud.organization), {
      runners: 2,
      runnerGroups: 1,
      organizationSecrets: 1,
      organizationVariables: 1,
      repositorySecrets: 0,
      repositoryVariables: 0,
    });
  }
});

/** GitHub's secondary rate limit, which it tells by either status; the client may come back in a second. */
function tooFast(status: 403 | 429): FaultEffect {
  return {
    kind: "respond",
    status,
    headers: { "retry-after": "1" },
    body: {
      message: "You have exceeded a secondary rate limit.",
      documentation_url:
        "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
    },
  };
}

function hetznerError(status: number, code: string): FaultEffect {
  return {
    kind: "respond",
    status,
    body: { error: { code, message: `a fault of the test: ${code}`, details: null } },
  };
}
