import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { parse } from "yaml";
import { renderCloudInit, userDataSizes } from "../../../components/host/cloudInit";
import { hostKeyFromSecret } from "../../../components/host/hostKey";
import { MAX_USER_DATA_BYTES } from "../../../components/preflight/check";
import { settingsWith } from "../config/settings";
import { assertGolden } from "./golden";
import { needs } from "./onPath";

const hostKey = hostKeyFromSecret("a secret");
const BASE = { hostKey, sshPort: 22, packages: [], runcmd: [] };
/** Texts that YAML 1.1 takes for something else when they are bare. */
const TRICKY = ["yes", "off", "22:22", "0777", "1_000", "~", "2026-01-01", "a: b", "# c", "é\t✓"];

interface CloudConfig {
  readonly packages: string[];
  readonly runcmd: (string | string[])[];
  readonly write_files: { readonly path: string; readonly content: string }[];
}

function parsed(text: string): CloudConfig {
  return parse(text, { version: "1.1" }) as CloudConfig;
}

describe("renderCloudInit", () => {
  it("is the golden file, byte for byte", () => {
    assertGolden(renderCloudInit(BASE), join(__dirname, "golden", "user-data.yaml"));
  });

  it("says the same in YAML 1.1", () => {
    const text = renderCloudInit(BASE);
    assert.match(text, /^#cloud-config\n/);
    assert.deepEqual(parsed(text), {
      ssh_deletekeys: true,
      ssh_keys: { ed25519_private: hostKey.privateKey, ed25519_public: hostKey.publicKey },
      ssh_pwauth: false,
      package_update: true,
      packages: ["docker.io", "docker-cli", "docker-compose", "curl", "unattended-upgrades"],
      write_files: [
        {
          path: "/etc/ssh/sshd_config.d/10-runner-fleet.conf",
          permissions: "0644",
          content:
            "Port 22\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n" +
            "KbdInteractiveAuthentication no\nX11Forwarding no\nClientAliveInterval 30\n",
        },
        {
          path: "/etc/docker/daemon.json",
          permissions: "0644",
          content: `{
  "live-restore": true,
  "log-driver": "json-file",
  "log-opts": {
    "max-file": "3",
    "max-size": "10m"
  }
}
`,
        },
      ],
      runcmd: [["systemctl", "enable", "--now", "docker.service"]],
    });
  });

  it("runs configured packages and commands after its own, in order and unchanged", () => {
    const { packages, runcmd } = parsed(
      renderCloudInit({ ...BASE, packages: TRICKY, runcmd: [...TRICKY].reverse() }),
    );
    const own = parsed(renderCloudInit(BASE));
    assert.deepEqual(packages, [...own.packages, ...TRICKY]);
    assert.deepEqual(runcmd, [...own.runcmd, ...[...TRICKY].reverse()]);
  });

  it("says the same to PyYAML, which cloud-init reads with", function () {
    needs(this, "python3", "--version");
    const piece = fc.oneof(
      fc.constantFrom(...TRICKY, "\t", "\n", " #", ": ", "=", "---", "'", '"', "\\", "$x"),
      fc.string({ maxLength: 5 }),
    );
    const text = fc
      .array(piece, { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(""))
      .filter((one) => one !== "");
    const texts = [...TRICKY, "=", ...fc.sample(text, 300)];
    const userData = renderCloudInit({ ...BASE, packages: texts, runcmd: [...texts].reverse() });
    const program =
      "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer.read()), sys.stdout)";
    const { status, stdout, stderr } = spawnSync("python3", ["-c", program], {
      input: userData,
      encoding: "utf8",
    });
    if (stderr.includes("No module named 'yaml'")) {
      console.warn("      python3 has no PyYAML: the test is skipped");
      this.skip();
    }
    assert.equal(status, 0, stderr);
    const read = JSON.parse(stdout) as CloudConfig;
    assert.deepEqual(read.packages.slice(-texts.length), texts);
    assert.deepEqual(read.runcmd.slice(-texts.length), [...texts].reverse());
    assert.deepEqual(read, parsed(userData));
  });

  it("moves sshd to another port before anything else may fail", () => {
    const { runcmd, write_files } = parsed(
      renderCloudInit({ ...BASE, sshPort: 2222, runcmd: ["false"] }),
    );
    assert.match(write_files[0]!.content, /^Port 2222$/m);
    assert.deepEqual(runcmd, [
      ["systemctl", "enable", "--now", "docker.service"],
      ["systemctl", "restart", "ssh.service"],
      "false",
    ]);
  });

  it("leaves most of Hetzner's limit to the configuration", () => {
    assert.ok(Buffer.byteLength(renderCloudInit(BASE)) < MAX_USER_DATA_BYTES / 8);
  });

  it("holds no key but the host's own", () => {
    const text = renderCloudInit(BASE);
    assert.equal(text.match(/PRIVATE KEY/g)?.length, 2);
    // Nothing else is long enough, or named like one.
    const others = text.replaceAll(/^ {4}[A-Za-z0-9+/=-].*$/gm, "").replace(hostKey.publicKey, "");
    assert.doesNotMatch(others, /[A-Za-z0-9+/_]{30}/);
    assert.doesNotMatch(others, /PAT_|token|secret/i);
  });
});

describe("userDataSizes", () => {
  it("are those of the real user_data, whatever the host key", () => {
    const cloudInit = { packages: ["htop", "naïve"], runcmd: ["touch /srv/ready"] };
    const settings = settingsWith((raw) => {
      const { arm64 } = raw.pools;
      raw.pools = { plain: { ...arm64 }, extra: { ...arm64, cloudInit } };
      raw.routing = { pool: "plain" };
      raw.ssh.port = 2222;
    });
    const sizes = userDataSizes(settings);
    assert.deepEqual(Object.keys(sizes), ["plain", "extra"]);
    for (const secret of ["", "one", "x".repeat(64)]) {
      const model = { ...BASE, hostKey: hostKeyFromSecret(secret), sshPort: 2222 };
      assert.deepEqual(sizes, {
        plain: Buffer.byteLength(renderCloudInit(model)),
        extra: Buffer.byteLength(renderCloudInit({ ...model, ...cloudInit })),
      });
    }
  });
});
