import assert from "node:assert/strict";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import type { PulumiRun } from "../../local-cloud/pulumi";
import { expectNothingLeft, expectOnline, Scene } from "../../local-cloud/story";

const SERVER = "dev-arm64-1-1";
const RUNNERS = [`${SERVER}-1`, `${SERVER}-2`];

/**
 * The faults that really happen, on the real engine and real providers. Whatever fails, nothing is lost: the next run
 * makes what is missing, and only that, and destroy finds everything.
 */
describe("a fault leaves nothing lost, on the real engine and real providers", function () {
  this.timeout("1m");
  let cloud: LocalCloud;
  let scene: Scene;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
  });
  after(() => cloud?.close());

  /** Each story has a fleet of its own, from an empty project to an empty project. */
  const stage = (): void => {
    before(async () => {
      await cloud.reset();
      scene = await Scene.open(cloud);
    });
    after(async () => {
      await scene.close();
      assert.deepEqual(cloud.traffic.unusedFaults, [], "every fault has met its request");
      assert.deepEqual(cloud.traffic.takeSurprises(), []);
    });
    after(async () => cloud.reset());
  };
  const destroysAll = (): void => {
    it("destroy finds everything", async () => {
      await scene.pulumi("destroy");
      expectNothingLeft(scene);
    });
  };

  describe("the server type is out of stock when the fleet is made", () => {
    stage();
    let kept: Set<string>;

    it("up fails and says so, and keeps what was made before", async () => {
      cloud.hetzner.setStock("cax21", "fsn1", false);
      const run = await fails("up");
      assert.match(run.output, /hcloud:index:Server \(?arm64-1-1\)?/);
      assert.match(run.output, /resource_unavailable/);
      assert.match(run.output, /cax21 cannot be ordered in fsn1 at the moment, but it can in/);
      kept = new Set(await recorded());
      assert.ok([...kept].some((urn) => urn.endsWith("::network")));
      assert.ok(![...kept].some((urn) => urn.endsWith("hcloud:index/server:Server::arm64-1-1")));
    });

    it("up makes the rest, and only the rest, when there is stock again", async () => {
      cloud.hetzner.setStock("cax21", "fsn1", true);
      const run = await scene.pulumi("up");
      assert.deepEqual(
        run.steps.filter(({ op, urn }) => op !== "create" || kept.has(urn)),
        [],
      );
      await expectWhole();
      await scene.pulumi("preview", "--expect-no-changes");
    });

    destroysAll();
  });

  describe("Hetzner accepts the order of a server and then fails to make it", () => {
    stage();

    it("up fails and says why", async () => {
      cloud.hetzner.failNextAction("create_server", {
        code: "server_error",
        message: "the hypervisor had an accident",
      });
      cloud.hetzner.failNextAction("create_server", {
        code: "server_error",
        message: "the hypervisor had an accident",
      });
      const run = await fails("up");
      assert.match(run.output, /the hypervisor had an accident/);
    });

    it("the next up repairs it, with no second server and no orphan", async () => {
      await scene.pulumi("up");
      await expectWhole();
      await scene.pulumi("preview", "--expect-no-changes");
    });

    destroysAll();
  });

  describe("faults that pass", () => {
    stage();

    it("up gets over rate limits, a server error and a conflict by itself", async () => {
      cloud.traffic.addFault({
        side: "github",
        method: "PUT",
        path: /\/actions\/secrets\/REGISTRY_PASSWORD$/,
        effect: secondaryRateLimit(429),
      });
      cloud.traffic.addFault({
        side: "github",
        method: "POST",
        path: /\/actions\/variables$/,
        effect: secondaryRateLimit(403),
      });
      cloud.traffic.addFault({
        side: "github",
        method: "POST",
        path: /\/actions\/runner-groups$/,
        effect: { kind: "respond", status: 500, body: { message: "Server Error" } },
      });
      cloud.traffic.addFault({
        side: "hetzner",
        method: "POST",
        path: /\/actions\/attach_to_network$/,
        effect: {
          kind: "respond",
          status: 409,
          body: { error: { code: "conflict", message: "the server is busy", details: null } },
        },
      });
      cloud.traffic.addFault({
        side: "hetzner",
        method: "GET",
        path: /^\/servers\/\d+$/,
        effect: { kind: "drop" },
      });
      const run = await scene.pulumi("up");
      console.log(
        run.seconds,
        cloud.traffic.requests
          .filter((r) => r.status >= 400)
          .map((r) => `${r.side} ${r.method} ${r.path} ${r.status}`),
      );
      assert.equal(
        cloud.github.secretValue(cloud.organization, "REGISTRY_PASSWORD"),
        "local-cloud-registry-password",
      );
      await expectWhole();
    });

    it("a rescale without stock", async () => {
      cloud.hetzner.setStock("cax31", "fsn1", false);
      await scene.stack.configure({ "pools.arm64.serverType": "cax31" });
      const run = await fails("up");
      assert.match(run.output, /resource_unavailable/);
      console.log(
        [...cloud.hetzner.state.servers.values()].map((s) => [s.name, s.status, s.serverType]),
        scene.online(),
        cloud.github.variables("acme"),
      );
      cloud.hetzner.setStock("cax31", "fsn1", true);
      await scene.pulumi("up");
      await expectWhole();
    });

    destroysAll();
  });

  describe("up is interrupted in the middle", () => {
    stage();

    it("the engine ends what it is at, and records it", async () => {
      const run = scene.stack.start("up");
      await scene.until("a server is ordered", () => cloud.hetzner.state.servers.size > 0);
      run.interrupt();
      const { code, output } = await run.ended;
      console.log(output.slice(-800));
      assert.notEqual(code, 0);
      assert.deepEqual(scene.online(), []);
    });

    it("the next up makes the rest", async () => {
      await scene.pulumi("up");
      await expectWhole();
      await scene.pulumi("preview", "--expect-no-changes");
    });

    destroysAll();
  });

  async function fails(command: "up" | "destroy"): Promise<PulumiRun> {
    const run = await scene.stack.run(command);
    assert.notEqual(run.code, 0, run.output);
    return run;
  }

  /** URNs of what the state holds. */
  async function recorded(): Promise<string[]> {
    const { checkpoint } = JSON.parse(await scene.stack.state()) as {
      checkpoint: { latest: { resources?: { urn: string }[] } };
    };
    return (checkpoint.latest.resources ?? []).map(({ urn }) => urn);
  }

  /** The whole fleet is there and works, and nothing is there twice. */
  async function expectWhole(): Promise<void> {
    await expectOnline(scene, RUNNERS);
    console.log(cloud.hetzner.leftovers(), cloud.github.leftovers(cloud.organization));
  }
});

/** As GitHub limits clients that write too fast; the client may come back in a second. */
function secondaryRateLimit(status: 403 | 429) {
  return {
    kind: "respond",
    status,
    headers: { "retry-after": "1" },
    body: {
      message:
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
      documentation_url:
        "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
    },
  } as const;
}
