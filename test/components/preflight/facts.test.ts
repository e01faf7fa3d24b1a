import assert from "node:assert/strict";
import { generateKeyPairSync, verify } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import type { ApiAccess, FleetConfig } from "../../../components/config/load";
import type { FleetSettings } from "../../../components/config/schema";
import type { AppFacts } from "../../../components/preflight/app";
import { RUNNER_VERSION } from "../../../components/pins/pins";
import { preflight } from "../../../components/preflight/preflight";
import { type Findings, readFacts } from "../../../components/preflight/facts";
import { settingsWith } from "../config/settings";
import { target } from "./facts";
import { type FakeAnswer, fakeFetch } from "./fakeFetch";

const HCLOUD = "https://api.hetzner.cloud/v1";
const GITHUB = "https://api.github.com";
const hcloudToken = "h".repeat(64);
const githubToken = "ghp_provider";

function configWith(
  settings: FleetSettings = settingsWith(),
  hcloud: Partial<ApiAccess> = {},
  github: Partial<ApiAccess> = {},
): FleetConfig {
  return {
    prefix: "dev",
    settings,
    credential: pulumi.secret(settings.githubAuth),
    sshPrivateKey: pulumi.secret(settings.ssh.privateKey!),
    orgSecrets: {},
    hcloud: {
      token: hcloudToken,
      endpoint: undefined,
      pollInterval: undefined,
      tokenIsConfigured: false,
      ...hcloud,
    },
    github: {
      token: githubToken,
      endpoint: undefined,
      writeDelayMs: undefined,
      tokenIsConfigured: false,
      ...github,
    },
  };
}

function page(body: Record<string, unknown>, next: number | null = null) {
  return { body: { ...body, meta: { pagination: { next_page: next } } } };
}

function apiType(name: string, change: Record<string, unknown> = {}) {
  return {
    id: 1,
    name,
    architecture: "arm",
    cores: 4,
    memory: 8,
    disk: 80,
    locations: [{ id: 1, name: "fsn1", available: true, recommended: false, deprecation: null }],
    prices: [{ location: "fsn1", price_monthly: { net: "10.4900", gross: "12.4831" } }],
    ...change,
  };
}

function apiServer(
  name: string,
  status: string,
  private_net: unknown[],
  labels: Record<string, string> = {},
) {
  return {
    id: 1,
    name,
    status,
    server_type: { name: "cax21" },
    location: { name: "fsn1" },
    private_net,
    primary_disk_size: 80,
    labels: { "managed-by": "runner-fleet", stack: "dev", ...labels },
  };
}

const publicKey = settingsWith().ssh.publicKey;
const types = `${HCLOUD}/server_types?page=1&per_page=50`;
const ours = "label_selector=managed-by%3Drunner-fleet%2Cstack%3Ddev&page=1&per_page=50";
const servers = `${HCLOUD}/servers?${ours}`;
const sshKeys = `${HCLOUD}/ssh_keys?${ours}`;
const firewalls = `${HCLOUD}/firewalls?${ours}`;
const HCLOUD_OF_DEV = [servers, sshKeys, firewalls];
const hetznerAnswers: Record<string, FakeAnswer | readonly FakeAnswer[]> = {
  [types]: page({ server_types: [apiType("cax11"), apiType("cax21")] }),
  [`${HCLOUD}/locations?page=1&per_page=50`]: page({
    locations: [{ name: "fsn1", network_zone: "eu-central", city: "Falkenstein" }],
  }),
  [servers]: page({
    servers: [
      apiServer("dev-arm64-1-1", "running", [{ network: 1, ip: "10.0.1.3" }]),
      apiServer("dev-arm64-1-2", "off", [], { config: "1f2e3d4c" }),
    ],
  }),
  [sshKeys]: page({ ssh_keys: [{ id: 1, name: "dev", public_key: publicKey }] }),
  [firewalls]: page({
    firewalls: [
      {
        id: 1,
        rules: [
          { direction: "in", protocol: "tcp", port: "22", source_ips: ["203.0.113.0/24"] },
          { direction: "in", protocol: "icmp", port: null, source_ips: ["0.0.0.0/0"] },
          { direction: "out", protocol: "tcp", port: "443", source_ips: [] },
        ],
      },
    ],
  }),
  [`${HCLOUD}/pricing`]: {
    body: {
      pricing: {
        currency: "EUR",
        vat_rate: "19.00",
        primary_ips: [
          { type: "ipv6", prices: [] },
          {
            type: "ipv4",
            prices: [{ location: "fsn1", price_monthly: { net: "0.5000", gross: "0.5950" } }],
          },
        ],
      },
    },
  },
};

const scoped = { "x-oauth-scopes": "admin:org, repo, workflow" };
const file = Buffer.from("on: push\n").toString("base64");
function githubAnswers(base = GITHUB): Record<string, FakeAnswer | readonly FakeAnswer[]> {
  return {
    [`${base}/orgs/acme`]: { headers: scoped, body: { login: "acme", plan: { name: "team" } } },
    [`${base}/orgs/acme/actions/runner-groups?per_page=100&page=1`]: {
      headers: scoped,
      body: { total_count: 0, runner_groups: [] },
    },
    [`${base}/repos/acme/webppt`]: {
      body: {
        id: 7,
        full_name: "acme/webppt",
        private: true,
        archived: false,
        default_branch: "master",
        permissions: { push: true },
      },
    },
    [`${base}/orgs/acme/actions/runners/deprecations/${RUNNER_VERSION}`]: { status: 404 },
    [`${base}/orgs/acme/actions/permissions`]: { body: { enabled_repositories: "all" } },
    [`${base}/repos/acme/webppt/actions/permissions`]: { body: { enabled: true } },
    [`${base}/repos/acme/webppt/branches/master`]: {
      body: { name: "master", protected: false, protection: { enabled: false } },
    },
    [`${base}/repos/acme/webppt/contents/.github/workflows/image.yml?ref=master`]: {
      status: 404,
      body: { message: "Not Found" },
    },
  };
}

const runnerGroups = `${GITHUB}/orgs/acme/actions/runner-groups?per_page=100&page=1`;
const secrets = `${GITHUB}/orgs/acme/actions/secrets?per_page=100&page=1`;
const contents = `${GITHUB}/repos/acme/webppt/contents/.github/workflows/image.yml?ref=master`;

/** Reads with both APIs answering as above, but for `answers`; waits are recorded, not waited for. */
async function read(
  answers: Record<string, FakeAnswer | readonly FakeAnswer[]> = {},
  config = configWith(),
) {
  const fake = fakeFetch({ ...hetznerAnswers, ...githubAnswers(), ...answers });
  const waits: number[] = [];
  const findings = await readFacts(config, {
    fetch: fake.fetch,
    sleep: (milliseconds) => {
      waits.push(milliseconds);
      return Promise.resolve();
    },
  });
  assert.deepEqual(fake.unknown, [], "no unknown URL is asked for");
  return { findings, waits, ...fake };
}

function github(findings: Findings) {
  assert.ok(!("obstacle" in findings.github), JSON.stringify(findings.github));
  return findings.github;
}

function hetzner(findings: Findings) {
  assert.ok(findings.hetzner !== undefined);
  assert.ok(!("obstacle" in findings.hetzner), JSON.stringify(findings.hetzner));
  return findings.hetzner;
}

describe("readFacts", () => {
  it("reads what Hetzner sells", async () => {
    const { readAt, ...facts } = hetzner((await read()).findings);
    assert.ok(Math.abs(readAt.getTime() - Date.now()) < 60_000);
    assert.deepEqual(facts, {
      serverTypes: new Map(
        ["cax11", "cax21"].map((name) => [
          name,
          {
            name,
            architecture: "arm",
            cores: 4,
            memoryGb: 8,
            diskGb: 80,
            locations: new Map([["fsn1", { available: true, unavailableAfter: undefined }]]),
            prices: new Map([["fsn1", { net: "10.4900", gross: "12.4831" }]]),
          },
        ]),
      ),
      locations: new Map([["fsn1", { networkZone: "eu-central" }]]),
      servers: new Map([
        [
          "arm64-1-1",
          {
            serverType: "cax21",
            location: "fsn1",
            off: false,
            attached: true,
            primaryDiskGb: 80,
            configHash: undefined,
          },
        ],
        [
          "arm64-1-2",
          {
            serverType: "cax21",
            location: "fsn1",
            off: true,
            attached: false,
            primaryDiskGb: 80,
            configHash: "1f2e3d4c",
          },
        ],
      ]),
      access: { sshPublicKey: publicKey, openPorts: ["22"], allowedCidrs: ["203.0.113.0/24"] },
      currency: "EUR",
      vatRate: "19.00",
      primaryIpv4: new Map([["fsn1", { net: "0.5000", gross: "0.5950" }]]),
    });
  });

  it("reads what GitHub knows", async () => {
    const { findings } = await read();
    const token = { scopes: ["admin:org", "repo", "workflow"], managesRunners: true };
    const { readAt, ...facts } = github(findings);
    assert.ok(Math.abs(readAt.getTime() - Date.now()) < 60_000);
    assert.deepEqual(facts, {
      runnerVersions: new Map(),
      organization: { kind: "organization", plan: "team" },
      token,
      serviceToken: token,
      app: undefined,
      runnerGroupExists: false,
      secretsUpdatedAt: new Map(),
      repositories: new Map([
        [
          "webppt",
          {
            id: 7,
            fullName: "acme/webppt",
            private: true,
            archived: false,
            defaultBranch: "master",
            writable: true,
            administered: false,
          },
        ],
      ]),
      targets: new Map([["webppt", target()]]),
      central: undefined,
      canary: undefined,
      actionsEnabled: true,
    });
  });

  it("reads only, with the tokens in a header and nothing asked twice", async () => {
    const { requests, headers } = await read();
    assert.ok(requests.every((request) => request.startsWith("GET ")));
    // The runner groups are asked for by both tokens.
    const once = requests.filter((request) => !request.endsWith(runnerGroups));
    assert.equal(new Set(once).size, once.length);
    assert.equal(requests.length, 15);
    for (const [index, request] of requests.entries()) {
      const expected = request.includes(HCLOUD) ? [hcloudToken] : [githubToken, "ghp_service"];
      const sent = headers[index];
      assert.ok(expected.some((token) => sent?.get("authorization") === `Bearer ${token}`));
      assert.equal(sent?.get("user-agent"), "runner-fleet");
    }
  });

  it("asks for one token's rights once where both sides share it", async () => {
    const settings = settingsWith((raw) => (raw.githubAuth = { kind: "pat", token: githubToken }));
    const { findings, requests } = await read({}, configWith(settings));
    assert.equal(requests.filter((request) => request.endsWith(runnerGroups)).length, 1);
    assert.equal(github(findings).serviceToken, github(findings).token);
  });

  it("follows Hetzner's pages", async () => {
    const { findings } = await read({
      [types]: page({ server_types: [apiType("cax11")] }, 2),
      [`${HCLOUD}/server_types?page=2&per_page=50`]: page({ server_types: [apiType("cax31")] }),
    });
    assert.deepEqual([...hetzner(findings).serverTypes.keys()], ["cax11", "cax31"]);
  });

  it("does not follow pages for ever", async () => {
    const endless = Object.fromEntries(
      Array.from({ length: 21 }, (_, index) => [
        `${HCLOUD}/server_types?page=${index + 1}&per_page=50`,
        page({ server_types: [] }, index + 2),
      ]),
    );
    assert.deepEqual((await read(endless)).findings.hetzner, {
      obstacle: "failed",
      sentence: "Hetzner's API has more than 20 pages of /server_types.",
    });
  });

  it("reads deprecations and stock per location", async () => {
    const { findings } = await read({
      [types]: page({
        server_types: [
          apiType("cax21", {
            locations: [
              {
                name: "nbg1",
                available: false,
                deprecation: {
                  announced: "2026-09-01T00:00:00Z",
                  unavailable_after: "2026-12-01T00:00:00+00:00",
                },
              },
            ],
          }),
        ],
      }),
    });
    assert.deepEqual(
      hetzner(findings).serverTypes.get("cax21")?.locations,
      new Map([["nbg1", { available: false, unavailableAfter: new Date("2026-12-01T00:00:00Z") }]]),
    );
  });

  describe("accounts", () => {
    it("tells a user account from an organization", async () => {
      const { findings } = await read({
        [`${GITHUB}/orgs/acme`]: { status: 404 },
        [`${GITHUB}/users/acme`]: { body: { login: "acme", type: "User" } },
      });
      assert.deepEqual(github(findings).organization, { kind: "user" });
    });

    it("knows that there is no account", async () => {
      const { findings } = await read({
        [`${GITHUB}/orgs/acme`]: { status: 404 },
        [`${GITHUB}/users/acme`]: { status: 404 },
      });
      assert.deepEqual(github(findings).organization, { kind: "absent" });
    });
  });

  describe("tokens", () => {
    const scopes: Record<string, [header: string | undefined, scopes: string[] | undefined]> = {
      "of a finer grain": [undefined, undefined],
      "without a scope": ["", []],
      "with one scope": ["repo", ["repo"]],
    };
    for (const [what, [header, expected]] of Object.entries(scopes)) {
      it(what, async () => {
        const headers = header === undefined ? undefined : { "x-oauth-scopes": header };
        const { findings } = await read({ [runnerGroups]: { status: 403, headers } });
        assert.deepEqual(github(findings).token, { scopes: expected, managesRunners: false });
      });
    }

    for (const token of [undefined, ""]) {
      it(`${JSON.stringify(token) ?? "undefined"} is none, and nothing is asked`, async () => {
        const config = configWith(undefined, { token }, { token });
        const { findings, requests } = await read({}, config);
        assert.deepEqual(findings, {
          hetzner: { obstacle: "tokenMissing" },
          github: { obstacle: "tokenMissing" },
        });
        assert.deepEqual(requests, []);
      });
    }

    for (const token of ["h".repeat(63), "h".repeat(65), `${"h".repeat(63)}\n`]) {
      it(`${JSON.stringify(token)} is none of Hetzner's`, async () => {
        const { findings, requests } = await read({}, configWith(undefined, { token }));
        const { length } = token;
        assert.deepEqual(findings.hetzner, { obstacle: "tokenMalformed", length });
        assert.ok(requests.every((request) => !request.includes(HCLOUD)));
      });
    }

    it("with a line break are none of GitHub's", async () => {
      const settings = settingsWith(
        (raw) => (raw.githubAuth = { kind: "pat", token: "ghp_service\n" }),
      );
      const { findings } = await read({}, configWith(settings));
      assert.deepEqual(github(findings).serviceToken, { obstacle: "tokenMalformed", length: 12 });
      const other = await read({}, configWith(undefined, {}, { token: "ghp provider" }));
      assert.deepEqual(other.findings.github, { obstacle: "tokenMalformed", length: 12 });
    });

    it("may be refused by either side", async () => {
      const { findings } = await read({
        [types]: {
          status: 401,
          body: { error: { code: "unauthorized", message: "unable to authenticate" } },
        },
        [`${GITHUB}/orgs/acme`]: { status: 401, body: { message: "Bad credentials" } },
      });
      assert.deepEqual(findings, {
        hetzner: { obstacle: "tokenRefused" },
        github: { obstacle: "tokenRefused" },
      });
    });
  });

  describe("the App that the token service signs in as", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    const installation = `${GITHUB}/app/installations/20`;
    const configured = (change: Record<string, unknown> = {}) =>
      configWith(
        settingsWith(
          (raw) =>
            (raw.githubAuth = { kind: "app", appId: 5, installationId: 20, privateKey, ...change }),
        ),
      );
    const installed = (change: Record<string, unknown> = {}) => ({
      body: {
        id: 20,
        account: { login: "acme" },
        permissions: { organization_self_hosted_runners: "write", metadata: "read" },
        suspended_at: null,
        ...change,
      },
    });

    const answers: Record<string, [answer: FakeAnswer, expected: AppFacts]> = {
      "one that is installed": [
        installed(),
        { state: "installed", account: "acme", suspended: false, runners: "write" },
      ],
      "one that is suspended": [
        installed({ suspended_at: "2026-10-01T12:00:00Z" }),
        { state: "installed", account: "acme", suspended: true, runners: "write" },
      ],
      "one of another account, without the right": [
        installed({ account: { login: "other" }, permissions: {} }),
        { state: "installed", account: "other", suspended: false, runners: undefined },
      ],
      "one that is not installed": [{ status: 404 }, { state: "notInstalled" }],
      "one that GitHub knows nothing of": [
        { status: 404, body: { message: "Integration not found" } },
        { state: "refused" },
      ],
      "one that GitHub refuses": [
        { status: 401, body: { message: "A JSON web token could not be decoded" } },
        { state: "refused" },
      ],
      "one that GitHub cannot tell of": [
        { status: 500, body: { message: "Server Error" } },
        {
          state: "failed",
          sentence:
            "GitHub's API at https://api.github.com answered 500 to GET /app/installations/20 (Server Error).",
        },
      ],
    };
    for (const [what, [answer, expected]] of Object.entries(answers)) {
      it(what, async () => {
        const { findings } = await read({ [installation]: answer }, configured());
        assert.deepEqual(github(findings).app, expected);
        assert.equal(github(findings).serviceToken, undefined);
      });
    }

    it("proves itself by a token signed with its key that lives less than ten minutes", async () => {
      const { requests, headers } = await read({ [installation]: installed() }, configured());
      const [head = "", claims = "", signature = ""] = headers[
        requests.indexOf(`GET ${installation}`)
      ]!.get("authorization")!
        .replace(/^Bearer /, "")
        .split(".");
      const signed = Buffer.from(`${head}.${claims}`);
      assert.ok(verify("sha256", signed, publicKey, Buffer.from(signature, "base64url")));
      const read64 = (part: string) =>
        JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;
      assert.deepEqual(read64(head), { alg: "RS256", typ: "JWT" });
      const { iat, exp, iss } = read64(claims) as Record<string, number>;
      const now = Date.now() / 1000;
      assert.equal(iss, 5);
      assert.ok(iat! <= now - 55 && exp! > now + 300 && exp! - iat! <= 600);
    });

    for (const [what, key] of Object.entries({
      "cannot be read": "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
      "has a passphrase": generateKeyPairSync("rsa", {
        modulusLength: 2048,
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: {
          type: "pkcs8",
          format: "pem",
          cipher: "aes-256-cbc",
          passphrase: "hush",
        },
      }).privateKey,
      "is none of RSA": generateKeyPairSync("ec", {
        namedCurve: "prime256v1",
        publicKeyEncoding: { type: "spki", format: "pem" },
        privateKeyEncoding: { type: "pkcs8", format: "pem" },
      }).privateKey,
    })) {
      it(`asks nothing with a key that ${what}`, async () => {
        const { findings, requests } = await read({}, configured({ privateKey: key }));
        assert.deepEqual(github(findings).app, { state: "keyUnreadable" });
        assert.ok(requests.every((request) => !request.includes("/app/")));
      });
    }
  });

  describe("runner groups", () => {
    const groups = (names: string[]) => ({
      headers: scoped,
      body: { runner_groups: names.map((name, id) => ({ id, name })) },
    });
    const hundred = Array.from({ length: 100 }, (_, index) => `group-${index}`);

    it("are compared without regard to case", async () => {
      const { findings } = await read({ [runnerGroups]: groups(["Default", "ARM64"]) });
      assert.equal(github(findings).runnerGroupExists, true);
      const other = await read({ [runnerGroups]: groups(["Default", "arm64-large"]) });
      assert.equal(github(other.findings).runnerGroupExists, false);
    });

    it("may fill more than one page", async () => {
      const { findings } = await read({
        [runnerGroups]: groups(hundred),
        [runnerGroups.replace(/1$/, "2")]: groups(["arm64"]),
      });
      assert.equal(github(findings).runnerGroupExists, true);
    });

    it("are told when they are not what GitHub documents", async () => {
      const { findings } = await read({ [runnerGroups]: { body: "<html>" } });
      assert.deepEqual(findings.github, {
        obstacle: "failed",
        sentence:
          "GitHub's API at https://api.github.com answered GET /orgs/acme/actions/runner-groups?per_page=100&page=1 with something else than documented, at its root.",
      });
    });
  });

  it("reads until when GitHub serves the runner program, once for each version", async () => {
    const settings = settingsWith((raw) => {
      const of = (runner: unknown) => ({ ...raw.pools.arm64, runner });
      raw.pools = {
        one: of({ version: "2.331.0" }),
        other: of({ version: "2.331.0" }),
        ending: of({ version: "2.330.0" }),
        own: of({ reference: "example.org/runner:1" }),
      };
      raw.routing = { pool: "one" };
    });
    const of = (version: string) => `${GITHUB}/orgs/acme/actions/runners/deprecations/${version}`;
    const { findings, requests } = await read(
      {
        [of("2.331.0")]: {
          body: {
            runner_version: "2.331.0",
            registration_deprecates_at: null,
            runtime_deprecates_at: "2026-11-01T00:00:00Z",
          },
        },
        [of("2.330.0")]: { status: 404 },
      },
      configWith(settings),
    );
    assert.deepEqual(
      github(findings).runnerVersions,
      new Map([
        ["2.331.0", { registrationEnds: undefined, jobsEnd: new Date("2026-11-01T00:00:00Z") }],
      ]),
    );
    assert.equal(requests.filter((request) => request.includes("deprecations")).length, 2);
  });

  it("says it when such a date is none", async () => {
    const { runner } = settingsWith(() => undefined).pools.arm64!;
    const { findings } = await read({
      [`${GITHUB}/orgs/acme/actions/runners/deprecations/${runner.version}`]: {
        body: { registration_deprecates_at: null, runtime_deprecates_at: "soon" },
      },
    });
    assert.match(JSON.stringify(findings.github), /else than documented, at runtime_deprecates_at/);
  });

  describe("secrets", () => {
    const withSecret = () =>
      configWith(settingsWith((raw) => (raw.secrets = { PASSWORD: { value: "hush" } })));

    it("are told with the time of their last change, by name in upper case", async () => {
      const { findings } = await read(
        {
          [secrets]: {
            body: { secrets: [{ name: "Password", updated_at: "2026-01-02T03:04:05Z" }] },
          },
        },
        withSecret(),
      );
      assert.deepEqual(
        github(findings).secretsUpdatedAt,
        new Map([["PASSWORD", "2026-01-02T03:04:05Z"]]),
      );
    });

    it("may fill more than one page", async () => {
      const many = Array.from({ length: 100 }, (_, index) => ({
        name: `S${index}`,
        updated_at: "2026-01-02T03:04:05Z",
      }));
      const { findings } = await read(
        {
          [secrets]: { body: { secrets: many } },
          [secrets.replace(/page=1$/, "page=2")]: {
            body: { secrets: [{ name: "LAST", updated_at: "2026-01-02T03:04:06Z" }] },
          },
        },
        withSecret(),
      );
      assert.equal(github(findings).secretsUpdatedAt.size, 101);
    });

    it("are none for a token that may not see them", async () => {
      const { findings } = await read({ [secrets]: { status: 403 } }, withSecret());
      assert.deepEqual(github(findings).secretsUpdatedAt, new Map());
    });
  });

  describe("repositories", () => {
    it("are read once each, whatever names them", async () => {
      const settings = settingsWith((raw) => {
        raw.runnerGroup = { repositories: ["webppt", "other", "gone"] };
        raw.secrets.PASSWORD = { value: "hush", repositories: ["WebPPT", "other"] };
      });
      const other = { id: 8, full_name: "acme/other", private: false, archived: true };
      const { findings } = await read(
        {
          [`${GITHUB}/repos/acme/other`]: { body: { ...other, default_branch: "main" } },
          [`${GITHUB}/repos/acme/gone`]: { status: 404 },
          [secrets]: { body: { total_count: 0, secrets: [] } },
        },
        configWith(settings),
      );
      const { repositories } = github(findings);
      assert.deepEqual([...repositories.keys()], ["webppt", "other", "gone"]);
      assert.equal(repositories.get("gone"), "absent");
      assert.deepEqual(repositories.get("other"), {
        id: 8,
        fullName: "acme/other",
        private: false,
        archived: true,
        defaultBranch: "main",
        writable: undefined,
        administered: false,
      });
    });

    it("that are absent have no target to read", async () => {
      const { findings } = await read({ [`${GITHUB}/repos/acme/webppt`]: { status: 404 } });
      assert.deepEqual(github(findings).targets, new Map());
    });

    it("may have several targets, on branches with a slash too", async () => {
      const settings = settingsWith((raw) => {
        raw.targets.next = {
          image: "ghcr.io/acme/webppt",
          repository: "webppt",
          branch: "release/2.x",
          path: ".github/workflows/next.yml",
        };
      });
      const repository = `${GITHUB}/repos/acme/webppt`;
      const { findings } = await read(
        {
          [`${repository}/branches/release%2F2.x`]: { status: 404 },
          [`${repository}/contents/.github/workflows/next.yml?ref=release%2F2.x`]: { status: 404 },
        },
        configWith(settings),
      );
      assert.deepEqual(
        [...github(findings).targets],
        [
          ["webppt", target()],
          ["next", target({ branch: "release/2.x", branchExists: false })],
        ],
      );
    });

    const files: Record<string, [body: unknown, expected: string]> = {
      "a file of others": [{ type: "file", encoding: "base64", content: file }, "foreign"],
      "a folder": [[{ name: "a.yml", type: "file" }], "foreign"],
      "a file too large to be sent along": [{ encoding: "none", content: "" }, "foreign"],
      "a file of its own": [
        {
          type: "file",
          encoding: "base64",
          content: Buffer.from("# Generated by runner-fleet.\non: push\n")
            .toString("base64")
            .replace(/(.{20})/g, "$1\n"),
        },
        "ours",
      ],
    };
    for (const [what, [body, expected]] of Object.entries(files)) {
      it(`may have ${what} at the path`, async () => {
        const { findings } = await read({ [contents]: { body } });
        assert.equal(github(findings).targets.get("webppt")?.workflowFile, expected);
      });
    }
  });

  describe("addresses", () => {
    const enterprise = "http://127.0.0.1:8080";
    const residency = "https://acme.ghe.com";
    const server = "https://github.example.com";
    const bases: Record<string, string> = {
      "": GITHUB,
      "https://api.github.com": GITHUB,
      "https://api.github.com/": GITHUB,
      "https://github.com/": GITHUB,
      "https://acme.ghe.com/": "https://api.acme.ghe.com",
      "https://api.acme.ghe.com": "https://api.acme.ghe.com",
      [enterprise]: `${enterprise}/api/v3`,
      [`${enterprise}/`]: `${enterprise}/api/v3`,
      [`${enterprise}/api/v3`]: `${enterprise}/api/v3`,
      [`${enterprise}/api/v3/`]: `${enterprise}/api/v3`,
      [`${enterprise}/git/`]: `${enterprise}/git/api/v3`,
    };
    for (const [endpoint, base] of Object.entries(bases)) {
      it(`github:baseUrl ${JSON.stringify(endpoint)} is asked at ${base}`, async () => {
        const githubUrl = base.includes("acme.ghe.com") ? residency : undefined;
        const settings = settingsWith((raw) => Object.assign(raw, githubUrl && { githubUrl }));
        const config = configWith(settings, {}, { endpoint });
        const { findings } = await read(githubAnswers(base), config);
        assert.equal(github(findings).organization.kind, "organization");
      });
    }

    for (const baseUrl of [server, `${server}/`, `${server}/api/v3/`]) {
      it(`an Enterprise Server is asked where githubUrl and ${baseUrl} lead`, async () => {
        const settings = settingsWith((raw) => (raw.githubUrl = server));
        const config = configWith(settings, {}, { endpoint: baseUrl });
        const { findings } = await read(githubAnswers(`${server}/api/v3`), config);
        assert.equal(github(findings).organization.kind, "organization");
      });
    }

    it("what leads to this machine stands in for any server", async () => {
      const settings = settingsWith((raw) => (raw.githubUrl = server));
      const config = configWith(settings, {}, { endpoint: enterprise });
      const { findings } = await read(githubAnswers(`${enterprise}/api/v3`), config);
      assert.equal(github(findings).organization.kind, "organization");
    });

    for (const [githubUrl, endpoint] of [
      [server, undefined],
      [server, ""],
      [server, "https://api.github.com/"],
      [server, "https://other.example.com/"],
      ["https://github.com", server],
      ["https://github.com", "http://127.0.0.1.example.com/"],
      [residency, undefined],
    ] as const) {
      it(`nothing is asked of ${endpoint ?? "github.com"} while githubUrl is ${githubUrl}`, async () => {
        const settings = settingsWith((raw) => (raw.githubUrl = githubUrl));
        const { findings, requests } = await read({}, configWith(settings, {}, { endpoint }));
        assert.deepEqual(findings.github, {
          obstacle: "serversDiffer",
          baseUrl: endpoint || undefined,
        });
        assert.ok(requests.every((request) => request.includes(HCLOUD)));
      });
    }

    const refused: Record<string, [found: string, expected: string]> = {
      "http://api.github.com": [
        '"http://api.github.com/"',
        "https and no path, since that is how github.com and ghe.com are reached",
      ],
      "https://api.github.com/api/v3": [
        '"https://api.github.com/api/v3"',
        "https and no path, since that is how github.com and ghe.com are reached",
      ],
      "api.github.com": [
        "no URL",
        "an absolute http or https URL without user, query and fragment",
      ],
      "https://me:hush@github.example": [
        "a URL of another form",
        "an absolute http or https URL without user, query and fragment",
      ],
      "ftp://github.example": [
        "a URL of another form",
        "an absolute http or https URL without user, query and fragment",
      ],
    };
    for (const [endpoint, [found, expected]] of Object.entries(refused)) {
      it(`github:baseUrl ${endpoint} is refused`, async () => {
        const { findings } = await read({}, configWith(undefined, {}, { endpoint }));
        assert.deepEqual(findings.github, { obstacle: "endpointInvalid", found, expected });
      });
    }

    it("hcloud:endpoint is taken as it is, but for slashes at its end", async () => {
      const endpoint = "http://127.0.0.1:9090/v1/";
      const answers = Object.fromEntries(
        Object.entries(hetznerAnswers).map(([url, answer]) => [
          url.replace(HCLOUD, "http://127.0.0.1:9090/v1"),
          answer,
        ]),
      );
      const { findings, requests } = await read(answers, configWith(undefined, { endpoint }));
      assert.equal(hetzner(findings).currency, "EUR");
      assert.ok(requests.every((request) => !request.includes(HCLOUD)));
      const bad = await read({}, configWith(undefined, { endpoint: "127.0.0.1:9090" }));
      assert.ok(bad.findings.hetzner !== undefined && "obstacle" in bad.findings.hetzner);
      assert.equal(bad.findings.hetzner.obstacle, "endpointInvalid");
    });
  });

  describe("trouble", () => {
    const good = hetznerAnswers[types] as FakeAnswer;
    const refusedConnection = new TypeError("fetch failed", {
      cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
    });
    const timeout = new DOMException("The operation was aborted due to timeout", "TimeoutError");
    const limited = (headers: Record<string, string>): FakeAnswer => ({
      status: 429,
      headers,
      body: { error: { code: "rate_limit_exceeded", message: "rate limit exceeded" } },
    });

    const overcome: Record<string, [first: FakeAnswer, wait: number]> = {
      "a lost connection": [refusedConnection, 500],
      "a timeout": [timeout, 500],
      "a 502": [{ status: 502, body: "<html>" }, 500],
      "a 503 that says when": [{ status: 503, headers: { "retry-after": "2" } }, 2000],
      "a limit that says when": [limited({ "retry-after": "3" }), 3000],
      "a limit that has just ended": [limited({ "ratelimit-reset": "1" }), 0],
      "a limit that does not say": [limited({}), 500],
    };
    for (const [what, [first, wait]] of Object.entries(overcome)) {
      it(`is overcome: ${what}`, async () => {
        const { findings, waits } = await read({ [types]: [first, good] });
        assert.equal(hetzner(findings).serverTypes.size, 2);
        assert.deepEqual(waits, [wait]);
      });
    }

    it("is overcome: GitHub's secondary limit, which is a 403", async () => {
      const first = { status: 403, headers: { "retry-after": "1" } };
      const answer = githubAnswers()[`${GITHUB}/orgs/acme`] as FakeAnswer;
      const { findings, waits } = await read({ [`${GITHUB}/orgs/acme`]: [first, answer] });
      assert.equal(github(findings).organization.kind, "organization");
      assert.deepEqual(waits, [1000]);
    });

    const at = "Hetzner's API at https://api.hetzner.cloud/v1";
    const path = "/server_types?page=1&per_page=50";
    const lasting: Record<string, [answer: FakeAnswer, sentence: string, waits: number[]]> = {
      "no connection": [refusedConnection, `${at} cannot be reached (ECONNREFUSED).`, [500]],
      "no answer": [timeout, `${at} did not answer within 10 s.`, [500]],
      "a server error": [
        { status: 500, body: { error: { message: "Internal error." } } },
        `${at} answered 500 to GET ${path} (Internal error).`,
        [500],
      ],
      "a long limit": [
        limited({ "retry-after": "60" }),
        `${at} allows no more requests for 60 s.`,
        [],
      ],
      "a limit after the wait": [
        limited({ "retry-after": "1" }),
        `${at} allows no more requests for 1 s.`,
        [1000],
      ],
      "a refusal": [
        { status: 403, body: { error: { message: "forbidden" } } },
        `${at} answered 403 to GET ${path} (forbidden).`,
        [],
      ],
      "a page of something else": [
        { body: "<html>" },
        `${at} answered GET ${path} with something else than documented, at its root.`,
        [],
      ],
      "an undocumented shape": [
        page({ server_types: [apiType("cax11", { cores: "four" })] }),
        `${at} answered GET ${path} with something else than documented, at server_types.0.cores.`,
        [],
      ],
      "an API without server types": [{ status: 404 }, `Hetzner's API has no ${path} (404).`, []],
    };
    for (const [what, [answer, sentence, waits]] of Object.entries(lasting)) {
      it(`is told: ${what}`, async () => {
        const result = await read({ [types]: answer });
        assert.deepEqual(result.findings.hetzner, { obstacle: "failed", sentence });
        assert.deepEqual(result.waits, waits);
      });
    }

    it("never tells the token", async () => {
      const { findings } = await read({
        [types]: new TypeError(`Headers: "Bearer ${hcloudToken}" is invalid`),
        [`${GITHUB}/orgs/acme`]: { status: 400, body: { message: `bad token ${githubToken}` } },
      });
      assert.deepEqual(findings.hetzner, {
        obstacle: "failed",
        sentence: `${at} cannot be reached (Headers: "Bearer [token]" is invalid).`,
      });
      assert.deepEqual(findings.github, {
        obstacle: "failed",
        sentence:
          "GitHub's API at https://api.github.com answered 400 to GET /orgs/acme (bad token [token]).",
      });
    });

    it("does not come from too many requests at once", async () => {
      const names = Array.from({ length: 30 }, (_, index) => `repository-${index}`);
      const settings = settingsWith((raw) => {
        raw.targets = {};
        raw.runnerGroup = { repositories: names };
      });
      let [running, most] = [0, 0];
      const { fetch } = fakeFetch({
        ...hetznerAnswers,
        ...githubAnswers(),
        ...Object.fromEntries(
          names.map((name) => [`${GITHUB}/repos/acme/${name}`, { status: 404 }]),
        ),
      });
      const slow: typeof fetch = async (input, init) => {
        if (typeof input !== "string" || !input.startsWith(`${GITHUB}/repos`)) {
          return fetch(input, init);
        }
        most = Math.max(most, ++running);
        await new Promise(setImmediate);
        running--;
        return fetch(input, init);
      };
      const findings = await readFacts(configWith(settings), { fetch: slow });
      assert.equal(github(findings).repositories.size, 30);
      assert.ok(most > 1 && most <= 8, `${most} requests at once`);
    });
  });
});

describe("readFacts, of where workflows are delivered", () => {
  const root = `${GITHUB}/repos/acme/webppt`;
  const branch = `${root}/branches/master`;
  const isProtected = (change: Record<string, unknown> = {}) => ({
    body: { name: "master", protected: true, protection: { enabled: true, ...change } },
  });
  const admin = {
    [root]: {
      body: {
        id: 7,
        full_name: "acme/webppt",
        private: true,
        archived: false,
        default_branch: "master",
        permissions: { push: true, admin: true },
      },
    },
  };
  const rules = (...types: string[]) => ({
    body: types.map((type, index) => ({ type, ruleset_id: index + 1 })),
  });
  const rulesOfBranch = `${root}/rules/branches/master?per_page=100`;
  const ruleset = (id: number) => `${root}/rulesets/${id}?includes_parents=true`;

  const protections: Record<
    string,
    [answers: Record<string, FakeAnswer>, expected: { rule: string; certain: boolean } | undefined]
  > = {
    "requires status checks of everybody": [
      {
        ...admin,
        [branch]: isProtected(),
        [`${branch}/protection`]: {
          body: { required_status_checks: { strict: false }, enforce_admins: { enabled: true } },
        },
      },
      { rule: "requires status checks", certain: true },
    ],
    "lets administrators pass": [
      {
        ...admin,
        [branch]: isProtected(),
        [`${branch}/protection`]: {
          body: { required_status_checks: { strict: false }, enforce_admins: { enabled: false } },
        },
      },
      undefined,
    ],
    "requires reviews": [
      {
        [branch]: isProtected(),
        [`${branch}/protection`]: { body: { required_pull_request_reviews: {} } },
      },
      { rule: "requires pull requests", certain: true },
    ],
    "requires reviews, but not of all": [
      {
        [branch]: isProtected(),
        [`${branch}/protection`]: {
          body: {
            required_pull_request_reviews: {
              bypass_pull_request_allowances: { users: [], apps: [{ slug: "fleet" }] },
            },
          },
        },
      },
      { rule: "requires pull requests", certain: false },
    ],
    "restricts pushes": [
      { [branch]: isProtected(), [`${branch}/protection`]: { body: { restrictions: {} } } },
      { rule: "restricts who may push", certain: false },
    ],
    "only forbids to delete it": [
      { [branch]: isProtected(), [`${branch}/protection`]: { body: {} } },
      undefined,
    ],
    "is read by administrators only": [
      { [branch]: isProtected(), [`${branch}/protection`]: { status: 403 } },
      { rule: "is protected by rules that the token may not read", certain: false },
    ],
    "is read by administrators only, but for its checks": [
      {
        [branch]: isProtected({ required_status_checks: { enforcement_level: "non_admins" } }),
        [`${branch}/protection`]: { status: 404 },
      },
      { rule: "requires status checks", certain: true },
    ],
    "is a ruleset that nobody may bypass": [
      {
        [branch]: isProtected({ enabled: false }),
        [rulesOfBranch]: rules("deletion", "pull_request"),
        [ruleset(2)]: { body: { current_user_can_bypass: "pull_requests_only" } },
      },
      { rule: "requires pull requests", certain: true },
    ],
    "lets administrators pass, where a ruleset does not": [
      {
        ...admin,
        [branch]: isProtected(),
        [`${branch}/protection`]: { body: { required_pull_request_reviews: {} } },
        [rulesOfBranch]: rules("pull_request"),
        [ruleset(1)]: { body: { current_user_can_bypass: "never" } },
      },
      { rule: "requires pull requests", certain: true },
    ],
    "is a ruleset that lets the token pass": [
      {
        [branch]: isProtected({ enabled: false }),
        [rulesOfBranch]: rules("required_status_checks"),
        [ruleset(1)]: { body: { current_user_can_bypass: "always" } },
      },
      undefined,
    ],
    "is a ruleset that does not say whom it lets pass": [
      {
        [branch]: isProtected({ enabled: false }),
        [rulesOfBranch]: rules("update"),
        [ruleset(1)]: { status: 404 },
      },
      { rule: "restricts who may push", certain: false },
    ],
  };
  for (const [what, [answers, expected]] of Object.entries(protections)) {
    it(`a branch whose protection ${what}`, async () => {
      const { findings } = await read({ [rulesOfBranch]: rules(), ...answers });
      assert.deepEqual(github(findings).targets.get("webppt")?.protection, expected);
    });
  }

  it("the pull requests of the stack, with what a closed one proposed", async () => {
    const settings = settingsWith((raw) =>
      Object.assign(raw.targets.webppt ?? {}, { delivery: "pullRequest" }),
    );
    const pull = (number: number, state: string, merged_at: string | null) => ({
      number,
      state,
      merged_at,
      head: { sha: `${number}`.repeat(40) },
    });
    const { findings } = await read(
      {
        [contents]: { body: { type: "file", encoding: "base64", content: file, sha: "b1" } },
        [`${root}/pulls?head=acme%3Arunner-fleet%2Fdev%2Fimage.yml&base=master&state=all&per_page=100`]:
          {
            body: [
              pull(3, "open", null),
              pull(2, "closed", "2026-10-01T12:00:00Z"),
              pull(1, "closed", null),
            ],
          },
        [contents.replace("ref=master", `ref=${"1".repeat(40)}`)]: {
          body: { type: "file", encoding: "base64", content: file, sha: "b2" },
        },
      },
      configWith(settings),
    );
    const { proposals, blob } = github(findings).targets.get("webppt")!;
    assert.equal(blob, "b1");
    assert.deepEqual(proposals, [
      { number: 3, state: "open", blob: undefined },
      { number: 2, state: "merged", blob: undefined },
      { number: 1, state: "closed", blob: "b2" },
    ]);
  });

  it("the place of workflows that others call", async () => {
    const settings = settingsWith((raw) => {
      Object.assign(raw.targets.webppt ?? {}, { emit: "reusable", strategy: "qemu" });
      raw.reusableWorkflows = { repository: "Central", branch: "stable" };
    });
    const central = `${GITHUB}/repos/acme/Central`;
    const repository = { id: 9, full_name: "acme/Central", private: true, archived: false };
    const { findings } = await read(
      {
        [central]: { body: { ...repository, default_branch: "main" } },
        [`${central}/branches/stable`]: { body: { name: "stable" } },
        [`${central}/contents/.github/workflows/image-qemu.yml?ref=stable`]: {
          body: { type: "file", encoding: "base64", content: file, sha: "b3" },
        },
      },
      configWith(settings),
    );
    const { files, ...facts } = github(findings).central!;
    assert.deepEqual(
      [...files],
      [[".github/workflows/image-qemu.yml", { workflowFile: "foreign", blob: "b3" }]],
    );
    assert.deepEqual([facts.name, facts.branch, facts.branchExists], ["Central", "stable", true]);
    assert.equal(facts.repository.private, true);
  });

  for (const prefix of ["dev", "prod"]) {
    it(`the place of the canary's workflow of stack ${prefix}, whatever other stack has one there`, async () => {
      const settings = settingsWith((raw) => (raw.canary = { repository: "proof" }));
      const proof = `${GITHUB}/repos/acme/proof`;
      const repository = { id: 9, full_name: "acme/proof", private: true, archived: false };
      const ofStack = HCLOUD_OF_DEV.map((url) => [
        url.replace("stack%3Ddev", `stack%3D${prefix}`),
        hetznerAnswers[url]!,
      ]);
      const { findings } = await read(
        {
          ...(Object.fromEntries(ofStack) as typeof hetznerAnswers),
          [proof]: { body: { ...repository, default_branch: "main" } },
          [`${proof}/branches/main`]: { body: { name: "main" } },
          [`${proof}/actions/permissions`]: { body: { enabled: true } },
          [`${proof}/contents/.github/workflows/runner-canary-dev.yml?ref=main`]: {
            body: { type: "file", encoding: "base64", content: file, sha: "b4" },
          },
          [`${proof}/contents/.github/workflows/runner-canary-prod.yml?ref=main`]: { status: 404 },
        },
        { ...configWith(settings), prefix },
      );
      const { path, branch, workflowFile, blob } = github(findings).canary!;
      assert.deepEqual(
        [path, branch, workflowFile, blob],
        prefix === "dev"
          ? [".github/workflows/runner-canary-dev.yml", "main", "foreign", "b4"]
          : [".github/workflows/runner-canary-prod.yml", "main", "absent", undefined],
      );
    });
  }

  it("whether Actions are enabled, where the token may ask", async () => {
    const enabled = async (repository: FakeAnswer, organization: FakeAnswer) => {
      const { findings } = await read({
        [`${root}/actions/permissions`]: repository,
        [`${GITHUB}/orgs/acme/actions/permissions`]: organization,
      });
      const { targets, actionsEnabled } = github(findings);
      return [targets.get("webppt")?.actionsEnabled, actionsEnabled];
    };
    assert.deepEqual(await enabled({ status: 403 }, { status: 404 }), [undefined, undefined]);
    assert.deepEqual(
      await enabled({ body: { enabled: false } }, { body: { enabled_repositories: "none" } }),
      [false, false],
    );
  });

  it("and nothing of Hetzner without own hosts", async () => {
    const settings = settingsWith((raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
    });
    const { findings, requests } = await read({}, configWith(settings, { token: undefined }));
    assert.equal(findings.hetzner, undefined);
    assert.ok(requests.every((request) => !request.includes(HCLOUD)));
  });

  it("and nothing of the token service's rights without own hosts", async () => {
    const settings = settingsWith((raw) => {
      raw.githubAuth = { kind: "pat", token: "ghp_of_the_service" };
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
    });
    const { findings, requests } = await read({}, configWith(settings));
    assert.equal(github(findings).serviceToken, undefined);
    assert.equal(requests.filter((request) => request.includes("/runner-groups")).length, 1);
  });

  it("and nothing of the way in where nothing reaches into the hosts", async () => {
    const settings = settingsWith((raw) => {
      raw.management = "none";
      raw.ssh = { publicKey: raw.ssh.publicKey };
    });
    const { requests } = await read({}, configWith(settings));
    assert.ok(requests.some((request) => request.includes("/servers?")));
    assert.ok(!requests.some((request) => /\/(ssh_keys|firewalls)\?/.test(request)));
  });
});

describe("preflight", () => {
  it("gives the facts when nothing is wrong", async () => {
    const { fetch } = fakeFetch({ ...hetznerAnswers, ...githubAnswers() });
    const facts = await preflight(configWith(), {
      fetch,
      userDataBytes: () => ({ pools: { arm64: 100 }, tokenService: 100 }),
    });
    assert.equal(facts.hetzner?.currency, "EUR");
    assert.equal(facts.github.organization.kind, "organization");
  });

  it("throws every problem, a line each", async () => {
    const { fetch } = fakeFetch({});
    const settings = settingsWith((raw) => (raw.network = { subnet: "10.1.0.0/24" }));
    const config = configWith(settings, { token: undefined }, { token: undefined });
    const namespace = pulumi.getProject();
    await assert.rejects(
      preflight(config, {
        fetch,
        userDataBytes: () => ({ pools: { arm64: 40_000 }, tokenService: 100 }),
      }),
      (error) => {
        assert.ok(pulumi.RunError.isInstance(error));
        assert.equal(
          error.message,
          [
            `${namespace}:network.subnet: found "10.1.0.0/24", expected a range inside network.ipRange, which is 10.0.0.0/16.`,
            `${namespace}:pools.arm64.cloudInit: found user_data of 40000 bytes, expected at most 32768, which is Hetzner's limit.`,
            "hcloud:token (or HCLOUD_TOKEN): found nothing, expected the API token of a Hetzner Cloud project.",
            "github:token (or GITHUB_TOKEN): found nothing, expected an access token of GitHub.",
          ].join("\n"),
        );
        return true;
      },
    );
  });
});
