import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import {
  FILES_DIGEST,
  PUBLIC_HOST_KEY,
  runnerGroupIdPlaceholder,
} from "../../components/render/render";
import { SECRET } from "../../components/render/stackFile";
import fleet from "../../index";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { rawSettings } from "../components/config/settings";
import { deployWithHooks } from "../components/host/recorded";
import { only, providerOutputs, type RecordedResource } from "../helpers/mocks";

const ROOT = join(__dirname, "../..");
const ENCRYPTED = { secure: "v1:sIoZBQ2kgzZDswI2:Q/szYDV6kDgzCdaWxtc1L0g4hhjNiEKr7RCCmmxRxG8=" };

/** Fails the process when it opens a connection or has loaded anything of Pulumi's. */
const GUARD = `data:text/javascript,${encodeURIComponent(`
  import { Module } from "node:module";
  import { Socket } from "node:net";
  Socket.prototype.connect = () => { throw new Error("no network here"); };
  process.on("exit", () => {
    const loaded = Object.keys(Module._cache).filter((path) => path.includes("@pulumi"));
    if (loaded.length > 0) { console.error("loaded " + loaded[0]); process.exitCode = 97; }
  });
`)}`;

type Raw = ReturnType<typeof rawSettings> & Record<string, unknown>;

function settings(change: (raw: Raw) => void = () => undefined): Raw {
  const raw: Raw = rawSettings();
  raw.secrets = { REGISTRY_PASSWORD: { value: "canary of a password" } };
  change(raw);
  return raw;
}

/** The same with every secret encrypted, as the stack's file has it. */
function encrypted(raw: Raw): Record<string, unknown> {
  return {
    ...raw,
    githubAuth: {
      ...raw.githubAuth,
      [raw.githubAuth.kind === "app" ? "privateKey" : "token"]: ENCRYPTED,
    },
    ssh: { ...raw.ssh, ...(raw.ssh.privateKey !== undefined && { privateKey: ENCRYPTED }) },
    secrets: { REGISTRY_PASSWORD: { value: ENCRYPTED } },
  };
}

function namespaced(raw: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [`runner-fleet:${key}`, value]),
  );
}

describe("npm run render", function () {
  this.timeout("1m");
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-render-"));
    await writeFile(join(folder, "Pulumi.yaml"), await readFile(join(ROOT, "Pulumi.yaml")));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const writeStack = (config: Record<string, unknown>, stack = "dev") =>
    writeFile(join(folder, `Pulumi.${stack}.yaml`), stringify({ config: namespaced(config) }));

  /** Runs the script as in a shell that has no engine on its path and nothing of Pulumi in its environment. */
  function render(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        `--import=${GUARD}`,
        `--import=${pathToFileURL(require.resolve("tsx")).href}`,
        join(ROOT, "scripts/render.ts"),
        ...args,
      ],
      { cwd: folder, env: { PATH: "" }, encoding: "utf8", timeout: 30_000 },
    );
    return { status, stdout, stderr };
  }

  async function rendered(): Promise<Map<string, string>> {
    const entries = await readdir(join(folder, "out"), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    return new Map(
      await Promise.all(
        files.map(
          async (file) =>
            [file.slice(join(folder, "out/").length), await readFile(file, "utf8")] as const,
        ),
      ),
    );
  }

  describe("beside the program itself", () => {
    let cloud: LocalCloud;
    before(async () => {
      cloud = await startLocalCloud({ hosts: "thin" });
    });
    after(() => cloud?.close());

    /** What the whole program asks the engine for. */
    async function deployed(raw: Raw): Promise<RecordedResource[]> {
      const { environment } = cloud;
      const { resources } = await deployWithHooks(() => fleet(), {
        config: {
          ...Object.fromEntries(
            Object.entries({
              runnerGroup: {},
              routing: {},
              tokenService: {},
              network: {},
              ...raw,
            }).map(([key, value]) => [
              `runner-fleet:${key}`,
              typeof value === "string" ? value : JSON.stringify(value),
            ]),
          ),
          "hcloud:token": environment.HCLOUD_TOKEN!,
          "hcloud:endpoint": environment.HCLOUD_ENDPOINT!,
          "github:token": environment.GITHUB_TOKEN!,
          "github:baseUrl": environment.GITHUB_BASE_URL!,
        },
        outputs: (resource) => {
          switch (resource.type) {
            case "pulumi:pulumi:StackReference":
              return { outputs: {}, secretOutputNames: [] };
            // The address that was asked for, or one of Hetzner's choice.
            case "hcloud:index/serverNetwork:ServerNetwork":
              return { ...providerOutputs(resource), ip: resource.inputs.ip ?? "10.0.1.7" };
            case GROUP:
              return { ...providerOutputs(resource), id: GROUP_ID };
            default:
              return undefined;
          }
        },
      });
      return resources;
    }

    const CASES: Record<string, { hosts: number; change: (raw: Raw) => void }> = {
      "a token service of its own": {
        hosts: 4,
        change: (raw) => {
          raw.targets.webppt = { image: "ghcr.io/acme/webppt", branch: "master" };
          raw.ssh.port = 2222;
          raw.pools.arm64 = {
            ...raw.pools.arm64,
            runnersPerHost: 3,
            generation: 4,
            dockerSocket: true,
            drainTimeoutSeconds: 90,
            cloudInit: { packages: ["htop"], runcmd: ["touch /srv/ready"] },
          };
          raw.pools.big = {
            serverTypes: ["cax41"],
            locations: ["nbg1"],
            count: 1,
            labels: ["big"],
          };
          raw.routing = { pool: "big" };
          raw.runnerGroup = { name: "builders" };
          raw.network = { subnet: "10.0.9.0/24" };
        },
      },
      "a token service on every host": {
        hosts: 2,
        change: (raw) => {
          raw.targets.webppt = { image: "ghcr.io/acme/webppt", branch: "master" };
          raw.tokenService = { placement: "colocated", image: "example.org/node:1" };
        },
      },
      "a GitHub App, mirrors, a canary and no reboots": {
        hosts: 3,
        change: (raw) => {
          raw.targets.webppt = { image: "ghcr.io/acme/webppt", branch: "master" };
          const { id: appId, installationId, privateKey } = cloud.github.app;
          raw.githubAuth = { kind: "app", appId, installationId, privateKey };
          raw.maintenance = { rebootWindow: "never" };
          raw.registryMirrors = { "docker.io": ["mirror.example.com"] };
          raw.canary = { repository: "webppt" };
          raw.runnerGroup = { name: "builders" };
          raw.pools.arm64!.runner = { reference: "example.org/runner:1" };
        },
      },
      "every strategy and delivery": {
        hosts: 3,
        change: (raw) => {
          const image = "ghcr.io/acme/webppt";
          const path = (name: string) => `.github/workflows/${name}.yml`;
          raw.reusableWorkflows = { repository: "hello", branch: "main" };
          raw.targets = {
            webppt: { image, branch: "master", delivery: "pullRequest" },
            ...Object.fromEntries(
              ["amd64", "qemu", "hosted-arm"].map((strategy) => [
                strategy,
                { image, strategy, repository: "webppt", branch: "master", path: path(strategy) },
              ]),
            ),
            called: {
              image,
              emit: "reusable",
              repository: "webp-server",
              branch: "master",
              test: { command: "make test" },
              scan: { on: "both" },
            },
          };
        },
      },
      "nothing but runners of somebody else": {
        hosts: 0,
        change: (raw) => {
          raw.targets.webppt = { image: "ghcr.io/acme/webppt", branch: "master" };
          raw.pools = {};
          raw.externalPools = { arc: { scaleSet: "arm64-builders" } };
        },
      },
    };
    for (const placement of ["dedicated", "colocated"]) {
      for (const implementation of ["builtin", "knatnetwork"]) {
        for (const image of ["actions-runner", "knatnetwork"]) {
          for (const management of ["ssh", "none"]) {
            // More than Hetzner takes as user_data.
            if (management === "none" && placement === "colocated" && implementation === "builtin")
              continue;
            CASES[`${placement} ${implementation}, ${image}, management ${management}`] = {
              hosts: placement === "dedicated" ? 2 : 1,
              change: (raw) => {
                raw.targets.webppt = { image: "ghcr.io/acme/webppt", branch: "master" };
                raw.tokenService = { placement, implementation };
                Object.assign(raw.pools.arm64!, { count: 1, runner: { image } });
                if (management === "none") {
                  raw.management = management;
                  raw.ssh = { publicKey: raw.ssh.publicKey };
                }
              },
            };
          }
        }
      }
    }
    for (const [what, { hosts, change }] of Object.entries(CASES)) {
      it(`writes what the components would, with ${what}`, async () => {
        const raw = settings((one) => {
          one.githubAuth.token = cloud.environment.GITHUB_TOKEN;
          change(one);
        });
        const resources = await deployed(raw);
        await writeStack(encrypted(raw));
        const { status, stdout, stderr } = render("--stack", "dev", "--out", "out");
        assert.deepEqual([status, stderr], [0, ""]);
        const files = await rendered();
        assert.deepEqual(
          stdout.trimEnd().split("\n").sort(),
          [...files.keys()].map((file) => join("out", file)).sort(),
        );

        const left = new Set(files.keys());
        const take = (file: string): string => {
          const content = files.get(file);
          assert.ok(content !== undefined, `${file} was not written`);
          left.delete(file);
          return content;
        };
        const servers = resources.filter(({ type }) => type === "hcloud:index/server:Server");
        assert.equal(servers.length, hosts);
        const group = (raw.runnerGroup as { name?: string } | undefined)?.name ?? "arm64";
        const { token, privateKey } = raw.githubAuth;
        /** As rendering has it: without what only a run of the engine knows. */
        const masked = (text: string) =>
          text
            .replaceAll(JSON.stringify(token ?? privateKey).slice(1, -1), SECRET)
            .replaceAll("password-of-token-service-password", SECRET)
            .replaceAll(GROUP_ID, runnerGroupIdPlaceholder(group))
            .replaceAll(DIGEST_LABEL, `$1"${FILES_DIGEST}"`);
        for (const { name, inputs } of servers) {
          const host = String(inputs.name);
          const overSsh = raw.management !== "none";
          const wanted = unpacked(String(inputs.userData));
          const given = unpacked(take(`hosts/${host}/user-data.yaml`));
          assert.equal(/BEGIN OPENSSH PRIVATE KEY/.test(String(inputs.userData)), overSsh);
          assert.deepEqual(given.document, {
            ...wanted.document,
            ...(overSsh && {
              ssh_keys: { ed25519_private: SECRET, ed25519_public: PUBLIC_HOST_KEY },
            }),
          });
          assert.equal(unmarked(given.script), unmarked(masked(wanted.script)));
          const script = overSsh
            ? String(only(resources, "command:remote:Command", `${name}-stack`).inputs.stdin)
            : wanted.script;
          for (const file of filesIn(script)) {
            const path =
              file.path === "/opt/runner-fleet/compose.yaml" ? "/compose.yaml" : file.path;
            assert.equal(take(`hosts/${host}${path}`), masked(file.content), path);
            const { mode } = await stat(join(folder, "out/hosts", host + path));
            assert.equal((mode & 0o777).toString(8).padStart(4, "0"), file.mode, path);
          }
        }
        for (const target of Object.keys(raw.targets)) {
          assert.equal(take(`workflows/${target}.yml`), deliveredTo(resources, target));
        }
        const central = resources.filter(
          ({ type, parent }) => type === FILE && parent === "reusable-workflows",
        );
        const isReused = Object.values(raw.targets).some(({ emit }) => emit === "reusable");
        assert.equal(central.length > 0, isReused);
        for (const { inputs } of central) {
          const path = String(inputs.file).replace(".github/workflows/", "workflows/reusable/");
          assert.equal(take(path), inputs.content);
        }
        for (const { inputs } of resources.filter(
          ({ type, parent }) => type === FILE && parent === "canary",
        )) {
          assert.equal(inputs.file, ".github/workflows/runner-canary-dev.yml");
          assert.equal(take("workflows/canary/runner-canary-dev.yml"), inputs.content);
          assert.match(String(inputs.content), /^ {6}group: builders$/m);
        }
        assert.deepEqual([...left], [], "nothing else is written");
      });
    }
  });

  it("works for the stack that is committed", async () => {
    await writeFile(join(folder, "Pulumi.dev.yaml"), await readFile(join(ROOT, "Pulumi.dev.yaml")));
    const { status, stderr } = render("--stack=dev", "--out=out");
    assert.equal(status, 0, stderr);
    const files = await rendered();
    for (const file of [
      "workflows/webppt.yml",
      "hosts/dev-arm64-1-1/user-data.yaml",
      "hosts/dev-arm64-1-1/compose.yaml",
      "hosts/dev-token-service/user-data.yaml",
      "hosts/dev-token-service/compose.yaml",
    ]) {
      assert.ok(files.has(file), `${file} in ${[...files.keys()].join(", ")}`);
    }
    const config = files.get("hosts/dev-token-service/etc/runner-fleet/token-service.json");
    assert.match(config ?? "", /"auth": \{\s*"kind": "pat",\s*"token": "<secret>"\s*\}/);
    assert.match(config ?? "", /"password": "<secret>"/);
    assert.match(config ?? "", /"runnerGroupIds": \[\s*<id of runner group arm64>\s*\]/);
  });

  it("writes no secret, not even one that stands in the file in plain text", async () => {
    const raw = settings();
    await writeStack(raw);
    const { status, stdout, stderr } = render("--stack", "dev", "--out", "out");
    assert.equal(status, 0, stderr);
    const written = [stdout, stderr, ...(await rendered()).values()].join("\n");
    for (const secret of ["ghp_service", "canary of a password", "BEGIN OPENSSH"]) {
      assert.ok(!written.includes(secret), secret);
    }
  });

  it("names what it assumes", async () => {
    await writeStack(
      encrypted(settings((raw) => (raw.targets.other = { image: "ghcr.io/acme/o" }))),
    );
    const { status, stderr } = render("--stack", "dev", "--out", "out");
    assert.equal(status, 0);
    assert.equal(
      stderr,
      ["webppt", "other"]
        .map(
          (name) =>
            `targets.${name}.branch is not configured: main stands in for the default branch of acme/${name}.\n`,
        )
        .join(""),
    );
  });

  it("overwrites its files and leaves others alone", async () => {
    await writeStack(encrypted(settings()));
    await mkdir(join(folder, "out/workflows"), { recursive: true });
    await writeFile(join(folder, "out/workflows/webppt.yml"), "old");
    await writeFile(join(folder, "out/workflows/mine.yml"), "mine");
    assert.equal(render("--stack", "dev", "--out", "out").status, 0);
    const files = await rendered();
    assert.match(files.get("workflows/webppt.yml")!, /^# Generated by runner-fleet\.\n/);
    assert.equal(files.get("workflows/mine.yml"), "mine");
    const again = render("--stack", "dev", "--out", "out");
    assert.equal(again.status, 0);
    assert.deepEqual(await rendered(), files);
  });

  it("keeps a target whose name has a slash inside the folder", async () => {
    const target = { image: "ghcr.io/acme/webppt", repository: "webppt", branch: "main" };
    await writeStack(encrypted(settings((raw) => (raw.targets = { "../../up": target }))));
    assert.equal(render("--stack", "dev", "--out", "out").status, 0);
    assert.ok((await rendered()).has("workflows/..%2F..%2Fup.yml"));
  });

  const EXPLAINED =
    "found an encrypted value, expected one in plain text with at most tokens, keys and passwords in it encrypted, since rendering reads no secret.";
  const WRONG: {
    readonly what: string;
    readonly change?: (raw: Record<string, unknown>) => void;
    readonly args?: readonly string[];
    readonly says: string;
  }[] = [
    {
      what: "an unknown key",
      change: (raw) => (raw.poolz = {}),
      says: "runner-fleet:poolz is not a configuration key.",
    },
    {
      what: "a value that is out of range",
      change: (raw) => ((raw.pools as Raw["pools"]).arm64!.count = 0),
      says: "runner-fleet:pools.arm64.count: found 0, expected a whole number from 1 to 100.",
    },
    {
      what: "a missing key",
      change: (raw) => delete raw.organization,
      says: "runner-fleet:organization: found nothing, expected a text.",
    },
    {
      what: "a block that is encrypted as a whole",
      change: (raw) => (raw.ssh = ENCRYPTED),
      says: `runner-fleet:ssh: ${EXPLAINED}`,
    },
    {
      what: "an encrypted value that is no secret",
      change: (raw) => ((raw.targets as Raw["targets"]).webppt!.image = ENCRYPTED),
      says: `runner-fleet:targets.webppt.image: ${EXPLAINED}`,
    },
    {
      what: "settings that make no workflow",
      change: (raw) =>
        ((raw.targets as Raw["targets"]).webppt!.test = { command: "echo ${{ github.ref }}" }),
      says: "targets.webppt.test.command: found ${{, expected a command without it, since GitHub would put a value in its place before bash reads it. The environment has what is needed, such as $GITHUB_SHA.",
    },
    {
      what: "a stack without a file",
      args: ["--stack", "prod", "--out", "out"],
      says: "Pulumi.prod.yaml cannot be read (ENOENT), expected the file of a stack named prod.",
    },
    {
      what: "a path as a stack",
      args: ["--stack", "../dev", "--out", "out"],
      says: 'The stack is named "../dev", expected 1 to 20 lower-case letters, digits and inner hyphens that start with a letter, since servers are named after it.',
    },
    {
      what: "a missing option",
      args: ["--stack", "dev"],
      says: "An option is missing, expected --stack NAME and --out DIR.",
    },
    {
      what: "an unknown option",
      args: ["--stack", "dev", "--out", "out", "--force"],
      says: "Unknown option '--force', expected --stack NAME and --out DIR.",
    },
    {
      what: "a folder that is a file",
      args: ["--stack", "dev", "--out", "Pulumi.yaml"],
      says: "Pulumi.yaml/workflows/webppt.yml cannot be written (ENOTDIR).",
    },
  ];
  for (const { what, change, args = ["--stack", "dev", "--out", "out"], says } of WRONG) {
    it(`says in one sentence what is wrong with ${what}`, async () => {
      const raw = encrypted(settings());
      change?.(raw);
      await writeStack(raw);
      const { status, stdout, stderr } = render(...args);
      assert.deepEqual([status, stdout, stderr], [1, "", `${says}\n`]);
    });
  }

  it("says where a file is no YAML", async () => {
    await writeFile(join(folder, "Pulumi.dev.yaml"), 'config:\n  "a: {\n');
    const { status, stderr } = render("--stack", "dev", "--out", "out");
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^Pulumi\.dev\.yaml: found no YAML at line \d+, column \d+ \(\w+\), expected a YAML file\.\n$/,
    );
  });
});

const FILE = "github:index/repositoryFile:RepositoryFile";

/** The file of a target: committed, or on its way in a pull request. */
function deliveredTo(resources: readonly RecordedResource[], target: string): unknown {
  const committed = resources.filter(({ type, name }) => type === FILE && name === target);
  return committed.length === 1
    ? committed[0]!.inputs.content
    : only(resources, "command:local:Command", target).inputs.stdin;
}

const GROUP = "github:index/actionsRunnerGroup:ActionsRunnerGroup";
const GROUP_ID = "987654321";
const DIGEST_LABEL = /^( *runner-fleet\.files: ).*$/gm;

/** A user_data, and the script that is packed in it where nothing reaches into the host. */
function unpacked(text: string) {
  const document = parse(text) as {
    readonly write_files: { encoding?: string; content: string }[];
  };
  let script = "";
  for (const file of document.write_files) {
    if (file.encoding !== "gz+b64") continue;
    assert.equal(script, "");
    script = gunzipSync(Buffer.from(file.content, "base64")).toString();
    file.content = "";
  }
  return { document, script };
}

/** The marks around files derive from what they hold, secrets included. */
function unmarked(script: string): string {
  return script.replaceAll(/END_[0-9a-f]{16}/g, "END");
}

/** The files that an apply script writes. */
function filesIn(script: string) {
  const files = [
    ...script.matchAll(
      /^cat >(\S+)\.new'? <<'(END_[0-9a-f]+)'\n([\s\S]*?)^\2\n(?:chown \S+ \S+\n)?chmod (\d{4}) /gm,
    ),
  ].map(([, path = "", , content = "", mode = ""]) => ({
    path: path.replaceAll("'", ""),
    content,
    mode,
  }));
  assert.ok(files.length > 0);
  assert.equal(files.length, [...script.matchAll(/<<'END_/g)].length);
  return files;
}
