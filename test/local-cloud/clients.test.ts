import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type LocalCloud, startLocalCloud } from "../../local-cloud";
import { listen } from "../../local-cloud/core/serve";
import { exportLine, type SecureGitHub, serveGitHubSecurely } from "../../local-cloud/clients";

const execute = promisify(execFile);

/** Status and JSON of a request that trusts nothing but `ca`. */
function ask(
  url: string,
  ca: string,
  headers: Record<string, string> = {},
): Promise<{ status: number | undefined; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    get(url, { ca, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () =>
        resolve({
          status: response.statusCode,
          body: JSON.parse(text) as Record<string, unknown>,
        }),
      );
    }).on("error", reject);
  });
}

describe("clients of the local cloud", () => {
  let cloud: LocalCloud;
  let folder: string;
  before(async () => {
    cloud = await startLocalCloud({ hosts: "thin" });
  });
  after(() => cloud.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-clients-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  describe("over TLS", () => {
    let github: SecureGitHub;
    let roots: string;
    const bundle = (): Promise<string> =>
      readFile(github.environment.SSL_CERT_FILE ?? "nowhere", "utf8");
    beforeEach(async () => {
      roots = join(folder, "roots.pem");
      await writeFile(roots, "# roots of the system\n");
      github = await serveGitHubSecurely(cloud, folder, { SSL_CERT_FILE: roots });
    });
    afterEach(() => github.close());

    it("reach GitHub below /api/v3 with the host, the token and the certificates that the variables name", async () => {
      const { GH_HOST, GH_ENTERPRISE_TOKEN } = github.environment;
      assert.match(GH_HOST ?? "", /^localhost:\d+$/);
      const { status, body } = await ask(`https://${GH_HOST}/api/v3/user`, await bundle(), {
        authorization: `token ${GH_ENTERPRISE_TOKEN}`,
      });
      assert.equal(status, 200);
      assert.equal(body.login, "fleet-admin");
      assert.equal(github.url, `https://${GH_HOST}`);
    });

    it("get links that lead back over TLS", async () => {
      const { status, body } = await ask(`${github.url}/api/v3/`, await bundle());
      assert.equal(status, 200);
      assert.equal(body.current_user_url, `${github.url}/api/v3/user`);
    });

    it("keep what they trusted before", async () => {
      assert.ok((await bundle()).startsWith("# roots of the system\n"));
    });

    it("are not trusted by who does not know the authority, and not under another name", async () => {
      const other = await mkdtemp(join(folder, "other-"));
      const stranger = await serveGitHubSecurely(cloud, other, { SSL_CERT_FILE: roots });
      const itsRoots = await readFile(stranger.environment.SSL_CERT_FILE ?? "nowhere", "utf8");
      await stranger.close();
      await assert.rejects(ask(`${github.url}/zen`, itsRoots), /certificate/);
      const byAddress = github.url.replace("localhost", "127.0.0.1");
      await assert.rejects(ask(`${byAddress}/zen`, await bundle()), {
        code: "ERR_TLS_CERT_ALTNAME_INVALID",
      });
    });

    it("leave keys that only their owner reads", async () => {
      assert.equal((await stat(join(folder, "tls"))).mode & 0o077, 0);
    });
  });

  it("are told what is missing where there is no openssl", async () => {
    const before = process.env.PATH;
    process.env.PATH = folder;
    try {
      await assert.rejects(serveGitHubSecurely(cloud, folder), {
        message: "the program openssl is not installed",
      });
    } finally {
      process.env.PATH = before;
    }
  });

  it("are told in one sentence when a port is taken", async () => {
    const answer = (): Response => new Response("");
    const first = await listen(answer);
    try {
      await assert.rejects(listen(answer, { port: first.port }), {
        message: new RegExp(
          `^the local cloud cannot listen on 127\\.0\\.0\\.1: .*EADDRINUSE.*:${first.port}$`,
        ),
      });
    } finally {
      await first.close();
    }
  });

  it("find values in the shell as they are", async () => {
    const value = `it's "$HOME" \`id\` \\ *\nsecond line`;
    const script = `${exportLine("ONE", value)}\n${exportLine("PATH", "/a b", ':"$PATH"')}\n`;
    const { stdout } = await execute("/bin/sh", [
      "-euc",
      `PATH=/bin:/usr/bin\n${script}printf '%s|%s' "$ONE" "$PATH"`,
    ]);
    assert.equal(stdout, `${value}|/a b:/bin:/usr/bin`);
  });
});
