import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { run } from "../../local-cloud/engine/run";
import { type LocalStack, openStack, type PulumiRun } from "../../local-cloud/pulumi";

const PROJECT = dirname(dirname(__dirname));

/** Two hosts of two types and three locations; each test goes on where the last one ended. */
describe("placement where stock is scarce, on the real engine", function () {
  this.timeout("4m");
  this.bail(true);
  let cloud: LocalCloud;
  let stack: LocalStack;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
    stack = await openStack(cloud);
    await stack.configure({
      "pools.arm64.serverTypes": ["cax21", "cax31"],
      "pools.arm64.locations": ["fsn1", "nbg1", "hel1"],
      "pools.arm64.count": 2,
      // Every server is a host of the pool.
      tokenService: { placement: "colocated" },
    });
  });
  after(async () => {
    await stack?.remove();
    await cloud?.close();
  });
  afterEach(() => assert.deepEqual(cloud.traffic.takeSurprises(), []));

  const stock = (serverType: string, available: boolean, ...locations: string[]) => {
    for (const location of locations) cloud.hetzner.setStock(serverType, location, available);
  };
  const places = () =>
    [...cloud.hetzner.state.servers.values()]
      .map(({ serverType, location }) => `${serverType} ${location}`)
      .sort();
  /** What was asked of Hetzner and GitHub to change since then. */
  const writes = (from: number) =>
    cloud.traffic.requests
      .slice(from)
      .filter(({ method }) => method !== "GET")
      .map(({ method, path }) => `${method} ${path}`);
  const orders = (from: number) =>
    cloud.traffic.requests
      .slice(from)
      .filter(({ method, path }) => method === "POST" && path === "/servers")
      .map(({ body, status }) => {
        const { server_type, location } = body as Record<string, unknown>;
        return `${String(server_type)} ${String(location)}: ${status}`;
      });
  /** `npm run up`, without the terminal that it would ask for confirmation. */
  const up = () =>
    run(
      process.execPath,
      [
        ...["--import", "tsx", "scripts/up.ts", "--stack", "dev"],
        ...["--config-file", stack.configFile, "--", "--yes", "--skip-preview"],
      ],
      { cwd: PROJECT, env: stack.environment },
    );
  const refused = async (command: "preview" | "up"): Promise<PulumiRun> => {
    const from = cloud.traffic.requests.length;
    const done = await stack.run(command);
    assert.notEqual(done.code, 0, done.output);
    assert.deepEqual(writes(from), []);
    return done;
  };

  it("says in one sentence that nothing can be ordered, and makes nothing", async () => {
    stock("cax21", false, "fsn1", "nbg1", "hel1");
    stock("cax31", false, "fsn1", "nbg1", "hel1");
    const { output } = await refused("up");
    assert.ok(
      output.includes(
        "runner-fleet:pools.arm64: found nothing that can be ordered for arm64-1-1 and arm64-1-2 of cax21 (fsn1, nbg1, hel1), cax31 (fsn1, nbg1, hel1), expected one of those that can be ordered now: cax11 (fsn1, nbg1, hel1), cax41 (fsn1, nbg1, hel1).",
      ),
      output,
    );
  });

  it("goes on with the next choice in the same command when an order is refused, and keeps what was made", async () => {
    stock("cax21", true, "nbg1");
    stock("cax31", true, "fsn1", "nbg1", "hel1");
    // What Hetzner says is available may be gone when it is ordered: here the second of two.
    cloud.traffic.addFault({
      side: "hetzner",
      method: "POST",
      path: /^\/servers$/,
      after: 1,
      effect: {
        kind: "respond",
        status: 412,
        body: { error: { code: "resource_unavailable", message: "error during placement" } },
      },
    });
    const from = cloud.traffic.requests.length;
    const { code, stdout, stderr } = await up();
    const output = stdout + stderr;
    assert.equal(code, 0, output);
    assert.deepEqual(orders(from), ["cax21 nbg1: 201", "cax21 nbg1: 412", "cax31 fsn1: 201"]);
    assert.deepEqual(places(), ["cax21 nbg1", "cax31 fsn1"]);
    assert.match(
      output,
      /Hetzner has no room for dev-arm64-1-[12]; tried: cax21 \(nbg1\); can be ordered now: cax11 \(fsn1, nbg1, hel1\), cax31 \(fsn1, nbg1, hel1\), cax41 \(fsn1, nbg1, hel1\)\.\n/,
    );
    assert.match(
      output,
      /^Hetzner had no room for cax21 \(nbg1\): again, with the next choice\.$/m,
    );
  });

  it("has nothing to do then: what lives stays where and what it is when there is better stock, or none", async () => {
    stock("cax21", true, "fsn1", "nbg1", "hel1");
    stock("cax31", false, "fsn1");
    const { code, output, steps } = await stack.run("preview", "--expect-no-changes");
    assert.equal(code, 0, output);
    assert.deepEqual(steps, []);
  });

  it("refuses to rescale to a smaller disk before anything is drained", async () => {
    await stack.configure({ "pools.arm64.serverTypes": ["cax21"] });
    const { output } = await refused("preview");
    assert.match(
      output,
      /runner-fleet:pools\.arm64\.serverTypes: found "cax21", which has a disk of 80 GB, less than the server's 160 GB, expected cax31, which server arm64-1-[12] has, or one that it can be changed to now: cax41\.\n/,
    );
  });
});
