import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { limiter } from "../../local-cloud/hosts/run";
import { openStack, type PulumiRun } from "../../local-cloud/pulumi";

interface Case {
  readonly what: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly environment?: (cloud: LocalCloud) => Record<string, string>;
  /** The whole sentence that the CLI prints. */
  readonly says: string;
}

const COUNT = "expected a whole number from 1 to 100.";

const CASES: readonly Case[] = [
  {
    what: "an unknown key",
    config: { poolz: { arm64: {} } },
    says: "runner-fleet:poolz is not a configuration key.",
  },
  {
    what: "an unknown key inside a block",
    config: { "pools.arm64.cuont": 2 },
    says: "runner-fleet:pools.arm64.cuont is not a configuration key.",
  },
  ...[0, -1, 1000].map((count) => ({
    what: `count ${count}`,
    config: { "pools.arm64.count": count },
    says: `runner-fleet:pools.arm64.count: found ${count}, ${COUNT}`,
  })),
  {
    what: "a key of former releases",
    config: { "pools.arm64.serverTypes": undefined, "pools.arm64.serverType": "cax21" },
    says: "runner-fleet:pools.arm64.serverType: found a key of former releases, expected serverTypes, a list with the best first.",
  },
  {
    what: "a server type that is not arm",
    config: { "pools.arm64.serverTypes": ["cx23"] },
    says: 'runner-fleet:pools.arm64.serverTypes: found "cx23", which is x86, expected an arm server type: cax11, cax21, cax31 or cax41.',
  },
  {
    what: "a location outside the network zone",
    config: { "pools.arm64.locations": ["ash"] },
    says: 'runner-fleet:pools.arm64.locations: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1, nbg1 or hel1.',
  },
  {
    what: "an organization that does not exist",
    config: { organization: "nobody" },
    says: 'runner-fleet:organization: found "nobody", which GitHub does not know, expected the login of an organization that exists.',
  },
  {
    what: "a user account",
    config: { organization: "octocat" },
    says: 'runner-fleet:organization: found "octocat", which is a user account, expected an organization, since only organizations have runner groups.',
  },
  {
    what: "a token without the scope",
    environment: (cloud) => ({ GITHUB_TOKEN: cloud.github.tokens.noWorkflow }),
    says: "github:token (or GITHUB_TOKEN): found a token with the scopes repo, admin:org, expected workflow (for workflow files in target repositories) as well.",
  },
  {
    what: "a repository that does not exist",
    config: { "targets.nowhere": { image: "ghcr.io/acme/nowhere" } },
    says: "runner-fleet:targets.nowhere: found no repository acme/nowhere that the token can see, expected one that exists, and a token with access to it.",
  },
  {
    what: "a secret name that GitHub refuses",
    config: { "secrets.GITHUB_PASSWORD": { value: "x" } },
    says: 'runner-fleet:secrets.GITHUB_PASSWORD: found the name "GITHUB_PASSWORD", expected a name of letters, digits and underscores that starts neither with a digit nor with GITHUB_, as GitHub requires.',
  },
  {
    what: "the same target twice",
    config: { "targets.again": { repository: "WebPPT", image: "ghcr.io/acme/webppt" } },
    says: 'runner-fleet:targets.webppt: found "webppt", expected a repository and path that no other target has, but target again writes .github/workflows/image.yml there already.',
  },
  {
    what: "user_data over 32 KiB",
    config: { "pools.arm64.cloudInit": { runcmd: [`echo ${"x".repeat(33_000)}`] } },
    says: "expected at most 32768, which is Hetzner's limit.",
  },
  {
    what: "a missing SSH key",
    config: { "ssh.privateKey": undefined },
    says: "runner-fleet:ssh.privateKey: found nothing, expected",
  },
  {
    what: "an SSH key in plain text",
    config: { "ssh.privateKey": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" },
    says: "runner-fleet:ssh.privateKey: found in plain text, expected a secret, as `pulumi config set --secret --path ssh.privateKey` makes it from standard input.",
  },
  {
    what: "a pool name that is no valid host name",
    config: {
      "pools.Arm_64": {
        serverTypes: ["cax11"],
        locations: ["fsn1"],
        count: 1,
        labels: ["docker"],
      },
    },
    says: 'runner-fleet:pools.Arm_64: found the name "Arm_64", expected a name of 1 to 32 lower-case letters, digits and inner hyphens that starts with a letter, since servers are named after it.',
  },
  {
    what: "no range that may reach SSH",
    config: { "ssh.allowedCidrs": [] },
    says: "runner-fleet:ssh.allowedCidrs: found an empty list, expected at least one range,",
  },
];

describe("bad input, on the real engine", function () {
  this.timeout("4m");
  let cloud: LocalCloud;
  /** Of each case: the runs take turns on this machine's cores, since each of them is a process on one. */
  let runs: readonly Promise<PulumiRun>[];

  before(async () => {
    // No server is ever made here, so it does not matter what servers would be.
    cloud = await startLocalCloud({ hosts: "thin" });
    const inTurn = limiter(availableParallelism());
    runs = CASES.map((one) => {
      const run = inTurn(() => up(cloud, one));
      run.catch(() => undefined);
      return run;
    });
  });
  after(async () => {
    await Promise.allSettled(runs ?? []);
    await cloud?.close();
  });

  CASES.forEach(({ what, says }, index) => {
    it(`${what}: one sentence, nothing created`, async () => {
      const { code, output } = await runs[index]!;
      assert.notEqual(code, 0);
      assert.ok(output.includes(says), output);
      assert.doesNotMatch(output, /^\s+at .*:\d+:\d+\)?$/m, "no stack trace");
      const writes = cloud.traffic.requests
        .filter(({ method }) => method !== "GET")
        .map(({ method, path }) => `${method} ${path}`);
      assert.deepEqual(writes, []);
    });
  });
});

async function up(cloud: LocalCloud, { config, environment }: Case): Promise<PulumiRun> {
  const stack = await openStack(cloud, { environment: environment?.(cloud) });
  try {
    if (config !== undefined) await stack.configure(config);
    return await stack.run("up");
  } finally {
    await stack.remove();
  }
}
