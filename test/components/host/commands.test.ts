import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import {
  type CommandEnvironment,
  readAwaited,
  readRetirement,
  RETIRE,
  WAIT_ONLINE,
} from "../../../components/host/commands";
import { HostApis, ORGANIZATION } from "./apis";
import { HOST_KEY, LOGIN, sshServer } from "./sshServer";

const HOST = "dev-arm64-1-1";
const APIS: CommandEnvironment = {
  HOST,
  HCLOUD_API: "https://hetzner.example/v1",
  HCLOUD_TOKEN: "hetzner-token",
  SERVER_ID: "42",
  GITHUB_API: "https://github.example/api/v3",
  GITHUB_TOKEN: "github-token",
  GITHUB_ORGANIZATION: "acme",
};
const hetzner = { name: "Hetzner", baseUrl: APIS.HCLOUD_API, token: APIS.HCLOUD_TOKEN };
const github = { name: "GitHub", baseUrl: APIS.GITHUB_API, token: APIS.GITHUB_TOKEN };

describe("what commands read", () => {
  it("is a retirement over SSH", () => {
    const environment = {
      ...APIS,
      SSH_HOST: "203.0.113.4",
      SSH_PORT: "2222",
      SSH_PRIVATE_KEY: "key",
      SSH_HOST_KEY: "ssh-ed25519 AAAA",
      DRAIN_COMMAND: "drain 60",
      TIMEOUT_SECONDS: "60",
    };
    assert.deepEqual(readRetirement(environment), {
      host: HOST,
      serverId: "42",
      hetzner,
      ssh: {
        host: "203.0.113.4",
        port: 2222,
        privateKey: "key",
        hostKey: "ssh-ed25519 AAAA",
      },
      drain: { command: "drain 60", timeoutSeconds: 60 },
      runners: { github, organization: "acme" },
    });
  });

  it("is a retirement without SSH, drain and runners", () => {
    const { HOST: host, HCLOUD_API, HCLOUD_TOKEN, SERVER_ID: serverId } = APIS;
    assert.deepEqual(readRetirement({ HOST, HCLOUD_API, HCLOUD_TOKEN, SERVER_ID: serverId }), {
      host,
      serverId,
      hetzner,
    });
  });

  it("is whom to wait for", () => {
    const environment = { ...APIS, RUNNER_NAMES: "a", TIMEOUT_SECONDS: "900" };
    assert.deepEqual(readAwaited(environment), {
      runners: { host: HOST, github, organization: "acme", names: ["a"] },
      timeoutSeconds: 900,
    });
  });

  it("is an error where a variable is missing", () => {
    for (const missing of ["HOST", "SERVER_ID", "HCLOUD_TOKEN"] as const) {
      assert.throws(() => readRetirement({ ...APIS, [missing]: undefined }), {
        message: `${missing}: found nothing in the environment.`,
      });
    }
  });
});

describe("commands as the engine runs them", function () {
  this.timeout(30_000);
  let apis: HostApis;
  beforeEach(async () => {
    apis = await HostApis.open();
  });
  afterEach(() => apis.close());

  async function run(command: string, environment: CommandEnvironment) {
    const child = spawn("/bin/sh", ["-c", command], {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await ended, stdout, stderr };
  }

  function runners(): CommandEnvironment {
    return {
      HOST,
      GITHUB_API: apis.github.baseUrl,
      GITHUB_TOKEN: apis.github.token,
      GITHUB_ORGANIZATION: ORGANIZATION,
      RUNNER_NAMES: `${HOST}-1 ${HOST}-2`,
    };
  }

  it("retire a host", async () => {
    const ssh = await sshServer((channel) => {
      channel.exit(0);
      channel.end();
    });
    try {
      const { id } = await apis.addServer(HOST);
      await apis.addRunner(`${HOST}-1-abc123`);
      const environment = {
        ...runners(),
        HCLOUD_API: apis.hetzner.baseUrl,
        HCLOUD_TOKEN: apis.hetzner.token,
        SERVER_ID: id,
        SSH_HOST: "127.0.0.1",
        SSH_PORT: String(ssh.port),
        SSH_PRIVATE_KEY: LOGIN.privateKey,
        SSH_HOST_KEY: HOST_KEY.publicKey,
        DRAIN_COMMAND: "drain 5",
        TIMEOUT_SECONDS: "5",
      };
      assert.deepEqual(await run(RETIRE, environment), { code: 0, stdout: "", stderr: "" });
      assert.deepEqual([ssh.asked.length, apis.runners()], [1, []]);
      await apis.power(id, "poweroff");
      assert.deepEqual(await run(RETIRE, environment), {
        code: 0,
        stdout: "",
        stderr: `${HOST} is off, so it is not drained.\n`,
      });
      assert.deepEqual(await run(RETIRE, { ...environment, HCLOUD_TOKEN: "" }), {
        code: 1,
        stdout: "",
        stderr: "HCLOUD_TOKEN: found nothing in the environment.\n",
      });
    } finally {
      await ssh.close();
    }
  });

  it("wait for runners", async () => {
    await (await apis.addRunner(`${HOST}-1-abc123`)).online();
    const environment = { ...runners(), TIMEOUT_SECONDS: "0" };
    const missing = await run(WAIT_ONLINE, environment);
    assert.deepEqual([missing.code, missing.stdout], [1, ""]);
    assert.match(missing.stderr, /^dev-arm64-1-1: found no runner online of dev-arm64-1-1-2 after/);
    // Both anew: starting a program may take longer than GitHub takes a silent runner for online.
    for (const slot of [1, 2]) await (await apis.addRunner(`${HOST}-${slot}-def456`)).online();
    assert.deepEqual(await run(WAIT_ONLINE, environment), { code: 0, stdout: "", stderr: "" });
  });
});
