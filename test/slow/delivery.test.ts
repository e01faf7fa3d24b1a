import assert from "node:assert/strict";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { type LocalStack, openStack, type PulumiRun } from "../../local-cloud/pulumi";

const PATH = ".github/workflows/image.yml";
const HEAD = "runner-fleet/dev/image.yml";
const COMMAND = "command:local:Command";

/** A stack without own hosts: quick, and nothing of Hetzner is needed. */
const EXTERNAL_ONLY = {
  pools: undefined,
  externalPools: { kubernetes: { scaleSet: "arc-arm64" } },
};

/** One stack on a GitHub that is as new. */
class Delivery {
  private constructor(
    readonly cloud: LocalCloud,
    readonly stack: LocalStack,
  ) {}

  static async open(
    cloud: LocalCloud,
    config: Readonly<Record<string, unknown>>,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Delivery> {
    await cloud.reset();
    const stack = await openStack(cloud, { environment: { HCLOUD_TOKEN: "", ...environment } });
    await stack.configure({ ...EXTERNAL_ONLY, ...config });
    return new Delivery(cloud, stack);
  }

  get repository() {
    return this.cloud.github.repository("acme/webppt");
  }

  /** Runs pulumi, which has to succeed. */
  async run(command: "preview" | "up" | "refresh" | "destroy", ...args: string[]) {
    const run = await this.stack.run(command, ...args);
    assert.equal(run.code, 0, run.output);
    assert.deepEqual(this.cloud.traffic.takeSurprises(), []);
    return run;
  }

  /** Runs pulumi, which has to be refused; tells what it said. */
  async refused(command: "preview" | "up"): Promise<string> {
    const from = this.cloud.traffic.requests.length;
    const { code, output } = await this.stack.run(command);
    assert.notEqual(code, 0);
    assert.doesNotMatch(output, /^\s+at .*:\d+:\d+\)?$/m, "no stack trace");
    const requests = this.cloud.traffic.requests.slice(from);
    assert.deepEqual(
      requests.filter(({ method }) => method !== "GET").map(({ path }) => path),
      [],
    );
    return output;
  }

  /** Has the workflow say something else. */
  async change(image: string): Promise<void> {
    await this.stack.configure({ "targets.webppt.image": `ghcr.io/acme/${image}` });
  }

  proposed(): string {
    return this.repository.file(PATH, HEAD) ?? "";
  }

  delivered(): string {
    return this.repository.file(PATH) ?? "";
  }

  pulls() {
    return this.repository
      .pulls()
      .map(({ number, state, merged }) => `${number} ${merged ? "merged" : state}`);
  }

  /** A request by a person, past the program. */
  async rest(method: string, path: string, body?: unknown): Promise<unknown> {
    const { GITHUB_BASE_URL, GITHUB_TOKEN } = this.cloud.environment;
    const response = await fetch(`${GITHUB_BASE_URL}api/v3/repos/acme/webppt${path}`, {
      method,
      headers: { authorization: `Bearer ${GITHUB_TOKEN}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** Merges as people do, with GitHub set to delete the branch afterwards. */
  async merge(number: number): Promise<void> {
    await this.rest("PUT", `/pulls/${number}/merge`, {});
    await this.rest("DELETE", `/git/refs/heads/${HEAD}`);
  }

  async pullRequest(): Promise<unknown> {
    const { targets } = await this.stack.outputs();
    return (targets as { webppt: { pullRequest?: unknown } }).webppt.pullRequest;
  }

  close(): Promise<void> {
    return this.stack.remove();
  }
}

function steps({ steps }: PulumiRun): string[] {
  return steps
    .filter(({ type }) => !type.startsWith("pulumi:"))
    .map(({ op, type }) => `${op} ${type}`);
}

describe("delivery of workflows, on the real engine and real providers", function () {
  this.timeout("5m");
  let cloud: LocalCloud;

  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
  });
  after(() => cloud?.close());

  describe("by pull request", function () {
    this.bail(true);
    let delivery: Delivery;

    before(async () => {
      delivery = await Delivery.open(cloud, { "targets.webppt.delivery": "pullRequest" });
    });
    after(() => delivery?.close());

    it("is proposed at first, and nothing of Hetzner is asked", async () => {
      const from = cloud.traffic.requests.length;
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 open"]);
      assert.equal(delivery.delivered(), "");
      assert.match(delivery.proposed(), /ghcr\.io\/acme\/webppt/);
      assert.equal(await delivery.pullRequest(), "https://github.com/acme/webppt/pull/1");
      const hetzner = cloud.traffic.requests.slice(from).filter(({ side }) => side === "hetzner");
      assert.deepEqual(hetzner, []);
      assert.deepEqual(cloud.github.variables("acme"), { ARM64_RUNS_ON: '"arc-arm64"' });
      assert.deepEqual(
        cloud.github.runnerGroups("acme").map(({ name }) => name),
        ["Default"],
      );
    });

    it("is left alone while nothing changes", async () => {
      assert.deepEqual(steps(await delivery.run("preview", "--expect-no-changes")), []);
    });

    it("is changed in place with the configuration, people's commits kept", async () => {
      delivery.repository.edit("notes.md", "a reviewer's\n", HEAD);
      await delivery.change("renamed");
      assert.deepEqual(steps(await delivery.run("up")), [`update ${COMMAND}`]);
      assert.deepEqual(delivery.pulls(), ["1 open"]);
      assert.match(delivery.proposed(), /ghcr\.io\/acme\/renamed/);
      assert.equal(delivery.repository.file("notes.md", HEAD), "a reviewer's\n");
    });

    it("needs nothing more once it is merged and its branch is deleted", async () => {
      await delivery.merge(1);
      assert.match(delivery.delivered(), /ghcr\.io\/acme\/renamed/);
      await delivery.run("preview", "--expect-no-changes");
      await delivery.run("preview", "--expect-no-changes", "--refresh");
      assert.deepEqual(steps(await delivery.run("up")), []);
      assert.deepEqual(delivery.pulls(), ["1 merged"]);
    });

    it("is proposed anew after a change", async () => {
      await delivery.change("again");
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 merged", "2 open"]);
      assert.match(delivery.proposed(), /ghcr\.io\/acme\/again/);
      assert.match(delivery.delivered(), /ghcr\.io\/acme\/renamed/);
      assert.equal(await delivery.pullRequest(), "https://github.com/acme/webppt/pull/2");
    });

    it("stays closed when people close it, and the preview says so", async () => {
      await delivery.rest("PATCH", "/pulls/2", { state: "closed" });
      const { output } = await delivery.run("preview", "--expect-no-changes");
      const said = `acme/webppt: pull request 2 was closed without being merged, so ${PATH} stays as it is until the configuration changes what it should be or somebody opens the pull request again.`;
      assert.ok(output.includes(said), output);
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 merged", "2 closed"]);
    });

    it("is proposed anew, on the branch that was left, when the content changes after that", async () => {
      await delivery.change("third");
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 merged", "2 closed", "3 open"]);
      assert.match(delivery.proposed(), /ghcr\.io\/acme\/third/);
      assert.equal(
        delivery.repository.commits(HEAD)[1]?.sha,
        delivery.repository.commits()[0]?.sha,
      );
    });

    it("is withdrawn when the configuration goes back to what is there", async () => {
      await delivery.change("renamed");
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 merged", "2 closed", "3 closed"]);
      assert.ok(!delivery.repository.branches().includes(HEAD));
      await delivery.run("preview", "--expect-no-changes");
    });

    it("is proposed anew when somebody changes the merged file", async () => {
      delivery.repository.edit(PATH, `${delivery.delivered()}# a line more\n`);
      await delivery.run("up");
      assert.deepEqual(delivery.pulls().at(-1), "4 open");
      await delivery.run("preview", "--expect-no-changes");
    });

    it("becomes a commit when the configuration says so, and the pull request is withdrawn", async () => {
      await delivery.stack.configure({ "targets.webppt.delivery": "commit" });
      await delivery.run("up");
      assert.deepEqual(delivery.pulls().at(-1), "4 closed");
      assert.ok(!delivery.repository.branches().includes(HEAD));
      assert.doesNotMatch(delivery.delivered(), /a line more/);
      await delivery.stack.configure({ "targets.webppt.delivery": "pullRequest" });
      await delivery.run("up");
      await delivery.run("preview", "--expect-no-changes");
      assert.equal(delivery.pulls().length, 4);
    });

    it("leaves the merged file, and nothing else, on destroy", async () => {
      await delivery.change("last");
      await delivery.run("up");
      assert.deepEqual(delivery.pulls().at(-1), "5 open");
      await delivery.run("destroy");
      assert.deepEqual(delivery.pulls().at(-1), "5 closed");
      assert.deepEqual(delivery.repository.branches(), ["master"]);
      assert.match(delivery.delivered(), /ghcr\.io\/acme\/renamed/);
      assert.deepEqual(cloud.github.leftovers("acme"), {
        runners: 0,
        runnerGroups: 0,
        organizationSecrets: 0,
        organizationVariables: 0,
        repositorySecrets: 0,
        repositoryVariables: 0,
      });
    });
  });

  describe("of a workflow that others call", function () {
    this.bail(true);
    const CENTRAL = ".github/workflows/image-hybrid.yml";
    let delivery: Delivery;

    before(async () => {
      delivery = await Delivery.open(cloud, {
        "targets.webppt.emit": "reusable",
        "routing.level": "repository",
        reusableWorkflows: { repository: "hello" },
      });
    });
    after(() => delivery?.close());

    it("puts the workflow in place and opens its repository before anybody calls it", async () => {
      const from = cloud.traffic.requests.length;
      await delivery.run("up");
      const writes = cloud.traffic.requests
        .slice(from)
        .filter(({ method, path }) => method === "PUT" && path.startsWith("/repos/"))
        .map(({ path }) => path);
      assert.deepEqual(writes.slice(0, 2).sort(), [
        "/repos/acme/hello/actions/permissions/access",
        `/repos/acme/hello/contents/${CENTRAL}`,
      ]);
      assert.deepEqual(writes.slice(2), [`/repos/acme/webppt/contents/${PATH}`]);
      assert.equal(cloud.github.repository("acme/hello").accessLevel, "organization");
      assert.match(cloud.github.repository("acme/hello").file(CENTRAL) ?? "", /workflow_call:/);
      assert.ok(
        delivery.delivered().includes(`uses: acme/hello/${CENTRAL}@main`),
        delivery.delivered(),
      );
      assert.deepEqual(delivery.repository.variables(), { ARM64_RUNS_ON: '"arc-arm64"' });
      assert.deepEqual(cloud.github.variables("acme"), {});
    });

    it("is left alone while nothing changes", async () => {
      await delivery.run("preview", "--expect-no-changes", "--refresh");
    });

    it("outlives the stack where a caller does", async () => {
      await delivery.run("destroy");
      assert.notEqual(delivery.delivered(), "");
      assert.notEqual(cloud.github.repository("acme/hello").file(CENTRAL), undefined);
      assert.equal(cloud.github.repository("acme/hello").accessLevel, "organization");
      assert.deepEqual(delivery.repository.variables(), {});
    });
  });

  it("is refused before the first resource where GitHub would refuse it later", async () => {
    const delivery = await Delivery.open(cloud, {
      reusableWorkflows: { repository: "hello" },
      "targets.site": { image: "ghcr.io/acme/site", emit: "reusable" },
      "targets.webp-server": {
        image: "ghcr.io/acme/webp-server",
        delivery: "pullRequest",
        onDestroy: "remove",
      },
    });
    try {
      delivery.repository.protect("master", ["ci"]);
      await delivery.rest("PUT", "/actions/permissions", { enabled: false });
      const central = cloud.github.repository("acme/hello");
      central.edit(".github/workflows/image-hybrid.yml", "on: push\njobs: {}\n");
      central.protect("main", ["ci"]);
      const output = await delivery.refused("up");
      for (const says of [
        'targets.webppt.delivery: found "commit" to acme/webppt, whose branch master requires status checks, expected pullRequest, which proposes the workflow for people to merge.',
        "targets.webppt: found acme/webppt, which has GitHub Actions disabled, expected a repository that runs workflows.",
        "reusableWorkflows.repository: found .github/workflows/image-hybrid.yml in acme/hello, which this program did not write, expected a path that is free: delete or rename that file, or choose another repository.",
        "reusableWorkflows.repository: found acme/hello, whose branch main requires status checks, expected a branch that takes commits, such as one named in reusableWorkflows.branch.",
        'targets.site.emit: found "reusable" for the public repository acme/site, which cannot call workflows of the private acme/hello, expected inline, or a public repository in reusableWorkflows.repository.',
        'targets.webp-server.onDestroy: found "remove" with delivery pullRequest, expected keep, since a file that people have merged is theirs to remove.',
      ]) {
        assert.ok(output.includes(`runner-fleet:${says}`), `${says}\n\n${output}`);
      }
      assert.deepEqual(cloud.traffic.takeSurprises(), []);
    } finally {
      await delivery.close();
    }
  });

  it("by commit loses nothing when somebody has changed the file", async () => {
    const delivery = await Delivery.open(cloud, {});
    try {
      await delivery.run("up");
      delivery.repository.edit(PATH, `${delivery.delivered()}# by hand\n`);
      await delivery.change("renamed");
      const { code, output } = await delivery.stack.run("up");
      assert.notEqual(code, 0);
      const said = `targets.webppt.path: somebody changed ${PATH} in acme/webppt since the last run; \`pulumi up --refresh\` shows the difference and writes the file anew, a run without it leaves the file or, when it has to change, ends with GitHub's answer 409.`;
      assert.ok(output.includes(said), output);
      assert.match(output, /409 .*does not match/);
      assert.match(delivery.delivered(), /# by hand/);
      await delivery.run("up", "--refresh");
      assert.doesNotMatch(delivery.delivered(), /# by hand/);
      assert.match(delivery.delivered(), /ghcr\.io\/acme\/renamed/);
      const { output: quiet } = await delivery.run("preview", "--expect-no-changes");
      assert.doesNotMatch(quiet, /somebody changed/);
    } finally {
      await delivery.close();
    }
  });

  it("by pull request says which right a token lacks", async () => {
    const delivery = await Delivery.open(
      cloud,
      { "targets.webppt.delivery": "pullRequest" },
      { GITHUB_TOKEN: cloud.github.tokens.fineGrained },
    );
    try {
      cloud.traffic.addFault({
        side: "github",
        method: "POST",
        path: /^\/repos\/acme\/webppt\/pulls$/,
        effect: {
          kind: "respond",
          status: 403,
          body: { message: "Resource not accessible by personal access token" },
        },
      });
      const { code, output } = await delivery.stack.run("up");
      assert.notEqual(code, 0);
      const said =
        'GitHub answered 403 (Resource not accessible by personal access token) to POST /pulls in acme/webppt, expected a token with the permission "Pull requests: write" there.';
      assert.ok(output.includes(said), output);
      assert.ok(!output.includes(cloud.github.tokens.fineGrained));
      // What was made before is found again.
      await delivery.run("up");
      assert.deepEqual(delivery.pulls(), ["1 open"]);
    } finally {
      await delivery.close();
    }
  });
});
