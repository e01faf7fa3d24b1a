import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { FleetConfig } from "../../../components/config/load";
import { checkFleet } from "../../../components/preflight/check";
import { preflight } from "../../../components/preflight/preflight";
import { readFacts } from "../../../components/preflight/facts";
import { monthlyCost } from "../../../components/pricing/pricing";
import { plannedServers } from "../../../components/pricing/plannedServers";
import { Traffic } from "../../../local-cloud/core/traffic";
import { createGitHub, type GitHub } from "../../../local-cloud/github";
import { createHetzner, type Hetzner } from "../../../local-cloud/hetzner";
import { FakeHosts } from "../../local-cloud/hetzner/fakeHosts";
import { keyPair, type rawSettings, settingsWith } from "../config/settings";

const HETZNER = "http://127.0.0.1:9001";
const GITHUB = "http://127.0.0.1:9002";

type Change = Parameters<typeof settingsWith>[0];

/** Both simulated APIs answer in this process, so what is shown is that the requests and answers fit together. */
describe("readFacts against the local cloud", () => {
  let traffic: Traffic;
  let hetzner: Hetzner;
  let github: GitHub;

  const simulated: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const { origin } = new URL(request.url);
    assert.ok([HETZNER, GITHUB].includes(origin), `${request.url} is not simulated`);
    return origin === HETZNER ? hetzner.fetch(request) : github.fetch(request);
  };

  function configWith(change: Change, token = github.tokens.admin, service = token): FleetConfig {
    const settings = settingsWith(
      (raw: ReturnType<typeof rawSettings> & Record<string, unknown>) => {
        raw.githubAuth = { kind: "pat", token: service };
        change?.(raw);
      },
    );
    return {
      prefix: "dev",
      settings,
      credential: pulumi.secret(settings.githubAuth),
      sshPrivateKey: pulumi.secret(settings.ssh.privateKey!),
      orgSecrets: {},
      hcloud: {
        token: hetzner.token,
        endpoint: `${HETZNER}/v1`,
        pollInterval: undefined,
        tokenIsConfigured: false,
      },
      github: { token, endpoint: GITHUB, writeDelayMs: undefined, tokenIsConfigured: false },
    };
  }

  async function verdict(change: Change, token?: string, service?: string) {
    const config = configWith(change, token, service);
    const findings = await readFacts(config, { fetch: simulated });
    return checkFleet(config.settings, findings, "fleet");
  }

  before(async () => {
    traffic = new Traffic();
    hetzner = createHetzner({ traffic, hosts: new FakeHosts() });
    github = await createGitHub({ traffic });
  });

  afterEach(async () => {
    assert.deepEqual(traffic.takeSurprises(), [], "the APIs understood every request");
    traffic.requests.splice(0);
    await Promise.all([hetzner.reset(), github.reset()]);
  });

  after(() => github.close());

  it("finds nothing wrong with a fleet that can come up", async () => {
    const config = configWith(undefined);
    const facts = await preflight(config, { fetch: simulated });
    assert.equal(facts.github.repositories.size, 1);
    assert.equal(facts.github.runnerGroupExists, false);
    assert.ok(facts.hetzner !== undefined);
    assert.equal(facts.hetzner.serverTypes.get("cax21")?.architecture, "arm");
    const { currency, net, items } = monthlyCost(plannedServers(config.settings), facts.hetzner);
    assert.deepEqual([currency, net, items.length], ["EUR", "28.47", 2]);
    assert.ok(traffic.requests.every(({ method }) => method === "GET"));
    assert.equal(traffic.requests.length, 14);
  });

  const tokenCases: Record<string, [token: keyof GitHub["tokens"], ...problems: string[]]> = {
    "a token of an owner": ["admin"],
    "a token of a finer grain": ["fineGrained"],
    "a token without a scope": [
      "noScope",
      "github:token (or GITHUB_TOKEN): found a token with no scope, expected admin:org (for the runner group, organization secrets and variables), repo (for the files of target repositories) and workflow (for workflow files in target repositories) as well.",
    ],
    "a token without workflow": [
      "noWorkflow",
      "github:token (or GITHUB_TOKEN): found a token with the scopes repo, admin:org, expected workflow (for workflow files in target repositories) as well.",
    ],
    "a token of a member": [
      "member",
      'github:token (or GITHUB_TOKEN): found a token that may not manage the runners of acme, expected one of an owner of the organization, or one with its permission "Self-hosted runners: write".',
    ],
    "an expired token": [
      "expired",
      "github:token (or GITHUB_TOKEN): found a token that GitHub refuses (401), expected one that is valid and not expired.",
    ],
  };
  for (const [what, [token, ...problems]] of Object.entries(tokenCases)) {
    it(`judges ${what}`, async () => {
      const found = await verdict(undefined, github.tokens[token]);
      const about = found.problems.filter((problem) => problem.startsWith("github:token"));
      assert.deepEqual(about, problems);
    });
  }

  it("judges the token service's token", async () => {
    const { problems } = await verdict(
      undefined,
      github.tokens.admin,
      github.tokens.noOrganization,
    );
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? "", /^fleet:githubAuth\.token: .* admin:org \(for registering/);
  });

  describe("judges the App that the token service signs in as", () => {
    const withApp =
      (credential: Record<string, unknown> = {}): NonNullable<Change> =>
      (raw) => {
        const { id: appId, installationId, privateKey } = github.app;
        raw.githubAuth = { kind: "app", appId, installationId, privateKey, ...credential };
      };

    it("one that is installed in the organization", async () => {
      assert.deepEqual(await verdict(withApp()), { problems: [], warnings: [] });
    });

    it("another key", async () => {
      const { privateKey } = generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" },
      });
      const { problems } = await verdict(withApp({ privateKey }));
      assert.deepEqual(problems, [
        `fleet:githubAuth.appId: found App ${github.app.id}, which GitHub does not know with this private key, expected the id of the App that githubAuth.privateKey was generated for, and a clock that is right.`,
      ]);
    });

    it("another App", async () => {
      const { problems } = await verdict(withApp({ appId: github.app.id + 1 }));
      assert.match(
        problems.join("\n"),
        /^fleet:githubAuth\.appId: .*does not know with this private key.*\.$/,
      );
    });

    it("another installation", async () => {
      const { problems } = await verdict(withApp({ installationId: 7 }));
      assert.deepEqual(problems, [
        `fleet:githubAuth.installationId: found 7, which App ${github.app.id} does not have, expected the id of its installation in acme.`,
      ]);
    });
  });

  it("refuses a runner program that GitHub does not serve any more", async () => {
    github.setRunnerDeprecation("2.331.0", { runtimeDeprecatesAt: new Date(0) });
    const { problems } = await verdict((raw) =>
      Object.assign(raw.pools.arm64 ?? {}, { runner: { version: "2.331.0" } }),
    );
    assert.deepEqual(problems, [
      'fleet:pools.arm64.runner.version: found "2.331.0", which GitHub does not serve since 1970-01-01, expected a newer release of GitHub\'s runner program.',
    ]);
  });

  it("reads what the servers of the stack let in", async () => {
    const post = async (path: string, body: unknown) => {
      const { status } = await hetzner.fetch(
        new Request(`${HETZNER}/v1${path}`, {
          method: "POST",
          headers: {
            authorization: `Bearer ${hetzner.token}`,
            "content-type": "application/json",
          },
          body: JSON.stringify(body),
        }),
      );
      assert.equal(status, 201, path);
    };
    const { settings } = configWith(undefined);
    const labels = { "managed-by": "runner-fleet", stack: "dev" };
    await post("/ssh_keys", { name: "dev", public_key: settings.ssh.publicKey, labels });
    await post("/ssh_keys", { name: "mine", public_key: keyPair().publicKey });
    const rule = { direction: "in", source_ips: ["203.0.113.4/32"] };
    await post("/firewalls", {
      name: "dev",
      labels,
      rules: [
        { ...rule, protocol: "tcp", port: "2222" },
        { ...rule, protocol: "icmp" },
      ],
    });
    const { hetzner: facts } = await readFacts(configWith(undefined), { fetch: simulated });
    assert.ok(facts !== undefined && !("obstacle" in facts));
    assert.deepEqual(facts.access, {
      sshPublicKey: settings.ssh.publicKey.trim(),
      openPorts: ["2222"],
      allowedCidrs: ["203.0.113.4/32"],
    });
  });

  it("refuses a Hetzner token that the API does not know", async () => {
    const config = configWith(undefined);
    const findings = await readFacts(
      { ...config, hcloud: { ...config.hcloud, token: "x".repeat(64) } },
      { fetch: simulated },
    );
    assert.deepEqual(findings.hetzner, { obstacle: "tokenRefused" });
  });

  const settingsCases: Record<string, [change: NonNullable<Change>, problem: string]> = {
    "a server type that is not arm": [
      (raw) => Object.assign(raw.pools.arm64 ?? {}, { serverTypes: ["cpx22"] }),
      'fleet:pools.arm64.serverTypes: found "cpx22", which is x86, expected an arm server type: cax11, cax21, cax31 or cax41.',
    ],
    "a location outside the zone": [
      (raw) => (raw.tokenService = { location: "ash" }),
      'fleet:tokenService.location: found "ash" in network zone us-east, expected a location in eu-central, as network.zone says: fsn1, nbg1 or hel1.',
    ],
    "an organization that does not exist": [
      (raw) => (raw.organization = "nobody"),
      'fleet:organization: found "nobody", which GitHub does not know, expected the login of an organization that exists.',
    ],
    "a user account": [
      (raw) => (raw.organization = "octocat"),
      'fleet:organization: found "octocat", which is a user account, expected an organization, since only organizations have runner groups.',
    ],
    "a repository that does not exist": [
      (raw) => (raw.targets = { missing: { image: "ghcr.io/acme/missing" } }),
      "fleet:targets.missing: found no repository acme/missing that the token can see, expected one that exists, and a token with access to it.",
    ],
    "a branch that does not exist": [
      (raw) => Object.assign(raw.targets.webppt ?? {}, { branch: "release/2.x" }),
      'fleet:targets.webppt.branch: found no branch "release/2.x" in acme/webppt, expected one that exists, such as the default branch master.',
    ],
  };
  for (const [what, [change, problem]] of Object.entries(settingsCases)) {
    it(`refuses ${what}`, async () => {
      const { problems } = await verdict(change);
      assert.ok(problems.includes(problem), problems.join("\n"));
    });
  }

  it("tells a workflow of its own from another one", async () => {
    const path = ".github/workflows/image.yml";
    github.repository("acme/webppt").edit(path, "on: push\njobs: {}\n");
    const { problems } = await verdict(undefined);
    assert.deepEqual(problems, [
      `fleet:targets.webppt.path: found ${path} in acme/webppt, which this program did not write, expected a path that is free: delete or rename that file, or choose another path.`,
    ]);
    await github.reset();
    github
      .repository("acme/webppt")
      .edit(path, "# Generated by runner-fleet.\non: push\njobs: {}\n");
    assert.deepEqual((await verdict(undefined)).problems, []);
  });

  it("refuses what cannot be ordered, and warns where there is another choice", async () => {
    hetzner.setStock("cax21", "fsn1", false);
    assert.deepEqual(await verdict(undefined), {
      problems: [
        "fleet:pools.arm64: found nothing that can be ordered for arm64-1-1 and arm64-1-2 of cax21 (fsn1), expected one of those that can be ordered now: cax11 (fsn1, nbg1, hel1), cax21 (nbg1, hel1), cax31 (fsn1, nbg1, hel1), cax41 (fsn1, nbg1, hel1).",
      ],
      warnings: [],
    });
    const other = (raw: ReturnType<typeof rawSettings>) =>
      Object.assign(raw.pools.arm64 ?? {}, { locations: ["fsn1", "hel1"] });
    assert.deepEqual(await verdict(other), {
      problems: [],
      warnings: [
        "fleet:pools.arm64.serverTypes: cax21 cannot be ordered in fsn1 at the moment, but it can in nbg1 or hel1.",
      ],
    });
  });

  it("gets over one lost connection and a limit on either side", async () => {
    const limited = {
      kind: "respond",
      status: 429,
      headers: { "retry-after": "0" },
      body: { error: { code: "rate_limit_exceeded", message: "rate limit exceeded" } },
    } as const;
    traffic.addFault({ side: "hetzner", path: /^\/pricing$/, effect: limited });
    traffic.addFault({
      side: "github",
      path: /^\/orgs\/acme$/,
      effect: { ...limited, status: 502 },
    });
    assert.deepEqual(await verdict(undefined), { problems: [], warnings: [] });
  });
});
